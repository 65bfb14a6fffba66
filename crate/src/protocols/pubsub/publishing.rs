//! Messages of our own, and those of others on their way.
//!
//! Source: gossipsub v1.0 "Message Processing", v1.1 "Flood Publishing".

use std::sync::Arc;

use crate::collections::LongSet;
use crate::identity::PeerId;
use crate::time::Instant;

use super::event::{PublishError, Published};
use super::message::{Message, MessageId, Signing, TopicName};
use super::router::{Router, check_name};
use super::seen::Fate;
use super::wire::Item;

/// Topics that are published in without a subscription, at a time.
pub const MAX_FANOUT: usize = 1024;

impl Router {
    /// Publishes a message; whether we are subscribed to the topic is of no matter.
    ///
    /// # Errors
    /// [`PublishError`]: it was not published.
    pub fn publish(
        &mut self,
        now: Instant,
        topic: &str,
        data: &[u8],
    ) -> Result<Published, PublishError> {
        check_name(topic)?;
        self.start(now);
        let name = self.name(topic);
        let ours = self.topics.get(topic).and_then(|state| state.ours.as_ref());
        let signing = ours.and_then(|ours| ours.signing).unwrap_or(self.config.signing);
        let limit = ours.and_then(|ours| ours.max_data).unwrap_or(self.config.max_message());
        let message = match signing {
            Signing::Strict => {
                self.seqno = self.seqno.wrapping_add(1);
                Message::signed(&self.keypair, self.seqno, name, data)?
            }
            Signing::Without => Message::unsigned(name, data),
        };
        if data.len() > limit || message.as_bytes().len() > self.config.max_message() {
            return Err(PublishError::TooLong { limit: limit.min(self.config.max_message()) });
        }
        let id = self.config.message_ids.of(&message);
        if self.seen.get(&id).is_some() {
            return Err(PublishError::Duplicate);
        }
        let message = Arc::new(message);
        self.seen.insert(now, id.clone(), Fate::Valid(now));
        self.cache.put(id.clone(), message.clone());
        self.stats.published += 1;
        let to = self.readers(now, message.topic());
        for peer in to.iter() {
            self.send_message(*peer, &id, &message);
        }
        Ok(Published { id, peers: to.len() })
    }

    /// Who is sent a message of our own.
    fn readers(&mut self, now: Instant, topic: &TopicName) -> LongSet<PeerId> {
        let fills = self.mesh_size().is_some() && !self.config.flood_publish;
        let subscribed = self.topics.get(topic).is_some_and(|state| state.ours.is_some());
        if fills && !subscribed {
            self.fill_fanout(now, topic);
        }
        let Some(state) = self.topics.get(topic) else { return LongSet::new() };
        let hears = |peer: &PeerId| {
            self.is_explicit(peer)
                || self.scores.of(now, peer) >= self.config.thresholds.publish
                    && (!fills
                        || !self.gossips(peer)
                        || state.mesh.contains(peer)
                        || state.fanout.contains(peer))
        };
        state.peers.iter().filter(|peer| hears(peer)).copied().collect()
    }

    /// Chooses whom to publish to in a topic that we are not subscribed to.
    fn fill_fanout(&mut self, now: Instant, topic: &TopicName) {
        let publishes = self.topics.values().filter(|state| state.published.is_some()).count();
        let Some(size) = self.mesh_size().filter(|_| publishes < MAX_FANOUT) else { return };
        let state = self.topics.entry(topic.clone()).or_default();
        state.published = Some(now);
        if !state.fanout.is_empty() {
            return;
        }
        let threshold = self.config.thresholds.publish;
        let chosen = self
            .choose(topic, size.wanted, |router, peer| router.scores.of(now, peer) >= threshold);
        if let Some(state) = self.topics.get_mut(topic) {
            state.fanout = chosen.into_iter().collect();
        }
    }

    /// Looks after whom we publish to without being subscribed.
    pub(super) fn keep_fanout(&mut self, now: Instant, topic: &TopicName) {
        let ttl = self.config.fanout_ttl;
        let threshold = self.config.thresholds.publish;
        let Some(size) = self.mesh_size() else { return };
        let Some(state) = self.topics.get_mut(topic) else { return };
        if state.published.is_none_or(|at| at + ttl <= now) {
            (state.published, state.fanout) = (None, LongSet::new());
            return self.tidy_topic(topic);
        }
        let scores = &self.scores;
        state.fanout.retain(|peer| scores.of(now, peer) >= threshold);
        let missing = size.wanted.saturating_sub(state.fanout.len());
        let chosen =
            self.choose(topic, missing, |router, peer| router.scores.of(now, peer) >= threshold);
        if let Some(state) = self.topics.get_mut(topic) {
            chosen.into_iter().for_each(|peer| {
                state.fanout.insert(peer);
            });
        }
    }

    /// Passes a message of another on: to the mesh, to explicit peers, and to all who
    /// know no meshes.
    pub(super) fn forward(&mut self, id: &MessageId, message: &Arc<Message>, have: &[PeerId]) {
        let Some(state) = self.topics.get(message.topic()) else { return };
        let author = message.from();
        let wants = |peer: &&PeerId| {
            !have.contains(peer)
                && author != Some(**peer)
                && self.peers.get(peer).is_some_and(|remote| !remote.unwanted.contains_key(id))
        };
        let to: Vec<PeerId> = if self.mesh_size().is_none() {
            state.peers.iter().filter(wants).copied().collect()
        } else {
            // A topic may have many peers and these are few.
            let explicit = self.config.explicit.iter();
            let explicit = explicit.filter(|peer| !self.floodsubs.contains(peer));
            let others = explicit.chain(self.floodsubs.iter());
            let others =
                others.filter(|peer| state.peers.contains(peer) && !state.mesh.contains(peer));
            state.mesh.iter().chain(others).filter(wants).copied().collect()
        };
        for peer in to {
            if self.is_choked_by(message.topic(), &peer) {
                self.send(peer, Item::IHave(message.topic().clone(), vec![id.clone()]));
            } else {
                self.send_message(peer, id, message);
            }
        }
    }
}
