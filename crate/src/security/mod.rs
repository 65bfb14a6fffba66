//! Security: proving who is at the other end, and hiding what is said.
//!
//! [`noise`] is the secure channel of every connection that has none of its own;
//! [`plaintext`] stands in for it in tests; [`pnet`] wraps a whole connection for
//! those who share a key. [`Ciphers`] lets a host bring a faster cipher.

mod cipher;
mod error;
pub mod noise;
#[cfg(feature = "plaintext")]
pub mod plaintext;
#[cfg(feature = "pnet")]
pub mod pnet;
#[cfg(not(feature = "pnet"))]
#[path = "no_pnet.rs"]
pub mod pnet;
#[cfg(any(test, target_arch = "wasm32"))]
mod vector;

pub use cipher::{Aead, Ciphers, RustCrypto, TAG};
pub use error::Error;

/// Which side of a handshake we are.
///
/// It is the dialer that initiates, but for WebRTC Direct, where the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends the first message.
    Initiator,
    /// Answers it.
    Responder,
}
