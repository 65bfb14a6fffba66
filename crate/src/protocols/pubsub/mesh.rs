//! Meshes: joined, left, and looked after at each heartbeat.
//!
//! Source: gossipsub v1.0 "Topic Membership", "Heartbeat"; v1.1 "Outbound Mesh Quotas",
//! "Heartbeat Maintenance", "Opportunistic Grafting".

use core::time::Duration;

use crate::collections::LongSet;
use crate::collections::sort::sort_by;
use crate::identity::PeerId;
use crate::time::Instant;

use super::backoff::SLACK;
use super::config::MeshSize;
use super::message::TopicName;
use super::router::{Out, Router};
use super::version::Version;
use super::wire::{Exchanged, Item};

/// Heartbeats between looks for better peers of a mesh whose peers are worth little.
const OPPORTUNISTIC_TICKS: u64 = 60;
/// Peers that are taken in then.
const OPPORTUNISTIC_PEERS: usize = 2;
/// Heartbeats between looks whether the mesh has peers that are of no use, and others are.
const REPLACE_TICKS: u64 = 5;
/// Heartbeats between looks whether explicit peers are connected: 5 minutes, as the
/// specification has it.
const EXPLICIT_TICKS: u64 = 300;
/// A GRAFT that comes so soon after a PRUNE counts twice.
const GRAFT_FLOOD: Duration = Duration::from_secs(10);

impl Router {
    /// Has explicit peers connected that are not, now and then.
    fn reach_explicit(&mut self) {
        if self.ticks % EXPLICIT_TICKS == 1 {
            for peer in self.config.explicit.clone() {
                if !self.knows(&peer) && peer != self.me {
                    self.push(Out::Reach(peer, Vec::new()));
                }
            }
        }
    }

    pub(super) fn heartbeat(&mut self, now: Instant) {
        self.ticks += 1;
        self.scores.decay(now);
        self.expire_pending(now);
        self.expire_promises(now);
        self.seen.expire(now, self.config.seen_ttl);
        self.backoffs.expire(now);
        self.reset_counters();
        self.reach_explicit();
        if let Some(size) = self.mesh_size() {
            let names: Vec<(TopicName, bool)> = self
                .topics
                .iter()
                .map(|(name, topic)| (name.clone(), topic.ours.is_some()))
                .collect();
            for (topic, ours) in names {
                if ours {
                    self.keep_mesh(now, &topic, size);
                    self.keep_choking(&topic);
                } else {
                    self.keep_fanout(now, &topic);
                }
                self.gossip(now, &topic, size);
            }
        }
        self.tidy_links();
        self.cache.shift();
    }

    /// So many peers of a topic, drawn by lot, that know meshes, are in none of ours, and
    /// are as `suits` wants them.
    pub(super) fn choose(
        &mut self,
        topic: &TopicName,
        count: usize,
        suits: impl Fn(&Self, &PeerId) -> bool,
    ) -> Vec<PeerId> {
        let Some(state) = self.topics.get(topic).filter(|_| count > 0) else { return Vec::new() };
        let mut peers: Vec<PeerId> = state.peers.iter().copied().collect();
        let mut chosen = Vec::new();
        // Only those who are drawn are looked at: there may be many.
        for place in 0..peers.len() {
            if chosen.len() == count {
                break;
            }
            let other = place + self.rng.below((peers.len() - place) as u64) as usize;
            peers.swap(place, other);
            let peer = peers[place];
            let Some(state) = self.topics.get(topic) else { break };
            if !state.mesh.contains(&peer)
                && !state.fanout.contains(&peer)
                && !self.is_explicit(&peer)
                && self.gossips(&peer)
                && suits(self, &peer)
            {
                chosen.push(peer);
            }
        }
        chosen
    }

    /// Draws the first `count` of a list by lot.
    pub(super) fn shuffle<T>(&mut self, list: &mut [T], count: usize) {
        for place in 0..count.min(list.len()) {
            let other = place + self.rng.below((list.len() - place) as u64) as usize;
            list.swap(place, other);
        }
    }

    /// Begins a mesh, with those first that we published to.
    pub(super) fn join(&mut self, now: Instant, topic: &TopicName, fanout: LongSet<PeerId>) {
        self.start(now);
        let Some(size) = self.mesh_size() else { return };
        let known: Vec<PeerId> =
            fanout.iter().filter(|peer| self.may_graft(now, topic, peer)).copied().collect();
        for peer in known.into_iter().take(size.wanted) {
            self.graft(now, topic, peer);
        }
        self.graft_some(now, topic, size.wanted, |_, _| true);
    }

    /// Gives a mesh up.
    pub(super) fn leave(&mut self, now: Instant, topic: &TopicName) {
        let backoff = self.config.unsubscribe_backoff;
        self.scores.left(topic);
        let Some(state) = self.topics.get_mut(topic) else { return };
        for peer in core::mem::take(&mut state.mesh) {
            self.scores.pruned(now, &peer, topic);
            self.send_prune(now, topic, peer, (backoff, false));
        }
    }

    fn may_graft(&self, now: Instant, topic: &TopicName, peer: &PeerId) -> bool {
        let waits = self.backoffs.until(topic, peer).is_some_and(|until| until + SLACK > now);
        !waits && self.scores.of(now, peer) >= 0.0
    }

    /// Takes peers in until the mesh has so many.
    fn graft_some(
        &mut self,
        now: Instant,
        topic: &TopicName,
        wanted: usize,
        suits: impl Fn(&Self, &PeerId) -> bool,
    ) {
        let there = self.topics.get(topic).map_or(0, |state| state.mesh.len());
        let fits = |router: &Self, peer: &PeerId| {
            router.may_graft(now, topic, peer) && suits(router, peer)
        };
        for peer in self.choose(topic, wanted.saturating_sub(there), fits) {
            self.graft(now, topic, peer);
        }
    }

    fn graft(&mut self, now: Instant, topic: &TopicName, peer: PeerId) {
        if let Some(state) = self.topics.get_mut(topic)
            && state.mesh.insert(peer)
        {
            self.scores.grafted(now, &peer, topic);
            self.links.forget(topic, &peer);
            self.send(peer, Item::Graft(topic.clone()));
            self.catch_up(peer, topic);
        }
    }

    /// Puts a peer out of the mesh, if it is in it, and says so.
    fn prune(&mut self, now: Instant, topic: &TopicName, peer: PeerId, exchange: bool) {
        if let Some(state) = self.topics.get_mut(topic)
            && state.mesh.remove(&peer)
        {
            self.scores.pruned(now, &peer, topic);
        }
        self.send_prune(now, topic, peer, (self.config.prune_backoff, exchange));
    }

    fn send_prune(
        &mut self,
        now: Instant,
        topic: &TopicName,
        peer: PeerId,
        (time, exchange): (Duration, bool),
    ) {
        self.backoffs.add(now, topic, peer, time);
        let Some(remote) = self.peers.get(&peer) else { return };
        let (peers, backoff) = match remote.version {
            Version::Floodsub | Version::V1_0 => (Vec::new(), None),
            _ if exchange => (self.exchange(now, topic, &peer), Some(time.as_secs())),
            _ => (Vec::new(), Some(time.as_secs())),
        };
        self.send(peer, Item::Prune { topic: topic.clone(), peers, backoff });
    }

    fn mesh_scores(&self, now: Instant, topic: &TopicName) -> Vec<(f64, PeerId)> {
        let mesh = self.topics.get(topic).into_iter().flat_map(|state| state.mesh.iter());
        mesh.map(|peer| (self.scores.of(now, peer), *peer)).collect()
    }

    fn is_outbound(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|remote| remote.outbound)
    }

    fn keep_mesh(&mut self, now: Instant, topic: &TopicName, size: MeshSize) {
        let mut mesh = self.mesh_scores(now, topic);
        for (_, peer) in mesh.extract_if(.., |(score, _)| *score < 0.0).collect::<Vec<_>>() {
            self.prune(now, topic, peer, false);
        }
        if mesh.len() < size.low {
            // Half of them of those that are known to be of use; others must have a chance.
            let half = size.wanted - (size.wanted - mesh.len()) / 2;
            self.graft_some(now, topic, half, |router, peer| router.scores.serves(peer, topic));
            self.graft_some(now, topic, size.wanted, |_, _| true);
        } else if mesh.len() > size.high {
            self.thin(now, topic, size, mesh);
        }
        let mesh = self.mesh_scores(now, topic);
        let outbound = mesh.iter().filter(|(_, peer)| self.is_outbound(peer)).count();
        if mesh.len() >= size.low && outbound < size.outbound {
            let wanted = mesh.len() + size.outbound - outbound;
            self.graft_some(now, topic, wanted, |router, peer| router.is_outbound(peer));
        }
        if self.ticks.is_multiple_of(OPPORTUNISTIC_TICKS) && mesh.len() > 1 {
            self.improve(now, topic, mesh);
        }
        if self.ticks.is_multiple_of(REPLACE_TICKS) {
            self.replace_idle(now, topic, size);
        }
    }

    /// Those of a mesh that are of no use there, those of least worth first, and of these
    /// those first that came to us.
    fn idle(&self, now: Instant, topic: &TopicName) -> Vec<PeerId> {
        let mut mesh = self.mesh_scores(now, topic);
        mesh.retain(|(_, peer)| self.scores.is_idle(peer, topic));
        sort_by(&mut mesh, |(a, one), (b, other)| {
            self.is_outbound(one).cmp(&self.is_outbound(other)).then(a.total_cmp(b))
        });
        mesh.into_iter().map(|(_, peer)| peer).collect()
    }

    /// Gives places of peers that are of no use to others that sent us messages lately, until
    /// as many are of use as a mesh is to have at least. So hostile peers that pass nothing
    /// on may fill a mesh and do not keep it; and where all are idle because nobody says
    /// anything that the others have not said before, nothing changes.
    fn replace_idle(&mut self, now: Instant, topic: &TopicName, size: MeshSize) {
        let Some(state) = self.topics.get(topic) else { return };
        let serving = state.mesh.iter().filter(|peer| self.scores.serves(peer, topic)).count();
        let mut idle = self.idle(now, topic).into_iter();
        let missing = size.low.saturating_sub(serving).min(idle.len());
        let suits = |router: &Self, peer: &PeerId| {
            router.scores.serves(peer, topic) && router.may_graft(now, topic, peer)
        };
        let mut room = size.wanted.saturating_sub(state.mesh.len());
        for peer in self.choose(topic, missing, suits) {
            if room > 0 {
                room -= 1;
            } else if let Some(idle) = idle.next() {
                self.prune(now, topic, idle, false);
            }
            self.graft(now, topic, peer);
        }
    }

    /// Makes room in a full mesh for a peer that was of use, where another is not.
    fn make_room(&mut self, now: Instant, topic: &TopicName, peer: &PeerId) -> bool {
        let deserves = self.scores.was_first(peer, topic);
        let idle = if deserves { self.idle(now, topic).first().copied() } else { None };
        if let Some(idle) = idle {
            self.prune(now, topic, idle, false);
        }
        idle.is_some()
    }

    /// Makes a mesh smaller that is too large.
    fn thin(
        &mut self,
        now: Instant,
        topic: &TopicName,
        size: MeshSize,
        mut mesh: Vec<(f64, PeerId)>,
    ) {
        let all = mesh.len();
        self.shuffle(&mut mesh, all);
        sort_by(&mut mesh, |(a, _), (b, _)| b.total_cmp(a));
        if let Some(rest) = mesh.get_mut(size.by_score..) {
            let count = rest.len();
            self.shuffle(rest, count);
            let is_idle = |peer: &PeerId| self.scores.is_idle(peer, topic);
            sort_by(rest, |(_, a), (_, b)| is_idle(a).cmp(&is_idle(b)));
        }
        let (mut kept, mut gone) = (mesh.clone(), Vec::new());
        if let Some(rest) = mesh.get(size.wanted..) {
            (kept, gone) = (mesh[..size.wanted].to_vec(), rest.to_vec());
        }
        // Those that we dialed cannot all be hostile: some must stay.
        let ours = |list: &[(f64, PeerId)], wanted: bool| {
            list.iter().rposition(|(_, peer)| self.is_outbound(peer) == wanted)
        };
        let count = kept.iter().filter(|(_, peer)| self.is_outbound(peer)).count();
        for _ in count..size.outbound {
            let (Some(out), Some(back)) = (ours(&kept, false), ours(&gone, true)) else { break };
            core::mem::swap(&mut kept[out], &mut gone[back]);
        }
        for (_, peer) in gone {
            self.prune(now, topic, peer, true);
        }
    }

    /// Takes better peers into a mesh whose peers are worth little.
    fn improve(&mut self, now: Instant, topic: &TopicName, mut mesh: Vec<(f64, PeerId)>) {
        sort_by(&mut mesh, |(a, _), (b, _)| a.total_cmp(b));
        let median = mesh[mesh.len() / 2].0;
        if median < self.config.thresholds.opportunistic_graft {
            let wanted = mesh.len() + OPPORTUNISTIC_PEERS;
            self.graft_some(now, topic, wanted, |router, peer| {
                router.scores.of(now, peer) > median
            });
        }
    }

    pub(super) fn on_graft(&mut self, now: Instant, peer: &PeerId, topic: &TopicName) {
        let Some(size) = self.mesh_size() else { return };
        // Unknown topics are ignored: answers would be a way to make us work.
        let Some(state) = self.topics.get(topic).filter(|state| state.ours.is_some()) else {
            return;
        };
        if state.mesh.contains(peer) {
            return;
        }
        let full = state.mesh.len() >= size.high && !self.is_outbound(peer);
        let topic = &self.name(topic);
        if let Some(until) = self.backoffs.until(topic, peer).filter(|until| *until > now) {
            let soon = until - now + GRAFT_FLOOD > self.config.prune_backoff;
            self.scores.misbehaved(peer, if soon { 2.0 } else { 1.0 });
            return self.prune(now, topic, *peer, false);
        }
        if self.is_explicit(peer) || self.scores.of(now, peer) < 0.0 {
            return self.prune(now, topic, *peer, false);
        }
        if full && !self.make_room(now, topic, peer) {
            return self.prune(now, topic, *peer, true);
        }
        self.on_subscribe(peer, topic);
        if let Some(state) = self.topics.get_mut(topic).filter(|state| state.peers.contains(peer)) {
            state.mesh.insert(*peer);
            self.links.forget(topic, peer);
            self.scores.grafted(now, peer, topic);
            self.catch_up(*peer, topic);
        }
    }

    pub(super) fn on_prune(
        &mut self,
        now: Instant,
        peer: &PeerId,
        topic: &TopicName,
        (others, backoff): (Vec<Exchanged>, Option<u64>),
    ) {
        let Some(state) = self.topics.get_mut(topic).filter(|state| state.ours.is_some()) else {
            return;
        };
        if state.mesh.remove(peer) {
            self.scores.pruned(now, peer, topic);
        }
        let topic = self.name(topic);
        let time = backoff.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        self.backoffs.add(now, &topic, *peer, time.unwrap_or(self.config.prune_backoff));
        self.on_exchange(now, peer, others);
    }
}
