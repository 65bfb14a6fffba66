//! Whole peers in the simulator: what a user counts on, under conditions that
//! networks have.

#[cfg(feature = "limits")]
mod bandwidth;
#[cfg(feature = "store")]
mod bootstrap;
#[cfg(feature = "dcutr")]
mod dcutr;
#[cfg(feature = "kad")]
mod kad;
#[cfg(feature = "kad")]
mod kad_parts;
#[cfg(feature = "kad")]
mod kad_store;
#[cfg(feature = "limits")]
mod limits;
mod manager;
mod many;
#[cfg(feature = "relay")]
mod nat;
mod paths;
#[cfg(feature = "pubsub")]
mod pubsub;
#[cfg(feature = "autonat")]
mod reach;
#[cfg(feature = "relay")]
mod relay;
#[cfg(feature = "rendezvous")]
mod rendezvous;
#[cfg(feature = "relay")]
mod service;
#[cfg(feature = "store")]
mod store;
mod swarm;
#[cfg(feature = "relay")]
mod tail;
#[cfg(all(feature = "kad", feature = "pubsub", feature = "rendezvous"))]
mod topics;
#[cfg(feature = "webrtc")]
mod webrtc;

use super::*;
use std::collections::BTreeMap;

use crate::connection::StreamId;
use crate::identity::PeerId;
use crate::negotiate::Name;

const ECHO: &str = "/echo/1.0.0";

/// Answers echo streams, and on its own ones sends `to_send` and counts what
/// comes back.
#[derive(Default)]
struct Echo {
    to_send: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    mine: Option<(ConnectionId, StreamId)>,
    done: bool,
    reset: bool,
    log: Vec<News>,
    /// What inbound streams could not take back yet.
    owed: BTreeMap<(ConnectionId, StreamId), (Vec<u8>, bool)>,
}

impl Echo {
    fn open(&mut self, peer: &mut Peer, now: Instant, connection: ConnectionId, bytes: Vec<u8>) {
        self.to_send = bytes;
        #[cfg(feature = "relay")]
        let stream = peer.open_limited_stream(now, connection, vec![ECHO.into()]).unwrap();
        #[cfg(not(feature = "relay"))]
        let stream = peer.open_stream(now, connection, vec![ECHO.into()]).unwrap();
        self.mine = Some((connection, stream));
        self.pump(peer, now, connection, stream);
    }

    fn pump(&mut self, peer: &mut Peer, now: Instant, connection: ConnectionId, id: StreamId) {
        let mine = self.mine == Some((connection, id));
        let Some(mut stream) = peer.stream(connection, id) else { return };
        if mine {
            while self.sent < self.to_send.len() {
                match stream.write(&self.to_send[self.sent..]) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => self.sent += count,
                }
            }
            if self.sent == self.to_send.len() {
                stream.finish();
            }
            let bytes = stream.readable().to_vec();
            stream.consume(bytes.len());
            self.received.extend(bytes);
        } else {
            let Some((owed, finished)) = self.owed.get_mut(&(connection, id)) else { return };
            while let Ok(count) = stream.write(owed) {
                owed.drain(..count);
                if !owed.is_empty() {
                    break;
                }
                *owed = stream.readable().to_vec();
                stream.consume(owed.len());
                if owed.is_empty() {
                    break;
                }
            }
            if *finished && owed.is_empty() {
                stream.finish();
            }
        }
        peer.touched(now, connection);
    }
}

impl Application for Echo {
    fn handle(&mut self, peer: &mut Peer, now: Instant, news: News) {
        match &news {
            News::Node(Event::InboundStream { connection, stream, .. }) => {
                self.owed.entry((*connection, *stream)).or_default();
                self.pump(peer, now, *connection, *stream);
            }
            News::Stream(connection, event) => match event {
                StreamEvent::Readable(stream) | StreamEvent::Writable(stream) => {
                    self.pump(peer, now, *connection, *stream);
                }
                StreamEvent::Finished(stream) => {
                    if let Some((_, finished)) = self.owed.get_mut(&(*connection, *stream)) {
                        *finished = true;
                    }
                    self.pump(peer, now, *connection, *stream);
                    self.done |= self.mine == Some((*connection, *stream));
                }
                StreamEvent::Reset(_) => self.reset = true,
                _ => {}
            },
            News::Node(_) => {}
        }
        self.log.push(news);
    }
}

fn pair(seed: u64) -> (World<Echo>, PeerIndex, PeerIndex, ConnectionId) {
    let mut world = World::new(seed);
    let (alice, bob) = (world.add(Echo::default()), world.add(Echo::default()));
    world.with(bob, |peer, _, now| peer.handle(now, ECHO.into()));
    let address = world.address(bob);
    world.with(alice, |peer, _, now| peer.dial(now, None, vec![address]));
    let connected = |world: &World<Echo>| dialed(world.app(alice)).is_some();
    assert!(world.run_until(Duration::from_secs(5), connected), "{:?}", world.app(alice).log);
    let connection = dialed(world.app(alice)).unwrap();
    (world, alice, bob, connection)
}

fn dialed(app: &Echo) -> Option<ConnectionId> {
    app.log.iter().find_map(|news| match news {
        News::Node(Event::Dialed { connection, .. }) => Some(*connection),
        _ => None,
    })
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn two_peers_connect_identify_ping_and_echo() {
    let (mut world, alice, bob, connection) = pair(7);
    let data = pattern(3_000_000);
    let sent = data.clone();
    world.with(alice, |peer, app, now| app.open(peer, now, connection, sent));
    let done = world.run_until(Duration::from_secs(60), |world| world.app(alice).done);
    assert!(done);
    assert!(world.app(alice).received == data);
    world.with(alice, |peer, _, now| peer.ping(now, connection));
    world.run_for(Duration::from_secs(1));
    let pinged = world.app(alice).log.iter().any(|news| {
        matches!(news, News::Node(Event::Pinged { result: Ok(rtt), .. })
            if *rtt >= Duration::from_millis(20))
    });
    assert!(pinged);
    let bob_id = world.peer(bob).node().peer_id();
    let info = world.app(alice).log.iter().find_map(|news| match news {
        News::Node(Event::Identified { peer, info, .. }) if *peer == bob_id => Some(info.clone()),
        _ => None,
    });
    let info = info.expect("identified");
    assert!(info.protocols.contains(&Name::from(ECHO)));
    assert_eq!(info.record.as_ref().map(|record| record.peer_id()), Some(bob_id));
    assert_eq!(info.observed, Some(memory(alice)));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let (mut world, alice, _, connection) = pair(seed);
        world.set_conditions(Conditions {
            loss: 50,
            jitter: Duration::from_millis(5),
            ..Conditions::default()
        });
        world.with(alice, |peer, app, now| app.open(peer, now, connection, pattern(200_000)));
        world.run_for(Duration::from_secs(20));
        assert!(world.app(alice).done);
        (world.events(), world.digest())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn nothing_is_lost_under_bad_conditions() {
    for seed in 0..20 {
        let (mut world, alice, bob, connection) = pair(seed);
        world.set_conditions(Conditions {
            delay: Duration::from_millis(5 + seed * 7),
            jitter: Duration::from_millis(seed * 3),
            rate: (seed % 2 == 0).then_some(2_000_000),
            loss: 15 * seed,
            buffer: 4096 << (seed % 6),
            ..Conditions::default()
        });
        let data = pattern(100_000);
        let sent = data.clone();
        world.with(alice, |peer, app, now| app.open(peer, now, connection, sent));
        let limit = Duration::from_secs(3600);
        assert!(world.run_until(limit, |world| world.app(alice).done), "seed {seed}");
        assert!(world.app(alice).received == data, "seed {seed}");
        world.run_for(Duration::from_secs(60));
        for index in [alice, bob] {
            let connection = world.peer(index).node().peers().next().unwrap().1.first().unwrap();
            let streams = world.peer(index).connection(*connection).unwrap().stream_count();
            // The ping stream is not open here, and identify's have ended.
            assert_eq!(streams, 0, "seed {seed}");
        }
    }
}

#[test]
fn a_short_partition_delays_and_a_long_one_ends_the_connection() {
    let (mut world, alice, bob, connection) = pair(3);
    world.set_group(bob, 1);
    world.with(alice, |peer, app, now| app.open(peer, now, connection, pattern(50_000)));
    world.run_for(Duration::from_secs(8));
    assert!(!world.app(alice).done);
    world.set_group(bob, 0);
    assert!(world.run_until(Duration::from_secs(10), |world| world.app(alice).done));
    assert!(world.app(alice).received == pattern(50_000));

    world.set_group(bob, 1);
    world.run_for(Duration::from_secs(300));
    for index in [alice, bob] {
        assert_eq!(world.peer(index).node().peers().count(), 0);
        assert_eq!(world.peer(index).node().connection_count(), 0);
    }
}

#[test]
fn a_dial_into_nothing_ends_and_says_why() {
    let mut world = World::new(5);
    let alice = world.add(Echo::default());
    let nowhere: Multiaddr = "/memory/77".parse().unwrap();
    world.with(alice, |peer, _, now| peer.dial(now, None, vec![nowhere.clone()]));
    world.run_for(Duration::from_secs(1));
    let failed = world.app(alice).log.iter().any(|news| {
        matches!(news, News::Node(Event::DialFailed {
            error: crate::node::DialError::Failed(causes), ..
        }) if causes.len() == 1 && causes[0].0 == nowhere)
    });
    assert!(failed, "{:?}", world.app(alice).log);
}

#[test]
fn a_dial_to_oneself_is_refused() {
    let mut world = World::new(6);
    let alice = world.add(Echo::default());
    // Once by an address that says so, once by one that does not.
    for address in [world.address(alice), memory(alice)] {
        world.with(alice, |peer, app, now| {
            app.log.clear();
            peer.dial(now, None, vec![address]);
        });
        world.run_for(Duration::from_secs(5));
        let refused = |news: &News| matches!(news, News::Node(Event::DialFailed { .. }));
        assert!(world.app(alice).log.iter().any(refused), "{:?}", world.app(alice).log);
        assert_eq!(world.peer(alice).node().connection_count(), 0);
    }
}

#[test]
fn the_address_that_works_wins_and_the_others_are_given_up() {
    let mut world = World::new(8);
    let (alice, bob) = (world.add(Echo::default()), world.add(Echo::default()));
    let other = world.add(Echo::default());
    let id = world.peer(bob).node().peer_id();
    // One address is nobody's, one another peer's.
    let addresses = vec!["/memory/99".parse().unwrap(), memory(other), memory(bob)];
    world.with(alice, |peer, _, now| {
        for _ in 0..3 {
            peer.dial(now, Some(id), addresses.clone());
        }
    });
    world.run_for(Duration::from_secs(5));
    let dialed =
        |news: &&News| matches!(news, News::Node(Event::Dialed { peer, .. }) if *peer == id);
    assert_eq!(world.app(alice).log.iter().filter(dialed).count(), 3, "each asker is told");
    assert_eq!(world.peer(alice).node().connection_count(), 1, "but one connection is made");
    assert_eq!(world.peer(other).node().connection_count(), 0);
}

#[test]
fn changes_are_pushed_to_those_who_know_us() {
    let (mut world, alice, bob, _) = pair(9);
    world.run_for(Duration::from_secs(1));
    world.with(bob, |peer, _, now| peer.handle(now, "/new/1.0.0".into()));
    world.run_for(Duration::from_secs(1));
    let knows = world.app(alice).log.iter().any(|news| {
        matches!(news, News::Node(Event::Identified { info, .. })
            if info.protocols.contains(&Name::from("/new/1.0.0")))
    });
    assert!(knows);
}

#[test]
fn a_connection_that_is_cut_is_told_to_both() {
    let (mut world, alice, bob, connection) = pair(10);
    world.with(alice, |peer, app, now| app.open(peer, now, connection, pattern(5_000_000)));
    world.run_for(Duration::from_millis(100));
    world.cut(alice, connection);
    world.run_for(Duration::from_secs(1));
    for index in [alice, bob] {
        let told = |news: &News| matches!(news, News::Node(Event::Disconnected { .. }));
        assert!(world.app(index).log.iter().any(told));
        assert_eq!(world.peer(index).node().connection_count(), 0);
    }
}

#[test]
fn a_dial_is_not_answered_with_a_connection_that_is_being_closed() {
    let (mut world, alice, bob, first) = pair(12);
    let address = world.address(bob);
    let again = world.with(alice, |peer, _, now| {
        peer.close(now, first);
        peer.dial(now, None, vec![address])
    });
    let answer = |world: &World<Echo>| {
        world.app(alice).log.iter().find_map(|news| match news {
            News::Node(Event::Dialed { dial, connection, .. }) if *dial == again => {
                Some(*connection)
            }
            _ => None,
        })
    };
    assert!(world.run_until(Duration::from_secs(5), |world| answer(world).is_some()));
    let second = answer(&world).unwrap();
    assert_ne!(second, first);
    assert!(world.peer(alice).node().peer_of(second).is_some());
}
