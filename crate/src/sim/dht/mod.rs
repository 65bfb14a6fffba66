//! A DHT of ten thousand peers: real [`Kademlia`] machines, and nothing real between them.
//!
//! Leaner than a [`World`](super::World) of whole peers: there are no handshakes, no
//! muxer and no bytes on a wire, only the messages themselves, each as long under way as
//! the two peers are apart. Connections take their round trips, are bounded and end; a
//! peer that is gone answers nothing. What it shows is the algorithm: hops, messages and
//! virtual time are those of the protocol, the time that it takes to compute is without
//! encryption.
//!
//! ```
//! use polypeer::protocols::kad::Config;
//! use polypeer::sim::dht::{Network, Query};
//!
//! let mut network = Network::new(1);
//! for _ in 0..50 {
//!     network.add(Config::default());
//! }
//! network.acquaint();
//! let done = network.run(0, Query::Closest(b"key".to_vec()));
//! assert_eq!(done.summary.closest, network.nearest(0, b"key", 20));
//! ```

mod carry;
mod hostile;
#[cfg(test)]
mod tests;

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap};

use crate::address::Multiaddr;
use crate::identity::{Keypair, PeerId};
use crate::node::ConnectionId;
use crate::protocols::kad::{
    Config, Group, Kademlia, Key, Mode, QueryError, QueryEvent, QueryId, Record, Summary,
};
use crate::protocols::{Input, Local, Protocol};
use crate::rng::Rng;
use crate::time::Instant;

use carry::{Happening, Link};
pub use hostile::Lie;

/// Round trips until a connection can be used: TCP, Noise and the muxer; pages have TLS
/// and WebSocket beside that.
const ROUND_TRIPS: (u32, u32) = (3, 6);
/// Peers are this far apart, one way: between towns, and around the world.
const APART: (u64, u64) = (5_000, 100_000);
/// Connections that a peer holds; the one that was used longest ago goes for another.
const MAX_LINKS: usize = 160;
/// How long it takes until a connection is given up whose other end is gone.
const MISSED: Duration = Duration::from_secs(30);
/// How long dialing a peer takes that is gone without a word.
const SILENCE: Duration = Duration::from_secs(15);

/// What a peer is to find or to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Who is nearest to a key?
    Closest(Vec<u8>),
    /// Where is a peer?
    Peer(PeerId),
    /// Tell that we provide a key.
    Provide(Vec<u8>),
    /// Who provides a key?
    Providers(Vec<u8>),
    /// Have a value kept under a key.
    Put(Vec<u8>, Vec<u8>),
    /// What is under a key, until so many agree?
    Get(Vec<u8>, usize),
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// All that it told, but for its end.
    pub events: Vec<QueryEvent>,
    /// Its end.
    pub summary: Summary,
    /// How long it took, in virtual time.
    pub took: Duration,
    /// Connections that its peer began to dial meanwhile.
    pub dials: u64,
}

impl Done {
    /// The values that were found, the best last.
    pub fn values(&self) -> Vec<&[u8]> {
        let values = self.events.iter().filter_map(|event| match event {
            QueryEvent::Value(record) => Some(record.value.as_slice()),
            _ => None,
        });
        values.collect()
    }

    /// Providers, or the peer, that were found.
    pub fn found(&self) -> Vec<PeerId> {
        let found = self.events.iter().filter_map(|event| match event {
            QueryEvent::Provider(contact) | QueryEvent::Peer(contact) => Some(contact.peer),
            _ => None,
        });
        found.collect()
    }
}

struct Host {
    id: PeerId,
    key: Key,
    kad: Kademlia,
    local: Local,
    address: Multiaddr,
    links: BTreeMap<ConnectionId, Link>,
    by_peer: BTreeMap<usize, ConnectionId>,
    /// Dials under way, by whom they are for.
    dials: BTreeMap<PeerId, u64>,
    dialed: u64,
    timer: Option<Instant>,
    alive: bool,
    page: bool,
    lie: Option<Lie>,
    told: BTreeMap<QueryId, Vec<QueryEvent>>,
    /// When queries began, how many dials there were then, and what they came to.
    begun: BTreeMap<QueryId, (Instant, u64)>,
    done: BTreeMap<QueryId, Done>,
}

/// Many peers of one DHT.
pub struct Network {
    now: Instant,
    rng: Rng,
    hosts: Vec<Host>,
    by_id: BTreeMap<PeerId, usize>,
    heap: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    sequence: u64,
    next: u64,
    messages: u64,
    /// Hostile peers, by their keys.
    liars: BTreeMap<Key, usize>,
    preparations: Vec<Preparation>,
}

/// Done with each peer before it begins.
type Preparation = Box<dyn Fn(&mut Kademlia)>;

impl Network {
    /// A network without peers; all that happens in it follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            rng: Rng::from_number(seed),
            hosts: Vec::new(),
            by_id: BTreeMap::new(),
            heap: BinaryHeap::new(),
            sequence: 0,
            next: 0,
            messages: 0,
            liars: BTreeMap::new(),
            preparations: Vec::new(),
        }
    }

    /// Has all peers that are added from now on prepared by this, for instance with
    /// validators.
    pub fn prepare(&mut self, prepare: impl Fn(&mut Kademlia) + 'static) {
        self.preparations.push(Box::new(prepare));
    }

    /// Adds a server in a network of addresses of its own, which knows nobody.
    pub fn add(&mut self, config: Config) -> usize {
        let group = self.hosts.len();
        self.add_host(Config { mode: Mode::Server, ..config }, group, None)
    }

    /// Adds a client: a page if `page`, for whom connections take longer.
    pub fn add_client(&mut self, config: Config, page: bool) -> usize {
        let group = self.hosts.len();
        let index = self.add_host(Config { mode: Mode::Client, ..config }, group, None);
        self.hosts[index].page = page;
        index
    }

    /// Adds a hostile server; those of the same `group` share a network of addresses.
    pub fn add_liar(&mut self, config: Config, lie: Lie, group: usize) -> usize {
        let config = Config { mode: Mode::Server, ..config };
        let index = self.add_host(config, 50_000 + group, Some(lie));
        self.liars.insert(self.hosts[index].key, index);
        index
    }

    fn add_host(&mut self, config: Config, group: usize, lie: Option<Lie>) -> usize {
        let index = self.hosts.len();
        let keypair = Keypair::ed25519_from_seed(self.rng.array());
        let id = keypair.peer_id();
        let address = carry::address(index, group);
        let mut kad = Kademlia::new(config, id);
        for prepare in &self.preparations {
            prepare(&mut kad);
        }
        let local = Local {
            keypair,
            addresses: vec![address.clone()],
            protocols: vec![kad.name().clone()],
            agent: String::new(),
            protocol_version: String::new(),
            sequence: 0,
        };
        kad.handle(self.now, &local, Input::LocalChanged);
        self.by_id.insert(id, index);
        self.hosts.push(Host {
            id,
            key: Key::of_peer(&id),
            kad,
            local,
            address,
            links: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            dials: BTreeMap::new(),
            dialed: 0,
            timer: None,
            alive: true,
            page: false,
            lie,
            told: BTreeMap::new(),
            begun: BTreeMap::new(),
            done: BTreeMap::new(),
        });
        index
    }

    /// Fills all tables as those of a network that has run for long: each bucket with
    /// peers drawn from its part of the key space.
    pub fn acquaint(&mut self) {
        let mut servers: Vec<(Key, usize)> = (0..self.hosts.len())
            .filter(|index| self.hosts[*index].kad.is_server() && self.hosts[*index].alive)
            .map(|index| (self.hosts[index].key, index))
            .collect();
        servers.sort_unstable();
        for index in 0..self.hosts.len() {
            if !self.hosts[index].kad.is_server() {
                continue;
            }
            let own = self.hosts[index].key;
            let mut part = 0..servers.len();
            // Bit by bit towards ourselves: who leaves us with a bit is of its bucket.
            for prefix in 0..Key::BITS {
                let shares = |at: usize| servers[at].0.common_prefix(&own) > prefix;
                let near = part.clone().find(|at| shares(*at));
                let Some(first) = near else { break };
                let last = part.clone().rfind(|at| shares(*at)).map_or(first, |last| last + 1);
                let mut far: Vec<usize> = (part.start..first).chain(last..part.end).collect();
                self.shuffle(&mut far);
                for at in far.into_iter().take(25) {
                    self.introduce(index, servers[at].1);
                }
                part = first..last;
                if part.len() <= 1 {
                    break;
                }
            }
            self.drain(index);
        }
    }

    fn shuffle(&mut self, list: &mut [usize]) {
        // The first few are all that is wanted.
        for at in 0..list.len().min(25) {
            let other = at + self.rng.below((list.len() - at) as u64) as usize;
            list.swap(at, other);
        }
    }

    fn introduce(&mut self, index: usize, other: usize) {
        let (peer, address) = (self.hosts[other].id, self.hosts[other].address.clone());
        let group = Group::of(&address);
        self.hosts[index].kad.acquaint(self.now, peer, group, &[address]);
    }

    /// A peer meets the network through `via`: it dials it.
    pub fn join(&mut self, index: usize, via: usize) {
        let (peer, address) = (self.hosts[via].id, self.hosts[via].address.clone());
        self.reach(index, peer, &[address]);
    }

    /// A peer is gone without a word: its connections are missed after a while.
    pub fn leave(&mut self, index: usize) {
        self.hosts[index].alive = false;
        self.liars.remove(&self.hosts[index].key);
        self.abandon(index, MISSED);
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Messages that were sent so far: requests, and as many answers.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Peers that were added, whether or not they are there still.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether no peer was added.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Whether a peer is there still.
    pub fn is_alive(&self, index: usize) -> bool {
        self.hosts[index].alive
    }

    /// A peer's name.
    pub fn id(&self, index: usize) -> PeerId {
        self.hosts[index].id
    }

    /// Where a peer is.
    pub fn address(&self, index: usize) -> Multiaddr {
        self.hosts[index].address.clone()
    }

    /// The peer of a name.
    pub fn index(&self, peer: &PeerId) -> Option<usize> {
        self.by_id.get(peer).copied()
    }

    /// A peer's part of the protocol, to ask it things.
    pub fn kad(&self, index: usize) -> &Kademlia {
        &self.hosts[index].kad
    }

    /// The `count` servers that are nearest to a key in truth, without `but` and those
    /// who are gone.
    pub fn nearest(&self, but: usize, key: &[u8], count: usize) -> Vec<PeerId> {
        let target = Key::of(key);
        let there = |index: &usize| {
            let host = &self.hosts[*index];
            *index != but && host.alive && host.kad.is_server()
        };
        let others = (0..self.hosts.len()).filter(there);
        let mut all: Vec<_> =
            others.map(|index| (target.distance(&self.hosts[index].key), index)).collect();
        all.sort_unstable();
        all.into_iter().take(count).map(|(_, index)| self.hosts[index].id).collect()
    }

    /// Begins a query of a peer.
    ///
    /// # Errors
    /// [`QueryError`]
    pub fn begin(&mut self, index: usize, query: Query) -> Result<QueryId, QueryError> {
        self.next += 1;
        let (id, now) = (QueryId(self.next), self.now);
        let host = &mut self.hosts[index];
        let kad = &mut host.kad;
        match query {
            Query::Closest(key) => kad.closest(now, id, key),
            Query::Peer(peer) => kad.find_peer(now, id, peer),
            Query::Provide(key) => kad.provide(now, id, key),
            Query::Providers(key) => kad.find_providers(now, id, (key, 1)),
            Query::Put(key, value) => {
                kad.put(now, id, Record { key, value, received: String::new() })
            }
            Query::Get(key, quorum) => kad.get(now, id, (key, quorum)),
        }?;
        host.begun.insert(id, (now, host.dialed));
        host.kad.advance(now);
        self.drain(index);
        Ok(id)
    }

    /// A peer has what it provides or puts under a key announced no more.
    pub fn withdraw(&mut self, index: usize, key: &[u8]) {
        self.hosts[index].kad.withdraw(key);
    }

    /// What came of a query, once it is over.
    pub fn take(&mut self, index: usize, query: QueryId) -> Option<Done> {
        self.hosts[index].done.remove(&query)
    }

    /// Runs a query to its end, which the protocol itself sees to.
    ///
    /// # Panics
    /// If the query is refused.
    pub fn run(&mut self, index: usize, query: Query) -> Done {
        let id = self.begin(index, query).expect("the query is good");
        loop {
            if let Some(done) = self.take(index, id) {
                return done;
            }
            assert!(self.step(), "a query has an end");
        }
    }

    /// Lets happen what happens in the next `duration`.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.heap.peek().is_some_and(|Reverse((at, ..))| *at <= end) {
            self.step();
        }
        self.now = end;
    }
}
