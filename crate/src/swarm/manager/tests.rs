use super::*;
use crate::identity::Keypair;
use crate::node::Direction::{Inbound, Outbound};

const SECOND: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(60);

fn peer(number: u8) -> PeerId {
    Keypair::ed25519_from_seed([number; 32]).peer_id()
}

fn manager(low_water: usize, high_water: usize) -> Manager {
    let config = Config { low_water, high_water, ..Config::default() };
    Manager::new(config, Rng::from_number(1))
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn connect(manager: &mut Manager, now: Instant, number: u8, direction: Direction) {
    manager.connected(now, peer(number), ConnectionId(number.into()), direction);
}

fn lose(manager: &mut Manager, now: Instant, number: u8) -> Option<Pause> {
    let address = "/memory/1".parse().unwrap();
    let (id, reason) = (ConnectionId(number.into()), Error::Transport("ended".into()));
    manager.disconnected(now, &peer(number), id, &reason, Some(&address))
}

/// Dials what is to be dialed, in vain.
fn fail_all(manager: &mut Manager, now: Instant, next: &mut u64) -> Vec<Pause> {
    let mut pauses = Vec::new();
    while let Some(redial) = manager.poll_redial(now) {
        *next += 1;
        manager.dialing(DialId(*next), &redial.peer, redial.wanted);
        pauses.extend(manager.dialed(now, DialId(*next), false));
    }
    pauses
}

#[test]
fn above_the_high_mark_the_least_valuable_go_down_to_the_low_one() {
    let mut manager = manager(3, 5);
    // Worth: the second, fourth and sixth have some; the first is protected and
    // the third kept. All came to us but the fifth.
    let worth =
        |id: &PeerId| [2, 4, 6].iter().find(|n| peer(**n) == *id).map_or(0, |n| (*n).into());
    manager.protect(peer(1), "a friend");
    manager.keep(at(0), peer(3), Vec::new(), true);
    for number in 1..=5 {
        connect(&mut manager, at(0), number, if number == 5 { Outbound } else { Inbound });
    }
    assert!(manager.trim(at(100), worth).is_empty(), "not above the mark");
    connect(&mut manager, at(30), 6, Inbound);
    connect(&mut manager, at(31), 7, Inbound);
    assert_eq!(manager.trim(at(100), worth), [7, 5, 2, 4].map(peer), "worthless ones first");
    assert!(manager.trim(at(200), worth).is_empty());
}

#[test]
fn nobody_is_trimmed_within_grace_and_everybody_looked_at_when_it_ends() {
    let mut manager = manager(1, 2);
    for number in 1..=4 {
        connect(&mut manager, at(number.into()), number, Inbound);
    }
    assert!(manager.trim(at(5), |_| 0).is_empty());
    assert_eq!(manager.poll_timeout(), Some(at(1) + GRACE));
    assert_eq!(manager.trim(at(1) + GRACE, |_| 0), [peer(1)]);
    assert_eq!(manager.poll_timeout(), Some(at(2) + GRACE));
    assert_eq!(manager.trim(at(2) + GRACE, |_| 0), [peer(2)]);
    assert_eq!(manager.poll_timeout(), None, "two are not too many");
    for number in 1..=4 {
        lose(&mut manager, at(100), number);
    }
    assert_eq!(manager.held.trim(at(200), &manager.config, |_| false, |_| 0), []);
}

#[test]
fn protection_lasts_while_there_is_a_reason() {
    let mut manager = manager(0, 0);
    connect(&mut manager, at(0), 1, Inbound);
    manager.protect(peer(1), "a");
    manager.protect(peer(1), "b");
    manager.unprotect(&peer(1), "a");
    assert!(manager.is_protected(&peer(1)) && manager.trim(at(99), |_| 0).is_empty());
    manager.unprotect(&peer(1), "b");
    assert_eq!(manager.trim(at(99), |_| 0), [peer(1)]);
}

#[test]
fn latency_follows_the_round_trips_slowly() {
    let mut manager = manager(9, 9);
    connect(&mut manager, at(0), 1, Inbound);
    let id = ConnectionId(1);
    assert_eq!(manager.latency(&peer(1), id), None);
    manager.pong(&peer(1), id, Duration::from_millis(80));
    assert_eq!(manager.latency(&peer(1), id), Some(Duration::from_millis(80)));
    manager.pong(&peer(1), id, Duration::from_millis(160));
    assert_eq!(manager.latency(&peer(1), id), Some(Duration::from_millis(90)));
}

#[test]
fn a_kept_peer_is_dialed_for_ever_with_growing_pauses() {
    let mut manager = manager(9, 9);
    let address: Multiaddr = "/memory/1".parse().unwrap();
    manager.keep(at(0), peer(1), vec![address], false);
    let (mut now, mut dials) = (at(0), 0);
    let mut pauses = Vec::new();
    for _ in 0..200 {
        let failed = fail_all(&mut manager, now, &mut dials);
        assert_eq!(failed.len(), 1);
        pauses.push(failed[0].after);
        now = manager.poll_timeout().unwrap();
    }
    for (index, pause) in pauses.iter().enumerate() {
        let full = (SECOND * 2u32.pow(index.min(10) as u32 + 1)).min(SECOND * 60);
        assert!(*pause >= full / 2 && *pause <= full, "{index}: {pause:?}");
    }
    assert_ne!(pauses[100], pauses[101], "they are of chance");

    // Once it is there for a while, the pauses start anew.
    assert_eq!(manager.poll_redial(now).map(|redial| redial.peer), Some(peer(1)));
    manager.dialing(DialId(999), &peer(1), true);
    connect(&mut manager, now, 1, Outbound);
    assert_eq!(manager.dialed(now, DialId(999), true), None);
    assert_eq!(manager.poll_timeout(), None);
    let pause = lose(&mut manager, now + STABLE, 1).unwrap();
    assert!(pause.failures == 0 && pause.after <= FIRST_REDIAL_PAUSE);
    assert_eq!(manager.release(&peer(1)), Some(None));
    assert_eq!(manager.poll_timeout(), None);
}

#[test]
fn connections_that_do_not_last_count_as_failures() {
    let mut manager = manager(9, 9);
    manager.keep(at(0), peer(1), Vec::new(), true);
    for round in 1..5 {
        connect(&mut manager, at(round), 1, Outbound);
        assert_eq!(lose(&mut manager, at(round), 1).unwrap().failures, round as u32);
    }
}

#[test]
fn without_a_network_nobody_is_dialed_and_with_one_everybody_at_once() {
    let mut manager = manager(9, 9);
    let mut dials = 0;
    for number in 1..=3 {
        manager.keep(at(0), peer(number), Vec::new(), false);
    }
    // One waits, one is being dialed, one is connected when the network goes.
    let first = manager.poll_redial(at(0)).unwrap();
    manager.dialing(DialId(100), &first.peer, true);
    let third = [1, 2, 3].into_iter().find(|number| peer(*number) != first.peer).unwrap();
    connect(&mut manager, at(0), third, Inbound);
    fail_all(&mut manager, at(0), &mut dials);
    manager.offline();
    assert_eq!((manager.poll_redial(at(900)), manager.poll_timeout()), (None, None));
    manager.wake(at(900));
    let mut again = Vec::new();
    while let Some(redial) = manager.poll_redial(at(900)) {
        again.push((redial.peer, redial.instead_of));
    }
    assert_eq!(again.len(), 2);
    assert!(again.contains(&(first.peer, Some(DialId(100)))), "a dial from before is of no use");
    assert!(!again.iter().any(|(id, _)| *id == peer(third)));
}

#[test]
fn peers_lost_by_a_sleep_are_dialed_once_even_if_nobody_asked_to_keep_them() {
    let mut manager = manager(9, 9);
    for number in 1..=3 {
        connect(&mut manager, at(0), number, Outbound);
    }
    lose(&mut manager, at(100), 1);
    assert_eq!(manager.poll_redial(at(100)), None, "not before it wakes");
    manager.wake(at(600));
    assert_eq!(manager.poll_redial(at(600)).map(|redial| redial.peer), Some(peer(1)));
    // And one whose end shows only after the waking, but none later.
    lose(&mut manager, at(602), 2);
    assert_eq!(manager.poll_redial(at(602)).map(|redial| redial.peer), Some(peer(2)));
    // Each once: one that is lost again and again is left to its fate.
    connect(&mut manager, at(602), 2, Outbound);
    lose(&mut manager, at(603), 2);
    assert_eq!(manager.poll_redial(at(603)), None);
    manager.wake(at(604));
    assert_eq!(manager.poll_redial(at(604)).map(|redial| redial.peer), Some(peer(2)));
    lose(&mut manager, at(700), 3);
    assert_eq!(manager.poll_redial(at(700)), None);
    manager.wake(at(700) + LOST_FOR);
    assert_eq!(manager.poll_redial(at(700) + LOST_FOR), None, "it is long ago");
}

#[test]
fn the_lost_are_remembered_in_limits() {
    let mut manager = manager(9, 9);
    for number in 0..=MAX_LOST as u8 {
        connect(&mut manager, at(0), number, Outbound);
        lose(&mut manager, at(100), number);
    }
    manager.wake(at(100));
    let redialed = core::iter::from_fn(|| manager.poll_redial(at(100))).map(|redial| redial.peer);
    let redialed: Vec<PeerId> = redialed.collect();
    assert_eq!(redialed.len(), MAX_LOST);
    assert!(!redialed.contains(&peer(0)), "the oldest is forgotten");
}
