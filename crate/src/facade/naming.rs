//! Signed records in the DHT: names that point to what changes.

use core::time::Duration;

use futures::StreamExt;

use crate::identity::{Keypair, PeerId};
use crate::protocols::kad::QueryEvent;
use crate::records::{Content, Lifetime, Namespace, RecordError, SignedRecord};

use super::{Dht, DhtError, NodeClosed};

/// Peers that agree on the best record before the others are not asked any more; as many
/// as go-libp2p's.
const QUORUM: usize = 16;

/// How a record is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// How long it is good; 48 h, as long as peers keep it.
    pub lifetime: Duration,
    /// How long it may be used before a newer one is looked for; 5 minutes.
    pub ttl: Duration,
}

impl Default for Publish {
    fn default() -> Self {
        Self { lifetime: Duration::from_secs(48 * 3600), ttl: Duration::from_secs(300) }
    }
}

/// A record that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The record.
    pub record: SignedRecord,
    /// Peers that keep it.
    pub kept: usize,
}

/// Why a record was not published or found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The record cannot be made or is not good.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The DHT could not be asked.
    #[error(transparent)]
    Dht(#[from] DhtError),
}

impl From<NodeClosed> for PublishError {
    fn from(error: NodeClosed) -> Self {
        Self::Dht(error.into())
    }
}

impl Dht {
    /// Signs `value` and has it kept under `keypair`'s `name` in a namespace, in place of
    /// what was there: its number is one higher than that of what is found. With
    /// [`Namespace::ipns`] and an empty name this publishes in IPNS, where a value is a
    /// path such as `/ipfs/bafy…`.
    ///
    /// For a namespace of one's own, each node needs it as a validator
    /// ([`Dht::set_validator`]).
    ///
    /// # Errors
    /// [`PublishError`]
    pub async fn publish(
        &self,
        namespace: &Namespace,
        keypair: &Keypair,
        name: &[u8],
        value: &[u8],
        options: Publish,
    ) -> Result<Published, PublishError> {
        let old = self.resolve(namespace, &keypair.peer_id(), name).await?;
        let sequence = match old.as_ref().map(SignedRecord::content) {
            // The same for longer: the later end makes it better.
            Some(old) if old.value == value => old.sequence,
            Some(old) => old.sequence.saturating_add(1),
            None => 0,
        };
        let until = self.unix_time().await?.saturating_add(options.lifetime);
        let lifetime = Lifetime::Until(until);
        let content = Content { value: value.to_vec(), sequence, lifetime, ttl: options.ttl };
        let record = namespace.sign(keypair, name, content)?;
        let key = namespace.key(&keypair.peer_id(), name);
        let mut query = self.put(&key, record.as_bytes()).await?;
        let mut kept = 0;
        while let Some(event) = query.next().await {
            if let QueryEvent::Done(summary) = event {
                kept = summary.successes;
            }
        }
        Ok(Published { record, kept })
    }

    /// Looks for the best record of a peer's `name` in a namespace, good now; `None` if
    /// there is none. With [`Namespace::ipns`] and an empty name this resolves in IPNS.
    ///
    /// # Errors
    /// [`PublishError`]
    pub async fn resolve(
        &self,
        namespace: &Namespace,
        peer: &PeerId,
        name: &[u8],
    ) -> Result<Option<SignedRecord>, PublishError> {
        let key = namespace.key(peer, name);
        let mut query = self.get(&key, QUORUM).await?;
        let mut best = None;
        while let Some(event) = query.next().await {
            // Each is better than those before, and the DHT has validated it.
            if let QueryEvent::Value(found) = event {
                best = Some(found.value);
            }
        }
        Ok(best.map(|bytes| namespace.verify(&key, &bytes)).transpose()?)
    }

    /// The node's time since 1970.
    async fn unix_time(&self) -> Result<Duration, NodeClosed> {
        let millis = |node: &mut crate::node::Node, now| {
            node.dht().map(|kad| kad.unix_millis(now)).unwrap_or_default()
        };
        Ok(Duration::from_millis(self.node.with(millis).await?))
    }
}
