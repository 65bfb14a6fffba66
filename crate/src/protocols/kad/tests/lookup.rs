use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::lookup::{Config, Lookup, MAX_CANDIDATES};
use super::super::table;
use super::super::*;
use super::peer;
use crate::identity::PeerId;
use crate::rng::Rng;
use crate::time::Instant;

/// Peers with tables, whose messages never wait.
struct Network {
    tables: BTreeMap<PeerId, Table>,
}

impl Network {
    fn new(size: u64) -> Self {
        let mut network = Self { tables: BTreeMap::new() };
        let peers: Vec<_> = (0..size).map(peer).collect();
        for me in &peers {
            let mut table = Table::new(table::Config::default(), Key::of_peer(me));
            // In an order of its own, as everybody meets others in another one.
            let mut rng = Rng::from_number(u64::from(me.as_bytes()[10]));
            let start = rng.below(size) as usize;
            for other in peers[start..].iter().chain(&peers[..start]) {
                table.offer(Instant::ZERO, *other, None);
            }
            network.tables.insert(*me, table);
        }
        network
    }

    fn truth(&self, target: &Key, without: &PeerId) -> Vec<PeerId> {
        let mut all: Vec<_> = self.tables.keys().filter(|peer| *peer != without).copied().collect();
        all.sort_by_key(|peer| target.distance(&Key::of_peer(peer)));
        all.truncate(20);
        all
    }

    fn start(&self, from: u64, config: Config, target: Key) -> Lookup {
        let me = peer(from);
        let seeds = self.tables[&me].closest(&target, 20);
        Lookup::new(config, target, Key::of_peer(&me), &seeds)
    }

    /// Runs a lookup to its end; `answer` is what a peer says, `None` if nothing.
    fn run(&self, lookup: &mut Lookup, answer: impl Fn(&PeerId) -> Option<Vec<PeerId>>) {
        let mut under_way = VecDeque::new();
        let mut asked = BTreeSet::new();
        loop {
            while let Some(peer) = lookup.next_peer() {
                assert!(asked.insert(peer), "{peer} is asked twice");
                under_way.push_back(peer);
                assert!(under_way.len() <= 10);
            }
            if lookup.is_done() {
                return;
            }
            let peer = under_way.pop_front().expect("it is done, or it waits for somebody");
            match answer(&peer) {
                Some(closer) => _ = lookup.answered(&peer, closer),
                None => lookup.failed(&peer),
            }
        }
    }

    fn honest(&self, target: Key) -> impl Fn(&PeerId) -> Option<Vec<PeerId>> {
        move |peer| Some(self.tables.get(peer)?.closest(&target, 20))
    }
}

#[test]
fn the_nearest_are_found_in_few_hops() {
    for (size, hops) in [(30, 2), (300, 4)] {
        let network = Network::new(size);
        for number in 0..40 {
            let target = Key::of(&[number]);
            let mut lookup = network.start(0, Config::default(), target);
            network.run(&mut lookup, network.honest(target));
            assert_eq!(lookup.closest(), network.truth(&target, &peer(0)));
            assert!(lookup.hops() <= hops, "{} hops", lookup.hops());
            assert!(lookup.asked() <= 60, "{} asked", lookup.asked());
        }
    }
}

#[test]
fn peers_that_are_gone_are_stepped_over() {
    let network = Network::new(300);
    let gone = |peer: &PeerId| peer.as_bytes()[20].is_multiple_of(3);
    let target = Key::of(b"anything");
    let mut lookup = network.start(1, Config::default(), target);
    let honest = network.honest(target);
    network.run(&mut lookup, |peer| honest(peer).filter(|_| !gone(peer)));
    let found = lookup.closest();
    let truth: Vec<_> = network.truth(&target, &peer(1));
    let there: Vec<_> = truth.into_iter().filter(|peer| !gone(peer)).collect();
    assert_eq!(found[..there.len()], there);
    assert_eq!(found.len(), 20);
}

#[test]
fn paths_share_no_peer_and_outlive_a_hostile_one() {
    let network = Network::new(300);
    let target = Key::of(b"wanted");
    let hostile = |peer: &PeerId| peer.as_bytes()[20].is_multiple_of(5);
    let (mut one, mut four) = (0, 0);
    for from in 0..20 {
        for paths in [1, 4] {
            let config = Config { paths, ..Config::default() };
            let mut lookup = network.start(from, config, target);
            let honest = network.honest(target);
            // They name each other only, all far from being the nearest.
            network.run(&mut lookup, |peer| {
                if !hostile(peer) {
                    return honest(peer);
                }
                Some(network.tables.keys().filter(|peer| hostile(peer)).take(20).copied().collect())
            });
            let truth = network.truth(&target, &peer(from));
            let found = truth.iter().filter(|peer| lookup.closest().contains(peer)).count();
            *(if paths == 1 { &mut one } else { &mut four }) += found;
        }
    }
    assert!(four >= one && four >= 20 * 20 * 95 / 100, "{one} by one path, {four} by four");
}

#[test]
fn endless_referrals_end() {
    let network = Network::new(30);
    let target = Key::of(b"trap");
    let config = Config { max_asked: 40, ..Config::default() };
    let mut lookup = network.start(0, config, target);
    // Whoever is asked names others that nobody has heard of.
    let counter = core::cell::Cell::new(1000);
    network.run(&mut lookup, |_| {
        let from = counter.replace(counter.get() + 20);
        Some((from..from + 20).map(peer).collect())
    });
    assert_eq!(lookup.asked(), 40);
}

#[test]
fn far_candidates_are_forgotten() {
    let target = Key::of(b"target");
    let seed = peer(1);
    let mut lookup = Lookup::new(Config::default(), target, Key::of_peer(&peer(0)), &[seed]);
    assert_eq!(lookup.next_peer(), Some(seed));
    let many: Vec<_> = (2..2 + 2 * MAX_CANDIDATES as u64).map(peer).collect();
    lookup.answered(&seed, many.clone());
    let mut nearest = many;
    nearest.sort_by_key(|peer| target.distance(&Key::of_peer(peer)));
    for expected in &nearest[..10] {
        assert_eq!(lookup.next_peer(), Some(*expected));
    }
    assert!(lookup.remembered() <= MAX_CANDIDATES);
}

#[test]
fn who_was_not_asked_cannot_answer() {
    let (seed, stranger) = (peer(1), peer(2));
    let mut lookup =
        Lookup::new(Config::default(), Key::of(b"key"), Key::of_peer(&peer(0)), &[seed]);
    assert_eq!(lookup.answered(&stranger, [peer(3)]), 0);
    assert_eq!(lookup.answered(&seed, [peer(3)]), 0);
    assert_eq!(lookup.next_peer(), Some(seed));
    // Nor do we ask ourselves.
    assert_eq!(lookup.answered(&seed, [peer(0), peer(3)]), 1);
    assert_eq!(lookup.answered(&seed, [peer(4)]), 0);
    assert_eq!(lookup.next_peer(), Some(peer(3)));
    assert!(!lookup.is_done());
    lookup.end();
    assert!(lookup.is_done() && lookup.next_peer().is_none());
}

#[test]
fn with_nobody_to_ask_it_is_done() {
    let mut lookup = Lookup::new(Config::default(), Key::of(b"key"), Key::of_peer(&peer(0)), &[]);
    assert!(lookup.next_peer().is_none() && lookup.is_done());
    assert!(lookup.closest().is_empty());
}
