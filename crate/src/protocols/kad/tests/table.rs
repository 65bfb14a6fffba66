use core::time::Duration;

use super::super::table::{Config, Group, Offered, Table};
use super::super::*;
use super::peer;
use crate::time::Instant;

const NOW: Instant = Instant::ZERO;

fn at(seconds: u64) -> Instant {
    NOW + Duration::from_secs(seconds)
}

fn group(address: &str) -> Option<Group> {
    Group::of(&address.parse().unwrap())
}

#[test]
fn the_closest_are_the_closest_of_all_that_are_known() {
    let mut table = Table::new(Config::default(), Key::of_peer(&peer(0)));
    for number in 1..800 {
        table.offer(NOW, peer(number), None);
    }
    let known: Vec<_> = table.peers().copied().collect();
    assert_eq!(known.len(), table.len());
    // Far buckets are full, near ones are not.
    assert!((100..300).contains(&table.len()), "{}", table.len());
    for number in 0..200 {
        let key = Key::of_peer(&peer(number));
        for count in [1, 20, 50, 1000] {
            let mut model = known.clone();
            model.sort_by_key(|peer| key.distance(&Key::of_peer(peer)));
            model.truncate(count);
            assert_eq!(table.closest(&key, count), model);
        }
    }
}

#[test]
fn who_has_been_there_longest_stays_until_it_does_not_answer() {
    let mut table = Table::new(Config::default(), Key::of_peer(&peer(0)));
    let far =
        |number: &u64| Key::of_peer(&peer(0)).common_prefix(&Key::of_peer(&peer(*number))) == 0;
    let peers: Vec<_> = (1..).filter(far).take(40).map(peer).collect();
    for peer in &peers[..20] {
        assert_eq!(table.offer(at(1), *peer, None), Offered::Added);
    }
    // The first answers again: the second is the one that was silent the longest.
    assert_eq!(table.offer(at(2), peers[0], None), Offered::Known);
    for peer in &peers[20..] {
        assert_eq!(table.offer(at(3), *peer, None), Offered::Waits(peers[1]));
    }
    assert_eq!(table.silent(at(2)).count(), 19);
    assert_eq!(table.len(), 20);
    // Ten wait, those that came last; the last is the first to get in.
    for nth in 0..10 {
        assert_eq!(table.remove(at(4), &peers[1 + nth]), Some(peers[39 - nth]));
    }
    assert_eq!(table.remove(at(4), &peers[11]), None);
    assert_eq!(table.len(), 19);
    assert!(table.contains(&peers[0]) && !table.contains(&peers[1]));
}

#[test]
fn we_are_not_in_our_own_table() {
    let mut table = Table::new(Config::default(), Key::of_peer(&peer(0)));
    assert_eq!(table.offer(NOW, peer(0), None), Offered::Myself);
    assert!(table.is_empty());
    assert!(table.closest(&Key::of_peer(&peer(0)), 20).is_empty());
}

#[test]
fn one_network_gets_few_places() {
    let mut table = Table::new(Config::default(), Key::of_peer(&peer(0)));
    let hostile = group("/ip4/198.51.100.7/tcp/1");
    assert_eq!(hostile, group("/ip4/198.51.3.9/udp/1/quic-v1"));
    let added = (1..500).filter(|n| table.offer(NOW, peer(*n), hostile) == Offered::Added);
    let added: Vec<_> = added.collect();
    assert_eq!(added.len(), 3);
    // Whose place is given up can be had by another of it.
    table.remove(NOW, &peer(added[0]));
    assert!((500..600).any(|n| table.offer(NOW, peer(n), hostile) == Offered::Added));
    // Neighbours are no network, and others are not touched by it.
    let other = group("/ip6/2001:db8::1/tcp/1");
    assert!(other.is_some() && other != hostile);
    assert!((600..700).any(|n| table.offer(NOW, peer(n), other) == Offered::Added));
    for private in ["/ip4/192.168.0.7/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip6/fe80::1/tcp/1"] {
        assert_eq!(group(private), None);
    }
    assert_eq!(group("/ip6/::ffff:198.51.100.7/tcp/1"), hostile);
}

#[test]
fn buckets_that_no_lookup_went_to_are_stale() {
    let mut table = Table::new(Config::default(), Key::of_peer(&peer(0)));
    assert!(table.stale(at(10)).is_empty());
    for number in 1..100 {
        table.offer(at(1), peer(number), None);
    }
    let local = Key::of_peer(&peer(0));
    let deepest = (1..100).map(|n| local.common_prefix(&Key::of_peer(&peer(n)))).max().unwrap();
    assert_eq!(table.stale(at(10)), (0..=deepest).collect::<Vec<_>>());
    let second = (0u8..).map(|n| Key::of(&[n])).find(|key| local.common_prefix(key) == 1);
    table.looked_up(at(20), &second.unwrap());
    assert!(!table.stale(at(10)).contains(&1));
    assert_eq!(table.stale(at(30)).len() as u32, deepest + 1);
}
