//! Connections over the data channels of WebRTC.
//!
//! A host owns the peer connection and its channels. Between it and a
//! [`Connection`](crate::connection::Connection) goes a pipe of [`record`]s: *open
//! this channel*, *send this message*, *this message came*. So everything that
//! drives a connection over bytes drives one over data channels too, given its
//! [`Carrier`](crate::connection::Carrier).
//!
//! Streams are those of our muxer: `Channels` says on data channels what the
//! muxer says in frames, and the other way round, so that fairness, windows and
//! limits are the same as everywhere.
//!
//! # Flow control
//! Data channels have none towards the receiver: a page gets every message at once.
//! A Polypeer therefore tells its windows in a field of the message that others
//! ignore, and keeps to those it is told. Any other remote may send what it
//! likes; what the reader has not made room for waits here. From [`HOLD_WAITING`] on
//! the host is asked to hold the stream back, which one that has SCTP itself can: then
//! the remote waits, and nothing is lost. It waits with all its streams, since SCTP has
//! one window for them all; only a reset, or memory without end, could spare the others.
//! In a page up to [`MAX_WAITING`] a stream and [`MAX_WAITING_IN_ALL`] a connection wait,
//! and the stream that goes beyond is reset
//! ([`StreamError::Overrun`](crate::connection::StreamError::Overrun)).
//!
//! Source: libp2p specs, `webrtc/README.md` (framing, ends of streams),
//! `webrtc/webrtc-direct.md` (handshake).

mod channels;
mod handshake;
mod message;
pub mod record;
#[cfg(test)]
mod tests;

pub use channels::{
    HOLD_WAITING, HOLD_WAITING_IN_ALL, MAX_CHANNELS, MAX_LINGERING, MAX_WAITING, MAX_WAITING_IN_ALL,
};
pub use message::MAX_MESSAGE;

pub(crate) use channels::{Channels, MAX_FRAME, MIN_ROUND_TRIP};
pub(crate) use handshake::Handshake;

/// What the prologue of WebRTC direct's Noise handshake begins with.
const PROLOGUE: &[u8] = b"libp2p-webrtc-noise:";

/// The prologue of the Noise handshake of a WebRTC direct connection, which ties it
/// to the certificates of DTLS: both are multihashes of a certificate, as in a
/// `/certhash` address.
///
/// Source: libp2p specs, `webrtc/webrtc-direct.md`, "Connection Security".
pub fn prologue(client: &[u8], server: &[u8]) -> Vec<u8> {
    [PROLOGUE, client, server].concat()
}
