//! Public keys, of every type that the specification names.

use std::sync::Arc;

use thiserror::Error;

use crate::security::Ciphers;

use super::message::{self, DecodeError, KeyType};
use super::{PeerId, ed25519};

/// A public key.
///
/// It can be read, compared and turned into a [`PeerId`] even if its algorithm
/// is not compiled in; only [`PublicKey::verify`] needs the algorithm.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    kind: KeyType,
    raw: Arc<[u8]>,
}

/// Why a signature was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The signature is not of this key over this message.
    #[error("the signature is not valid")]
    Invalid,
    /// The algorithm is left to the host, which can check the signature itself.
    #[error("{0} signatures are left to the host to verify")]
    NotCompiled(KeyType),
    /// The key is no key of its type: not on its curve, or not in its encoding.
    #[error("the key is no {0} key that signatures can be checked with")]
    BadKey(KeyType),
    /// An RSA key shorter or longer than what is safe and cheap to verify with.
    #[error("an RSA key of {bits} bits is outside of 2048 to 8192 bits")]
    RsaSize {
        /// The length of the modulus, in bits.
        bits: usize,
    },
}

impl PublicKey {
    /// The longest raw key in bytes: an RSA key of 8192 bits has some 1,070.
    pub const MAX_LEN: usize = 2048;

    /// Reads the protobuf.
    ///
    /// The encoding must be the deterministic one, and the data of an Ed25519 or
    /// secp256k1 key of the right length; whether it is a point of the curve is
    /// seen by [`PublicKey::verify`].
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (kind, raw) = message::decode(bytes)?;
        Self::from_raw(kind, raw)
    }

    /// A key from its type and data, as in the protobuf.
    pub fn from_raw(kind: KeyType, raw: &[u8]) -> Result<Self, DecodeError> {
        if raw.len() > Self::MAX_LEN {
            return Err(DecodeError::TooLong);
        }
        let plausible = match kind {
            KeyType::Ed25519 => raw.len() == 32,
            KeyType::Secp256k1 => matches!(raw, [2 | 3, x @ ..] if x.len() == 32),
            KeyType::Rsa | KeyType::Ecdsa => !raw.is_empty(),
        };
        if !plausible {
            return Err(DecodeError::BadKey(kind));
        }
        Ok(Self { kind, raw: raw.into() })
    }

    /// The public half of a key pair, known to be sound.
    pub(super) fn own(kind: KeyType, raw: &[u8]) -> Self {
        Self { kind, raw: raw.into() }
    }

    /// The protobuf, in its one encoding.
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut out = Vec::new();
        message::encode(self.kind, &self.raw, &mut out);
        out
    }

    /// The algorithm.
    pub fn key_type(&self) -> KeyType {
        self.kind
    }

    /// The data of the protobuf: 32 bytes for Ed25519, a compressed point for
    /// secp256k1, a DER `SubjectPublicKeyInfo` for RSA and ECDSA.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Checks that `signature` is of this key over `message`.
    ///
    /// [`VerifyError::NotCompiled`] says that nothing was checked and the host
    /// has to.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        match self.kind {
            KeyType::Ed25519 => ed25519::verify(&self.raw, message, signature),
            #[cfg(feature = "secp256k1")]
            KeyType::Secp256k1 => super::secp256k1::verify(&self.raw, message, signature),
            #[cfg(feature = "ecdsa")]
            KeyType::Ecdsa => super::ecdsa::verify(&self.raw, message, signature),
            #[cfg(feature = "rsa")]
            KeyType::Rsa => super::rsa::verify(&self.raw, message, signature),
            #[cfg(not(all(feature = "secp256k1", feature = "ecdsa", feature = "rsa")))]
            kind => Err(VerifyError::NotCompiled(kind)),
        }
    }

    /// As [`PublicKey::verify`], by what the host has for Ed25519, if it has something.
    pub(crate) fn verify_by(
        &self,
        ciphers: &dyn Ciphers,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        #[cfg(feature = "tables")]
        if self.kind == KeyType::Ed25519
            && let (Ok(key), Ok(signature)) =
                (<&[u8; 32]>::try_from(self.raw()), signature.try_into())
            && ed25519::is_strict(key, signature)
            && let Some(fits) = ciphers.verify_ed25519(key, message, signature)
        {
            return if fits { Ok(()) } else { Err(VerifyError::Invalid) };
        }
        #[cfg(not(feature = "tables"))]
        let _ = ciphers;
        self.verify(message, signature)
    }

    /// The peer id.
    pub fn peer_id(&self) -> PeerId {
        PeerId::from_public_key(self)
    }
}

impl core::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.kind.name())?;
        f.write_str(" key of ")?;
        core::fmt::Display::fmt(&self.peer_id(), f)
    }
}
