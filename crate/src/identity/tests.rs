//! Tests of the room as a whole; public vectors are in `tests/vectors_identity.rs`
//! and `tests/vectors_signatures.rs`.

use proptest::prelude::*;

use super::{DecodeError, EnvelopeError, KeyType, PeerIdError, PeerRecord, SignedEnvelope};
use crate::wire::base;
use crate::wire::mutate::mutations;
use crate::{Keypair, Multiaddr, PeerId, PublicKey, Rng};

/// A key pair of each type that is compiled in.
fn keypairs(number: u64) -> Vec<Keypair> {
    let mut rng = Rng::from_number(number);
    vec![
        Keypair::generate_ed25519(&mut rng),
        #[cfg(feature = "secp256k1")]
        Keypair::generate_secp256k1(&mut rng),
        #[cfg(feature = "ecdsa")]
        Keypair::generate_ecdsa(&mut rng),
    ]
}

fn keypair(number: u64) -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_number(number))
}

fn key_protobuf(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x08, kind, 0x12];
    crate::wire::varint::encode(data.len() as u64, &mut out);
    out.extend(data);
    out
}

#[test]
fn keys_have_one_encoding() {
    let encoded = keypair(1).public().to_protobuf();
    let data = &encoded[4..];
    for (bent, error) in [
        (vec![], DecodeError::Malformed),
        // Data before type, type missing, an unknown field, a long varint.
        ([&encoded[2..], &encoded[..2]].concat(), DecodeError::Malformed),
        (encoded[2..].to_vec(), DecodeError::Malformed),
        ([&encoded[..], &[0x18, 0]].concat(), DecodeError::Malformed),
        ([&[0x08, 0x81, 0], &encoded[2..]].concat(), DecodeError::Malformed),
        (encoded[..35].to_vec(), DecodeError::Malformed),
        (key_protobuf(4, data), DecodeError::UnknownKeyType(4)),
        (key_protobuf(1, &data[1..]), DecodeError::BadKey(KeyType::Ed25519)),
        (key_protobuf(2, data), DecodeError::BadKey(KeyType::Secp256k1)),
        (
            key_protobuf(2, &[[4; 33], [0; 33]].concat()[..65]),
            DecodeError::BadKey(KeyType::Secp256k1),
        ),
        (key_protobuf(0, &[]), DecodeError::BadKey(KeyType::Rsa)),
        (key_protobuf(3, &[]), DecodeError::BadKey(KeyType::Ecdsa)),
    ] {
        assert_eq!(PublicKey::from_protobuf(&bent), Err(error), "{bent:02x?}");
    }
}

#[test]
fn key_length_limit_is_reached() {
    let longest = vec![1; PublicKey::MAX_LEN];
    assert!(PublicKey::from_protobuf(&key_protobuf(0, &longest)).is_ok());
    let longer = vec![1; PublicKey::MAX_LEN + 1];
    assert_eq!(PublicKey::from_protobuf(&key_protobuf(0, &longer)), Err(DecodeError::TooLong));
}

#[test]
fn private_keys_must_agree_with_their_public_half() {
    let encoded = keypair(1).to_protobuf();
    let other = keypair(2).to_protobuf();
    let bent = [&encoded[..36], &other[36..]].concat();
    let mismatch = DecodeError::Mismatch(KeyType::Ed25519);
    assert_eq!(Keypair::from_protobuf(&bent).unwrap_err(), mismatch);

    let (seed, public) = encoded[4..].split_at(32);
    let legacy = key_protobuf(1, &[seed, public, public].concat());
    assert_eq!(Keypair::from_protobuf(&legacy).unwrap().peer_id(), keypair(1).peer_id());
    let bent = key_protobuf(1, &[seed, public, &other[36..]].concat());
    assert_eq!(Keypair::from_protobuf(&bent).unwrap_err(), mismatch);
    let short = key_protobuf(1, seed);
    let error = Keypair::from_protobuf(&short).unwrap_err();
    assert_eq!(error, DecodeError::BadKey(KeyType::Ed25519));
}

#[cfg(feature = "ecdsa")]
#[test]
fn ecdsa_keys_are_read_as_pkcs8_too() {
    let keypair = Keypair::generate_ecdsa(&mut Rng::from_number(1));
    let encoded = keypair.to_protobuf();
    let sec1 = &encoded[4..];
    let pkcs8_head =
        hex::decode("308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420")
            .unwrap();
    let pkcs8 = [&pkcs8_head[..], &sec1[7..39], &sec1[51..]].concat();
    assert_eq!(pkcs8.len(), 0x87 + 3);
    let read = Keypair::from_protobuf(&key_protobuf(3, &pkcs8)).unwrap();
    assert_eq!(*read.to_protobuf(), *encoded);

    let mut foreign = pkcs8;
    *foreign.last_mut().unwrap() ^= 1;
    let error = Keypair::from_protobuf(&key_protobuf(3, &foreign)).unwrap_err();
    assert_eq!(error, DecodeError::Mismatch(KeyType::Ecdsa));
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", keypair(1));
    assert_eq!(shown, format!("private Ed25519 key of {}", keypair(1).peer_id()));
}

#[test]
fn peer_id_limits_are_reached() {
    let inline = |length: usize| [vec![0, length as u8], vec![7; length]].concat();
    let longest = PeerId::from_bytes(&inline(PeerId::MAX_INLINE)).unwrap();
    assert_eq!(longest.as_bytes().len(), PeerId::MAX_LEN);
    assert_eq!(longest.public_key(), None);
    let too_long = PeerId::from_bytes(&inline(PeerId::MAX_INLINE + 1));
    assert_eq!(too_long, Err(PeerIdError::Length));
    assert_eq!(PeerId::from_bytes(&inline(0)), Err(PeerIdError::Length));

    let text = "1".repeat(PeerId::MAX_TEXT + 1);
    assert_eq!(text.parse::<PeerId>(), Err(PeerIdError::Base(base::Error::TooLong)));
    assert_eq!(text[1..].parse::<PeerId>(), Err(PeerIdError::Length));
    // Every base of the longest id fits.
    let hexadecimal = format!("f0172{}", hex::encode(longest.as_bytes()));
    assert_eq!(hexadecimal.parse(), Ok(longest));
}

#[test]
fn peer_ids_are_read_from_every_base() {
    for (text, same) in [
        // go-multiaddr's vectors.
        (
            "k51qzi5uqu5dhb6l8spkdx7yxafegfkee5by8h7lmjh2ehc2sgg34z7c15vzqs",
            "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV",
        ),
        (
            "bafzaajaiaejcalj543iwv2d7pkjt7ykvefrkfu7qjfi6sduakhso4lay6abn2d5u",
            "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV",
        ),
        (
            "bafzbeigvf25ytwc3akrijfecaotc74udrhcxzh2cx3we5qqnw5vgrei4bm",
            "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
        ),
        (
            "k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7",
            "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
        ),
    ] {
        assert_eq!(text.parse::<PeerId>(), same.parse());
        assert_eq!(text.parse::<PeerId>().unwrap().to_string(), same);
    }
    assert_eq!("".parse::<PeerId>(), Err(PeerIdError::Base(base::Error::UnknownBase)));
    assert_eq!("1O".parse::<PeerId>(), Err(PeerIdError::Base(base::Error::Malformed)));
    assert_eq!("f0272".parse::<PeerId>(), Err(PeerIdError::CidVersion));
    assert_eq!("f0155".parse::<PeerId>(), Err(PeerIdError::NotLibp2pKey(0x55)));
}

/// Without its algorithm a key is still read and named; the host verifies.
#[test]
fn keys_are_read_without_their_algorithm() {
    for kind in [KeyType::Rsa, KeyType::Secp256k1, KeyType::Ecdsa] {
        let raw = [&[2], &[9; 32][..]].concat();
        let key = PublicKey::from_raw(kind, &raw).unwrap();
        assert_eq!(PublicKey::from_protobuf(&key.to_protobuf()).as_ref(), Ok(&key));
        assert_eq!(key.peer_id().to_string().parse(), Ok(key.peer_id()));
        let compiled = match kind {
            KeyType::Rsa => cfg!(feature = "rsa"),
            KeyType::Secp256k1 => cfg!(feature = "secp256k1"),
            _ => cfg!(feature = "ecdsa"),
        };
        let unchecked = key.verify(b"", b"") == Err(super::VerifyError::NotCompiled(kind));
        assert_eq!(unchecked, !compiled, "{kind}");
    }
}

#[test]
fn ed25519_keys_of_small_order_sign_nothing() {
    // The neutral element: with it `R = S = 0` would fit any message.
    let mut identity = [0; 32];
    identity[0] = 1;
    let key = PublicKey::from_raw(KeyType::Ed25519, &identity).unwrap();
    let signature = [&identity[..], &[0; 32]].concat();
    assert_eq!(key.verify(b"anything", &signature), Err(super::VerifyError::Invalid));
}

#[test]
fn envelope_length_limit_is_reached() {
    let seal = |length| {
        SignedEnvelope::seal(&keypair(1), "test", b"t", vec![0; length]).unwrap().to_bytes()
    };
    let around = seal(SignedEnvelope::MAX_LEN - 1000).len() - (SignedEnvelope::MAX_LEN - 1000);
    let longest = seal(SignedEnvelope::MAX_LEN - around);
    assert_eq!(longest.len(), SignedEnvelope::MAX_LEN);
    assert!(SignedEnvelope::open(&longest, "test", b"t").is_ok());
    let longer = seal(SignedEnvelope::MAX_LEN - around + 1);
    assert_eq!(SignedEnvelope::open(&longer, "test", b"t"), Err(EnvelopeError::TooLong));
}

#[test]
fn record_address_limit_is_reached() {
    let addresses: Vec<Multiaddr> = (0..PeerRecord::MAX_ADDRESSES as u16 + 5)
        .map(|port| Multiaddr::tcp(([192, 0, 2, 1], port).into()))
        .collect();
    let sealed = PeerRecord::seal(&keypair(1), 1, addresses.clone()).unwrap();
    let opened = PeerRecord::open(&sealed.to_bytes()).unwrap();
    assert_eq!(opened.addresses(), &addresses[..PeerRecord::MAX_ADDRESSES]);
}

/// The bytes that nim-libp2p and go-libp2p agree on.
#[test]
fn record_of_other_implementations() {
    let file = include_str!("../../tests/vectors/records/signed-envelope.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    for case in file["peer_records"].as_array().unwrap() {
        let payload = hex::decode(case["hex"].as_str().unwrap()).unwrap();
        let (subject, seq, addresses) = super::peer_record::decode(&payload).unwrap();
        assert_eq!(subject.to_string(), case["peer_id"].as_str().unwrap());
        assert_eq!(seq, case["seq"].as_u64().unwrap());
        let texts: Vec<String> = addresses.iter().map(Multiaddr::to_string).collect();
        assert_eq!(serde_json::json!(texts), case["addresses"]);
        assert_eq!(super::peer_record::encode(subject, seq, &addresses), payload);
    }
}

/// Addresses of protocols that will be invented later do not void a record.
#[test]
fn unreadable_addresses_are_left_out() {
    let keypair = keypair(1);
    let good: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
    let mut payload = super::peer_record::encode(keypair.peer_id(), 1, std::slice::from_ref(&good));
    payload.extend([0x1a, 0x04, 0x0a, 0x02, 0xff, 0x01]);
    let sealed = SignedEnvelope::seal(&keypair, "libp2p-peer-record", &[3, 1], payload).unwrap();
    assert_eq!(PeerRecord::open(&sealed.to_bytes()).unwrap().addresses(), [good]);
}

#[test]
fn both_forms_of_records_are_read_and_no_mixture() {
    let keypair = keypair(1);
    let payload = super::peer_record::encode(keypair.peer_id(), 1, &[]);
    let (legacy, legacy_type) = ("libp2p-routing-state", &b"/libp2p/routing-state-record"[..]);
    let (current, current_type) = ("libp2p-peer-record", &[0x03, 0x01][..]);
    for (domain, payload_type, good) in [
        (current, current_type, true),
        (legacy, legacy_type, true),
        (current, legacy_type, false),
        (legacy, current_type, false),
        (current, &[0x03, 0x02], false),
        ("", current_type, false),
    ] {
        let sealed = SignedEnvelope::seal(&keypair, domain, payload_type, payload.clone());
        assert_eq!(PeerRecord::open(&sealed.unwrap().to_bytes()).is_ok(), good, "{domain}");
    }
}

#[test]
fn bent_keys_are_refused_or_keys() {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for keypair in keypairs(1) {
        seeds.push(keypair.public().to_protobuf());
    }
    let vectors = include_str!("../../tests/vectors/peer-id/keys.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    for case in vectors["keys"].as_array().unwrap() {
        seeds.push(hex::decode(case["public_protobuf_hex"].as_str().unwrap()).unwrap());
    }
    let signatures = keypairs(1).iter().map(|keypair| keypair.sign(b"m").unwrap()).collect();
    let signatures: Vec<Vec<u8>> = signatures;
    mutations(1, &seeds, 10_000, |bytes| {
        if let Ok(key) = PublicKey::from_protobuf(bytes) {
            assert_eq!(key.to_protobuf(), bytes);
            assert_eq!(PeerId::from_bytes(key.peer_id().as_bytes()), Ok(key.peer_id()));
            for signature in &signatures {
                // A key that differs from ours does not verify what we signed.
                let own = seeds.iter().any(|seed| seed == bytes);
                assert!(own || key.verify(b"m", signature).is_err());
            }
        }
    });
}

#[test]
fn bent_private_keys_are_refused_or_keys() {
    let seeds: Vec<_> = keypairs(1).iter().map(|keypair| keypair.to_protobuf().to_vec()).collect();
    mutations(2, &seeds, 10_000, |bytes| {
        if let Ok(keypair) = Keypair::from_protobuf(bytes) {
            let again = Keypair::from_protobuf(&keypair.to_protobuf()).unwrap();
            assert_eq!(again.public(), keypair.public());
        }
    });
}

#[test]
fn bent_signatures_are_invalid() {
    for (number, keypair) in keypairs(1).iter().enumerate() {
        let signature = keypair.sign(b"message").unwrap();
        // ECDSA has a second signature for each: `-s`. It takes more than a few
        // bent bytes to get there.
        mutations(number as u64, std::slice::from_ref(&signature), 3_400, |bytes| {
            let verified = keypair.public().verify(b"message", bytes);
            assert_eq!(verified.is_ok(), bytes == signature, "{bytes:02x?}");
        });
    }
}

#[test]
fn bent_peer_ids_are_refused_or_peer_ids() {
    let ids: Vec<PeerId> = keypairs(1).iter().map(Keypair::peer_id).collect();
    let seeds: Vec<Vec<u8>> = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
    mutations(3, &seeds, 10_000, |bytes| {
        if let Ok(id) = PeerId::from_bytes(bytes) {
            assert_eq!(id.as_bytes(), bytes);
        }
    });
    let mut texts: Vec<Vec<u8>> = ids.iter().map(|id| id.to_string().into_bytes()).collect();
    texts.extend(ids.iter().map(|id| id.to_cid().into_bytes()));
    mutations(4, &texts, 10_000, |bytes| {
        if let Ok(id) = String::from_utf8_lossy(bytes).parse::<PeerId>() {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_cid().parse(), Ok(id));
        }
    });
}

/// Whatever is bent: who opens a record sees what was signed, or an error.
#[test]
fn bent_envelopes_are_refused_or_what_was_signed() {
    let addresses = vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()];
    let records: Vec<PeerRecord> = keypairs(1)
        .iter()
        .map(|keypair| PeerRecord::seal(keypair, 7, addresses.clone()).unwrap())
        .collect();
    let seeds: Vec<Vec<u8>> = records.iter().map(PeerRecord::to_bytes).collect();
    mutations(5, &seeds, 10_000, |bytes| {
        if let Ok(opened) = PeerRecord::open(bytes) {
            assert!(records.contains(&opened), "{bytes:02x?}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn peer_ids_are_ordered_as_their_bytes(
        digests in proptest::collection::vec(proptest::collection::vec(0u8..3, 1..=42), 2),
        hashed: [bool; 2],
    ) {
        let ids: Vec<PeerId> = digests
            .into_iter()
            .zip(hashed)
            .map(|(mut digest, hashed)| {
                if hashed {
                    digest.resize(32, 0);
                }
                let head = [if hashed { 0x12 } else { 0 }, digest.len() as u8];
                PeerId::from_bytes(&[&head[..], &digest].concat()).unwrap()
            })
            .collect();
        let bytes = |at: usize| ids[at].as_bytes();
        prop_assert_eq!(ids[0].cmp(&ids[1]), bytes(0).cmp(bytes(1)));
        prop_assert_eq!(ids[0] == ids[1], bytes(0) == bytes(1));
    }

    #[test]
    fn keys_round_trip(number: u64, message: Vec<u8>, other: Vec<u8>) {
        for keypair in keypairs(number) {
            let again = Keypair::from_protobuf(&keypair.to_protobuf()).unwrap();
            let public = PublicKey::from_protobuf(&again.public().to_protobuf()).unwrap();
            prop_assert_eq!(&public, &keypair.public());
            prop_assert_eq!(public.key_type(), keypair.key_type());
            let signature = again.sign(&message).unwrap();
            prop_assert_eq!(&signature, &keypair.sign(&message).unwrap());
            prop_assert!(public.verify(&message, &signature).is_ok());
            prop_assert_eq!(public.verify(&other, &signature).is_ok(), other == message);
            let id = keypair.peer_id();
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.to_cid().parse(), Ok(id));
            if let Some(inside) = id.public_key() {
                prop_assert_eq!(inside, public);
            }
        }
    }

    #[test]
    fn envelopes_round_trip(number: u64, domain: String, kind: Vec<u8>, payload: Vec<u8>) {
        for keypair in keypairs(number) {
            let sealed = SignedEnvelope::seal(&keypair, &domain, &kind, payload.clone()).unwrap();
            let opened = SignedEnvelope::open(&sealed.to_bytes(), &domain, &kind).unwrap();
            prop_assert_eq!(&opened, &sealed);
            prop_assert_eq!(opened.payload(), &payload[..]);
            prop_assert_eq!(opened.signer(), keypair.peer_id());
            prop_assert_eq!(opened.public_key(), &keypair.public());
            let elsewhere = SignedEnvelope::open(&sealed.to_bytes(), &(domain.clone() + "x"), &kind);
            prop_assert!(matches!(elsewhere, Err(EnvelopeError::Signature(_))));
        }
    }

    #[test]
    fn records_round_trip(number: u64, seq: u64, ports: Vec<u16>) {
        let addresses: Vec<_> =
            ports.iter().map(|port| Multiaddr::udp(([0u8; 16], *port).into())).collect();
        for keypair in keypairs(number) {
            let sealed = PeerRecord::seal(&keypair, seq, addresses.clone()).unwrap();
            let opened = PeerRecord::open(&sealed.to_bytes()).unwrap();
            prop_assert_eq!(&opened, &sealed);
            prop_assert_eq!((opened.peer_id(), opened.seq()), (keypair.peer_id(), seq));
            prop_assert_eq!(opened.addresses(), &addresses[..]);
        }
    }
}
