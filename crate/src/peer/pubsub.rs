//! Publish and subscribe; see [`Node`](crate::node::Node) for each.

use crate::discovery::topics::{self, announcing};
use crate::protocols::pubsub::{
    Config, MessageId, PublishError, Published, SubscribeError, TopicConfig, Verdict,
};
use crate::time::Instant;

use super::Peer;

impl Peer {
    /// Publishes and subscribes from now on; `false` if it does so.
    pub fn start_pubsub(&mut self, now: Instant, config: Config) -> bool {
        let started = self.node.start_pubsub(now, config);
        self.settle(now);
        started
    }

    /// Takes part in a topic, or takes part in it otherwise than before.
    ///
    /// # Errors
    /// [`SubscribeError`]
    pub fn subscribe(
        &mut self,
        now: Instant,
        topic: &str,
        config: TopicConfig,
    ) -> Result<(), SubscribeError> {
        let subscribed = self.node.subscribe(now, topic, config);
        self.settle(now);
        subscribed
    }

    /// Leaves a topic.
    pub fn unsubscribe(&mut self, now: Instant, topic: &str) {
        self.node.unsubscribe(now, topic);
        self.settle(now);
    }

    /// Publishes a message in a topic.
    ///
    /// # Errors
    /// [`PublishError`]
    pub fn publish(
        &mut self,
        now: Instant,
        topic: &str,
        data: &[u8],
    ) -> Result<Published, PublishError> {
        let published = self.node.publish(now, topic, data);
        self.settle(now);
        published
    }

    /// The judgement on a message; `false` if it is not waited for any more.
    pub fn validated(&mut self, now: Instant, id: &MessageId, verdict: Verdict) -> bool {
        let waited = self.node.validated(now, id, verdict);
        self.settle(now);
        waited
    }

    /// Looks for the peers of topics in this way from now on.
    pub fn set_topic_discovery(&mut self, now: Instant, config: topics::Config) {
        self.node.set_topic_discovery(now, config);
        self.settle(now);
    }

    /// Announces us in topics for that, and hears who else does.
    ///
    /// # Errors
    /// [`SubscribeError`]
    pub fn start_peer_discovery(
        &mut self,
        now: Instant,
        config: announcing::Config,
    ) -> Result<(), SubscribeError> {
        let announced = self.node.start_peer_discovery(now, config);
        self.settle(now);
        announced
    }
}
