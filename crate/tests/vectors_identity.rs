//! Public vectors for keys, peer ids and signed envelopes.
#![cfg(all(feature = "ecdsa", feature = "rsa", feature = "secp256k1"))]

use polypeer::identity::{DecodeError, EnvelopeError, PeerIdError, SignedEnvelope, VerifyError};
use polypeer::identity::{KeyType, PeerRecord, PeerRecordError};
use polypeer::{Keypair, PeerId, PublicKey, Rng};
use serde_json::Value;

fn load(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    hex::decode(hex.as_str().unwrap()).unwrap()
}

fn kind(name: &Value) -> KeyType {
    match name.as_str().unwrap() {
        "rsa" => KeyType::Rsa,
        "ed25519" => KeyType::Ed25519,
        "secp256k1" => KeyType::Secp256k1,
        "ecdsa" => KeyType::Ecdsa,
        other => panic!("unknown key type {other}"),
    }
}

#[test]
fn keys_of_the_specification() {
    let file = load(include_str!("vectors/peer-id/keys.json"));
    let keys = file["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 4);
    for case in keys {
        let (private, public) =
            (bytes(&case["private_protobuf_hex"]), bytes(&case["public_protobuf_hex"]));
        let key = PublicKey::from_protobuf(&public).unwrap();
        assert_eq!(key.key_type(), kind(&case["key_type"]));
        assert_eq!(key.to_protobuf(), public);

        let id = key.peer_id();
        assert_eq!(id.as_bytes(), bytes(&case["peer_id_multihash_hex"]));
        assert_eq!(PeerId::from_bytes(id.as_bytes()), Ok(id));
        let (base58, cid) = (&case["peer_id_base58btc"], &case["peer_id_cidv1_base32"]);
        assert_eq!(id.to_string(), base58.as_str().unwrap());
        assert_eq!(id.to_cid(), cid.as_str().unwrap());
        assert_eq!(base58.as_str().unwrap().parse(), Ok(id));
        assert_eq!(cid.as_str().unwrap().parse(), Ok(id));

        let keypair = Keypair::from_protobuf(&private);
        if key.key_type() == KeyType::Rsa {
            // RSA is verified, not signed with: its private keys cannot be loaded.
            assert_eq!(keypair.unwrap_err(), DecodeError::Unsupported(KeyType::Rsa));
        } else {
            let keypair = keypair.unwrap();
            assert_eq!(*keypair.to_protobuf(), private);
            assert_eq!(keypair.public(), key);
        }
    }
}

#[test]
fn text_forms_of_the_specification() {
    let file = load(include_str!("vectors/peer-id/keys.json"));
    for case in file["text_forms"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let id: PeerId = text.parse().unwrap();
        assert_eq!(id.as_bytes(), bytes(&case["multihash_hex"]));
        let written = if case["form"] == "cidv1-base32" { id.to_cid() } else { id.to_string() };
        assert_eq!(written, text);
    }
}

#[test]
fn signatures_of_other_implementations() {
    let file = load(include_str!("vectors/peer-id/signatures.json"));
    for case in file["cases"].as_array().unwrap() {
        let message = match case["message_utf8"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => bytes(&case["message_hex"]),
        };
        let signature = bytes(&case["signature_hex"]);
        let public = PublicKey::from_protobuf(&bytes(&case["public_protobuf_hex"])).unwrap();
        assert_eq!(public.key_type(), kind(&case["key_type"]));
        assert_eq!(public.verify(&message, &signature), Ok(()), "{case}");
        let mut altered = message.clone();
        altered[0] ^= 1;
        assert_eq!(public.verify(&altered, &signature), Err(VerifyError::Invalid), "{case}");
        if let Some(id) = case["peer_id_base58btc_computed"].as_str() {
            assert_eq!(public.peer_id().to_string(), id);
        }

        let private = bytes(&case["private_protobuf_hex"]);
        match public.key_type() {
            KeyType::Rsa => {
                let error = Keypair::from_protobuf(&private).unwrap_err();
                assert_eq!(error, DecodeError::Unsupported(KeyType::Rsa));
            }
            kind => {
                let keypair = Keypair::from_protobuf(&private).unwrap();
                assert_eq!(keypair.public(), public);
                let own = keypair.sign(&message).unwrap();
                assert_eq!(public.verify(&message, &own), Ok(()));
                // The ECDSA vector was made with a random nonce.
                if kind != KeyType::Ecdsa {
                    assert_eq!(own, signature, "{case}");
                }
                // The legacy form is read, and written in the present one.
                let legacy = private.len() == 4 + 96;
                assert_eq!(*keypair.to_protobuf() == private, !legacy);
            }
        }
    }
}

#[test]
fn rsa_identity_of_js() {
    let file = load(include_str!("vectors/peer-id/js-sample-rsa.json"));
    let id = PeerId::from_bytes(&bytes(&file["multihash_hex"])).unwrap();
    // `{ id = 1, public key = 2, private key = 3 }`
    let exported = bytes(&file["exported_peer_id_protobuf_hex"]);
    assert_eq!(exported[2..36], *id.as_bytes());
    assert_eq!(exported[36..39], [0x12, 0xab, 0x02]);
    let public = PublicKey::from_protobuf(&exported[39..39 + 0x12b]).unwrap();
    assert_eq!(public.peer_id(), id);
    let base64 = file["public_protobuf_base64"].as_str().unwrap().trim_end_matches('=');
    let public_again = polypeer::wire::base::decode(&format!("m{base64}")).unwrap();
    assert_eq!(public.to_protobuf(), public_again);
    // The private key is in the file too; RSA is not signed with.
}

#[test]
fn only_libp2p_keys_are_peer_ids() {
    let file = load(include_str!("vectors/cid/cids.json"));
    for case in file["cases"].as_array().unwrap() {
        let (text, cid) = (case["cid"].as_str().unwrap(), bytes(&case["bytes_hex"]));
        let parsed = text.parse::<PeerId>();
        if text.starts_with("Qm") {
            // A CIDv0 and a peer id look the same.
            assert_eq!(parsed.unwrap().as_bytes(), cid);
        } else {
            assert!(matches!(parsed, Err(PeerIdError::NotLibp2pKey(_))), "{text}: {parsed:?}");
            assert_eq!(polypeer::wire::base::decode(text).unwrap(), cid);
        }
    }
}

/// Of multihashes, peer ids are whole SHA-256 digests and short identities.
fn check_multihash(code: u64, digest: &[u8], multihash: &[u8]) {
    let parsed = PeerId::from_bytes(multihash);
    match (code, digest.len()) {
        (0x12, 32) | (0, 1..=42) => assert_eq!(parsed.unwrap().as_bytes(), multihash),
        (0 | 0x12, _) => assert_eq!(parsed, Err(PeerIdError::Length)),
        (code, _) => assert_eq!(parsed, Err(PeerIdError::UnknownHash(code))),
    }
}

#[test]
fn multihashes() {
    for line in include_str!("vectors/multihash/test_cases.csv").lines().skip(1) {
        let multihash = hex::decode(line.rsplit(',').next().unwrap()).unwrap();
        check_multihash(multihash[0].into(), &multihash[2..], &multihash);
    }
    let valid = load(include_str!("vectors/multihash/valid-js.json"));
    for case in valid["cases"].as_array().unwrap() {
        let (code, digest) = (case["encoding"]["code"].as_u64().unwrap(), bytes(&case["hex"]));
        check_multihash(code, &digest, &multihash(code, case["size"].as_u64().unwrap(), &digest));
    }
    let invalid = load(include_str!("vectors/multihash/invalid-js.json"));
    for case in invalid["cases"].as_array().unwrap() {
        let (code, size) = (case["code"].as_u64().unwrap(), case["size"].as_u64().unwrap());
        let multihash = multihash(code, size, &bytes(&case["hex"]));
        assert!(PeerId::from_bytes(&multihash).is_err(), "{case}");
    }
}

fn multihash(code: u64, size: u64, digest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    polypeer::wire::varint::encode(code, &mut out);
    polypeer::wire::varint::encode(size, &mut out);
    out.extend(digest);
    out
}

#[test]
fn signed_envelopes() {
    let file = load(include_str!("vectors/records/signed-envelope.json"));
    let envelopes = file["envelopes"].as_array().unwrap();
    let payload_type = envelopes[0]["payload_type_utf8"].as_str().unwrap().as_bytes();
    for case in envelopes {
        let encoded = bytes(&case["hex"]);
        let domain = case["domain"].as_str().unwrap();
        let opened = SignedEnvelope::open(&encoded, domain, payload_type);
        if case["valid"] == true {
            let opened = opened.unwrap();
            assert_eq!(opened.payload(), case["payload_utf8"].as_str().unwrap().as_bytes());
            assert_eq!(opened.payload_type(), payload_type);
            assert_eq!(opened.to_bytes(), encoded);
            let other = SignedEnvelope::open(&encoded, domain, b"another type");
            assert_eq!(other, Err(EnvelopeError::PayloadType));
        } else {
            assert_eq!(opened, Err(EnvelopeError::Signature(VerifyError::Invalid)), "{case}");
        }
    }
}

/// The vector is a payload without its envelope. Sealed by anybody but its
/// subject it must be refused, which also shows that the subject was read; the
/// tests beside the code read the rest of it.
#[test]
fn peer_records_speak_of_their_signer_only() {
    let file = load(include_str!("vectors/records/signed-envelope.json"));
    let constants = &file["constants"];
    let forms = [
        (&constants["peer_record_domain"], bytes(&constants["peer_record_payload_type_hex"])),
        (
            &constants["peer_record_domain_legacy"],
            constants["peer_record_payload_type_legacy_utf8"].as_str().unwrap().into(),
        ),
    ];
    let keypair = Keypair::generate_ed25519(&mut Rng::from_number(1));
    for case in file["peer_records"].as_array().unwrap() {
        for (domain, payload_type) in &forms {
            let sealed = SignedEnvelope::seal(
                &keypair,
                domain.as_str().unwrap(),
                payload_type,
                bytes(&case["hex"]),
            );
            let opened = PeerRecord::open(&sealed.unwrap().to_bytes());
            let subject = case["peer_id"].as_str().unwrap().parse().unwrap();
            let signer = keypair.peer_id();
            assert_eq!(opened, Err(PeerRecordError::Foreign { signer, subject }));
        }
    }
    let record = PeerRecord::seal(&keypair, 1, Vec::new()).unwrap();
    assert_eq!(record.envelope().payload_type(), forms[0].1);
}
