//! Messages of Kademlia: answers to all that we ask, and a server that anybody asks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer::Instant;
use polypeer::connection::StreamId;
use polypeer::node::{ConnectionId, Direction};
use polypeer::protocols::kad::message::{MAX_ADDRESSES, MAX_MESSAGE, MAX_PEERS};
use polypeer::protocols::kad::{Config, Invalid, Kademlia, Mode, NAME, Record, Request, Validator};
use polypeer::protocols::{Input, Local, Protocol};
use polypeer_fuzz::keypair;

/// Any value of `/any/…` is good; of others nobody judges.
struct Any;

impl Validator for Any {
    fn validate(&self, _: &[u8], _: &[u8], _: u64) -> Result<(), Invalid> {
        Ok(())
    }
    fn is_better(&self, _: &[u8], new: &[u8], old: &[u8]) -> bool {
        new > old
    }
}

fuzz_target!(|data: &[u8]| {
    let key = b"/any/key".to_vec();
    let record = Record { key: key.clone(), value: vec![1], received: String::new() };
    for asked in [
        Request::FindNode { key: key.clone() },
        Request::GetValue { key: key.clone() },
        Request::PutValue { record },
        Request::GetProviders { key },
        Request::Ping,
    ] {
        let Ok(answer) = asked.read_answer(data) else { continue };
        for contacts in [&answer.closer, &answer.providers] {
            assert!(contacts.len() <= MAX_PEERS);
            assert!(contacts.iter().all(|one| one.addresses.len() <= MAX_ADDRESSES));
        }
        let bytes = asked.answer(answer.clone());
        assert!(bytes.len() <= MAX_MESSAGE);
        assert_eq!(asked.read_answer(&bytes), Ok(answer));
    }

    let local = Local {
        keypair: keypair(1),
        addresses: Vec::new(),
        protocols: Vec::new(),
        agent: String::new(),
        protocol_version: String::new(),
        sequence: 0,
    };
    let (now, connection) = (Instant::ZERO, ConnectionId(1));
    let config = Config { mode: Mode::Server, protocol: NAME.into(), ..Config::default() };
    let mut kad = Kademlia::new(config, keypair(1).peer_id());
    kad.validators_mut().set("any", Box::new(Any));
    let (peer, remote) = (keypair(2).peer_id(), "/ip4/192.0.2.1/tcp/1".parse().unwrap());
    let direction = Direction::Inbound;
    let connected = Input::Connected { connection, peer: &peer, direction, remote: &remote };
    kad.handle(now, &local, connected);
    for number in 1..3 {
        let stream = StreamId::from_number(number);
        kad.handle(now, &local, Input::Inbound { connection, stream, protocol: &NAME.into() });
        let bytes = data.to_vec();
        kad.handle(now, &local, Input::Message { connection, stream, bytes });
        kad.handle(now, &local, Input::Finished { connection, stream });
        while kad.poll().is_some() {}
    }
    let kept = kad.store().len();
    match Request::from_bytes(data) {
        Ok(asked) => {
            assert_eq!(Request::from_bytes(&asked.to_bytes()), Ok(asked.clone()));
            let judged = asked.key().starts_with(b"/any/");
            match asked {
                Request::PutValue { .. } => assert!(kept == (usize::from(judged), 0)),
                Request::AddProvider { .. } => assert!(kept.0 == 0 && kept.1 <= 1),
                _ => assert_eq!(kept, (0, 0)),
            }
        }
        Err(_) => assert_eq!(kept, (0, 0)),
    }
});
