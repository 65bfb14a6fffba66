//! As much of DER as an RSA public key needs.
//!
//! Source: ITU-T X.690; RFC 3279 section 2.3.1 for the key.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// `AlgorithmIdentifier { rsaEncryption, NULL }`, without its outer header.
const RSA_ENCRYPTION: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// Modulus and exponent of a `SubjectPublicKeyInfo`, the most significant byte
/// first and without leading zeros. `None` for anything but the DER of one.
pub(super) fn rsa_public_key(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let info = only(element(bytes, SEQUENCE)?)?;
    let (algorithm, rest) = element(info, SEQUENCE)?;
    if algorithm != RSA_ENCRYPTION {
        return None;
    }
    // The bit string's first byte counts the unused bits of its last one.
    let key = only(element(rest, BIT_STRING)?)?.strip_prefix(&[0])?;
    let key = only(element(key, SEQUENCE)?)?;
    let (modulus, rest) = element(key, INTEGER)?;
    let exponent = only(element(rest, INTEGER)?)?;
    Some((positive(modulus)?, positive(exponent)?))
}

/// The content of an element of the kind `tag` at the front, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => {
            let (length, rest) = rest.split_first_chunk::<1>()?;
            (usize::from(*length.first().filter(|length| **length >= 0x80)?), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let length = u16::from_be_bytes(*length);
            (usize::from(length), (length >= 0x100).then_some(rest)?)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The content of an element after which nothing follows.
fn only<'a>((content, rest): (&'a [u8], &'a [u8])) -> Option<&'a [u8]> {
    rest.is_empty().then_some(content)
}

/// The magnitude of an integer that is above zero and in its shortest form.
fn positive(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        [0, first, ..] if *first >= 0x80 => integer.get(1..),
        [1..=0x7f, ..] => Some(integer),
        _ => None,
    }
}
