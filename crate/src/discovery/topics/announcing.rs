//! Announcements: peers that say where they are in a topic for that.
//!
//! As `@libp2p/pubsub-peer-discovery` does it: every 10 seconds each publishes its public
//! key and its addresses. Who hears that dials some of them while the topic has few peers.
//!
//! What remotes can fill, and its limits: an announcement ([`MAX_ANNOUNCEMENT`],
//! [`MAX_ADDRESSES`]), who is known ([`MAX_KNOWN`]) and by whom ([`MAX_OF_SENDER`]). Who
//! signs its messages can announce itself alone.

use core::time::Duration;

use crate::address::Multiaddr;
use crate::collections::LongMap;
use crate::identity::{PeerId, PublicKey};
use crate::protocols::pubsub::{Message, TopicConfig};
use crate::swarm::rank::{is_dialable, is_private};
use crate::time::Instant;
use crate::wire::protobuf::{Malformed, Reader, Writer};

/// The topic that all of libp2p announces itself in.
pub const TOPIC: &str = "_peer-discovery._p2p._pubsub";
/// The longest announcement, in bytes; with an Ed25519 key and ten addresses it has 500.
pub const MAX_ANNOUNCEMENT: usize = 4096;
/// Addresses of an announcement that are heeded, and of ours that are told.
pub const MAX_ADDRESSES: usize = 32;
/// Peers that are known from announcements; further ones are not heeded until one is
/// silent.
pub const MAX_KNOWN: usize = 1024;
/// Of these, those that one peer may tell of whose messages are not signed.
pub const MAX_OF_SENDER: usize = 64;
/// Announcements that may be missed before a peer is forgotten.
const MISSED: u32 = 6;

/// How peers announce themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// In which topics; in [`TOPIC`].
    pub topics: Vec<String>,
    /// How often; 10 s. Shorter than a second is a second.
    pub interval: Duration,
    /// Whether we only listen; no.
    pub listen_only: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { topics: vec![TOPIC.into()], interval: Duration::from_secs(10), listen_only: false }
    }
}

/// A peer that says where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Its key, and so who it is.
    pub key: PublicKey,
    /// Where it is. Addresses that cannot be read, or name no place, are left out.
    pub addresses: Vec<Multiaddr>,
}

impl Announcement {
    /// The message's data.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut out = Writer(&mut bytes);
        out.bytes(1, &self.key.to_protobuf());
        for address in self.addresses.iter().take(MAX_ADDRESSES) {
            out.bytes(2, address.as_bytes());
        }
        bytes
    }

    /// Reads a message's data.
    ///
    /// # Errors
    /// [`Malformed`]: it is no announcement, or too long for one.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_ANNOUNCEMENT {
            return Err(Malformed);
        }
        let (mut key, mut addresses) = (None, Vec::new());
        for field in Reader(bytes) {
            match field? {
                (1, value) => {
                    let read = PublicKey::from_protobuf(value.bytes()?);
                    key = Some(read.map_err(|_| Malformed)?);
                }
                (2, value) if addresses.len() < MAX_ADDRESSES => {
                    let read = Multiaddr::from_bytes(value.bytes()?);
                    addresses.extend(read.ok().filter(is_dialable));
                }
                _ => {}
            }
        }
        Ok(Self { key: key.ok_or(Malformed)?, addresses })
    }
}

struct Known {
    addresses: Vec<Multiaddr>,
    until: Instant,
    /// Who told of it, where that is not proved to be itself.
    by: Option<PeerId>,
}

/// What is heard of others, and when we are to be heard.
pub struct Announcing {
    config: Config,
    known: LongMap<PeerId, Known>,
    next: Option<Instant>,
}

impl Announcing {
    /// Announces us from now on.
    pub fn new(now: Instant, config: Config) -> Self {
        let interval = config.interval.max(Duration::from_secs(1));
        let next = (!config.listen_only).then_some(now);
        Self { config: Config { interval, ..config }, known: LongMap::new(), next }
    }

    /// In which topics.
    pub fn topics(&self) -> &[String] {
        &self.config.topics
    }

    /// How these are subscribed to.
    pub fn topic_config() -> TopicConfig {
        TopicConfig { max_data: Some(MAX_ANNOUNCEMENT), ..TopicConfig::default() }
    }

    /// Who is known.
    pub fn known(&self) -> impl Iterator<Item = (&PeerId, &[Multiaddr])> {
        self.known.iter().map(|(peer, known)| (peer, known.addresses.as_slice()))
    }

    /// Somebody announces itself in a message that came from `sender`. Who and where, if
    /// that is to be heeded. Only with `private` are private addresses heeded: strangers
    /// are not to have us knock at doors of the network around us.
    pub fn heard(
        &mut self,
        now: Instant,
        message: &Message,
        sender: PeerId,
        private: bool,
    ) -> Option<(PeerId, Vec<Multiaddr>)> {
        let Announcement { key, mut addresses } = Announcement::read(message.data()).ok()?;
        let peer = key.peer_id();
        addresses.retain(|address| {
            let its_own = address.peer_id().is_none_or(|named| named == peer);
            its_own && (private || !is_private(address))
        });
        let proved = message.signature().is_some();
        if addresses.is_empty() || proved && message.from() != Some(peer) {
            return None;
        }
        self.known.retain(|_, known| known.until > now);
        let by = (!proved).then_some(sender);
        let told = |of: &PeerId| self.known.values().filter(|it| it.by == Some(*of)).count();
        let heeded = match self.known.get(&peer) {
            // Nobody else changes what it said itself.
            Some(known) => known.by.is_some() || proved,
            None => {
                let full = by.is_some_and(|by| told(&by) >= MAX_OF_SENDER);
                self.known.len() < MAX_KNOWN && !full
            }
        };
        if !heeded {
            return None;
        }
        let until = now + self.config.interval * MISSED;
        self.known.insert(peer, Known { addresses: addresses.clone(), until, by });
        Some((peer, addresses))
    }

    /// Whether it is time for us to be heard; the time after that is set then.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|at| at <= now);
        if due {
            self.next = Some(now + self.config.interval);
        }
        due
    }

    /// When [`Announcing::is_due`] is to be asked.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}
