//! From a relayed connection to a direct one, by itself.
//!
//! Who dialed through the relay offers the other a connection once it is known to
//! take such (libp2p specs, `webrtc/webrtc.md`, "Connection Establishment"). The
//! relayed connection stays, whatever comes of it, until the direct one has carried
//! traffic both ways.
//!
//! What remotes can make grow: upgrades under way ([`MAX_UNDER_WAY`]), peers that
//! are remembered ([`MAX_UPGRADES`](crate::swarm::MAX_UPGRADES)).

use crate::collections::{Map, Set};
use crate::identity::PeerId;
use crate::protocols::webrtc::{NAME, SignalError};
use crate::swarm::upgrades::Upgrades;
use crate::time::Instant;

use super::hosting::ProtocolId;
use super::signalling::signalled;
use super::{ConnectionId, Direction, Event, Node};

/// Upgrades under way at a time: each makes a host gather candidates.
const MAX_UNDER_WAY: usize = 16;

/// What is being upgraded, and when it is tried again.
#[derive(Default)]
pub(super) struct Upgrading {
    enabled: bool,
    upgrades: Upgrades,
    /// Peers with a connection that may be upgraded.
    wanted: Set<PeerId>,
    /// The connections to be, and the relayed ones that they are to replace.
    under_way: Map<ConnectionId, (PeerId, ConnectionId)>,
    stirred: bool,
    /// When it was last seen to what is due.
    seen: Instant,
}

impl Upgrading {
    pub(super) fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.stirred = enabled;
    }

    pub(super) fn stir(&mut self) {
        self.stirred = self.enabled;
    }

    pub(super) fn is_under_way(&self, id: ConnectionId) -> bool {
        self.under_way.contains_key(&id)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.upgrades.poll_timeout(self.seen, |peer| self.wanted.contains(peer))
    }
}

impl Node {
    /// Begins the upgrades that are due.
    pub(super) fn upgrade_due(&mut self, now: Instant) {
        let upgrading = &mut self.signals.upgrading;
        let due = upgrading.poll_timeout().is_some_and(|at| at <= now);
        if !core::mem::take(&mut upgrading.stirred) && !due {
            return;
        }
        upgrading.seen = now;
        let relayed = self.upgradable();
        let upgrading = &mut self.signals.upgrading;
        upgrading.wanted = relayed.iter().map(|(peer, _)| *peer).collect();
        for (peer, via) in relayed {
            let upgrading = &self.signals.upgrading;
            if upgrading.under_way.len() >= MAX_UNDER_WAY
                || !upgrading.upgrades.is_due(now, &peer)
                || self.signals.machine.is_offering(&peer)
            {
                continue;
            }
            self.upgrade(now, peer, via);
        }
    }

    /// Relayed connections that we dialed, to peers that take WebRTC and to whom no
    /// direct one leads.
    fn upgradable(&self) -> Vec<(PeerId, ConnectionId)> {
        let takes = |id: &ConnectionId| {
            let info = self.identify.info(*id);
            info.is_some_and(|info| info.protocols.iter().any(|name| &**name == NAME))
        };
        let peers = self.peers.keys().filter(|peer| self.best(peer, true).is_none());
        let best = peers.filter_map(|peer| Some((*peer, self.best(peer, false)?)));
        best.filter(|(_, id)| {
            let dialed = self.links.get(id).is_some_and(|l| l.direction == Direction::Outbound);
            dialed && takes(id)
        })
        .collect()
    }

    fn upgrade(&mut self, now: Instant, peer: PeerId, via: ConnectionId) {
        let remote = self.links.get(&via).and_then(|link| signalled(&link.remote));
        let Some(id) = remote.and_then(|remote| self.begin_attempt(&remote.with_peer(peer))) else {
            self.signals.upgrading.upgrades.failed(now, peer);
            return;
        };
        self.signals.upgrading.under_way.insert(id, (peer, via));
        self.signals.machine.offer(now, id, via, 0);
        self.drain(ProtocolId::Signalling);
        self.settle_signals(now);
    }

    /// Nothing came of a connection: perhaps it was an upgrade.
    pub(super) fn upgrade_failed(&mut self, now: Instant, id: ConnectionId, error: &SignalError) {
        let upgrading = &mut self.signals.upgrading;
        let Some((peer, connection)) = upgrading.under_way.remove(&id) else { return };
        let after = upgrading.upgrades.failed(now, peer);
        let error = error.clone().into();
        self.emit(Event::UpgradeFailed { peer, connection, error, after });
    }

    /// A connection has brought its first news: perhaps it takes the place of one
    /// through a relay.
    pub(super) fn way_confirmed(&mut self, now: Instant, id: ConnectionId, peer: PeerId) {
        let signalled = self.links.get(&id).is_some_and(|link| link.remote.is_signalled());
        if signalled {
            let upgrading = &mut self.signals.upgrading;
            upgrading.under_way.remove(&id);
            upgrading.wanted.remove(&peer);
            upgrading.upgrades.succeeded(now, peer);
            self.emit(Event::Upgraded { peer, connection: id });
        }
    }
}
