//! Which connections are kept, over sleeps, partitions and crowds.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Two peers, of which the first keeps a connection to the second.
fn keeper() -> (World<Echo>, PeerIndex, PeerIndex) {
    let mut world = World::new(21);
    let (alice, bob) = (world.add(Echo::default()), world.add(Echo::default()));
    let (id, address) = (world.peer(bob).node().peer_id(), world.address(bob));
    world.with(alice, |peer, _, now| peer.keep(now, id, vec![address]));
    assert!(world.run_until(SECOND, |world| connected(world, alice)));
    (world, alice, bob)
}

fn connected(world: &World<Echo>, index: PeerIndex) -> bool {
    world.peer(index).node().peers().count() == 1
}

fn count(world: &World<Echo>, index: PeerIndex, wanted: impl Fn(&Event) -> bool) -> usize {
    let events = world.app(index).log.iter();
    events.filter(|news| matches!(news, News::Node(event) if wanted(event))).count()
}

fn lost(event: &Event) -> bool {
    matches!(event, Event::Disconnected { .. })
}

#[test]
fn a_kept_peer_comes_back_after_a_partition() {
    let (mut world, alice, bob) = keeper();
    world.set_group(bob, 1);
    world.run_for(SECOND * 3600);
    assert!(!connected(&world, alice));
    let dials = count(&world, alice, |event| matches!(event, Event::Redialing { .. }));
    assert!((40..150).contains(&dials), "{dials}");
    world.set_group(bob, 0);
    let limit = world.peer(alice).node().manager_config().max_redial_pause + SECOND * 16;
    assert!(world.run_until(limit, |world| connected(world, alice)));
    let told = |event: &Event| matches!(event, Event::Dialed { .. } | Event::DialFailed { .. });
    assert_eq!(count(&world, alice, told), 0, "dials that nobody asked for concern nobody");
}

#[test]
fn a_released_peer_stays_away() {
    let (mut world, alice, bob) = keeper();
    let id = world.peer(bob).node().peer_id();
    world.with(alice, |peer, _, now| {
        assert!(peer.release(now, &id));
        peer.hang_up(now, &id);
    });
    world.run_for(SECOND * 600);
    assert!(!connected(&world, alice));
    assert_eq!(world.peer(alice).poll_timeout(), None);
}

#[test]
fn a_page_frozen_for_ten_minutes_is_back_in_three_seconds() {
    for wanted in [true, false] {
        let (mut world, alice, bob) = keeper();
        if !wanted {
            let id = world.peer(bob).node().peer_id();
            world.with(alice, |peer, _, now| peer.release(now, &id));
        }
        world.run_for(SECOND * 60);
        world.freeze(alice);
        world.run_for(SECOND * 600);
        assert!(!connected(&world, bob), "who does not answer is given up");
        world.thaw(alice);
        world.with(alice, |peer, _, now| peer.resumed(now));
        let back = |world: &World<Echo>| connected(world, alice) && connected(world, bob);
        assert!(world.run_until(SECOND * 3, back), "{wanted}");
    }
}

#[test]
fn a_sleep_over_the_answer_to_a_ping_costs_no_connection() {
    for seconds in [5, 18, 21, 60, 300] {
        let mut world = World::new(21);
        world.set_conditions(Conditions { delay: SECOND, ..Conditions::default() });
        let alice = world.add(Echo::default());
        let patient = |config: &mut Config| config.connection.keep_alive = SECOND * 3600;
        let bob = world.add_with(Echo::default(), patient);
        let address = world.address(bob);
        world.with(alice, |peer, _, now| peer.dial(now, None, vec![address]));
        assert!(world.run_until(SECOND * 20, |world| connected(world, bob)));
        // Until a ping of hers is under way.
        let pinged = world.peer(alice).poll_timeout().unwrap();
        world.run_for(pinged - world.now() + SECOND / 2);
        world.freeze(alice);
        world.run_for(SECOND * seconds);
        world.thaw(alice);
        world.run_for(SECOND * 60);
        for index in [alice, bob] {
            assert_eq!(count(&world, index, lost), 0, "{seconds} s");
        }
    }
}

#[test]
fn throttled_timers_cost_no_connection() {
    let (mut world, alice, bob) = keeper();
    world.run_for(SECOND);
    // A page in the background runs for a moment once a minute, and when
    // something comes: here it does not even do that.
    for _ in 0..20 {
        world.freeze(alice);
        world.run_for(SECOND * 40);
        world.thaw(alice);
        world.run_for(SECOND / 2);
    }
    for index in [alice, bob] {
        assert_eq!(count(&world, index, lost), 0);
    }
}

#[test]
fn who_wakes_in_another_network_finds_out_at_once() {
    let (mut world, alice, _) = keeper();
    world.run_for(SECOND * 10);
    world.set_group(alice, 1);
    world.with(alice, |peer, _, _| peer.offline());
    world.run_for(SECOND * 5);
    assert!(connected(&world, alice), "offline is no reason to give up");
    world.with(alice, |peer, _, now| peer.online(now));
    world.run_for(SECOND * 3);
    assert!(!connected(&world, alice), "no answer within two seconds");
    world.set_group(alice, 0);
    world.with(alice, |peer, _, now| peer.online(now));
    assert!(world.run_until(SECOND, |world| connected(world, alice)));
}

#[test]
fn a_crowd_is_trimmed_to_the_marks_and_the_valuable_stay() {
    let mut world: World<Echo> = World::new(22);
    let server = world.add_with(Echo::default(), |config| {
        config.manager.low_water = 20;
        config.manager.high_water = 30;
    });
    let address = world.address(server);
    let crowd: Vec<_> = (0..60).map(|_| world.add(Echo::default())).collect();
    let ids: Vec<PeerId> = crowd.iter().map(|index| world.peer(*index).node().peer_id()).collect();
    world.with(server, |peer, _, now| {
        peer.protect(ids[57], "friend");
        peer.tag(now, &ids[58], "useful", 5).unwrap();
    });
    for index in &crowd {
        world.with(*index, |peer, _, now| peer.dial(now, None, vec![address.clone()]));
        world.run_for(SECOND);
    }
    let there = |world: &World<Echo>| world.peer(server).node().connection_count();
    assert!(there(&world) > 30, "grace holds");
    world.run_for(SECOND * 120);
    assert!((20..=30).contains(&there(&world)), "{}", there(&world));
    let node = world.peer(server).node();
    for id in &ids[57..59] {
        assert!(node.best_connection(id).is_some());
        assert_eq!(node.latency(id), Some(SECOND / 50), "two ways of 10 ms");
    }
    let trimmed = count(&world, server, |event| matches!(event, Event::Trimmed { .. }));
    assert_eq!(trimmed, 60 - there(&world));
}
