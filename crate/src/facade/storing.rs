//! The peer store of a running node: what handles ask of it, and how it is
//! written down.

use core::time::Duration;
use std::collections::BTreeMap;
use std::task::{Context, Poll};

use futures::FutureExt;

use crate::address::Multiaddr;
use crate::identity::{PeerId, PeerRecordError};
use crate::swarm::store::{Change, Entry, Patch, PatchError};

use super::platform::{BoxFuture, MaybeSend};
use super::{Node, NodeClosed};

/// How often changes are written down: what a sudden end of the program loses.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// Where the peer store is written down: a database, a file.
pub trait Storage: MaybeSend {
    /// Everything that stands there, by key; asked for once, at the start.
    fn entries(&mut self) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// Writes these changes down, all or none of them. The next call comes when
    /// this one is done.
    fn write(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), String>>;
}

/// The peer store of a running node. See [`Node::peer_store`].
#[derive(Clone)]
pub struct PeerStore {
    pub(super) node: Node,
}

/// Why a change of the peer store was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The change is not one that the store takes.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// A record is not good.
    #[error(transparent)]
    Record(#[from] PeerRecordError),
    /// The node has ended.
    #[error(transparent)]
    Closed(#[from] NodeClosed),
}

impl PeerStore {
    /// What is known of `peer`.
    pub async fn get(&self, peer: &PeerId) -> Result<Option<Entry>, NodeClosed> {
        let peer = *peer;
        self.node.with(move |node, _| node.peer_store().get(&peer).cloned()).await
    }

    /// What is known of everybody.
    pub async fn all(&self) -> Result<Vec<(PeerId, Entry)>, NodeClosed> {
        let all = |(peer, entry): (&PeerId, &Entry)| (*peer, entry.clone());
        self.node.with(move |node, _| node.peer_store().iter().map(all).collect()).await
    }

    /// Where `peer` may be reached, what worked last first.
    pub async fn addresses(&self, peer: &PeerId) -> Result<Vec<Multiaddr>, NodeClosed> {
        let peer = *peer;
        self.node.with(move |node, _| node.peer_store().addresses(&peer)).await
    }

    /// Others say where `peer` can be reached, for so long: see
    /// [`discovered`](crate::swarm::store::PeerStore::discovered).
    pub async fn discovered(
        &self,
        peer: &PeerId,
        addresses: Vec<Multiaddr>,
        ttl: Duration,
    ) -> Result<(), NodeClosed> {
        let peer = *peer;
        self.node.with(move |node, now| node.discovered(now, &peer, &addresses, ttl)).await
    }

    /// Where `peer` says it can be reached, in the envelope that it signed, to be handed
    /// on to others; see [`Node::signed_record`](crate::node::Node::signed_record).
    pub async fn signed_record(&self, peer: &PeerId) -> Result<Option<Vec<u8>>, NodeClosed> {
        let peer = *peer;
        self.node.with(move |node, _| node.signed_record(&peer)).await
    }

    /// Takes a record that another handed on, for `ttl`, a day at most, unless we meet
    /// its peer; and tells whose it is.
    ///
    /// # Errors
    /// [`StoreError::Record`]: it is not good.
    pub async fn accept_record(
        &self,
        envelope: Vec<u8>,
        ttl: Duration,
    ) -> Result<PeerId, StoreError> {
        Ok(self.node.with(move |node, now| node.accept_record(now, &envelope, ttl)).await??)
    }

    /// Changes what the application knows of `peer`, who need not be known.
    pub async fn patch(&self, peer: &PeerId, patch: Patch) -> Result<(), StoreError> {
        let peer = *peer;
        Ok(self.node.with(move |node, now| node.patch_peer(now, &peer, patch)).await??)
    }

    /// Forgets `peer`; whether anything was known.
    pub async fn delete(&self, peer: &PeerId) -> Result<bool, NodeClosed> {
        let peer = *peer;
        self.node.with(move |node, now| node.delete_peer(now, &peer)).await
    }
}

/// Writes the changes of the brain's peer store down, one write at a time.
#[derive(Default)]
pub(super) struct Writer {
    storage: Option<Box<dyn Storage>>,
    /// What changed since the last write began, the latest of each key.
    waiting: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    writing: Option<BoxFuture<'static, Result<(), String>>>,
}

impl Writer {
    pub(super) fn new(storage: Option<Box<dyn Storage>>) -> Self {
        Self { storage, ..Self::default() }
    }

    pub(super) fn entries(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.storage.as_mut().map(|storage| storage.entries()).unwrap_or_default()
    }

    pub(super) fn push(&mut self, change: Change) {
        if self.storage.is_some() {
            self.waiting.insert(change.key, change.value);
        }
    }

    /// Goes on writing; `Some` is why the last write failed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Option<String> {
        loop {
            if let Some(writing) = &mut self.writing {
                let Poll::Ready(result) = writing.poll_unpin(cx) else { return None };
                self.writing = None;
                if let Err(reason) = result {
                    return Some(reason);
                }
            }
            let storage = self.storage.as_mut().filter(|_| !self.waiting.is_empty())?;
            let waiting = core::mem::take(&mut self.waiting);
            let changes = waiting.into_iter().map(|(key, value)| Change { key, value });
            self.writing = Some(storage.write(changes.collect()));
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.writing.is_none() && self.waiting.is_empty()
    }
}
