//! Which connections a running peer keeps.

use core::time::Duration;

use crate::address::Multiaddr;
use crate::identity::PeerId;

use super::commands::Command;
use super::{Node, NodeClosed, StoreError};

impl Node {
    /// Keeps a connection to `peer` from now on: dials it at these addresses and
    /// those that are known, and again whenever the connection is lost, for ever,
    /// with pauses that grow to a minute.
    ///
    /// ```no_run
    /// # fn example(node: polypeer::facade::Node, relay: polypeer::PeerId) -> Result<(), Box<dyn std::error::Error>> {
    /// node.keep(&relay, vec!["/dns4/relay.example/tcp/443/tls/ws".parse()?]);
    /// # Ok(()) }
    /// ```
    pub fn keep(&self, peer: &PeerId, addresses: Vec<Multiaddr>) {
        let peer = *peer;
        self.tell(move |node, now| node.keep(now, peer, addresses));
    }

    /// Keeps it no longer; a connection that is there stays.
    pub fn release(&self, peer: &PeerId) {
        let peer = *peer;
        self.tell(move |node, now| _ = node.release(now, &peer));
    }

    /// The peers that are kept, connected or not.
    pub async fn kept(&self) -> Result<Vec<PeerId>, NodeClosed> {
        self.with(|node, _| node.kept().copied().collect()).await
    }

    /// Never trims `peer` while there is a reason not to, of which this is one.
    pub fn protect(&self, peer: &PeerId, reason: &str) {
        let (peer, reason) = (*peer, String::from(reason));
        self.tell(move |node, _| node.protect(peer, &reason));
    }

    /// Takes one reason back.
    pub fn unprotect(&self, peer: &PeerId, reason: &str) {
        let (peer, reason) = (*peer, String::from(reason));
        self.tell(move |node, _| node.unprotect(&peer, &reason));
    }

    /// Says what `peer` is worth when there are too many connections: the sum of
    /// its tags, of which this is one. The peer store remembers it.
    pub async fn tag(&self, peer: &PeerId, name: &str, value: u32) -> Result<(), StoreError> {
        let (peer, name) = (*peer, String::from(name));
        Ok(self.with(move |node, now| node.tag(now, &peer, &name, value)).await??)
    }

    /// Takes a tag back.
    pub async fn untag(&self, peer: &PeerId, name: &str) -> Result<(), StoreError> {
        let (peer, name) = (*peer, String::from(name));
        Ok(self.with(move |node, now| node.untag(now, &peer, &name)).await??)
    }

    /// The smoothed round trip to `peer`, once it is measured.
    pub async fn latency(&self, peer: &PeerId) -> Result<Option<Duration>, NodeClosed> {
        let peer = *peer;
        self.with(move |node, _| node.latency(&peer)).await
    }

    /// The machine woke from a sleep: every peer is pinged and has two seconds to
    /// answer; those that are kept or were lost are dialed at once.
    pub fn resumed(&self) {
        self.tell(|node, now| node.resumed(now));
    }

    /// There is no network: kept peers are not dialed until [`Node::online`].
    pub fn offline(&self) {
        self.tell(|node, _| node.offline());
    }

    /// There is a network again, perhaps another one; as [`Node::resumed`].
    pub fn online(&self) {
        self.tell(|node, now| node.online(now));
    }

    fn tell(&self, act: impl FnOnce(&mut crate::node::Node, crate::Instant) + Send + 'static) {
        self.send(Command::With(Box::new(act)));
    }
}
