//! Key pairs: what a peer signs with.

use thiserror::Error;
use zeroize::Zeroizing;

use super::message::{self, DecodeError, KeyType};
use super::{PeerId, PublicKey, ed25519};
use crate::Rng;

/// A private key and its public key. The private key is wiped when dropped.
#[derive(Clone)]
pub struct Keypair {
    secret: Secret,
    public: PublicKey,
}

#[derive(Clone)]
enum Secret {
    Ed25519(ed25519_dalek::SigningKey),
    #[cfg(feature = "secp256k1")]
    Secp256k1(k256::ecdsa::SigningKey),
    #[cfg(feature = "ecdsa")]
    Ecdsa(p256::ecdsa::SigningKey),
}

/// The key could not make a signature; with a sound key this does not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the key could not sign")]
pub struct SignError;

impl Keypair {
    /// A new Ed25519 key, the type that every implementation supports.
    pub fn generate_ed25519(rng: &mut Rng) -> Self {
        Self::ed25519_from_seed(*Zeroizing::new(rng.array()))
    }

    /// The Ed25519 key of a secret of 32 bytes (RFC 8032, "private key").
    pub fn ed25519_from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self::from_ed25519(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// A new secp256k1 key.
    #[cfg(feature = "secp256k1")]
    pub fn generate_secp256k1(rng: &mut Rng) -> Self {
        Self::from_secp256k1(generate(rng, |bytes| k256::ecdsa::SigningKey::from_slice(bytes).ok()))
    }

    /// A new ECDSA key on P-256.
    #[cfg(feature = "ecdsa")]
    pub fn generate_ecdsa(rng: &mut Rng) -> Self {
        Self::from_ecdsa(generate(rng, |bytes| p256::ecdsa::SigningKey::from_slice(bytes).ok()))
    }

    /// Reads the private key's protobuf, as go-libp2p, rust-libp2p and js-libp2p
    /// store it.
    ///
    /// Ed25519 keys may have the old form of 96 bytes. RSA keys cannot be used to
    /// sign and are [`DecodeError::Unsupported`].
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (kind, data) = message::decode(bytes)?;
        match kind {
            KeyType::Ed25519 => ed25519::decode_private(data).map(Self::from_ed25519),
            #[cfg(feature = "secp256k1")]
            KeyType::Secp256k1 => super::secp256k1::decode_private(data).map(Self::from_secp256k1),
            #[cfg(feature = "ecdsa")]
            KeyType::Ecdsa => super::ecdsa::decode_private(data).map(Self::from_ecdsa),
            kind => Err(DecodeError::Unsupported(kind)),
        }
    }

    /// The private key's protobuf, in its one encoding. Wiped when dropped.
    pub fn to_protobuf(&self) -> Zeroizing<Vec<u8>> {
        let data = match &self.secret {
            Secret::Ed25519(key) => Zeroizing::new(Zeroizing::new(key.to_keypair_bytes()).to_vec()),
            #[cfg(feature = "secp256k1")]
            Secret::Secp256k1(key) => Zeroizing::new(Zeroizing::new(key.to_bytes()).to_vec()),
            #[cfg(feature = "ecdsa")]
            Secret::Ecdsa(key) => super::ecdsa::encode_private(key),
        };
        let mut out = Zeroizing::new(Vec::new());
        message::encode(self.key_type(), &data, &mut out);
        out
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// The algorithm.
    pub fn key_type(&self) -> KeyType {
        self.public.key_type()
    }

    /// The peer id of the public key.
    pub fn peer_id(&self) -> PeerId {
        self.public.peer_id()
    }

    /// Signs `message`. The signature is the same each time: none of the
    /// algorithms draws randomness (RFC 8032, RFC 6979).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.secret {
            Secret::Ed25519(key) => Ok(ed25519::sign(key, message)),
            #[cfg(feature = "secp256k1")]
            Secret::Secp256k1(key) => super::secp256k1::sign(key, message),
            #[cfg(feature = "ecdsa")]
            Secret::Ecdsa(key) => super::ecdsa::sign(key, message),
        }
    }

    fn from_ed25519(key: ed25519_dalek::SigningKey) -> Self {
        let public = PublicKey::own(KeyType::Ed25519, key.verifying_key().as_bytes());
        Self { secret: Secret::Ed25519(key), public }
    }

    #[cfg(feature = "secp256k1")]
    fn from_secp256k1(key: k256::ecdsa::SigningKey) -> Self {
        let public = PublicKey::own(KeyType::Secp256k1, &super::secp256k1::public(&key));
        Self { secret: Secret::Secp256k1(key), public }
    }

    #[cfg(feature = "ecdsa")]
    fn from_ecdsa(key: p256::ecdsa::SigningKey) -> Self {
        let public = PublicKey::own(KeyType::Ecdsa, &super::ecdsa::public(&key));
        Self { secret: Secret::Ecdsa(key), public }
    }
}

/// Draws until the bytes are a scalar, which all but one draw in 2³² are.
#[cfg(any(feature = "secp256k1", feature = "ecdsa"))]
fn generate<K>(rng: &mut Rng, key: impl Fn(&[u8]) -> Option<K>) -> K {
    loop {
        let scalar = Zeroizing::new(rng.array::<32>());
        if let Some(key) = key(&*scalar) {
            return key;
        }
    }
}

impl core::fmt::Debug for Keypair {
    /// Shows the public key only.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("private ")?;
        core::fmt::Debug::fmt(&self.public, f)
    }
}
