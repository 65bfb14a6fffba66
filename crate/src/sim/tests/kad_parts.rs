//! Who serves in a DHT, whom queries leave out, and what they do not wait for.

use super::kad::Net;
use super::*;
use crate::protocols::autonat::ServerConfig;
use crate::protocols::kad::{Config, Mode, QueryEvent};

fn providers(net: &mut Net, from: PeerIndex, key: &[u8]) -> Vec<PeerId> {
    let query = net.world.with(from, |peer, _, now| peer.find_providers(now, key, 9).unwrap());
    net.done(from, query);
    let events = net.events(from, query);
    let found = events.iter().filter_map(|event| match event {
        QueryEvent::Provider(contact) => Some(contact.peer),
        _ => None,
    });
    found.collect()
}

#[test]
fn who_provides_something_says_so_itself_when_it_is_asked() {
    let mut net = Net::new(22, 3);
    let [provider, reader] = [net.peers[0], net.peers[2]];
    // With nobody to tell but those two, of whom one is asked alone.
    let query = net.world.with(provider, |peer, _, now| peer.provide(now, b"mine").unwrap());
    net.done(provider, query);
    let found = providers(&mut net, reader, b"mine");
    assert_eq!(found, [net.id(provider)]);
}

#[test]
fn a_peer_serves_while_others_can_dial_it() {
    let mut world = World::<Echo>::new(23);
    let auto = |config: &mut crate::node::Config| {
        config.kad = Some(Config::default());
        config.autonat.confidence = 1;
    };
    let asker = world.add_with(Echo::default(), auto);
    world.place(asker, None);
    let serves = |world: &World<Echo>| world.peer(asker).node().dht().unwrap().is_server();
    assert!(!serves(&world));
    for _ in 0..3 {
        let server = world.add_with(Echo::default(), |config| {
            config.autonat.server = Some(ServerConfig::default());
        });
        world.place(server, None);
        let address = world.address(server);
        world.with(asker, |peer, _, now| peer.dial(now, None, vec![address]));
    }
    assert!(world.run_until(Duration::from_secs(120), serves));
    world.run_for(Duration::from_secs(5));
    let name = Name::from(crate::protocols::kad::OWN_NAME);
    let told = |world: &World<Echo>| {
        let node = world.peer(PeerIndex(1)).node();
        let (_, connections) = node.peers().next().unwrap();
        node.info(*connections.first().unwrap()).unwrap().protocols.contains(&name)
    };
    assert!(told(&world), "others are told");
    // A client by order answers nobody, whatever its reach.
    world.with(asker, |peer, _, now| peer.set_dht_mode(now, Mode::Client));
    assert!(!serves(&world));
    world.run_for(Duration::from_secs(5));
    assert!(!told(&world));
}

#[test]
fn silent_peers_cost_a_lookup_its_patience_alone() {
    let mut net = Net::new(24, 60);
    for nth in (1..60).step_by(3) {
        net.world.deafen(net.peers[nth]);
    }
    let from = net.peers[2];
    let begin = net.world.now();
    let summary = net.closest(from, b"still there");
    // All that are there in this half of the key space, of which the answers tell.
    assert!(summary.closest.len() >= 12, "{} found", summary.closest.len());
    // Nobody waits for the ten seconds that each may take.
    assert!(net.world.now() - begin < Duration::from_secs(8), "{:?}", net.world.now() - begin);
}

#[test]
fn a_page_dials_few_and_finds_all_the_same() {
    let mut net = Net::new(25, 80);
    let page = net.add_with(Config::default().in_page());
    net.world.run_for(Duration::from_secs(40));
    let met = net.world.peer(page).node().peers().count();
    let target = net.peers[50];
    let id = net.id(target);
    let query = net.world.with(page, |peer, _, now| peer.find_peer(now, id).unwrap());
    assert_eq!(net.done(page, query).successes, 1);
    let query = net.world.with(page, |peer, _, now| peer.closest_peers(now, b"far").unwrap());
    let summary = net.done(page, query);
    assert!(net.world.peer(page).node().peers().count() <= met + 50);
    assert_eq!(summary.closest[0], net.truth(b"far", page)[0]);
}

#[test]
fn whom_the_host_cannot_dial_is_never_asked() {
    let mut net = Net::new(26, 40);
    let client = net.add_with(Config { mode: Mode::Client, ..Config::default() });
    let only = net.world.address(net.peers[7]).without_peer();
    net.world.with(client, |peer, _, _| peer.set_dialable(Box::new(move |one| *one == only)));
    net.world.run_for(Duration::from_secs(5));
    let summary = net.closest(client, b"anything");
    // The one that it began with, and the one that it can dial.
    assert_eq!(summary.asked, 2);
    assert!(net.world.peer(client).node().peers().count() <= 2);
}

#[test]
fn with_optimism_the_nearest_are_told_early() {
    let mut net = Net::with(27, 120, Config { optimistic: true, ..Config::default() });
    let provider = net.peers[30];
    for number in 0..4u8 {
        net.closest(provider, &[number]);
    }
    let size = net.world.peer(provider).node().dht().unwrap().network_size().unwrap();
    assert!((60..240).contains(&size), "{size}");
    let query = net.world.with(provider, |peer, _, now| peer.provide(now, b"soon").unwrap());
    let summary = net.done(provider, query);
    assert!(summary.successes >= 15, "{summary:?}");
    let truth = net.truth(b"soon", provider);
    let keeps = |id: &PeerId| {
        let index = net.peers.iter().find(|index| net.id(**index) == *id).unwrap();
        let kad = net.world.peer(*index).node().dht().unwrap();
        kad.store().providers(net.world.now(), b"soon").next().is_some()
    };
    let kept = truth.iter().filter(|id| keeps(id)).count();
    assert!(kept >= 10, "{kept} of the 20 nearest");
}
