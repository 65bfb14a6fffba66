//! What is kept in memory, and what makes room.

use core::time::Duration;

use super::super::Key;
use super::super::message::{Contact, Link, Record};
use super::super::store::{Limits, Store, StoreFull};
use crate::identity::PeerId;
use crate::rng::Rng;
use crate::time::Instant;

const NOW: Instant = Instant::ZERO;

fn store(limits: Limits) -> (Store, Key) {
    let me = Key::of(b"me");
    (Store::new(limits, me), me)
}

fn record(key: &[u8], length: usize) -> Record {
    Record { key: key.to_vec(), value: vec![7; length], received: String::new() }
}

fn contact(number: u64) -> Contact {
    let peer = PeerId::random(&mut Rng::from_number(number));
    let addresses = vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()];
    Contact { peer, addresses, link: Link::NotConnected }
}

/// Keys, the nearest to `me` first.
fn keys(me: &Key, count: u32) -> Vec<Vec<u8>> {
    let mut keys: Vec<_> = (0..count).map(|number| number.to_be_bytes().to_vec()).collect();
    keys.sort_by_key(|key| me.distance(&Key::of(key)));
    keys
}

#[test]
fn a_flood_of_records_displaces_only_what_is_farther() {
    let (mut store, me) = store(Limits { records: 10, ..Limits::default() });
    let keys = keys(&me, 1000);
    // The far half first, then all: only the nearest stay.
    for key in keys[500..].iter().chain(&keys) {
        let _ = store.put(NOW, record(key, 1));
    }
    assert_eq!(store.len().0, 10);
    assert!(keys[..10].iter().all(|key| store.record(NOW, key).is_some()));
    assert_eq!(store.put(NOW, record(&keys[10], 1)), Err(StoreFull::Records));
    assert_eq!(store.bytes().0, 10 * 5);
}

#[test]
fn records_have_room_in_bytes() {
    let (mut store, me) = store(Limits { record_bytes: 100, ..Limits::default() });
    let keys = keys(&me, 3);
    assert_eq!(store.put(NOW, record(&keys[2], 97)), Err(StoreFull::Records));
    store.put(NOW, record(&keys[2], 40)).unwrap();
    store.put(NOW, record(&keys[1], 40)).unwrap();
    // A longer one in place of a shorter one counts once.
    store.put(NOW, record(&keys[1], 52)).unwrap();
    assert_eq!(store.bytes().0, 100);
    store.put(NOW, record(&keys[0], 1)).unwrap();
    assert_eq!(store.record(NOW, &keys[2]), None);
    store.tidy(NOW + Limits::default().record_life);
    assert_eq!((store.bytes(), store.is_empty()), ((0, 0), true));
}

#[test]
fn providers_are_bounded_for_a_key_a_peer_and_all() {
    let limits = Limits { provided: 10, providers: 3, provided_by_one: 5, ..Limits::default() };
    let (mut store, me) = store(limits);
    let keys = keys(&me, 100);
    for number in 0..5 {
        store.provide(NOW, &keys[99], &contact(number)).unwrap();
    }
    let kept: Vec<_> = store.providers(NOW, &keys[99]).map(|provider| provider.peer).collect();
    assert_eq!(kept, [4, 3, 2].map(|number| contact(number).peer), "the last first");
    assert_eq!(store.providers(NOW, &keys[99]).next().unwrap().addresses, contact(4).addresses);

    for key in &keys[50..55] {
        store.provide(NOW, key, &contact(9)).unwrap();
    }
    assert_eq!(store.provide(NOW, &keys[1], &contact(9)), Err(StoreFull::Provider));
    // What it provides already it may announce again.
    store.provide(NOW, &keys[50], &contact(9)).unwrap();

    for (key, number) in keys.iter().zip(100..) {
        let _ = store.provide(NOW, key, &contact(number));
    }
    assert_eq!(store.len().1, 10);
    assert!(keys[..10].iter().all(|key| store.providers(NOW, key).next().is_some()));
    assert_eq!(store.provide(NOW, &keys[60], &contact(1)), Err(StoreFull::Provided));
    // Whose keys made way may provide others.
    store.provide(NOW, &keys[1], &contact(9)).unwrap();
}

#[test]
fn providers_have_room_in_bytes() {
    let (mut store, me) = store(Limits { provider_bytes: 1000, ..Limits::default() });
    for (key, number) in keys(&me, 500).iter().zip(0..) {
        let _ = store.provide(NOW, key, &contact(number));
        assert!(store.bytes().1 <= 1000);
    }
    assert!(store.bytes().1 > 900);
}

#[test]
fn providers_end_with_their_time() {
    let (mut store, _) = store(Limits::default());
    let later = NOW + Duration::from_secs(3600);
    store.provide(NOW, b"key", &contact(1)).unwrap();
    store.provide(later, b"key", &contact(2)).unwrap();
    let end = NOW + Limits::default().provider_life;
    assert_eq!(store.providers(end, b"key").count(), 1, "before it is tidied, too");
    store.tidy(end);
    assert_eq!(store.len(), (0, 1));
    store.tidy(later + Limits::default().provider_life);
    assert_eq!((store.len(), store.bytes()), ((0, 0), (0, 0)));
}
