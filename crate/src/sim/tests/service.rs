//! A relay over a long time and under load.

use super::*;
use crate::protocols::relay::{Limit, RelayRates, Rule, ServiceConfig};

const KIB: u64 = 1024;

fn relay(world: &mut World<Echo>, service: ServiceConfig) -> PeerIndex {
    world.add_with(Echo::default(), |config| config.relay.service = Some(service))
}

fn unlimited() -> ServiceConfig {
    ServiceConfig { limit: Limit::default(), ..ServiceConfig::default() }
}

fn reserve(world: &mut World<Echo>, client: PeerIndex, relay: PeerIndex) {
    world.with(client, |peer, _, now| peer.handle(now, ECHO.into()));
    let address = world.address(relay);
    world.with(client, |peer, _, now| peer.listen_on_relay(now, Some(address)).unwrap());
}

fn has_place(world: &World<Echo>, client: PeerIndex) -> bool {
    world.peer(client).node().reservations().count() == 1
}

fn places(world: &World<Echo>, relay: PeerIndex) -> usize {
    world.peer(relay).node().relay_service().reservations().count()
}

/// Dials through the relay and sends `bytes` there and back.
fn send(world: &mut World<Echo>, from: PeerIndex, to: PeerIndex, relay: PeerIndex, bytes: usize) {
    let target = world.peer(to).node().peer_id();
    let address = world.address(relay).with_circuit().with_peer(target);
    world.with(from, |peer, _, now| peer.dial(now, None, vec![address]));
    let best = |world: &World<Echo>| world.peer(from).node().best_connection(&target);
    assert!(world.run_until(Duration::from_secs(30), |world| best(world).is_some()));
    let connection = best(world).unwrap();
    world.with(from, |peer, app, now| app.open(peer, now, connection, pattern(bytes)));
}

#[test]
fn ten_thousand_reconnects_of_fifty_peers_leave_fifty_places() {
    let mut world = World::new(1);
    let relay = relay(&mut world, ServiceConfig::default());
    let clients: Vec<PeerIndex> = (0..50).map(|_| world.add(Echo::default())).collect();
    clients.iter().for_each(|client| reserve(&mut world, *client, relay));
    for round in 0..200 {
        let all = |world: &World<Echo>| clients.iter().all(|client| has_place(world, *client));
        assert!(world.run_until(Duration::from_secs(10), all), "{round}");
        assert_eq!(places(&world, relay), 50, "{round}");
        for client in &clients {
            let open = world.peer(*client).node().peers().flat_map(|(_, ids)| ids.iter());
            for connection in open.copied().collect::<Vec<_>>() {
                world.cut(*client, connection);
            }
        }
        world.run_for(Duration::from_millis(500));
    }
}

#[test]
fn a_hundred_restarts_of_a_relay_cost_five_seconds_each_at_most() {
    let mut world = World::new(2);
    let relay = relay(&mut world, ServiceConfig::default());
    let client = world.add(Echo::default());
    world.stop(relay);
    reserve(&mut world, client, relay);
    for round in 0..100 {
        // Away for a moment, or for as long as an update takes.
        world.run_for(Duration::from_millis(1000 + 397 * round));
        assert!(!has_place(&world, client));
        world.start(relay);
        let back = |world: &World<Echo>| has_place(world, client);
        assert!(world.run_until(Duration::from_secs(5), back), "{round}");
        let announced = world.peer(client).node().addresses();
        assert_eq!(announced.iter().filter(|address| address.is_circuit()).count(), 1);
        world.run_for(Duration::from_secs(1));
        world.stop(relay);
    }
}

/// How long an honest pair takes for its bytes, with so many others at one address
/// that use the relay as much as they can.
fn honest(flood: usize) -> Duration {
    let mut world = World::new(3);
    let rate = |kib| Some(kib * KIB);
    let rates =
        RelayRates { circuit: rate(256), peer: rate(256), ip: rate(512), total: rate(2048) };
    let relay = world.add_with(Echo::default(), |config| {
        config.relay.service = Some(ServiceConfig { rates, ..unlimited() });
        // A flood that these limits let pass, too.
        config.arrivals.address.connections = 100;
        config.arrivals.address.burst = 100;
    });
    world.place(relay, None);
    let [hidden, visitor] = [(); 2].map(|()| world.add(Echo::default()));
    world.place(hidden, None);
    world.place(visitor, None);
    reserve(&mut world, hidden, relay);
    let nat = world.add_nat(Nat::new(NatKind::FullCone));
    let crowd = |world: &mut World<Echo>| {
        let index = world.add(Echo::default());
        world.place(index, Some(nat));
        index
    };
    let targets: Vec<PeerIndex> = (0..flood.min(4)).map(|_| crowd(&mut world)).collect();
    targets.iter().for_each(|target| reserve(&mut world, *target, relay));
    world.run_for(Duration::from_secs(5));
    for number in 0..flood {
        let source = crowd(&mut world);
        send(&mut world, source, targets[number % targets.len()], relay, 20_000_000);
    }
    send(&mut world, visitor, hidden, relay, 1_000_000);
    let start = world.now();
    let done = |world: &World<Echo>| world.app(visitor).done;
    assert!(world.run_until(Duration::from_secs(100), done));
    world.now() - start
}

#[test]
fn a_flood_from_many_ids_leaves_honest_circuits_their_rate() {
    let (alone, beside) = (honest(0), honest(30));
    assert!(alone > Duration::from_secs(7), "the rate of a circuit holds: {alone:?}");
    assert!(beside * 9 < alone * 10, "{alone:?} alone, {beside:?} beside the flood");
}

#[test]
fn rates_change_while_circuits_last_and_the_pair_is_remembered() {
    let mut world = World::new(4);
    let slow = RelayRates { circuit: Some(64 * KIB), ..RelayRates::default() };
    let relay = relay(&mut world, ServiceConfig { rates: slow, ..unlimited() });
    let [hidden, visitor] = [(); 2].map(|()| world.add(Echo::default()));
    reserve(&mut world, hidden, relay);
    world.run_for(Duration::from_secs(5));
    send(&mut world, visitor, hidden, relay, 3_000_000);
    world.run_for(Duration::from_secs(20));
    assert!(!world.app(visitor).done, "this takes a minute and a half");
    world.with(relay, |peer, _, now| peer.serve_as_relay(now, unlimited()));
    let done = |world: &World<Echo>| world.app(visitor).done;
    assert!(world.run_until(Duration::from_secs(10), done));
    let target = world.peer(hidden).node().peer_id();
    world.with(visitor, |peer, _, now| peer.hang_up(now, &target));
    world.run_for(Duration::from_secs(10));
    let stats = world.peer(relay).node().relay_service().stats();
    assert_eq!((stats.reservations, stats.circuits, stats.pairs.len()), (1, 0, 1));
    let pair = stats.pairs[0];
    assert_eq!((pair.target, pair.circuits), (target, 1));
    assert!(pair.bytes.iter().all(|bytes| *bytes > 3_000_000), "{pair:?}");
}

#[test]
fn refusals_say_by_which_rule_and_until_when() {
    let mut world = World::new(5);
    let [first, second, denied] = [(); 3].map(|()| world.add(Echo::default()));
    let name = |world: &World<Echo>, index| world.peer(index).node().peer_id();
    let mut service = ServiceConfig { max_reservations: 1, ..ServiceConfig::default() };
    service.deny.insert(name(&world, denied));
    service.trusted.insert(name(&world, first));
    let relay = relay(&mut world, service);
    for client in [first, second, denied] {
        reserve(&mut world, client, relay);
        world.run_for(Duration::from_millis(500));
    }
    let refusals = |peer| {
        let news = world.app(relay).log.iter().filter_map(move |news| match news {
            News::Node(Event::RelayRefused { peer: to, refusal }) if *to == peer => Some(*refusal),
            _ => None,
        });
        news.collect::<Vec<_>>()
    };
    let full = refusals(name(&world, second));
    assert_eq!(full[0].rule, Rule::Reservations);
    let ttl = ServiceConfig::default().reservation_ttl;
    assert!(full[0].retry_after.is_some_and(|after| after < ttl && after + after > ttl));
    let no = refusals(name(&world, denied));
    assert_eq!((no[0].rule, no[0].retry_after), (Rule::Denied, None));
    let counts = world.peer(relay).node().relay_service().stats().refused;
    assert!(counts.iter().any(|(rule, count)| *rule == Rule::Denied && *count > 0));
    // Who is trusted has no limit.
    let target = name(&world, first);
    let address = world.address(relay).with_circuit().with_peer(target);
    world.with(second, |peer, _, now| peer.dial(now, None, vec![address]));
    world.run_for(Duration::from_secs(5));
    let connection = world.peer(second).node().best_connection(&target).unwrap();
    assert_eq!(world.peer(second).node().limit(connection), None);
}
