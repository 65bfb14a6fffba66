//! The router: who is in which topic, and what goes to whom. It knows peers and items, and
//! neither streams nor bytes.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::address::Multiaddr;
use crate::collections::{LongMap, LongSet};
use crate::identity::{Keypair, PeerId};
use crate::rng::Rng;
use crate::security::{Ciphers, RustCrypto};
use crate::time::Instant;

use super::backoff::Backoffs;
use super::cache::Cache;
use super::choking::Links;
use super::config::{Config, MeshSize, Mode, TopicConfig};
use super::event::{PubsubEvent, Stats, SubscribeError};
use super::gossip::Promises;
use super::message::{Message, MessageId, TopicName};
use super::score::Scores;
use super::seen::Seen;
use super::validation::Pending;
use super::version::Version;
use super::wire::{Extensions, Item, MAX_TOPIC};

/// Topics that one peer may be in; further ones are not kept. Ethereum's have some 200.
pub const MAX_TOPICS_PER_PEER: usize = 512;
/// Topics that peers are known to be in, all together.
pub const MAX_TOPICS: usize = 16_384;

/// What the router wants done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Out {
    /// Say this to a peer.
    Send(PeerId, Item),
    /// Send a message to a peer.
    Message(PeerId, MessageId, Arc<Message>),
    /// Do not send these to a peer, if they still wait.
    Cancel(PeerId, Vec<MessageId>),
    /// Tell the application.
    Event(PubsubEvent),
    /// Connect to a peer; it may be at these addresses.
    Reach(PeerId, Vec<Multiaddr>),
}

/// A topic that we or others are in.
#[derive(Default)]
pub(super) struct Topic {
    /// Set if we are subscribed.
    pub(super) ours: Option<TopicConfig>,
    /// Who is subscribed.
    pub(super) peers: LongSet<PeerId>,
    pub(super) mesh: LongSet<PeerId>,
    /// Whom we publish to while we are not subscribed, and when we last did.
    pub(super) fanout: LongSet<PeerId>,
    pub(super) published: Option<Instant>,
}

/// A peer that speaks with us.
pub(super) struct Remote {
    pub(super) version: Version,
    /// We dialed it.
    pub(super) outbound: bool,
    pub(super) topics: LongSet<TopicName>,
    /// Messages that it wants no copies of, and until which heartbeat.
    pub(super) unwanted: LongMap<MessageId, u64>,
    /// Ids that it said it does not want, IHAVEs, and ids that we asked for: in this
    /// heartbeat.
    pub(super) refused: usize,
    pub(super) ihaves: usize,
    pub(super) asked: usize,
    pub(super) extensions: Option<Extensions>,
}

/// The router. See the [module](super).
pub struct Router {
    pub(super) config: Config,
    pub(super) me: PeerId,
    pub(super) keypair: Keypair,
    /// What signatures are verified with.
    pub(crate) ciphers: Arc<dyn Ciphers>,
    pub(super) seqno: u64,
    pub(super) rng: Rng,
    pub(super) topics: LongMap<TopicName, Topic>,
    pub(super) peers: LongMap<PeerId, Remote>,
    /// Those of them that know no meshes.
    pub(super) floodsubs: LongSet<PeerId>,
    pub(super) cache: Cache,
    pub(super) seen: Seen,
    pub(super) backoffs: Backoffs,
    pub(super) scores: Scores,
    pub(super) pending: Pending,
    /// Where those who are connected say, signed, that they are.
    pub(super) records: LongMap<PeerId, Vec<u8>>,
    pub(super) promises: Promises,
    pub(super) links: Links,
    pub(super) stats: Stats,
    pub(super) ticks: u64,
    heartbeat_at: Option<Instant>,
    out: VecDeque<Out>,
}

impl Router {
    /// A router that knows nobody. `seqno` must be higher than that of any message that
    /// this keypair has signed before: hosts pass nanoseconds of Unix time.
    pub fn new(config: Config, keypair: Keypair, seqno: u64, rng: Rng) -> Self {
        Self {
            me: keypair.peer_id(),
            keypair,
            ciphers: Arc::new(RustCrypto),
            seqno,
            rng,
            topics: LongMap::new(),
            peers: LongMap::new(),
            floodsubs: LongSet::new(),
            cache: Cache::new(config.history),
            seen: Seen::default(),
            backoffs: Backoffs::default(),
            scores: Scores::new(config.score.clone(), config.topic_score.clone()),
            pending: Pending::default(),
            records: LongMap::new(),
            promises: Promises::default(),
            links: Links::default(),
            stats: Stats::default(),
            ticks: 0,
            heartbeat_at: None,
            out: VecDeque::new(),
            config,
        }
    }

    /// How it is configured.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let ours = || self.topics.values().filter(|topic| topic.ours.is_some());
        Stats {
            peers: self.peers.len(),
            topics: ours().count(),
            mesh: ours().map(|topic| topic.mesh.len()).sum(),
            seen: self.seen.len(),
            ..self.stats
        }
    }

    /// The topics that we are subscribed to.
    pub fn subscriptions(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.iter().filter(|(_, topic)| topic.ours.is_some()).map(|(name, _)| name)
    }

    /// Who is subscribed to a topic, of those that we are connected to.
    pub fn subscribers(&self, topic: &str) -> Vec<PeerId> {
        self.topics
            .get(topic)
            .map(|topic| topic.peers.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Who is in our mesh of a topic.
    pub fn mesh(&self, topic: &str) -> Vec<PeerId> {
        self.topics.get(topic).map(|topic| topic.mesh.iter().copied().collect()).unwrap_or_default()
    }

    /// How many peers a topic lacks: those of its mesh, as long as there are none to take
    /// in, or, without meshes, those to send everything to.
    pub fn lacks(&self, topic: &str) -> usize {
        let wanted = self.config.mesh.wanted;
        let Some(state) = self.topics.get(topic) else { return wanted };
        let there = match self.mesh_size() {
            None => state.peers.len(),
            // A mesh is as it should be with fewer than it began with.
            Some(size) if state.mesh.len() >= size.low && state.peers.len() >= wanted => wanted,
            Some(_) => state.mesh.len(),
        };
        wanted.saturating_sub(there)
    }

    /// What a peer is worth.
    pub fn score(&self, now: Instant, peer: &PeerId) -> f64 {
        self.scores.of(now, peer)
    }

    /// Whether a peer speaks with us.
    pub fn knows(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    // The application.

    /// Takes part in a topic, or takes part in it otherwise than before.
    ///
    /// # Errors
    /// [`SubscribeError`]: a topic cannot have this name.
    pub fn subscribe(
        &mut self,
        now: Instant,
        topic: &str,
        config: TopicConfig,
    ) -> Result<(), SubscribeError> {
        check_name(topic)?;
        let name = self.name(topic);
        if let Some(score) = &config.score {
            self.scores.set_topic(name.clone(), score.clone());
        }
        let state = self.topics.entry(name.clone()).or_default();
        if state.ours.replace(config).is_some() {
            return Ok(());
        }
        state.published = None;
        let fanout = core::mem::take(&mut state.fanout);
        self.tell_all(&Item::Subscribe(name.clone()));
        self.join(now, &name, fanout);
        Ok(())
    }

    /// Leaves a topic.
    pub fn unsubscribe(&mut self, now: Instant, topic: &str) {
        let Some(state) = self.topics.get_mut(topic).filter(|state| state.ours.is_some()) else {
            return;
        };
        state.ours = None;
        let name = self.name(topic);
        self.tell_all(&Item::Unsubscribe(name.clone()));
        self.leave(now, &name);
        self.tidy_topic(topic);
    }

    // News from outside.

    /// A peer can be spoken with. Told again, it may speak another version, on another
    /// stream.
    pub fn connected(
        &mut self,
        now: Instant,
        peer: PeerId,
        version: Version,
        (outbound, remote): (bool, Option<&Multiaddr>),
    ) {
        self.start(now);
        self.scores.connected(peer, remote);
        match version {
            Version::Floodsub => self.floodsubs.insert(peer),
            _ => self.floodsubs.remove(&peer),
        };
        if let Some(known) = self.peers.get_mut(&peer) {
            known.version = version;
            return;
        }
        let remote = Remote {
            version,
            outbound,
            topics: LongSet::new(),
            unwanted: LongMap::new(),
            refused: 0,
            ihaves: 0,
            asked: 0,
            extensions: None,
        };
        self.peers.insert(peer, remote);
    }

    /// A peer is gone, with all its connections.
    pub fn disconnected(&mut self, now: Instant, peer: &PeerId) {
        self.records.remove(peer);
        self.floodsubs.remove(peer);
        let Some(remote) = self.peers.remove(peer) else { return };
        for topic in remote.topics.iter() {
            self.forget(peer, topic);
        }
        self.scores.disconnected(now, peer);
    }

    /// What a new stream to a peer begins with: what we can do, our topics, and, if it was
    /// `lost` before, what the peer may have missed.
    pub fn greeting(&mut self, peer: &PeerId, lost: bool) -> Vec<Item> {
        let names: Vec<TopicName> = self.subscriptions().cloned().collect();
        let mut items: Vec<Item> = names.into_iter().map(Item::Subscribe).collect();
        let Some(remote) = self.peers.get(peer) else { return items };
        let ours = self.extensions();
        if ours != Extensions::default() && remote.version >= Version::V1_3 {
            items.insert(0, Item::Extensions(ours));
        }
        if !lost || remote.version == Version::Floodsub {
            return items;
        }
        for name in remote.topics.iter() {
            let Some(topic) = self.topics.get(name) else { continue };
            if topic.mesh.contains(peer) {
                items.push(Item::Graft(name.clone()));
            }
            let ids = self.cache.ids(name, self.config.history);
            if !ids.is_empty() {
                items.push(Item::IHave(name.clone(), ids));
            }
        }
        items
    }

    /// What we can do beyond our version.
    fn extensions(&self) -> Extensions {
        Extensions { test: self.config.test_extension, choking: self.config.choking.is_some() }
    }

    // Time.

    /// When [`Router::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.heartbeat_at
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.heartbeat_at.is_some_and(|at| at <= now) {
            self.heartbeat_at = Some(now + self.config.heartbeat);
            self.heartbeat(now);
        }
    }

    /// Heartbeats begin when there is something to look after, not all at the same time.
    pub(super) fn start(&mut self, now: Instant) {
        if self.heartbeat_at.is_none() {
            let part = self.config.heartbeat.as_micros() as u64;
            self.heartbeat_at = Some(now + Duration::from_micros(self.rng.below(part)));
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    // Parts.

    pub(super) fn send(&mut self, peer: PeerId, item: Item) {
        self.out.push_back(Out::Send(peer, item));
    }

    pub(super) fn send_message(&mut self, peer: PeerId, id: &MessageId, message: &Arc<Message>) {
        self.stats.sent += 1;
        self.out.push_back(Out::Message(peer, id.clone(), message.clone()));
    }

    /// Copies that waited for a peer were dropped.
    pub(super) fn note_dropped(&mut self, count: u64) {
        self.stats.dropped += count;
    }

    pub(super) fn push(&mut self, out: Out) {
        self.out.push_back(out);
    }

    pub(super) fn emit(&mut self, event: PubsubEvent) {
        self.out.push_back(Out::Event(event));
    }

    fn tell_all(&mut self, item: &Item) {
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.send(peer, item.clone());
        }
    }

    /// The one copy of a topic's name.
    pub(super) fn name(&self, topic: &str) -> TopicName {
        self.topics.get_key_value(topic).map_or_else(|| topic.into(), |(name, _)| name.clone())
    }

    /// A peer is in a topic no more.
    pub(super) fn forget(&mut self, peer: &PeerId, topic: &TopicName) {
        let Some(state) = self.topics.get_mut(topic) else { return };
        if state.peers.remove(peer) {
            state.mesh.remove(peer);
            state.fanout.remove(peer);
            self.emit(PubsubEvent::Unsubscribed { peer: *peer, topic: topic.clone() });
        }
        self.tidy_topic(topic);
    }

    pub(super) fn tidy_topic(&mut self, topic: &str) {
        let idle = |topic: &Topic| {
            topic.ours.is_none() && topic.peers.is_empty() && topic.published.is_none()
        };
        if self.topics.get(topic).is_some_and(idle) {
            self.topics.remove(topic);
        }
    }

    pub(super) fn is_explicit(&self, peer: &PeerId) -> bool {
        self.config.explicit.contains(peer)
    }

    /// How large meshes are: there are none with floodsub.
    pub(super) fn mesh_size(&self) -> Option<MeshSize> {
        (self.config.mode == Mode::Gossipsub).then_some(self.config.mesh)
    }

    /// Whether a peer has meshes and understands gossip.
    pub(super) fn gossips(&self, peer: &PeerId) -> bool {
        let gossips = |remote: &Remote| remote.version != Version::Floodsub;
        self.mesh_size().is_some() && self.peers.get(peer).is_some_and(gossips)
    }
}

pub(super) fn check_name(topic: &str) -> Result<(), SubscribeError> {
    if topic.is_empty() || topic.len() > MAX_TOPIC {
        return Err(SubscribeError);
    }
    Ok(())
}
