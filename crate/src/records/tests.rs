//! Tests of signed records as a whole: the specification's own, and hostile ones.

use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::identity::{Keypair, PeerId};
use crate::rng::Rng;
use crate::wire::mutate::mutations;
use crate::wire::protobuf::{Reader, Writer};

const NOW: Duration = Duration::from_secs(1_800_000_000);
const LATER: Duration = Duration::from_secs(1_900_000_000);

fn keypair(number: u64) -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_number(number))
}

fn content(value: &str, sequence: u64) -> Content {
    let lifetime = Lifetime::Until(LATER);
    Content { value: value.into(), sequence, lifetime, ttl: Duration::from_secs(300) }
}

/// The fields of a record, changed by `change`: bytes or a number by their tag.
fn altered(bytes: &[u8], change: impl Fn(u32, &[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    use crate::wire::protobuf::Value;
    let mut out = Vec::new();
    for field in Reader(bytes) {
        match field.unwrap() {
            (tag, Value::Bytes(bytes)) => {
                if let Some(bytes) = change(tag, bytes) {
                    Writer(&mut out).bytes(tag, &bytes);
                }
            }
            (tag, Value::Number(number)) => drop(Writer(&mut out).number(tag, number)),
            other => panic!("{other:?}"),
        }
    }
    out
}

#[test]
fn the_records_of_the_gateways_conformance_suite() {
    let verdicts = include_str!("../../tests/vectors/ipns/expected.json");
    let verdicts: serde_json::Value = serde_json::from_str(verdicts).unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/ipns/");
    for case in verdicts["records"].as_array().unwrap() {
        let bytes = std::fs::read(format!("{folder}{}", case["file"].as_str().unwrap())).unwrap();
        let peer: PeerId = case["name"].as_str().unwrap().parse().unwrap();
        let ipns = Namespace::ipns();
        let read = ipns.verify(&ipns.key(&peer, b""), &bytes);
        assert_eq!(read.is_ok(), case["valid"].as_bool().unwrap(), "{case} {read:?}");
        match read {
            Ok(record) => {
                assert_eq!(record.content().value, case["value"].as_str().unwrap().as_bytes());
                assert_eq!(record.check_time(NOW), Ok(()));
                assert_eq!(record.signer(), peer);
            }
            Err(error) => {
                let expected = match case["why"].as_str().unwrap() {
                    "only the retired V1 signature" => RecordError::Unsigned,
                    "value field differs from the signed data" => RecordError::Differs,
                    _ => RecordError::Signature(crate::identity::VerifyError::Invalid),
                };
                assert_eq!(error, expected);
            }
        }
    }
}

#[test]
fn every_kind_of_key_signs() {
    let rng = &mut Rng::from_number(5);
    let mut keys = vec![Keypair::generate_ed25519(rng)];
    #[cfg(feature = "secp256k1")]
    keys.push(Keypair::generate_secp256k1(rng));
    #[cfg(feature = "ecdsa")]
    keys.push(Keypair::generate_ecdsa(rng));
    for keypair in keys {
        let ipns = Namespace::ipns();
        let record = ipns.sign(&keypair, b"", content("/ipfs/x", 7)).unwrap();
        let key = ipns.key(&keypair.peer_id(), b"");
        assert_eq!(ipns.verify(&key, record.as_bytes()), Ok(record.clone()));
        let has_key = Reader(record.as_bytes()).any(|field| field.unwrap().0 == 7);
        assert_eq!(has_key, keypair.peer_id().public_key().is_none(), "only if it is needed");
    }
}

#[test]
fn nobody_signs_for_another() {
    let ipns = Namespace::ipns();
    let record = ipns.sign(&keypair(1), b"", content("/ipfs/x", 0)).unwrap();
    let other = ipns.key(&keypair(2).peer_id(), b"");
    let wrong = ipns.verify(&other, record.as_bytes());
    assert!(matches!(wrong, Err(RecordError::Signature(_))), "{wrong:?}");
    // With its own key in the record, too.
    let mut bytes = record.as_bytes().to_vec();
    Writer(&mut bytes).bytes(7, &keypair(1).public().to_protobuf());
    assert_eq!(ipns.verify(&other, &bytes), Err(RecordError::Signer(keypair(1).peer_id())));
    // A PeerId that does not hold its key.
    let hashed = PeerId::random(&mut Rng::from_number(3));
    let missing = ipns.verify(&ipns.key(&hashed, b""), record.as_bytes());
    assert_eq!(missing, Err(RecordError::NoPublicKey));
}

#[test]
fn what_is_signed_in_one_place_means_nothing_in_another() {
    let (keypair, me) = (keypair(1), keypair(1).peer_id());
    let (a, b) = (Namespace::new("a").unwrap(), Namespace::new("b").unwrap());
    let record = a.sign(&keypair, b"x", content("v", 1)).unwrap();
    let bytes = record.as_bytes();
    assert!(a.verify(&a.key(&me, b"x"), bytes).is_ok());
    assert_eq!(a.verify(&a.key(&me, b"y"), bytes), Err(RecordError::Name));
    assert_eq!(a.verify(&a.key(&me, b""), bytes), Err(RecordError::Name));
    let elsewhere = b.verify(&b.key(&me, b"x"), bytes);
    assert!(matches!(elsewhere, Err(RecordError::Signature(_))), "{elsewhere:?}");
    let ipns = Namespace::ipns();
    assert!(ipns.verify(&ipns.key(&me, b""), bytes).is_err());
}

#[test]
fn a_namespace_can_belong_to_some() {
    let ours = Namespace::new("news").unwrap().signed_by(vec![keypair(1).peer_id()]);
    let record = ours.sign(&keypair(1), b"today", content("v", 1)).unwrap();
    let key = ours.key(&keypair(1).peer_id(), b"today");
    assert_eq!(key, b"/news/today");
    assert_eq!(ours.verify(&key, record.as_bytes()).unwrap().signer(), keypair(1).peer_id());
    let stranger = RecordError::Signer(keypair(2).peer_id());
    assert_eq!(ours.sign(&keypair(2), b"today", content("v", 1)), Err(stranger.clone()));
    let theirs = Namespace::new("news").unwrap().signed_by(vec![keypair(2).peer_id()]);
    let record = theirs.sign(&keypair(2), b"today", content("v", 1)).unwrap();
    assert_eq!(ours.verify(&key, record.as_bytes()), Err(stranger));
}

#[test]
fn names_of_namespaces() {
    for name in ["", "ipns", "pk", "a/b", "A", "ä", &"a".repeat(65)] {
        assert!(Namespace::new(name).is_err(), "{name}");
    }
    assert!(Namespace::new(&"a".repeat(64)).is_ok());
}

#[test]
fn times_hold_at_both_ends() {
    let keypair = keypair(1);
    let own = Namespace::new("own").unwrap();
    let lifetime = Lifetime::Between(NOW, LATER);
    let record = own.sign(&keypair, b"", Content { lifetime, ..content("v", 1) }).unwrap();
    let key = own.key(&keypair.peer_id(), b"");
    let record = own.verify(&key, record.as_bytes()).unwrap();
    let nano = Duration::from_nanos(1);
    assert_eq!(record.check_time(NOW - nano), Err(RecordError::Early));
    assert_eq!(record.check_time(NOW), Ok(()));
    assert_eq!(record.check_time(LATER - nano), Ok(()));
    assert_eq!(record.check_time(LATER), Err(RecordError::Expired));
    let millis = LATER.as_millis() as u64;
    assert!(own.validate(&key, record.as_bytes(), millis - 1).is_ok());
    let expired = Invalid::Value(RecordError::Expired.to_string());
    assert_eq!(own.validate(&key, record.as_bytes(), millis), Err(expired));
}

#[test]
fn the_higher_number_then_the_later_end_is_better() {
    let (keypair, ipns) = (keypair(1), Namespace::ipns());
    let key = ipns.key(&keypair.peer_id(), b"");
    let sign = |sequence, until| {
        let lifetime = Lifetime::Until(Duration::from_secs(until));
        let content = Content { lifetime, ..content("/ipfs/x", sequence) };
        ipns.sign(&keypair, b"", content).unwrap().as_bytes().to_vec()
    };
    let order = [vec![1, 2], sign(1, 2_000), sign(1, 3_000), sign(2, 1_000)];
    for (better, worse) in [(1, 0), (2, 1), (3, 2), (3, 1)] {
        assert!(ipns.is_better(&key, &order[better], &order[worse]));
        assert!(!ipns.is_better(&key, &order[worse], &order[better]));
    }
    assert!(!ipns.is_better(&key, &order[1], &order[1]));
}

#[test]
fn ten_kib_is_the_limit() {
    let (keypair, ipns) = (keypair(1), Namespace::ipns());
    let sign = |length| ipns.sign(&keypair, b"", content(&"v".repeat(length), 0));
    // The value stands in the record twice.
    let most = (4_000..5_200).rev().find(|length| sign(*length).is_ok()).unwrap();
    assert!(sign(most).unwrap().as_bytes().len() > SignedRecord::MAX_LEN - 2);
    assert!(matches!(sign(most + 1), Err(RecordError::TooLong(_))));
    let long = vec![0; SignedRecord::MAX_LEN + 1];
    let key = ipns.key(&keypair.peer_id(), b"");
    assert_eq!(ipns.verify(&key, &long), Err(RecordError::TooLong(long.len())));
}

#[test]
fn a_field_that_is_missing_or_says_something_else() {
    let (keypair, ipns) = (keypair(1), Namespace::ipns());
    let key = ipns.key(&keypair.peer_id(), b"");
    let record = ipns.sign(&keypair, b"", content("/ipfs/x", 9)).unwrap();
    let verify = |bytes: &[u8]| ipns.verify(&key, bytes);
    let without =
        |gone: u32| altered(record.as_bytes(), |tag, bytes| (tag != gone).then(|| bytes.to_vec()));
    assert_eq!(verify(&without(1)), Err(RecordError::Differs));
    assert_eq!(verify(&without(4)), Err(RecordError::Differs));
    assert_eq!(verify(&without(8)), Err(RecordError::Unsigned));
    assert_eq!(verify(&without(9)), Err(RecordError::Unsigned));
    // The first signature is not looked at, and without anything of version 1 it is good.
    assert!(verify(&without(2)).is_ok());
    let mut second = Vec::new();
    for field in Reader(record.as_bytes()).map(Result::unwrap).filter(|(tag, _)| *tag >= 8) {
        Writer(&mut second).bytes(field.0, field.1.bytes().unwrap());
    }
    assert_eq!(verify(&second).unwrap().content(), record.content());
    // The last of a field counts.
    let mut sequence = record.as_bytes().to_vec();
    Writer(&mut sequence).number(5, 10);
    assert_eq!(verify(&sequence), Err(RecordError::Differs));
}

#[test]
fn what_is_bent_is_never_taken_for_something_else() {
    let keypair = keypair(1);
    let ipns = Namespace::ipns();
    let key = ipns.key(&keypair.peer_id(), b"");
    let seeds: Vec<Vec<u8>> = (0..4)
        .map(|n| ipns.sign(&keypair, b"", content("/ipfs/bafy", n)).unwrap().as_bytes().to_vec())
        .collect();
    let contents: Vec<Content> = (0..4).map(|n| content("/ipfs/bafy", n)).collect();
    mutations(1, &seeds, 3_000, |bytes| {
        if let Ok(record) = ipns.verify(&key, bytes) {
            assert!(contents.contains(record.content()), "{record:?}");
        }
        ipns.is_better(&key, bytes, &seeds[0]);
    });
}

#[test]
fn keys_of_other_forms_are_refused() {
    let ipns = Namespace::ipns();
    let peer = keypair(1).peer_id();
    let record = ipns.sign(&keypair(1), b"", content("/ipfs/x", 0)).unwrap();
    let good = ipns.key(&peer, b"");
    let cut = &good[..good.len() - 1];
    let text = format!("/ipns/{peer}");
    let more = [&good[..], b"/x"].concat();
    for key in [&b""[..], b"/ipns/", b"/pk/x", cut, text.as_bytes(), &more] {
        assert_eq!(ipns.validate(key, record.as_bytes(), 0), Err(Invalid::Key), "{key:?}");
        assert!(!ipns.is_better(key, record.as_bytes(), b""));
    }
}

#[test]
fn a_namespace_without_a_validator_is_refused() {
    let validators = Validators::default();
    assert_eq!(validators.validate(b"/own/x", b"v", 0), Err(Invalid::Namespace));
    let (ipns, keypair) = (Namespace::ipns(), keypair(1));
    let record = ipns.sign(&keypair, b"", content("/ipfs/x", 0)).unwrap();
    let key = ipns.key(&keypair.peer_id(), b"");
    assert_eq!(validators.validate(&key, record.as_bytes(), 0), Ok(()));
    let public = keypair.public().to_protobuf();
    let key = [b"/pk/", keypair.peer_id().as_bytes()].concat();
    assert_eq!(validators.validate(&key, &public, 0), Ok(()));
    let foreign = [b"/pk/", PeerId::random(&mut Rng::from_number(1)).as_bytes()].concat();
    assert!(matches!(validators.validate(&foreign, &public, 0), Err(Invalid::Value(_))));
}

proptest! {
    #[test]
    fn what_is_signed_is_read(
        value in proptest::collection::vec(any::<u8>(), 0..200),
        name in proptest::collection::vec(any::<u8>(), 0..40),
        sequence: u64,
        ttl: u64,
        from in 0..200_000_000_000u64,
        nanos in 0..1_000_000_000u32,
        between: bool,
    ) {
        let (keypair, own) = (keypair(1), Namespace::new("own").unwrap());
        let start = Duration::new(from, nanos);
        let end = Duration::from_secs(from / 2 + 7);
        let lifetime =
            if between { Lifetime::Between(start, end) } else { Lifetime::Until(start) };
        let content = Content { value, sequence, lifetime, ttl: Duration::from_nanos(ttl) };
        let record = own.sign(&keypair, &name, content.clone()).unwrap();
        let read = own.verify(&own.key(&keypair.peer_id(), &name), record.as_bytes()).unwrap();
        prop_assert_eq!(read.content(), &content);
        prop_assert_eq!(read, record);
    }
}
