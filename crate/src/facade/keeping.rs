//! What the DHT keeps for others, in a store behind the node's memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use core::time::Duration;

use crate::records::{Entry, Order, Place};
use crate::time::Instant;

use super::brain::Brain;
use super::commands::{Action, Command};
use super::platform::BoxFuture;
use super::{Dht, NodeClosed};

/// How often a store is tidied, if it is written to.
const TIDY: Duration = Duration::from_secs(3600);
/// Entries written after which it is tidied earlier.
const TIDY_AFTER: usize = 4096;

/// How much a store holds. What would expire first makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Entries; 131,072.
    pub entries: usize,
    /// Bytes of their values; 256 MiB.
    pub bytes: u64,
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self { entries: 131_072, bytes: 256 << 20 }
    }
}

/// A store could not do it: what it is about says why, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecordStoreError(pub String);

/// A future of a [`RecordStore`].
pub type Stored<T> = BoxFuture<'static, Result<T, RecordStoreError>>;

/// Where records and providers are kept behind a node's memory: a database, object
/// storage. Bounded ([`RecordLimits`]), after [`RecordStore::tidy`] at the latest.
///
/// The feature `conformance` has a suite, `conformance::check`, that every store passes.
pub trait RecordStore: Send + Sync {
    /// What is at a place, [`Entry::MAX_FOUND`] at most, those that expire last before
    /// others, expired or not.
    fn find(&self, place: Place) -> Stored<Vec<Entry>>;

    /// Puts these in place of those of the same place and name. Done when they outlast
    /// the process; another call may come before that.
    fn write(&self, entries: Vec<Entry>) -> Stored<()>;

    /// Forgets what has expired by then, in milliseconds of Unix time, and what is too
    /// much.
    fn tidy(&self, unix_millis: u64) -> Stored<()>;
}

impl Dht {
    /// Has what the node keeps for others kept in `store`, too, and looked for there:
    /// after a restart, or where several nodes share it. What is in memory stays.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn store_in(&self, store: Arc<dyn RecordStore>) -> Result<(), NodeClosed> {
        self.node.ask(|reply| Command::StoreRecords(store, reply)).await
    }
}

/// The brain's store.
#[derive(Default)]
pub(super) struct Records {
    pub(super) store: Option<Arc<dyn RecordStore>>,
    tidied: Option<Instant>,
    written: usize,
}

impl Records {
    /// Whether it is time to tidy.
    fn is_untidy(&mut self, now: Instant, writing: usize) -> bool {
        self.written = self.written.saturating_add(writing);
        let early = self.tidied.is_some_and(|at| now < at + TIDY);
        if early && self.written < TIDY_AFTER {
            return false;
        }
        (self.tidied, self.written) = (Some(now), 0);
        true
    }
}

impl Brain {
    /// Carries out what the node wants of the store, and tells it what came of it.
    pub(super) fn store_records(&mut self, order: Order) {
        let Some(store) = self.records.store.clone() else { return };
        let (now, unix) = (self.platform.now(), self.platform.unix_millis());
        let tidy = match &order {
            Order::Write(entries) => self.records.is_untidy(now, entries.len()),
            Order::Find(_) => false,
        };
        let commands = self.commands_sender.clone();
        let tell = move |action: Action| {
            // A node that has ended waits for nothing.
            let _ = commands.unbounded_send(Command::With(action));
        };
        self.platform.spawn(Box::pin(async move {
            match order {
                Order::Find(place) => {
                    let found = store.find(place).await.map_err(|error| error.0);
                    tell(Box::new(move |node, now| node.records_found(now, place, found)));
                }
                Order::Write(entries) => {
                    let mut result = store.write(entries).await;
                    if tidy && result.is_ok() {
                        result = store.tidy(unix).await;
                    }
                    let result = result.map_err(|error| error.0);
                    tell(Box::new(move |node, now| node.records_written(now, result)));
                }
            }
        }));
    }
}

/// A store in memory, which nodes of one process may share; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryRecords(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    limits: RecordLimits,
    entries: BTreeMap<(Place, Vec<u8>), Entry>,
    ends: BTreeSet<(u64, Place, Vec<u8>)>,
    bytes: u64,
}

impl MemoryRecords {
    /// An empty one.
    pub fn new(limits: RecordLimits) -> Self {
        Self(Arc::new(Mutex::new(Shelf { limits, ..Shelf::default() })))
    }

    fn with<T: Send + 'static>(&self, act: impl FnOnce(&mut Shelf) -> T) -> Stored<T> {
        let done = act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(std::future::ready(Ok(done)))
    }
}

impl Shelf {
    fn put(&mut self, entry: Entry) {
        self.remove(&(entry.place, entry.name.clone()));
        self.bytes += entry.value.len() as u64;
        self.ends.insert((entry.expires, entry.place, entry.name.clone()));
        self.entries.insert((entry.place, entry.name.clone()), entry);
        while self.entries.len() > self.limits.entries || self.bytes > self.limits.bytes {
            let Some((_, place, name)) = self.ends.first().cloned() else { break };
            self.remove(&(place, name));
        }
    }

    fn remove(&mut self, at: &(Place, Vec<u8>)) {
        if let Some(old) = self.entries.remove(at) {
            self.bytes -= old.value.len() as u64;
            self.ends.remove(&(old.expires, old.place, old.name));
        }
    }
}

impl RecordStore for MemoryRecords {
    fn find(&self, place: Place) -> Stored<Vec<Entry>> {
        self.with(|shelf| {
            let range = shelf.entries.range((place, Vec::new())..);
            let found = range.take_while(|((at, _), _)| *at == place);
            latest_entries(found.map(|(_, entry)| entry.clone()).collect())
        })
    }

    fn write(&self, entries: Vec<Entry>) -> Stored<()> {
        self.with(|shelf| entries.into_iter().for_each(|entry| shelf.put(entry)))
    }

    fn tidy(&self, unix_millis: u64) -> Stored<()> {
        self.with(|shelf| {
            while let Some((_, place, name)) =
                shelf.ends.first().filter(|(end, ..)| *end <= unix_millis).cloned()
            {
                shelf.remove(&(place, name));
            }
        })
    }
}

/// Those that expire last, as many as are asked for.
pub fn latest_entries(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_key(|entry| core::cmp::Reverse(entry.expires));
    entries.truncate(Entry::MAX_FOUND);
    entries
}
