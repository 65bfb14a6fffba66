//! Ed25519 (RFC 8032).

#[cfg(feature = "tables")]
use ed25519_dalek::Verifier;
use ed25519_dalek::{Signature, SignatureError, Signer, SigningKey, VerifyingKey};

use super::message::{DecodeError, KeyType};
use super::public_key::VerifyError;

/// The points of small order, of which there are eight, by what they have in common with
/// their negatives: the encoded y, without the sign of x. The tests compute with them.
#[cfg(feature = "tables")]
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    encoded(0x01, 0x00, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    encoded(0xec, 0xff, 0x7f),
];

#[cfg(feature = "tables")]
const fn encoded(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut bytes = [between; 32];
    (bytes[0], bytes[31]) = (first, last);
    bytes
}

/// Strict verification: keys and commitments of small order, with which anybody
/// could sign anything, are refused. No honest signer makes any.
pub(super) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let bad_key = VerifyError::BadKey(KeyType::Ed25519);
    let key = VerifyingKey::try_from(key).map_err(|_| bad_key)?;
    let signature = Signature::from_slice(signature).map_err(|_| VerifyError::Invalid)?;
    verify_strict(&key, message, &signature).map_err(|_| VerifyError::Invalid)
}

#[cfg(not(feature = "tables"))]
fn verify_strict(
    key: &VerifyingKey,
    message: &[u8],
    signature: &Signature,
) -> Result<(), SignatureError> {
    key.verify_strict(message, signature)
}

/// The same without a square root of the commitment: that is compared by its bytes in the
/// end, and of small order are few.
#[cfg(feature = "tables")]
fn verify_strict(
    key: &VerifyingKey,
    message: &[u8],
    signature: &Signature,
) -> Result<(), SignatureError> {
    if key.is_weak() || is_small(signature.r_bytes()) {
        return Err(SignatureError::new());
    }
    key.verify(message, signature)
}

/// Whether a point is of small order, by its one encoding.
#[cfg(feature = "tables")]
fn is_small(point: &[u8; 32]) -> bool {
    let mut point = *point;
    point[31] &= 0x7f;
    SMALL_ORDER.contains(&point)
}

/// Whether neither the key nor the commitment of a signature is of small order, so that
/// lax rules and strict ones find the same of it.
#[cfg(feature = "tables")]
pub(super) fn is_strict(key: &[u8; 32], signature: &[u8; 64]) -> bool {
    // The two that have another encoding, which some read: p for zero, p + 1 for one.
    let others = [encoded(0xed, 0xff, 0x7f), encoded(0xee, 0xff, 0x7f)];
    let mut known = *key;
    known[31] &= 0x7f;
    let small = is_small(key) || others.contains(&known);
    !small && signature.first_chunk().is_some_and(|commitment| !is_small(commitment))
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

#[cfg(all(test, feature = "tables"))]
mod tests {
    use curve25519_dalek::Scalar;
    use sha2::{Digest, Sha512};

    use super::*;

    /// What the owner of a key can make with any commitment of small order: it is of small
    /// order, and the rest fits if the equation does not look at that part.
    fn crafted(seed: &[u8; 32], commitment: [u8; 32], message: &[u8]) -> Vec<u8> {
        let key = SigningKey::from_bytes(seed);
        let secret = key.to_scalar();
        let public = key.verifying_key();
        let hash = Sha512::new()
            .chain_update(commitment)
            .chain_update(public.as_bytes())
            .chain_update(message);
        let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        [commitment, (challenge * secret).to_bytes()].concat()
    }

    #[test]
    fn commitments_of_small_order_are_refused_as_the_strict_rules_have_it() {
        let seed = [7; 32];
        let public = SigningKey::from_bytes(&seed).verifying_key();
        for point in SMALL_ORDER {
            assert!(VerifyingKey::from_bytes(&point).unwrap().is_weak());
            for sign in [0, 0x80] {
                let mut commitment = point;
                commitment[31] |= sign;
                let bytes = crafted(&seed, commitment, b"news");
                let signature = Signature::from_slice(&bytes).unwrap();
                assert!(public.verify_strict(b"news", &signature).is_err());
                assert!(verify(public.as_bytes(), b"news", &bytes).is_err());
            }
        }
        // The neutral one alone fits in the equation: without the rule it would pass.
        let neutral = crafted(&seed, SMALL_ORDER[1], b"news");
        assert!(public.verify(b"news", &Signature::from_slice(&neutral).unwrap()).is_ok());
    }

    #[test]
    fn what_is_left_to_a_host_is_nothing_that_strict_rules_refuse() {
        let key = SigningKey::from_bytes(&[9; 32]);
        let good: [u8; 64] = sign(&key, b"news").try_into().unwrap();
        assert!(is_strict(key.verifying_key().as_bytes(), &good));
        let p = [encoded(0xed, 0xff, 0x7f), encoded(0xee, 0xff, 0x7f)];
        for point in SMALL_ORDER.into_iter().chain(p) {
            for sign in [0, 0x80] {
                let mut point = point;
                point[31] |= sign;
                assert!(!is_strict(&point, &good), "{point:x?}");
            }
        }
        for point in SMALL_ORDER {
            let mut bad = good;
            bad[..32].copy_from_slice(&point);
            assert!(!is_strict(key.verifying_key().as_bytes(), &bad));
        }
    }

    #[test]
    fn agrees_with_the_strict_rules() {
        let key = SigningKey::from_bytes(&[9; 32]);
        let public = key.verifying_key();
        let good = sign(&key, b"news");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let strict = Signature::from_slice(&bad)
                .is_ok_and(|signature| public.verify_strict(b"news", &signature).is_ok());
            assert_eq!(verify(public.as_bytes(), b"news", &bad).is_ok(), strict);
        }
        assert!(verify(public.as_bytes(), b"news", &good).is_ok());
    }
}
