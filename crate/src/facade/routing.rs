//! The DHT of a running node: queries as streams of what they find.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::channel::mpsc;

use crate::Instant;
use crate::identity::PeerId;
use crate::node::Event;
use crate::protocols::kad::{Mode, QueryError, QueryEvent, QueryId, Validator};

use super::brain::Brain;
use super::commands::Command;
use super::{Node, NodeClosed};

/// The DHT of a running node. See [`Node::dht`].
#[derive(Clone)]
pub struct Dht {
    pub(super) node: Node,
}

/// Why a query of the DHT did not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DhtError {
    /// It was not begun.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The node has ended.
    #[error(transparent)]
    Closed(#[from] NodeClosed),
}

/// How a node takes part in a DHT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether it answers others.
    pub server: bool,
    /// Peers in its table.
    pub peers: usize,
    /// Peers that the network seems to have, once known.
    pub network: Option<u64>,
    /// Records, and keys with providers, that it keeps for others.
    pub kept: (usize, usize),
}

/// A query under way: a stream of what it finds, which ends after
/// [`QueryEvent::Done`]. Dropped before, the query is given up.
#[derive(Debug)]
pub struct Query {
    id: QueryId,
    events: mpsc::UnboundedReceiver<QueryEvent>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Stream for Query {
    type Item = QueryEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<QueryEvent>> {
        Pin::new(&mut self.events).poll_next(cx)
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        // A node that has ended asks nobody any more.
        let _ = self.commands.unbounded_send(Command::CancelQuery(self.id));
    }
}

/// Begins a query.
pub(super) type Begin =
    Box<dyn FnOnce(&mut crate::node::Node, Instant) -> Result<QueryId, QueryError> + Send>;

/// Who waits for what queries find.
pub(super) type Queries = BTreeMap<QueryId, mpsc::UnboundedSender<QueryEvent>>;

impl Node {
    /// The DHT that the node takes part in
    /// ([`Config::kad`](crate::node::Config::kad)).
    pub fn dht(&self) -> Dht {
        Dht { node: self.clone() }
    }
}

impl Dht {
    /// Looks for the peers that are nearest to a key: the last event names them.
    ///
    /// # Errors
    /// [`DhtError`]
    pub async fn closest_peers(&self, key: &[u8]) -> Result<Query, DhtError> {
        let key = key.to_vec();
        self.begin(move |node, now| node.closest_peers(now, &key)).await
    }

    /// Looks for the addresses of a peer.
    ///
    /// # Errors
    /// [`DhtError`]
    pub async fn find_peer(&self, peer: PeerId) -> Result<Query, DhtError> {
        self.begin(move |node, now| node.find_peer(now, peer)).await
    }

    /// Tells those who are nearest to a key (a multihash) that we provide it.
    ///
    /// # Errors
    /// [`DhtError`]
    pub async fn provide(&self, key: &[u8]) -> Result<Query, DhtError> {
        let key = key.to_vec();
        self.begin(move |node, now| node.provide(now, &key)).await
    }

    /// Looks for who provides a key, until `enough` are found or all were asked.
    ///
    /// # Errors
    /// [`DhtError`]
    pub async fn find_providers(&self, key: &[u8], enough: usize) -> Result<Query, DhtError> {
        let key = key.to_vec();
        self.begin(move |node, now| node.find_providers(now, &key, enough)).await
    }

    /// Has a value kept by those who are nearest to its key.
    ///
    /// # Errors
    /// [`DhtError`]
    pub async fn put(&self, key: &[u8], value: &[u8]) -> Result<Query, DhtError> {
        let (key, value) = (key.to_vec(), value.to_vec());
        self.begin(move |node, now| node.put_value(now, &key, &value)).await
    }

    /// Looks for the best value of a key, until `quorum` peers agree on it.
    ///
    /// # Errors
    /// [`DhtError`]
    pub async fn get(&self, key: &[u8], quorum: usize) -> Result<Query, DhtError> {
        let key = key.to_vec();
        self.begin(move |node, now| node.get_value(now, &key, quorum)).await
    }

    /// Provides a key, or puts its value, no more: others forget it with its time.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn withdraw(&self, key: &[u8]) -> Result<(), NodeClosed> {
        let key = key.to_vec();
        self.node.with(move |node, _| node.withdraw(&key)).await
    }

    /// Has the node play another part than
    /// [`Config::mode`](crate::protocols::kad::Config::mode) said.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn set_mode(&self, mode: Mode) -> Result<(), NodeClosed> {
        self.node.with(move |node, now| node.set_dht_mode(now, mode)).await
    }

    /// Looks around in all parts of the key space now, which the node does by itself
    /// from time to time.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn bootstrap(&self) -> Result<(), NodeClosed> {
        self.node.with(|node, now| node.bootstrap_dht(now)).await
    }

    /// How the node takes part; `None` if it does not.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn status(&self) -> Result<Option<Status>, NodeClosed> {
        let status = |node: &mut crate::node::Node, _| {
            node.dht().map(|kad| Status {
                server: kad.is_server(),
                peers: kad.table().len(),
                network: kad.network_size(),
                kept: kad.store().len(),
            })
        };
        self.node.with(status).await
    }

    /// Has records of `/namespace/…` judged by `validator` from now on.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn set_validator(
        &self,
        namespace: &str,
        validator: Box<dyn Validator>,
    ) -> Result<(), NodeClosed> {
        let namespace = namespace.to_owned();
        self.node.with(move |node, _| node.set_validator(&namespace, validator)).await
    }

    async fn begin(
        &self,
        begin: impl FnOnce(&mut crate::node::Node, Instant) -> Result<QueryId, QueryError>
        + Send
        + 'static,
    ) -> Result<Query, DhtError> {
        let (sender, events) = mpsc::unbounded();
        let begin: Begin = Box::new(begin);
        let id = self.node.ask(|reply| Command::Query { begin, sender, reply }).await??;
        Ok(Query { id, events, commands: self.node.inner.commands.clone() })
    }
}

impl Brain {
    /// News of a query for who waits for them.
    pub(super) fn on_query(&mut self, event: &Event) {
        let Event::Dht { query, event } = event else { return };
        // Who has gone gives the query up with that.
        if let Some(sender) = self.queries.get(query) {
            let _ = sender.unbounded_send(event.clone());
        }
        if matches!(event, QueryEvent::Done(_)) {
            self.queries.remove(query);
        }
    }
}
