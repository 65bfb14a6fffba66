//! Messages against prost, whose definitions are those of the specification.

use proptest::prelude::*;
use prost::Message as _;

use super::message::{self, DialStatus, MAX_ADDRESSES, Message, ResponseStatus};
use super::v1;
use crate::address::Multiaddr;
use crate::identity::PeerId;
use crate::rng::Rng;

mod oracle {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Message {
        #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
        pub(super) kind: Option<Kind>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Kind {
        #[prost(message, tag = "1")]
        Request(Request),
        #[prost(message, tag = "2")]
        Response(Response),
        #[prost(message, tag = "3")]
        DataRequest(DataRequest),
        #[prost(message, tag = "4")]
        Data(Data),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(bytes = "vec", repeated, tag = "1")]
        pub(super) addrs: Vec<Vec<u8>>,
        #[prost(fixed64, tag = "2")]
        pub(super) nonce: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Response {
        #[prost(int32, tag = "1")]
        pub(super) status: i32,
        #[prost(uint32, tag = "2")]
        pub(super) index: u32,
        #[prost(int32, tag = "3")]
        pub(super) dial: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct DataRequest {
        #[prost(uint32, tag = "1")]
        pub(super) index: u32,
        #[prost(uint64, tag = "2")]
        pub(super) bytes: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Data {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) data: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct DialBack {
        #[prost(fixed64, tag = "1")]
        pub(super) nonce: u64,
    }

    /// Of version 1.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct First {
        #[prost(int32, optional, tag = "1")]
        pub(super) kind: Option<i32>,
        #[prost(message, optional, tag = "2")]
        pub(super) dial: Option<Dial>,
        #[prost(message, optional, tag = "3")]
        pub(super) response: Option<FirstResponse>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Dial {
        #[prost(message, optional, tag = "1")]
        pub(super) peer: Option<Info>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Info {
        #[prost(bytes = "vec", optional, tag = "1")]
        pub(super) id: Option<Vec<u8>>,
        #[prost(bytes = "vec", repeated, tag = "2")]
        pub(super) addrs: Vec<Vec<u8>>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct FirstResponse {
        #[prost(int32, optional, tag = "1")]
        pub(super) status: Option<i32>,
        #[prost(string, optional, tag = "2")]
        pub(super) text: Option<String>,
        #[prost(bytes = "vec", optional, tag = "3")]
        pub(super) addr: Option<Vec<u8>>,
    }
}

use oracle::Kind;

fn addresses() -> Vec<Multiaddr> {
    ["/ip4/1.2.3.4/tcp/4001", "/ip6/2a00::1/udp/4001/quic-v1"].map(|t| t.parse().unwrap()).into()
}

fn encoded(kind: Kind) -> Vec<u8> {
    oracle::Message { kind: Some(kind) }.encode_to_vec()
}

#[test]
fn messages_of_version_2_are_those_of_the_specification() {
    let bytes: Vec<Vec<u8>> = addresses().iter().map(|a| a.as_bytes().to_vec()).collect();
    let read = addresses().into_iter().map(Some).collect();
    let response = |status, number| {
        let dial = DialStatus::Ok;
        let ours = Message::Response { status, index: 3, dial };
        (ours, Kind::Response(oracle::Response { status: number, index: 3, dial: 200 }))
    };
    for (ours, theirs) in [
        (
            Message::Request { addresses: read, nonce: u64::MAX - 1 },
            Kind::Request(oracle::Request { addrs: bytes, nonce: u64::MAX - 1 }),
        ),
        (
            Message::DataRequest { index: 1, bytes: 30_000 },
            Kind::DataRequest(oracle::DataRequest { index: 1, bytes: 30_000 }),
        ),
        (Message::Data(4096), Kind::Data(oracle::Data { data: vec![0; 4096] })),
        (Message::Data(0), Kind::Data(oracle::Data::default())),
        response(ResponseStatus::Ok, 200),
        response(ResponseStatus::Rejected, 100),
        response(ResponseStatus::DialRefused, 101),
        response(ResponseStatus::InternalError, 0),
        response(ResponseStatus::Other(300), 300),
    ] {
        assert_eq!(ours.encode(), encoded(theirs.clone()), "{ours:?}");
        assert_eq!(Message::decode(&encoded(theirs)), Ok(ours));
    }
    for nonce in [0, 1, u64::MAX] {
        let theirs = oracle::DialBack { nonce }.encode_to_vec();
        assert_eq!(message::dial_back(nonce), theirs);
        assert_eq!(message::decode_dial_back(&theirs), Ok(nonce));
    }
    assert!(message::took_dial_back(&[]) && message::took_dial_back(&[8, 0]));
    assert!(!message::took_dial_back(&[8, 1]) && !message::took_dial_back(&[8]));
}

#[test]
fn messages_of_version_1_are_those_of_the_specification() {
    let peer = PeerId::random(&mut Rng::from_number(1));
    let addrs = addresses().iter().map(|a| a.as_bytes().to_vec()).collect();
    let info = oracle::Info { id: Some(peer.as_bytes().to_vec()), addrs };
    let dial = oracle::First {
        kind: Some(0),
        dial: Some(oracle::Dial { peer: Some(info) }),
        response: None,
    };
    let ours = v1::Message::Dial { peer: Some(peer), addresses: addresses() };
    assert_eq!(ours.encode(), dial.encode_to_vec());
    assert_eq!(v1::Message::decode(&dial.encode_to_vec()), Ok(ours));
    for (status, number) in [
        (v1::Status::Ok, 0),
        (v1::Status::DialError, 100),
        (v1::Status::DialRefused, 101),
        (v1::Status::BadRequest, 200),
        (v1::Status::InternalError, 300),
    ] {
        let address = addresses().pop().filter(|_| status == v1::Status::Ok);
        let addr = address.as_ref().map(|a| a.as_bytes().to_vec());
        let response = oracle::FirstResponse { status: Some(number), text: None, addr };
        let theirs = oracle::First { kind: Some(1), dial: None, response: Some(response) };
        let ours = v1::Message::Response { status, address };
        assert_eq!(ours.encode(), theirs.encode_to_vec());
        assert_eq!(v1::Message::decode(&theirs.encode_to_vec()), Ok(ours));
    }
}

#[test]
fn an_address_that_cannot_be_read_keeps_its_number() {
    let good = addresses()[0].as_bytes().to_vec();
    let request = oracle::Request { addrs: vec![vec![0xff; 9], good], nonce: 1 };
    let Ok(Message::Request { addresses, .. }) = Message::decode(&encoded(Kind::Request(request)))
    else {
        panic!("it is a request");
    };
    assert!(addresses[0].is_none() && addresses[1].is_some());
}

#[test]
fn no_more_addresses_are_kept_than_the_limits() {
    let addrs = vec![addresses()[0].as_bytes().to_vec(); 300];
    let request = encoded(Kind::Request(oracle::Request { addrs: addrs.clone(), nonce: 1 }));
    let Ok(Message::Request { addresses, .. }) = Message::decode(&request) else { panic!() };
    assert_eq!(addresses.len(), MAX_ADDRESSES);
    let info = Some(oracle::Info { id: None, addrs });
    let dial = Some(oracle::Dial { peer: info });
    let first = oracle::First { kind: Some(0), dial, response: None };
    let Ok(v1::Message::Dial { addresses, .. }) = v1::Message::decode(&first.encode_to_vec())
    else {
        panic!()
    };
    assert_eq!(addresses.len(), v1::MAX_ADDRESSES);
}

proptest! {
    #[test]
    fn what_is_read_is_written_the_same(bytes: Vec<u8>) {
        if let Ok(message) = Message::decode(&bytes) {
            let again = Message::decode(&message.encode()).unwrap();
            let capped = |message: Message| match message {
                Message::Data(count) => Message::Data(count.min(message::MAX_DATA_BYTES)),
                Message::Request { addresses, nonce } => {
                    let addresses = addresses.into_iter().filter(Option::is_some).collect();
                    Message::Request { addresses, nonce }
                }
                other => other,
            };
            prop_assert_eq!(capped(again), capped(message));
        }
        if let Ok(message) = v1::Message::decode(&bytes) {
            prop_assert_eq!(v1::Message::decode(&message.encode()), Ok(message));
        }
    }
}
