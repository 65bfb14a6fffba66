//! Messages of the signalling of WebRTC, against who answers and who offers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer::connection::StreamId;
use polypeer::node::{ConnectionId, Direction};
use polypeer::protocols::webrtc::{MAX_CANDIDATES, NAME, Order, Signal, Signalling};
use polypeer::protocols::{Action, Input, Local, Protocol};
use polypeer::{Instant, Multiaddr};
use polypeer_fuzz::keypair;

fuzz_target!(|data: &[u8]| {
    if let Ok(signal) = Signal::decode(data) {
        assert_eq!(Signal::decode(&signal.encode()), Ok(signal));
    }
    let local = Local {
        keypair: keypair(1),
        addresses: Vec::new(),
        protocols: Vec::new(),
        agent: String::new(),
        protocol_version: String::new(),
        sequence: 1,
    };
    let (via, now, peer) = (ConnectionId(1), Instant::ZERO, keypair(2).peer_id());
    let remote: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
    let mut signalling = Signalling::new();
    let direction = Direction::Inbound;
    let connected = Input::Connected { connection: via, peer: &peer, direction, remote: &remote };
    signalling.handle(now, &local, connected);

    // An offer of ours, to which the bytes are the answers: each after its length.
    let connection = ConnectionId(2);
    signalling.offer(now, connection, via, 1);
    signalling.described(connection, "v=0".into());
    let stream = StreamId::from_number(1);
    let protocol = &NAME.into();
    signalling.handle(now, &local, Input::Opened { connection: via, request: 1, stream, protocol });
    let mut rest = data;
    let mut told = 0;
    while let Some((length, after)) = rest.split_first() {
        let (message, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        let bytes = message.to_vec();
        signalling.handle(now, &local, Input::Message { connection: via, stream, bytes });
        while let Some(action) = signalling.poll() {
            told += usize::from(matches!(action, Action::Signal(Order::Host { .. })));
        }
    }
    // The order to offer, the answer, and the candidates.
    assert!(told <= MAX_CANDIDATES + 2);
    assert!(signalling.len() <= 1);
});
