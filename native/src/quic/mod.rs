//! QUIC: streams over UDP that are secured and multiplexed below us.
//!
//! All that needs no socket is `polypeer-quic` and `quinn-proto`.
//!
//! | module             | what it does                                           |
//! | ------------------ | ------------------------------------------------------ |
//! | `endpoint`         | the connections of one socket: whose is each datagram? |
//! | `inbox`            | what a socket's reader has for one connection          |
//! | `link`             | a connection with its clock, as the core drives it     |
//! | `listener`, `dial` | how links come about                                   |

use polypeer::address::{Multiaddr, Protocol};

mod dial;
mod endpoint;
mod inbox;
mod link;
mod listener;

pub(crate) use dial::Quic;
pub(crate) use listener::QuicListener;

/// `/ip/udp/quic-v1`
pub(crate) fn address(at: std::net::SocketAddr) -> Multiaddr {
    // Protocols without values are always taken.
    Multiaddr::udp(at).with(Protocol::QuicV1).unwrap_or_default()
}
