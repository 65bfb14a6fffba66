//! What a peer says.

use std::sync::Arc;

use crate::identity::{PeerId, VerifyError};
use crate::time::Instant;

use super::event::PubsubEvent;
use super::message::{Message, MessageId, Parts, SignatureError, Signing, TopicName};
use super::router::{MAX_TOPICS, MAX_TOPICS_PER_PEER, Out, Router, Topic};
use super::seen::{Fate, MAX_SENDERS};
use super::validation::{Validation, Verdict};
use super::version::Version;
use super::wire::{Extensions, Item, Part};

impl Router {
    /// Whether what a peer says is listened to.
    pub fn listens_to(&self, now: Instant, peer: &PeerId) -> bool {
        self.is_explicit(peer) || self.scores.of(now, peer) >= self.config.thresholds.graylist
    }

    /// A peer said so many things that go beyond the limits, or was not to be understood.
    pub fn exceeded(&mut self, peer: &PeerId, count: usize) {
        self.stats.excess = self.stats.excess.saturating_add(count as u64);
        // All of one RPC are one misdeed, a large one a greater.
        self.scores.misbehaved(peer, 1.0 + (count as f64 / 1000.0).min(10.0));
    }

    /// A part of what a peer said has been read.
    pub(super) fn hear(&mut self, now: Instant, peer: &PeerId, part: Part<'_>) {
        match part {
            Part::Item(item) => self.receive(now, peer, item),
            Part::Message(parts, topic) if self.knows(peer) => {
                self.on_message(now, peer, (parts, topic), None);
            }
            Part::Message(..) => {}
        }
    }

    /// A peer said something.
    pub fn receive(&mut self, now: Instant, peer: &PeerId, item: Item) {
        if !self.knows(peer) {
            return;
        }
        match item {
            Item::Subscribe(topic) => self.on_subscribe(peer, &topic),
            Item::Unsubscribe(topic) => {
                let left = self.peers.get_mut(peer).is_some_and(|p| p.topics.remove(&topic));
                if left {
                    let in_mesh = |router: &Self| {
                        router.topics.get(&topic).is_some_and(|state| state.mesh.contains(peer))
                    };
                    if in_mesh(self) {
                        self.scores.pruned(now, peer, &topic);
                    }
                    self.forget(peer, &topic);
                }
            }
            Item::Message(message) => {
                let whole = Some(message.clone());
                self.on_message(now, peer, (message.parts(), message.topic()), whole);
            }
            Item::Extensions(extensions) => self.on_extensions(peer, extensions),
            _ if !self.gossips(peer) => {}
            Item::IHave(topic, ids) => self.on_ihave(now, peer, &topic, ids),
            Item::IWant(ids) => self.on_iwant(now, peer, &ids),
            Item::Graft(topic) => self.on_graft(now, peer, &topic),
            Item::Prune { topic, peers, backoff } => {
                self.on_prune(now, peer, &topic, (peers, backoff));
            }
            Item::IDontWant(ids) => self.on_idontwant(peer, ids),
            Item::Choke(topic) => self.on_choke(peer, &topic, true),
            Item::Unchoke(topic) => self.on_choke(peer, &topic, false),
            Item::Test => {}
        }
    }

    pub(super) fn on_subscribe(&mut self, peer: &PeerId, topic: &TopicName) {
        let name = self.name(topic);
        let room = self.topics.len() < MAX_TOPICS || self.topics.contains_key(&name);
        let Some(remote) = self.peers.get_mut(peer) else { return };
        if !room || remote.topics.len() >= MAX_TOPICS_PER_PEER && !remote.topics.contains(&name) {
            return self.exceeded(peer, 1);
        }
        remote.topics.insert(name.clone());
        if self.topics.entry(name.clone()).or_default().peers.insert(*peer) {
            self.emit(PubsubEvent::Subscribed { peer: *peer, topic: name });
        }
    }

    fn on_extensions(&mut self, peer: &PeerId, extensions: Extensions) {
        let Some(remote) = self.peers.get_mut(peer) else { return };
        if remote.version < Version::V1_3 {
            return;
        }
        let before = remote.extensions.replace(extensions).unwrap_or_default();
        // Both can do it: each says so once.
        if self.config.test_extension && extensions.test && !before.test {
            self.send(*peer, Item::Test);
        }
    }

    /// A message as it came, of which most are copies. `whole` is the same, if it is there.
    fn on_message(
        &mut self,
        now: Instant,
        peer: &PeerId,
        (parts, topic): (Parts<'_>, &str),
        whole: Option<Arc<Message>>,
    ) {
        let ours = |(name, topic): (&TopicName, &Topic)| {
            topic.ours.as_ref().map(|ours| (name.clone(), ours.signing, ours.max_data))
        };
        let Some((topic, signing, max_data)) = self.topics.get_key_value(topic).and_then(ours)
        else {
            self.stats.ignored += 1;
            return;
        };
        let signing = signing.unwrap_or(self.config.signing);
        let too_long = max_data.is_some_and(|max| parts.data.map_or(0, <[u8]>::len) > max)
            || parts.encoded_len(&topic) > self.config.max_message();
        // What is ours we have; whoever sends it back is not to gain by it.
        if parts.from == Some(self.me.as_bytes()) && !too_long {
            self.stats.duplicates += 1;
            return;
        }
        if too_long || parts.check(signing).is_err() {
            return self.refuse(peer, &topic);
        }
        let make = || Arc::new(Message::new(parts, topic.clone()));
        let (id, whole) = match self.config.message_ids.of_parts(&parts) {
            Some(id) => (id, whole),
            None => {
                let message = whole.unwrap_or_else(make);
                (self.config.message_ids.of(&message), Some(message))
            }
        };
        if self.seen.get(&id).is_some() {
            return self.on_duplicate(now, peer, &id, &topic);
        }
        let message = whole.unwrap_or_else(make);
        // Only now, since signatures are what costs.
        match if signing == Signing::Strict { message.verify(&*self.ciphers) } else { Ok(()) } {
            Ok(()) => {}
            // Not its sender's fault.
            Err(SignatureError::Signature(VerifyError::NotCompiled(_))) => {
                self.stats.ignored += 1;
                return;
            }
            Err(_) => return self.refuse(peer, &topic),
        }
        self.count_copy(&topic, peer, true);
        self.announce(peer, &id, &message);
        self.spare(peer, &id, &message);
        self.judge(now, *peer, id, message);
    }

    /// Counts a bad message.
    fn refuse(&mut self, peer: &PeerId, topic: &TopicName) {
        self.stats.rejected += 1;
        self.scores.invalid(peer, topic);
    }

    fn on_duplicate(&mut self, now: Instant, peer: &PeerId, id: &MessageId, topic: &TopicName) {
        self.stats.duplicates += 1;
        self.count_copy(topic, peer, false);
        match self.seen.get_mut(id) {
            Some(Fate::Pending(senders))
                if senders.len() < MAX_SENDERS && !senders.contains(peer) =>
            {
                senders.push(*peer);
            }
            Some(Fate::Valid(at)) => {
                let late = now - *at;
                self.scores.also(peer, topic, late);
                self.push(Out::Cancel(*peer, vec![id.clone()]));
            }
            Some(Fate::Invalid) => self.scores.invalid(peer, topic),
            _ => {}
        }
    }

    /// Asks whoever decides whether a message is good.
    fn judge(&mut self, now: Instant, peer: PeerId, id: MessageId, message: Arc<Message>) {
        self.seen.insert(now, id.clone(), Fate::Pending(vec![peer]));
        let validation = self
            .topics
            .get(message.topic())
            .and_then(|topic| topic.ours.as_ref())
            .map(|ours| ours.validation.clone())
            .unwrap_or_default();
        let verdict = match validation {
            Validation::None => Verdict::Accept,
            Validation::Sync(validator) => validator(&message, &peer),
            Validation::Async => {
                if self.pending.add(now, id.clone(), message.clone(), peer) {
                    let received_from = peer;
                    return self.emit(PubsubEvent::Validate { message, id, received_from });
                }
                Verdict::Ignore
            }
        };
        self.decided(now, (&id, message, peer), verdict);
    }

    /// The application's judgement on a message of [`PubsubEvent::Validate`]; `false` if
    /// none waits.
    pub fn validated(&mut self, now: Instant, id: &MessageId, verdict: Verdict) -> bool {
        let Some((message, peer)) = self.pending.take(id) else { return false };
        self.decided(now, (id, message, peer), verdict);
        true
    }

    fn decided(
        &mut self,
        now: Instant,
        (id, message, from): (&MessageId, Arc<Message>, PeerId),
        verdict: Verdict,
    ) {
        let fate = match verdict {
            Verdict::Accept => Fate::Valid(now),
            Verdict::Reject => Fate::Invalid,
            Verdict::Ignore => Fate::Ignored,
        };
        let senders = match self.seen.get_mut(id).map(|known| core::mem::replace(known, fate)) {
            Some(Fate::Pending(senders)) => senders,
            _ => vec![from],
        };
        let topic = message.topic().clone();
        match verdict {
            Verdict::Accept => {
                self.stats.delivered += 1;
                self.scores.first(&from, &topic);
                for also in senders.iter().filter(|sender| **sender != from) {
                    self.scores.also(also, &topic, core::time::Duration::ZERO);
                }
                self.cache.put(id.clone(), message.clone());
                self.forward(id, &message, &senders);
                let id = id.clone();
                self.emit(PubsubEvent::Message { message, id, received_from: from });
            }
            Verdict::Reject => {
                self.stats.rejected += 1;
                senders.iter().for_each(|sender| self.scores.invalid(sender, &topic));
            }
            Verdict::Ignore => self.stats.ignored += 1,
        }
    }

    /// Gives up waiting for judgements that do not come.
    pub(super) fn expire_pending(&mut self, now: Instant) {
        for id in self.pending.overdue(now) {
            self.validated(now, &id, Verdict::Ignore);
        }
    }
}
