//! What others can fill, filled.

use crate::connection::StreamId;
use crate::node::{ConnectionId, Direction};
use crate::protocols::Input;
use crate::protocols::kad::message::Request;
use crate::protocols::kad::{
    Config, MAX_INBOUND, MAX_INBOUND_PER_CONNECTION, MAX_KNOWN, MAX_QUERIES, NAME, QueryError,
    QueryId,
};

use super::peer;
use super::server::{NOW, Server};

/// Opens streams on a connection that say nothing; how many of them were reset.
fn open(server: &mut Server, connection: u64, streams: core::ops::Range<u32>) -> usize {
    for stream in streams {
        let (connection, stream) = (ConnectionId(connection), StreamId::from_number(stream));
        server.handle(NOW, Input::Inbound { connection, stream, protocol: &NAME.into() });
    }
    server.drain().3
}

#[test]
fn streams_that_ask_nothing_are_few() {
    let mut server = Server::new(Config::default());
    let each = MAX_INBOUND_PER_CONNECTION as u32;
    assert_eq!(open(&mut server, 0, 0..each + 5), 5);
    let connections = (MAX_INBOUND / MAX_INBOUND_PER_CONNECTION) as u64;
    for connection in 1..connections {
        assert_eq!(open(&mut server, connection, 0..each), 0);
    }
    assert_eq!(open(&mut server, connections, 0..3), 3, "there is no room for anyone");
    // Those that end make room, and so does who goes.
    let (connection, stream) = (ConnectionId(1), StreamId::from_number(0));
    server.handle(NOW, Input::Finished { connection, stream });
    assert_eq!(open(&mut server, connections, 3..5), 1);
    server.handle(NOW, Input::Disconnected { connection: ConnectionId(2) });
    assert_eq!(open(&mut server, connections, 5..10), 0);
    // Whoever found room is answered.
    server.ask(connections, 20, &Request::Ping);
    let (_, _, answers, resets) = server.drain();
    assert_eq!((answers, resets), (1, 0));
}

#[test]
fn queries_under_way_are_few() {
    let mut server = Server::new(Config::default());
    server.identified(1);
    let begin = |server: &mut Server, number: usize| {
        server.kad.closest(NOW, QueryId(number as u64), b"key".to_vec())
    };
    for number in 0..MAX_QUERIES {
        begin(&mut server, number).unwrap();
    }
    assert_eq!(begin(&mut server, MAX_QUERIES), Err(QueryError::TooMany));
    server.kad.cancel(QueryId(0));
    begin(&mut server, MAX_QUERIES).unwrap();
}

#[test]
fn addresses_are_kept_of_so_many() {
    let mut server = Server::new(Config::default());
    let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
    for number in 100..MAX_KNOWN as u64 + 200 {
        let (connection, peer) = (ConnectionId(number), &peer(number));
        let direction = Direction::Inbound;
        server.handle(NOW, Input::Connected { connection, peer, direction, remote: &remote });
        server.identified(number);
    }
    assert_eq!(server.kad.addresses.len(), MAX_KNOWN);
    // When those have gone who are not in the table, there is room again.
    for number in 100..MAX_KNOWN as u64 + 200 {
        server.handle(NOW, Input::Disconnected { connection: ConnectionId(number) });
    }
    server.kad.tidy(NOW);
    assert!(server.kad.addresses.len() < 1000);
}
