//! What is kept for others: records and who provides what, in memory.
//!
//! What a remote can fill: records and providers, each within [`Limits`]. Over them, what
//! is farthest from us in the key space goes first, since others are there for it: a
//! flood of keys displaces nothing that is near. All of it ends with its time.

use core::time::Duration;

use thiserror::Error;

use crate::address::Multiaddr;
use crate::collections::LongMap;
use crate::identity::PeerId;
use crate::time::Instant;

use super::key::{Distance, Key};
use super::message::{Contact, MAX_ADDRESSES, Record};

/// How much is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records; 4096.
    pub records: usize,
    /// Bytes of all records, with their keys; 16 MiB.
    pub record_bytes: usize,
    /// How long a record is kept after it came last; 48 h.
    pub record_life: Duration,
    /// Keys that have providers; 16,384.
    pub provided: usize,
    /// Providers of a key; of more, those that were announced longest ago go; 64.
    pub providers: usize,
    /// Bytes of all providers, with their addresses and keys; 16 MiB.
    pub provider_bytes: usize,
    /// Keys that one peer may provide; 4096, so that none takes all the room.
    pub provided_by_one: usize,
    /// How long a provider is kept after it was announced last; 48 h (kad-dht,
    /// "Provider Record Expiration Interval").
    pub provider_life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records: 4096,
            record_bytes: 16 * 1024 * 1024,
            record_life: Duration::from_secs(48 * 3600),
            provided: 16_384,
            providers: 64,
            provider_bytes: 16 * 1024 * 1024,
            provided_by_one: 4096,
            provider_life: Duration::from_secs(48 * 3600),
        }
    }
}

/// Why something is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreFull {
    /// [`Limits::records`] or [`Limits::record_bytes`], and what is kept is nearer.
    #[error("there is no room for more records")]
    Records,
    /// [`Limits::provided`] or [`Limits::provider_bytes`], and what is kept is nearer.
    #[error("there is no room for providers of another key")]
    Provided,
    /// [`Limits::provided_by_one`].
    #[error("the peer provides too many keys")]
    Provider,
    /// The store behind the memory is too slow for what comes.
    #[error("too much waits to be written down")]
    Unwritten,
}

/// Somebody who provides a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provider {
    /// Who.
    pub peer: PeerId,
    /// Where it said it is, 16 addresses at most.
    pub addresses: Vec<Multiaddr>,
    /// When it is forgotten.
    pub until: Instant,
}

impl Provider {
    pub(super) fn new(peer: PeerId, addresses: &[Multiaddr], until: Instant) -> Self {
        Self { peer, addresses: addresses.iter().take(MAX_ADDRESSES).cloned().collect(), until }
    }

    fn cost(&self) -> usize {
        let addresses = self.addresses.iter().map(|address| address.as_bytes().len());
        PeerId::MAX_LEN + addresses.sum::<usize>()
    }
}

/// A key and who provides it, those announced last at the end.
#[derive(Debug)]
struct Provided {
    key: Vec<u8>,
    providers: Vec<Provider>,
}

impl Provided {
    fn cost(&self) -> usize {
        self.key.len() + self.providers.iter().map(Provider::cost).sum::<usize>()
    }
}

/// Records and providers, in memory, by their distance from us.
#[derive(Debug)]
pub struct Store {
    limits: Limits,
    me: Key,
    records: LongMap<Distance, Box<(Record, Instant)>>,
    record_bytes: usize,
    provided: LongMap<Distance, Provided>,
    provider_bytes: usize,
    by_peer: LongMap<PeerId, usize>,
}

impl Store {
    /// A store of the peer at `me` that keeps nothing yet.
    pub fn new(limits: Limits, me: Key) -> Self {
        Self {
            limits,
            me,
            records: LongMap::new(),
            record_bytes: 0,
            provided: LongMap::new(),
            provider_bytes: 0,
            by_peer: LongMap::new(),
        }
    }

    /// How much it keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn distance(&self, key: &[u8]) -> Distance {
        self.me.distance(&Key::of(key))
    }

    /// The record of a key, unless its time is over.
    pub fn record(&self, now: Instant, key: &[u8]) -> Option<&Record> {
        let (record, until) = &**self.records.get(&self.distance(key))?;
        (*until > now).then_some(record)
    }

    /// Keeps a record in place of the one of its key, for as long as records live.
    ///
    /// # Errors
    /// [`StoreFull::Records`]; the one of its key is gone then, too.
    pub fn put(&mut self, now: Instant, record: Record) -> Result<(), StoreFull> {
        self.put_until(record, now + self.limits.record_life)
    }

    /// As [`Store::put`], with an end of its own.
    ///
    /// # Errors
    /// [`StoreFull::Records`]
    pub fn put_until(&mut self, record: Record, until: Instant) -> Result<(), StoreFull> {
        let at = self.distance(&record.key);
        self.record_bytes += size(&record);
        if let Some(old) = self.records.insert(at, Box::new((record, until))) {
            self.record_bytes -= size(&old.0);
        }
        while self.records.len() > self.limits.records
            || self.record_bytes > self.limits.record_bytes
        {
            let Some(farthest) = self.records.keys().next_back().copied() else { break };
            if let Some(gone) = self.records.remove(&farthest) {
                self.record_bytes -= size(&gone.0);
            }
            if farthest == at {
                return Err(StoreFull::Records);
            }
        }
        Ok(())
    }

    /// When the record of a key ends.
    pub(super) fn record_end(&self, key: &[u8]) -> Option<Instant> {
        self.records.get(&self.distance(key)).map(|kept| kept.1)
    }

    /// Who provides a key, those that were announced last first.
    pub fn providers(&self, now: Instant, key: &[u8]) -> impl Iterator<Item = &Provider> {
        let provided = self.provided.get(&self.distance(key));
        let known = provided.into_iter().flat_map(|provided| provided.providers.iter().rev());
        known.filter(move |provider| provider.until > now)
    }

    /// Keeps in mind that a peer provides a key, and where it is.
    ///
    /// # Errors
    /// [`StoreFull::Provider`], [`StoreFull::Provided`].
    pub fn provide(&mut self, now: Instant, key: &[u8], who: &Contact) -> Result<(), StoreFull> {
        let until = now + self.limits.provider_life;
        self.provide_until(key, Provider::new(who.peer, &who.addresses, until))
    }

    /// As [`Store::provide`], with an end of its own.
    ///
    /// # Errors
    /// [`StoreFull::Provider`], [`StoreFull::Provided`].
    pub fn provide_until(&mut self, key: &[u8], provider: Provider) -> Result<(), StoreFull> {
        let at = self.distance(key);
        let peer = provider.peer;
        let known = self
            .provided
            .get(&at)
            .is_some_and(|provided| provided.providers.iter().any(|known| known.peer == peer));
        let provides = self.by_peer.get(&peer).copied().unwrap_or_default();
        if !known && provides >= self.limits.provided_by_one {
            return Err(StoreFull::Provider);
        }
        let mut provided =
            self.take(&at).unwrap_or_else(|| Provided { key: key.to_vec(), providers: Vec::new() });
        provided.providers.retain(|known| known.peer != peer);
        if provided.providers.len() >= self.limits.providers.max(1) {
            provided.providers.remove(0);
        }
        provided.providers.push(provider);
        self.give(at, provided);
        while self.provided.len() > self.limits.provided
            || self.provider_bytes > self.limits.provider_bytes
        {
            let Some(farthest) = self.provided.keys().next_back().copied() else { break };
            self.take(&farthest);
            if farthest == at {
                return Err(StoreFull::Provided);
            }
        }
        Ok(())
    }

    /// Takes what is known of a key out, and out of all sums.
    fn take(&mut self, at: &Distance) -> Option<Provided> {
        let provided = self.provided.remove(at)?;
        self.provider_bytes -= provided.cost();
        for Provider { peer, .. } in &provided.providers {
            if let Some(count) = self.by_peer.get_mut(peer) {
                *count -= 1;
                if *count == 0 {
                    self.by_peer.remove(peer);
                }
            }
        }
        Some(provided)
    }

    fn give(&mut self, at: Distance, provided: Provided) {
        self.provider_bytes += provided.cost();
        for Provider { peer, .. } in &provided.providers {
            *self.by_peer.entry(*peer).or_default() += 1;
        }
        self.provided.insert(at, provided);
    }

    /// Forgets what has had its time.
    pub fn tidy(&mut self, now: Instant) {
        let mut freed = 0;
        self.records.retain(|_, kept| {
            let stays = kept.1 > now;
            freed += if stays { 0 } else { size(&kept.0) };
            stays
        });
        self.record_bytes -= freed;
        let over = |provided: &Provided| provided.providers.iter().any(|one| one.until <= now);
        let ended = self.provided.iter().filter(|(_, provided)| over(provided));
        let ended: Vec<Distance> = ended.map(|(at, _)| *at).collect();
        for at in ended {
            let Some(mut provided) = self.take(&at) else { continue };
            provided.providers.retain(|provider| provider.until > now);
            if !provided.providers.is_empty() {
                self.give(at, provided);
            }
        }
    }

    /// How many records, and keys with providers.
    pub fn len(&self) -> (usize, usize) {
        (self.records.len(), self.provided.len())
    }

    /// Bytes of the records, and of the providers.
    pub fn bytes(&self) -> (usize, usize) {
        (self.record_bytes, self.provider_bytes)
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }
}

fn size(record: &Record) -> usize {
    record.key.len() + record.value.len()
}
