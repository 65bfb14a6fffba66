//! A distributed hash table of whole peers.

use super::*;
use crate::identity::Keypair;
use crate::protocols::kad::{
    Config as KadConfig, Invalid, Key, Mode, QueryEvent, QueryId, Summary, Validator,
};

/// Values are `sequence:anything`; the highest sequence is the best.
struct Numbered;

fn sequence(value: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(value).ok()?;
    text.split(':').next()?.parse().ok()
}

impl Validator for Numbered {
    fn validate(&self, _: &[u8], value: &[u8], _: u64) -> Result<(), Invalid> {
        sequence(value).map(|_| ()).ok_or_else(|| Invalid::Value("it has no number".into()))
    }

    fn is_better(&self, _: &[u8], new: &[u8], old: &[u8]) -> bool {
        sequence(new) > sequence(old)
    }
}

pub(super) struct Net {
    pub(super) world: World<Echo>,
    pub(super) peers: Vec<PeerIndex>,
}

impl Net {
    /// Servers that all know one of them, then have looked around.
    pub(super) fn new(seed: u64, servers: usize) -> Self {
        Self::with(seed, servers, KadConfig::default())
    }

    pub(super) fn with(seed: u64, servers: usize, config: KadConfig) -> Self {
        let mut net = Self { world: World::new(seed), peers: Vec::new() };
        for _ in 0..servers {
            net.add_with(KadConfig { mode: Mode::Server, ..config.clone() });
            // The first takes so many handshakes at a time and no more.
            net.world.run_for(Duration::from_millis(50));
        }
        net.world.run_for(Duration::from_secs(40));
        net
    }

    fn add(&mut self, mode: Mode) -> PeerIndex {
        self.add_with(KadConfig { mode, ..KadConfig::default() })
    }

    pub(super) fn add_with(&mut self, kad: KadConfig) -> PeerIndex {
        let index = self.world.add_with(Echo::default(), |config| config.kad = Some(kad));
        self.world.with(index, |peer, _, _| peer.set_validator("n", Box::new(Numbered)));
        if let Some(first) = self.peers.first() {
            let address = self.world.address(*first);
            self.world.with(index, |peer, _, now| peer.dial(now, None, vec![address]));
        }
        self.peers.push(index);
        index
    }

    pub(super) fn id(&self, index: PeerIndex) -> PeerId {
        self.world.peer(index).node().peer_id()
    }

    pub(super) fn events(&self, index: PeerIndex, query: QueryId) -> Vec<&QueryEvent> {
        let log = self.world.app(index).log.iter();
        log.filter_map(|news| match news {
            News::Node(Event::Dht { query: id, event }) if *id == query => Some(event),
            _ => None,
        })
        .collect()
    }

    pub(super) fn done(&mut self, index: PeerIndex, query: QueryId) -> Summary {
        let over = |world: &World<Echo>| {
            world.app(index).log.iter().any(|news| {
                matches!(news, News::Node(Event::Dht { query: id, event: QueryEvent::Done(_) }) if *id == query)
            })
        };
        assert!(self.world.run_until(Duration::from_secs(90), over), "it has no end");
        match self.events(index, query).last() {
            Some(QueryEvent::Done(summary)) => summary.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn closest(&mut self, index: PeerIndex, key: &[u8]) -> Summary {
        let query = self.world.with(index, |peer, _, now| peer.closest_peers(now, key).unwrap());
        self.done(index, query)
    }

    /// Who is nearest to a key in truth.
    pub(super) fn truth(&self, key: &[u8], but: PeerIndex) -> Vec<PeerId> {
        let target = Key::of(key);
        let others = self.peers.iter().filter(|index| **index != but).map(|index| self.id(*index));
        let mut all: Vec<_> = others.collect();
        all.sort_by_key(|peer| target.distance(&Key::of_peer(peer)));
        all.truncate(20);
        all
    }
}

pub(super) fn values(events: &[&QueryEvent]) -> Vec<Vec<u8>> {
    let values = events.iter().filter_map(|event| match event {
        QueryEvent::Value(record) => Some(record.value.clone()),
        _ => None,
    });
    values.collect()
}

#[test]
fn the_nearest_are_found_from_everywhere() {
    let mut net = Net::new(1, 60);
    for (nth, from) in [3, 17, 42].into_iter().enumerate() {
        let from = net.peers[from];
        let key = [nth as u8; 5];
        let summary = net.closest(from, &key);
        assert_eq!(summary.closest, net.truth(&key, from));
        assert!(!summary.timed_out && summary.hops <= 4, "{summary:?}");
    }
}

#[test]
fn a_client_asks_and_is_in_no_table() {
    let mut net = Net::new(2, 30);
    let client = net.add(Mode::Client);
    net.world.run_for(Duration::from_secs(5));
    let summary = net.closest(client, b"anything");
    let mut truth = net.truth(b"anything", client);
    truth.truncate(summary.closest.len());
    assert_eq!(summary.closest, truth);
    let id = net.id(client);
    let knows =
        |index: &PeerIndex| net.world.peer(*index).node().dht().unwrap().table().contains(&id);
    assert!(!net.peers.iter().any(knows));
}

#[test]
fn a_peer_is_found_by_its_name_and_can_be_dialed() {
    let mut net = Net::new(3, 40);
    let seeker = net.add(Mode::Client);
    net.world.run_for(Duration::from_secs(5));
    let wanted = net.peers[25];
    let id = net.id(wanted);
    let query = net.world.with(seeker, |peer, _, now| peer.find_peer(now, id).unwrap());
    let summary = net.done(seeker, query);
    assert_eq!(summary.successes, 1);
    let address = net.world.address(wanted);
    let found = net.events(seeker, query).into_iter().any(|event| {
        matches!(event, QueryEvent::Peer(contact) if contact.peer == id
            && contact.addresses.iter().any(|known| address.to_string().starts_with(&known.to_string())))
    });
    assert!(found);
}

#[test]
fn who_provides_something_is_found() {
    let mut net = Net::new(4, 40);
    let key = b"\x12\x04hash";
    for provider in [5, 6] {
        let index = net.peers[provider];
        let query = net.world.with(index, |peer, _, now| peer.provide(now, key).unwrap());
        assert_eq!(net.done(index, query).successes, 20);
    }
    let seeker = net.add(Mode::Client);
    net.world.run_for(Duration::from_secs(5));
    let query = net.world.with(seeker, |peer, _, now| peer.find_providers(now, key, 10).unwrap());
    net.done(seeker, query);
    let events = net.events(seeker, query);
    let mut found: Vec<PeerId> = events
        .iter()
        .filter_map(|event| match event {
            QueryEvent::Provider(contact) => Some(contact.peer),
            _ => None,
        })
        .collect();
    found.sort_unstable();
    let mut truth = vec![net.id(net.peers[5]), net.id(net.peers[6])];
    truth.sort_unstable();
    assert_eq!(found, truth);
}

#[test]
fn values_are_kept_and_the_best_wins_everywhere() {
    let mut net = Net::new(5, 40);
    let [old, new, reader] = [7, 8, 9].map(|nth| net.peers[nth]);
    let key = b"/n/key";
    let put = |net: &mut Net, index, value: &[u8]| {
        let query = net.world.with(index, |peer, _, now| peer.put_value(now, key, value).unwrap());
        net.done(index, query)
    };
    assert_eq!(put(&mut net, old, b"1:old").successes, 20);
    assert_eq!(put(&mut net, new, b"2:new").successes, 20);
    // What is worse is refused by those who have a better one: but for one at most, for
    // whom only the other was near enough.
    let again = net.world.with(old, |peer, _, now| peer.put_value(now, key, b"1:old"));
    if let Ok(query) = again {
        assert!(net.done(old, query).successes <= 1);
    }
    let query = net.world.with(reader, |peer, _, now| peer.get_value(now, key, 3).unwrap());
    net.done(reader, query);
    let found = values(&net.events(reader, query));
    assert_eq!(found.last().unwrap(), b"2:new");
}

#[test]
fn what_cannot_be_judged_or_is_not_good_is_kept_nowhere() {
    let mut net = Net::new(6, 25);
    let index = net.peers[3];
    for (key, value) in
        [(&b"/unknown/key"[..], &b"1:x"[..]), (b"/n/key", b"no number"), (b"bare", b"1:x")]
    {
        let refused =
            net.world.with(index, |peer, _, now| peer.put_value(now, key, value).is_err());
        assert!(refused);
    }
    // A public key is that of the peer whose name it is kept under.
    let pair = Keypair::generate_ed25519(&mut crate::rng::Rng::from_number(77));
    let key = [b"/pk/", pair.peer_id().as_bytes()].concat();
    let value = pair.public().to_protobuf();
    let wrong = net.world.with(index, |peer, _, now| peer.put_value(now, &key, b"wrong").is_err());
    assert!(wrong);
    let query = net.world.with(index, |peer, _, now| peer.put_value(now, &key, &value).unwrap());
    assert_eq!(net.done(index, query).successes, 20);
    let reader = net.peers[20];
    let query = net.world.with(reader, |peer, _, now| peer.get_value(now, &key, 1).unwrap());
    net.done(reader, query);
    assert_eq!(values(&net.events(reader, query)), [value]);
}

#[test]
fn lookups_go_on_while_a_third_of_the_network_is_gone() {
    let mut net = Net::new(7, 60);
    for nth in (1..60).step_by(3) {
        net.world.deafen(net.peers[nth]);
    }
    let from = net.peers[2];
    let summary = net.closest(from, b"still there");
    let alive = |peer: &PeerId| {
        let nth = net.peers.iter().position(|index| net.id(*index) == *peer).unwrap();
        nth % 3 != 1
    };
    assert!(!summary.timed_out);
    assert!(summary.closest.len() >= 18, "{} found", summary.closest.len());
    assert!(summary.closest.iter().all(alive));
}

#[test]
fn a_query_that_is_given_up_says_nothing_more() {
    let mut net = Net::new(8, 20);
    let index = net.peers[4];
    let query = net.world.with(index, |peer, _, now| {
        let query = peer.closest_peers(now, b"never mind").unwrap();
        peer.cancel_query(now, query);
        query
    });
    net.world.run_for(Duration::from_secs(20));
    assert!(net.events(index, query).is_empty());
}
