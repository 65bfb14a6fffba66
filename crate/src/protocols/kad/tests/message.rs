use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::super::message::{MAX_ADDRESSES, MAX_KEY, MAX_MESSAGE, MAX_PEERS, MAX_VALUE};
use super::super::*;
use super::peer;
use crate::address::Multiaddr;

/// The messages as the specification has them, by another codec.
mod oracle {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Record {
        #[prost(bytes, tag = "1")]
        pub(super) key: Vec<u8>,
        #[prost(bytes, tag = "2")]
        pub(super) value: Vec<u8>,
        #[prost(string, tag = "5")]
        pub(super) time_received: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Peer {
        #[prost(bytes, tag = "1")]
        pub(super) id: Vec<u8>,
        #[prost(bytes, repeated, tag = "2")]
        pub(super) addrs: Vec<Vec<u8>>,
        #[prost(int32, tag = "3")]
        pub(super) connection: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Message {
        #[prost(int32, tag = "1")]
        pub(super) kind: i32,
        #[prost(int32, tag = "10")]
        pub(super) cluster: i32,
        #[prost(bytes, tag = "2")]
        pub(super) key: Vec<u8>,
        #[prost(message, tag = "3")]
        pub(super) record: Option<Record>,
        #[prost(message, repeated, tag = "8")]
        pub(super) closer: Vec<Peer>,
        #[prost(message, repeated, tag = "9")]
        pub(super) providers: Vec<Peer>,
    }
}

fn contact(number: u64) -> Contact {
    let address: Multiaddr = format!("/ip4/192.0.2.{}/tcp/4001", number % 250).parse().unwrap();
    Contact { peer: peer(number), addresses: vec![address], link: Link::Connected }
}

fn record(key: &[u8]) -> Record {
    Record { key: key.to_vec(), value: b"value".to_vec(), received: "2026-01-01T00:00:00Z".into() }
}

fn requests() -> Vec<Request> {
    let key = b"/test/key".to_vec();
    vec![
        Request::FindNode { key: peer(1).as_bytes().to_vec() },
        Request::GetValue { key: key.clone() },
        Request::PutValue { record: record(&key) },
        Request::GetProviders { key: key.clone() },
        Request::AddProvider { key, providers: vec![contact(1)] },
        Request::Ping,
    ]
}

#[test]
fn requests_and_answers_come_back_as_they_went() {
    for request in requests() {
        assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request.clone()));
        let answer = Answer {
            record: (!request.key().is_empty()).then(|| record(request.key())),
            closer: (0..20).map(contact).collect(),
            providers: vec![contact(30)],
        };
        assert_eq!(request.read_answer(&request.answer(answer.clone())), Ok(answer));
    }
}

#[test]
fn another_codec_reads_and_writes_the_same() {
    let kinds = [4, 1, 0, 3, 2, 5];
    for (request, kind) in requests().into_iter().zip(kinds) {
        let message = oracle::Message::decode(&*request.to_bytes()).unwrap();
        assert_eq!((message.kind, &message.key[..]), (kind, request.key()));
        let message = oracle::Message { cluster: 7, ..message };
        assert_eq!(Request::from_bytes(&message.encode_to_vec()), Ok(request));
    }
}

#[test]
fn an_answer_must_be_to_the_question() {
    let request = Request::GetValue { key: b"this".to_vec() };
    let other = Request::GetValue { key: b"that".to_vec() };
    let wrong = [
        (other.answer(Answer::default()), MessageError::Answer),
        (Request::Ping.answer(Answer::default()), MessageError::Answer),
        (
            request.answer(Answer { record: Some(record(b"that")), ..Answer::default() }),
            MessageError::Record,
        ),
    ];
    for (bytes, error) in wrong {
        assert_eq!(request.read_answer(&bytes), Err(error));
    }
    // Some leave the key out, or answer with a record that has no value.
    let message =
        oracle::Message { kind: 1, record: Some(Default::default()), ..Default::default() };
    assert_eq!(request.read_answer(&message.encode_to_vec()), Ok(Answer::default()));
}

#[test]
fn too_much_is_refused_or_left_out() {
    let long = |length| oracle::Message { kind: 1, key: vec![1; length], ..Default::default() };
    assert!(Request::from_bytes(&long(MAX_KEY).encode_to_vec()).is_ok());
    let error = Request::from_bytes(&long(MAX_KEY + 1).encode_to_vec());
    assert_eq!(error, Err(MessageError::Key(MAX_KEY + 1)));

    let put = |value| oracle::Message {
        key: b"k".to_vec(),
        record: Some(oracle::Record { key: b"k".to_vec(), value, ..Default::default() }),
        ..Default::default()
    };
    assert!(Request::from_bytes(&put(vec![1; MAX_VALUE]).encode_to_vec()).is_ok());
    let error = Request::from_bytes(&put(vec![1; MAX_VALUE + 1]).encode_to_vec());
    assert_eq!(error, Err(MessageError::Value(MAX_VALUE + 1)));

    let address: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
    let addrs = vec![address.as_bytes().to_vec(); MAX_ADDRESSES + 5];
    let named = oracle::Peer { id: peer(1).as_bytes().to_vec(), addrs, connection: 99 };
    let message =
        oracle::Message { kind: 4, closer: vec![named; MAX_PEERS + 5], ..Default::default() };
    let request = Request::FindNode { key: Vec::new() };
    let answer = request.read_answer(&message.encode_to_vec()).unwrap();
    assert_eq!(answer.closer.len(), MAX_PEERS);
    assert_eq!(answer.closer[0].addresses.len(), MAX_ADDRESSES);
    assert_eq!(answer.closer[0].link, Link::NotConnected);
}

#[test]
fn nonsense_beside_what_can_be_read_does_no_harm() {
    let nobody = oracle::Peer { id: b"nobody".to_vec(), ..Default::default() };
    let nowhere = oracle::Peer {
        id: peer(1).as_bytes().to_vec(),
        addrs: vec![b"nowhere".to_vec()],
        connection: 1,
    };
    let message = oracle::Message { kind: 4, closer: vec![nobody, nowhere], ..Default::default() };
    let request = Request::FindNode { key: Vec::new() };
    let answer = request.read_answer(&message.encode_to_vec()).unwrap();
    let expected = Contact { peer: peer(1), addresses: vec![], link: Link::Connected };
    assert_eq!(answer.closer, [expected]);
    assert_eq!(Request::from_bytes(&[8, 9]), Err(MessageError::Type(9)));
    assert_eq!(Request::from_bytes(&[8, 0]), Err(MessageError::Record));
}

#[test]
fn answers_stay_within_the_limit() {
    let mut full = contact(1);
    full.addresses = (0..MAX_ADDRESSES)
        .map(|n| format!("/dns4/{}.example/tcp/{n}/tls/ws", "long".repeat(40)).parse().unwrap())
        .collect();
    let request = Request::GetProviders { key: b"k".to_vec() };
    let answer = Answer { record: None, closer: vec![full.clone(); 60], providers: vec![full; 60] };
    let bytes = request.answer(answer);
    assert!(bytes.len() <= MAX_MESSAGE && bytes.len() > MAX_MESSAGE / 2);
    let read = request.read_answer(&bytes).unwrap();
    // Providers are what was asked for: those who are closer give way.
    assert!(read.providers.len() > read.closer.len());
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Request::from_bytes(&bytes);
        let _ = Request::FindNode { key: Vec::new() }.read_answer(&bytes);
    }

    #[test]
    fn any_key_and_value_come_back(key in vec(any::<u8>(), 0..100), value in vec(any::<u8>(), 0..500)) {
        let record = Record { key, value, received: String::new() };
        let request = Request::PutValue { record };
        prop_assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request));
    }
}
