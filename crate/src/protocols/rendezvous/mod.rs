//! Rendezvous: peers that look for each other meet at a point that both know, under a
//! name.
//!
//! [`Client`] registers us at points, again before that ends, and asks them who else is
//! there; [`Server`] makes a point of us. What is handed on are the records that peers
//! signed themselves: a point can hide somebody, but it cannot invent anybody.
//!
//! Source: libp2p specs, `rendezvous/README.md` (r3).
//!
//! What remotes can make grow, and its bounds. At a point: registrations, in all, of a
//! peer, of a network and under a name, and their bytes ([`ServerConfig`]), each with an
//! end; requests that are not read yet ([`MAX_WAITING`] a connection, each for
//! [`REQUEST_TIMEOUT`]); requests a minute. At a client: what an answer holds
//! ([`MAX_FOUND`] registrations, [`MAX_ANSWER_BYTES`]).

mod client;
mod message;
mod registry;
mod server;
#[cfg(test)]
mod tests;

use core::time::Duration;

use crate::address::Multiaddr;
use crate::connection::Framing;
use crate::identity::{PeerId, PeerRecord};

pub use client::{Client, MAX_REQUESTS};
pub use message::{Message, Register, Status};
pub use server::{Server, ServerConfig};

/// The protocol's name.
pub const NAME: &str = "/rendezvous/1.0.0";
/// The longest namespace, in bytes.
pub const MAX_NAMESPACE: usize = 255;
/// How long a registration lasts that does not say.
pub const DEFAULT_TTL: Duration = Duration::from_secs(2 * 3600);
/// How long a registration can last.
pub const MAX_TTL: Duration = Duration::from_secs(72 * 3600);
/// Registrations in an answer, at most: the specification's number.
pub const MAX_FOUND: usize = 1000;
/// The longest answer that is read, in bytes; as rust-libp2p's.
pub const MAX_ANSWER_BYTES: usize = 1 << 20;
/// The longest request that is read, in bytes: a record, a name and a cookie.
pub const MAX_REQUEST_BYTES: usize = 16 << 10;
/// The longest signed record that a point keeps, in bytes: far more than identify sends.
pub const MAX_RECORD: usize = 8 << 10;
/// The longest cookie that is kept and given back, in bytes.
pub const MAX_COOKIE: usize = 512;
/// Requests of a connection that are not read yet.
pub const MAX_WAITING: usize = 8;
/// How long a request, or the answer to one, may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

const ASKING: Framing = Framing::LengthPrefixed { max: MAX_ANSWER_BYTES };
const ANSWERING: Framing = Framing::LengthPrefixed { max: MAX_REQUEST_BYTES };

/// The number of a request, unique for the life of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A rendezvous point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Who it is.
    pub peer: PeerId,
    /// Where it is; the peer store may know, if this is empty.
    pub addresses: Vec<Multiaddr>,
}

impl From<PeerId> for Point {
    fn from(peer: PeerId) -> Self {
        Self { peer, addresses: Vec::new() }
    }
}

impl TryFrom<Multiaddr> for Point {
    type Error = RendezvousError;

    fn try_from(address: Multiaddr) -> Result<Self, RendezvousError> {
        let peer = address.peer_id().ok_or(RendezvousError::Unnamed)?;
        Ok(Self { peer, addresses: vec![address] })
    }
}

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Those who are registered under this name, or under any.
    pub namespace: Option<String>,
    /// So many at most; the point may tell of fewer.
    pub limit: Option<usize>,
    /// The cookie of an earlier answer for the same name: only those who have registered
    /// since, or were left out then.
    pub cookie: Option<Vec<u8>>,
}

/// Somebody who is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Under which name.
    pub namespace: String,
    /// Who, and where, signed by that peer.
    pub record: PeerRecord,
    /// How long the registration still lasts, as the point says.
    pub ttl: Duration,
}

/// What a point tells of those who are registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Those whose records are good.
    pub registrations: Vec<Registration>,
    /// To ask for further ones, at this point.
    pub cookie: Vec<u8>,
    /// How many were left out because their records are not good, or are of another
    /// name than the one asked for.
    pub refused: usize,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// We are registered for so long, and will be again before that ends.
    Registered(Duration),
    /// The point was told; it does not answer to that.
    Unregistered,
    /// Those who are registered.
    Found(Found),
}

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RendezvousError {
    /// The address does not say who the point is: it must end in `/p2p`.
    #[error("the address of the point does not end in its peer id")]
    Unnamed,
    /// A namespace has 1 to 255 bytes.
    #[error("a namespace has 1 to {MAX_NAMESPACE} bytes")]
    Namespace,
    /// A cookie has at most 512 bytes.
    #[error("the cookie is not one of a rendezvous point")]
    Cookie,
    /// We have no address that others could use: listen on one, or at a relay.
    #[error("there is no address to register")]
    NoAddress,
    /// So many requests are under way already.
    #[error("{MAX_REQUESTS} requests are under way")]
    TooMany,
    /// The point cannot be reached.
    #[error("the rendezvous point cannot be reached")]
    Unreachable,
    /// That peer is no rendezvous point.
    #[error("the peer is no rendezvous point")]
    NotAPoint,
    /// The point did not answer in time.
    #[error("the rendezvous point did not answer in time")]
    TimedOut,
    /// The connection or stream ended before the answer.
    #[error("the stream ended before the answer")]
    Lost,
    /// What the point answered is no answer.
    #[error("the answer is malformed")]
    Malformed,
    /// Our record cannot be signed.
    #[error("our record cannot be signed")]
    Unsigned,
    /// The point refused.
    #[error("the rendezvous point refused: {status}{}{text}", if text.is_empty() { "" } else { ": " })]
    Refused {
        /// Why.
        status: Status,
        /// What it says of that, at most 256 bytes.
        text: String,
    },
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RendezvousEvent {
    /// What came of a request; always exactly one.
    Answered {
        /// The request.
        request: RequestId,
        /// What came of it.
        result: Result<Answer, RendezvousError>,
    },
    /// We have registered again, by ourselves.
    Renewed {
        /// Where.
        point: PeerId,
        /// Under which name.
        namespace: String,
        /// For how long.
        ttl: Duration,
    },
    /// We could not register again, and will try again.
    RenewFailed {
        /// Where.
        point: PeerId,
        /// Under which name.
        namespace: String,
        /// Why.
        error: RendezvousError,
    },
}

/// What only the client wants of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A connection to a point; the node tells what became of it.
    Reach {
        /// What for.
        request: RequestId,
        /// Where to.
        point: Point,
    },
}
