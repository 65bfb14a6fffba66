//! Where a peer can be reached.

use core::net::SocketAddr;

use crate::address::Multiaddr;
use crate::node::ConnectionId;
use crate::swarm::addresses::{Config, Transport};
use crate::time::Instant;

use super::Peer;

impl Peer {
    /// Our end of a connection; see [`Node::located`](crate::node::Node::located).
    pub fn located(&mut self, connection: ConnectionId, local: Multiaddr) {
        self.node.located(connection, local);
    }

    /// What a gateway maps to a port of ours; see
    /// [`Node::mapped`](crate::node::Node::mapped).
    pub fn mapped(&mut self, now: Instant, of: (Transport, u16), external: Option<SocketAddr>) {
        self.node.mapped(now, of, external);
        self.settle(now);
    }

    /// Dials for others; see [`Node::serve_autonat`](crate::node::Node::serve_autonat).
    #[cfg(feature = "autonat")]
    pub fn serve_autonat(&mut self, now: Instant, config: crate::protocols::autonat::ServerConfig) {
        self.node.serve_autonat(now, config);
        self.settle(now);
    }

    /// Changes which addresses are announced.
    pub fn set_announcing(&mut self, now: Instant, config: Config) {
        self.node.set_announcing(now, config);
        self.settle(now);
    }
}
