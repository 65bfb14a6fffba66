//! The first connections of a start.

use super::store::Log;
use super::*;
use crate::swarm::store::bootstrap::Config as Bootstrap;

fn listening(world: &mut World<Log>, count: usize) -> Vec<PeerIndex> {
    (0..count).map(|_| world.add(Log::default())).collect()
}

fn connected(world: &World<Log>, index: PeerIndex) -> usize {
    world.peer(index).node().peers().count()
}

fn dials(world: &World<Log>, index: PeerIndex) -> usize {
    let answer =
        |news: &&News| matches!(news, News::Node(Event::Dialed { .. } | Event::DialFailed { .. }));
    world.app(index).0.iter().filter(answer).count()
}

fn bootstrapped(world: &World<Log>, index: PeerIndex) -> Vec<usize> {
    let peers = |news: &News| match news {
        News::Node(Event::Bootstrapped { peers }) => Some(*peers),
        _ => None,
    };
    world.app(index).0.iter().filter_map(peers).collect()
}

#[test]
fn a_node_begins_with_as_many_peers_as_it_is_to_have() {
    let mut world = World::new(1);
    let servers = listening(&mut world, 10);
    let peers: Vec<Multiaddr> = servers.iter().map(|index| world.address(*index)).collect();
    // The first three are gone.
    servers[..3].iter().for_each(|index| world.set_group(*index, 1));
    let node = world.add_with(Log::default(), |config| {
        config.store.bootstrap = Bootstrap { peers, ..Bootstrap::default() };
    });
    assert!(world.run_until(Duration::from_secs(120), |world| connected(world, node) == 4));
    world.run_for(Duration::from_secs(600));
    assert_eq!(connected(&world, node), 4, "and no more");
    assert_eq!(dials(&world, node), 7, "three in vain, nobody twice");
    assert_eq!(bootstrapped(&world, node).last(), Some(&4));
}

#[test]
fn it_tries_again_with_pauses_that_grow() {
    let mut world = World::new(2);
    let servers = listening(&mut world, 2);
    let peers: Vec<Multiaddr> = servers.iter().map(|index| world.address(*index)).collect();
    servers.iter().for_each(|index| world.set_group(*index, 1));
    let node = world.add_with(Log::default(), |config| {
        config.store.bootstrap = Bootstrap { peers, ..Bootstrap::default() };
    });
    world.run_for(Duration::from_secs(3600));
    let rounds = bootstrapped(&world, node).len();
    assert!((6..16).contains(&rounds), "{rounds} rounds in an hour");
    servers.iter().for_each(|index| world.set_group(*index, 0));
    world.run_for(Duration::from_secs(900));
    assert_eq!(connected(&world, node), 2, "all there are");

    // The last connection is lost: it begins anew, but not with whom we left.
    let first = world.peer(servers[0]).node().peer_id();
    world.with(node, |peer, _, now| peer.hang_up(now, &first));
    world.run_for(Duration::from_secs(900));
    assert_eq!(connected(&world, node), 1);
    let other = world.peer(servers[1]).node().peer_id();
    let lost = world.peer(node).node().peers().find(|(peer, _)| **peer == other);
    let connection = *lost.unwrap().1.iter().next().unwrap();
    world.cut(node, connection);
    world.run_for(Duration::from_secs(60));
    let peers: Vec<_> = world.peer(node).node().peers().map(|(peer, _)| *peer).collect();
    assert_eq!(peers, [other]);
}

#[test]
fn peers_that_proved_stable_are_found_again_without_a_list() {
    let mut world = World::new(3);
    let servers = listening(&mut world, 6);
    let store = |config: &mut Config| {
        config.store.journal = Some(Duration::from_secs(5));
        config.store.bootstrap.remembered = 8;
    };
    let node = world.add_with(Log::default(), store);
    // Two sessions of an hour with three of them, two of a second with the others.
    for _ in 0..2 {
        for (at, index) in servers.iter().enumerate() {
            let address = world.address(*index);
            world.with(node, |peer, _, now| peer.dial(now, None, vec![address]));
            world.run_for(Duration::from_secs(if at < 3 { 3600 } else { 1 }));
            let id = world.peer(*index).node().peer_id();
            world.with(node, |peer, _, now| peer.hang_up(now, &id));
            world.run_for(Duration::from_secs(10));
        }
    }
    let disk = world.disk(node).entries();
    world.set_group(node, 1);
    let heir = world.add_with(Log::default(), store);
    world.with(heir, |peer, _, now| peer.restore(now, disk));
    world.run_for(Duration::from_secs(30));
    let mut found: Vec<_> = world.peer(heir).node().peers().map(|(peer, _)| *peer).collect();
    let mut stable: Vec<_> =
        servers[..3].iter().map(|index| world.peer(*index).node().peer_id()).collect();
    found.sort();
    stable.sort();
    assert_eq!(found, stable);
}
