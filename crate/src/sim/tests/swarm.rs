//! Dials and kept peers at scale, and among liars: what must hold after every
//! run, whatever the seed.

use super::*;
use crate::connection::Security;
use crate::node::{AttemptError, DialError};
use crate::swarm::{DIAL_TIMEOUT, LOCAL_ATTEMPT_TIMEOUT, MAX_ADDRESSES};

const SECOND: Duration = Duration::from_secs(1);

/// Counts what must come out even.
#[derive(Default)]
struct Tally {
    connected: usize,
    disconnected: usize,
    dials: usize,
    reached: usize,
    failures: Vec<DialError>,
}

impl Application for Tally {
    fn handle(&mut self, _: &mut Peer, _: Instant, news: News) {
        let News::Node(event) = news else { return };
        match event {
            Event::Connected { .. } => self.connected += 1,
            Event::Disconnected { .. } => self.disconnected += 1,
            Event::Dialed { .. } => self.reached += 1,
            Event::DialFailed { error, .. } => self.failures.push(error),
            _ => {}
        }
    }
}

/// A peer whose handshakes cost the simulator little.
fn add(world: &mut World<Tally>) -> PeerIndex {
    world.add_with(Tally::default(), |config| {
        config.connection.security = vec![Security::Plaintext];
        config.max_attempts = 20;
        (config.manager.low_water, config.manager.high_water) = (8, 12);
        config.manager.grace = SECOND * 5;
    })
}

/// What must hold at any time.
fn check(world: &World<Tally>, index: PeerIndex) {
    let node = world.peer(index).node();
    assert!(node.attempt_count() <= 20, "attempts in flight are limited");
}

/// What must hold once nothing is wanted any more: nobody leaves anything behind.
fn check_end(world: &mut World<Tally>, what: &str) {
    for index in world.peers().collect::<Vec<_>>() {
        world.set_group(index, 0);
        world.with(index, |peer, _, now| {
            let kept: Vec<PeerId> = peer.node().kept().copied().collect();
            kept.iter().for_each(|other| _ = peer.release(now, other));
        });
    }
    world.run_for(DIAL_TIMEOUT * 2);
    for index in world.peers() {
        let (app, node) = (world.app(index), world.peer(index).node());
        assert_eq!(app.dials, app.reached + app.failures.len(), "{what}: every dial ends");
        assert_eq!((node.dial_count(), node.attempt_count()), (0, 0), "{what}: no dial is left");
        let open: usize = node.peers().map(|(_, connections)| connections.len()).sum();
        assert_eq!(app.connected - app.disconnected, open, "{what}: ends are told");
        assert_eq!(node.connection_count(), open, "{what}: no handshake hangs");
    }
    for index in world.peers().collect::<Vec<_>>() {
        world.with(index, |peer, _, now| {
            let peers: Vec<PeerId> = peer.node().peers().map(|(peer, _)| *peer).collect();
            peers.iter().for_each(|other| peer.hang_up(now, other));
        });
    }
    world.run_for(SECOND * 60);
    for index in world.peers() {
        let peer = world.peer(index);
        assert_eq!(peer.node().leftovers(), [0; 4], "{what}: links, streams, requests, dials");
        assert_eq!(peer.poll_timeout(), None, "{what}: no timer is left");
    }
}

#[test]
fn a_thousand_peers_churn_and_those_that_are_kept_are_there_in_the_end() {
    const PEERS: u64 = 1000;
    let mut world = World::new(1);
    world.set_conditions(Conditions {
        delay: SECOND / 25,
        jitter: SECOND / 30,
        loss: 10,
        ..Conditions::default()
    });
    let mut rng = Rng::from_number(1);
    let all: Vec<PeerIndex> = (0..PEERS).map(|_| add(&mut world)).collect();
    let ids: Vec<PeerId> = all.iter().map(|index| world.peer(*index).node().peer_id()).collect();
    for (number, index) in all.iter().enumerate() {
        let next = (number + 1) % all.len();
        let address = world.address(all[next]);
        world.with(*index, |peer, _, now| peer.keep(now, ids[next], vec![address]));
    }
    for round in 0..8 {
        for _ in 0..PEERS / 4 {
            let [from, to] = [(); 2].map(|()| all[rng.below(PEERS) as usize]);
            let address = world.address(to);
            world.with(from, |peer, app, now| {
                app.dials += 1;
                peer.dial(now, None, vec![address]);
            });
            let from = all[rng.below(PEERS) as usize];
            let someone = world.peer(from).node().peers().next().map(|(peer, _)| *peer);
            if let Some(someone) = someone.filter(|_| rng.below(4) == 0) {
                world.with(from, |peer, _, now| peer.hang_up(now, &someone));
            }
        }
        // A third of the network is cut off for three rounds.
        if round == 2 || round == 5 {
            all[..300].iter().for_each(|index| world.set_group(*index, u32::from(round == 2)));
        }
        world.run_for(SECOND * 20);
        all.iter().for_each(|index| check(&world, *index));
    }
    world.run_for(SECOND * 90);
    for (number, index) in all.iter().enumerate() {
        let node = world.peer(*index).node();
        assert!(node.best_connection(&ids[(number + 1) % all.len()]).is_some());
        let open: usize = node.peers().map(|(_, connections)| connections.len()).sum();
        assert!(open <= 12 + 1, "the marks hold: {open}");
    }
    check_end(&mut world, "churn");
}

#[test]
fn kept_peers_find_each_other_after_every_partition() {
    for seed in 0..12 {
        let mut world = World::new(seed);
        let mut rng = Rng::from_number(seed);
        let all: Vec<PeerIndex> = (0..30).map(|_| add(&mut world)).collect();
        let mut pairs = Vec::new();
        for (number, from) in all.iter().enumerate() {
            for step in [1, 7] {
                let to = all[(number + step) % all.len()];
                let (id, address) = (world.peer(to).node().peer_id(), world.address(to));
                world.with(*from, |peer, _, now| peer.keep(now, id, vec![address]));
                pairs.push((*from, id));
            }
        }
        for _ in 0..3 {
            for index in &all {
                world.set_group(*index, rng.below(3) as u32);
            }
            world.run_for(SECOND * (20 + rng.below(200) as u32));
        }
        for index in &all {
            world.set_group(*index, 0);
        }
        let there = |world: &World<Tally>| {
            let there = |(from, id): &(PeerIndex, PeerId)| {
                world.peer(*from).node().best_connection(id).is_some()
            };
            pairs.iter().all(there)
        };
        // The longest pause, and a dial that began in the partition.
        world.run_for(SECOND * 80);
        assert!(there(&world), "seed {seed}");
        check_end(&mut world, "partitions");
    }
}

#[test]
fn peers_that_accept_and_say_nothing_hold_a_dial_no_longer_than_its_time() {
    let mut world = World::new(3);
    let (alice, target) = (add(&mut world), add(&mut world));
    let mute: Vec<PeerIndex> = (0..30).map(|_| add(&mut world)).collect();
    mute.iter().for_each(|index| world.deafen(*index));
    let id = world.peer(target).node().peer_id();
    let addresses: Vec<Multiaddr> = mute.iter().map(|index| memory(*index)).collect();
    world.with(alice, |peer, app, now| {
        app.dials += 1;
        peer.dial(now, Some(id), addresses);
    });
    let over = |world: &World<Tally>| world.app(alice).failures.len() == 1;
    // Eight at a time.
    assert!(world.run_until(LOCAL_ATTEMPT_TIMEOUT * 4 + SECOND, over));
    let DialError::Failed(causes) = &world.app(alice).failures[0] else { panic!("no causes") };
    assert_eq!(causes.len(), 30);
    assert!(causes.iter().all(|(_, cause)| *cause == AttemptError::TimedOut), "{causes:?}");
    check_end(&mut world, "mute");
}

#[test]
fn address_lists_full_of_lies_end_every_dial_and_hide_no_truth() {
    for seed in 0..15 {
        let mut world = World::new(seed);
        let mut rng = Rng::from_number(seed);
        let all: Vec<PeerIndex> = (0..20).map(|_| add(&mut world)).collect();
        let mute = add(&mut world);
        world.deafen(mute);
        for _ in 0..60 {
            let [from, to] = [(); 2].map(|()| all[rng.below(20) as usize]);
            let truth = world.address(to);
            let id = truth.peer_id();
            let mut list: Vec<Multiaddr> = (0..rng.below(40))
                .map(|_| match rng.below(5) {
                    0 => "/ip4/0.0.0.0/tcp/1".parse().unwrap(),
                    1 => format!("/memory/{}", 1000 + rng.below(50)).parse().unwrap(),
                    2 => memory(all[rng.below(20) as usize]),
                    3 => memory(mute),
                    _ => format!("/ip4/1.2.3.4/tcp/{}", 1 + rng.below(9)).parse().unwrap(),
                })
                .collect();
            let honest = rng.below(2) == 0;
            if honest {
                list.insert(rng.below(list.len() as u64 + 1) as usize, truth);
            }
            world.with(from, |peer, app, now| {
                app.dials += 1;
                peer.dial(now, id, list);
            });
            for _ in 0..rng.below(60) {
                world.step();
                all.iter().for_each(|index| check(&world, *index));
            }
        }
        world.run_for(DIAL_TIMEOUT);
        let reached: usize = all.iter().map(|index| world.app(*index).reached).sum();
        assert!(reached >= 15, "{reached} dials found the truth");
        check_end(&mut world, "lies");
    }
}

#[test]
fn a_list_without_end_is_cut() {
    let mut world = World::new(6);
    let (alice, bob) = (add(&mut world), add(&mut world));
    let id = world.peer(bob).node().peer_id();
    let lies = (0..5000).map(|number| format!("/memory/{}", 100 + number).parse().unwrap());
    let lies: Vec<Multiaddr> = lies.collect();
    world.with(alice, |peer, app, now| {
        app.dials += 1;
        peer.dial(now, Some(id), lies);
    });
    world.run_for(DIAL_TIMEOUT);
    let DialError::Failed(causes) = &world.app(alice).failures[0] else { panic!("no causes") };
    let tried = |(_, cause): &&(Multiaddr, AttemptError)| *cause != AttemptError::TooMany;
    assert_eq!(causes.iter().filter(tried).count(), MAX_ADDRESSES);
    check_end(&mut world, "too many");
}
