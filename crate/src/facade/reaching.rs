//! Where a running peer can be reached.

use core::net::SocketAddr;

#[cfg(feature = "autonat")]
use crate::protocols::autonat::ServerConfig;
#[cfg(feature = "autonat")]
use crate::swarm::addresses::Reachability;
use crate::swarm::addresses::{Config, OwnAddress, Transport};

use super::{Node, NodeClosed};

impl Node {
    /// All addresses of ours: how we know of each, whether it can be dialed, and
    /// whether others are told of it. [`Node::addresses`] are those that are.
    pub async fn own_addresses(&self) -> Result<Vec<OwnAddress>, NodeClosed> {
        self.with(|node, _| node.own_addresses()).await
    }

    /// Whether others can dial us at all, as far as some have tried.
    #[cfg(feature = "autonat")]
    pub async fn reachability(&self) -> Result<Reachability, NodeClosed> {
        self.with(|node, _| node.reachability()).await
    }

    /// Dials from now on for others who want to know whether they can be dialed, or
    /// changes how much is done for them.
    #[cfg(feature = "autonat")]
    pub async fn serve_autonat(&self, config: ServerConfig) -> Result<(), NodeClosed> {
        self.with(move |node, now| node.serve_autonat(now, config)).await
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
