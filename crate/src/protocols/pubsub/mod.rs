//! Publish and subscribe: floodsub, and gossipsub 1.0 to 1.3.
//!
//! Sources: libp2p specs, `pubsub/README.md` (r3) and `pubsub/gossipsub/gossipsub-v1.0.md`
//! to `gossipsub-v1.3.md`. The [`Router`] decides what goes to whom and knows neither
//! streams nor bytes; [`Pubsub`] makes a protocol of it. What is known of a peer belongs to
//! the peer and not to a connection: when the one under its stream goes, the stream is
//! opened on another, and what may have been lost is sent or told of again.
//!
//! What a remote can fill, and its limits: an RPC ([`wire`]), topics
//! ([`MAX_TOPICS_PER_PEER`], [`MAX_TOPICS`]), what was seen ([`MAX_SEEN`]) and is kept
//! ([`MAX_CACHED`]), what waits for a judgement ([`validation`]), what it asks for and
//! refuses ([`MAX_WANTED`], [`MAX_IHAVES`], [`MAX_UNWANTED`]), backoffs ([`MAX_BACKOFFS`]),
//! what waits for it because it does not read ([`MAX_QUEUED`], [`MAX_GOSSIP`]), and its
//! streams ([`MAX_INBOUND`]).

mod backoff;
mod cache;
mod choking;
mod config;
mod event;
mod exchange;
mod gossip;
mod incoming;
mod mesh;
mod message;
mod publishing;
mod queue;
mod router;
mod score;
mod seen;
mod streams;
#[cfg(test)]
mod tests;
pub mod validation;
mod version;
pub mod wire;

pub use backoff::{MAX_BACKOFF, MAX_BACKOFFS};
pub use cache::MAX_CACHED;
pub use choking::Choking;
pub use config::{Config, MeshSize, MessageIdFn, Mode, TopicConfig};
pub use event::{PublishError, Published, PubsubEvent, Stats, SubscribeError};
pub use gossip::{MAX_IHAVES, MAX_UNWANTED, MAX_WANTED, PROMISE};
pub use message::{Message, MessageId, MessageIds, SignatureError, Signing, TopicName};
pub use publishing::MAX_FANOUT;
pub use queue::{FRAGMENT, MAX_GOSSIP, MAX_QUEUED};
pub use router::{MAX_TOPICS, MAX_TOPICS_PER_PEER, Out, Router};
pub use score::{AppScore, MAX_RETAINED, ScoreConfig, Thresholds, TopicScore};
pub use seen::{MAX_SEEN, MAX_SENDERS};
pub use streams::{MAX_FAILURES, MAX_INBOUND, Pubsub};
pub use validation::{Validation, Validator, Verdict};
pub use version::Version;

use crate::address::Multiaddr;
use crate::identity::PeerId;

/// What only this protocol wants of its node.
#[derive(Debug)]
pub enum Order {
    /// A connection to a peer, which may be at these addresses.
    Reach {
        /// Who.
        peer: PeerId,
        /// Where it is said to be.
        addresses: Vec<Multiaddr>,
    },
}
