//! Direct connection upgrade through relay: two peers that are connected through a
//! relay tell each other where they are seen and dial at the same time, so that the
//! translators between them take both for the ones who began.
//!
//! Here is the exchange of messages; [`Node`](crate::node::Node) decides when to try
//! and dials. Source: libp2p specs "DCUtR", r1.
//!
//! Which pairs come together, in the simulator (`sim/tests/dcutr.rs`: 20 runs each, 5 to
//! 85 ms one way, up to 40 ms of jitter, 1 % of loss; translators that are silent and
//! ones that answer with resets; the median time from the relayed connection on):
//!
//! | translators                                   | direct | after        |
//! | --------------------------------------------- | ------ | ------------ |
//! | the one that dialed the relay has none        | 100 %  | 0.8 s        |
//! | cones of any kind, or one and none            | 100 %  | 1.5 to 1.6 s |
//! | symmetric, and one open to addresses          | 100 %  | 1.6 to 1.7 s |
//! | symmetric, and port restricted or symmetric   | 0 %    | stays relayed |
//! | the same for both, with hairpin or without    | 100 %  | by the network inside |
//!
//! What remotes can make grow: one exchange each way a relayed connection, with
//! [`MAX_ADDRESSES`] of the remote; [`MAX_ANSWERS`] in its life; each ends at
//! [`EXCHANGE_TIMEOUT`]. [`MAX_REMEMBERED`] upgrades are remembered, each with
//! [`MAX_KEPT_TRIES`], and [`MAX_AT_ONCE`] are tried at a time.

mod message;
#[cfg(test)]
mod tests;
mod trace;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::address::{Multiaddr, Protocol as Part};
use crate::collections::Map;
use crate::connection::{Framing, Role, StreamError, StreamId};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::ConnectionId;
use crate::swarm::addresses::{Transport, Waist};
use crate::time::Instant;

use super::{Action, Input, Local, Protocol};

pub use message::Message;
pub use trace::{DcutrError, Mapping, Try, TryKind, Upgrade, UpgradeState};

/// The protocol.
pub const NAME: &str = "/libp2p/dcutr";
/// The longest message taken, in bytes; the specification's.
pub const MAX_MESSAGE_BYTES: usize = 4096;
/// Addresses of a remote that are dialed, and of ours that are told: those of a
/// peer that names more are most likely not its own.
pub const MAX_ADDRESSES: usize = 8;
/// How often a remote may have us dial its addresses, a relayed connection.
pub const MAX_ANSWERS: u32 = 12;
/// How long an exchange of messages may take.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the two go on dialing each other, and then a transport that has opened
/// may take to become a connection.
pub const PUNCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries in a row before an upgrade counts as failed; the specification's.
pub const MAX_TRIES: u32 = 3;
/// How long it rests then; three times as long after each further failure, of one
/// try each, up to [`MAX_PAUSE`]. So there are five in the first hour.
pub const FIRST_PAUSE: Duration = Duration::from_secs(300);
/// The longest rest.
pub const MAX_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// Upgrades that are tried at a time; others wait.
pub const MAX_AT_ONCE: usize = 16;
/// Peers whose upgrades are remembered; beyond, the oldest is forgotten.
pub const MAX_REMEMBERED: usize = 128;
/// Tries that are remembered of each.
pub const MAX_KEPT_TRIES: usize = 8;

const FRAMING: Framing = Framing::LengthPrefixed { max: MAX_MESSAGE_BYTES };

/// How a node upgrades relayed connections.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Whether it does; on.
    pub enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// What came of an exchange.
#[derive(Debug, PartialEq)]
pub(crate) enum Order {
    /// Dial these now, all at once; from then on we are what `role` says.
    Punch {
        via: ConnectionId,
        role: Role,
        rtt: Option<Duration>,
        ours: Vec<Multiaddr>,
        theirs: Vec<Multiaddr>,
    },
    /// Our exchange has failed.
    Failed { via: ConnectionId, error: DcutrError },
    /// The remote has begun one too, and goes on with that.
    Yielded { via: ConnectionId },
}

/// The exchanges of a node.
#[derive(Default)]
pub struct Dcutr {
    enabled: bool,
    private: bool,
    /// Relayed connections.
    links: Map<ConnectionId, Link>,
    ours: Vec<Multiaddr>,
    actions: VecDeque<Action>,
    orders: VecDeque<Order>,
}

struct Link {
    peer: PeerId,
    asking: Option<Asking>,
    answering: Option<Answering>,
    answers: u32,
}

/// An exchange that we began.
struct Asking {
    stream: Option<StreamId>,
    /// When our message went off.
    sent: Instant,
    /// When it is over, or, with the addresses, when to dial.
    due: Instant,
    theirs: Option<(Duration, Vec<Multiaddr>)>,
}

/// An exchange that the remote began.
struct Answering {
    stream: StreamId,
    due: Instant,
    theirs: Option<Vec<Multiaddr>>,
}

impl Dcutr {
    /// No exchange yet.
    pub fn new(config: &Config) -> Self {
        Self { enabled: config.enabled, ..Self::default() }
    }

    /// Where others see us, the surest first: what we tell from now on. With
    /// `private`, private addresses count as public ones do.
    pub fn set_addresses(&mut self, addresses: impl IntoIterator<Item = Multiaddr>, private: bool) {
        self.ours.clear();
        self.private = private;
        for address in addresses {
            let known = self.ours.contains(&address) || self.ours.len() >= MAX_ADDRESSES;
            if !known && is_punchable(&address, self.private) {
                self.ours.push(address);
            }
        }
    }

    /// Begins an exchange over a relayed connection.
    pub(crate) fn begin(&mut self, now: Instant, via: ConnectionId) {
        let Some(link) = self.links.get_mut(&via).filter(|_| !self.ours.is_empty()) else {
            let error = DcutrError::NoAddress;
            return self.orders.push_back(Order::Failed { via, error });
        };
        let due = now + EXCHANGE_TIMEOUT;
        link.asking = Some(Asking { stream: None, sent: now, due, theirs: None });
        let protocols = vec![NAME.into()];
        self.actions.push_back(Action::Open {
            connection: via,
            request: 0,
            protocols,
            framing: FRAMING,
        });
    }

    /// Gives up the exchange over a connection.
    pub(crate) fn cancel(&mut self, via: ConnectionId) {
        let asking = self.links.get_mut(&via).and_then(|link| link.asking.take());
        if let Some(stream) = asking.and_then(|asking| asking.stream) {
            self.actions.push_back(Action::Reset { connection: via, stream });
        }
    }

    /// Who has told us that it will dial from this machine as soon as it gives the
    /// word, which may come later than its first packet.
    pub(crate) fn announced(&self, from: IpAddr) -> Option<PeerId> {
        let named =
            |address: &Multiaddr| Waist::of(address).is_some_and(|waist| waist.socket.ip() == from);
        let told = |link: &Link| {
            let theirs = link.answering.as_ref().and_then(|answering| answering.theirs.as_ref());
            theirs.is_some_and(|theirs| theirs.iter().any(named))
        };
        self.links.values().find(|link| told(link)).map(|link| link.peer)
    }

    pub(crate) fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }

    pub(crate) fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    fn failed(&mut self, via: ConnectionId, error: DcutrError) {
        self.cancel(via);
        self.orders.push_back(Order::Failed { via, error });
    }

    fn on_inbound(&mut self, now: Instant, me: PeerId, connection: ConnectionId, stream: StreamId) {
        let reset = Action::Reset { connection, stream };
        let Some(link) = self.links.get_mut(&connection) else {
            return self.actions.push_back(reset);
        };
        let peer = link.peer;
        if link.answering.is_some() || link.answers >= MAX_ANSWERS {
            return self.actions.push_back(reset);
        }
        // Both have begun: that of the smaller PeerId goes on.
        let asking = self.links.iter().find(|(_, link)| link.peer == peer && link.asking.is_some());
        if let Some(via) = asking.map(|(via, _)| *via) {
            if me < peer {
                return self.actions.push_back(reset);
            }
            self.cancel(via);
            self.orders.push_back(Order::Yielded { via });
        }
        if let Some(link) = self.links.get_mut(&connection) {
            link.answers += 1;
            let due = now + EXCHANGE_TIMEOUT;
            link.answering = Some(Answering { stream, due, theirs: None });
        }
    }

    fn on_message(&mut self, now: Instant, via: ConnectionId, stream: StreamId, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(&via) else { return };
        let private = self.private;
        let punchable = |mut list: Vec<Multiaddr>| {
            list.retain(|address| is_punchable(address, private));
            list
        };
        let message = Message::decode(bytes);
        if let Some(asking) = link.asking.as_mut().filter(|asking| asking.stream == Some(stream)) {
            let theirs = match message {
                Ok(Message::Connect(theirs)) if asking.theirs.is_none() => punchable(theirs),
                _ => return self.failed(via, DcutrError::Refused),
            };
            if theirs.is_empty() {
                return self.failed(via, DcutrError::NoRemoteAddress);
            }
            let rtt = now - asking.sent;
            asking.due = now + rtt / 2;
            asking.theirs = Some((rtt, theirs));
            let bytes = Message::Sync.encode();
            self.actions.push_back(Action::Send { connection: via, stream, bytes });
            self.actions.push_back(Action::Finish { connection: via, stream });
            return;
        }
        let Some(answering) = link.answering.as_mut().filter(|known| known.stream == stream) else {
            return;
        };
        match (message, answering.theirs.take()) {
            (Ok(Message::Connect(theirs)), None) if !self.ours.is_empty() => {
                answering.theirs = Some(punchable(theirs));
                let bytes = Message::Connect(self.ours.clone()).encode();
                self.actions.push_back(Action::Send { connection: via, stream, bytes });
            }
            (Ok(Message::Sync), Some(theirs)) => {
                link.answering = None;
                self.actions.push_back(Action::Finish { connection: via, stream });
                let (role, ours) = (Role::Initiator, self.ours.clone());
                self.orders.push_back(Order::Punch { via, role, rtt: None, ours, theirs });
            }
            _ => {
                link.answering = None;
                self.actions.push_back(Action::Reset { connection: via, stream });
            }
        }
    }

    /// The remote says no more on a stream.
    fn on_end(&mut self, via: ConnectionId, stream: StreamId) {
        let Some(link) = self.links.get_mut(&via) else { return };
        if link.answering.as_ref().is_some_and(|answering| answering.stream == stream) {
            link.answering = None;
            self.actions.push_back(Action::Reset { connection: via, stream });
        }
        // Once it has said where it is, it has said all.
        let waits = |asking: &Asking| asking.stream == Some(stream) && asking.theirs.is_none();
        if link.asking.as_ref().is_some_and(waits) {
            self.failed(via, DcutrError::Refused);
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        let mut late = Vec::new();
        for (via, link) in self.links.iter_mut() {
            if let Some(over) = link.answering.take_if(|answering| answering.due <= now) {
                self.actions.push_back(Action::Reset { connection: *via, stream: over.stream });
            }
            match link.asking.take_if(|asking| asking.due <= now) {
                Some(Asking { theirs: Some((rtt, theirs)), .. }) => {
                    let (via, role, ours) = (*via, Role::Responder, self.ours.clone());
                    let rtt = Some(rtt);
                    self.orders.push_back(Order::Punch { via, role, rtt, ours, theirs });
                }
                Some(asking) => late.push((*via, asking)),
                None => {}
            }
        }
        for (via, asking) in late {
            if let Some(link) = self.links.get_mut(&via) {
                link.asking = Some(asking);
            }
            self.failed(via, DcutrError::TimedOut);
        }
    }
}

impl Protocol for Dcutr {
    fn names(&self) -> Vec<(Name, Framing)> {
        self.enabled.then(|| (NAME.into(), FRAMING)).into_iter().collect()
    }

    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>) {
        match input {
            Input::Connected { connection, peer, remote, .. } if remote.is_relayed() => {
                let peer = *peer;
                let link = Link { peer, asking: None, answering: None, answers: 0 };
                self.links.insert(connection, link);
            }
            Input::Disconnected { connection } => {
                let link = self.links.remove(&connection);
                if link.is_some_and(|link| link.asking.is_some()) {
                    self.failed(connection, DcutrError::Disconnected);
                }
            }
            Input::Opened { connection, stream, .. } => {
                let link = self.links.get_mut(&connection);
                match link.and_then(|link| link.asking.as_mut()) {
                    Some(asking) if asking.stream.is_none() => {
                        (asking.stream, asking.sent) = (Some(stream), now);
                        let bytes = Message::Connect(self.ours.clone()).encode();
                        self.actions.push_back(Action::Send { connection, stream, bytes });
                    }
                    // Given up meanwhile.
                    _ => self.actions.push_back(Action::Reset { connection, stream }),
                }
            }
            Input::OpenFailed { connection, error, .. } => {
                let asking = self.links.get(&connection).is_some_and(|link| link.asking.is_some());
                if asking {
                    let unsupported = matches!(error, StreamError::ProtocolNotSupported(_));
                    let error =
                        if unsupported { DcutrError::Unsupported } else { DcutrError::Refused };
                    self.failed(connection, error);
                }
            }
            Input::Inbound { connection, stream, .. } => {
                self.on_inbound(now, local.keypair.peer_id(), connection, stream);
            }
            Input::Message { connection, stream, bytes } => {
                self.on_message(now, connection, stream, &bytes);
            }
            Input::Finished { connection, stream } | Input::Reset { connection, stream } => {
                self.on_end(connection, stream);
            }
            Input::Timeout => self.on_timeout(now),
            _ => {}
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let asking = self.links.values().filter_map(|link| Some(link.asking.as_ref()?.due));
        let answering = self.links.values().filter_map(|link| Some(link.answering.as_ref()?.due));
        asking.chain(answering).min()
    }
}

/// Whether two peers can dial each other at such an address at the same time: plain
/// TCP, or QUIC where hosts may have it, at an IP address. With `private`, of one's own
/// network too.
pub(crate) fn is_punchable(address: &Multiaddr, private: bool) -> bool {
    Waist::split(&address.without_peer()).is_some_and(|(waist, rest)| {
        let named = waist.socket.port() != 0 && !waist.socket.ip().is_unspecified();
        let plain = match waist.transport {
            Transport::Tcp => rest.is_empty(),
            Transport::Udp => cfg!(feature = "muxed") && rest.iter().eq([Part::QuicV1]),
        };
        plain && (waist.is_public() || private && named)
    })
}
