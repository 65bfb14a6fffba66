//! Peers of a topic that nobody has named: found where others announce themselves too.
//!
//! While a topic has fewer peers than its mesh wants, the [`Seeker`] looks for some
//! wherever there is a way: among those who provide the topic's [`key`] in a DHT, among
//! those who are registered under its [`namespace`] at a rendezvous point, and among those
//! who announce themselves in a topic for that ([`announcing`]). While we are subscribed
//! we are found there too.
//!
//! Source: none is specified. Names and keys are those of go-libp2p-pubsub with
//! `WithDiscovery` and go-libp2p's routing discovery, so that its peers and ours find each
//! other; the announcements are those of `@libp2p/pubsub-peer-discovery`.
//!
//! What remotes can fill, and its limits: those who may be dialed for a topic
//! ([`MAX_CANDIDATES`]) and are ([`MAX_DIALS`]), whom we remember to have dialed
//! ([`MAX_TRIED`]); for announcements see [`announcing`].

pub mod announcing;
mod seeker;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

use crate::identity::PeerId;
#[cfg(feature = "rendezvous")]
use crate::protocols::rendezvous::Point;

pub use seeker::{MAX_CANDIDATES, MAX_DIALS, MAX_TRIED, News, Order, Seeker};

/// Providers and registrations that one search asks for: more than are needed, since some
/// may be gone and some may never have been.
pub const ENOUGH: usize = 64;

/// Peers that are to know in the DHT that we are in a topic, as many as a bucket has; with
/// fewer we tell again.
pub const KEEPERS: usize = 20;

/// How peers are looked for by topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// In the DHT, while the node takes part in one; yes.
    pub dht: bool,
    /// At these rendezvous points; none.
    #[cfg(feature = "rendezvous")]
    pub points: Vec<Point>,
    /// Whether others find us there, as long as we are subscribed and have an address; yes.
    pub announce: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dht: true,
            #[cfg(feature = "rendezvous")]
            points: Vec::new(),
            announce: true,
        }
    }
}

impl Config {
    /// Looking for nobody.
    pub fn off() -> Self {
        Self { dht: false, announce: false, ..Self::default() }
    }
}

/// A way to find others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The DHT.
    Dht,
    /// This rendezvous point.
    Point(PeerId),
}

/// How somebody was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoundBy {
    /// The DHT names it as a provider.
    Dht,
    /// It is registered at a rendezvous point.
    Rendezvous,
    /// It has announced itself in a topic for that.
    Announcement,
}

impl From<Way> for FoundBy {
    fn from(way: Way) -> Self {
        match way {
            Way::Dht => Self::Dht,
            Way::Point(_) => Self::Rendezvous,
        }
    }
}

/// The name that a topic has where peers meet: go-libp2p-pubsub's.
pub fn namespace(topic: &str) -> String {
    ["floodsub:", topic].concat()
}

/// What those who are in a topic provide in the DHT: the multihash of its [`namespace`]'s
/// SHA-256, of which go-libp2p makes a CID of raw bytes.
pub fn key(topic: &str) -> Vec<u8> {
    /// The multihash's code for SHA-256, and the length of one.
    const SHA2_256: [u8; 2] = [0x12, 32];
    let digest = Sha256::digest(namespace(topic));
    SHA2_256.into_iter().chain(digest).collect()
}
