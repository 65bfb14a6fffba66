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
