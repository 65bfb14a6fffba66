//! A relay over a long time and under load.

use super::*;
use crate::protocols::relay::{Rule, ServiceConfig};

fn relay(world: &mut World<Echo>, service: ServiceConfig) -> PeerIndex {
    world.add_with(Echo::default(), |config| config.relay.service = Some(service))
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
