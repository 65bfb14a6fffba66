//! Relays, for hosts that drive a peer in place.

use crate::address::Multiaddr;
use crate::negotiate::Name;
use crate::protocols::relay::RelayError;
use crate::time::Instant;

use super::Peer;

impl Peer {
    /// Wants a place at a relay; see [`Node::listen_on_relay`](crate::node::Node::listen_on_relay).
    pub fn listen_on_relay(
        &mut self,
        now: Instant,
        relay: Option<Multiaddr>,
    ) -> Result<(), RelayError> {
        let result = self.node.listen_on_relay(now, relay);
        self.settle(now);
        result
    }

    /// Whether streams for `protocol` are taken on limited connections; see
    /// [`Node::handle_limited`](crate::node::Node::handle_limited).
    pub fn handle_limited(&mut self, protocol: Name, takes: bool) {
        self.node.handle_limited(protocol, takes);
    }

    /// Tells the Unix time; see [`Node::set_relay_clock`](crate::node::Node::set_relay_clock).
    pub fn set_relay_clock(&mut self, unix_millis_at_zero: u64) {
        self.node.set_relay_clock(unix_millis_at_zero);
    }

    /// Whether circuits that end soon are followed by others; see
    /// [`Node::set_circuit_refresh`](crate::node::Node::set_circuit_refresh).
    pub fn set_circuit_refresh(&mut self, refresh: bool) {
        self.node.set_circuit_refresh(refresh);
    }

    /// Serves others as a relay; see [`Node::serve_as_relay`](crate::node::Node::serve_as_relay).
    #[cfg(feature = "relay-service")]
    pub fn serve_as_relay(&mut self, now: Instant, config: crate::protocols::relay::ServiceConfig) {
        self.node.serve_as_relay(now, config);
        self.settle(now);
    }
}
