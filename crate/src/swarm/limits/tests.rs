//! Every limit, reached; and what is booked is given back.

use std::sync::Arc;

use super::resources::Resources;
use super::*;
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::Direction::{self, Inbound, Outbound};
use crate::rng::Rng;
use crate::swarm::meter::Bandwidth;

fn peer(number: u64) -> PeerId {
    PeerId::random(&mut Rng::from_number(number))
}

fn unlimited() -> Limits {
    let none = Allowance::UNLIMITED;
    Limits {
        system: none,
        transient: none,
        peer: none,
        protocol: none,
        protocol_peer: none,
        connection: none,
        stream: none,
    }
}

fn books(change: impl FnOnce(&mut Limits)) -> Arc<Resources> {
    let mut limits = unlimited();
    change(&mut limits);
    Resources::new(limits, Bandwidth::default())
}

fn connect(
    books: &Arc<Resources>,
    direction: Direction,
    number: u64,
) -> Result<Arc<ConnectionScope>, LimitReached> {
    let connection = books.connection(direction)?;
    connection.authenticated(peer(number))?;
    Ok(connection)
}

/// Takes `more` until it is refused, which must be the `allowed + 1`st time and
/// for the reason given; then all that was had is dropped, and can be had again.
fn reaches<T>(
    books: &Arc<Resources>,
    allowed: usize,
    scope: ScopeKind,
    resource: Resource,
    mut more: impl FnMut() -> Result<T, LimitReached>,
) {
    for round in 1..=2 {
        let had: Vec<T> = (0..allowed).map(|_| more().unwrap()).collect();
        assert_eq!(more().err(), Some(LimitReached { scope, resource }));
        assert_eq!(books.refusals.of(scope, resource), round);
        drop(had);
    }
    assert!(more().is_ok());
}

const CONNECTIONS: [(Direction, Resource); 4] = [
    (Inbound, Resource::ConnectionsIn),
    (Outbound, Resource::ConnectionsOut),
    (Inbound, Resource::Connections),
    (Outbound, Resource::Connections),
];

fn allow(allowance: &mut Allowance, resource: Resource, count: usize) {
    *match resource {
        Resource::ConnectionsIn => &mut allowance.connections_in,
        Resource::ConnectionsOut => &mut allowance.connections_out,
        Resource::Connections => &mut allowance.connections,
        Resource::StreamsIn => &mut allowance.streams_in,
        Resource::StreamsOut => &mut allowance.streams_out,
        Resource::Streams => &mut allowance.streams,
        Resource::Memory => &mut allowance.memory,
    } = count;
}

#[test]
fn connections_of_the_system() {
    for (direction, resource) in CONNECTIONS {
        let books = books(|limits| allow(&mut limits.system, resource, 5));
        let mut number = 0;
        reaches(&books, 5, ScopeKind::System, resource, || {
            number += 1;
            connect(&books, direction, number)
        });
    }
}

#[test]
fn connections_whose_remote_is_unknown() {
    for (direction, resource) in CONNECTIONS {
        let books = books(|limits| allow(&mut limits.transient, resource, 3));
        reaches(&books, 3, ScopeKind::Transient, resource, || books.connection(direction));
        // Those that are known are no longer transient.
        let known: Vec<_> =
            (0..9).map(|number| connect(&books, direction, number).unwrap()).collect();
        assert_eq!(books.transient.used(resource), 0);
        assert_eq!(books.transient.used(Resource::Memory), 0);
        drop(known);
    }
}

#[test]
fn connections_of_a_peer() {
    for (direction, resource) in CONNECTIONS {
        let books = books(|limits| allow(&mut limits.peer, resource, 2));
        reaches(&books, 2, ScopeKind::Peer, resource, || connect(&books, direction, 1));
        let mut number = 1;
        let others: Vec<_> = std::iter::repeat_with(|| {
            number += 1;
            connect(&books, direction, number).unwrap()
        })
        .take(9)
        .collect();
        assert_eq!(others.len(), 9, "others are not in the way of each other");
    }
}

type Of = fn(&mut Limits) -> &mut Allowance;

#[test]
fn streams_of_every_scope() {
    let scopes: [(ScopeKind, Of); 4] = [
        (ScopeKind::System, |limits| &mut limits.system),
        (ScopeKind::Transient, |limits| &mut limits.transient),
        (ScopeKind::Peer, |limits| &mut limits.peer),
        (ScopeKind::Connection, |limits| &mut limits.connection),
    ];
    for (scope, of) in scopes {
        for (inbound, resource) in [
            (true, Resource::StreamsIn),
            (false, Resource::StreamsOut),
            (true, Resource::Streams),
            (false, Resource::Streams),
        ] {
            let books = books(|limits| allow(of(limits), resource, 4));
            let connection = connect(&books, Inbound, 1).unwrap();
            reaches(&books, 4, scope, resource, || connection.stream(inbound));
        }
        let books = books(|limits| allow(of(limits), Resource::Memory, CONNECTION_BYTES + 4097));
        let connection = connect(&books, Inbound, 1).unwrap();
        if scope != ScopeKind::Transient {
            reaches(&books, 2, scope, Resource::Memory, || connection.stream(true));
        }
    }
}

#[test]
fn streams_of_a_protocol_and_of_a_peer_in_it() {
    let name = Name::from("/chat");
    let assigned = |connection: &Arc<ConnectionScope>, inbound| {
        let mut stream = connection.stream(inbound)?;
        stream.assign(&name)?;
        Ok(stream)
    };
    for (inbound, resource) in [
        (true, Resource::StreamsIn),
        (false, Resource::StreamsOut),
        (true, Resource::Streams),
        (false, Resource::Streams),
    ] {
        let books = books(|limits| {
            allow(&mut limits.protocol, resource, 6);
            allow(&mut limits.protocol_peer, resource, 2);
        });
        let connections: Vec<_> =
            (0..4).map(|number| connect(&books, Inbound, number).unwrap()).collect();
        reaches(&books, 2, ScopeKind::ProtocolPeer, resource, || {
            assigned(&connections[0], inbound)
        });
        let mut turn = 0;
        reaches(&books, 6, ScopeKind::Protocol, resource, || {
            turn += 1;
            // The seventh is the fourth peer's first.
            let of = if turn % 7 == 0 { 3 } else { turn % 7 % 3 };
            assigned(&connections[of], inbound)
        });
        assert_eq!(books.transient.used(Resource::Streams), 0);
    }
}

#[test]
fn windows_of_streams() {
    let name = Name::from("/chat");
    let books = books(|limits| {
        limits.stream.memory = 100;
        limits.protocol_peer.memory = 150;
        limits.protocol.memory = 220;
    });
    let one = connect(&books, Inbound, 1).unwrap();
    let two = connect(&books, Inbound, 2).unwrap();
    let mut streams: Vec<_> =
        [&one, &one, &two].map(|connection| connection.stream(true).unwrap()).into();
    for stream in &mut streams {
        stream.assign(&name).unwrap();
    }
    assert!(!streams[0].set_window(101), "too much for a stream");
    assert!(streams[0].set_window(100));
    assert!(!streams[1].set_window(51), "too much for the peer");
    assert!(streams[1].set_window(50));
    assert!(!streams[2].set_window(71), "too much for the protocol");
    assert!(streams[2].set_window(70));
    assert!(streams[0].set_window(50), "less is never too much");
    assert!(streams[2].set_window(100));
    for scope in [ScopeKind::Stream, ScopeKind::ProtocolPeer, ScopeKind::Protocol] {
        assert_eq!(books.refusals.of(scope, Resource::Memory), 1);
    }
    drop(streams);
    assert_eq!(books.protocol(&name).scope.used(Resource::Memory), 0);
}

#[test]
fn memory_of_a_connection_is_in_each_of_its_scopes() {
    for scope in [ScopeKind::System, ScopeKind::Peer, ScopeKind::Connection] {
        let books = books(|limits| {
            let of = match scope {
                ScopeKind::System => &mut limits.system,
                ScopeKind::Peer => &mut limits.peer,
                _ => &mut limits.connection,
            };
            of.memory = CONNECTION_BYTES + 1000;
        });
        let connection = connect(&books, Inbound, 1).unwrap();
        assert_eq!(connection.grow(5000, 600), Ok(600), "the most that is to be had");
        let refused = connection.grow(500, 401).unwrap_err();
        assert_eq!(refused, LimitReached { scope, resource: Resource::Memory });
        connection.shrink(300);
        assert_eq!(connection.grow(700, 401), Ok(700));
        drop(connection);
        assert_eq!(books.system.used(Resource::Memory), 0);
        assert_eq!(books.tables().0, 0);
    }
}

#[test]
fn a_connection_given_up_during_its_handshake_counts_nowhere() {
    let books = books(|_| {});
    let connection = books.connection(Inbound).unwrap();
    connection.ended();
    connection.ended();
    assert_eq!(books.system.used(Resource::Connections), 0);
    // Its task does not know yet.
    connection.authenticated(peer(1)).unwrap();
    let stream = connection.stream(true).unwrap();
    assert_eq!(books.system.used(Resource::Connections), 0);
    drop((connection, stream));
    for scope in [&books.system, &books.transient] {
        assert!(Resource::ALL.iter().all(|resource| scope.used(*resource) == 0));
    }
    assert_eq!(books.tables().0, 0, "the peer is forgotten");
}

#[test]
fn the_tables_are_bounded() {
    let books = books(|_| {});
    let connection = connect(&books, Inbound, 1).unwrap();
    for number in 0..3 * MAX_PROTOCOLS {
        let name: Name = number.to_string().into();
        connection.stream(false).unwrap().assign(&name).unwrap();
    }
    assert_eq!(books.tables(), (1, MAX_PROTOCOLS + 1));
}

#[test]
fn hosts_differ_in_size() {
    let (page, node) = (Limits::page(), Limits::node());
    assert!(page.system.memory < node.system.memory);
    let server = Limits::server(4 << 30);
    assert!(server.system.connections > 100_000);
    assert_eq!(server.system.memory, 2 << 30);
    assert_eq!(Limits::server(0).system.connections, 512, "it works at all");
    for limits in [page, node, server] {
        assert_eq!(limits.peer.memory, 16 << 20, "a peer's share does not grow");
        assert!(limits.system.streams >= 8 * limits.peer.streams / 2);
    }
}
