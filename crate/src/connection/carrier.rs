//! What lies under a connection.

#[cfg(feature = "webrtc")]
use crate::identity::PeerId;

/// What carries a connection between host and core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Carrier {
    /// A stream of bytes, to be secured and multiplexed: TCP, WebSocket, a
    /// circuit through a relay.
    #[default]
    Bytes,
    /// The data channels of a WebRTC direct connection, as records
    /// ([`webrtc`](crate::webrtc)); a Noise handshake over channel 0 proves who
    /// the remote is. Source: libp2p specs, `webrtc/webrtc-direct.md`.
    #[cfg(feature = "webrtc")]
    Direct {
        /// The handshake's prologue, [`webrtc::prologue`](crate::webrtc::prologue).
        prologue: Vec<u8>,
    },
    /// Streams that the host has secured and multiplexed itself, as frames of Yamux:
    /// each is one of the host's streams, and its windows are between host and core
    /// alone. Source: libp2p specs, `quic/README.md`.
    #[cfg(feature = "muxed")]
    Muxed {
        /// Who has proved to be at the other end.
        peer: PeerId,
    },
    /// The data channels of a WebRTC connection whose certificates were exchanged
    /// over an authenticated connection to `peer`: nothing is left to prove.
    /// Source: libp2p specs, `webrtc/webrtc.md`.
    #[cfg(feature = "webrtc")]
    Signalled {
        /// Who is at the other end.
        peer: PeerId,
    },
}

#[cfg(feature = "webrtc")]
impl Carrier {
    /// Who is at the other end, if the host knows it from the start.
    pub(super) fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Bytes | Self::Direct { .. } => None,
            Self::Signalled { peer } => Some(*peer),
            #[cfg(feature = "muxed")]
            Self::Muxed { peer } => Some(*peer),
        }
    }
}
