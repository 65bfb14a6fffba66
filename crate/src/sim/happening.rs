//! What happens in a simulated network, one at a time.

use core::net::SocketAddrV4;

use sha2::{Digest, Sha256};

use crate::node::ConnectionId;
use crate::time::Instant;

use super::tcp::Name;
use super::{End, PeerIndex};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    Timer(PeerIndex),
    /// A dial reaches the other side.
    Knock {
        from: End,
        to: PeerIndex,
        /// Through a relay, as it looks to both ends.
        relayed: bool,
    },
    DialFailed(End, &'static str),
    /// A socket of this peer that connects sends its SYN, again.
    SynDue(Name),
    /// The SYN of a socket, from where it seems to come, reaches its target.
    Syn(Name, SocketAddrV4),
    /// It is answered with a reset.
    Reset(Name),
    /// The other side's yes comes back.
    Open(End),
    Deliver {
        to: End,
        bytes: Vec<u8>,
    },
    Ended(End),
    /// The sender's transport has room again.
    Room(End),
    /// Two WebRTC stacks find each other.
    #[cfg(feature = "webrtc")]
    Meet(End, End),
    /// A WebRTC stack finds no way, on the try with this number.
    #[cfg(feature = "webrtc")]
    RtcFailed(End, u64),
}

impl Happening {
    /// To whom it happens.
    pub(super) fn whose(&self) -> PeerIndex {
        match self {
            Self::Timer(index)
            | Self::SynDue((index, ..))
            | Self::Syn((index, ..), _)
            | Self::Reset((index, ..)) => *index,
            Self::Knock { to, .. } => *to,
            Self::Deliver { to: (index, _), .. }
            | Self::DialFailed((index, _), _)
            | Self::Open((index, _))
            | Self::Ended((index, _))
            | Self::Room((index, _)) => *index,
            #[cfg(feature = "webrtc")]
            Self::Meet((index, _), _) | Self::RtcFailed((index, _), _) => *index,
        }
    }

    /// Adds it to the fingerprint of a run.
    pub(super) fn record(&self, now: Instant, log: &mut Sha256) {
        let (kind, (index, id), bytes): (u8, End, &[u8]) = match self {
            Happening::Timer(index) => (0, (*index, ConnectionId(0)), &[]),
            Happening::SynDue((index, port, _)) => (7, (*index, ConnectionId((*port).into())), &[]),
            Happening::Syn((index, port, _), _) => (8, (*index, ConnectionId((*port).into())), &[]),
            Happening::Reset((index, port, _)) => (9, (*index, ConnectionId((*port).into())), &[]),
            Happening::Knock { from, .. } => (1, *from, &[]),
            Happening::DialFailed(end, _) => (2, *end, &[]),
            Happening::Open(end) => (3, *end, &[]),
            Happening::Deliver { to, bytes } => (4, *to, bytes),
            Happening::Ended(end) => (5, *end, &[]),
            Happening::Room(end) => (6, *end, &[]),
            #[cfg(feature = "webrtc")]
            Happening::Meet(end, _) => (10, *end, &[]),
            #[cfg(feature = "webrtc")]
            Happening::RtcFailed(end, _) => (11, *end, &[]),
        };
        log.update([kind]);
        log.update(now.as_micros().to_le_bytes());
        log.update((index.0 as u64).to_le_bytes());
        log.update(id.0.to_le_bytes());
        log.update(bytes);
    }
}
