//! What is known of one peer.

use crate::address::Multiaddr;
use crate::collections::Map;
use crate::identity::{PeerId, PublicKey};
use crate::negotiate::Name;

use super::config::{DIALED_TTL, millis};

/// Protocols kept of a peer, and bytes of their names: what identify reads is
/// more than any honest peer has.
pub(super) const MAX_PROTOCOLS: usize = 256;
pub(super) const MAX_PROTOCOL_BYTES: usize = 8 << 10;
/// Bytes kept of the name of a peer's program.
pub(super) const MAX_AGENT: usize = 256;
/// The longest signed record that is kept as it is, in bytes; of a longer one
/// only the addresses are. Twice what identify sends at most.
pub(super) const MAX_RECORD: usize = 8 << 10;
/// What an entry costs beside what is in it, in bytes, roughly.
const FIXED_COST: usize = 512;

/// From where an address is known; of several sources the strongest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Source {
    /// Others told of it: discovery, routing, peer exchange.
    Discovery,
    /// The peer told of it, by identify.
    Identify,
    /// We dialed it and found the peer there.
    Dialed,
    /// It stands in a record that the peer signed.
    Certified,
    /// The application gave it.
    Application,
}

/// One address of a peer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Address {
    /// The address, without the peer's own `/p2p` at its end.
    pub address: Multiaddr,
    /// From where it is known.
    pub source: Source,
    /// When it is forgotten, in milliseconds of Unix time; `u64::MAX` is never.
    /// Those of a connected peer stay.
    pub expires: u64,
    /// When a dial found the peer there last, in milliseconds of Unix time; zero
    /// is never.
    pub succeeded: u64,
    /// Failed dials since then.
    pub failures: u32,
}

/// What the application says a peer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Any number; the sum of a peer's tags counts.
    pub value: u32,
    /// When the tag is gone, in milliseconds of Unix time; `u64::MAX` is never.
    pub expires: u64,
}

/// What is known of one peer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Where it can be reached, at most [`Config::max_addresses`](super::Config).
    pub addresses: Vec<Address>,
    /// The record that it signed last, to be passed on as it is; not kept if longer
    /// than 8 KiB. It was verified when it came.
    pub record: Option<Vec<u8>>,
    /// The number of that record; an older one is not taken any more.
    pub sequence: Option<u64>,
    /// What it answers to.
    pub protocols: Vec<Name>,
    /// Name and version of its program.
    pub agent: String,
    /// Its key, when that is not in its PeerId; see [`Entry::public_key`].
    pub key: Option<PublicKey>,
    /// What the application noted.
    pub metadata: Map<String, Vec<u8>>,
    /// What the application says it is worth.
    pub tags: Map<String, Tag>,
    /// When we had a connection last, in milliseconds of Unix time; zero is never.
    pub last_seen: u64,
    /// Connections to it that came about, in either direction.
    pub successes: u32,
    /// Dials that failed since then.
    pub failures: u32,
    /// Connections that lasted for [`STABLE_SESSION`](super::STABLE_SESSION).
    pub stable_sessions: u32,
    /// How long we were connected, in milliseconds, all in all.
    pub connected_millis: u64,
}

impl Entry {
    /// The key of the peer, which most PeerIds contain.
    pub fn public_key(&self, peer: &PeerId) -> Option<PublicKey> {
        peer.public_key().or_else(|| self.key.clone())
    }

    /// Whether the application has something in it, which is forgotten last.
    pub fn is_kept(&self) -> bool {
        !self.metadata.is_empty()
            || !self.tags.is_empty()
            || self.addresses.iter().any(|known| known.source == Source::Application)
    }

    /// What its tags sum up to.
    pub fn worth(&self) -> u32 {
        self.tags.values().fold(0, |sum, tag| sum.saturating_add(tag.value))
    }

    /// Adds an address, or what is new about one that is known; whether anything is.
    pub(super) fn add(
        &mut self,
        address: Multiaddr,
        source: Source,
        expires: u64,
        max: usize,
    ) -> bool {
        if let Some(known) = self.addresses.iter_mut().find(|known| known.address == address) {
            let longer = known.expires.max(expires);
            let changed = source > known.source || longer > known.expires;
            (known.source, known.expires) = (known.source.max(source), longer);
            return changed;
        }
        let new = Address { address, source, expires, succeeded: 0, failures: 0 };
        if self.addresses.len() >= max {
            let weakest = (0..self.addresses.len()).min_by_key(|at| self.addresses[*at].strength());
            match weakest {
                Some(at) if self.addresses[at].strength() < new.strength() => {
                    self.addresses.remove(at);
                }
                _ => return false,
            }
        }
        self.addresses.push(new);
        true
    }

    /// Forgets what came from `sources` and is not among `still`, except that an
    /// address where we found the peer stays as that.
    pub(super) fn withdraw(&mut self, sources: &[Source], still: &[Multiaddr]) {
        let dialed_ttl = millis(DIALED_TTL);
        self.addresses.retain_mut(|known| {
            if !sources.contains(&known.source) || still.contains(&known.address) {
                return true;
            }
            known.source = Source::Dialed;
            known.expires = known.succeeded.saturating_add(dialed_ttl);
            known.succeeded > 0
        });
    }

    /// Forgets what is over by `now`; whether something was.
    pub(super) fn expire(&mut self, now: u64, connected: bool) -> bool {
        let before = (self.addresses.len(), self.tags.len());
        if !connected {
            self.addresses.retain(|known| known.expires > now);
        }
        self.tags.retain(|_, tag| tag.expires > now);
        if self.sequence.is_some()
            && !self.addresses.iter().any(|known| known.source == Source::Certified)
        {
            (self.sequence, self.record) = (None, None);
        }
        before != (self.addresses.len(), self.tags.len())
    }

    /// Bytes that it takes, roughly.
    pub(super) fn cost(&self) -> usize {
        let addresses = self.addresses.iter().map(|known| known.address.as_bytes().len() + 64);
        let protocols = self.protocols.iter().map(|name| name.len() + 32);
        let metadata = self.metadata.iter().map(|(name, value)| name.len() + value.len() + 64);
        let tags = self.tags.keys().map(|name| name.len() + 48);
        let record = self.record.as_ref().map_or(0, Vec::len);
        FIXED_COST
            + self.agent.len()
            + record
            + addresses.sum::<usize>()
            + protocols.sum::<usize>()
            + metadata.sum::<usize>()
            + tags.sum::<usize>()
    }
}

impl Address {
    /// What is given up first for another is the weakest.
    fn strength(&self) -> (Source, bool, u64, u64) {
        (self.source, self.failures == 0, self.succeeded, self.expires)
    }
}
