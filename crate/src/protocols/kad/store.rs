//! What is kept for others: records and who provides what, in memory.
//!
//! What a remote can fill: records and providers, each within [`Limits`]; what is over
//! them is refused, and all of it ends with its time.

use core::time::Duration;

use thiserror::Error;

use crate::collections::LongMap;
use crate::identity::PeerId;
use crate::time::Instant;

use super::message::Record;

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
            provider_life: Duration::from_secs(48 * 3600),
        }
    }
}

/// Why something is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreFull {
    /// [`Limits::records`] or [`Limits::record_bytes`].
    #[error("there is no room for more records")]
    Records,
    /// [`Limits::provided`].
    #[error("there is no room for providers of another key")]
    Provided,
}

/// Records and providers, in memory.
#[derive(Debug)]
pub struct Store {
    limits: Limits,
    records: LongMap<Vec<u8>, (Record, Instant)>,
    bytes: usize,
    providers: LongMap<Vec<u8>, Vec<(PeerId, Instant)>>,
}

impl Store {
    /// A store that keeps nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, records: LongMap::new(), bytes: 0, providers: LongMap::new() }
    }

    /// The record of a key, unless its time is over.
    pub fn record(&self, now: Instant, key: &[u8]) -> Option<&Record> {
        let (record, until) = self.records.get(key)?;
        (*until > now).then_some(record)
    }

    /// Keeps a record in place of the one of its key.
    pub fn put(&mut self, now: Instant, record: Record) -> Result<(), StoreFull> {
        let size = |record: &Record| record.key.len() + record.value.len();
        let old = self.records.get(&record.key).map(|(old, _)| size(old));
        let bytes = self.bytes - old.unwrap_or_default() + size(&record);
        let records = self.records.len() + usize::from(old.is_none());
        if records > self.limits.records || bytes > self.limits.record_bytes {
            return Err(StoreFull::Records);
        }
        self.bytes = bytes;
        let until = now + self.limits.record_life;
        self.records.insert(record.key.clone(), (record, until));
        Ok(())
    }

    /// Who provides a key, those that were announced last first.
    pub fn providers(&self, now: Instant, key: &[u8]) -> impl Iterator<Item = &PeerId> {
        let known = self.providers.get(key).into_iter().flatten().rev();
        known.filter(move |(_, until)| *until > now).map(|(peer, _)| peer)
    }

    /// Keeps in mind that `peer` provides a key.
    pub fn provide(&mut self, now: Instant, key: &[u8], peer: PeerId) -> Result<(), StoreFull> {
        if !self.providers.contains_key(key) && self.providers.len() >= self.limits.provided {
            return Err(StoreFull::Provided);
        }
        let known = self.providers.entry(key.to_vec()).or_default();
        known.retain(|(other, _)| *other != peer);
        if known.len() >= self.limits.providers {
            known.remove(0);
        }
        known.push((peer, now + self.limits.provider_life));
        Ok(())
    }

    /// Forgets what has had its time.
    pub fn tidy(&mut self, now: Instant) {
        let mut freed = 0;
        self.records.retain(|key, (record, until)| {
            let stays = *until > now;
            freed += if stays { 0 } else { key.len() + record.value.len() };
            stays
        });
        self.bytes -= freed;
        self.providers.retain(|_, known| {
            known.retain(|(_, until)| *until > now);
            !known.is_empty()
        });
    }

    /// How many records, and keys with providers.
    pub fn len(&self) -> (usize, usize) {
        (self.records.len(), self.providers.len())
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }
}
