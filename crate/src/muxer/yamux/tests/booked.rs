//! What a session holds is booked, and what cannot be booked is not held.

use core::time::Duration;
use std::sync::Arc;

use super::super::*;
use super::pair::{CLIENT, Pair, SERVER};
use crate::Instant;
use crate::identity::PeerId;
use crate::node::Direction;
use crate::rng::Rng;
use crate::swarm::limits::{
    CONNECTION_BYTES, ConnectionScope, Limits, Resource, Resources, STREAM_BYTES, STREAM_FLOOR,
    ScopeKind,
};
use crate::swarm::meter::Bandwidth;

fn scope(change: impl FnOnce(&mut Limits)) -> (Arc<Resources>, Arc<ConnectionScope>) {
    let mut limits = Limits::node();
    change(&mut limits);
    let books = Resources::new(limits, Bandwidth::default());
    let scope = books.connection(Direction::Inbound).unwrap();
    scope.authenticated(PeerId::random(&mut Rng::from_number(1))).unwrap();
    (books, scope)
}

fn used(books: &Resources, resource: Resource) -> usize {
    books.system.used(resource)
}

#[test]
fn of_a_million_streams_a_peer_keeps_256() {
    let config = || Config {
        max_inbound_streams: usize::MAX,
        accept_backlog: usize::MAX,
        ..Config::default()
    };
    let (books, scope) = scope(|_| {});
    let mut server = Yamux::new(config(), Role::Server, Instant::ZERO);
    server.set_scope(scope);
    let (mut wire, mut out, mut most) = (Vec::new(), Vec::new(), 0);
    for batch in 0..1_000u32 {
        wire.clear();
        for index in 0..1_000 {
            let stream = 1 + 2 * (batch * 1_000 + index);
            let header = Header { kind: Kind::Data, flags: Flags::SYN, stream, length: 1 };
            wire.extend_from_slice(&header.encode());
            wire.push(7);
        }
        server.receive(Instant::ZERO, &wire).unwrap();
        while server.poll_event().is_some() {}
        out.clear();
        server.transmit(Instant::ZERO, &mut out, usize::MAX);
        most = most.max(server.memory() + out.capacity());
        assert_eq!(server.streams(), (256, 0));
    }
    assert_eq!(server.stats().refused, 1_000_000 - 256);
    assert_eq!(used(&books, Resource::StreamsIn), 256);
    assert!(most < 512 * 1024, "{most}");
    // Nothing is left of them after they have ended.
    for id in 0..256 {
        server.stream(StreamId::from_number(1 + 2 * id)).unwrap().reset();
    }
    server.transmit(Instant::ZERO, &mut out, usize::MAX);
    assert_eq!(used(&books, Resource::Streams), 0);
    drop(server);
    assert_eq!(used(&books, Resource::Memory), 0);
}

/// A pair whose server's peer may hold `bytes`, with one stream of the client.
fn booked(bytes: usize) -> (Arc<Resources>, Pair, StreamId) {
    let (books, scope) = scope(|limits| limits.peer.memory = bytes);
    let mut pair = Pair::new(Config::default(), 1);
    pair.ends[SERVER].set_scope(scope);
    let id = pair.open();
    (books, pair, id)
}

#[test]
fn what_is_not_read_is_booked_and_too_much_of_it_resets_its_stream() {
    let (books, mut pair, id) = booked(100 * 1024);
    let chunk = vec![1; 64 * 1024];
    pair.stream(CLIENT, id).write(&chunk).unwrap();
    pair.settle();
    let booked = used(&books, Resource::Memory);
    assert!((64 * 1024..100 * 1024).contains(&booked), "{booked}");
    pair.stream(CLIENT, id).write(&chunk).unwrap();
    pair.settle();
    assert!(pair.events(SERVER).contains(&Event::Reset(id)));
    assert!(pair.events(CLIENT).contains(&Event::Reset(id)));
    assert!(used(&books, Resource::Memory) <= 100 * 1024);
    assert!(books.refusals.of(ScopeKind::Peer, Resource::Memory) > 0);
    pair.rest();
    assert_eq!(used(&books, Resource::Memory), CONNECTION_BYTES);
}

#[test]
fn a_window_that_cannot_be_booked_does_not_grow() {
    for (bytes, most) in [(400 * 1024, 2 * INITIAL_WINDOW), (64 << 20, 16 << 20)] {
        let (books, mut pair, id) = booked(bytes);
        pair.delay = Duration::from_millis(50);
        pair.budget = 65_519;
        let chunk = vec![7; 64 * 1024];
        for _ in 0..3000 {
            while pair.stream(CLIENT, id).write(&chunk).unwrap() > 0 {}
            pair.step();
            pair.events(SERVER);
            pair.events(CLIENT);
            let mut stream = pair.stream(SERVER, id);
            let count = stream.readable().len();
            stream.consume(count);
        }
        let window = pair.stream(SERVER, id).receive_window();
        assert!((most / 4..=most).contains(&window), "{window}");
        assert!(used(&books, Resource::Memory) <= bytes);
    }
}

#[test]
fn a_writer_without_memory_goes_on_slowly() {
    let (_, mut pair, id) = booked(20 * 1024);
    let much = vec![2; 100_000];
    assert_eq!(pair.stream(SERVER, id).write(&much), Ok(STREAM_FLOOR));
    assert_eq!(pair.stream(SERVER, id).write(&much), Ok(0));
    for _ in 0..100 {
        pair.settle();
        assert!(pair.events(SERVER).contains(&Event::Writable(id)), "it is called back");
        assert_eq!(pair.stream(SERVER, id).write(&much), Ok(STREAM_FLOOR));
        let count = pair.stream(CLIENT, id).unread();
        assert!(count > 0);
        pair.stream(CLIENT, id).consume(count);
    }
}

#[test]
fn a_stream_that_cannot_be_booked_is_refused_on_both_sides() {
    let (_, scope) = scope(|limits| limits.peer.memory = CONNECTION_BYTES + 2 * STREAM_BYTES);
    let mut yamux = Yamux::new(Config::default(), Role::Client, Instant::ZERO);
    yamux.set_scope(scope);
    for _ in 0..2 {
        yamux.open().unwrap();
    }
    assert!(matches!(yamux.open(), Err(OpenError::Limit(limit))
        if limit.resource == Resource::Memory));
    let header = Header { kind: Kind::WindowUpdate, flags: Flags::SYN, stream: 2, length: 0 };
    yamux.receive(Instant::ZERO, &header.encode()).unwrap();
    assert_eq!(yamux.poll_event(), None);
    assert_eq!(yamux.stats().refused, 1);
}
