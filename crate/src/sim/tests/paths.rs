//! Several connections to one peer: the best one is used, the others go.

use super::*;
use crate::connection::{DRAIN_GRACE, DRAIN_LIMIT};
use crate::swarm::DialOptions;

/// Opens an echo stream on the connection that it is handed, at once.
#[derive(Default)]
struct Eager(Echo);

impl Application for Eager {
    fn handle(&mut self, peer: &mut Peer, now: Instant, news: News) {
        let dialed = match &news {
            News::Node(Event::Dialed { connection, .. }) => Some(*connection),
            _ => None,
        };
        self.0.handle(peer, now, news);
        if let Some(connection) = dialed {
            self.0.open(peer, now, connection, pattern(30_000));
        }
    }
}

#[test]
fn simultaneous_dials_end_with_one_connection_and_lose_no_stream() {
    let mut crossed = 0;
    for seed in 0..60 {
        let mut world = World::new(seed);
        let mut rng = Rng::from_number(seed);
        world.set_conditions(Conditions {
            delay: Duration::from_millis(1 + rng.below(50)),
            jitter: Duration::from_millis(rng.below(200)),
            loss: rng.below(100),
            ..Conditions::default()
        });
        let ends = [world.add(Eager::default()), world.add(Eager::default())];
        for index in ends {
            world.with(index, |peer, _, now| peer.handle(now, ECHO.into()));
        }
        for (from, to) in [(0, 1), (1, 0)] {
            let address = world.address(ends[to]);
            world.with(ends[from], |peer, _, now| peer.dial(now, None, vec![address]));
            world.run_for(Duration::from_millis(rng.below(100)));
        }
        let done = |world: &World<Eager>| ends.iter().all(|index| world.app(*index).0.done);
        assert!(world.run_until(Duration::from_secs(60), done), "seed {seed}");
        let count =
            |world: &World<Eager>| ends.map(|index| world.peer(index).node().connection_count());
        crossed += u32::from(count(&world) == [2, 2]);
        world.run_for(DRAIN_GRACE + Duration::from_secs(30));
        assert_eq!(count(&world), [1, 1], "seed {seed}");
        for index in ends {
            let app = &world.app(index).0;
            assert!(app.received == pattern(30_000) && !app.reset, "seed {seed}");
        }
        // It is the same one: what one end closes, both lose.
        let left = *world.peer(ends[0]).node().peers().next().unwrap().1.first().unwrap();
        world.with(ends[0], |peer, _, now| peer.close(now, left));
        world.run_for(Duration::from_secs(30));
        assert_eq!(count(&world), [0, 0], "seed {seed}");
    }
    assert!(crossed > 10, "{crossed} of the runs had two connections");
}

/// A relayed connection, with a stream that is held open at both ends, and the
/// direct one that came after it.
fn relayed_then_direct() -> (World<Echo>, PeerIndex, PeerIndex, ConnectionId, ConnectionId) {
    let mut world = World::new(5);
    let (alice, bob) = (world.add(Echo::default()), world.add(Echo::default()));
    world.with(bob, |peer, _, now| peer.handle(now, ECHO.into()));
    let id = world.peer(bob).node().peer_id();
    let (direct, relayed) = (memory(bob), memory(bob).with_circuit());
    world.with(alice, |peer, _, now| peer.dial(now, Some(id), vec![relayed]));
    world.run_for(Duration::from_secs(1));
    let first = world.peer(alice).node().best_connection(&id).unwrap();
    world.with(alice, |peer, app, now| {
        let stream = peer.open_stream(now, first, vec![ECHO.into()]).unwrap();
        app.mine = Some((first, stream));
        // More than there is to send: it does not finish by itself.
        app.sent = 1;
        peer.stream(first, stream).unwrap().write(b"before").unwrap();
        peer.touched(now, first);
        app.log.clear();
        peer.dial(now, Some(id), Vec::new());
    });
    assert_eq!(dialed(world.app(alice)), Some(first), "a relayed connection will do");
    world.with(alice, |peer, app, now| {
        app.log.clear();
        let options = DialOptions { direct: true, ..DialOptions::default() };
        peer.dial_with(now, Some(id), vec![direct], options);
    });
    assert_eq!(dialed(world.app(alice)), None, "but not for who asks for a direct one");
    world.run_for(Duration::from_secs(1));
    let second = dialed(world.app(alice)).unwrap();
    (world, alice, bob, first, second)
}

#[test]
fn a_direct_connection_takes_over_and_the_relayed_one_ends_with_its_streams() {
    let (mut world, alice, bob, first, second) = relayed_then_direct();
    for (index, other) in [(alice, bob), (bob, alice)] {
        let id = world.peer(other).node().peer_id();
        let node = world.peer(index).node();
        let best = node.best_connection(&id).unwrap();
        assert_eq!(node.connection_count(), 2);
        let told = News::Node(Event::PathChanged { peer: id, connection: best });
        assert!(world.app(index).log.contains(&told));
        assert!(index != alice || best == second);
    }
    world.run_for(DRAIN_GRACE * 2);
    assert_eq!(world.peer(alice).node().connection_count(), 2, "a stream is still in use");
    let stream = world.app(alice).mine.unwrap().1;
    world.with(alice, |peer, _, now| {
        let mut stream = peer.stream(first, stream).unwrap();
        stream.write(b" and after").unwrap();
        stream.finish();
        peer.touched(now, first);
    });
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.app(alice).received, b"before and after");
    for index in [alice, bob] {
        assert_eq!(world.peer(index).node().connection_count(), 1);
    }
}

#[test]
fn a_connection_is_drained_for_a_limited_time() {
    let (mut world, alice, bob, ..) = relayed_then_direct();
    world.run_for(DRAIN_LIMIT - Duration::from_secs(5));
    assert_eq!(world.peer(alice).node().connection_count(), 2);
    world.run_for(Duration::from_secs(10));
    for index in [alice, bob] {
        assert_eq!(world.peer(index).node().connection_count(), 1);
    }
}

#[test]
fn nothing_is_drained_before_the_better_connection_has_been_used() {
    let (mut world, alice, bob, _) = pair(4);
    let (id, other) = (world.peer(bob).node().peer_id(), memory(bob).with_circuit());
    // The relayed one first and alone, then a direct one that never gets further
    // than the handshake of its dialer.
    world.with(alice, |peer, _, now| peer.hang_up(now, &id));
    world.run_for(Duration::from_secs(1));
    world.with(alice, |peer, _, now| peer.dial(now, Some(id), vec![other]));
    world.run_for(Duration::from_secs(1));
    world.with(alice, |peer, app, now| {
        app.log.clear();
        let options = DialOptions { direct: true, ..DialOptions::default() };
        peer.dial_with(now, Some(id), vec![memory(bob)], options);
    });
    let there = |world: &World<Echo>| dialed(world.app(alice)).is_some();
    assert!(world.run_until(Duration::from_secs(5), there));
    let direct = dialed(world.app(alice)).unwrap();
    world.cut(alice, direct);
    world.run_for(DRAIN_GRACE * 2);
    for index in [alice, bob] {
        assert_eq!(world.peer(index).node().connection_count(), 1, "the relayed one has stayed");
    }
}
