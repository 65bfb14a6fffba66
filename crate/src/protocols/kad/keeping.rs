//! What the node has others keep: announced anew until it is withdrawn.
//!
//! Source: libp2p specs, `kad-dht/README.md`, "Content provider advertisement and
//! discovery": what is provided is announced anew every 22 h, as others forget it after
//! 48 h; records likewise.

use core::time::Duration;

use crate::collections::{LongMap, LongSet};
use crate::time::Instant;

use super::config::MAX_REPUBLISHING;
use super::message::Record;
use super::query::{Goal, QueryId};
use super::{Kademlia, OWN};

/// When something is tried again that found no room among the queries.
const AGAIN: Duration = Duration::from_secs(60);

/// What others are to keep, and when they are told again.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    provided: LongMap<Vec<u8>, Instant>,
    put: LongMap<Vec<u8>, (Record, Instant)>,
    due: LongSet<(Instant, Vec<u8>)>,
}

impl Keeping {
    pub(super) fn provides(&self, key: &[u8]) -> bool {
        self.provided.contains_key(key)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    fn provide(&mut self, key: &[u8], at: Instant) {
        if let Some(before) = self.provided.insert(key.to_vec(), at) {
            self.due.remove(&(before, key.to_vec()));
        }
        self.due.insert((at, key.to_vec()));
    }

    fn put(&mut self, record: Record, at: Instant) {
        let key = record.key.clone();
        if let Some((_, before)) = self.put.insert(key.clone(), (record, at)) {
            self.due.remove(&(before, key.clone()));
        }
        self.due.insert((at, key));
    }

    fn withdraw(&mut self, key: &[u8]) {
        let provided = self.provided.remove(key);
        let put = self.put.remove(key).map(|(_, at)| at);
        for at in provided.into_iter().chain(put) {
            self.due.remove(&(at, key.to_vec()));
        }
    }
}

impl Kademlia {
    /// The keys that this node provides, announced again and again.
    pub fn provided(&self) -> impl Iterator<Item = &[u8]> {
        self.keeping.provided.keys().map(Vec::as_slice)
    }

    /// What a key has is announced no more: others forget it with its time.
    pub(crate) fn withdraw(&mut self, key: &[u8]) {
        self.keeping.withdraw(key);
    }

    pub(super) fn keep_provided(&mut self, now: Instant, key: &[u8]) {
        self.keeping.provide(key, now + self.config.republish);
    }

    pub(super) fn keep_put(&mut self, now: Instant, record: Record) {
        self.keeping.put(record, now + self.config.republish);
    }

    /// Announces what is due, some at a time.
    pub(super) fn republish(&mut self, now: Instant) {
        while let Some((_, key)) = self.keeping.due.first().filter(|(at, _)| *at <= now).cloned() {
            let own = self.queries.iter().filter(|(id, query)| {
                id.0 & OWN != 0 && matches!(query.goal, Goal::Put(_) | Goal::Provide)
            });
            let mut next = now + self.config.republish;
            let room = own.count() < MAX_REPUBLISHING;
            if self.keeping.provided.get(&key).is_some_and(|at| *at <= now) {
                if !room || !self.begin_own(now, Goal::Provide, &key) {
                    next = now + AGAIN;
                }
                self.keeping.provide(&key, next);
            } else if let Some((record, _)) = self.keeping.put.get(&key).cloned() {
                let Some(record) = self.still_best(now, record) else {
                    self.keeping.withdraw(&key);
                    continue;
                };
                if !room || !self.begin_own(now, Goal::Put(record.clone()), &key) {
                    next = now + AGAIN;
                }
                self.keeping.put(record, next);
            }
        }
    }

    /// A record that was put, or the better one that has come since; none if it has had
    /// its time.
    fn still_best(&mut self, now: Instant, record: Record) -> Option<Record> {
        let kept = self.store.record(now, &record.key).cloned();
        let better =
            |new: &Record| self.validators.is_better(&record.key, &new.value, &record.value);
        let best = kept.filter(better).unwrap_or(record);
        // Nobody else would keep it either.
        self.keep(now, &best).ok()?;
        Some(best)
    }

    fn begin_own(&mut self, now: Instant, goal: Goal, key: &[u8]) -> bool {
        self.next += 1;
        self.begin(now, QueryId(self.next | OWN), goal, key.to_vec(), false).is_ok()
    }
}
