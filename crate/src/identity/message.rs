//! The protobuf that wraps every key: `{ Type = 1, Data = 2 }`, in one encoding only.
//!
//! Source: "Peer Ids and Keys", section "Keys".

use thiserror::Error;

use crate::wire::varint;

/// The algorithm of a key. Its number is that of the protobuf enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeyType {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rsa = 0,
    /// Ed25519 (RFC 8032).
    Ed25519 = 1,
    /// ECDSA on secp256k1 with SHA-256.
    Secp256k1 = 2,
    /// ECDSA on NIST P-256 with SHA-256.
    Ecdsa = 3,
}

impl KeyType {
    /// The name in the specification's enumeration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::Ed25519 => "Ed25519",
            Self::Secp256k1 => "Secp256k1",
            Self::Ecdsa => "ECDSA",
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Rsa),
            1 => Some(Self::Ed25519),
            2 => Some(Self::Secp256k1),
            3 => Some(Self::Ecdsa),
            _ => None,
        }
    }
}

impl core::fmt::Display for KeyType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not the one encoding that the specification allows: the type, then the
    /// data, each in its shortest form, and nothing else.
    #[error("the key is not in the deterministic protobuf encoding of libp2p keys")]
    Malformed,
    /// More data than any supported key needs.
    #[error("the key is longer than {} bytes", super::PublicKey::MAX_LEN)]
    TooLong,
    /// A number that stands for no type of key.
    #[error("no type of key has the number {0}")]
    UnknownKeyType(u64),
    /// The data is not what a key of this type consists of.
    #[error("the data is no {0} key")]
    BadKey(KeyType),
    /// The private key carries a public key that is not its own.
    #[error("the {0} private key and the public key beside it do not belong together")]
    Mismatch(KeyType),
    /// Private keys of this type are not supported in this build.
    #[error("{0} private keys are not supported here")]
    Unsupported(KeyType),
}

const TAG_TYPE: u8 = 0x08;
const TAG_DATA: u8 = 0x12;

/// Splits a key's protobuf into its type and data.
pub(super) fn decode(bytes: &[u8]) -> Result<(KeyType, &[u8]), DecodeError> {
    let rest = bytes.strip_prefix(&[TAG_TYPE]).ok_or(DecodeError::Malformed)?;
    let (number, rest) = read_varint(rest)?;
    let kind = u8::try_from(number).ok().and_then(KeyType::from_number);
    let kind = kind.ok_or(DecodeError::UnknownKeyType(number))?;
    let rest = rest.strip_prefix(&[TAG_DATA]).ok_or(DecodeError::Malformed)?;
    let (length, data) = read_varint(rest)?;
    if length != data.len() as u64 {
        return Err(DecodeError::Malformed);
    }
    Ok((kind, data))
}

fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8]), DecodeError> {
    match varint::decode(bytes) {
        Ok(Some((value, length))) => Ok((value, bytes.get(length..).unwrap_or_default())),
        Ok(None) | Err(_) => Err(DecodeError::Malformed),
    }
}

/// Appends the protobuf of a key.
pub(super) fn encode(kind: KeyType, data: &[u8], out: &mut Vec<u8>) {
    out.reserve_exact(3 + varint::len(data.len() as u64) + data.len());
    out.extend([TAG_TYPE, kind as u8, TAG_DATA]);
    varint::encode(data.len() as u64, out);
    out.extend(data);
}
