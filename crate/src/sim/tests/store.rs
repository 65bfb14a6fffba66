//! The peer store of whole peers, over restarts.

use super::*;
use crate::identity::PeerRecord;
use crate::node::DialError;
use crate::swarm::store::Source;

/// Keeps what it is told.
#[derive(Default)]
pub(super) struct Log(pub(super) Vec<News>);

impl Application for Log {
    fn handle(&mut self, _: &mut Peer, _: Instant, news: News) {
        self.0.push(news);
    }
}

impl Log {
    fn dialed(&self) -> bool {
        self.0.iter().any(|news| matches!(news, News::Node(Event::Dialed { .. })))
    }
}

fn journaled(config: &mut Config) {
    config.store.journal = Some(Duration::from_secs(5));
}

/// Alice and Bob, who have met and parted.
fn met(seed: u64) -> (World<Log>, PeerIndex, PeerIndex) {
    let mut world = World::new(seed);
    let alice = world.add_with(Log::default(), journaled);
    let bob = world.add(Log::default());
    let address = world.address(bob);
    world.with(alice, |peer, _, now| peer.dial(now, None, vec![address]));
    world.run_for(Duration::from_secs(2));
    let id = world.peer(bob).node().peer_id();
    world.with(alice, |peer, _, now| peer.hang_up(now, &id));
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.peer(alice).node().peers().count(), 0);
    (world, alice, bob)
}

#[test]
fn a_peer_once_met_is_dialed_by_its_name() {
    let (mut world, alice, bob) = met(1);
    let ids = [alice, bob].map(|index| world.peer(index).node().peer_id());
    world.with(alice, |peer, log, now| {
        log.0.clear();
        peer.dial(now, Some(ids[1]), Vec::new());
    });
    world.run_for(Duration::from_secs(2));
    assert!(world.app(alice).dialed());
    // Bob, who was dialed, knows Alice by what she signed.
    let store = world.peer(bob).node().peer_store();
    assert_eq!(store.get(&ids[0]).unwrap().addresses[0].source, Source::Certified);
    let store = world.peer(alice).node().peer_store();
    let known = store.get(&ids[1]).unwrap();
    assert_eq!((known.successes, known.failures), (2, 0));
    assert!(known.agent.starts_with("polypeer/") && !known.protocols.is_empty());
    let updated = |news: &News| *news == News::Node(Event::PeerUpdated { peer: ids[1] });
    assert!(world.app(alice).0.iter().any(updated), "and the application is told");
}

#[test]
fn what_a_peer_signed_is_handed_on_and_leads_there() {
    let (mut world, alice, bob) = met(9);
    let id = world.peer(bob).node().peer_id();
    let handed = world.peer(alice).node().signed_record(&id).unwrap();
    let carol = world.add(Log::default());
    world.with(carol, |peer, _, now| {
        let mut forged = handed.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(peer.accept_record(now, &forged, Duration::from_secs(60)).is_err());
        assert!(peer.node().peer_store().get(&id).is_none());
        assert_eq!(peer.accept_record(now, &handed, Duration::from_secs(60)), Ok(id));
        peer.dial(now, Some(id), Vec::new());
    });
    world.run_for(Duration::from_secs(2));
    assert!(world.app(carol).dialed());
    // And Bob says the same of himself.
    let own = PeerRecord::open(&world.peer(bob).node().signed_record(&id).unwrap()).unwrap();
    assert_eq!(own.addresses(), PeerRecord::open(&handed).unwrap().addresses());
}

#[test]
fn who_is_not_known_cannot_be_dialed_by_name() {
    let mut world: World<Log> = World::new(2);
    let (alice, bob) = (world.add(Log::default()), world.add(Log::default()));
    let id = world.peer(bob).node().peer_id();
    world.with(alice, |peer, _, now| peer.dial(now, Some(id), Vec::new()));
    let failed = |news: &News| {
        matches!(news, News::Node(Event::DialFailed { error: DialError::NoAddress, .. }))
    };
    assert!(world.app(alice).0.iter().any(failed));
}

#[test]
fn what_was_learned_survives_a_sudden_end() {
    let (mut world, alice, bob) = met(3);
    let id = world.peer(bob).node().peer_id();
    world.run_for(Duration::from_secs(10));
    // Alice ends without a word; another takes up what she wrote down.
    let disk = world.disk(alice).entries();
    world.set_group(alice, 1);
    let heir = world.add_with(Log::default(), journaled);
    world.with(heir, |peer, _, now| {
        let report = peer.restore(now, disk);
        assert_eq!((report.peers, report.skipped.len()), (1, 0));
        peer.dial(now, Some(id), Vec::new());
    });
    world.run_for(Duration::from_secs(2));
    assert!(world.app(heir).dialed());
}

#[test]
fn a_dead_address_falls_behind() {
    let (mut world, alice, bob) = met(4);
    let id = world.peer(bob).node().peer_id();
    let lie: Multiaddr = "/memory/77".parse().unwrap();
    world.with(alice, |peer, _, now| {
        peer.discovered(now, &id, std::slice::from_ref(&lie), Duration::from_secs(600));
        peer.dial(now, Some(id), vec![lie.clone()]);
    });
    world.run_for(Duration::from_secs(2));
    let known = world.peer(alice).node().peer_store().addresses(&id);
    assert_eq!(known.len(), 2);
    assert_eq!(known[1], lie);
}
