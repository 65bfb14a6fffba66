use serde_json::Value;

use super::*;
use crate::Rng;
use crate::security::{Ciphers, RustCrypto};

/// The first two blocks of the RFC's example (section 2.4.2), at every counter lane.
#[test]
fn blocks_of_the_rfc() {
    let key: [u8; 32] = core::array::from_fn(|at| at as u8);
    let nonce = hex::decode("000000000000004a00000000").unwrap();
    let expected = hex::decode(
        "224f51f3401bd9e12fde276fb8631ded8c131f823d2c06e27e4fcaec9ef3cf78\
         8a3b0aa372600a92b57974cded2b9334794cba40c63e34cdea212c4cf07d41b7\
         69a6749f3f630f4122cafe28ec4dc47e26d4346d70b98c73f3e9c53ac40c5945\
         398b6eda1a832c89c167eacd901d7e2bf363",
    )
    .unwrap();
    let mut data = [0; BLOCKS];
    xor(&words(&key), &words(&nonce), 1, &mut data);
    assert_eq!(data[..expected.len()], expected);
    let mut shifted = [0; BLOCKS];
    xor(&words(&key), &words(&nonce), 0, &mut shifted);
    assert_eq!(shifted[BLOCK..], data[..3 * BLOCK]);
}

#[test]
fn wycheproof() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/wycheproof/chacha20_poly1305_test.json"
    ));
    let all: Value = serde_json::from_str(text).unwrap();
    let mut count = 0;
    for group in all["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let bytes = |name: &str| hex::decode(test[name].as_str().unwrap()).unwrap();
            let Ok(nonce) = <[u8; 12]>::try_from(bytes("iv")) else { continue };
            if test["aad"] != "" {
                continue;
            }
            let key: [u8; 32] = bytes("key").try_into().unwrap();
            let tag: [u8; TAG] = bytes("tag").try_into().unwrap();
            let cipher = Vector::new(&key);
            let mut data = bytes("ct");
            let opened = cipher.open_with(nonce, &mut data, &tag);
            assert_eq!(opened, test["result"] == "valid", "{test}");
            if opened {
                assert_eq!(data, bytes("msg"));
                assert_eq!(cipher.seal_with(nonce, &mut data), tag);
            }
            assert_eq!(data, bytes("ct"), "what is not genuine is not decrypted");
            count += 1;
        }
    }
    assert!(count >= 40, "{count}");
}

#[test]
fn agrees_with_the_plain_cipher_at_every_length() {
    let mut rng = Rng::from_number(6);
    let lengths = (0..70).chain(185..200).chain(440..456).chain(700..706).chain([1023, 4096]);
    for length in lengths {
        let key = rng.array();
        let nonce = rng.next_u64();
        let mut data = vec![0; length];
        rng.fill(&mut data);
        let plain = data.clone();
        let mut theirs = data.clone();
        let (mut vector, mut other) = (Vector::new(&key), RustCrypto.chacha20poly1305(&key));
        let tag = vector.seal(nonce, &mut data);
        assert_eq!(tag, other.seal(nonce, &mut theirs));
        assert_eq!(data, theirs);
        assert!(!vector.open(nonce.wrapping_add(1), &mut data, &tag));
        assert!(vector.open(nonce, &mut data, &tag));
        assert_eq!(data, plain);
    }
}
