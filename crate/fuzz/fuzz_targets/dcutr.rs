//! What a remote says of where it can be dialed, as the one who began and the other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer::connection::StreamId;
use polypeer::node::{ConnectionId, Direction};
use polypeer::protocols::dcutr::{Config, Dcutr, MAX_ADDRESSES, Message, NAME};
use polypeer::protocols::{Input, Local, Protocol};
use polypeer::{Instant, Multiaddr};
use polypeer_fuzz::keypair;

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = Message::decode(data) {
        if let Message::Connect(addresses) = &message {
            assert!(addresses.len() <= MAX_ADDRESSES);
        }
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
    let local = Local {
        keypair: keypair(1),
        addresses: Vec::new(),
        protocols: Vec::new(),
        agent: String::new(),
        protocol_version: String::new(),
        sequence: 1,
    };
    let (connection, now) = (ConnectionId(1), Instant::ZERO);
    let (peer, stream) = (keypair(2).peer_id(), StreamId::from_number(2));
    let remote: Multiaddr = "/ip4/20.0.0.1/tcp/1/p2p-circuit".parse().unwrap();
    let direction = Direction::Outbound;
    let mut dcutr = Dcutr::new(&Config::default());
    dcutr.set_addresses(["/ip4/20.0.0.2/tcp/1".parse().unwrap()], false);
    let connected = Input::Connected { connection, peer: &peer, direction, remote: &remote };
    dcutr.handle(now, &local, connected);
    dcutr.handle(now, &local, Input::Inbound { connection, stream, protocol: &NAME.into() });
    // Cut where it likes, as several messages.
    for bytes in data.split(|byte| *byte == 0xff) {
        dcutr.handle(now, &local, Input::Message { connection, stream, bytes: bytes.to_vec() });
        while dcutr.poll().is_some() {}
    }
});
