//! Circuits through a third peer.

use super::*;
use crate::PeerId;
use crate::connection::{Error, StreamError};
use crate::node::{AttemptError, DialError};
use crate::protocols::relay::{Limit, RelayError, ServiceConfig, Status};

struct Through {
    world: World<Echo>,
    relay: PeerIndex,
    /// Cannot be dialed, but for the relay.
    hidden: PeerIndex,
    visitor: PeerIndex,
}

impl Through {
    fn new(seed: u64, change: impl Fn(&mut ServiceConfig)) -> Self {
        let mut world = World::new(seed);
        let mut service = ServiceConfig::default();
        change(&mut service);
        let unix = 1_790_000_000_000;
        let relay = world.add_with(Echo::default(), |config| {
            config.relay.service = Some(service);
            config.relay.unix_millis_at_zero = unix;
        });
        let mut client =
            || world.add_with(Echo::default(), |config| config.relay.unix_millis_at_zero = unix);
        let (hidden, visitor) = (client(), client());
        world.with(hidden, |peer, _, now| peer.handle(now, ECHO.into()));
        world.with(hidden, |peer, _, _| peer.handle_limited(ECHO.into(), true));
        Self { world, relay, hidden, visitor }
    }

    /// With a reservation.
    fn reserved(seed: u64, change: impl Fn(&mut ServiceConfig)) -> Self {
        let mut through = Self::new(seed, change);
        through.reserve();
        through
    }

    fn reserve(&mut self) {
        let (hidden, address) = (self.hidden, self.world.address(self.relay));
        self.world.with(hidden, |peer, _, now| peer.listen_on_relay(now, Some(address)).unwrap());
        let done = |world: &World<Echo>| world.peer(hidden).node().reservations().count() == 1;
        assert!(self.world.run_until(Duration::from_secs(20), done), "{:?}", self.log(hidden));
    }

    fn log(&self, index: PeerIndex) -> &[News] {
        &self.world.app(index).log
    }

    /// Dials the hidden peer where it says that it can be reached.
    fn dial(&mut self) {
        let hidden = self.world.peer(self.hidden).node();
        let circuit = |address: &&Multiaddr| address.is_circuit();
        let address = hidden.addresses().iter().find(circuit).expect("a circuit's address");
        let address = address.with_peer(hidden.peer_id());
        self.world.with(self.visitor, |peer, _, now| peer.dial(now, None, vec![address]));
    }

    fn connect(&mut self) -> ConnectionId {
        self.dial();
        let visitor = self.visitor;
        let done = |world: &World<Echo>| dialed(world.app(visitor)).is_some();
        assert!(self.world.run_until(Duration::from_secs(20), done), "{:?}", self.log(visitor));
        dialed(self.world.app(visitor)).unwrap()
    }

    fn echo(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        self.world.with(self.visitor, |peer, app, now| app.open(peer, now, connection, bytes));
    }

    fn failure(&self) -> Option<&AttemptError> {
        self.log(self.visitor).iter().find_map(|news| match news {
            News::Node(Event::DialFailed { error: DialError::Failed(list), .. }) => {
                list.first().map(|(_, error)| error)
            }
            _ => None,
        })
    }
}

fn unlimited(config: &mut ServiceConfig) {
    config.limit = Limit::default();
}

#[test]
fn a_peer_behind_a_relay_is_reached_and_proves_who_it_is() {
    let mut through = Through::reserved(1, |_| {});
    let connection = through.connect();
    through.echo(connection, pattern(60_000));
    let visitor = through.visitor;
    let done = |world: &World<Echo>| world.app(visitor).done;
    assert!(through.world.run_until(Duration::from_secs(20), done));
    assert!(through.world.app(visitor).received == pattern(60_000));
    let node = through.world.peer(visitor).node();
    let hidden = through.world.peer(through.hidden).node();
    assert_eq!(node.peer_of(connection), Some(&hidden.peer_id()));
    assert_eq!(node.limit(connection), Some(ServiceConfig::default().limit));
    assert!(through.log(through.hidden).iter().any(|news| matches!(
        news,
        News::Node(Event::Connected { remote, .. }) if remote.is_circuit()
    )));
}

#[test]
fn much_is_carried_where_the_relay_sets_no_limit() {
    for seed in 0..5 {
        let mut through = Through::new(seed, unlimited);
        through.world.set_conditions(Conditions {
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(30),
            loss: 20,
            ..Conditions::default()
        });
        through.reserve();
        let connection = through.connect();
        through.echo(connection, pattern(3_000_000));
        let visitor = through.visitor;
        let done = |world: &World<Echo>| world.app(visitor).done;
        assert!(through.world.run_until(Duration::from_secs(600), done), "seed {seed}");
        assert!(through.world.app(visitor).received == pattern(3_000_000));
        // Both close, and nothing is left at the relay.
        through.world.with(visitor, |peer, _, now| peer.close(now, connection));
        through.world.run_for(Duration::from_secs(30));
        let service = through.world.peer(through.relay).node().relay_service();
        assert_eq!(service.circuit_count(), 0);
        let ended = |news: &News| {
            matches!(news, News::Node(Event::CircuitEnded { summary })
            if summary.bytes.iter().all(|bytes| *bytes > 3_000_000))
        };
        assert!(through.log(through.relay).iter().any(ended));
    }
}

#[test]
fn a_circuit_that_ends_for_its_limit_says_so_to_both_after_a_warning() {
    for by_time in [true, false] {
        let mut through = Through::reserved(3, |config| {
            config.limit = if by_time {
                Limit { duration: Some(Duration::from_secs(5)), data: None }
            } else {
                Limit { duration: None, data: Some(20_000) }
            };
        });
        let connection = through.connect();
        let (visitor, hidden) = (through.visitor, through.hidden);
        through.world.with(visitor, |peer, _, _| peer.set_circuit_refresh(false));
        let left = |world: &World<Echo>| {
            let connection = world.peer(visitor).connection(connection).unwrap();
            let used = connection.allowance(world.now()).unwrap();
            (used.time_left(), used.send_left())
        };
        let before = left(&through.world);
        assert!(before.0.is_some_and(|left| left > Duration::from_secs(4)) == by_time);
        assert!(before.1.is_some_and(|left| left > 19_000) != by_time);
        if !by_time {
            through.echo(connection, pattern(30_000));
        }
        let gone = |world: &World<Echo>| world.peer(visitor).node().peer_of(connection).is_none();
        assert!(through.world.run_until(Duration::from_secs(10), gone));
        through.world.run_for(Duration::from_secs(1));
        assert_eq!(through.world.peer(through.relay).node().relay_service().circuit_count(), 0);
        for end in [visitor, hidden] {
            let log = through.log(end);
            let warned = log.iter().position(|n| matches!(n, News::Node(Event::LimitNear { .. })));
            let spent = log.iter().position(|news| {
                let News::Node(Event::Disconnected { reason: Error::RelayLimit(used), .. }) = news
                else {
                    return false;
                };
                assert_eq!(used.limit.data.is_none(), by_time);
                true
            });
            assert!(warned.is_some() && spent > warned, "{log:?}");
        }
        // What the relay allowed has arrived.
        let got = &through.world.app(hidden).owed;
        assert!(by_time || got.len() == 1, "{got:?}");
    }
}

#[test]
fn a_circuit_that_fails_long_before_its_limit_is_not_put_down_to_it() {
    let mut through = Through::reserved(13, |_| {});
    through.connect();
    let (relay, visitor) = (through.relay, through.visitor);
    let hidden = through.world.peer(through.hidden).node().peer_id();
    through.world.with(relay, |peer, _, now| peer.hang_up(now, &hidden));
    through.world.run_for(Duration::from_secs(10));
    let lost = |news: &News| {
        matches!(news, News::Node(Event::Disconnected { peer, reason: Error::Transport(_), .. })
            if *peer == hidden)
    };
    assert!(through.log(visitor).iter().any(lost), "{:?}", through.log(visitor));
}

#[test]
fn a_circuit_in_use_is_followed_by_another_before_it_is_cut() {
    for (refresh, used) in [(true, true), (false, true), (true, false)] {
        let mut through = Through::reserved(14, |config| {
            config.limit = Limit { duration: Some(Duration::from_secs(60)), data: None };
        });
        let first = through.connect();
        let visitor = through.visitor;
        through.world.with(visitor, |peer, app, now| {
            peer.set_circuit_refresh(refresh);
            if used {
                let stream = peer.open_limited_stream(now, first, vec![ECHO.into()]).unwrap();
                app.mine = Some((first, stream));
            }
        });
        let target = through.world.peer(through.hidden).node().peer_id();
        let best = |world: &World<Echo>| world.peer(visitor).node().best_connection(&target);
        // Six limits long.
        for second in 0..6 * 60 {
            through.world.run_for(Duration::from_secs(1));
            if !(refresh && used) {
                let gone = best(&through.world).is_none();
                assert!(gone || second < 61);
                assert!(!gone || second > 57);
                if gone {
                    break;
                }
                continue;
            }
            let connection = best(&through.world).expect("always one");
            through.world.with(visitor, |peer, app, now| {
                let limited = peer.open_limited_stream(now, connection, vec![ECHO.into()]);
                let stream = limited.expect("streams opened later use the new one");
                // One is kept open, as a user would.
                if let Some((old, id)) = app.mine.replace((connection, stream)) {
                    peer.reset_stream(now, old, id);
                }
            });
        }
        let ends = through.log(visitor).iter().filter(|news| {
            matches!(news, News::Node(Event::Disconnected { reason: Error::RelayLimit(_), .. }))
        });
        assert_eq!(ends.count(), usize::from(!refresh || !used), "{refresh} {used}");
    }
}

#[test]
fn the_application_spares_limited_connections_unless_it_says_otherwise() {
    let mut through = Through::reserved(4, |_| {});
    through.world.with(through.hidden, |peer, _, _| peer.handle_limited(ECHO.into(), false));
    let connection = through.connect();
    let refused = through
        .world
        .with(through.visitor, |peer, _, now| peer.open_stream(now, connection, vec![ECHO.into()]));
    assert_eq!(refused, Err(StreamError::Limited));
    through.echo(connection, pattern(10));
    through.world.run_for(Duration::from_secs(5));
    let lost = |news: &News| {
        matches!(news, News::Stream(_, StreamEvent::Reset(_) | StreamEvent::Failed { .. }))
    };
    assert!(through.log(through.visitor).iter().any(lost));
    assert!(through.world.app(through.hidden).owed.is_empty());
}

#[test]
fn without_a_reservation_the_relay_says_so() {
    let mut through = Through::new(5, |_| {});
    let relay = through.world.address(through.relay);
    let hidden = through.world.peer(through.hidden).node().peer_id();
    let address = relay.with_circuit().with_peer(hidden);
    through.world.with(through.visitor, |peer, _, now| peer.dial(now, None, vec![address]));
    through.world.run_for(Duration::from_secs(5));
    let refused = AttemptError::Relay(RelayError::Refused(Status::NoReservation));
    assert_eq!(through.failure(), Some(&refused));
}

#[test]
fn a_peer_that_is_no_relay_and_one_that_is_gone_are_told_apart() {
    let mut through = Through::new(6, |_| {});
    let no_relay = through.world.address(through.hidden);
    let target = through.world.peer(through.relay).node().peer_id();
    let address = no_relay.with_circuit().with_peer(target);
    through.world.with(through.visitor, |peer, _, now| peer.dial(now, None, vec![address]));
    through.world.run_for(Duration::from_secs(5));
    assert_eq!(through.failure(), Some(&AttemptError::Relay(RelayError::NotARelay)));

    let mut through = Through::reserved(6, |_| {});
    through.world.set_group(through.relay, 9);
    through.dial();
    through.world.run_for(Duration::from_secs(30));
    let unreachable = |error: &AttemptError| {
        matches!(error, AttemptError::Relay(RelayError::Unreachable(_)) | AttemptError::TimedOut)
    };
    assert!(through.failure().is_some_and(unreachable), "{:?}", through.failure());
}

#[test]
fn reservations_are_limited_and_one_a_peer() {
    let mut world: World<Echo> = World::new(7);
    let service = ServiceConfig { max_reservations: 2, ..ServiceConfig::default() };
    let relay = world.add_with(Echo::default(), |config| {
        config.relay.service = Some(service);
    });
    let address = world.address(relay);
    let clients: Vec<PeerIndex> = (0..3).map(|_| world.add(Echo::default())).collect();
    for client in &clients {
        let address = address.clone();
        world.with(*client, |peer, _, now| peer.listen_on_relay(now, Some(address)).unwrap());
        world.run_for(Duration::from_secs(5));
    }
    let held =
        |world: &World<Echo>| world.peer(relay).node().relay_service().reservations().count();
    assert_eq!(held(&world), 2);
    let refused = |news: &News| {
        matches!(news, News::Node(Event::Unreserved { error, .. })
            if *error == RelayError::Refused(Status::ReservationRefused))
    };
    assert!(world.app(clients[2]).log.iter().any(refused));
    // A place that is given up is taken by the one who waits.
    let id = world.peer(relay).node().peer_id();
    let before = *world.peer(clients[0]).node().peers().next().unwrap().1.first().unwrap();
    world.set_group(clients[0], 1);
    world.cut(clients[0], before);
    world.run_for(Duration::from_secs(70));
    assert_eq!(held(&world), 2);
    assert!(world.peer(clients[2]).node().reservations().any(|(relay, _)| *relay == id));
}

#[test]
fn many_reconnects_leave_one_reservation_a_peer() {
    let mut through = Through::reserved(8, |_| {});
    let relay = through.world.peer(through.relay).node().peer_id();
    for _ in 0..100 {
        let node = through.world.peer(through.hidden).node();
        let open = node.peers().find(|(peer, _)| **peer == relay).map(|(_, ids)| ids.clone());
        for id in open.iter().flat_map(|ids| ids.iter()) {
            through.world.cut(through.hidden, *id);
        }
        let hidden = through.hidden;
        through.world.run_for(Duration::from_millis(500));
        let back = |world: &World<Echo>| world.peer(hidden).node().reservations().count() == 1;
        assert!(through.world.run_until(Duration::from_secs(5), back), "within five seconds");
    }
    let service = through.world.peer(through.relay).node().relay_service();
    assert_eq!(service.reservations().count(), 1);
    let announced = through.world.peer(through.hidden).node().addresses();
    assert_eq!(announced.iter().filter(|address| address.is_circuit()).count(), 1);
}

#[test]
fn a_relay_that_is_down_at_the_start_is_used_when_it_is_up() {
    let mut through = Through::new(9, |_| {});
    through.world.set_group(through.relay, 1);
    let (hidden, address) = (through.hidden, through.world.address(through.relay));
    through.world.with(hidden, |peer, _, now| peer.listen_on_relay(now, Some(address)).unwrap());
    through.world.run_for(Duration::from_secs(100));
    assert_eq!(through.world.peer(hidden).node().reservations().count(), 0);
    through.world.set_group(through.relay, 0);
    through.world.run_for(Duration::from_secs(80));
    assert_eq!(through.world.peer(hidden).node().reservations().count(), 1);
}

#[test]
fn any_relay_that_is_met_will_do_and_another_takes_over() {
    let mut world: World<Echo> = World::new(10);
    let relays: Vec<PeerIndex> = (0..3)
        .map(|_| {
            world.add_with(Echo::default(), |config| {
                config.relay.service = Some(ServiceConfig::default());
            })
        })
        .collect();
    let client = world.add(Echo::default());
    world.with(client, |peer, _, now| peer.listen_on_relay(now, None).unwrap());
    for relay in &relays {
        let address = world.address(*relay);
        world.with(client, |peer, _, now| peer.dial(now, None, vec![address]));
    }
    world.run_for(Duration::from_secs(10));
    let serving = |world: &World<Echo>| -> Vec<PeerId> {
        world.peer(client).node().reservations().map(|(relay, _)| *relay).collect()
    };
    let first = serving(&world);
    assert_eq!(first.len(), 1);
    world.with(client, |peer, _, now| peer.hang_up(now, &first[0]));
    world.run_for(Duration::from_secs(10));
    let second = serving(&world);
    assert_eq!(second.len(), 1);
    assert_ne!(first, second);
}

#[test]
fn reservations_are_renewed_before_they_end() {
    let ttl = Duration::from_secs(60);
    let mut through = Through::reserved(11, |config| config.reservation_ttl = ttl);
    for _ in 0..20 {
        through.world.run_for(Duration::from_secs(25));
        assert_eq!(through.world.peer(through.hidden).node().reservations().count(), 1);
    }
    let lost = |news: &News| matches!(news, News::Node(Event::Unreserved { .. }));
    assert!(!through.log(through.hidden).iter().any(lost));
}

#[test]
fn the_same_seed_gives_the_same_circuit() {
    let run = || {
        let mut through = Through::reserved(12, |_| {});
        let connection = through.connect();
        through.echo(connection, pattern(50_000));
        through.world.run_for(Duration::from_secs(60));
        through.world.digest()
    };
    assert_eq!(run(), run());
}
