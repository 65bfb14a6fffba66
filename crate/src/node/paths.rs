//! The connections that lead to one peer; see [`crate::swarm`].

use crate::connection::ToConnection;
use crate::identity::PeerId;
use crate::swarm::paths::Path;
use crate::time::Instant;

use super::{ConnectionId, Direction, Event, Link, Node, Output};

/// Where a connection stands among those to the same peer.
#[derive(Default)]
pub(super) struct Standing {
    /// Its place among those that were established.
    pub(super) order: u64,
    /// It has brought news: both ends have it.
    confirmed: bool,
    /// We are closing it: no dial is answered with it any more.
    pub(super) closing: bool,
    /// There is a better one: it ends with its streams.
    draining: bool,
    /// Its relay will cut it soon.
    #[cfg(feature = "relay")]
    pub(super) spent: bool,
}

impl Node {
    /// The connection that new streams to `peer` are best opened on: a direct one
    /// rather than one through a relay, and of several such the one that the
    /// remote prefers too.
    pub fn best_connection(&self, peer: &PeerId) -> Option<ConnectionId> {
        self.best(peer, false)
    }

    /// Closes a connection, politely; [`Event::Disconnected`] follows.
    pub fn close(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get(&connection) else { return };
        let peer = link.peer;
        let before = peer.and_then(|peer| self.best(&peer, false));
        if let Some(link) = self.links.get_mut(&connection) {
            link.standing.closing = true;
        }
        #[cfg(feature = "relay")]
        self.close_over(connection);
        self.outputs.push_back(Output::Connection(connection, ToConnection::Close));
        if let Some(peer) = peer {
            self.path_changed(peer, before);
        }
    }

    /// Closes all connections to a peer.
    pub fn hang_up(&mut self, peer: &PeerId) {
        for connection in self.peers.get(peer).cloned().unwrap_or_default() {
            self.close(connection);
        }
    }

    /// What the node holds: links, streams of protocols, requests for such, dials.
    #[cfg(test)]
    pub(crate) fn leftovers(&self) -> [usize; 4] {
        [self.links.len(), self.streams.len(), self.requests.len(), self.dials.len()]
    }

    pub(super) fn best(&self, peer: &PeerId, direct: bool) -> Option<ConnectionId> {
        let first = self.peer_id() < *peer;
        let open = self.peers.get(peer)?.iter().filter_map(|id| Some((*id, self.links.get(id)?)));
        open.filter(|(_, link)| link.is_open() && !(direct && link.remote.is_relayed()))
            .min_by_key(|(_, link)| link.path().rank(first))
            .map(|(id, _)| id)
    }

    /// Tells if another connection than `before` is now the best one to `peer`.
    pub(super) fn path_changed(&mut self, peer: PeerId, before: Option<ConnectionId>) {
        let now = self.best(&peer, false);
        if let (Some(_), Some(connection)) = (before.filter(|_| before != now), now) {
            self.emit(Event::PathChanged { peer, connection });
        }
    }

    /// A connection has brought its first news: both ends have it. Whoever dials
    /// its peer need not go on.
    pub(super) fn on_confirmed(&mut self, now: Instant, id: ConnectionId) {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.standing.confirmed) else {
            return;
        };
        link.standing.confirmed = true;
        let Some(peer) = link.peer else { return };
        #[cfg(feature = "webrtc")]
        self.way_confirmed(now, id, peer);
        #[cfg(feature = "dcutr")]
        self.punched(now, id, peer);
        if let (Some(key), Some(best)) = (self.dials.of_peer(&peer), self.best(&peer, false)) {
            self.dial_reached(now, key, None, (best, peer));
        }
        self.drain_worse(&peer);
    }

    /// Lets those connections to `peer` come to their end that a better one makes
    /// needless.
    pub(super) fn drain_worse(&mut self, peer: &PeerId) {
        let Some(best) = self.best(peer, false) else { return };
        let Some(path) =
            self.links.get(&best).filter(|link| link.standing.confirmed).map(Link::path)
        else {
            return;
        };
        for id in self.peers.get(peer).into_iter().flat_map(|ids| ids.iter()) {
            if let Some(link) = self.links.get_mut(id)
                && *id != best
                && link.is_open()
                && link.path().yields_to(path)
            {
                link.standing.draining = true;
                self.outputs.push_back(Output::Connection(*id, ToConnection::Drain));
            }
        }
    }
}

/// A direct connection that came up may be gone again before the relayed one is.
#[cfg(feature = "relay")]
impl Node {
    /// Keeps what leads to `peer` and was to end for a better connection, if that has gone.
    pub(super) fn keep_drained(&mut self, peer: &PeerId) {
        if self.best(peer, false).is_some() {
            return;
        }
        for id in self.peers.get(peer).into_iter().flat_map(|ids| ids.iter()) {
            if let Some(link) = self.links.get_mut(id)
                && core::mem::take(&mut link.standing.draining)
            {
                self.outputs.push_back(Output::Connection(*id, ToConnection::Keep));
            }
        }
    }
}

impl Link {
    /// Whether new streams may be opened on it.
    pub(super) fn is_open(&self) -> bool {
        self.peer.is_some() && !self.standing.closing && !self.standing.draining
    }

    fn path(&self) -> Path {
        let ours = self.direction == Direction::Outbound;
        Path {
            relayed: self.remote.is_relayed(),
            #[cfg(feature = "relay")]
            spent: self.standing.spent,
            ours,
            order: self.standing.order,
        }
    }
}
