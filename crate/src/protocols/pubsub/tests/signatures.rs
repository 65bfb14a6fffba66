//! Signatures, policies and ids.

use std::sync::Arc;

use super::*;
use crate::identity::VerifyError;
use crate::security::RustCrypto;
use crate::wire::protobuf::Writer;
use wire::{Item, read};

fn reread(bytes: &[u8]) -> Message {
    let mut rpc = Vec::new();
    Writer(&mut rpc).bytes(2, bytes);
    let mut found = None;
    read(&rpc, |item| {
        if let Item::Message(message) = item {
            found = Some(message);
        }
    })
    .unwrap();
    Arc::unwrap_or_clone(found.unwrap())
}

#[test]
fn what_is_signed_is_verified_and_what_is_changed_is_not() {
    for keypair in [
        keypair(1),
        #[cfg(feature = "ecdsa")]
        Keypair::generate_ecdsa(&mut Rng::from_number(1)),
        #[cfg(feature = "secp256k1")]
        Keypair::generate_secp256k1(&mut Rng::from_number(1)),
    ] {
        let message = Message::signed(&keypair, 7, "news".into(), b"hello").unwrap();
        let read = reread(message.as_bytes());
        assert_eq!(read, message);
        assert_eq!((read.from(), read.seqno()), (Some(keypair.peer_id()), Some(7)));
        read.parts().check(Signing::Strict).unwrap();
        read.verify(&RustCrypto).unwrap();
        assert_eq!(read.parts().check(Signing::Without), Err(SignatureError::Unexpected));
        // Keys that do not fit into a peer id come along, and only the author's own will do.
        assert_eq!(read.key().is_some(), keypair.peer_id().public_key().is_none());
        for place in 0..message.as_bytes().len() {
            let mut bytes = message.as_bytes().to_vec();
            bytes[place] ^= 1;
            let mut rpc = Vec::new();
            Writer(&mut rpc).bytes(2, &bytes);
            let _ = wire::read(&rpc, |item| {
                if let Item::Message(message) = item {
                    let good = message
                        .parts()
                        .check(Signing::Strict)
                        .and_then(|()| message.verify(&RustCrypto));
                    assert!(good.is_err(), "byte {place} may be changed");
                }
            });
        }
    }
}

/// A message as a remote writes it whose fields are in another order and whose encoding has
/// a field that nobody knows.
#[test]
fn messages_are_passed_on_in_the_one_order_and_without_unknown_fields() {
    let message = signed(1, 7, "news", b"hello");
    let from = message.from().unwrap();
    let mut bytes = Vec::new();
    Writer(&mut bytes)
        .bytes(99, b"unknown")
        .bytes(5, message.signature().unwrap())
        .bytes(4, b"news")
        .bytes(3, &7u64.to_be_bytes())
        .bytes(2, b"not this")
        .bytes(2, b"hello")
        .bytes(1, from.as_bytes());
    let read = reread(&bytes);
    assert_eq!(read, message);
    read.verify(&RustCrypto).unwrap();
}

#[test]
fn policies_want_all_fields_or_none() {
    let bare = Message::unsigned("news".into(), b"hello");
    bare.parts().check(Signing::Without).unwrap();
    assert_eq!(bare.parts().check(Signing::Strict), Err(SignatureError::Missing));
    let whole = signed(1, 7, "news", b"hello");
    for (left_out, error) in
        [(1, SignatureError::Missing), (3, SignatureError::Missing), (5, SignatureError::Missing)]
    {
        let mut bytes = Vec::new();
        for field in crate::wire::protobuf::Reader(whole.as_bytes()) {
            let (number, value) = field.unwrap();
            if number != left_out {
                Writer(&mut bytes).bytes(number, value.bytes().unwrap());
            }
        }
        assert_eq!(reread(&bytes).parts().check(Signing::Strict), Err(error));
    }
    for (number, value) in [(1, &b"nobody"[..]), (3, b"seven")] {
        let mut bytes = whole.as_bytes().to_vec();
        Writer(&mut bytes).bytes(number, value);
        assert_eq!(reread(&bytes).parts().check(Signing::Strict), Err(SignatureError::Malformed));
    }
    let mut bytes = whole.as_bytes().to_vec();
    Writer(&mut bytes).bytes(6, &keypair(2).public().to_protobuf());
    assert_eq!(reread(&bytes).verify(&RustCrypto), Err(SignatureError::Malformed));
    let mut bytes = whole.as_bytes().to_vec();
    Writer(&mut bytes).bytes(2, b"bye");
    assert!(matches!(
        reread(&bytes).verify(&RustCrypto),
        Err(SignatureError::Signature(VerifyError::Invalid))
    ));
}

#[test]
fn ids_are_author_and_number_or_what_one_chooses() {
    let message = signed(1, 7, "news", b"hello");
    let usual = [peer(1).as_bytes(), &7u64.to_be_bytes()].concat();
    assert_eq!(MessageIds::Usual.of(&message), MessageId::new(&usual));
    let hash = hex::decode("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    let content = MessageId::new(&hash.unwrap());
    assert_eq!(MessageIds::Content.of(&message), content);
    let bare = Message::unsigned("news".into(), b"hello");
    assert_eq!(MessageIds::Usual.of(&bare), content);
    let custom = MessageIds::Custom(Arc::new(|message| message.data()[..2].to_vec()));
    assert_eq!(custom.of(&message), MessageId::new(b"he"));
    let none = MessageIds::Custom(Arc::new(|_| Vec::new()));
    assert_eq!(none.of(&message), MessageId::new(&usual));
}
