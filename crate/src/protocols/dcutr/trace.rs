//! What was tried to reach a peer directly, and what came of it.

use core::fmt;
use core::time::Duration;

use thiserror::Error;

use crate::address::Multiaddr;
use crate::connection::Role;
use crate::identity::PeerId;
use crate::node::{AttemptError, ConnectionId};
use crate::time::Instant;

/// What was tried to reach a peer directly that is connected through a relay:
/// [`Node::explain`](crate::node::Node::explain).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Upgrade {
    /// The peer.
    pub peer: PeerId,
    /// Where it stands.
    pub state: UpgradeState,
    /// What was tried, the last of it; [`MAX_KEPT_TRIES`](super::MAX_KEPT_TRIES).
    pub tries: Vec<Try>,
    /// How the translator in front of us, if any, treats connections to several
    /// remotes, as far as these have told us.
    pub mapping: Mapping,
}

/// Where an upgrade stands.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum UpgradeState {
    /// It is being tried.
    Trying,
    /// We wait for the remote, which tries again if it wants to.
    Waiting,
    /// It has failed, and is tried again at this time, if still needed.
    Resting(Instant, DcutrError),
    /// There is a direct connection.
    Direct(ConnectionId),
}

/// One try.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Try {
    /// What was tried.
    pub kind: TryKind,
    /// When it began.
    pub at: Instant,
    /// How long it took; `None` while it goes on.
    pub took: Option<Duration>,
    /// The round trip through the relay, as the one who says when to dial measured it.
    pub rtt: Option<Duration>,
    /// Where we said that we can be dialed.
    pub ours: Vec<Multiaddr>,
    /// Where we dialed the remote, and what came of each.
    pub dialed: Vec<(Multiaddr, Option<AttemptError>)>,
    /// What came of it all; `None` while it goes on.
    pub result: Option<Result<ConnectionId, DcutrError>>,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryKind {
    /// An ordinary dial: the remote has addresses that anyone may be able to dial.
    Dial,
    /// Both dialed at the same time; our role from then on.
    Punch(Role),
}

/// How a translator maps our port for several remotes (RFC 4787, section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mapping {
    /// Too few remotes have said where they see us.
    #[default]
    Unknown,
    /// There is none: they see us where we listen.
    None,
    /// To the same port for all: others can be told where to dial.
    Independent,
    /// To another port for each: nobody knows beforehand where we will be seen, and
    /// only peers whose translators let in any port of ours are reached.
    Dependent,
}

/// Why there is no direct connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DcutrError {
    /// No remote has told us an address of ours that can be dialed: listen on TCP, and
    /// have connections to others.
    #[error("no address of ours is known that the remote could dial")]
    NoAddress,
    /// The remote named no address that we could dial.
    #[error("the remote names no address that can be dialed")]
    NoRemoteAddress,
    /// The remote cannot do it.
    #[error("the remote does not speak DCUtR")]
    Unsupported,
    /// The remote broke it off, or did not keep to the protocol.
    #[error("the remote broke off the exchange of addresses")]
    Refused,
    /// The remote did not answer in [`EXCHANGE_TIMEOUT`](super::EXCHANGE_TIMEOUT).
    #[error("the remote did not answer in time")]
    TimedOut,
    /// The relayed connection ended meanwhile.
    #[error("the relayed connection has ended")]
    Disconnected,
    /// None of the addresses led to the remote; [`Try::dialed`] has each.
    #[error("none of the remote's addresses could be reached")]
    Unreachable,
}

impl Upgrade {
    pub(crate) fn new(peer: PeerId) -> Self {
        let (state, mapping) = (UpgradeState::Waiting, Mapping::Unknown);
        Self { peer, state, tries: Vec::new(), mapping }
    }

    pub(crate) fn begin(&mut self, kind: TryKind, at: Instant) -> &mut Try {
        if self.tries.len() >= super::MAX_KEPT_TRIES {
            self.tries.remove(0);
        }
        self.state = UpgradeState::Trying;
        self.tries.push(Try {
            kind,
            at,
            took: None,
            rtt: None,
            ours: Vec::new(),
            dialed: Vec::new(),
            result: None,
        });
        // It was pushed just now.
        let last = self.tries.len() - 1;
        &mut self.tries[last]
    }

    /// The try that goes on.
    pub(crate) fn current(&mut self) -> Option<&mut Try> {
        self.tries.last_mut().filter(|last| last.result.is_none())
    }

    pub(crate) fn end(&mut self, now: Instant, result: Result<ConnectionId, DcutrError>) {
        if let Some(last) = self.current() {
            last.took = Some(now - last.at);
            last.result = Some(result);
        }
    }
}

/// For people: what was tried, line by line.
impl fmt::Display for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.peer)?;
        match &self.state {
            UpgradeState::Trying => f.write_str("being tried")?,
            UpgradeState::Waiting => f.write_str("the remote tries again if it wants to")?,
            UpgradeState::Resting(_, error) => write!(f, "stays relayed: {error}")?,
            UpgradeState::Direct(_) => f.write_str("direct")?,
        }
        f.write_str(match self.mapping {
            Mapping::Unknown => "",
            Mapping::None => "; we are not translated",
            Mapping::Independent => "; our translator keeps our port",
            Mapping::Dependent => "; our translator takes another port for each remote",
        })?;
        self.tries.iter().try_for_each(|one| write!(f, "\n  {one}"))
    }
}

impl fmt::Display for Try {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TryKind::Dial => "dial",
            TryKind::Punch(Role::Initiator) => "punch as client",
            TryKind::Punch(Role::Responder) => "punch as server",
        })?;
        match (&self.result, self.took) {
            (Some(Ok(_)), Some(took)) => write!(f, ": direct after {} ms", took.as_millis())?,
            (Some(Err(error)), Some(took)) => {
                write!(f, ": {error}, after {} ms", took.as_millis())?;
            }
            _ => f.write_str(": under way")?,
        }
        if let Some(rtt) = self.rtt {
            write!(f, "; {} ms through the relay", rtt.as_millis())?;
        }
        for address in &self.ours {
            write!(f, "; ours {address}")?;
        }
        for (address, error) in &self.dialed {
            write!(f, "; theirs {address}")?;
            error.iter().try_for_each(|error| write!(f, " ({error})"))?;
        }
        Ok(())
    }
}
