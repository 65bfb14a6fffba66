//! The host's store behind what the DHT keeps for others.

use polypeer::peer::Output;
use polypeer::records::{Entry, Order, Place};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::records::{Records, Tag};
use crate::{Core, instant};

#[wasm_bindgen]
impl Core {
    /// The host has a store of records and carries out orders from now on.
    pub fn store_records(&mut self) {
        self.peer.store_records();
    }

    /// An entry that the store has at the place of `records_found` to come; `expires` is
    /// in milliseconds of Unix time.
    pub fn found(&mut self, name: &[u8], value: &[u8], expires: f64) {
        self.found.push((name.to_vec(), value.to_vec(), expires as u64));
    }

    /// That is all that the store has at a place; or it cannot say.
    pub fn records_found(&mut self, now: f64, place: &[u8], known: bool) {
        let found = core::mem::take(&mut self.found).into_iter();
        let Some(place) = Place::from_bytes(place) else { return };
        let entry = |(name, value, expires)| Entry { place, name, value, expires };
        let found = if known { Ok(found.map(entry).collect()) } else { Err(String::new()) };
        self.peer.records_found(instant(now), place, found);
    }

    /// The store has carried out the last order to write, or has failed to.
    pub fn records_written(&mut self, now: f64) {
        self.peer.records_written(instant(now), Ok(()));
    }
}

/// Tells what is wanted of the store; nothing of anything else.
pub(crate) fn record(out: &mut Records<'_>, output: &Output) {
    match output {
        Output::Records(Order::Find(place)) => out.part(Tag::FindRecords, |out| {
            out.bytes(place.as_bytes());
        }),
        Output::Records(Order::Write(entries)) => out.part(Tag::WriteRecords, |out| {
            out.number(entries.len() as u64);
            for entry in entries {
                out.bytes(entry.place.as_bytes())
                    .bytes(&entry.name)
                    .bytes(&entry.value)
                    .number(entry.expires);
            }
        }),
        _ => {}
    }
}
