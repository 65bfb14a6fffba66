//! The peers that we are connected to: what each is worth, and who has to go.

use crate::collections::{LongMap, LongSet};
use core::time::Duration;

use crate::collections::sort::sort_by;
use crate::identity::PeerId;
use crate::node::ConnectionId;
use crate::time::Instant;

use super::Config;

/// The connected peers. As many as there are connections, which are limited
/// elsewhere.
#[derive(Default)]
pub(super) struct Held {
    peers: LongMap<PeerId, Peer>,
    /// Connections of all peers but those that are being trimmed.
    count: usize,
    /// Who stays, and the reasons.
    protected: LongMap<PeerId, LongSet<String>>,
    /// When grace ends for those because of whom there are too many.
    trim_at: Option<Instant>,
}

struct Peer {
    connections: LongMap<ConnectionId, Option<Duration>>,
    since: Instant,
    /// We dialed it.
    dialed: bool,
    trimmed: bool,
}

/// The share of a new round trip in the smoothed one; as RFC 6298.
const SMOOTHING: u32 = 8;

impl Held {
    /// Whether this is the peer's first connection.
    pub(super) fn connected(
        &mut self,
        now: Instant,
        peer: PeerId,
        id: ConnectionId,
        dialed: bool,
    ) -> bool {
        let entry = self.peers.entry(peer).or_insert_with(|| Peer {
            connections: LongMap::new(),
            since: now,
            dialed: false,
            trimmed: false,
        });
        entry.dialed |= dialed;
        entry.connections.insert(id, None);
        // Whoever comes back while it is being let go is counted again.
        let new = if core::mem::take(&mut entry.trimmed) { entry.connections.len() } else { 1 };
        self.count = self.count.saturating_add(new);
        entry.connections.len() == 1
    }

    /// Since when there was a connection to the peer, if this was the last one.
    pub(super) fn disconnected(&mut self, peer: &PeerId, id: ConnectionId) -> Option<Instant> {
        let entry = self.peers.get_mut(peer)?;
        if entry.connections.remove(&id).is_some() && !entry.trimmed {
            self.count = self.count.saturating_sub(1);
        }
        if !entry.connections.is_empty() {
            return None;
        }
        self.peers.remove(peer).map(|entry| entry.since)
    }

    pub(super) fn pong(&mut self, peer: &PeerId, id: ConnectionId, rtt: Duration) {
        let Some(entry) = self.peers.get_mut(peer) else { return };
        if let Some(latency) = entry.connections.get_mut(&id) {
            let old = latency.unwrap_or(rtt);
            *latency = Some(old - old / SMOOTHING + rtt / SMOOTHING);
        }
    }

    pub(super) fn latency(&self, peer: &PeerId, id: ConnectionId) -> Option<Duration> {
        *self.peers.get(peer)?.connections.get(&id)?
    }

    pub(super) fn protect(&mut self, peer: PeerId, reason: &str) {
        self.protected.entry(peer).or_default().insert(reason.into());
    }

    pub(super) fn unprotect(&mut self, peer: &PeerId, reason: &str) {
        if let Some(reasons) = self.protected.get_mut(peer) {
            reasons.remove(reason);
            if reasons.is_empty() {
                self.protected.remove(peer);
            }
        }
    }

    pub(super) fn is_protected(&self, peer: &PeerId) -> bool {
        self.protected.contains_key(peer)
    }

    pub(super) fn trim_at(&self) -> Option<Instant> {
        self.trim_at
    }

    /// Who is to be let go: nobody up to the high mark, above it the least
    /// valuable down to the low one. Of equal worth those go first who came to us,
    /// and then those who came last.
    pub(super) fn trim(
        &mut self,
        now: Instant,
        config: &Config,
        kept: impl Fn(&PeerId) -> bool,
        worth: impl Fn(&PeerId) -> u32,
    ) -> Vec<PeerId> {
        self.trim_at = None;
        if self.count <= config.high_water {
            return Vec::new();
        }
        let Self { peers, protected, trim_at, .. } = self;
        let mut candidates = Vec::new();
        for (peer, entry) in peers.iter_mut() {
            if entry.trimmed || protected.contains_key(peer) || kept(peer) {
                continue;
            }
            let free = entry.since + config.grace;
            if free <= now {
                let order = (worth(peer), entry.dialed, core::cmp::Reverse(entry.since));
                candidates.push((order, *peer));
            } else {
                *trim_at = Some(trim_at.map_or(free, |at| at.min(free)));
            }
        }
        sort_by(&mut candidates, Ord::cmp);
        let mut trimmed = Vec::new();
        for (_, peer) in candidates {
            if self.count <= config.low_water {
                break;
            }
            let Some(entry) = self.peers.get_mut(&peer) else { continue };
            entry.trimmed = true;
            self.count = self.count.saturating_sub(entry.connections.len());
            trimmed.push(peer);
        }
        if self.count <= config.high_water {
            self.trim_at = None;
        }
        trimmed
    }
}
