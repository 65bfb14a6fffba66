//! Limits of what waits for the store behind the memory.

use crate::connection::StreamId;
use crate::node::ConnectionId;
use crate::protocols::Input;
use crate::protocols::kad::behind::{MAX_PARKED, MAX_UNWRITTEN, MAX_UNWRITTEN_BYTES, PATIENCE};
use crate::protocols::kad::message::{Contact, Link, Record, Request};
use crate::protocols::kad::store::StoreFull;
use crate::protocols::kad::{Config, PutError};

use super::peer;
use super::server::{NOW, Server};

/// Requests about values that are all good.
fn get(key: u64) -> Request {
    Request::GetValue { key: [b"/any/", &key.to_be_bytes()[..]].concat() }
}

fn record(key: u64, length: usize) -> Record {
    let key = [b"/any/", &key.to_be_bytes()[..]].concat();
    Record { key, value: vec![1; length], received: String::new() }
}

#[test]
fn what_is_too_much_to_wait_is_answered_from_memory() {
    let mut server = Server::with_store(Config::default());
    for number in 0..MAX_PARKED as u64 + 10 {
        server.ask(number % 100, number, &get(number));
    }
    assert_eq!(server.drain(), (MAX_PARKED, vec![], 10, 0));
    server.handle(NOW + PATIENCE, Input::Timeout);
    assert_eq!(server.drain(), (0, vec![], MAX_PARKED, 0));
}

#[test]
fn who_asks_for_the_same_shares_the_answer() {
    let mut server = Server::with_store(Config::default());
    for number in 0..20 {
        server.ask(number, 0, &get(7));
    }
    assert_eq!(server.drain(), (1, vec![], 0, 0));
    let place = crate::records::Place::of_record(&record(7, 0).key);
    server.kad.records_found(NOW, place, Some(Vec::new()));
    assert_eq!(server.drain(), (0, vec![], 20, 0));
    // It was just looked for.
    server.ask(30, 0, &get(7));
    assert_eq!(server.drain(), (0, vec![], 1, 0));
}

#[test]
fn who_does_not_wait_for_its_answer_is_reset() {
    let mut server = Server::with_store(Config::default());
    server.ask(1, 5, &get(7));
    let (connection, stream) = (ConnectionId(1), StreamId::from_number(5));
    let bytes = get(8).to_bytes();
    server.handle(NOW, Input::Message { connection, stream, bytes });
    assert_eq!(server.drain(), (1, vec![], 0, 1));
    let place = crate::records::Place::of_record(&record(7, 0).key);
    server.kad.records_found(NOW, place, None);
    assert_eq!(server.drain(), (0, vec![], 0, 0), "nobody is there to answer");
}

#[test]
fn what_cannot_be_written_in_time_is_refused() {
    let mut server = Server::with_store(Config::default());
    // A store that takes one batch and never says that it has it: of providers …
    let provide = |key: u64| {
        let provider = Contact { peer: peer(key % 100), addresses: vec![], link: Link::Connected };
        Request::AddProvider { key: key.to_be_bytes().to_vec(), providers: vec![provider] }
    };
    let mut refused = 0;
    for key in 0..MAX_UNWRITTEN as u64 + 10 {
        server.ask(key % 100, key, &provide(key));
        let connection = ConnectionId(key % 100);
        let stream = StreamId::from_number(key as u32);
        server.handle(NOW, Input::Finished { connection, stream });
        refused += server.drain().3;
    }
    // The first went out by itself.
    assert_eq!(refused, 9);
    server.kad.records_written();
    assert_eq!(server.drain().1, [256]);
    // … and of records.
    let mut server = Server::with_store(Config::default());
    let most = MAX_UNWRITTEN_BYTES / 60_000 + 2;
    let kept = (0..500).map(|key| server.kad.keep(NOW, &record(key, 60_000)));
    let kept: Vec<_> = kept.collect();
    assert!(kept[..most - 1].iter().all(Result::is_ok));
    assert_eq!(kept[most + 1], Err(PutError::Full(StoreFull::Unwritten)));
}
