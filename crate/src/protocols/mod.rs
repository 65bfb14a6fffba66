//! The protocols that make a network of a node, each a state machine over
//! messages on named streams. None knows of the others, of bytes on the wire,
//! or of sockets.

#[cfg(feature = "autonat")]
pub mod autonat;
#[cfg(feature = "dcutr")]
pub mod dcutr;
pub mod identify;
#[cfg(feature = "kad")]
pub mod kad;
pub mod ping;
#[cfg(feature = "pubsub")]
pub mod pubsub;
#[cfg(feature = "relay")]
pub mod relay;
#[cfg(feature = "rendezvous")]
pub mod rendezvous;
#[cfg(feature = "webrtc")]
pub mod webrtc;

use crate::address::Multiaddr;
use crate::connection::{Framing, StreamError, StreamId};
use crate::identity::{Keypair, PeerId, PeerRecord, SignError};
use crate::negotiate::Name;
use crate::node::{ConnectionId, Direction, Event};
use crate::time::Instant;

/// Bytes of addresses in the record that we sign, at most: what identify, the narrowest
/// carrier, has room for, so that all carry the same one.
const MAX_RECORD_ADDRESSES: usize = 2 << 10;

/// What a protocol may know of the node that it is part of.
pub struct Local {
    /// Who we are.
    pub keypair: Keypair,
    /// Where we can be reached, without our PeerId.
    pub addresses: Vec<Multiaddr>,
    /// All protocols that we answer to.
    pub protocols: Vec<Name>,
    /// Name and version of the program, such as `polypeer/0.1.0`.
    pub agent: String,
    /// The family of protocols, such as `ipfs/0.1.0`.
    pub protocol_version: String,
    /// Grows with every change of what stands here, over restarts too.
    pub sequence: u64,
}

impl Local {
    /// Where we can be reached, signed, as others may hand it on.
    ///
    /// # Errors
    /// [`SignError`]: the key cannot sign.
    pub fn seal(&self) -> Result<PeerRecord, SignError> {
        PeerRecord::seal(&self.keypair, self.sequence, self.told())
    }

    /// [`Local::seal`] in the form of libp2p RFC 0003, for those who read no other.
    #[cfg(feature = "rendezvous")]
    pub(crate) fn seal_legacy(&self) -> Result<PeerRecord, SignError> {
        PeerRecord::seal_legacy(&self.keypair, self.sequence, self.told())
    }

    /// The addresses that have room in a record.
    fn told(&self) -> Vec<Multiaddr> {
        let mut bytes = 0;
        let fits = |address: &&Multiaddr| {
            bytes += address.as_bytes().len();
            bytes <= MAX_RECORD_ADDRESSES
        };
        self.addresses.iter().take_while(fits).cloned().collect()
    }
}

/// A protocol of the node.
///
/// The node hands in what happened by [`Protocol::handle`] and drains
/// [`Protocol::poll`] after it.
pub trait Protocol: Send {
    /// The names to answer inbound streams for, and how their streams are cut
    /// into messages.
    fn names(&self) -> Vec<(Name, Framing)>;

    /// Something happened.
    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>);

    /// The next thing to do. Only [`Protocol::handle`] may change the answer.
    fn poll(&mut self) -> Option<Action>;

    /// When [`Input::Timeout`] is due.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

/// What a protocol is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// A connection is established.
    Connected {
        /// The connection.
        connection: ConnectionId,
        /// Who is at its other end.
        peer: &'a PeerId,
        /// Who dialed.
        direction: Direction,
        /// Where the remote is, as the transport sees it.
        remote: &'a Multiaddr,
    },
    /// A connection is over, and all its streams with it.
    Disconnected {
        /// The connection.
        connection: ConnectionId,
    },
    /// A stream asked for by [`Action::Open`] is open.
    Opened {
        /// The connection.
        connection: ConnectionId,
        /// The number given with the action.
        request: u64,
        /// The stream.
        stream: StreamId,
        /// The name that was agreed on.
        protocol: &'a Name,
    },
    /// A peer said, or said anew, what it speaks.
    #[cfg(feature = "service")]
    Identified {
        /// The connection.
        connection: ConnectionId,
        /// The names that it answers to.
        protocols: &'a [Name],
    },
    /// A stream asked for by [`Action::Open`] could not be had.
    OpenFailed {
        /// The connection.
        connection: ConnectionId,
        /// The number given with the action.
        request: u64,
        /// Why.
        error: StreamError,
    },
    /// The remote opened a stream for one of [`Protocol::names`].
    Inbound {
        /// The connection.
        connection: ConnectionId,
        /// The stream.
        stream: StreamId,
        /// The name that was asked for.
        protocol: &'a Name,
    },
    /// A whole message came.
    Message {
        /// The connection.
        connection: ConnectionId,
        /// The stream.
        stream: StreamId,
        /// The message, without framing.
        bytes: Vec<u8>,
    },
    /// What was sent before [`Action::Flush`] is on its way.
    #[cfg(any(feature = "pubsub", feature = "service"))]
    Flushed {
        /// The connection.
        connection: ConnectionId,
        /// The stream.
        stream: StreamId,
    },
    /// The remote sends no more on this stream.
    Finished {
        /// The connection.
        connection: ConnectionId,
        /// The stream.
        stream: StreamId,
    },
    /// The stream is lost.
    Reset {
        /// The connection.
        connection: ConnectionId,
        /// The stream.
        stream: StreamId,
    },
    /// What [`Local`] says has changed.
    LocalChanged,
    /// The time of [`Protocol::poll_timeout`] has come, or is about to.
    Timeout,
}

/// What a protocol wants done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// Open a stream on a connection.
    Open {
        /// The connection.
        connection: ConnectionId,
        /// Comes back with the answer; unique within the protocol.
        request: u64,
        /// The names to propose, best first.
        protocols: Vec<Name>,
        /// How the stream is cut into messages.
        framing: Framing,
    },
    /// Send a message.
    Send {
        /// The connection.
        connection: ConnectionId,
        /// The stream.
        stream: StreamId,
        /// The message, without framing.
        bytes: Vec<u8>,
    },
    /// Have [`Input::Flushed`] when what was sent before is on its way.
    #[cfg(any(feature = "pubsub", feature = "service"))]
    Flush {
        /// The connection.
        connection: ConnectionId,
        /// The stream.
        stream: StreamId,
    },
    /// Send no more on a stream.
    Finish {
        /// The connection.
        connection: ConnectionId,
        /// The stream.
        stream: StreamId,
    },
    /// Give a stream up, both ways.
    Reset {
        /// The connection.
        connection: ConnectionId,
        /// The stream.
        stream: StreamId,
    },
    /// Tell the application.
    Emit(Event),
    /// What only `AutoNAT` wants.
    #[cfg(feature = "autonat")]
    Autonat(autonat::Order),
    /// What only the relay protocols want.
    #[cfg(feature = "relay")]
    Relay(relay::Order),
    /// What only the DHT wants.
    #[cfg(feature = "kad")]
    Kad(kad::Order),
    /// What only publish and subscribe wants.
    #[cfg(feature = "pubsub")]
    Pubsub(pubsub::Order),
    /// What only rendezvous wants.
    #[cfg(feature = "rendezvous")]
    Rendezvous(rendezvous::Order),
    /// What only the signalling of WebRTC wants.
    #[cfg(feature = "webrtc")]
    Signal(webrtc::Order),
}
