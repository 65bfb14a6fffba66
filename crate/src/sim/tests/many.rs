//! Hundreds of peers.

use super::*;

/// Dials at random, closes at random; counts.
#[derive(Default)]
struct Churn {
    connected: usize,
    disconnected: usize,
    dials: usize,
    answers: usize,
    identified: usize,
}

impl Application for Churn {
    fn handle(&mut self, _: &mut Peer, _: Instant, news: News) {
        let News::Node(event) = news else { return };
        match event {
            Event::Connected { .. } => self.connected += 1,
            Event::Disconnected { .. } => self.disconnected += 1,
            Event::Dialed { .. } | Event::DialFailed { .. } => self.answers += 1,
            Event::Identified { .. } => self.identified += 1,
            _ => {}
        }
    }
}

fn churn(seed: u64, peers: usize, rounds: usize) -> World<Churn> {
    let mut world = World::new(seed);
    world.set_conditions(Conditions {
        delay: Duration::from_millis(40),
        jitter: Duration::from_millis(30),
        loss: 20,
        ..Conditions::default()
    });
    let mut rng = Rng::from_number(seed);
    let all: Vec<PeerIndex> =
        (0..peers).map(|_| world.add_with(Churn::default(), |c| c.max_connections = 12)).collect();
    let pick = |rng: &mut Rng| all[rng.below(peers as u64) as usize];
    for round in 0..rounds {
        for _ in 0..peers / 4 {
            let (from, to) = (pick(&mut rng), pick(&mut rng));
            let address = world.address(to);
            world.with(from, |peer, app, now| {
                app.dials += 1;
                peer.dial(now, None, vec![address]);
            });
            let from = pick(&mut rng);
            let someone = world.peer(from).node().peers().next().map(|(peer, _)| *peer);
            if let Some(someone) = someone.filter(|_| rng.below(3) == 0) {
                world.with(from, |peer, _, now| peer.hang_up(now, &someone));
            }
        }
        // Now and then a third of the network is cut off for a while.
        if round % 5 == 4 {
            for index in &all[..peers / 3] {
                world.set_group(*index, u32::from(round % 10 == 4));
            }
        }
        world.run_for(Duration::from_secs(2));
    }
    for index in &all {
        world.set_group(*index, 0);
    }
    world
}

#[test]
fn three_hundred_peers_leave_nothing_behind() {
    let mut world = churn(1, 300, 20);
    world.run_for(Duration::from_secs(120));
    let (mut dials, mut answers) = (0, 0);
    for index in world.peers() {
        let app = world.app(index);
        let node = world.peer(index).node();
        assert!(node.connection_count() <= 12, "the limit holds");
        let open: usize = node.peers().map(|(_, connections)| connections.len()).sum();
        assert_eq!(app.connected - app.disconnected, open);
        assert_eq!(node.connection_count(), open, "no handshake hangs");
        dials += app.dials;
        answers += app.answers;
    }
    assert_eq!(dials, answers, "every dial ends");
    let identified: usize = world.peers().map(|index| world.app(index).identified).sum();
    assert!(identified > 300);

    for index in world.peers().collect::<Vec<_>>() {
        world.with(index, |peer, _, now| {
            let peers: Vec<_> = peer.node().peers().map(|(peer, _)| *peer).collect();
            peers.iter().for_each(|other| peer.hang_up(now, other));
        });
    }
    world.run_for(Duration::from_secs(60));
    for index in world.peers() {
        assert_eq!(world.peer(index).node().connection_count(), 0);
        assert_eq!(world.peer(index).poll_timeout(), None, "no timer is left");
    }
}

#[test]
fn large_runs_repeat_from_their_seed() {
    let run = |seed| {
        let world = churn(seed, 60, 6);
        (world.events(), world.digest())
    };
    assert_eq!(run(11), run(11));
    assert_ne!(run(11), run(12));
}

#[test]
fn those_who_never_finish_their_handshake_keep_nobody_out() {
    let mut world: World<Churn> = World::new(4);
    let server = world.add_with(Churn::default(), |config| config.max_unauthenticated = 8);
    let strangers: Vec<_> = (0..50).map(|_| world.add(Churn::default())).collect();
    let address = world.address(server);
    for stranger in &strangers {
        world.with(*stranger, |peer, _, now| peer.dial(now, None, vec![address.clone()]));
    }
    // They are gone as soon as their transports are open.
    world.run_for(Duration::from_millis(15));
    for stranger in &strangers {
        world.set_group(*stranger, 1);
    }
    world.run_for(Duration::from_secs(11));
    let honest = world.add(Churn::default());
    world.with(honest, |peer, _, now| peer.dial(now, None, vec![address]));
    let connected = |world: &World<Churn>| world.app(honest).connected == 1;
    assert!(world.run_until(Duration::from_secs(1), connected));
}
