//! What a host and its application tell the [connection manager](crate::swarm::manager).

use core::time::Duration;

use crate::address::Multiaddr;
use crate::identity::PeerId;
use crate::swarm::manager::Config;
use crate::swarm::store::PatchError;
use crate::time::Instant;

use super::Peer;

impl Peer {
    /// Begins anew; see [`Node::configure_manager`](crate::node::Node::configure_manager).
    pub fn configure_manager(&mut self, config: Config) {
        self.node.configure_manager(config);
    }

    /// Keeps a connection to a peer; see [`Node::keep`](crate::node::Node::keep).
    pub fn keep(&mut self, now: Instant, peer: PeerId, addresses: Vec<Multiaddr>) {
        self.node.keep(now, peer, addresses);
        self.settle(now);
    }

    /// Keeps it no longer; see [`Node::release`](crate::node::Node::release).
    pub fn release(&mut self, now: Instant, peer: &PeerId) -> bool {
        let released = self.node.release(now, peer);
        self.settle(now);
        released
    }

    /// Says what a peer is worth; see [`Node::tag`](crate::node::Node::tag).
    pub fn tag(
        &mut self,
        now: Instant,
        peer: &PeerId,
        name: &str,
        value: u32,
    ) -> Result<(), PatchError> {
        let result = self.node.tag(now, peer, name, value);
        self.settle(now);
        result
    }

    /// Takes a tag back; see [`Node::untag`](crate::node::Node::untag).
    pub fn untag(&mut self, now: Instant, peer: &PeerId, name: &str) -> Result<(), PatchError> {
        let result = self.node.untag(now, peer, name);
        self.settle(now);
        result
    }

    /// Never trims a peer; see [`Node::protect`](crate::node::Node::protect).
    pub fn protect(&mut self, peer: PeerId, reason: &str) {
        self.node.protect(peer, reason);
    }

    /// Takes one reason back; see [`Node::unprotect`](crate::node::Node::unprotect).
    pub fn unprotect(&mut self, peer: &PeerId, reason: &str) {
        self.node.unprotect(peer, reason);
    }

    /// The smoothed round trip to a peer; see [`Node::latency`](crate::node::Node::latency).
    pub fn latency(&self, peer: &PeerId) -> Option<Duration> {
        self.node.latency(peer)
    }

    /// The host woke; see [`Node::resumed`](crate::node::Node::resumed).
    pub fn resumed(&mut self, now: Instant) {
        self.node.resumed(now);
        self.settle(now);
    }

    /// The host has no network; see [`Node::offline`](crate::node::Node::offline).
    pub fn offline(&mut self) {
        self.node.offline();
    }

    /// The host has a network; see [`Node::online`](crate::node::Node::online).
    pub fn online(&mut self, now: Instant) {
        self.node.online(now);
        self.settle(now);
    }
}
