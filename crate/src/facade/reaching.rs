//! Where a running peer can be reached.

use core::net::SocketAddr;

use crate::swarm::addresses::{Config, OwnAddress, Transport};

use super::{Node, NodeClosed};

impl Node {
    /// All addresses of ours: how we know of each, whether it can be dialed, and
    /// whether others are told of it. [`Node::addresses`] are those that are.
    pub async fn own_addresses(&self) -> Result<Vec<OwnAddress>, NodeClosed> {
        self.with(|node, _| node.own_addresses()).await
    }

    /// Changes which addresses are announced.
    pub async fn set_announcing(&self, config: Config) -> Result<(), NodeClosed> {
        self.with(move |node, now| node.set_announcing(now, config)).await
    }

    /// A gateway sends on to our `port` what comes to `external`, or, for `None`, no
    /// more: what listens there is announced there too.
    pub async fn mapped(
        &self,
        transport: Transport,
        port: u16,
        external: Option<SocketAddr>,
    ) -> Result<(), NodeClosed> {
        self.with(move |node, now| node.mapped(now, (transport, port), external)).await
    }
}
