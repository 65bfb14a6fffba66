//! The messages of the last heartbeats, for gossip and for those who ask.
//!
//! Source: gossipsub v1.0, "Message Cache".

use std::collections::VecDeque;
use std::sync::Arc;

use crate::collections::{LongMap, Map};
use crate::identity::PeerId;

use super::message::{Message, MessageId, TopicName};

/// Bytes of messages that are kept; when it is full, the oldest go early.
pub const MAX_CACHED: usize = 32 << 20;
/// What a message costs beside its bytes.
const OVERHEAD: usize = 256;

struct Cached {
    message: Arc<Message>,
    /// How often peers were sent it because they asked.
    asked: Map<PeerId, u32>,
}

/// The message cache.
pub(super) struct Cache {
    messages: LongMap<MessageId, Cached>,
    /// Ids by heartbeat, the newest first.
    windows: VecDeque<VecDeque<MessageId>>,
    bytes: usize,
    history: usize,
}

impl Cache {
    pub(super) fn new(history: usize) -> Self {
        let windows = VecDeque::from([VecDeque::new()]);
        Self { messages: LongMap::new(), windows, bytes: 0, history: history.max(1) }
    }

    pub(super) fn put(&mut self, id: MessageId, message: Arc<Message>) {
        let cost = message.as_bytes().len() + OVERHEAD;
        while self.bytes.saturating_add(cost) > MAX_CACHED && self.drop_oldest() {}
        self.bytes += cost;
        if let Some(window) = self.windows.front_mut() {
            window.push_back(id.clone());
        }
        self.messages.insert(id, Cached { message, asked: Map::new() });
    }

    pub(super) fn get(&self, id: &MessageId) -> Option<&Arc<Message>> {
        self.messages.get(id).map(|cached| &cached.message)
    }

    /// A message for a peer that asks for it, and how often it has asked.
    pub(super) fn asked(&mut self, id: &MessageId, peer: PeerId) -> Option<(Arc<Message>, u32)> {
        let cached = self.messages.get_mut(id)?;
        let asked = cached.asked.get_or_insert_with(peer, || 0);
        *asked = asked.saturating_add(1);
        Some((cached.message.clone(), *asked))
    }

    /// The ids of a topic that came in the last heartbeats, the newest first.
    pub(super) fn ids(&self, topic: &TopicName, heartbeats: usize) -> Vec<MessageId> {
        let recent = self.windows.iter().take(heartbeats).flatten();
        let of_topic = |id: &&MessageId| self.get(id).is_some_and(|m| m.topic() == topic);
        recent.filter(of_topic).cloned().collect()
    }

    /// A heartbeat has passed.
    pub(super) fn shift(&mut self) {
        if self.windows.len() >= self.history {
            for id in self.windows.pop_back().into_iter().flatten() {
                self.forget(&id);
            }
        }
        self.windows.push_front(VecDeque::new());
    }

    fn drop_oldest(&mut self) -> bool {
        let oldest = self.windows.iter_mut().rev().find_map(VecDeque::pop_front);
        oldest.map(|id| self.forget(&id)).is_some()
    }

    fn forget(&mut self, id: &MessageId) {
        if let Some(cached) = self.messages.remove(id) {
            self.bytes -= cached.message.as_bytes().len() + OVERHEAD;
        }
    }
}
