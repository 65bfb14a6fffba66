//! ECDSA on NIST P-256 with SHA-256; keys and signatures in DER.
//!
//! For one curve the DER around a key is constant, so it is compared, not parsed.

use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::keypair::SignError;
use super::message::{DecodeError, KeyType};
use super::public_key::VerifyError;

/// `SubjectPublicKeyInfo { ecPublicKey, prime256v1 }` (RFC 5480) up to the
/// uncompressed point.
const SPKI: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// `ECPrivateKey` (RFC 5915) with curve and public key, up to the scalar…
const SEC1: &[u8] = b"\x30\x77\x02\x01\x01\x04\x20";
/// … and from there to the uncompressed point.
const SEC1_POINT: &[u8] = b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\xa1\x44\x03\x42\x00";
/// `PrivateKeyInfo` (RFC 5208) around an `ECPrivateKey` without curve, up to the
/// scalar…
const PKCS8: &[u8] = b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d\x30\x6b\x02\x01\x01\x04\x20";
/// … and from there to the uncompressed point.
const PKCS8_POINT: &[u8] = b"\xa1\x44\x03\x42\x00";

pub(super) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let bad_key = VerifyError::BadKey(KeyType::Ecdsa);
    let point = key.strip_prefix(SPKI).ok_or(bad_key)?;
    let key = VerifyingKey::from_sec1_bytes(point).map_err(|_| bad_key)?;
    let signature = Signature::from_der(signature).map_err(|_| VerifyError::Invalid)?;
    key.verify(message, &signature).map_err(|_| VerifyError::Invalid)
}

pub(super) fn sign(key: &SigningKey, message: &[u8]) -> Result<Vec<u8>, SignError> {
    let signature: Signature = key.try_sign(message).map_err(|_| SignError)?;
    Ok(signature.to_der().as_bytes().to_vec())
}

/// Reads an `ECPrivateKey`, as the specification's vectors have it, or a PKCS #8
/// `PrivateKeyInfo`; both with the public key, which must be the scalar's own.
pub(super) fn decode_private(data: &[u8]) -> Result<SigningKey, DecodeError> {
    let (scalar, point) = split(data, SEC1, SEC1_POINT)
        .or_else(|| split(data, PKCS8, PKCS8_POINT))
        .ok_or(DecodeError::BadKey(KeyType::Ecdsa))?;
    let key = SigningKey::from_slice(scalar).map_err(|_| DecodeError::BadKey(KeyType::Ecdsa))?;
    if key.verifying_key().to_encoded_point(false).as_bytes() != point {
        return Err(DecodeError::Mismatch(KeyType::Ecdsa));
    }
    Ok(key)
}

fn split<'a>(data: &'a [u8], head: &[u8], middle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (scalar, rest) = data.strip_prefix(head)?.split_at_checked(32)?;
    Some((scalar, rest.strip_prefix(middle)?))
}

/// The `ECPrivateKey`.
pub(super) fn encode_private(key: &SigningKey) -> Zeroizing<Vec<u8>> {
    let scalar = Zeroizing::new(key.to_bytes());
    let point = key.verifying_key().to_encoded_point(false);
    Zeroizing::new([SEC1, &scalar[..], SEC1_POINT, point.as_bytes()].concat())
}

/// The `SubjectPublicKeyInfo`.
pub(super) fn public(key: &SigningKey) -> Vec<u8> {
    [SPKI, key.verifying_key().to_encoded_point(false).as_bytes()].concat()
}
