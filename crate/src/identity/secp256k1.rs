//! ECDSA on secp256k1 with SHA-256, as Bitcoin writes keys and signatures.

use k256::ecdsa::signature::{Signer, Verifier};
use k256::ecdsa::{Signature, SigningKey, VerifyingKey};

use super::keypair::SignError;
use super::message::{DecodeError, KeyType};
use super::public_key::VerifyError;

/// Signatures are DER with a low `s`, which is what BIP 62 calls canonical: the
/// other `s` of the same signature is refused.
pub(super) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let bad_key = VerifyError::BadKey(KeyType::Secp256k1);
    let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| bad_key)?;
    let signature = Signature::from_der(signature).map_err(|_| VerifyError::Invalid)?;
    key.verify(message, &signature).map_err(|_| VerifyError::Invalid)
}

pub(super) fn sign(key: &SigningKey, message: &[u8]) -> Result<Vec<u8>, SignError> {
    let signature: Signature = key.try_sign(message).map_err(|_| SignError)?;
    Ok(signature.to_der().as_bytes().to_vec())
}

/// Reads a scalar of 32 bytes.
pub(super) fn decode_private(data: &[u8]) -> Result<SigningKey, DecodeError> {
    SigningKey::from_slice(data).map_err(|_| DecodeError::BadKey(KeyType::Secp256k1))
}

/// The compressed point, 33 bytes.
pub(super) fn public(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_encoded_point(true).as_bytes().to_vec()
}
