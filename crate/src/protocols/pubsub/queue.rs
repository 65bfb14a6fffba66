//! What waits to be sent to one peer: control before data, the oldest data dropped when
//! the peer does not read.

use std::collections::VecDeque;
use std::sync::Arc;

use super::message::{Message, MessageId, TopicName};
use super::wire::{Item, RpcWriter};

/// Bytes of messages that wait for one peer; beyond this the oldest are dropped.
pub const MAX_QUEUED: usize = 2 << 20;
/// IHAVEs, IWANTs and IDONTWANTs that wait for one peer; the oldest are dropped, since they
/// are soon worth nothing.
pub const MAX_GOSSIP: usize = 128;
/// An RPC takes no further item beyond so many bytes: what is urgent must not wait for long.
pub const FRAGMENT: usize = 64 << 10;
/// Ids in an IDONTWANT that is joined with the next one.
const JOINED: usize = 64;
/// Of the messages that wait, the last ones are looked through for one that is not wanted
/// any more: a peer for which more wait does not read.
const SEARCHED: usize = 256;
/// What a message costs beside its bytes, so that empty ones are not free.
const OVERHEAD: usize = 128;

/// What waits for one peer.
#[derive(Default)]
pub(super) struct Queue {
    /// What must arrive: subscriptions, GRAFT, PRUNE, CHOKE; one a topic and kind.
    firm: VecDeque<Item>,
    /// What may be late: IHAVE, IWANT, IDONTWANT.
    gossip: VecDeque<Item>,
    data: VecDeque<(MessageId, Arc<Message>)>,
    bytes: usize,
    /// Messages that were dropped.
    pub(super) dropped: u64,
}

impl Queue {
    /// Adds an item that is no message.
    pub(super) fn push(&mut self, item: Item) {
        match item {
            Item::IHave(..) | Item::IWant(_) | Item::IDontWant(_) => {
                if let (Item::IDontWant(more), Some(Item::IDontWant(ids))) =
                    (&item, self.gossip.back_mut())
                    && ids.len() < JOINED
                {
                    return ids.extend_from_slice(more);
                }
                if self.gossip.len() >= MAX_GOSSIP {
                    self.gossip.pop_front();
                }
                self.gossip.push_back(item);
            }
            _ => {
                let replaces =
                    |old: &Item| subject(old).is_some() && subject(old) == subject(&item);
                self.firm.retain(|old| !replaces(old));
                self.firm.push_back(item);
            }
        }
    }

    /// Adds a message; returns how many were dropped to make room.
    pub(super) fn push_message(&mut self, id: MessageId, message: Arc<Message>) -> u64 {
        let mut dropped = 0;
        self.bytes += cost(&message);
        self.data.push_back((id, message));
        while self.bytes > MAX_QUEUED && self.data.len() > 1 {
            if let Some((_, oldest)) = self.data.pop_front() {
                self.bytes -= cost(&oldest);
                dropped += 1;
            }
        }
        self.dropped += dropped;
        dropped
    }

    /// A new stream begins with these.
    pub(super) fn greet(&mut self, items: Vec<Item>) {
        let waiting = core::mem::take(&mut self.firm);
        items.into_iter().chain(waiting).for_each(|item| self.push(item));
    }

    /// The peer needs no copies of these any more.
    pub(super) fn cancel(&mut self, ids: &[MessageId]) {
        let last = self.data.len().saturating_sub(SEARCHED);
        let mut at = self.data.len();
        while at > last {
            at -= 1;
            if self.data.get(at).is_some_and(|(id, _)| ids.contains(id))
                && let Some((_, message)) = self.data.remove(at)
            {
                self.bytes -= cost(&message);
            }
        }
    }

    /// Bytes of messages that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next RPC, and what to give back by [`Queue::restore`] if it is lost.
    pub(super) fn next(&mut self, max: usize) -> Option<(Vec<u8>, Unsure)> {
        let mut rpc = RpcWriter::with_capacity(self.bytes.min(FRAGMENT));
        let mut unsure = Unsure::default();
        let fits = |rpc: &RpcWriter, size: usize| {
            rpc.is_empty() || rpc.len() < FRAGMENT && rpc.len() + size <= max
        };
        for queue in [&mut self.firm, &mut self.gossip] {
            while queue.front().is_some_and(|item| fits(&rpc, item.size()))
                && let Some(item) = queue.pop_front()
            {
                rpc.push(&item);
                if subject(&item).is_some() {
                    unsure.firm.push(item);
                }
            }
        }
        while self.data.front().is_some_and(|(_, m)| fits(&rpc, m.as_bytes().len() + 16))
            && let Some((id, message)) = self.data.pop_front()
        {
            self.bytes -= cost(&message);
            let item = Item::Message(message);
            rpc.push(&item);
            if let Item::Message(message) = item {
                unsure.data.push((id, message));
            }
        }
        (!rpc.is_empty()).then(|| (rpc.finish(), unsure))
    }

    /// Puts back in front what may not have arrived.
    pub(super) fn restore(&mut self, unsure: Unsure) {
        for item in unsure.firm.into_iter().rev() {
            // What is newer holds.
            if !self.firm.iter().any(|newer| subject(newer) == subject(&item)) {
                self.firm.push_front(item);
            }
        }
        for (id, message) in unsure.data.into_iter().rev() {
            self.bytes += cost(&message);
            self.data.push_front((id, message));
        }
    }
}

/// What was sent and may be lost with its stream.
#[derive(Default)]
pub(super) struct Unsure {
    firm: Vec<Item>,
    data: Vec<(MessageId, Arc<Message>)>,
}

fn cost(message: &Message) -> usize {
    message.as_bytes().len() + OVERHEAD
}

/// Of two items about the same only the later one is of interest.
fn subject(item: &Item) -> Option<(u8, &TopicName)> {
    match item {
        Item::Subscribe(topic) | Item::Unsubscribe(topic) => Some((0, topic)),
        Item::Graft(topic) | Item::Prune { topic, .. } => Some((1, topic)),
        Item::Choke(topic) | Item::Unchoke(topic) => Some((2, topic)),
        _ => None,
    }
}
