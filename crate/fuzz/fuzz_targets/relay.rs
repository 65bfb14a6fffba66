//! Messages of hop and stop against a relay and against its client, and vouchers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer::connection::StreamId;
use polypeer::node::{ConnectionId, Direction};
use polypeer::protocols::relay::{
    Client, Config, HOP_NAME, STOP_NAME, Service, ServiceConfig, Voucher,
};
use polypeer::protocols::{Input, Local, Protocol};
use polypeer::{Instant, Multiaddr};
use polypeer_fuzz::keypair;

fuzz_target!(|data: &[u8]| {
    let _ = Voucher::open(data);
    let local = Local {
        keypair: keypair(1),
        addresses: Vec::new(),
        protocols: Vec::new(),
        agent: String::new(),
        protocol_version: String::new(),
        sequence: 1,
    };
    let mut service = Service::new(true, ServiceConfig::default(), 0);
    let mut client = Client::new(Config::default());
    let protocols: [(&mut dyn Protocol, &str); 2] =
        [(&mut service, HOP_NAME), (&mut client, STOP_NAME)];
    for (protocol, name) in protocols {
        run(protocol, name, &local, data);
    }
    // What a relay answers to a reservation.
    let (connection, stream) = (ConnectionId(1), StreamId::from_number(3));
    client.reserve(Instant::ZERO, connection);
    client.handle(
        Instant::ZERO,
        &local,
        Input::Opened { connection, request: 1, stream, protocol: &HOP_NAME.into() },
    );
    client.handle(
        Instant::ZERO,
        &local,
        Input::Message { connection, stream, bytes: data.to_vec() },
    );
    while client.poll().is_some() {}
    assert!(client.reservations().count() <= 1);
});

fn run(protocol: &mut dyn Protocol, name: &str, local: &Local, data: &[u8]) {
    let (connection, now) = (ConnectionId(1), Instant::ZERO);
    let (peer, stream) = (keypair(2).peer_id(), StreamId::from_number(2));
    let remote: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
    let direction = Direction::Inbound;
    let connected = Input::Connected { connection, peer: &peer, direction, remote: &remote };
    protocol.handle(now, local, connected);
    protocol.handle(now, local, Input::Inbound { connection, stream, protocol: &name.into() });
    protocol.handle(now, local, Input::Message { connection, stream, bytes: data.to_vec() });
    while protocol.poll().is_some() {}
}
