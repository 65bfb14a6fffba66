//! Wycheproof: signatures that implementations have been wrong about.
#![cfg(all(feature = "ecdsa", feature = "rsa", feature = "secp256k1"))]

use polypeer::PublicKey;
use polypeer::identity::{KeyType, VerifyError};
use serde_json::Value;

/// Calls `check` with key, message, signature and test; returns how many there were.
fn for_each(
    json: &str,
    key: impl Fn(&Value) -> PublicKey,
    check: impl Fn(&PublicKey, &[u8], &[u8], &Value),
) -> usize {
    let file: Value = serde_json::from_str(json).unwrap();
    let mut count = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let key = key(group);
        for test in group["tests"].as_array().unwrap() {
            check(&key, &bytes(&test["msg"]), &bytes(&test["sig"]), test);
            count += 1;
        }
    }
    assert_eq!(count as u64, file["numberOfTests"].as_u64().unwrap());
    count
}

fn bytes(hex: &Value) -> Vec<u8> {
    hex::decode(hex.as_str().unwrap()).unwrap()
}

/// A test with the verdict "acceptable" may go either way; there is none left
/// that we accept.
fn expect(key: &PublicKey, message: &[u8], signature: &[u8], test: &Value) {
    let expected = if test["result"] == "valid" { Ok(()) } else { Err(VerifyError::Invalid) };
    assert_eq!(key.verify(message, signature), expected, "{test}");
}

#[test]
fn ed25519() {
    let count = for_each(
        include_str!("vectors/wycheproof/ed25519_test.json"),
        |group| PublicKey::from_raw(KeyType::Ed25519, &bytes(&group["publicKey"]["pk"])).unwrap(),
        expect,
    );
    assert_eq!(count, 151);
}

#[test]
fn ecdsa_p256() {
    let count = for_each(
        include_str!("vectors/wycheproof/ecdsa_secp256r1_sha256_test.json"),
        |group| PublicKey::from_raw(KeyType::Ecdsa, &bytes(&group["publicKeyDer"])).unwrap(),
        expect,
    );
    assert_eq!(count, 150);
}

/// libp2p's secp256k1 signatures follow BIP 62, which allows of `s` and `-s` only
/// the lower one. Wycheproof's file is about plain ECDSA and calls both valid; so
/// for the higher ones it is checked that they are refused as they stand and
/// accepted with `s` negated.
#[test]
fn secp256k1() {
    let count = for_each(
        include_str!("vectors/wycheproof/ecdsa_secp256k1_sha256_test.json"),
        |group| {
            let point = bytes(&group["publicKey"]["uncompressed"]);
            let parity = 2 + (point[64] & 1);
            let compressed = [&[parity], &point[1..33]].concat();
            PublicKey::from_raw(KeyType::Secp256k1, &compressed).unwrap()
        },
        |key, message, signature, test| {
            let low = k256::ecdsa::Signature::from_der(signature)
                .ok()
                .filter(|_| test["result"] == "valid")
                .and_then(|signature| signature.normalize_s());
            match low {
                Some(low) => {
                    assert_eq!(key.verify(message, signature), Err(VerifyError::Invalid));
                    expect(key, message, low.to_der().as_bytes(), test);
                }
                None => expect(key, message, signature, test),
            }
        },
    );
    assert_eq!(count, 250);
}

#[test]
fn rsa() {
    let count = for_each(
        include_str!("vectors/wycheproof/rsa_signature_2048_sha256_test.json"),
        |group| PublicKey::from_raw(KeyType::Rsa, &bytes(&group["publicKeyDer"])).unwrap(),
        expect,
    );
    assert_eq!(count, 259);
}
