//! Hole punching: what was tried.

use crate::identity::PeerId;
use crate::protocols::dcutr::Upgrade;

use super::{Node, NodeClosed};

impl Node {
    /// What was tried to reach a peer directly that is, or was, connected through a
    /// relay: addresses, timing, and what came of each; `None` if nothing was.
    pub async fn explain(&self, peer: &PeerId) -> Result<Option<Upgrade>, NodeClosed> {
        let peer = *peer;
        self.with(move |node, _| node.explain(&peer).cloned()).await
    }
}
