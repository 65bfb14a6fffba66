//! The linear, async face of a peer, and the seam to the host under it.
//!
//! Writers of applications use [`Node`], [`Connection`] and [`Stream`] here and
//! see no state machine. A host implements [`Platform`] once. Each connection
//! runs on a task of its own; a stream's bytes go straight to its connection,
//! never through the brain.

// In a page nothing is `Send`, and nothing needs to be: it has one thread.
#![cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]

mod brain;
mod commands;
#[cfg(all(feature = "kad", any(test, feature = "conformance")))]
pub mod conformance;
mod connection;
mod driver;
mod error;
#[cfg(feature = "kad")]
mod keeping;
#[cfg(feature = "limits")]
mod limiting;
#[cfg(feature = "manager")]
mod managing;
#[cfg(feature = "rendezvous")]
mod meeting;
#[cfg(all(feature = "ipns", feature = "kad"))]
mod naming;
pub mod platform;
#[cfg(feature = "pubsub")]
mod pubsub;
#[cfg(feature = "dcutr")]
mod punching;
#[cfg(feature = "addresses")]
mod reaching;
#[cfg(feature = "relay")]
mod relaying;
#[cfg(feature = "kad")]
mod routing;
#[cfg(feature = "service")]
mod serving;
mod shared;
#[cfg(feature = "store")]
mod storing;
mod stream;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::channel::{mpsc, oneshot};

use crate::address::Multiaddr;
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::{Config, DialError, Event};
use crate::protocols::ping::PingError;
use crate::swarm::DialOptions;

pub use connection::Connection;
pub use error::{NodeClosed, OpenError};
#[cfg(feature = "kad")]
pub use keeping::{
    MemoryRecords, RecordLimits, RecordStore, RecordStoreError, Stored, latest_entries,
};
#[cfg(feature = "limits")]
pub use limiting::Filters;
#[cfg(feature = "rendezvous")]
pub use meeting::{Rendezvous, RendezvousFailed};
#[cfg(all(feature = "ipns", feature = "kad"))]
pub use naming::{Publish, PublishError, Published};
pub use platform::{BoxFuture, Io, Link, Listener, MaybeSend, Platform, TransportError};
#[cfg(feature = "pubsub")]
pub use pubsub::{MAX_BEHIND, Pubsub, PubsubError, Received, Topic};
#[cfg(feature = "kad")]
pub use routing::{Dht, DhtError, Query, Status};
#[cfg(feature = "service")]
pub use serving::{ServiceHandle, ServiceSendError};
#[cfg(feature = "store")]
pub use storing::{PeerStore, Storage, StoreError};
pub use stream::Stream;

use brain::Brain;
use commands::Command;

/// Events that a subscriber may be behind; later ones are missed, and counted.
pub const MAX_EVENTS: usize = 1024;

/// A running peer. Clones are handles to the same one; it ends when
/// [`Node::close`] is called or the last handle is dropped.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    commands: mpsc::UnboundedSender<Command>,
    peer_id: PeerId,
    platform: Arc<dyn Platform>,
    #[cfg(feature = "pnet")]
    network: Option<[u8; 16]>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A node that has ended by itself needs no ending.
        let _ = self.commands.unbounded_send(Command::Close(oneshot::channel().0));
    }
}

impl Node {
    /// Starts a peer on a host.
    pub fn start(platform: Arc<dyn Platform>, config: Config) -> Self {
        Self::run(platform, config, |_| {})
    }

    /// As [`Node::start`], with what an earlier run stored in `storage`; what this
    /// one learns of peers is stored there, every few seconds and at its end.
    #[cfg(feature = "store")]
    pub fn start_stored(
        platform: Arc<dyn Platform>,
        mut config: Config,
        storage: Box<dyn Storage>,
    ) -> Self {
        config.store.journal.get_or_insert(storing::INTERVAL);
        Self::run(platform, config, |brain| brain.store_in(storage))
    }

    fn run(
        platform: Arc<dyn Platform>,
        mut config: Config,
        prepare: impl FnOnce(&mut Brain),
    ) -> Self {
        #[cfg(feature = "pnet")]
        let private = config.connection.pre_shared_key.is_some();
        #[cfg(not(feature = "pnet"))]
        let private = false;
        // A private network does not go over what brings its own encryption.
        let keypair = Some(&config.connection.keypair).filter(|_| !private);
        let known = keypair.and_then(|keypair| platform.clone().with_identity(keypair));
        let platform = known.unwrap_or(platform);
        config.connection.ciphers = platform.ciphers();
        config.first_sequence = config.first_sequence.max(platform.unix_millis());
        config.set_unix_clock(|| {
            let since_zero = platform.now().as_micros() / 1000;
            platform.unix_millis().saturating_sub(since_zero)
        });
        #[cfg(feature = "pnet")]
        let network = config.connection.pre_shared_key.as_ref().map(|key| key.fingerprint());
        let (commands, inbox) = mpsc::unbounded();
        let mut brain = Brain::new(platform.clone(), config, inbox, commands.clone());
        prepare(&mut brain);
        let peer_id = brain.peer_id();
        platform.spawn(Box::pin(brain.run()));
        let inner = Inner {
            commands,
            peer_id,
            platform,
            #[cfg(feature = "pnet")]
            network,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Who we are.
    pub fn peer_id(&self) -> &PeerId {
        &self.inner.peer_id
    }

    /// What members know our private network by, if it is one
    /// ([`PreSharedKey::fingerprint`](crate::security::pnet::PreSharedKey::fingerprint)).
    #[cfg(feature = "pnet")]
    pub fn network_fingerprint(&self) -> Option<&[u8; 16]> {
        self.inner.network.as_ref()
    }

    /// Listens on `address` and returns where we can be reached: real ports, one
    /// address an interface in place of a wildcard.
    pub async fn listen(&self, address: Multiaddr) -> Result<Vec<Multiaddr>, TransportError> {
        let listener = self.inner.platform.listen(address).await?;
        let addresses = listener.addresses();
        self.send(Command::Listen(listener));
        Ok(addresses)
    }

    /// Where we announce that we can be reached, each ending in our PeerId.
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, NodeClosed> {
        self.ask(Command::Addresses).await
    }

    /// The peers that we are connected to.
    pub async fn peers(&self) -> Result<Vec<PeerId>, NodeClosed> {
        self.ask(Command::Peers).await
    }

    /// The connections that are established.
    pub async fn connections(&self) -> Result<Vec<Connection>, NodeClosed> {
        self.ask(Command::Connections).await
    }

    /// Connects to the peer at `address`, or returns a connection that is there.
    /// If the address ends in a `/p2p`, no other peer than that will do.
    ///
    /// Dropping the future takes the dial back.
    pub async fn dial(&self, address: Multiaddr) -> Result<Connection, DialError> {
        self.dial_peer(None, vec![address]).await
    }

    /// As [`Node::dial`], with several addresses of one peer: tried in the order
    /// and with the delays of go-libp2p, the first that leads there wins.
    pub async fn dial_peer(
        &self,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    ) -> Result<Connection, DialError> {
        self.dial_with(peer, addresses, DialOptions::default()).await
    }

    /// As [`Node::dial_peer`], otherwise than usual.
    pub async fn dial_with(
        &self,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        options: DialOptions,
    ) -> Result<Connection, DialError> {
        match self.ask(|reply| Command::Dial { peer, addresses, options, reply }).await {
            Ok(pending) => pending.await,
            Err(NodeClosed) => Err(DialError::Cancelled),
        }
    }

    /// Opens a stream to `peer` for the first of `protocols` that it speaks, on the
    /// best connection there is, which is made first if there is none: an
    /// application that holds on to no connection always uses the best path.
    pub async fn open_stream(
        &self,
        peer: &PeerId,
        protocols: &[&str],
    ) -> Result<Stream, OpenError> {
        let connection = self.dial_peer(Some(*peer), Vec::new()).await?;
        Ok(connection.open_stream(protocols).await?)
    }

    /// Answers inbound streams of `protocol`: `handler` runs once for each, on a
    /// task of its own. A handler that was there before is replaced.
    ///
    /// ```no_run
    /// # async fn example(node: polypeer::facade::Node) {
    /// node.handle("/echo/1.0.0", |stream| async move {
    ///     let (mut from, mut to) = futures::AsyncReadExt::split(stream);
    ///     let _ = futures::io::copy(&mut from, &mut to).await;
    /// });
    /// # }
    /// ```
    pub fn handle<F, R>(&self, protocol: &str, handler: F)
    where
        F: Fn(Stream) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let platform = self.inner.platform.clone();
        let run = move |stream| platform.spawn(Box::pin(handler(stream)));
        self.send(Command::Handle(protocol.into(), Box::new(run)));
    }

    /// Refuses inbound streams of `protocol` from now on.
    pub fn unhandle(&self, protocol: &str) {
        self.send(Command::Unhandle(protocol.into()));
    }

    /// Closes all connections to a peer, politely.
    pub fn hang_up(&self, peer: &PeerId) {
        self.send(Command::HangUp(*peer));
    }

    /// What happens from now on. A subscriber that is [`MAX_EVENTS`] behind
    /// misses what comes until it has caught up.
    pub fn events(&self) -> Events {
        let (sender, receiver) = mpsc::channel(MAX_EVENTS);
        self.send(Command::Subscribe(sender));
        Events { receiver }
    }

    /// Adds a protocol of one's own beside the built-in ones.
    pub fn add_protocol(&self, protocol: Box<dyn crate::protocols::Protocol>) {
        self.send(Command::AddProtocol(protocol));
    }

    /// What is known of peers.
    #[cfg(feature = "store")]
    pub fn peer_store(&self) -> PeerStore {
        PeerStore { node: self.clone() }
    }

    /// Does something with the brain itself and returns what came of it.
    #[cfg(any(
        feature = "addresses",
        feature = "kad",
        feature = "pubsub",
        feature = "service",
        feature = "store"
    ))]
    async fn with<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut crate::node::Node, crate::Instant) -> T + Send + 'static,
    ) -> Result<T, NodeClosed> {
        self.ask(|reply| {
            Command::With(Box::new(move |node, now| {
                // Whoever asked may have gone.
                let _ = reply.send(action(node, now));
            }))
        })
        .await
    }

    /// Closes all connections and listeners, politely, and ends the peer.
    pub async fn close(&self) {
        // An error means that it had ended before.
        let _ = self.ask(Command::Close).await;
    }

    fn send(&self, command: Command) {
        // A node that has ended needs no commands any more.
        let _ = self.inner.commands.unbounded_send(command);
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, NodeClosed> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply));
        answer.await.map_err(|_| NodeClosed)
    }
}

/// What happens to a node, as a stream. See [`Node::events`].
pub struct Events {
    receiver: mpsc::Receiver<Event>,
}

impl futures::Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        Pin::new(&mut self.receiver).poll_next(cx)
    }
}

/// What runs for each inbound stream of a protocol.
type Handler = Box<dyn Fn(Stream) + Send + Sync>;

/// The result of a ping.
type Pong = Result<core::time::Duration, PingError>;

/// A list of names from one or several.
pub(crate) fn names(protocols: &[&str]) -> Vec<Name> {
    protocols.iter().map(|name| Name::from(*name)).collect()
}
