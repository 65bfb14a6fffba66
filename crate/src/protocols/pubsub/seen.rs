//! Which messages were seen, and what became of them.

use core::time::Duration;
use std::collections::VecDeque;

use crate::collections::LongMap;
use crate::identity::PeerId;
use crate::time::Instant;

use super::message::MessageId;

/// Messages that are remembered, whatever their time: 2,000 a second for two minutes. When
/// it is full, the oldest are forgotten early.
pub const MAX_SEEN: usize = 1 << 18;
/// Peers that are remembered to have sent one message while it was validated.
pub const MAX_SENDERS: usize = 32;

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits for its validation; these sent it too.
    Pending(Vec<PeerId>),
    /// It was delivered, at this time.
    Valid(Instant),
    /// It was refused.
    Invalid,
    /// It was ignored.
    Ignored,
}

/// The messages that were seen.
#[derive(Default)]
pub(super) struct Seen {
    fates: LongMap<MessageId, Fate>,
    order: VecDeque<(Instant, MessageId)>,
}

impl Seen {
    pub(super) fn get(&self, id: &MessageId) -> Option<&Fate> {
        self.fates.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &MessageId) -> Option<&mut Fate> {
        self.fates.get_mut(id)
    }

    pub(super) fn len(&self) -> usize {
        self.fates.len()
    }

    /// Remembers a message that was not seen before.
    pub(super) fn insert(&mut self, now: Instant, id: MessageId, fate: Fate) {
        while self.order.len() >= MAX_SEEN
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.fates.remove(&oldest);
        }
        self.order.push_back((now, id.clone()));
        self.fates.insert(id, fate);
    }

    /// Forgets what was first seen so long ago.
    pub(super) fn expire(&mut self, now: Instant, ttl: Duration) {
        while self.order.front().is_some_and(|(at, _)| *at + ttl <= now)
            && let Some((_, id)) = self.order.pop_front()
        {
            self.fates.remove(&id);
        }
    }
}
