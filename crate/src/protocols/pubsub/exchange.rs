//! Peers that are told of others when they are pruned (PX).
//!
//! Source: gossipsub v1.1, "PRUNE Backoff and Peer Exchange".

use crate::identity::{PeerId, PeerRecord};
use crate::time::Instant;

use super::message::TopicName;
use super::router::{Out, Router};
use super::wire::{Exchanged, MAX_RECORD};

/// Peers that one PRUNE tells of, as go-libp2p.
const EXCHANGED: usize = 16;
/// Peers that are dialed because one PRUNE told of them, as go-libp2p.
const MAX_DIALED: usize = 16;

impl Router {
    /// Where a peer that we are connected to says, signed, that it is. Told to others if
    /// [`Config::peer_exchange`](super::Config::peer_exchange) is on.
    pub fn set_record(&mut self, peer: &PeerId, record: Vec<u8>) {
        if self.config.peer_exchange && record.len() <= MAX_RECORD {
            self.records.insert(*peer, record);
        }
    }

    /// Others of a topic, for a peer that has to look for a new mesh.
    pub(super) fn exchange(
        &mut self,
        now: Instant,
        topic: &TopicName,
        to: &PeerId,
    ) -> Vec<Exchanged> {
        if !self.config.peer_exchange || self.scores.of(now, to) < 0.0 {
            return Vec::new();
        }
        let state = self.topics.get(topic);
        let others = state.into_iter().flat_map(|state| state.peers.iter());
        let good = |peer: &&PeerId| *peer != to && self.scores.of(now, peer) >= 0.0;
        let mut peers: Vec<PeerId> = others.filter(good).copied().collect();
        self.shuffle(&mut peers, EXCHANGED);
        peers.truncate(EXCHANGED);
        let record = |peer: &PeerId| self.records.get(peer).cloned();
        let exchanged = |peer| Exchanged { peer, record: record(&peer).unwrap_or_default() };
        peers.into_iter().map(exchanged).collect()
    }

    /// Dials those whom a peer that is worth enough tells of.
    pub(super) fn on_exchange(&mut self, now: Instant, from: &PeerId, mut others: Vec<Exchanged>) {
        if others.is_empty() || self.scores.of(now, from) < self.config.thresholds.accept_px {
            return;
        }
        others.retain(|other| other.peer != self.me && !self.peers.contains_key(&other.peer));
        self.shuffle(&mut others, MAX_DIALED);
        for other in others.into_iter().take(MAX_DIALED) {
            // A record that is not of whom it is said to be of is a lie.
            let addresses = match PeerRecord::open(&other.record) {
                Ok(record) if record.peer_id() == other.peer => record.addresses().to_vec(),
                _ if other.record.is_empty() => Vec::new(),
                _ => continue,
            };
            self.push(Out::Reach(other.peer, addresses));
        }
    }
}
