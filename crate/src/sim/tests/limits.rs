//! Filters, limits and rates of whole peers, and those who do not keep to them.

use super::*;
use crate::connection;
use crate::node::Direction;
use crate::swarm::gate::Verdict;

fn ended(app: &Echo) -> Option<&connection::Error> {
    app.log.iter().find_map(|news| match news {
        News::Node(Event::Disconnected { reason, .. }) => Some(reason),
        _ => None,
    })
}

#[test]
fn a_peer_is_denied_as_soon_as_it_is_known() {
    let mut world = World::new(1);
    let (alice, bob) = (world.add(Echo::default()), world.add(Echo::default()));
    let id = world.peer(alice).node().peer_id();
    let deny = |direction| (id.into(), Some(direction), Verdict::Deny);
    let (subject, direction, verdict) = deny(Direction::Inbound);
    world.with(bob, |peer, _, now| peer.set_filter(now, subject, direction, verdict));
    let address = world.address(bob);
    world.with(alice, |peer, _, now| peer.dial(now, None, vec![address]));
    world.run_for(Duration::from_secs(5));
    assert!(ended(world.app(alice)).is_some(), "{:?}", world.app(alice).log);
    let known = |news: &News| matches!(news, News::Node(Event::Connected { .. }));
    assert!(!world.app(bob).log.iter().any(known), "it never was a peer of ours");
    assert_eq!(world.peer(bob).node().connection_count(), 0);
    // The other way it is welcome.
    let address = world.address(alice);
    world.with(bob, |peer, _, now| peer.dial(now, None, vec![address]));
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.peer(bob).node().peers().count(), 1);
}

#[test]
fn connections_to_a_peer_that_is_denied_from_now_on_are_closed() {
    let (mut world, alice, bob, _) = pair(2);
    let id = world.peer(bob).node().peer_id();
    world.with(alice, |peer, _, now| peer.set_filter(now, id.into(), None, Verdict::Deny));
    world.run_for(Duration::from_secs(1));
    assert_eq!(ended(world.app(alice)), Some(&connection::Error::Denied));
    assert!(ended(world.app(bob)).is_some());
    for index in [alice, bob] {
        assert_eq!(world.peer(index).node().connection_count(), 0);
    }
    // And welcome again.
    world.with(alice, |peer, _, now| peer.remove_filter(now, &id.into(), None));
    let address = world.address(bob);
    world.with(alice, |peer, _, now| peer.dial(now, None, vec![address]));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.peer(alice).node().peers().count(), 1);
}

/// Opens a thousand streams as fast as it may, writes on each, and reads nothing.
#[derive(Default)]
struct Greedy {
    connection: Option<ConnectionId>,
    opened: usize,
}

const THOUSAND: usize = 1000;

impl Greedy {
    fn grab(&mut self, peer: &mut Peer, now: Instant) {
        let Some(connection) = self.connection else { return };
        let chunk = pattern(64 * 1024);
        while self.opened < THOUSAND {
            let Ok(id) = peer.open_stream(now, connection, vec![ECHO.into()]) else { return };
            self.opened += 1;
            if let Some(mut stream) = peer.stream(connection, id) {
                let _ = stream.write(&chunk);
            }
        }
        peer.touched(now, connection);
    }
}

/// Honest ones and greedy ones in one network.
enum Either {
    Honest(Box<Echo>),
    Greedy(Greedy),
}

impl Application for Either {
    fn handle(&mut self, peer: &mut Peer, now: Instant, news: News) {
        match self {
            Self::Honest(echo) => echo.handle(peer, now, news),
            Self::Greedy(greedy) => {
                if let News::Node(Event::Dialed { connection, .. }) = news {
                    greedy.connection = Some(connection);
                }
                greedy.grab(peer, now);
            }
        }
    }
}

#[test]
fn those_who_open_a_thousand_streams_and_never_read_cost_no_more_than_their_share() {
    const GREEDY: usize = 6;
    for seed in 0..2 {
        let mut world = World::new(seed);
        let server = world.add_with(Either::Honest(Box::default()), |config| {
            config.limits.system.memory = 16 << 20;
            config.limits.peer.memory = 1 << 20;
        });
        world.with(server, |peer, _, now| peer.handle(now, ECHO.into()));
        let honest = world.add(Either::Honest(Box::default()));
        let address = world.address(server);
        let greedy: Vec<_> = (0..GREEDY)
            .map(|_| {
                world.add_with(Either::Greedy(Greedy::default()), |config| {
                    // They keep to no limit of their own.
                    let unlimited = crate::swarm::limits::Allowance::UNLIMITED;
                    let limits = &mut config.limits;
                    (limits.peer, limits.connection) = (unlimited, unlimited);
                    (limits.protocol, limits.protocol_peer) = (unlimited, unlimited);
                    config.connection.yamux.max_outbound_streams = usize::MAX;
                    config.connection.yamux.send_budget = usize::MAX;
                })
            })
            .collect();
        for index in &greedy {
            let address = address.clone();
            world.with(*index, |peer, _, now| peer.dial(now, None, vec![address]));
        }
        let (mut most, mut most_of_one) = (0, 0);
        for second in 0..12 {
            world.run_for(Duration::from_secs(1));
            let stats = world.with(server, |peer, _, now| peer.stats(now));
            let peers = world.peer(server).node().peer_stats(world.now());
            most = most.max(stats.memory);
            most_of_one = peers.iter().map(|peer| peer.memory).chain([most_of_one]).max().unwrap();
            assert!(stats.memory <= 16 << 20 && most_of_one <= 1 << 20, "seed {seed}: {stats}");
            assert!(peers.iter().all(|peer| peer.streams <= 256), "seed {seed}: {stats}");
            if second == 5 {
                let address = address.clone();
                world.with(honest, |peer, _, now| peer.dial(now, None, vec![address]));
            }
        }
        assert!(most > 3 << 20 && most_of_one > 600 << 10, "they have tried: {most}");
        // Beside all that, somebody is served.
        let connection = *world.peer(honest).node().peers().next().unwrap().1.first().unwrap();
        let data = pattern(500_000);
        let sent = data.clone();
        world.with(honest, |peer, app, now| {
            let Either::Honest(echo) = app else { return };
            echo.open(peer, now, connection, sent);
        });
        let done =
            |world: &World<Either>| matches!(world.app(honest), Either::Honest(echo) if echo.done);
        assert!(world.run_until(Duration::from_secs(60), done), "seed {seed}");
        let Either::Honest(echo) = world.app(honest) else { unreachable!() };
        assert!(echo.received == data);
        // And when they are gone, nothing is left of them.
        for index in greedy {
            let id = world.peer(server).node().peer_id();
            world.with(index, |peer, _, now| peer.hang_up(now, &id));
        }
        let id = world.peer(server).node().peer_id();
        world.with(honest, |peer, _, now| peer.hang_up(now, &id));
        world.run_for(Duration::from_secs(60));
        let stats = world.with(server, |peer, _, now| peer.stats(now));
        assert_eq!((stats.memory, stats.streams_in, stats.streams_out), (0, 0, 0), "{stats}");
        assert_eq!(world.peer(server).node().connection_count(), 0);
    }
}
