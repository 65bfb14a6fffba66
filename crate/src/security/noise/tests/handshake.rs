//! Two ends of our own, and an end that says what it likes.

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
use prost::Message;

use super::*;
use crate::identity::PublicKey;
use crate::security::noise::payload;
use crate::security::noise::resolver::{Seeded, start, static_key};

#[test]
fn both_ends_agree_at_every_chunking() {
    for chunk in [1, 2, 3, 31, 100, usize::MAX] {
        let (mut a, mut b) = shake(initiator(), responder(), chunk).unwrap();
        assert_eq!(a.peer_id, keypair(2).peer_id());
        assert_eq!(b.peer_id, keypair(1).peer_id());
        assert_eq!(b.remote, keypair(1).public());
        for data in [&b""[..], b"hello", &[7; 5000]] {
            send(&mut a.sealer, &mut b.opener, data);
            send(&mut b.sealer, &mut a.opener, data);
        }
    }
}

#[test]
fn a_run_repeats_from_its_seed() {
    let wire = |number| {
        let mut out = Vec::new();
        Handshake::new(config(Role::Initiator, number), &mut out).unwrap();
        out
    };
    assert_eq!(wire(1), wire(1));
    assert_ne!(wire(1), wire(2));
    assert_eq!(wire(1).len(), LENGTH + 32);
}

#[test]
fn muxers_and_certhashes_round_trip() {
    let names = |list: &[&str]| list.iter().map(|name| Name::from(*name)).collect::<Vec<_>>();
    let with = |ours: &[&str], theirs: &[&str]| {
        let a = Config { muxers: names(ours), ..initiator() };
        let hashes = vec![vec![0x12, 0x20, 1], vec![0x12, 0x20, 2]];
        let b = Config { muxers: names(theirs), certhashes: hashes.clone(), ..responder() };
        let (a, b) = shake(a, b, usize::MAX).unwrap();
        assert_eq!(a.remote_muxers, names(theirs));
        assert_eq!(b.remote_muxers, names(ours));
        assert_eq!(a.remote_certhashes, hashes);
        assert!(b.remote_certhashes.is_empty());
        assert_eq!(a.muxer, b.muxer);
        a.muxer
    };
    let (yamux, mplex) = ("/yamux/1.0.0", "/mplex/6.7.0");
    assert_eq!(with(&[yamux, mplex], &[mplex, yamux]).as_deref(), Some(yamux));
    assert_eq!(with(&[mplex, yamux], &[yamux]).as_deref(), Some(yamux));
    assert_eq!(with(&[mplex], &[yamux]), None);
    assert_eq!(with(&[], &[yamux]), None);
    assert_eq!(with(&[yamux], &[]), None);
}

#[test]
fn the_expected_peer_passes_and_another_is_named() {
    let (alice, bob) = (keypair(1).peer_id(), keypair(2).peer_id());
    let expecting = |config: Config, peer| Config { expected: Some(peer), ..config };
    shake(expecting(initiator(), bob), expecting(responder(), alice), 7).unwrap();
    for result in [
        shake(expecting(initiator(), alice), responder(), 7),
        shake(initiator(), expecting(responder(), bob), 7),
    ] {
        let Err(error @ Error::WrongPeer { expected, actual }) = result else { panic!() };
        assert_ne!(expected, actual);
        let text = error.to_string();
        assert!(text.contains(&alice.to_string()) && text.contains(&bob.to_string()));
    }
}

#[test]
fn prologues_must_be_equal() {
    let with = |config: Config, prologue: &[u8]| Config { prologue: prologue.to_vec(), ..config };
    shake(with(initiator(), b"same"), with(responder(), b"same"), 9).unwrap();
    let result = shake(with(initiator(), b"one"), with(responder(), b"other"), 9);
    assert!(matches!(result, Err(Error::Decrypt)));
}

#[test]
fn frames_that_follow_the_handshake_are_left_alone() {
    let (mut to_b, mut to_a) = (Vec::new(), Vec::new());
    let mut a = Handshake::new(initiator(), &mut to_b).unwrap();
    let mut b = Handshake::new(responder(), &mut to_a).unwrap();
    b.receive(&to_b, &mut to_a).unwrap();
    to_b.clear();
    let (_, Step::Done(mut a)) = a.receive(&to_a, &mut to_b).unwrap() else { panic!() };
    let start = to_b.len();
    to_b.extend_from_slice(b"\0\0early");
    a.sealer.seal(&mut to_b, start).unwrap();
    let (count, Step::Done(mut b)) = b.receive(&to_b, &mut to_a).unwrap() else { panic!() };
    assert_eq!(count, start);
    let (frame, _) = split_frame(&mut to_b[start..]).unwrap();
    assert_eq!(b.opener.open(frame).unwrap(), b"early");
}

#[test]
fn a_handshake_that_is_over_stays_over() {
    let (mut to_b, mut to_a) = (Vec::new(), Vec::new());
    let mut b = Handshake::new(responder(), &mut to_a).unwrap();
    assert!(matches!(b.receive(&[0, 3, 1, 2, 3], &mut to_a), Err(Error::Malformed)));
    assert!(matches!(b.receive(&[0, 3, 1, 2, 3], &mut to_a), Err(Error::Over)));
    assert!(matches!(b.verified(true, &mut to_a), Err(Error::Over)));
    let mut a = Handshake::new(initiator(), &mut to_b).unwrap();
    assert!(matches!(a.verified(true, &mut to_b), Err(Error::Over)));
}

/// An initiator whose messages carry `first` and what `second` makes of its static key.
fn dial_with(first: &[u8], second: impl Fn(&[u8]) -> Vec<u8>) -> Result<(Handshake, Step), Error> {
    let mut rng = Rng::from_number(9);
    let (private, public) = static_key(&mut rng);
    let mut noise = start(Role::Initiator, &private, &[], Box::new(Seeded(rng))).unwrap();
    let mut out = Vec::new();
    let mut handshake = Handshake::new(responder(), &mut out)?;
    let mut buffer = vec![0; 65535];
    let mut message = |noise: &mut snow::HandshakeState, payload: &[u8]| {
        let length = noise.write_message(payload, &mut buffer).unwrap();
        [&(length as u16).to_be_bytes(), &buffer[..length]].concat()
    };
    handshake.receive(&message(&mut noise, first), &mut out)?;
    noise.read_message(&out[LENGTH..], &mut [0; 65535]).unwrap();
    let (_, step) = handshake.receive(&message(&mut noise, &second(&public)), &mut out)?;
    Ok((handshake, step))
}

/// `NoiseHandshakePayload` as prost has it, beside ours.
#[derive(Clone, PartialEq, Message)]
struct Payload {
    #[prost(bytes = "vec", optional, tag = "1")]
    identity_key: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    identity_sig: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    extensions: Option<Vec<u8>>,
}

fn honest(public: &[u8]) -> Payload {
    let bytes = payload::encode(&keypair(3), public, &[], &[]).unwrap();
    Payload::decode(&*bytes).unwrap()
}

fn with_extensions(public: &[u8], extensions: Vec<u8>) -> Vec<u8> {
    Payload { extensions: Some(extensions), ..honest(public) }.encode_to_vec()
}

#[test]
fn unknown_fields_are_ignored() {
    // Field 2047, length-delimited, three bytes; field 9, varint.
    let unknown = b"\xfa\x7f\x03abc\x48\x05";
    let (_, step) = dial_with(&[], |public| {
        let extensions = [b"\x12\x0c/yamux/1.0.0", &unknown[..]].concat();
        [with_extensions(public, extensions), unknown.to_vec()].concat()
    })
    .unwrap();
    let Step::Done(secured) = step else { panic!() };
    assert_eq!(secured.muxer.as_deref(), Some("/yamux/1.0.0"));
    assert_eq!(secured.peer_id, keypair(3).peer_id());
}

#[test]
fn payloads_are_judged() {
    let fails = |second: &dyn Fn(&[u8]) -> Vec<u8>| dial_with(&[], second).err().unwrap();
    assert!(dial_with(&[], |public| honest(public).encode_to_vec()).is_ok());
    assert!(matches!(
        dial_with(b"early", |public| honest(public).encode_to_vec()),
        Err(Error::Malformed)
    ));
    assert!(matches!(fails(&|_| vec![]), Error::Payload));
    assert!(matches!(fails(&|_| vec![0xff; 9]), Error::Payload));
    let error = fails(&|public| Payload { identity_sig: None, ..honest(public) }.encode_to_vec());
    assert!(matches!(error, Error::Payload));
    let error = fails(&|public| Payload { identity_key: None, ..honest(public) }.encode_to_vec());
    assert!(matches!(error, Error::Payload));
    let error = fails(&|public| {
        Payload { identity_key: Some(vec![8, 1]), ..honest(public) }.encode_to_vec()
    });
    assert!(matches!(error, Error::IdentityKey(_)));
    let error = fails(&|public| {
        let key = keypair(4).public().to_protobuf();
        Payload { identity_key: Some(key), ..honest(public) }.encode_to_vec()
    });
    assert!(matches!(error, Error::Signature(_)));
    let error = fails(&|public| {
        let mut other = public.to_vec();
        other[31] ^= 1;
        honest(&other).encode_to_vec()
    });
    assert!(matches!(error, Error::Signature(_)), "the signature is of another static key");
    let error = fails(&|public| with_extensions(public, vec![0xff; 3]));
    assert!(matches!(error, Error::Payload));
}

#[test]
fn limits_of_the_extensions_are_reached() {
    let flood = |length: usize| {
        dial_with(&[], |public| with_extensions(public, [0x12, 0, 0x0a, 0].repeat(length / 4)))
    };
    let Ok((_, Step::Done(secured))) = flood(MAX_EXTENSIONS) else { panic!() };
    assert_eq!(secured.remote_muxers.len(), MAX_MUXERS);
    assert_eq!(secured.remote_certhashes.len(), MAX_CERTHASHES);
    assert!(matches!(flood(MAX_EXTENSIONS + 4), Err(Error::ExtensionsTooLong)));
}

#[test]
fn limit_of_a_message_is_reached() {
    let padded = |length: usize| {
        dial_with(&[], |public| {
            let mut bytes = honest(public).encode_to_vec();
            // Field 2047 with a two-byte length.
            let rest = length - 48 - 16 - bytes.len() - 4;
            bytes.extend_from_slice(&[0xfa, 0x7f, rest as u8 | 0x80, (rest >> 7) as u8]);
            bytes.resize(bytes.len() + rest, 0);
            bytes
        })
    };
    assert!(matches!(padded(MAX_HANDSHAKE_MESSAGE), Ok((_, Step::Done(_)))));
    assert!(matches!(
        padded(MAX_HANDSHAKE_MESSAGE + 1),
        Err(Error::HandshakeTooLong { length: 8193, limit: MAX_HANDSHAKE_MESSAGE })
    ));
    let mut handshake = Handshake::new(responder(), &mut Vec::new()).unwrap();
    let result = handshake.receive(&[0xff, 0xff], &mut Vec::new());
    assert!(matches!(result, Err(Error::HandshakeTooLong { length: 65535, .. })));
}

#[test]
fn keys_of_low_order_are_refused() {
    let mut out = Vec::new();
    let mut handshake = Handshake::new(responder(), &mut out).unwrap();
    let message = [&[0, 32][..], &[0; 32]].concat();
    assert!(matches!(handshake.receive(&message, &mut out), Err(Error::WeakKey)));
}

/// An algorithm that is not compiled in is left to the host.
#[test]
fn the_host_verifies_what_the_core_cannot() {
    // Any RSA key does: the core only passes it on.
    let key = [&[0x08, 0, 0x12, 3][..], b"rsa"].concat();
    let dial = || {
        dial_with(&[], |public| {
            let identity_key = Some(key.clone());
            Payload { identity_key, identity_sig: Some(vec![1; 256]), ..honest(public) }
                .encode_to_vec()
        })
    };
    if cfg!(feature = "rsa") {
        assert!(matches!(dial(), Err(Error::Signature(_))));
        return;
    }
    let Ok((mut handshake, Step::Verify(request))) = dial() else { panic!() };
    assert_eq!(request.public_key, b"rsa");
    assert_eq!(request.signature, [1; 256]);
    assert!(request.message.starts_with(b"noise-libp2p-static-key:"));
    assert_eq!(request.message.len(), 24 + 32);
    let mut out = Vec::new();
    assert!(matches!(handshake.receive(b"frames", &mut out), Ok((0, Step::Pending))));
    let Ok(Step::Done(secured)) = handshake.verified(true, &mut out) else { panic!() };
    assert_eq!(secured.remote, PublicKey::from_protobuf(&key).unwrap());
    let Ok((mut handshake, Step::Verify(_))) = dial() else { panic!() };
    assert!(matches!(handshake.verified(false, &mut out), Err(Error::SignatureRefused)));
    assert!(matches!(handshake.verified(true, &mut out), Err(Error::Over)));
}

proptest! {
    #[test]
    fn payloads_round_trip(
        muxers in prop::collection::vec("[^\n]{0,40}", 0..=MAX_MUXERS),
        certhashes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..=MAX_CERTHASHES),
    ) {
        let names: Vec<Name> = muxers.iter().map(|name| Name::from(&**name)).collect();
        let bytes = payload::encode(&keypair(1), &[5; 32], &names, &certhashes).unwrap();
        let (key, signature, extensions) = payload::decode(&bytes).unwrap();
        prop_assert_eq!(&key, &keypair(1).public().to_protobuf());
        prop_assert!(keypair(1).public().verify(&payload::signed_message(&[5; 32]), &signature).is_ok());
        prop_assert_eq!(extensions.webtransport_certhashes, certhashes);
        prop_assert_eq!(extensions.stream_muxers, names);
    }

    #[test]
    fn no_payload_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = payload::decode(&bytes);
    }
}
