//! Whole peers behind translators.

use super::*;

/// A relay, two peers behind a translator each, and where the relay sees these.
fn two_behind(nat: Nat) -> (World<Echo>, [PeerIndex; 3], [Multiaddr; 2]) {
    let mut world = World::new(1);
    let peers = [(); 3].map(|()| world.add(Echo::default()));
    let [relay, a, b] = peers;
    world.place(relay, None);
    let address = world.address(relay);
    let seen = [a, b].map(|index| {
        let behind = world.add_nat(nat);
        world.place(index, Some(behind));
        let address = address.clone();
        world.with(index, |peer, _, now| peer.dial(now, None, vec![address]));
        world.run_for(Duration::from_secs(1));
        let connection = dialed(world.app(index)).unwrap();
        world.peer(index).node().info(connection).unwrap().observed.clone().unwrap()
    });
    (world, peers, seen)
}

fn reaches(world: &mut World<Echo>, from: PeerIndex, to: Multiaddr) -> bool {
    world.with(from, |peer, app, now| {
        app.log.clear();
        peer.dial(now, None, vec![to]);
    });
    world.run_for(Duration::from_secs(20));
    dialed(world.app(from)).is_some()
}

#[test]
fn only_a_full_cone_lets_strangers_in_where_others_see_it() {
    let kinds = [NatKind::FullCone, NatKind::AddressRestricted, NatKind::PortRestricted];
    for kind in kinds.into_iter().chain([NatKind::Symmetric]) {
        let (mut world, [_, a, _], [_, b]) = two_behind(Nat::new(kind));
        assert!(!b.to_string().starts_with("/ip4/10."), "the translator's address: {b}");
        assert_eq!(reaches(&mut world, a, b), kind == NatKind::FullCone, "{kind:?}");
    }
}

#[test]
fn who_does_not_reuse_the_port_is_seen_where_nobody_listens() {
    let mut world = World::new(2);
    let [relay, hidden, visitor] = [(); 3].map(|()| world.add(Echo::default()));
    let cone = world.add_nat(Nat::new(NatKind::FullCone));
    world.place(relay, None);
    world.place_with(hidden, Some(cone), false);
    world.place(visitor, None);
    let address = world.address(relay);
    world.with(hidden, |peer, _, now| peer.dial(now, None, vec![address]));
    world.run_for(Duration::from_secs(1));
    let connection = dialed(world.app(hidden)).unwrap();
    let seen = world.peer(hidden).node().info(connection).unwrap().observed.clone().unwrap();
    assert!(!reaches(&mut world, visitor, seen));
}

#[test]
fn a_translator_that_forgets_ends_what_went_through_it() {
    let impatient = Nat { timeout: Duration::from_secs(3), ..Nat::new(NatKind::PortRestricted) };
    let (mut world, [relay, a, b], _) = two_behind(impatient);
    world.run_for(Duration::from_secs(300));
    for index in [relay, a, b] {
        assert_eq!(world.peer(index).node().connection_count(), 0);
    }
}

#[test]
fn circuits_go_through_translators_and_survive_loss() {
    use crate::protocols::relay::ServiceConfig;
    let mut world = World::new(3);
    world.set_conditions(Conditions { loss: 50, ..Conditions::default() });
    let relay = world.add_with(Echo::default(), |config| {
        config.relay.service = Some(ServiceConfig::default());
    });
    world.place(relay, None);
    let [hidden, visitor] = [(); 2].map(|()| {
        let index = world.add(Echo::default());
        let nat = world.add_nat(Nat::new(NatKind::Symmetric));
        world.place(index, Some(nat));
        index
    });
    let address = world.address(relay);
    world.with(hidden, |peer, _, now| peer.listen_on_relay(now, Some(address)).unwrap());
    let announced = |world: &World<Echo>| {
        let mut addresses = world.peer(hidden).node().addresses().iter();
        addresses.find(|address| address.is_circuit()).cloned()
    };
    assert!(world.run_until(Duration::from_secs(20), |world| announced(world).is_some()));
    let id = world.peer(hidden).node().peer_id();
    let circuit = announced(&world).unwrap().with_peer(id);
    assert!(reaches(&mut world, visitor, circuit));
}

#[test]
fn the_same_seed_gives_the_same_run_with_translators() {
    let run = || two_behind(Nat::new(NatKind::Symmetric)).0.digest();
    assert_eq!(run(), run());
}
