//! The peer store of a peer that is driven in place.

use core::time::Duration;

use crate::address::Multiaddr;
use crate::identity::{PeerId, PeerRecordError};
use crate::swarm::store::{Config, Patch, PatchError, Restored};
use crate::time::Instant;

use super::Peer;

impl Peer {
    /// Begins anew with an empty store; see
    /// [`Node::configure_store`](crate::node::Node::configure_store).
    pub fn configure_store(&mut self, config: Config) {
        self.node.configure_store(config);
    }

    /// Takes what an earlier run wrote down; see [`Node::restore`](crate::node::Node::restore).
    pub fn restore(
        &mut self,
        now: Instant,
        entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Restored {
        let report = self.node.restore(now, entries);
        self.settle(now);
        report
    }

    /// Changes what the application knows of a peer.
    pub fn patch_peer(
        &mut self,
        now: Instant,
        peer: &PeerId,
        patch: Patch,
    ) -> Result<(), PatchError> {
        let result = self.node.patch_peer(now, peer, patch);
        self.settle(now);
        result
    }

    /// Forgets a peer.
    pub fn delete_peer(&mut self, now: Instant, peer: &PeerId) -> bool {
        let known = self.node.delete_peer(now, peer);
        self.settle(now);
        known
    }

    /// Others say where a peer can be reached.
    pub fn discovered(
        &mut self,
        now: Instant,
        peer: &PeerId,
        addresses: &[Multiaddr],
        ttl: Duration,
    ) {
        self.node.discovered(now, peer, addresses, ttl);
        self.settle(now);
    }

    /// Takes a record that another handed on, and tells whose it is; see
    /// [`Node::accept_record`](crate::node::Node::accept_record).
    ///
    /// # Errors
    /// [`PeerRecordError`]: it is not good.
    pub fn accept_record(
        &mut self,
        now: Instant,
        envelope: &[u8],
        ttl: Duration,
    ) -> Result<PeerId, PeerRecordError> {
        let peer = self.node.accept_record(now, envelope, ttl);
        self.settle(now);
        peer
    }

    /// Writes what has changed in the peer store down at once.
    pub fn flush_store(&mut self, now: Instant) {
        self.node.flush_store(now);
        self.settle(now);
    }
}
