//! Vectors of cacophony, snow and flynn, X25519 and HKDF of Wycheproof, and the
//! prologue of WebRTC Direct.

use serde_json::Value;
use snow::params::{DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Dh, Random};

use super::*;
use crate::security::Ciphers;
use crate::security::noise::resolver::{Contributory, start};

macro_rules! vectors {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/", $path))
    };
}

/// Randomness that is one ephemeral key.
struct Fixed(Vec<u8>);

impl Random for Fixed {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        out.copy_from_slice(&self.0);
        Ok(())
    }
}

#[derive(Default)]
struct Vector {
    statics: [Vec<u8>; 2],
    ephemerals: [Vec<u8>; 2],
    prologue: Vec<u8>,
    hash: Vec<u8>,
    /// Payload and ciphertext.
    messages: Vec<(Vec<u8>, Vec<u8>)>,
    /// Who sends the first message after the handshake.
    next: usize,
}

/// Runs the handshake on snow as we set it up, the rest on our sealers and openers.
fn run(vector: &Vector) {
    let mut ends = [Role::Initiator, Role::Responder].map(|role| {
        let at = (role == Role::Responder) as usize;
        let random = Box::new(Fixed(vector.ephemerals[at].clone()));
        let private = vector.statics[at][..].try_into().unwrap();
        start(role, private, &vector.prologue, random).unwrap()
    });
    let mut buffer = [0; 1000];
    for (at, (payload, ciphertext)) in vector.messages[..3].iter().enumerate() {
        let length = ends[at % 2].write_message(payload, &mut buffer).unwrap();
        assert_eq!(hex::encode(&buffer[..length]), hex::encode(ciphertext));
        let length = ends[1 - at % 2].read_message(ciphertext, &mut buffer).unwrap();
        assert_eq!(buffer[..length], **payload);
    }
    if !vector.hash.is_empty() {
        assert_eq!(ends[0].get_handshake_hash(), vector.hash);
    }
    let keys = ends[0].dangerously_get_raw_split();
    assert_eq!(keys, ends[1].dangerously_get_raw_split());
    let channel = |key: &[u8; 32]| {
        let cipher = || RustCrypto.chacha20poly1305(key);
        (transport::Sealer::new(cipher()), transport::Opener::new(cipher()))
    };
    let mut directions = [channel(&keys.0), channel(&keys.1)];
    for (at, (payload, ciphertext)) in vector.messages[3..].iter().enumerate() {
        let (sealer, opener) = &mut directions[(vector.next + at) % 2];
        let mut wire = [&[0; LENGTH], &**payload].concat();
        sealer.seal(&mut wire, 0).unwrap();
        let (frame, _) = split_frame(&mut wire).unwrap();
        assert_eq!(hex::encode(&*frame), hex::encode(ciphertext));
        assert_eq!(opener.open(frame).unwrap(), payload);
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap_or_default()).unwrap()
}

#[test]
fn cacophony_and_snow() {
    for text in [
        vectors!("noise/cacophony-XX_25519_ChaChaPoly_SHA256.json"),
        vectors!("noise/snow-XX_25519_ChaChaPoly_SHA256.json"),
    ] {
        let all: Value = serde_json::from_str(text).unwrap();
        for vector in all["vectors"].as_array().unwrap() {
            assert_eq!(vector["init_prologue"], vector["resp_prologue"]);
            let messages = vector["messages"].as_array().unwrap();
            assert!(messages.len() >= 5);
            run(&Vector {
                statics: [bytes(&vector["init_static"]), bytes(&vector["resp_static"])],
                ephemerals: [bytes(&vector["init_ephemeral"]), bytes(&vector["resp_ephemeral"])],
                prologue: bytes(&vector["init_prologue"]),
                hash: bytes(&vector["handshake_hash"]),
                messages: messages
                    .iter()
                    .map(|message| (bytes(&message["payload"]), bytes(&message["ciphertext"])))
                    .collect(),
                // The messages go to and fro, and the third was the initiator's.
                next: 1,
            });
        }
    }
}

#[test]
fn flynn() {
    let runs = vectors!("noise/flynn-XX_25519_ChaChaPoly_SHA256.txt").split("\n\n");
    let mut count = 0;
    for text in runs.filter(|text| !text.trim().is_empty()) {
        let mut vector = Vector::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once('=') else { continue };
            if name == "handshake" {
                assert_eq!(value, "Noise_XX_25519_ChaChaPoly_SHA256");
                continue;
            }
            let value = hex::decode(value).unwrap();
            match name {
                "init_static" => vector.statics[0] = value,
                "resp_static" => vector.statics[1] = value,
                "gen_init_ephemeral" => vector.ephemerals[0] = value,
                "gen_resp_ephemeral" => vector.ephemerals[1] = value,
                "prologue" => vector.prologue = value,
                name if name.ends_with("_payload") => vector.messages.push((value, Vec::new())),
                name if name.ends_with("_ciphertext") => {
                    vector.messages.last_mut().unwrap().1 = value;
                }
                name => panic!("{name}"),
            }
        }
        assert_eq!(vector.messages.len(), 5);
        run(&vector);
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn prologue_of_webrtc_direct() {
    let vector: Value = serde_json::from_str(vectors!("webrtc/noise-prologue.json")).unwrap();
    let fingerprint = |name: &str| [&[0x12, 0x20], &*bytes(&vector[name])].concat();
    let prologue = [
        vector["prefix_utf8"].as_str().unwrap().as_bytes(),
        &fingerprint("client_fingerprint_hex"),
        &fingerprint("server_fingerprint_hex"),
    ]
    .concat();
    assert_eq!(prologue, bytes(&vector["prologue_hex"]));
    // There it is the server that initiates.
    let server = Config { prologue: prologue.clone(), ..initiator() };
    let client = Config { prologue, ..responder() };
    shake(server, client, 1).unwrap();
}

#[test]
fn wycheproof_x25519() {
    let all: Value = serde_json::from_str(vectors!("wycheproof/x25519_test.json")).unwrap();
    let mut count = 0;
    for group in all["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519).unwrap();
            let mut dh = Contributory(dh);
            dh.set(&bytes(&test["private"]));
            let mut shared = [0; 32];
            let result = dh.dh(&bytes(&test["public"]), &mut shared);
            let expected = bytes(&test["shared"]);
            assert_eq!(shared, *expected, "{test}");
            assert_eq!(result.is_err(), expected == [0; 32], "{test}");
            count += 1;
        }
    }
    assert_eq!(count, all["numberOfTests"]);
}

/// Noise derives without `info`, at most three blocks, from a salt of 32 bytes.
#[test]
fn wycheproof_hkdf() {
    let all: Value = serde_json::from_str(vectors!("wycheproof/hkdf_sha256_test.json")).unwrap();
    let mut count = 0;
    for group in all["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let (salt, size) = (bytes(&test["salt"]), test["size"].as_u64().unwrap());
            if test["info"] != "" || salt.len() > 64 || size > 96 || test["result"] != "valid" {
                continue;
            }
            let mut hash = DefaultResolver.resolve_hash(&HashChoice::SHA256).unwrap();
            let mut out = [[0; 32]; 3];
            let [a, b, c] = &mut out;
            hash.hkdf(&salt, &bytes(&test["ikm"]), 3, a, b, c);
            assert_eq!(out.concat()[..size as usize], bytes(&test["okm"]), "{test}");
            count += 1;
        }
    }
    assert!(count >= 10, "{count}");
}
