//! AutoNAT: whether others can dial us.
//!
//! Source: libp2p specs "autonat v1" and "autonat v2". Version 1 tells whether a
//! node can be dialed at all, version 2 of each address, and proves it: the server
//! says a number on the connection that it dials. A [`Client`] asks, a [`Server`]
//! dials for others, and [`Order`]s are what the node does for both.
//!
//! What remotes can make grow, at a client: servers ([`client::MAX_SERVERS`]), dials
//! back ([`client::MAX_DIAL_BACKS`]), voices (eight for each of
//! [`client::MAX_SUBJECTS`] addresses), the data that a server asks for
//! ([`Config::max_dial_data`]). At a server: streams without a request
//! ([`server::MAX_WAITING`]), requests and dials ([`ServerConfig`]).

pub mod client;
mod config;
pub mod message;
mod opinion;
mod rates;
pub mod server;
#[cfg(test)]
mod tests;
pub mod v1;

use core::time::Duration;

use crate::address::Multiaddr;
use crate::connection::{Framing, StreamId};
use crate::identity::PeerId;
use crate::node::ConnectionId;
use crate::swarm::addresses::Reachability;

pub(crate) use client::Arrival;
pub use client::Client;
pub use config::{Config, ServerConfig};
pub use server::Server;
pub(crate) use server::{Asker, Dialed};

/// The protocol of version 1.
pub const V1_NAME: &str = "/libp2p/autonat/1.0.0";
/// Version 2's protocol of the question.
pub const REQUEST_NAME: &str = "/libp2p/autonat/2/dial-request";
/// Version 2's protocol on the connection that is dialed.
pub const DIAL_BACK_NAME: &str = "/libp2p/autonat/2/dial-back";
/// How long a request, or the data that was asked for, may take to come.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

const FRAMING: Framing = Framing::LengthPrefixed { max: message::MAX_MESSAGE_BYTES };
pub(crate) const DIAL_BACK_FRAMING: Framing =
    Framing::LengthPrefixed { max: message::MAX_DIAL_BACK_BYTES };

/// What the node is to do for `AutoNAT`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Order {
    /// A request has come: say who asks.
    Asked {
        /// The connection.
        connection: ConnectionId,
        /// The stream.
        stream: StreamId,
        /// Whether it is one of version 2.
        second: bool,
        /// The request.
        bytes: Vec<u8>,
    },
    /// Dial a peer, anew and as nobody that it knows.
    Dial {
        /// What for.
        job: u64,
        /// Who is to be there.
        peer: PeerId,
        /// Where.
        address: Multiaddr,
        /// What to say.
        nonce: Option<u64>,
    },
    /// Nobody waits for that dial any more.
    Cancel {
        /// What it was for.
        job: u64,
    },
    /// A dial back has come to us: say where.
    Arrived {
        /// The connection.
        connection: ConnectionId,
        /// The stream.
        stream: StreamId,
        /// What was said on it.
        nonce: u64,
    },
    /// It is known now, or doubtful again, whether we can be dialed.
    Verdict {
        /// At which address; `None` for all together.
        address: Option<Multiaddr>,
        /// Whether we can.
        reachability: Reachability,
    },
}

/// What the server says on a connection that it has dialed.
pub(crate) fn dial_back(nonce: u64) -> Vec<u8> {
    message::dial_back(nonce)
}

/// Whether the client's answer to it says that it has the number.
pub(crate) fn took_dial_back(bytes: &[u8]) -> bool {
    message::took_dial_back(bytes)
}
