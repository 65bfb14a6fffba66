//! The life of connections through relays: what is used of their limits, those that
//! take their place, and the order in which they end.

use crate::identity::PeerId;
use crate::protocols::relay::Allowance;
use crate::swarm::DialOptions;
use crate::time::Instant;

use super::relaying::Purpose;
use super::{ConnectionId, DialId, Direction, Event, Node};

impl Node {
    /// Whether circuits of ours that are in use and will soon be cut for their limit
    /// are followed by others; [`Config::refresh`](crate::protocols::relay::Config).
    pub fn set_circuit_refresh(&mut self, refresh: bool) {
        self.relays.refresh = refresh;
    }

    /// A relay will soon cut a connection.
    pub(super) fn on_limit_near(
        &mut self,
        now: Instant,
        id: ConnectionId,
        used: Allowance,
        busy: bool,
    ) {
        let Some(link) = self.links.get(&id) else { return };
        let (Some(peer), open, ours) =
            (link.peer, link.is_open(), link.direction == Direction::Outbound)
        else {
            return;
        };
        let (address, before) = (link.remote.clone(), self.best(&peer, false));
        if let Some(link) = self.links.get_mut(&id) {
            link.standing.spent = true;
        }
        self.emit(Event::LimitNear { connection: id, peer, used });
        self.path_changed(peer, before);
        // A better one than this needs no other.
        if self.relays.refresh && open && ours && before == Some(id) && self.is_needed(&peer, busy)
        {
            let dial = DialId(self.number());
            self.relays.dials.insert(dial, Purpose::Fresh);
            let options = DialOptions { direct: false, force: true };
            self.begin_dial(now, (dial, options), Some(peer), vec![address]);
        }
    }

    /// Whether somebody would miss the connection to a peer.
    fn is_needed(&self, peer: &PeerId, busy: bool) -> bool {
        #[cfg(feature = "manager")]
        let kept = self.kept().any(|kept| kept == peer);
        #[cfg(not(feature = "manager"))]
        let kept = {
            let _ = peer;
            false
        };
        busy || kept
    }

    /// Whether a dial is for a connection beside the one that there is.
    pub(super) fn replaces_circuit(&self, dial: DialId) -> bool {
        matches!(self.relays.dials.get(&dial), Some(Purpose::Fresh))
    }

    /// Closes the connections that run over streams of one that is being closed, and
    /// which waits for them.
    pub(super) fn close_over(&mut self, via: ConnectionId) {
        let over = self.links.iter().filter(|(_, link)| link.relayed.via == Some(via));
        for id in over.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.close(id);
        }
    }
}
