//! Topics of ten thousand peers: real [`Router`]s, and nothing real between them.
//!
//! Leaner than a [`World`](super::World) of whole peers: there are no handshakes, no muxer
//! and no bytes on a wire, only the items that routers say to each other, each as long under
//! way as two regions of the world are apart. What is lost on the way comes later, as with
//! TCP. Messages are not signed: what is measured is who is sent what, and when.
//!
//! ```
//! use core::time::Duration;
//! use polypeer::sim::pubsub::Network;
//!
//! let mut network = Network::new(1, Network::usual());
//! for _ in 0..30 {
//!     network.add();
//! }
//! network.connect(8);
//! network.run_for(Duration::from_secs(5));
//! network.publish(0, 1024);
//! network.run_for(Duration::from_secs(5));
//! let report = network.report(0);
//! assert_eq!((report.expected, report.delivered), (29, 29));
//! ```

mod carry;
mod report;
mod role;
#[cfg(test)]
mod tests;

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use crate::identity::{Keypair, PeerId};
use crate::protocols::pubsub::{
    Config, MessageIds, PubsubEvent, Router, Signing, TopicConfig, Validation, Verdict,
};
use crate::rng::Rng;
use crate::time::Instant;

use carry::Happening;
pub use report::Report;
pub use role::Role;

/// The one topic.
const TOPIC: &str = "news";
/// What bad messages begin with.
const BAD: u8 = 0xff;

struct Host {
    id: PeerId,
    /// Those who are hostile have none.
    router: Option<Box<Router>>,
    role: Role,
    region: usize,
    /// To whom, and when what was last said to them arrives.
    links: BTreeMap<usize, Instant>,
    timer: Option<Instant>,
    alive: bool,
    /// Peers of different groups cannot reach each other.
    group: u32,
    /// From when to when it was there.
    sessions: Vec<(Instant, Option<Instant>)>,
    /// Messages that it was told of, by their numbers.
    got: BTreeMap<u64, Instant>,
}

/// What was carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Copies of messages.
    pub copies: u64,
    /// Bytes of them.
    pub data: u64,
    /// Bytes of all else.
    pub control: u64,
}

/// Many peers of one topic.
pub struct Network {
    now: Instant,
    rng: Rng,
    config: Config,
    hosts: Vec<Host>,
    by_id: BTreeMap<PeerId, usize>,
    heap: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    sequence: u64,
    /// When each message was published, and by whom.
    published: Vec<(Instant, usize)>,
    carried: Carried,
    loss: u64,
}

impl Network {
    /// A network without peers, which are configured so unless [`Network::configure`] says
    /// otherwise; all that happens in it follows from `seed`.
    pub fn new(seed: u64, config: Config) -> Self {
        Self {
            now: Instant::ZERO,
            rng: Rng::from_number(seed),
            config,
            hosts: Vec::new(),
            by_id: BTreeMap::new(),
            heap: BinaryHeap::new(),
            sequence: 0,
            published: Vec::new(),
            carried: Carried::default(),
            loss: 0,
        }
    }

    /// The usual configuration, without signatures: messages are named by their first
    /// eight bytes.
    pub fn usual() -> Config {
        let name = |message: &crate::protocols::pubsub::Message| {
            message.data().get(..8).unwrap_or_default().to_vec()
        };
        Config {
            signing: Signing::Without,
            message_ids: MessageIds::Custom(Arc::new(name)),
            ..Config::default()
        }
    }

    /// So many of a thousand things that are said come late, for they were lost first.
    pub fn set_loss(&mut self, per_mille: u64) {
        self.loss = per_mille;
    }

    /// Adds an honest peer that knows nobody.
    pub fn add(&mut self) -> usize {
        self.add_as(Role::Honest)
    }

    /// Adds a peer that knows nobody.
    pub fn add_as(&mut self, role: Role) -> usize {
        let index = self.hosts.len();
        let keypair = Keypair::ed25519_from_seed(self.rng.array());
        let (id, region) = (keypair.peer_id(), self.rng.below(carry::REGIONS as u64) as usize);
        let router = (role == Role::Honest).then(|| Box::new(self.router(keypair)));
        self.by_id.insert(id, index);
        self.hosts.push(Host {
            id,
            router,
            role,
            region,
            links: BTreeMap::new(),
            timer: None,
            alive: true,
            group: 0,
            sessions: vec![(self.now, None)],
            got: BTreeMap::new(),
        });
        self.settle(index);
        self.begin_mischief(index);
        index
    }

    fn router(&mut self, keypair: Keypair) -> Router {
        let mut router = Router::new(self.config.clone(), keypair, 0, self.rng.fork());
        let judge = |message: &crate::protocols::pubsub::Message, _: &PeerId| {
            if message.data().first() == Some(&BAD) { Verdict::Reject } else { Verdict::Accept }
        };
        let validation = Validation::Sync(Arc::new(judge));
        let config = TopicConfig { validation, ..TopicConfig::default() };
        // The name is a good one.
        let _ = router.subscribe(self.now, TOPIC, config);
        router
    }

    /// How those are configured who come from now on.
    pub fn configure(&mut self, config: Config) {
        self.config = config;
    }

    /// Everyone dials others until it has so many connections, as far as there are enough.
    pub fn connect(&mut self, links: usize) {
        for index in 0..self.hosts.len() {
            self.meet(index, links);
        }
    }

    /// A peer dials honest others, drawn by lot, until it has so many connections.
    pub fn meet(&mut self, index: usize, links: usize) {
        for _ in 0..20 * links {
            if self.hosts[index].links.len() >= links {
                return;
            }
            let other = self.rng.below(self.hosts.len() as u64) as usize;
            if self.hosts[other].role == Role::Honest {
                self.link(index, other);
            }
        }
    }

    /// A peer dials so many of the first `among` peers, whatever it has already.
    pub fn befriend(&mut self, index: usize, links: usize, among: usize) {
        let before = self.hosts[index].links.len();
        for _ in 0..20 * links {
            if self.hosts[index].links.len() >= before + links {
                return;
            }
            let other = self.rng.below(among as u64) as usize;
            self.link(index, other);
        }
    }

    /// A peer dials another, if both are there and can reach each other.
    pub fn link(&mut self, from: usize, to: usize) {
        let (one, other) = (&self.hosts[from], &self.hosts[to]);
        if from == to
            || !(one.alive && other.alive && one.group == other.group)
            || one.links.contains_key(&to)
        {
            return;
        }
        self.introduce(from, to);
    }

    /// A peer leaves without a word.
    pub fn leave(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        (host.alive, host.timer) = (false, None);
        if let Some((_, until)) = host.sessions.last_mut() {
            *until = Some(now);
        }
        for other in core::mem::take(&mut host.links).into_keys() {
            self.part(other, index);
        }
    }

    /// A peer that left is there again, and remembers nothing.
    pub fn come_back(&mut self, index: usize, links: usize) {
        let keypair = Keypair::ed25519_from_seed(self.rng.array());
        let router = self.router(keypair.clone());
        let now = self.now;
        let host = &mut self.hosts[index];
        self.by_id.remove(&host.id);
        (host.id, host.router, host.alive) = (keypair.peer_id(), Some(Box::new(router)), true);
        host.sessions.push((now, None));
        self.by_id.insert(host.id, index);
        self.meet(index, links);
        self.settle(index);
    }

    /// Puts a peer in a group; connections to those of other groups end.
    pub fn set_group(&mut self, index: usize, group: u32) {
        self.hosts[index].group = group;
        let away: Vec<usize> = self.hosts[index]
            .links
            .keys()
            .copied()
            .filter(|other| self.hosts[*other].group != group)
            .collect();
        for other in away {
            self.part(index, other);
            self.part(other, index);
        }
    }

    /// A peer publishes a message of so many bytes.
    pub fn publish(&mut self, index: usize, bytes: usize) {
        let number = self.published.len() as u64;
        self.published.push((self.now, index));
        let mut data = number.to_be_bytes().to_vec();
        data.resize(bytes.max(8), 0);
        // Its number is new, and it is not too long.
        if let Some(router) = &mut self.hosts[index].router {
            let _ = router.publish(self.now, TOPIC, &data);
        }
        self.settle(index);
    }

    /// Lets happen what happens in the next `duration`.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.heap.peek().is_some_and(|Reverse((at, ..))| *at <= end) {
            let Some(Reverse((at, _, happening))) = self.heap.pop() else { break };
            self.now = self.now.max(at);
            self.happen(happening);
        }
        self.now = end;
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many peers there are, those that left included.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there are no peers.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Whether a peer is there.
    pub fn is_alive(&self, index: usize) -> bool {
        self.hosts[index].alive
    }

    /// What a peer does.
    pub fn role(&self, index: usize) -> Role {
        self.hosts[index].role
    }

    /// An honest peer's router, to ask it things.
    pub fn router_of(&self, index: usize) -> Option<&Router> {
        self.hosts[index].router.as_deref()
    }

    /// What part of a peer's mesh is hostile, and how large the mesh is.
    pub fn hostile_in_mesh(&self, index: usize) -> (usize, usize) {
        let mesh = self.router_of(index).map(|router| router.mesh(TOPIC)).unwrap_or_default();
        let hostile = |peer: &&PeerId| {
            self.by_id.get(peer).is_some_and(|other| self.hosts[*other].role != Role::Honest)
        };
        (mesh.iter().filter(hostile).count(), mesh.len())
    }

    /// How many messages a peer was told of.
    pub fn heard(&self, index: usize) -> usize {
        self.hosts[index].got.len()
    }

    /// What was carried so far.
    pub fn carried(&self) -> Carried {
        self.carried
    }

    fn told(&mut self, index: usize, event: &PubsubEvent) {
        if let PubsubEvent::Message { message, .. } = event
            && let Some(number) = message.data().first_chunk()
        {
            let number = u64::from_be_bytes(*number);
            self.hosts[index].got.entry(number).or_insert(self.now);
        }
    }
}
