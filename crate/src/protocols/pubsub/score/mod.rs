//! What peers are worth, by what they do.
//!
//! Source: gossipsub v1.1, "The Score Function". Scores are ours alone and are told to
//! nobody.

mod config;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::address::{Multiaddr, Protocol};
use crate::collections::{LongMap, Map};
use crate::identity::PeerId;
use crate::time::Instant;

use super::message::TopicName;

pub use config::{AppScore, ScoreConfig, Thresholds, TopicScore};

/// Peers that are gone and whose bad scores are remembered; beyond this, those who are
/// remembered longest go.
pub const MAX_RETAINED: usize = 8192;

/// Good messages of a topic that others sent and a peer of our mesh did not, none of them:
/// it is idle. Of those who pass on what they get, some eight of ten reach us too.
pub(super) const IDLE: u64 = 20;

/// What a peer did in a topic.
#[derive(Clone, Debug, Default)]
struct InTopic {
    /// How many messages the topic had when the peer came into the mesh, and when it last
    /// sent one of them.
    since: u64,
    served: Option<u64>,
    grafted: Option<Instant>,
    /// It was in the mesh for long enough: P3 counts.
    active: bool,
    first: f64,
    mesh: f64,
    failure: f64,
    invalid: f64,
}

#[derive(Default)]
struct PeerScore {
    topics: Map<TopicName, InTopic>,
    behaviour: f64,
    ip: Option<IpAddr>,
    /// When it is forgotten, if it is gone.
    until: Option<Instant>,
}

/// What peers are worth.
pub(super) struct Scores {
    config: ScoreConfig,
    usual: TopicScore,
    topics: LongMap<TopicName, TopicScore>,
    /// Good messages so far, of the topics that we are in.
    heard: LongMap<TopicName, u64>,
    peers: LongMap<PeerId, PeerScore>,
    ips: LongMap<IpAddr, usize>,
    decay_at: Instant,
}

impl Scores {
    pub(super) fn new(config: ScoreConfig, usual: TopicScore) -> Self {
        Self {
            config,
            usual,
            topics: LongMap::new(),
            heard: LongMap::new(),
            peers: LongMap::new(),
            ips: LongMap::new(),
            decay_at: Instant::ZERO,
        }
    }

    /// Judges peers otherwise in this topic.
    pub(super) fn set_topic(&mut self, topic: TopicName, score: TopicScore) {
        self.topics.insert(topic, score);
    }

    fn of_topic(&self, topic: &str) -> &TopicScore {
        self.topics.get(topic).unwrap_or(&self.usual)
    }

    pub(super) fn connected(&mut self, peer: PeerId, remote: Option<&Multiaddr>) {
        let score = self.peers.entry(peer).or_default();
        score.until = None;
        if score.ip.is_none()
            && let Some(ip) = remote.and_then(public_ip)
        {
            score.ip = Some(ip);
            *self.ips.entry(ip).or_default() += 1;
        }
    }

    /// A peer is gone: what is good is forgotten, what is bad is not.
    pub(super) fn disconnected(&mut self, now: Instant, peer: &PeerId) {
        let bad = self.of(now, peer) < 0.0;
        let Some(score) = self.peers.get_mut(peer) else { return };
        if let Some(ip) = score.ip.take() {
            let left = self.ips.get(&ip).map_or(0, |count| count.saturating_sub(1));
            match left {
                0 => self.ips.remove(&ip),
                _ => self.ips.insert(ip, left),
            };
        }
        if !bad {
            self.peers.remove(peer);
            return;
        }
        score.until = Some(now + self.config.retain);
        for topic in score.topics.values_mut() {
            (topic.first, topic.grafted, topic.active) = (0.0, None, false);
        }
        self.forget_one();
    }

    fn forget_one(&mut self) {
        let gone = || self.peers.iter().filter_map(|(peer, score)| Some((score.until?, *peer)));
        if gone().count() > MAX_RETAINED
            && let Some((_, longest)) = gone().min()
        {
            self.peers.remove(&longest);
        }
    }

    fn topic(&mut self, peer: &PeerId, topic: &TopicName) -> Option<&mut InTopic> {
        let score = self.peers.get_mut(peer)?;
        Some(score.topics.get_or_insert_with(topic.clone(), InTopic::default))
    }

    fn heard(&self, topic: &TopicName) -> u64 {
        self.heard.get(topic).copied().unwrap_or_default()
    }

    /// We are in a topic no more.
    pub(super) fn left(&mut self, topic: &TopicName) {
        self.heard.remove(topic);
        for (_, score) in self.peers.iter_mut() {
            if let Some(score) = score.topics.get_mut(topic) {
                score.served = None;
            }
        }
    }

    fn served(&self, peer: &PeerId, topic: &TopicName) -> Option<&InTopic> {
        self.peers.get(peer).and_then(|score| score.topics.get(topic))
    }

    /// Whether a peer sent one of the last messages of a topic.
    pub(super) fn serves(&self, peer: &PeerId, topic: &TopicName) -> bool {
        let served = self.served(peer, topic).and_then(|score| score.served);
        served.is_some_and(|at| self.heard(topic).saturating_sub(at) < IDLE)
    }

    /// Whether a peer of the mesh had its time, and is of no use there. It need not be
    /// hostile: it may be the last to hear of everything.
    pub(super) fn is_idle(&self, peer: &PeerId, topic: &TopicName) -> bool {
        let Some(score) = self.served(peer, topic) else { return false };
        let last = score.served.unwrap_or_default().max(score.since);
        self.heard(topic).saturating_sub(last) >= IDLE
    }

    /// Whether a peer was lately the first to send a good message.
    pub(super) fn was_first(&self, peer: &PeerId, topic: &TopicName) -> bool {
        self.served(peer, topic).is_some_and(|score| score.first > 0.0)
    }

    pub(super) fn grafted(&mut self, now: Instant, peer: &PeerId, topic: &TopicName) {
        let heard = self.heard(topic);
        if let Some(score) = self.topic(peer, topic) {
            (score.grafted, score.active, score.since) = (Some(now), false, heard);
        }
    }

    pub(super) fn pruned(&mut self, now: Instant, peer: &PeerId, topic: &TopicName) {
        let config = self.of_topic(topic).clone();
        if let Some(score) = self.topic(peer, topic) {
            let active = score.grafted.is_some_and(|at| at + config.mesh_activation <= now);
            if active && score.mesh < config.mesh_threshold {
                score.failure += (config.mesh_threshold - score.mesh).powi(2);
            }
            (score.grafted, score.active) = (None, false);
        }
    }

    /// A peer was the first to send a good message.
    pub(super) fn first(&mut self, peer: &PeerId, topic: &TopicName) {
        let (first_cap, mesh_cap) = {
            let config = self.of_topic(topic);
            (config.first_cap, config.mesh_cap)
        };
        let heard = self.heard.entry(topic.clone()).or_default();
        *heard += 1;
        let heard = *heard;
        if let Some(score) = self.topic(peer, topic) {
            score.served = Some(heard);
            score.first = (score.first + 1.0).min(first_cap);
            if score.grafted.is_some() {
                score.mesh = (score.mesh + 1.0).min(mesh_cap);
            }
        }
    }

    /// A peer sent a good message too, in so much time after the first.
    pub(super) fn also(&mut self, peer: &PeerId, topic: &TopicName, late: core::time::Duration) {
        let config = self.of_topic(topic);
        let (window, cap) = (config.mesh_window, config.mesh_cap);
        let heard = self.heard(topic);
        if let Some(score) = self.topic(peer, topic) {
            score.served = Some(heard);
            if late <= window && score.grafted.is_some() {
                score.mesh = (score.mesh + 1.0).min(cap);
            }
        }
    }

    /// A peer sent a bad message.
    pub(super) fn invalid(&mut self, peer: &PeerId, topic: &TopicName) {
        if let Some(score) = self.topic(peer, topic) {
            score.invalid += 1.0;
        }
    }

    /// A peer misbehaved, so badly.
    pub(super) fn misbehaved(&mut self, peer: &PeerId, count: f64) {
        if let Some(score) = self.peers.get_mut(peer) {
            score.behaviour += count;
        }
    }

    /// What a peer is worth.
    pub(super) fn of(&self, now: Instant, peer: &PeerId) -> f64 {
        if !self.config.enabled {
            return 0.0;
        }
        let Some(score) = self.peers.get(peer) else { return 0.0 };
        let config = &self.config;
        let topics = score.topics.iter();
        let mut total: f64 =
            topics.map(|(name, score)| in_topic(now, self.of_topic(name), score)).sum();
        if config.topic_cap > 0.0 {
            total = total.min(config.topic_cap);
        }
        if let Some(application) = &config.application {
            total += application(peer) * config.application_weight;
        }
        let together = score.ip.and_then(|ip| self.ips.get(&ip)).copied().unwrap_or_default();
        let surplus = together.saturating_sub(config.colocation_threshold) as f64;
        let behaviour = (score.behaviour - config.behaviour_threshold).max(0.0);
        total
            + surplus.powi(2) * config.colocation_weight
            + behaviour.powi(2) * config.behaviour_weight
    }

    /// Lets decay what has to, and forgets who is gone for long.
    pub(super) fn decay(&mut self, now: Instant) {
        if now < self.decay_at {
            return;
        }
        self.decay_at = now + self.config.decay_interval;
        self.peers.retain(|_, score| score.until.is_none_or(|until| until > now));
        let zero = self.config.decay_to_zero;
        let decay = |value: &mut f64, by: f64| {
            *value *= by;
            if *value < zero {
                *value = 0.0;
            }
        };
        for (_, score) in self.peers.iter_mut() {
            decay(&mut score.behaviour, self.config.behaviour_decay);
            for (name, topic) in score.topics.iter_mut() {
                let config = self.topics.get(name).unwrap_or(&self.usual);
                decay(&mut topic.first, config.first_decay);
                decay(&mut topic.mesh, config.mesh_decay);
                decay(&mut topic.failure, config.failure_decay);
                decay(&mut topic.invalid, config.invalid_decay);
                topic.active = topic.grafted.is_some_and(|at| at + config.mesh_activation <= now);
            }
            score.topics.retain(|_, topic| topic.says_something());
        }
    }
}

impl InTopic {
    fn says_something(&self) -> bool {
        self.grafted.is_some()
            || [self.first, self.mesh, self.failure, self.invalid].iter().any(|value| *value > 0.0)
    }
}

fn in_topic(now: Instant, config: &TopicScore, score: &InTopic) -> f64 {
    let quanta = score.grafted.map_or(0.0, |at| {
        (now - at).as_secs_f64() / config.mesh_time_quantum.as_secs_f64().max(1e-6)
    });
    let lacking = match score.active {
        true => (config.mesh_threshold - score.mesh).max(0.0),
        false => 0.0,
    };
    let sum = quanta.min(config.mesh_time_cap) * config.mesh_time_weight
        + score.first * config.first_weight
        + lacking.powi(2) * config.mesh_weight
        + score.failure * config.failure_weight
        + score.invalid.powi(2) * config.invalid_weight;
    sum * config.weight
}

/// Where a peer is in the public network; others may share an address for good reasons.
fn public_ip(address: &Multiaddr) -> Option<IpAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) if !(ip.is_private() || ip.is_loopback() || ip.is_link_local()) => {
            ip.into()
        }
        Protocol::Ip6(ip) if !(ip.is_loopback() || ip.is_unique_local()) => ip.to_canonical(),
        _ => return None,
    };
    // The address of a relay says nothing of those behind it.
    parts.all(|part| !matches!(part, Protocol::P2pCircuit)).then_some(ip)
}
