//! Ed25519 (RFC 8032).

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::message::{DecodeError, KeyType};
use super::public_key::VerifyError;

/// Strict verification: keys and commitments of small order, with which anybody
/// could sign anything, are refused. No honest signer makes any.
pub(super) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let bad_key = VerifyError::BadKey(KeyType::Ed25519);
    let key = VerifyingKey::try_from(key).map_err(|_| bad_key)?;
    let signature = Signature::from_slice(signature).map_err(|_| VerifyError::Invalid)?;
    key.verify_strict(message, &signature).map_err(|_| VerifyError::Invalid)
}

pub(super) fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    key.sign(message).to_vec()
}

/// Reads `seed ‖ public` or, from old versions, `seed ‖ public ‖ public`.
pub(super) fn decode_private(data: &[u8]) -> Result<SigningKey, DecodeError> {
    let Some((seed, publics)) = data.split_first_chunk::<32>() else {
        return Err(DecodeError::BadKey(KeyType::Ed25519));
    };
    if !matches!(publics.len(), 32 | 64) {
        return Err(DecodeError::BadKey(KeyType::Ed25519));
    }
    let key = SigningKey::from_bytes(seed);
    let public = key.verifying_key();
    if publics.chunks(32).any(|given| given != public.as_bytes()) {
        return Err(DecodeError::Mismatch(KeyType::Ed25519));
    }
    Ok(key)
}
