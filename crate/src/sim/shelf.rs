//! A store for what simulated peers keep for others, their own or one of several.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::records::{Entry, Order, Place};

use super::{Application, PeerIndex, World};

/// A store of records and providers; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<(Place, Vec<u8>), Entry>,
    silent: bool,
    orders: u64,
}

impl Shelf {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.with(|inner| inner.entries.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it was asked to do so far.
    pub fn orders(&self) -> u64 {
        self.with(|inner| inner.orders)
    }

    /// From now on it does nothing, and answers nobody.
    pub fn fall_silent(&self) {
        self.with(|inner| inner.silent = true);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<A: Application> World<A> {
    /// Gives a peer a store for what it keeps for others.
    pub fn store_records(&mut self, index: PeerIndex, shelf: &Shelf) {
        let host = &mut self.hosts[index.0];
        host.shelf = Some(shelf.clone());
        host.peer.store_records();
    }

    pub(super) fn carry_out(&mut self, index: PeerIndex, order: Order) {
        let host = &mut self.hosts[index.0];
        let Some(shelf) = &host.shelf else { return };
        let silent = shelf.with(|inner| {
            inner.orders += 1;
            inner.silent
        });
        if silent {
            return;
        }
        match order {
            Order::Find(place) => {
                let found = shelf.with(|inner| {
                    let range = inner.entries.range((place, Vec::new())..);
                    let found = range.take_while(|((at, _), _)| *at == place);
                    found.map(|(_, entry)| entry.clone()).take(Entry::MAX_FOUND).collect()
                });
                host.peer.records_found(self.now, place, Ok(found));
            }
            Order::Write(entries) => {
                shelf.with(|inner| {
                    let named = entries.into_iter().map(|one| ((one.place, one.name.clone()), one));
                    inner.entries.extend(named);
                });
                host.peer.records_written(self.now, Ok(()));
            }
        }
    }
}
