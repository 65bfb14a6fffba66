//! Messages of rendezvous, and a point that gets them from anybody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer::connection::StreamId;
use polypeer::node::{ConnectionId, Direction};
use polypeer::protocols::rendezvous::{MAX_FOUND, MAX_RECORD, Message, NAME, Server, ServerConfig};
use polypeer::protocols::{Input, Local, Protocol};
use polypeer::Instant;
use polypeer_fuzz_seeds::keypair;

fuzz_target!(|data: &[u8]| {
    if let Ok(read) = Message::decode(data) {
        if let Message::Discovered { registrations, .. } = &read {
            assert!(registrations.len() <= MAX_FOUND);
            assert!(registrations.iter().all(|one| one.record.len() <= MAX_RECORD));
        }
        assert_eq!(Message::decode(&read.encode()), Ok(read));
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
    let mut server = Server::new(Some(ServerConfig::default()), 1);
    let (peer, remote) = (keypair(2).peer_id(), "/ip4/192.0.2.1/tcp/1".parse().unwrap());
    let direction = Direction::Inbound;
    let connected = Input::Connected { connection, peer: &peer, direction, remote: &remote };
    server.handle(now, &local, connected);
    for number in 1..3 {
        let stream = StreamId::from_number(number);
        server.handle(now, &local, Input::Inbound { connection, stream, protocol: &NAME.into() });
        let bytes = data.to_vec();
        server.handle(now, &local, Input::Message { connection, stream, bytes });
    }
    while server.poll().is_some() {}
    assert!(server.len().0 <= 1);
});
