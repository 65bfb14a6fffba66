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
