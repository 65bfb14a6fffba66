//! The services of a peer that is driven in place.

use crate::service::{Config, Context, Service, ServiceId};
use crate::time::Instant;

use super::Peer;

impl Peer {
    /// Runs a protocol of one's own; see [`Node::serve`](crate::node::Node::serve).
    pub fn serve(&mut self, now: Instant, config: Config, service: Box<dyn Service>) -> ServiceId {
        let id = self.node.serve(now, config, service);
        self.settle(now);
        id
    }

    /// Does something with a service; see
    /// [`Node::with_service`](crate::node::Node::with_service).
    pub fn with_service<T>(
        &mut self,
        now: Instant,
        service: ServiceId,
        action: impl FnOnce(&mut dyn Service, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let result = self.node.with_service(now, service, action);
        self.settle(now);
        result
    }
}
