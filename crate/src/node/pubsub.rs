//! How the node publishes and subscribes.

use std::collections::VecDeque;

use crate::collections::LongSet;
use crate::connection::{self, Framing};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::protocols::pubsub::{
    Config, MessageId, Order, PublishError, Published, Pubsub, Router, SubscribeError, TopicConfig,
    Verdict,
};
use crate::protocols::{Action, Input, Local, Protocol};
use crate::rng::Rng;
use crate::swarm::DialOptions;
use crate::time::Instant;

use super::hosting::ProtocolId;
use super::{ConnectionId, DialId, Event, Node};

/// Nanoseconds in a millisecond: numbers of messages are nanoseconds, as go-libp2p's.
const NANOS: u64 = 1_000_000;

/// Publish and subscribe, if the node does.
pub(super) struct Gossip {
    pubsub: Box<Pubsub>,
    /// The node takes part.
    on: bool,
    pub(super) orders: VecDeque<Order>,
    /// Dials to those whom others told of.
    dials: LongSet<DialId>,
    /// Connections whose peers have said what they are.
    identified: Vec<ConnectionId>,
    /// Peers to whom another connection is the best now.
    moved: Vec<(PeerId, ConnectionId)>,
    rng: Rng,
}

impl Gossip {
    pub(super) fn new(config: &super::Config, rng: &mut Rng) -> Self {
        let own = config.pubsub.clone();
        Self {
            on: own.is_some(),
            pubsub: begin(own.unwrap_or_default(), &config.connection, config.first_sequence, rng),
            orders: VecDeque::new(),
            dials: LongSet::new(),
            identified: Vec::new(),
            moved: Vec::new(),
            rng: rng.fork(),
        }
    }

    /// Whether the node takes part.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    pub(super) fn router(&self) -> &Router {
        self.pubsub.router()
    }

    /// Publishes in several topics, if that can be.
    pub(super) fn publish_all(&mut self, now: Instant, topics: &[String], data: &[u8]) {
        for topic in topics {
            // What cannot be published now is not missed: there is more of it later.
            let _ = self.pubsub.with(|router| router.publish(now, topic, data));
        }
    }

    pub(super) fn note(&mut self, event: &Event) {
        match event {
            _ if !self.on => {}
            Event::Identified { connection, .. } => self.identified.push(*connection),
            Event::PathChanged { peer, connection } => self.moved.push((*peer, *connection)),
            _ => {}
        }
    }
}

fn begin(config: Config, ours: &connection::Config, millis: u64, rng: &mut Rng) -> Box<Pubsub> {
    let first = millis.saturating_mul(NANOS).saturating_add(rng.below(NANOS));
    let mut pubsub = Box::new(Pubsub::new(config, ours.keypair.clone(), first, rng.fork()));
    pubsub.with(|router| router.ciphers = ours.ciphers.clone());
    pubsub
}

impl Protocol for Gossip {
    fn names(&self) -> Vec<(Name, Framing)> {
        if self.on { self.pubsub.names() } else { Vec::new() }
    }

    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>) {
        if self.on {
            self.pubsub.handle(now, local, input);
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.pubsub.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.pubsub.poll_timeout()
    }
}

impl Node {
    /// What decides which message goes to whom, to ask it things; `None` before
    /// [`Node::start_pubsub`] or the first topic.
    pub fn pubsub(&self) -> Option<&Router> {
        self.gossip.on.then(|| self.gossip.router())
    }

    /// Publishes and subscribes from now on, with the peers that are connected already;
    /// `false` if the node does so.
    pub fn start_pubsub(&mut self, now: Instant, config: Config) -> bool {
        if self.gossip.on {
            return false;
        }
        let (ours, first) = (&self.connection_config, self.config.first_sequence);
        self.gossip.pubsub = begin(config, ours, first, &mut self.gossip.rng);
        self.gossip.on = true;
        for (connection, link) in self.links.iter() {
            let Some(peer) = &link.peer else { continue };
            let (connection, direction, remote) = (*connection, link.direction, &link.remote);
            let input = Input::Connected { connection, peer, direction, remote };
            self.gossip.handle(now, &self.local, input);
            self.gossip.identified.push(connection);
        }
        self.register(ProtocolId::Pubsub);
        self.protocols_changed(now);
        self.tell_pubsub(now);
        true
    }

    /// Takes part in a topic, or takes part in it otherwise than before; starts with the
    /// default configuration if need be. [`Event::Pubsub`] tells of its messages.
    ///
    /// # Errors
    /// [`SubscribeError`]: no topic can have this name.
    pub fn subscribe(
        &mut self,
        now: Instant,
        topic: &str,
        config: TopicConfig,
    ) -> Result<(), SubscribeError> {
        self.start_pubsub(now, Config::default());
        self.seeking.stir();
        self.with_pubsub(now, |router| router.subscribe(now, topic, config))
    }

    /// Leaves a topic.
    pub fn unsubscribe(&mut self, now: Instant, topic: &str) {
        if self.gossip.on {
            self.seeking.stir();
            self.with_pubsub(now, |router| router.unsubscribe(now, topic));
        }
    }

    /// Publishes a message in a topic; whether the node is subscribed to it is of no
    /// matter. The node itself is not told of it.
    ///
    /// # Errors
    /// [`PublishError`]: it was not published.
    pub fn publish(
        &mut self,
        now: Instant,
        topic: &str,
        data: &[u8],
    ) -> Result<Published, PublishError> {
        self.with_pubsub(now, |router| router.publish(now, topic, data))
    }

    /// The judgement on a message of
    /// [`PubsubEvent::Validate`](crate::protocols::pubsub::PubsubEvent::Validate); `false`
    /// if it is not waited for any more.
    pub fn validated(&mut self, now: Instant, id: &MessageId, verdict: Verdict) -> bool {
        self.gossip.on && self.with_pubsub(now, |router| router.validated(now, id, verdict))
    }

    fn with_pubsub<T>(&mut self, now: Instant, act: impl FnOnce(&mut Router) -> T) -> T {
        self.start_pubsub(now, Config::default());
        let result = self.gossip.pubsub.with(act);
        self.drain(ProtocolId::Pubsub);
        self.settle_pubsub(now);
        result
    }

    /// Tells of peers that have said what they are, and of better connections.
    pub(super) fn tell_pubsub(&mut self, now: Instant) {
        while let Some(connection) = self.gossip.identified.pop() {
            let Some(info) = self.identify.info(connection) else { continue };
            #[cfg(feature = "relay")]
            let limited = self.limit(connection).is_some();
            #[cfg(not(feature = "relay"))]
            let limited = false;
            self.gossip.pubsub.identified(now, connection, (&info.protocols, limited));
            #[cfg(feature = "store")]
            if let Some(peer) = self.peer_of(connection).copied()
                && self.gossip.pubsub.router().config().peer_exchange
                && let Some(record) = self.signed_record(&peer)
            {
                self.gossip.pubsub.with(|router| router.set_record(&peer, record));
            }
            self.drain(ProtocolId::Pubsub);
        }
        while let Some((peer, connection)) = self.gossip.moved.pop() {
            self.gossip.pubsub.preferred(now, &peer, connection);
            self.drain(ProtocolId::Pubsub);
        }
        self.settle_pubsub(now);
    }

    /// Sends what is held back: see [`Node::flush`].
    pub(super) fn flush_pubsub(&mut self) {
        self.gossip.pubsub.flush();
        self.drain(ProtocolId::Pubsub);
    }

    /// Whether something is held back.
    pub(super) fn pubsub_holds(&self) -> bool {
        self.gossip.pubsub.holds()
    }

    pub(super) fn settle_pubsub(&mut self, now: Instant) {
        while let Some(Order::Reach { peer, addresses }) = self.gossip.orders.pop_front() {
            let dial = DialId(self.number());
            self.gossip.dials.insert(dial);
            self.begin_dial(now, (dial, DialOptions::default()), Some(peer), addresses);
        }
        self.settle_seeking(now);
    }

    /// Whether a dial is one of ours; its result shows in the connection.
    pub(super) fn pubsub_dialed(&mut self, event: &Event) -> bool {
        match event {
            Event::Dialed { dial, .. } | Event::DialFailed { dial, .. } => {
                self.gossip.dials.remove(dial)
            }
            _ => false,
        }
    }
}
