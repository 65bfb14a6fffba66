//! Servers of a DHT with stores behind their memory.

use super::*;
use crate::protocols::kad::behind::{FRESH, PATIENCE};
use crate::protocols::kad::store::Limits;
use crate::protocols::kad::{Config as KadConfig, Contact, Mode, QueryEvent, QueryId};
use crate::sim::Shelf;

struct Net {
    world: World<Echo>,
    client: PeerIndex,
}

/// A server of the DHT and somebody who asks it.
fn net(seed: u64) -> (Net, PeerIndex) {
    let mut net = Net { world: World::new(seed), client: PeerIndex(0) };
    net.client = net.add(Mode::Client);
    let server = net.serve();
    (net, server)
}

impl Net {
    fn add(&mut self, mode: Mode) -> PeerIndex {
        self.world.add_with(Echo::default(), |config| {
            let kad =
                KadConfig { mode, unix_millis_at_zero: 1_800_000_000_000, ..KadConfig::default() };
            config.kad = Some(kad);
        })
    }

    fn serve(&mut self) -> PeerIndex {
        let server = self.add(Mode::Server);
        let address = self.world.address(server);
        self.world.with(self.client, |peer, _, now| peer.dial(now, None, vec![address]));
        self.world.run_for(Duration::from_secs(5));
        server
    }

    /// Takes a server out of the net.
    fn leave(&mut self, server: PeerIndex) {
        let peer = self.world.peer(server).node().peer_id();
        self.world.with(self.client, |client, _, now| client.hang_up(now, &peer));
        self.world.stop(server);
        self.world.run_for(Duration::from_secs(30));
    }

    fn run(&mut self, query: QueryId) -> Vec<QueryEvent> {
        let found = |world: &World<Echo>, client| {
            let log = world.app(client).log.iter();
            let events = log.filter_map(|news| match news {
                News::Node(Event::Dht { query: id, event }) if *id == query => Some(event.clone()),
                _ => None,
            });
            events.collect::<Vec<_>>()
        };
        let client = self.client;
        let over =
            |world: &World<Echo>| matches!(found(world, client).last(), Some(QueryEvent::Done(_)));
        assert!(self.world.run_until(Duration::from_secs(90), over), "it has no end");
        found(&self.world, client)
    }

    fn put(&mut self, (key, value): (&[u8], &[u8])) {
        let put = |peer: &mut Peer, _: &mut Echo, now| peer.put_value(now, key, value).unwrap();
        let query = self.world.with(self.client, put);
        self.run(query);
    }

    /// Whether anybody has the value; the asker's own does not count.
    fn get(&mut self, asker: PeerIndex, (key, value): (&[u8], &[u8])) -> bool {
        let old = core::mem::replace(&mut self.client, asker);
        let query = self.world.with(asker, |peer, _, now| peer.get_value(now, key, 1).unwrap());
        let events = self.run(query);
        self.client = old;
        events.iter().any(|event| matches!(event, QueryEvent::Value(one) if one.value == value))
    }

    fn providers(&mut self, key: &[u8]) -> Vec<Contact> {
        let find = |peer: &mut Peer, _: &mut Echo, now| peer.find_providers(now, key, 9).unwrap();
        let query = self.world.with(self.client, find);
        let found = self.run(query).into_iter().filter_map(|event| match event {
            QueryEvent::Provider(contact) => Some(contact),
            _ => None,
        });
        found.collect()
    }

    /// Somebody new, who knows a server.
    fn asker(&mut self, server: PeerIndex) -> PeerIndex {
        let asker = self.add(Mode::Client);
        let address = self.world.address(server);
        self.world.with(asker, |peer, _, now| peer.dial(now, None, vec![address]));
        self.world.run_for(Duration::from_secs(5));
        asker
    }
}

/// A public key under its PeerId, as key and value.
fn public(number: u64) -> (Vec<u8>, Vec<u8>) {
    let public = crate::Keypair::generate_ed25519(&mut Rng::from_number(number)).public();
    ([b"/pk/", public.peer_id().as_bytes()].concat(), public.to_protobuf())
}

#[test]
fn what_was_kept_is_there_after_a_restart() {
    let (mut net, server) = net(1);
    let shelf = Shelf::default();
    net.world.store_records(server, &shelf);
    let (key, value) = public(9);
    net.put((&key, &value));
    let provider = net.serve();
    let address = net.world.address(server);
    net.world.with(provider, |peer, _, now| peer.dial(now, None, vec![address]));
    net.world.run_for(Duration::from_secs(5));
    net.world.with(provider, |peer, _, now| peer.provide(now, b"thing").unwrap());
    net.world.run_for(Duration::from_secs(30));
    assert_eq!(shelf.len(), 2);
    net.leave(provider);
    net.leave(server);

    // Another one with the same store.
    let again = net.serve();
    net.world.store_records(again, &shelf);
    let asker = net.asker(again);
    assert!(net.get(asker, (&key, &value)));
    let found = net.providers(b"thing");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].peer, net.world.peer(provider).node().peer_id());
    let addresses: Vec<_> = found[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["/memory/2"], "where it is as well");
    let kept = net.world.peer(again).node().dht().unwrap().store().len();
    assert_eq!(kept, (1, 1), "from now on in memory");
}

#[test]
fn servers_that_share_a_store_know_what_the_others_keep() {
    let (mut net, one) = net(2);
    let shelf = Shelf::default();
    net.world.store_records(one, &shelf);
    let (key, value) = public(9);
    let other = net.add(Mode::Server);
    net.world.store_records(other, &shelf);
    let asker = net.asker(other);
    assert!(!net.get(asker, (&key, &value)));
    net.put((&key, &value));
    // It has just looked, and looks again only after a while.
    assert!(!net.get(asker, (&key, &value)));
    net.world.run_for(FRESH);
    assert!(net.get(asker, (&key, &value)));
}

#[test]
fn the_same_again_is_not_written_again() {
    let (mut net, server) = net(3);
    let shelf = Shelf::default();
    net.world.store_records(server, &shelf);
    let (key, value) = public(9);
    net.put((&key, &value));
    net.put((&key, &value));
    let orders = shelf.orders();
    net.put((&key, &value));
    assert_eq!(shelf.orders(), orders);
    net.world.run_for(Duration::from_secs(2 * 3600));
    net.put((&key, &value));
    assert_eq!(shelf.orders(), orders + 2, "one look, one write");
}

#[test]
fn a_store_that_does_not_answer_costs_its_time_and_no_more() {
    let (mut net, server) = net(4);
    let (key, value) = public(9);
    net.put((&key, &value));
    let shelf = Shelf::default();
    net.world.store_records(server, &shelf);
    shelf.fall_silent();
    let asker = net.asker(server);
    let start = net.world.now();
    assert!(net.get(asker, (&key, &value)), "from memory");
    let took = net.world.now() - start;
    assert!(took >= PATIENCE && took < PATIENCE + Duration::from_secs(3), "{took:?}");
}

#[test]
fn what_has_expired_in_the_store_is_not_there() {
    let (mut net, server) = net(5);
    let shelf = Shelf::default();
    net.world.store_records(server, &shelf);
    let (key, value) = public(9);
    net.put((&key, &value));
    net.leave(server);
    net.world.run_for(Limits::default().record_life);
    assert_eq!(shelf.len(), 1);
    let again = net.serve();
    net.world.store_records(again, &shelf);
    let asker = net.asker(again);
    assert!(!net.get(asker, (&key, &value)));
}

#[test]
fn what_the_own_store_has_is_told_first() {
    let (mut net, server) = net(6);
    let shelf = Shelf::default();
    net.world.store_records(server, &shelf);
    let (key, value) = public(9);
    net.put((&key, &value));
    let provide = |peer: &mut Peer, _: &mut Echo, now| peer.provide(now, b"thing").unwrap();
    let query = net.world.with(net.client, provide);
    net.run(query);
    // Announcements are not answered: it is on its way.
    net.world.run_for(Duration::from_secs(5));
    let client = core::mem::replace(&mut net.client, server);
    let find = |peer: &mut Peer, _: &mut Echo, now| peer.find_providers(now, b"thing", 1).unwrap();
    let query = net.world.with(server, find);
    match &net.run(query)[..] {
        [QueryEvent::Provider(found), QueryEvent::Done(summary)] => {
            assert_eq!(found.peer, net.world.peer(client).node().peer_id());
            assert_eq!((summary.asked, summary.successes), (0, 1));
        }
        other => panic!("{other:?}"),
    }

    // After a restart it is alone, and has what is in its file.
    net.client = client;
    net.leave(server);
    let again = net.add(Mode::Server);
    net.world.store_records(again, &shelf);
    net.client = again;
    assert_eq!(net.providers(b"thing").len(), 1);
    assert!(net.get(again, (&key, &value)));
}

#[test]
fn a_value_is_looked_for_until_as_many_agree_as_are_wanted() {
    let (mut net, _) = net(7);
    for _ in 0..24 {
        net.serve();
    }
    let (key, value) = public(9);
    // The twenty nearest keep it.
    net.put((&key, &value));
    for quorum in [1, 3, 8, 30] {
        let get = |peer: &mut Peer, _: &mut Echo, now| peer.get_value(now, &key, quorum).unwrap();
        let query = net.world.with(net.client, get);
        let events = net.run(query);
        let Some(QueryEvent::Done(summary)) = events.last() else { panic!("{events:?}") };
        let values = events.iter().filter(|event| matches!(event, QueryEvent::Value(_)));
        assert_eq!(values.count(), 1, "the same value is told once");
        if quorum <= 8 {
            assert_eq!(summary.successes, quorum, "{summary:?}");
            assert!(summary.requests <= quorum + 2, "those asked have it: {summary:?}");
        } else {
            assert!(summary.successes >= 20, "{quorum}: {summary:?}");
            assert!(summary.answered >= 20 && !summary.timed_out, "{quorum}: {summary:?}");
        }
    }
}

#[test]
fn a_value_that_the_nearest_do_not_have_is_found_further_away() {
    let (mut net, _) = net(8);
    net.serve();
    let (key, value) = public(9);
    net.put((&key, &value));
    // Nearer ones come, and are asked first.
    for _ in 0..24 {
        net.serve();
    }
    let asker = net.client;
    assert!(net.get(asker, (&key, &value)));
}
