//! RSASSA-PKCS1-v1_5 with SHA-256: verification only.

use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest, Sha256};

use super::der;
use super::message::KeyType;
use super::public_key::VerifyError;

/// The shortest modulus in bits: what go-libp2p and rust-libp2p demand too.
pub const RSA_MIN_BITS: usize = 2048;
/// The longest modulus in bits: the cost of a verification grows with its square,
/// and a remote chooses it.
pub const RSA_MAX_BITS: usize = 8192;

/// The size is checked before any arithmetic.
pub(super) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let bad_key = VerifyError::BadKey(KeyType::Rsa);
    let (modulus, exponent) = der::rsa_public_key(key).ok_or(bad_key)?;
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = modulus.len() * 8 - unused;
    if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) {
        return Err(VerifyError::RsaSize { bits });
    }
    if signature.len() != modulus.len() {
        return Err(VerifyError::Invalid);
    }
    let (modulus, exponent) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
    let key =
        RsaPublicKey::new_with_max_size(modulus, exponent, RSA_MAX_BITS).map_err(|_| bad_key)?;
    key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature)
        .map_err(|_| VerifyError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `SubjectPublicKeyInfo` of a modulus of `bits` bits, all of them ones.
    fn key(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= modulus.len() * 8 - bits;
        if modulus[0] >= 0x80 {
            modulus.insert(0, 0);
        }
        let numbers = [element(0x02, &modulus), element(0x02, &[1, 0, 1])].concat();
        let algorithm = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
        let key = [&[0][..], &element(0x30, &numbers)].concat();
        element(0x30, &[&algorithm[..], &element(0x03, &key)].concat())
    }

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = match content.len() {
            short @ ..0x80 => vec![short as u8],
            middle @ ..0x100 => vec![0x81, middle as u8],
            long => vec![0x82, (long >> 8) as u8, long as u8],
        };
        [&[tag][..], &length, content].concat()
    }

    #[test]
    fn size_limits_are_reached() {
        for (bits, fits) in [
            (512, false),
            (RSA_MIN_BITS - 1, false),
            (RSA_MIN_BITS, true),
            (3072, true),
            (RSA_MAX_BITS, true),
            (RSA_MAX_BITS + 1, false),
            (16_000, false),
        ] {
            let signature = vec![0; bits / 8];
            let expected = if fits { VerifyError::Invalid } else { VerifyError::RsaSize { bits } };
            assert_eq!(verify(&key(bits), b"", &signature), Err(expected), "{bits}");
        }
    }

    #[test]
    fn only_der_of_a_key_is_a_key() {
        let good = key(2048);
        let bad_key = Err(VerifyError::BadKey(KeyType::Rsa));
        let insert = |at: usize, byte: u8| [&good[..at], &[byte], &good[at..]].concat();
        for bent in [
            vec![],
            good[1..].to_vec(),
            good[..good.len() - 1].to_vec(),
            insert(good.len(), 0),
            // A length of three bytes where two do.
            [&[0x30, 0x83, 0], &good[2..]].concat(),
        ] {
            assert_eq!(verify(&bent, b"", &[0; 256]), bad_key);
        }
        for at in [0, 4, 6, 8, 19, 20, 23, 24, 28] {
            let mut bent = good.clone();
            bent[at] ^= 0x40;
            assert_eq!(verify(&bent, b"", &[0; 256]), bad_key, "byte {at}");
        }
        // A leading zero that the modulus does not need.
        let mut bent = good.clone();
        bent[33] = 0x7f;
        assert_eq!(verify(&bent, b"", &[0; 256]), bad_key);
        // An exponent of zero.
        let mut bent = good.clone();
        let end = bent.len();
        bent[end - 3..].fill(0);
        assert_eq!(verify(&bent, b"", &[0; 256]), bad_key);
    }
}
