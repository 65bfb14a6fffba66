//! Lazy links within a mesh: who nearly always sends late is choked, and tells of messages
//! instead of sending them.
//!
//! Source: the ideas of libp2p specs, `pubsub/gossipsub/episub.md` (eager and lazy peers),
//! and the words of the choking proposals that came of it. It is specified nowhere: between
//! two who both declare it by the handshake of version 1.3 CHOKE and UNCHOKE go as an
//! experimental extension ([`wire::CHOKING`](super::wire::CHOKING)); others are told by
//! IDONTWANT, for messages of any length, as soon as there is one that they are late with.
//!
//! The mesh stays what it is: a choked peer is in it, its IHAVE comes at once, so that a
//! message that the others do not bring is asked for, and counts for it as a copy would. Who
//! tells of a message has it: it is sent none.
//!
//! What a remote can fill: nothing; what is counted belongs to the members of our meshes.

use std::sync::Arc;

use crate::collections::LongMap;
use crate::identity::PeerId;
use crate::time::Instant;

use super::message::{Message, MessageId, TopicName};
use super::router::Router;
use super::seen::Fate;
use super::version::Version;
use super::wire::Item;

/// When who is choked.
///
/// Among 1,000 simulated peers with 20 connections each (messages of 1 KiB, two a second,
/// round trips of nine regions of the world, 1 % lost; `benches/pubsub.rs` with `--choking`)
/// a delivery takes 2.89 copies instead of 6.49 and half as many bytes, control included;
/// 111 ms instead of 102 at the median, 200 ms instead of 184 for the slowest in a hundred.
/// Where every other peer does so (`--mixed`), 5.51 copies.
#[derive(Clone, Debug, PartialEq)]
pub struct Choking {
    /// Peers of a mesh that are not choked, at least; 3.
    pub eager: usize,
    /// The part of a peer's copies that come too late, from which on it is choked; 0.8.
    pub late: f64,
    /// The part of messages that a choked peer has told of before anybody has sent them,
    /// from which on it is choked no more; 0.3.
    pub early: f64,
    /// Messages after which a peer is judged; 16.
    pub samples: u32,
}

impl Default for Choking {
    fn default() -> Self {
        Self { eager: 3, late: 0.8, early: 0.3, samples: 16 }
    }
}

/// Messages that are counted of a link before what was counted weighs half.
const MEMORY: u32 = 64;

/// What came over one link of a mesh.
#[derive(Default)]
struct Tally {
    /// Messages that it brought, or told of while it is choked, before all others.
    first: u32,
    /// The same, after another.
    late: u32,
    /// We choke the peer.
    choked: bool,
    /// It chokes us.
    chokes_us: bool,
}

impl Tally {
    fn count(&mut self, first: bool) {
        match first {
            true => self.first += 1,
            false => self.late += 1,
        }
        if self.first + self.late > MEMORY {
            (self.first, self.late) = (self.first / 2, self.late / 2);
        }
    }

    fn all(&self) -> u32 {
        self.first + self.late
    }

    /// The part that came first.
    fn early(&self) -> f64 {
        f64::from(self.first) / f64::from(self.all().max(1))
    }
}

/// The links of all meshes.
#[derive(Default)]
pub(super) struct Links {
    tallies: LongMap<(TopicName, PeerId), Tally>,
}

impl Links {
    fn get(&self, topic: &TopicName, peer: &PeerId) -> Option<&Tally> {
        self.tallies.get(&(topic.clone(), *peer))
    }

    /// A link is new: neither end chokes the other.
    pub(super) fn forget(&mut self, topic: &TopicName, peer: &PeerId) {
        self.tallies.remove(&(topic.clone(), *peer));
    }
}

impl Router {
    /// The peers of a mesh that are choked.
    pub fn choked(&self, topic: &str) -> Vec<PeerId> {
        let Some(state) = self.topics.get(topic) else { return Vec::new() };
        let name = self.name(topic);
        state.mesh.iter().filter(|peer| self.chokes(&name, peer)).copied().collect()
    }

    fn chokes(&self, topic: &TopicName, peer: &PeerId) -> bool {
        self.links.get(topic, peer).is_some_and(|link| link.choked)
    }

    /// Whether a peer of our mesh is to be told of messages and not sent them.
    pub(super) fn is_choked_by(&self, topic: &TopicName, peer: &PeerId) -> bool {
        self.config.choking.is_some()
            && self.links.get(topic, peer).is_some_and(|link| link.chokes_us)
    }

    /// Both ends know CHOKE.
    fn both_choke(&self, peer: &PeerId) -> bool {
        let theirs = self.peers.get(peer).and_then(|remote| remote.extensions);
        self.config.choking.is_some() && theirs.is_some_and(|extensions| extensions.choking)
    }

    /// Whether a peer tells us of messages and does not send them.
    pub(super) fn is_lazy(&self, topic: &TopicName, peer: &PeerId) -> bool {
        self.chokes(topic, peer) && self.both_choke(peer)
    }

    /// A copy of a message came: before all others, or not.
    pub(super) fn count_copy(&mut self, topic: &TopicName, peer: &PeerId, first: bool) {
        // What it sends we asked for.
        if self.config.choking.is_some() && !self.is_lazy(topic, peer) {
            self.count(topic, peer, first);
        }
    }

    /// A peer tells of messages; whether it does so in place of sending them.
    pub(super) fn count_told(
        &mut self,
        now: Instant,
        topic: &TopicName,
        peer: &PeerId,
        ids: &[MessageId],
    ) -> bool {
        if !self.is_lazy(topic, peer) {
            return false;
        }
        for id in ids {
            let fate = self.seen.get(id);
            if let Some(Fate::Valid(at)) = fate {
                self.scores.also(peer, topic, now - *at);
            }
            let first = fate.is_none();
            self.count(topic, peer, first);
        }
        self.on_idontwant(peer, ids.to_vec());
        true
    }

    fn count(&mut self, topic: &TopicName, peer: &PeerId, first: bool) {
        if self.topics.get(topic).is_some_and(|state| state.mesh.contains(peer)) {
            self.links.tallies.entry((topic.clone(), *peer)).or_default().count(first);
        }
    }

    /// Tells those who are choked and do not know CHOKE that we have a message.
    pub(super) fn spare(&mut self, from: &PeerId, id: &MessageId, message: &Arc<Message>) {
        if self.config.choking.is_none()
            || message.as_bytes().len() >= self.config.idontwant_threshold
        {
            return;
        }
        let topic = message.topic();
        let knows = |peer: &PeerId| {
            self.peers.get(peer).is_some_and(|remote| remote.version >= Version::V1_2)
        };
        let Some(state) = self.topics.get(topic) else { return };
        let suits = |peer: &&PeerId| {
            *peer != from && self.chokes(topic, peer) && knows(peer) && !self.both_choke(peer)
        };
        for peer in state.mesh.iter().filter(suits).copied().collect::<Vec<_>>() {
            self.send(peer, Item::IDontWant(vec![id.clone()]));
        }
    }

    /// Chokes and unchokes, at each heartbeat at most one of each topic.
    pub(super) fn keep_choking(&mut self, topic: &TopicName) {
        let Some(config) = self.config.choking.clone() else { return };
        let Some(state) = self.topics.get(topic) else { return };
        let links = state.mesh.iter().map(|peer| (*peer, self.links.get(topic, peer)));
        let links: Vec<(PeerId, bool, Option<f64>)> = links
            .map(|(peer, link)| {
                let judged = link.filter(|link| link.all() >= config.samples);
                (peer, link.is_some_and(|link| link.choked), judged.map(Tally::early))
            })
            .collect();
        let eager = links.iter().filter(|(_, choked, _)| !choked).count();
        let of = |choked: bool| {
            let links = links.iter().filter(move |(_, is, _)| *is == choked);
            links.map(|(peer, _, early)| (*peer, *early))
        };
        let best = of(true).max_by(|(_, a), (_, b)| a.unwrap_or(0.0).total_cmp(&b.unwrap_or(0.0)));
        if let Some((peer, early)) = best
            && (eager < config.eager || early.is_some_and(|early| early >= config.early))
        {
            return self.set_choked(topic, peer, false);
        }
        let judged = of(false).filter_map(|(peer, early)| Some((peer, early?)));
        let worst = judged.min_by(|(_, a), (_, b)| a.total_cmp(b));
        if let Some((peer, early)) = worst
            && eager > config.eager
            && 1.0 - early >= config.late
        {
            self.set_choked(topic, peer, true);
        }
    }

    fn set_choked(&mut self, topic: &TopicName, peer: PeerId, choked: bool) {
        let link = self.links.tallies.entry((topic.clone(), peer)).or_default();
        (link.choked, link.first, link.late) = (choked, 0, 0);
        if self.both_choke(&peer) {
            let topic = topic.clone();
            self.send(peer, if choked { Item::Choke(topic) } else { Item::Unchoke(topic) });
        }
    }

    /// Forgets the links that are no more.
    pub(super) fn tidy_links(&mut self) {
        let topics = &self.topics;
        let there = |topic: &TopicName, peer: &PeerId| {
            topics.get(topic).is_some_and(|state| state.mesh.contains(peer))
        };
        self.links.tallies.retain(|(topic, peer), _| there(topic, peer));
    }

    pub(super) fn on_choke(&mut self, peer: &PeerId, topic: &TopicName, chokes: bool) {
        let in_mesh = self.topics.get(topic).is_some_and(|state| state.mesh.contains(peer));
        if in_mesh && self.both_choke(peer) {
            let name = self.name(topic);
            self.links.tallies.entry((name, *peer)).or_default().chokes_us = chokes;
        }
    }
}
