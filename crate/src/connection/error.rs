//! Why a connection, or one stream of it, ended.

use thiserror::Error;

use crate::identity::PeerId;
use crate::muxer::yamux;
use crate::negotiate::{self, Name};
use crate::security;

/// Why a connection could not be made or came to its end.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The remote does not speak multistream-select, or none of our protocols:
    /// it is no libp2p peer, or one with other security or muxers.
    #[error("negotiation failed: {0}")]
    Negotiate(#[from] negotiate::Error),
    /// The secure channel could not be made, or a frame in it was forged or
    /// damaged.
    #[error("secure channel failed: {0}")]
    Security(#[from] security::Error),
    /// Another peer answered than the one that was dialed: the address is stale
    /// or not its own.
    #[error("dialed {expected}, but {found} answered")]
    WrongPeer {
        /// Whom we dialed.
        expected: PeerId,
        /// Who proved its identity instead.
        found: PeerId,
    },
    /// We reached ourselves.
    #[error("the address leads back to this node")]
    Myself,
    /// The remote broke the muxer's rules, or did not answer its ping in time.
    #[error("muxer failed: {0}")]
    Muxer(#[from] yamux::Error),
    /// The upgrade did not end within [`Config::handshake_timeout`](super::Config).
    #[error("the handshake took too long")]
    HandshakeTimedOut,
    /// The remote sent more than [`MAX_HANDSHAKE_BYTES`](super::MAX_HANDSHAKE_BYTES)
    /// before it had proved who it is.
    #[error("the remote sent too much before the handshake ended")]
    HandshakeTooLarge,
    /// What brings its own encryption cannot carry a private network: use TCP or
    /// WebSocket.
    #[cfg(feature = "webrtc")]
    #[error("a private network goes over TCP and WebSocket alone")]
    NotPrivate,
    /// The transport under the connection ended or failed; the host tells why.
    #[error("transport closed: {0}")]
    Transport(String),
    /// The remote said goodbye, with the muxer's code.
    #[error("the remote closed the connection (code {0})")]
    ClosedByRemote(u32),
    /// We closed it.
    #[error("closed by this side")]
    ClosedHere,
    /// It came to what its relay allows; a new circuit may be had.
    #[cfg(feature = "relay")]
    #[error("the relay's limit for the connection is reached: {0}")]
    RelayLimit(crate::protocols::relay::Allowance),
    /// The node's [`Filters`](crate::swarm::gate::Filters) deny the peer or its
    /// address.
    #[cfg(feature = "limits")]
    #[error("the filters of this node deny the peer")]
    Denied,
    /// It took its time in the handshake, and newcomers needed its place
    /// ([`Arrivals`](crate::swarm::arrivals::Arrivals)).
    #[cfg(feature = "limits")]
    #[error("the handshake was given up for that of others")]
    Displaced,
    /// The node's [`Limits`](crate::swarm::limits::Limits) leave no room for it,
    /// or for what came on it before the remote was known.
    #[cfg(feature = "limits")]
    #[error(transparent)]
    Limit(#[from] crate::swarm::limits::LimitReached),
}

/// Why a stream could not be opened.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The remote speaks none of the proposed protocols.
    #[error("the remote does not speak {}", list(.0))]
    ProtocolNotSupported(Vec<Name>),
    /// The remote broke the rules of multistream-select on this stream.
    #[error("stream negotiation failed: {0}")]
    Negotiate(negotiate::Error),
    /// No answer came within [`Config::stream_timeout`](super::Config).
    #[error("the remote did not answer the stream's negotiation in time")]
    TimedOut,
    /// The remote reset the stream.
    #[error("the remote reset the stream")]
    Reset,
    /// The stream was reset by this side: more waited for its reader than a page can
    /// hold back ([`MAX_WAITING`](crate::webrtc::MAX_WAITING)). Read faster, or ask the
    /// remote for less at a time.
    #[cfg(feature = "webrtc")]
    #[error("the stream's reader left too much waiting")]
    Overrun,
    /// The connection has no room for another stream; close some, or wait.
    #[error("no stream to be had: {0}")]
    Limit(yamux::OpenError),
    /// A relay limits the connection, and the protocol did not say that it may be
    /// used all the same.
    #[cfg(feature = "relay")]
    #[error("the connection is limited by its relay, and the protocol does not opt in to such")]
    Limited,
    /// The connection is closed, or not yet established.
    #[error("the connection is not open")]
    NotConnected,
}

fn list(names: &[Name]) -> String {
    names.join(", ")
}
