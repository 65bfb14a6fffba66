//! The DHT of a running node: queries as streams of what they find.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::channel::mpsc;

use crate::Instant;
use crate::identity::PeerId;
use crate::node::Event;
use crate::protocols::kad::{QueryError, QueryEvent, QueryId, Validator};

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
