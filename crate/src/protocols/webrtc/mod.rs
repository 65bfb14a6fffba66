//! WebRTC between two peers that nobody can dial: they exchange what their WebRTC
//! stacks have to say to each other over a connection through a relay.
//!
//! [`Signalling`] only carries descriptions and candidates; the host owns the peer
//! connection ([`HostOrder`]), and the node decides when there is to be one.
//!
//! Where ICE finds no way, or is still looking after [`RESTART_AFTER`] as WebKit's does
//! now and then (libp2p/js-libp2p#3347), who offered restarts it, once: both peer
//! connections stay, and a second offer and its answer go over the same stream. js-libp2p
//! knows nothing of that. At a second offer it ends the stream and keeps its peer
//! connection: the try goes on as it would have without, or is over if ICE has failed.
//!
//! Sources: libp2p specs, `webrtc/webrtc.md`; RFC 8445, section 9; RFC 8829, section
//! 4.1.8.1 (`iceRestart`).

mod error;
mod message;
mod session;
mod signalling;
#[cfg(test)]
mod tests;

use core::time::Duration;

use crate::connection::{Framing, StreamId};
use crate::node::ConnectionId;

pub use error::SignalError;
pub use message::{Kind, Signal};
pub use signalling::Signalling;

/// The protocol's name.
pub const NAME: &str = "/webrtc-signaling/0.0.1";
/// The longest description taken, in bytes: those of browsers for one data channel
/// take one to three thousand.
pub const MAX_DESCRIPTION_BYTES: usize = 16 * 1024;
/// The longest candidate taken, in bytes; they take some two hundred.
pub const MAX_CANDIDATE_BYTES: usize = 1024;
/// Candidates taken from one remote for one description, of which a connection has
/// two at most, and sent to it: machines have some ten.
pub const MAX_CANDIDATES: usize = 64;
/// Connections that one peer may be about to open to us.
pub const MAX_INBOUND_PER_PEER: usize = 2;
/// Connections that all peers together may be about to open to us.
pub const MAX_INBOUND: usize = 32;
/// How long one try may take, from its first word to the open connection.
pub const TRY_TIME: Duration = Duration::from_secs(15);
/// How long ICE may look for a way, from the remote's description on, before it is
/// restarted: where there is one it takes two or three seconds. Firefox says after five
/// that there is none, and its data channels are closed for good with that.
pub const RESTART_AFTER: Duration = Duration::from_secs(4);
/// How long the remote may still talk about a connection that is open here.
pub const LINGER: Duration = Duration::from_secs(10);

const FRAMING: Framing = Framing::LengthPrefixed { max: MAX_DESCRIPTION_BYTES + 16 };

/// What the host is to do for a WebRTC connection that is to be.
///
/// It answers with its own description, its candidates as they are found, and then
/// that the connection is open or has failed; all four name the connection. When it
/// is not wanted any more, the host is told to drop it like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostOrder {
    /// Make a peer connection with a data channel named `init`, and an offer. A
    /// second such order is a second try: what there is of the first is given up.
    Offer,
    /// Restart ICE in the peer connection that there is.
    Restart {
        /// The remote's second description, unchecked, which is to be answered; if there
        /// is none, make another offer.
        offer: Option<String>,
    },
    /// Make a peer connection and an answer to this offer.
    Answer {
        /// The remote's description, unchecked.
        offer: String,
    },
    /// Set the remote's answer.
    Accept {
        /// The remote's description, unchecked.
        answer: String,
    },
    /// Add a candidate of the remote; it comes after the remote's description.
    Candidate {
        /// What `RTCIceCandidate.toJSON()` gave as text, unchecked; `null` at their
        /// end.
        candidate: String,
    },
}

/// What the node is to do for the signalling.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Order {
    /// Hand this to the host.
    Host {
        /// The connection to be.
        connection: ConnectionId,
        /// What it is to do.
        order: HostOrder,
    },
    /// A peer offers a connection: [`Signalling::answer`] or [`Signalling::refuse`].
    Offered {
        /// The connection over which it does.
        via: ConnectionId,
        /// The stream on it.
        stream: StreamId,
        /// Its description, unchecked.
        offer: String,
    },
    /// Nothing came of a connection.
    Failed {
        /// The connection.
        connection: ConnectionId,
        /// Why.
        error: SignalError,
    },
}
