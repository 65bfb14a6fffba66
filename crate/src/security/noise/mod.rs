//! The secure channel `/noise`: Noise_XX_25519_ChaChaPoly_SHA256 with the identity
//! keys of both peers in its payloads.
//!
//! [`Handshake`] takes bytes as they come and hands out a [`Sealer`] and an
//! [`Opener`], one for each direction. Source: libp2p specifications "noise" (r5)
//! and "connections/inlined-muxer-negotiation" (r1).

mod handshake;
mod payload;
mod resolver;
#[cfg(test)]
mod tests;
mod transport;

pub use handshake::{Config, Handshake, MAX_HANDSHAKE_MESSAGE, Secured, Step, VerifyRequest};
pub use payload::{MAX_CERTHASHES, MAX_EXTENSIONS, MAX_MUXERS};
pub use transport::{LENGTH, MAX_PLAINTEXT, Opener, Sealer, frame_length, split_frame};

/// The name under which the channel is negotiated.
pub const NAME: &str = "/noise";
