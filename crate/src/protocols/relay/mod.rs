//! Circuit relay v2: connections through a third peer, for those who cannot be
//! dialed.
//!
//! [`Client`] reserves a place at relays, asks them for circuits and takes the
//! circuits that they bring; [`Service`] is the relay. Both only talk: the bytes of
//! a circuit are the host's, which joins two streams ([`Order::Splice`]) or lays a
//! connection over one ([`Order::Tunnel`]).
//!
//! Source: libp2p specs "circuit-v2".

mod allowance;
mod client;
mod config;
mod error;
mod message;
mod pace;
mod refusal;
mod service;
#[cfg(test)]
mod tests;
mod voucher;

use crate::address::{Multiaddr, Protocol};
use crate::connection::{Framing, StreamId};
use crate::identity::PeerId;
use crate::node::ConnectionId;

pub use allowance::Allowance;
pub(crate) use allowance::Meter;
pub use client::{Client, Reservation};
pub use config::{Config, ServiceConfig};
pub use error::RelayError;
pub use message::{Limit, MAX_ADDRESSES, MAX_MESSAGE_BYTES, Status};
pub use pace::{Pace, RelayRates};
pub use refusal::{MAX_PAIRS, PairStats, Refusal, RelayStats, Rule};
pub use service::{Circuit, CircuitId, CircuitSummary, Service};
pub use voucher::{Voucher, VoucherError};

/// The protocol between a relay and those who ask something of it.
pub const HOP_NAME: &str = "/libp2p/circuit/relay/0.2.0/hop";
/// The protocol between a relay and the peer that a circuit leads to.
pub const STOP_NAME: &str = "/libp2p/circuit/relay/0.2.0/stop";

/// Whether a node can be a relay at all; where not, the compiler leaves out what is only a
/// relay's.
pub(crate) const SERVES: bool = cfg!(feature = "relay-service");

const FRAMING: Framing = Framing::Once { max: MAX_MESSAGE_BYTES };

/// What the node is to do for its relay protocols.
#[derive(Debug)]
#[non_exhaustive]
pub enum Order {
    /// The stream leads to `peer` from now on: lay a connection over it.
    Tunnel {
        /// The attempt that asked for the circuit; `None` if `peer` did.
        attempt: Option<ConnectionId>,
        /// The connection to the relay.
        via: ConnectionId,
        /// The stream on it.
        stream: StreamId,
        /// Who is said to be at the other end.
        peer: PeerId,
        /// What the relay allows.
        limit: Limit,
    },
    /// No circuit came of an attempt.
    Failed {
        /// The attempt.
        attempt: ConnectionId,
        /// Why.
        error: RelayError,
    },
    /// A relay serves us, or goes on to.
    Reserved {
        /// The relay.
        relay: PeerId,
        /// Where we can be reached through it, without our PeerId.
        addresses: Vec<Multiaddr>,
    },
    /// A relay serves us no more, or does not begin to.
    Unreserved {
        /// The relay.
        relay: PeerId,
        /// Why.
        error: RelayError,
    },
    /// As the relay: carry bytes between two streams until an end or a limit.
    Splice {
        /// The circuit's number.
        circuit: CircuitId,
        /// Its two ends.
        ends: Circuit,
        /// What it may last and carry.
        limit: Limit,
        /// How fast.
        pace: Pace,
    },
}

/// An address with a circuit in it, taken apart: the relay's address, with its
/// PeerId, and who is behind it. `None` if it is no such address, or one of a
/// circuit through several relays, which the specification does not know.
pub fn split_circuit(address: &Multiaddr) -> Option<(Multiaddr, PeerId, Option<PeerId>)> {
    let mut relay = Multiaddr::empty();
    let mut parts = address.iter();
    loop {
        match parts.next()? {
            Protocol::P2pCircuit => break,
            part => relay.push(part).ok()?,
        }
    }
    let name = relay.peer_id()?;
    let target = match (parts.next(), parts.next()) {
        (None, _) => None,
        (Some(Protocol::P2p(peer)), None) => Some(peer),
        _ => return None,
    };
    Some((relay, name, target))
}
