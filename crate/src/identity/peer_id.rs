//! Peer ids: the multihash of a public key.

use core::fmt;
use core::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::PublicKey;
use crate::Rng;
use crate::wire::{base, varint};

/// The name of a peer, derived from its public key.
///
/// It is a multihash: the key's protobuf itself if that has at most
/// [`PeerId::MAX_INLINE`] bytes, and its SHA-256 otherwise. Displayed in
/// base58btc (`12D3KooW…`, `Qm…`); read also from a CIDv1 (`bafz…`, `k51…`).
///
/// Source: "Peer Ids and Keys", section "Peer Ids".
#[derive(Clone, Copy)]
pub struct PeerId {
    length: u8,
    bytes: [u8; Self::MAX_LEN],
}

/// Why text or bytes are no peer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerIdError {
    /// Neither base58btc nor a known multibase.
    #[error("the peer id is not readable text: {0}")]
    Base(#[from] base::Error),
    /// A CID of another version than 1.
    #[error("a peer id as a CID must be of version 1")]
    CidVersion,
    /// A CID of something other than a libp2p key.
    #[error("the CID is not of a libp2p key (0x72) but of the kind {0:#x}")]
    NotLibp2pKey(u64),
    /// A multihash that is neither the identity nor SHA-256.
    #[error("peer ids use the identity hash or SHA-256, not the multihash {0:#x}")]
    UnknownHash(u64),
    /// The digest's length is wrong for its hash, or disagrees with what follows.
    #[error("the length of the peer id's digest is wrong")]
    Length,
    /// The bytes are no multihash.
    #[error("the peer id is no multihash")]
    Malformed,
}

const IDENTITY: u8 = 0x00;
const SHA2_256: u8 = 0x12;
/// `<version 1><codec libp2p-key>`, multiformats "multicodec".
const CID_PREFIX: [u8; 2] = [0x01, LIBP2P_KEY];
const LIBP2P_KEY: u8 = 0x72;

impl PeerId {
    /// The longest key protobuf in bytes that is its own peer id.
    pub const MAX_INLINE: usize = 42;
    /// The longest peer id in bytes.
    pub const MAX_LEN: usize = Self::MAX_INLINE + 2;
    /// The longest text in bytes that [`FromStr`] looks at: more than twice what
    /// the widest base needs, so that a long text costs no long decoding.
    pub const MAX_TEXT: usize = 128;

    /// The peer id of `key`.
    pub fn from_public_key(key: &PublicKey) -> Self {
        let encoded = key.to_protobuf();
        if encoded.len() <= Self::MAX_INLINE {
            Self::build(IDENTITY, &encoded)
        } else {
            Self::build(SHA2_256, &Sha256::digest(&encoded))
        }
    }

    /// An id that belongs to no known key: a random place in the key space.
    pub fn random(rng: &mut Rng) -> Self {
        Self::build(SHA2_256, &rng.array::<32>())
    }

    /// Reads the multihash.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PeerIdError> {
        let (hash, rest) = read_varint(bytes)?;
        let (length, digest) = read_varint(rest)?;
        let allowed = match u8::try_from(hash) {
            Ok(IDENTITY) => 1..=Self::MAX_INLINE,
            Ok(SHA2_256) => 32..=32,
            _ => return Err(PeerIdError::UnknownHash(hash)),
        };
        if length != digest.len() as u64 || !allowed.contains(&digest.len()) {
            return Err(PeerIdError::Length);
        }
        Ok(Self::build(hash as u8, digest))
    }

    /// The multihash.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The id as CIDv1 of a libp2p key, in base32 (`bafz…`).
    pub fn to_cid(&self) -> String {
        let mut cid = CID_PREFIX.to_vec();
        cid.extend(self.as_bytes());
        base::encode_base32(&cid)
    }

    /// The key itself, when it is short enough to be inside of the id.
    ///
    /// ```
    /// use polypeer::{Keypair, Rng};
    /// let public = Keypair::generate_ed25519(&mut Rng::from_number(1)).public();
    /// assert_eq!(public.peer_id().public_key(), Some(public));
    /// ```
    pub fn public_key(&self) -> Option<PublicKey> {
        match self.as_bytes() {
            [IDENTITY, _, key @ ..] => PublicKey::from_protobuf(key).ok(),
            _ => None,
        }
    }

    /// `digest` must fit: its callers have checked it or made it.
    fn build(hash: u8, digest: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX_LEN];
        let used = [hash, digest.len() as u8].into_iter().chain(digest.iter().copied());
        for (byte, value) in bytes.iter_mut().zip(used) {
            *byte = value;
        }
        Self { length: digest.len() as u8 + 2, bytes }
    }
}

fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8]), PeerIdError> {
    match varint::decode(bytes) {
        Ok(Some((value, length))) => Ok((value, bytes.get(length..).unwrap_or_default())),
        Ok(None) | Err(_) => Err(PeerIdError::Malformed),
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        if text.len() > Self::MAX_TEXT {
            return Err(base::Error::TooLong.into());
        }
        if text.starts_with('1') || text.starts_with("Qm") {
            return Self::from_bytes(&base::decode_base58(text)?);
        }
        let cid = base::decode(text)?;
        let (version, rest) = read_varint(&cid)?;
        if version != 1 {
            return Err(PeerIdError::CidVersion);
        }
        let (codec, multihash) = read_varint(rest)?;
        if codec != u64::from(LIBP2P_KEY) {
            return Err(PeerIdError::NotLibp2pKey(codec));
        }
        Self::from_bytes(multihash)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base::encode_base58(self.as_bytes()))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for PeerId {
    fn eq(&self, other: &Self) -> bool {
        (self.length, self.bytes) == (other.length, other.bytes)
    }
}

impl Eq for PeerId {}

impl PartialOrd for PeerId {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PeerId {
    /// That of the bytes.
    #[cfg(target_arch = "wasm32")]
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }

    /// That of the bytes, of which those behind the end are zero; by words, since ids
    /// are the keys of many tables.
    #[cfg(not(target_arch = "wasm32"))]
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        let pairs = self.bytes.as_chunks::<8>().0.iter().zip(other.bytes.as_chunks::<8>().0);
        pairs
            .map(|(one, other)| u64::from_be_bytes(*one).cmp(&u64::from_be_bytes(*other)))
            .find(|order| order.is_ne())
            .unwrap_or(core::cmp::Ordering::Equal)
            .then_with(|| self.bytes.cmp(&other.bytes))
            .then(self.length.cmp(&other.length))
    }
}

impl core::hash::Hash for PeerId {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl From<&PublicKey> for PeerId {
    fn from(key: &PublicKey) -> Self {
        Self::from_public_key(key)
    }
}
