//! Gossip: who is told which messages there are, who asks for them, and who wants none.
//!
//! Source: gossipsub v1.0 "Gossip Messages", v1.1 "Adaptive Gossip Dissemination", "Spam
//! Protection Measures", v1.2 "IDONTWANT Message".

use core::time::Duration;
use std::sync::Arc;

use crate::collections::LongMap;
use crate::identity::PeerId;
use crate::time::Instant;

use super::config::MeshSize;
use super::message::{Message, MessageId, TopicName};
use super::router::{Out, Router};
use super::version::Version;
use super::wire::{Item, MAX_IDS};

/// IHAVEs taken of a peer in one heartbeat, as go-libp2p.
pub const MAX_IHAVES: usize = 10;
/// Ids that a peer may say in one heartbeat that it does not want.
pub const MAX_UNWANTED: usize = 1000;
/// Heartbeats for which that is remembered.
const UNWANTED_TICKS: u64 = 3;
/// Who tells of a message is to send it in this time when it is asked to, as go-libp2p.
pub const PROMISE: Duration = Duration::from_secs(3);
/// Peers that are asked for the same message at a time: the first may be hostile.
const MAX_ASKED: u8 = 3;
/// Messages that are asked for at a time.
pub const MAX_WANTED: usize = 1 << 16;
/// Bytes of ids in one IHAVE or IWANT; more go into further ones.
const FRAGMENT: usize = 48 << 10;

/// Messages that we asked for.
#[derive(Default)]
pub(super) struct Promises {
    /// Who promised one of those, and until when.
    made: Vec<(Instant, PeerId, MessageId)>,
    /// How many were asked, and until when to wait for them.
    wanted: LongMap<MessageId, (u8, Instant)>,
}

impl Router {
    pub(super) fn reset_counters(&mut self) {
        let ticks = self.ticks;
        for (_, remote) in self.peers.iter_mut() {
            (remote.ihaves, remote.asked, remote.refused) = (0, 0, 0);
            if !remote.unwanted.is_empty() {
                remote.unwanted.retain(|_, until| *until > ticks);
            }
        }
    }

    /// Tells some peers of a topic that are not in its mesh which messages there are.
    pub(super) fn gossip(&mut self, now: Instant, topic: &TopicName, size: MeshSize) {
        let mut ids = self.cache.ids(topic, self.config.gossip_history);
        if ids.is_empty() {
            return;
        }
        self.shuffle(&mut ids, MAX_IDS);
        ids.truncate(MAX_IDS);
        let others = self.topics.get(topic).map_or(0, |state| state.peers.len());
        let part = (others as f64 * self.config.gossip_factor) as usize;
        let threshold = self.config.thresholds.gossip;
        let to = self.choose(topic, part.max(size.lazy), |router, peer| {
            router.scores.of(now, peer) >= threshold
        });
        for peer in to {
            for ids in fragments(&ids) {
                self.send(peer, Item::IHave(topic.clone(), ids.to_vec()));
            }
        }
    }

    /// Tells a peer that has come into a mesh of the last messages: those in a mesh are
    /// not gossiped to, and it may have come too late for these.
    pub(super) fn catch_up(&mut self, peer: PeerId, topic: &TopicName) {
        for ids in fragments(&self.cache.ids(topic, self.config.gossip_history)) {
            self.send(peer, Item::IHave(topic.clone(), ids.to_vec()));
        }
    }

    pub(super) fn on_ihave(
        &mut self,
        now: Instant,
        peer: &PeerId,
        topic: &TopicName,
        mut ids: Vec<MessageId>,
    ) {
        let subscribed = self.topics.get(topic).is_some_and(|state| state.ours.is_some());
        if self.scores.of(now, peer) < self.config.thresholds.gossip || !subscribed {
            return;
        }
        // Who is choked tells of each message at once.
        let instead = self.count_told(now, topic, peer, &ids);
        let Some(remote) = self.peers.get_mut(peer) else { return };
        remote.ihaves += usize::from(!instead);
        let room = MAX_IDS.saturating_sub(remote.asked);
        if remote.ihaves > MAX_IHAVES || room == 0 {
            return;
        }
        let (seen, wanted) = (&self.seen, &self.promises.wanted);
        let want = |id: &MessageId| {
            let asked = wanted.get(id).map_or(0, |(asked, _)| *asked);
            seen.get(id).is_none() && asked < MAX_ASKED
        };
        ids.retain(want);
        // Who tells of one many times is asked for it once.
        ids.sort_unstable();
        ids.dedup();
        self.shuffle(&mut ids, room);
        ids.truncate(room.min(MAX_WANTED.saturating_sub(self.promises.wanted.len())));
        let Some(promised) = ids.first().cloned() else { return };
        self.promises.made.push((now + PROMISE, *peer, promised));
        for id in &ids {
            let wanted = self.promises.wanted.entry(id.clone()).or_insert_with(|| (0, now));
            *wanted = (wanted.0 + 1, now + PROMISE);
        }
        if let Some(remote) = self.peers.get_mut(peer) {
            remote.asked += ids.len();
        }
        self.stats.asked += ids.len() as u64;
        for ids in fragments(&ids) {
            self.send(*peer, Item::IWant(ids.to_vec()));
        }
    }

    /// Counts the promises that were not kept against those who made them.
    pub(super) fn expire_promises(&mut self, now: Instant) {
        self.promises.wanted.retain(|_, (_, until)| *until > now);
        let due: Vec<_> = self.promises.made.extract_if(.., |(until, ..)| *until <= now).collect();
        for (_, peer, id) in due {
            if self.seen.get(&id).is_none() {
                self.stats.broken += 1;
                self.scores.misbehaved(&peer, 1.0);
            }
        }
    }

    pub(super) fn on_iwant(&mut self, now: Instant, peer: &PeerId, ids: &[MessageId]) {
        if self.scores.of(now, peer) < self.config.thresholds.gossip {
            return;
        }
        for id in ids {
            let refused = |router: &Self| {
                router.peers.get(peer).is_some_and(|remote| remote.unwanted.contains_key(id))
            };
            if refused(self) {
                continue;
            }
            if let Some((message, asked)) = self.cache.asked(id, *peer)
                && asked <= self.config.retransmissions
            {
                self.send_message(*peer, id, &message);
            }
        }
    }

    /// Tells the mesh that we have a long message, so that nobody sends it again.
    pub(super) fn announce(&mut self, from: &PeerId, id: &MessageId, message: &Arc<Message>) {
        if message.as_bytes().len() < self.config.idontwant_threshold {
            return;
        }
        let Some(state) = self.topics.get(message.topic()) else { return };
        let understands =
            |peer: &PeerId| self.peers.get(peer).is_some_and(|p| p.version >= Version::V1_2);
        let sends = |peer: &PeerId| !self.is_lazy(message.topic(), peer);
        let mesh =
            state.mesh.iter().filter(|peer| *peer != from && understands(peer) && sends(peer));
        for peer in mesh.copied().collect::<Vec<_>>() {
            self.send(peer, Item::IDontWant(vec![id.clone()]));
        }
    }

    pub(super) fn on_idontwant(&mut self, peer: &PeerId, mut ids: Vec<MessageId>) {
        let until = self.ticks + UNWANTED_TICKS;
        let Some(remote) = self.peers.get_mut(peer) else { return };
        ids.truncate(MAX_UNWANTED.saturating_sub(remote.refused));
        remote.refused += ids.len();
        for id in &ids {
            remote.unwanted.insert(id.clone(), until);
        }
        if !ids.is_empty() {
            self.push(Out::Cancel(*peer, ids));
        }
    }
}

/// Ids in parts that fit into an RPC beside other things.
fn fragments(ids: &[MessageId]) -> impl Iterator<Item = &[MessageId]> {
    let mut rest = ids;
    core::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |id: &&MessageId| {
            bytes += id.as_bytes().len();
            bytes <= FRAGMENT
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (part, after) = rest.split_at_checked(count)?;
        rest = after;
        Some(part)
    })
}
