//! Protocols of one's own, as first-class citizens: a [`Service`] for the life of
//! the node, which sees every peer, and a [`Session`] for each peer that speaks
//! the protocol, made when it opens and dropped when it closes.
//!
//! The framework opens the protocol on connected peers that speak it, by what
//! identify says, in the best [version](Versions) that both know; it carries whole
//! messages, keeps timers, and holds what a slow peer does not take in a bounded
//! queue, the urgent before the rest. The same service runs on every host and in
//! the simulator.
//!
//! ```
//! use polypeer::service::{Config, Context, Outcome, Service, SessionInfo, Versions};
//!
//! /// Tells everybody else what one says.
//! struct Chat;
//!
//! impl Service for Chat {
//!     fn received(&mut self, cx: &mut Context<'_>, from: &SessionInfo, text: &[u8]) -> Outcome {
//!         cx.broadcast(|to| to.peer != from.peer, text);
//!         Ok(())
//!     }
//! }
//!
//! # use polypeer::{Instant, Keypair, Rng, node};
//! # let mut rng = Rng::from_number(1);
//! # let config = node::Config::new(Keypair::generate_ed25519(&mut rng));
//! # let mut node = node::Node::new(config, rng);
//! # let now = Instant::ZERO;
//! let versions = Versions::range("/chat", "^1.2", "1.2.0")?;
//! node.serve(now, Config::new(versions), Box::new(Chat));
//! # Ok::<(), polypeer::service::VersionError>(())
//! ```
//!
//! One peer has one session, however many connections there are. When both open
//! it at once, the stream of the smaller PeerId stays.
//!
//! What a remote can make grow, and its limit: sessions
//! ([`Config::max_sessions`]), messages ([`Config::max_message`]), what it does not
//! read ([`Config::queue`], [`Config::patience`]), sessions one after another
//! ([`Config::openings`]); the versions it offers are looked at, not kept, but for
//! eight a connection.

mod context;
mod machine;
mod queue;
mod state;
#[cfg(test)]
mod tests;

use core::time::Duration;

use thiserror::Error;

use crate::connection::StreamError;
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::{ConnectionId, Direction};

pub use self::context::{Context, SessionContext};
pub(crate) use self::machine::Machine;
pub use self::queue::{Full, Sent};
pub use crate::negotiate::{VersionError, Versions};

/// A session, unique for the life of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A service of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub usize);

/// What is known of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The session.
    pub id: SessionId,
    /// Who is at the other end.
    pub peer: PeerId,
    /// The connection that carries it.
    pub connection: ConnectionId,
    /// The name and version that was agreed on.
    pub protocol: Name,
    /// Who opened it.
    pub direction: Direction,
}

/// Which messages go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// After all urgent ones.
    #[default]
    Normal,
    /// Before all others that wait.
    High,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum End {
    /// The remote finished it.
    #[error("the peer closed the session")]
    Remote,
    /// The remote gave it up, or broke the rules: a message that is too long, say.
    #[error("the peer gave the session up, or a message was too long")]
    Reset,
    /// We closed it.
    #[error("the session was closed here")]
    Local,
    /// A callback failed.
    #[error("a callback of the session failed")]
    Failed,
    /// Another stream of the same peer took its place.
    #[error("the session was opened anew")]
    Replaced,
    /// The remote took nothing for [`Config::patience`].
    #[error("the peer stopped reading")]
    Stalled,
    /// Its connection is over.
    #[error("the connection ended")]
    Disconnected,
}

/// What a callback says: all is well, or why not.
pub type Outcome = Result<(), Failure>;

/// Why a callback failed; any error becomes one with `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What went wrong in a service; it comes as
/// [`Event::ServiceError`](crate::node::Event::ServiceError).
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A callback failed; if it was about a session, that is closed.
    #[error("a callback failed: {0}")]
    Callback(String),
    /// The protocol could not be opened.
    #[error("the protocol could not be opened: {0}")]
    Open(#[from] StreamError),
    /// The peer reads too slowly: messages are refused or dropped, as
    /// [`Config::full`] says, until it has caught up. Told once each time.
    #[error("the queue of messages for the peer is full")]
    QueueFull,
    /// The peer opened the protocol more often than [`Config::openings`] allows;
    /// told once until it behaves.
    #[error("the peer opens the protocol too often")]
    TooManyOpenings,
    /// As many sessions as [`Config::max_sessions`] are open.
    #[error("there is no room for another session")]
    TooManySessions,
}

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session is over, or there is none.
    #[error("there is no such session")]
    NoSession,
    /// The message is longer than [`Config::max_message`].
    #[error("the message is longer than {max} bytes")]
    TooLong {
        /// The limit in bytes.
        max: usize,
    },
    /// The peer does not read fast enough: try again later, or drop it.
    #[error("the queue of messages for the peer is full")]
    Full,
}

/// As many timers as a service, or a session, may have are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{MAX_TIMERS} timers are set already")]
pub struct TooManyTimers;

/// Timers of a service, and of each of its sessions.
pub const MAX_TIMERS: usize = 32;

/// How a service runs. Only the versions must be given.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What it is called, and what it gets on with.
    pub versions: Versions,
    /// The longest message in bytes, in and out; 256 KiB.
    pub max_message: usize,
    /// Whether it is opened on every connected peer that speaks it, by the side
    /// that dialed; yes. Otherwise on demand.
    pub automatic: bool,
    /// Whether sessions run on connections that a relay limits too; no.
    #[cfg(feature = "relay")]
    pub limited: bool,
    /// Sessions at a time; 1024.
    pub max_sessions: usize,
    /// Bytes that wait for one peer to read, at most; 1 MiB. As many messages wait
    /// as this has KiB, however short they are.
    pub queue: usize,
    /// What happens to messages that find the queue full; they are refused.
    pub full: Full,
    /// How long a peer may take nothing of what waits; 60 s.
    pub patience: Duration,
    /// Sessions that one peer may open in a minute; 12.
    pub openings: u32,
}

impl Config {
    /// The defaults.
    pub fn new(versions: Versions) -> Self {
        Self {
            versions,
            max_message: 256 << 10,
            automatic: true,
            #[cfg(feature = "relay")]
            limited: false,
            max_sessions: 1024,
            queue: 1 << 20,
            full: Full::Refuse,
            patience: Duration::from_secs(60),
            openings: 12,
        }
    }
}

/// A protocol for the life of the node. Every callback has a default that does
/// nothing.
///
/// Callbacks run where the node runs and must not block; a slow one slows the
/// whole node. One that fails is told as an event, and its session is closed.
pub trait Service: Send {
    /// A peer's protocol has opened: what handles this one session, or `None` to
    /// refuse it. [`Service::connected`] follows.
    fn session(&mut self, cx: &mut Context<'_>, session: &SessionInfo) -> Option<Box<dyn Session>> {
        let _ = (cx, session);
        Some(Box::new(NoSession))
    }

    /// A session is open.
    fn connected(&mut self, cx: &mut Context<'_>, session: &SessionInfo) -> Outcome {
        let _ = (cx, session);
        Ok(())
    }

    /// A message came. The session's own handler gets it after this.
    fn received(&mut self, cx: &mut Context<'_>, session: &SessionInfo, message: &[u8]) -> Outcome {
        let _ = (cx, session, message);
        Ok(())
    }

    /// A timer that [`Context::set_timer`] set has run off.
    fn notified(&mut self, cx: &mut Context<'_>, token: &str) -> Outcome {
        let _ = (cx, token);
        Ok(())
    }

    /// A session is over.
    fn disconnected(&mut self, cx: &mut Context<'_>, session: &SessionInfo, end: &End) -> Outcome {
        let _ = (cx, session, end);
        Ok(())
    }
}

/// What handles one session, for its life. Every callback has a default that does
/// nothing.
pub trait Session: Send {
    /// The session is open; comes first.
    fn connected(&mut self, cx: &mut SessionContext<'_>) -> Outcome {
        let _ = cx;
        Ok(())
    }

    /// A message came.
    fn received(&mut self, cx: &mut SessionContext<'_>, message: Vec<u8>) -> Outcome {
        let _ = (cx, message);
        Ok(())
    }

    /// A timer that [`SessionContext::set_timer`] set has run off.
    fn notified(&mut self, cx: &mut SessionContext<'_>, token: &str) -> Outcome {
        let _ = (cx, token);
        Ok(())
    }

    /// The session is over; comes last.
    fn disconnected(&mut self, cx: &mut SessionContext<'_>, end: &End) -> Outcome {
        let _ = (cx, end);
        Ok(())
    }
}

/// The session of a service that needs none.
struct NoSession;

impl Session for NoSession {}
