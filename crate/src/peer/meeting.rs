//! Rendezvous of a peer that is driven in place; see [`Node`](crate::node::Node) for each.

use core::time::Duration;

use crate::protocols::rendezvous::{Point, RendezvousError, RequestId, Search};
use crate::time::Instant;

use super::Peer;

impl Peer {
    /// Registers us at a point under a name, and again before that ends.
    ///
    /// # Errors
    /// [`RendezvousError`]: the request did not begin.
    pub fn rendezvous_register(
        &mut self,
        now: Instant,
        point: Point,
        namespace: &str,
        ttl: Option<Duration>,
    ) -> Result<RequestId, RendezvousError> {
        let request = self.node.rendezvous_register(now, point, namespace, ttl);
        self.settle(now);
        request
    }

    /// Tells a point that we are gone.
    ///
    /// # Errors
    /// [`RendezvousError`]: the request did not begin.
    pub fn rendezvous_unregister(
        &mut self,
        now: Instant,
        point: Point,
        namespace: &str,
    ) -> Result<RequestId, RendezvousError> {
        let request = self.node.rendezvous_unregister(now, point, namespace);
        self.settle(now);
        request
    }

    /// Asks a point who is registered there.
    ///
    /// # Errors
    /// [`RendezvousError`]: the request did not begin.
    pub fn rendezvous_discover(
        &mut self,
        now: Instant,
        point: Point,
        search: Search,
    ) -> Result<RequestId, RendezvousError> {
        let request = self.node.rendezvous_discover(now, point, search);
        self.settle(now);
        request
    }

    /// Nobody waits for a request any more.
    pub fn cancel_rendezvous(&mut self, now: Instant, request: RequestId) {
        self.node.cancel_rendezvous(now, request);
        self.settle(now);
    }

    /// Begins to be a rendezvous point, or changes what is taken.
    #[cfg(feature = "rendezvous-point")]
    pub fn serve_rendezvous(
        &mut self,
        now: Instant,
        config: crate::protocols::rendezvous::ServerConfig,
    ) {
        self.node.serve_rendezvous(now, config);
        self.settle(now);
    }
}
