//! What a connection holds for its remote is booked.

use super::*;
use crate::node::Direction;
use crate::swarm::limits::{
    CONNECTION_BYTES, LimitReached, Limits, Resource, Resources, ScopeKind,
};
use crate::swarm::meter::Bandwidth;

/// A pair whose second side is booked.
fn booked(change: impl FnOnce(&mut Limits)) -> (Arc<Resources>, Pair) {
    let mut limits = Limits::node();
    change(&mut limits);
    let books = Resources::new(limits, Bandwidth::default());
    let mut pair = Pair::new(|_| {});
    pair.b.connection.set_scope(books.connection(Direction::Inbound).unwrap());
    (books, pair)
}

fn memory(books: &Resources) -> usize {
    books.system.used(Resource::Memory)
}

#[test]
fn what_comes_before_the_remote_is_known() {
    let (books, mut pair) = booked(|limits| limits.transient.memory = CONNECTION_BYTES + 20);
    pair.drive();
    let limit = LimitReached { scope: ScopeKind::Transient, resource: Resource::Memory };
    assert_eq!(pair.b.error(), Some(&Error::Limit(limit)));
    assert_eq!(memory(&books), 0, "nothing is left of it");

    let (books, mut pair) = booked(|_| {});
    pair.drive();
    assert!(pair.b.peer().is_some());
    assert_eq!(books.transient.used(Resource::Memory), 0);
    assert_eq!(memory(&books), CONNECTION_BYTES);
}

#[test]
fn a_peer_with_too_many_connections_is_not_let_in() {
    let (books, mut pair) = booked(|limits| limits.peer.connections = 0);
    pair.drive();
    let limit = LimitReached { scope: ScopeKind::Peer, resource: Resource::Connections };
    assert_eq!(pair.b.error(), Some(&Error::Limit(limit)));
    assert_eq!(pair.b.peer(), None);
    assert_eq!(memory(&books), 0);
}

#[test]
fn messages_that_the_remote_does_not_take() {
    let allowed = CONNECTION_BYTES + 600 * 1024;
    let (books, mut pair) = booked(|limits| limits.peer.memory = allowed);
    pair.drive();
    let framing = Framing::LengthPrefixed { max: 1000 };
    let open = ToConnection::Open { request: 1, protocols: vec![NOTE.into()], framing };
    pair.b.connection.handle_node(pair.now, open);
    pair.drive();
    let stream = pair.b.opened(1).unwrap();
    pair.a.deaf = true;
    pair.cut = true;
    for _ in 0..2000 {
        let message = ToConnection::Send(stream, vec![7; 900]);
        pair.b.connection.handle_node(pair.now, message);
        assert!(memory(&books) <= allowed);
    }
    pair.b.collect();
    let reset = |news: &ToNode| matches!(news, ToNode::Reset { stream: of } if *of == stream);
    assert!(pair.b.news.iter().any(reset), "it is too much in the end");
    assert!(books.refusals.of(ScopeKind::Peer, Resource::Memory) > 0);
    pair.b.connection.transport_closed("over".into());
    assert_eq!(memory(&books), 0);
}
