//! What can go wrong between a transport and a secure channel.

use thiserror::Error;

use crate::identity::{DecodeError, PeerId, SignError, VerifyError};

/// Why a handshake or a secure channel failed. All are final: close the connection.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The remote announced a handshake message longer than the limit of its protocol.
    #[error("a handshake message of {length} bytes is over the limit of {limit}")]
    HandshakeTooLong {
        /// What the remote announced, in bytes.
        length: u64,
        /// What is allowed, in bytes.
        limit: usize,
    },
    /// A handshake message is too short, or has a payload where none may be.
    #[error("a handshake message is malformed")]
    Malformed,
    /// A message was altered on its way, or is not under the agreed key.
    #[error("a message does not decrypt")]
    Decrypt,
    /// The remote sent a public key that makes the shared secret a constant.
    #[error("the remote's key would make the shared secret predictable")]
    WeakKey,
    /// A handshake payload is no such protobuf, or misses a field.
    #[error("the payload of the handshake is invalid")]
    Payload,
    /// A handshake payload has more in its extensions than the limit allows.
    #[error("the extensions of the handshake are too long")]
    ExtensionsTooLong,
    /// The remote's identity key cannot be read.
    #[error("the remote's identity key is invalid: {0}")]
    IdentityKey(#[source] DecodeError),
    /// The remote has not proved that it holds its identity key.
    #[error("the remote's signature does not hold: {0}")]
    Signature(#[source] VerifyError),
    /// The host's verification of the remote's signature failed.
    #[error("the remote's signature does not hold")]
    SignatureRefused,
    /// Another peer answered than the one that was dialed.
    #[error("expected peer {expected}, found {actual}")]
    WrongPeer {
        /// Whom we meant to reach.
        expected: PeerId,
        /// Who answered.
        actual: PeerId,
    },
    /// The peer id that the remote claims does not belong to its key.
    #[error("the remote's peer id does not belong to its key")]
    ForeignPeerId,
    /// Our own identity key could not sign.
    #[error("the identity key cannot sign: {0}")]
    Sign(#[source] SignError),
    /// A frame is shorter than its own overhead.
    #[error("a frame is too short")]
    FrameTooShort,
    /// More plaintext than a frame can carry.
    #[error("a frame would be too long")]
    FrameTooLong,
    /// All nonces of the key are used.
    #[error("the key has no nonce left")]
    Exhausted,
    /// The handshake was driven on after it had ended.
    #[error("the handshake is over")]
    Over,
}

impl From<snow::Error> for Error {
    fn from(error: snow::Error) -> Self {
        match error {
            snow::Error::Decrypt => Self::Decrypt,
            snow::Error::Dh => Self::WeakKey,
            snow::Error::Input => Self::Malformed,
            _ => Self::Over,
        }
    }
}
