//! The store behind the memory, if the host has one.
//!
//! What is kept in memory is written there, too, and what is not in memory, or was there
//! for long, is looked for there before a remote is answered: after a restart, and where
//! several servers share one store.
//!
//! What a remote can fill: requests that wait ([`MAX_PARKED`]; more are answered from
//! memory), keys that were looked for ([`MAX_ASKED`]), and what waits to be written
//! ([`MAX_UNWRITTEN`], [`MAX_UNWRITTEN_BYTES`]; more is refused).

use core::time::Duration;

use crate::address::Multiaddr;
use crate::collections::LongMap;
use crate::connection::StreamId;
use crate::identity::PeerId;
use crate::node::ConnectionId;
use crate::protocols::Action;
use crate::records::{Entry, Order as StoreOrder, Place};
use crate::time::Instant;
use crate::wire::protobuf::{Malformed, Reader, Writer};

use super::message::{MAX_ADDRESSES, MAX_KEY, Record, Request, read_record};
use super::query::QueryId;
use super::store::{Provider, StoreFull};
use super::{Kademlia, Order};

/// Requests that wait for the store, each of a message's length at most.
pub const MAX_PARKED: usize = 128;
/// Entries that wait to be written.
pub const MAX_UNWRITTEN: usize = 4096;
/// Their bytes.
pub const MAX_UNWRITTEN_BYTES: usize = 8 * 1024 * 1024;
/// Keys that the store was asked for not long ago.
pub const MAX_ASKED: usize = 16_384;
/// How long the store is waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long what is in memory is taken for all there is: what another server wrote into
/// a shared store is seen after that.
pub const FRESH: Duration = Duration::from_secs(60);
/// An entry that gains less life than this is not written again.
const WORTH_WRITING: Duration = Duration::from_secs(3600);
/// Entries that are written together.
const BATCH: usize = 256;

#[derive(Default)]
pub(super) struct Behind {
    unwritten: LongMap<(Place, Vec<u8>), Entry>,
    bytes: usize,
    is_writing: bool,
    parked: LongMap<Place, Parking>,
    /// Until when memory is as good as the store.
    asked: LongMap<Place, Instant>,
}

struct Parking {
    deadline: Instant,
    waiting: Vec<Waiting>,
}

/// Who waits for what the store has.
pub(super) enum Waiting {
    Request(Box<Parked>),
    Query(QueryId),
}

/// A request whose answer depends on the store.
pub(super) struct Parked {
    pub(super) connection: ConnectionId,
    pub(super) stream: StreamId,
    pub(super) request: Request,
    /// The remote says no more on the stream.
    pub(super) ended: bool,
}

impl Parked {
    /// What the store has to be asked for; of a provider's word nothing.
    pub(super) fn place(&self) -> Option<Place> {
        match &self.request {
            Request::GetValue { key } => Some(Place::of_record(key)),
            Request::PutValue { record } => Some(Place::of_record(&record.key)),
            Request::GetProviders { key } => Some(Place::of_providers(key)),
            _ => None,
        }
    }
}

impl Behind {
    fn parked(&self) -> impl Iterator<Item = &Parked> {
        self.parked.values().flat_map(|parking| &parking.waiting).filter_map(|one| match one {
            Waiting::Request(parked) => Some(&**parked),
            Waiting::Query(_) => None,
        })
    }

    fn full(&self) -> bool {
        self.unwritten.len() >= MAX_UNWRITTEN || self.bytes >= MAX_UNWRITTEN_BYTES
    }
}

impl Kademlia {
    /// The host has a store from now on.
    pub(crate) fn store_behind(&mut self) {
        self.behind.get_or_insert_default();
    }

    /// Whether all is written that is to be.
    #[cfg(feature = "async")]
    pub(crate) fn is_written(&self) -> bool {
        self.behind.as_ref().is_none_or(|behind| !behind.is_writing)
    }

    /// Has `waiting` wait for what the store has at a place; it is given back if memory
    /// is all that there is.
    pub(super) fn park(
        &mut self,
        now: Instant,
        place: Place,
        waiting: Waiting,
    ) -> Result<(), Waiting> {
        let Some(behind) = &mut self.behind else { return Err(waiting) };
        let fresh = behind.asked.get(&place).is_some_and(|until| *until > now);
        let parked: usize = behind.parked.values().map(|parking| parking.waiting.len()).sum();
        if fresh || parked >= MAX_PARKED {
            return Err(waiting);
        }
        if let Some(parking) = behind.parked.get_mut(&place) {
            parking.waiting.push(waiting);
        } else {
            let parking = Parking { deadline: now + PATIENCE, waiting: vec![waiting] };
            behind.parked.insert(place, parking);
            self.actions.push_back(Action::Kad(Order::Store(StoreOrder::Find(place))));
        }
        Ok(())
    }

    /// Whether a request of a stream waits.
    pub(super) fn is_parked(&self, connection: ConnectionId, stream: StreamId) -> bool {
        let of_it = |one: &Parked| (one.connection, one.stream) == (connection, stream);
        self.behind.as_ref().is_some_and(|behind| behind.parked().any(of_it))
    }

    /// Whether a query waits for what the store has.
    pub(super) fn awaits_store(&self, id: QueryId) -> bool {
        let mut parked = self.behind.iter().flat_map(|behind| behind.parked.values());
        let of_it = |one: &Waiting| matches!(one, Waiting::Query(query) if *query == id);
        parked.any(|parking| parking.waiting.iter().any(of_it))
    }

    /// The remote says no more on a stream; whether a request of it still waits.
    pub(super) fn end_parked(&mut self, connection: ConnectionId, stream: StreamId) -> bool {
        let Some(behind) = &mut self.behind else { return false };
        for waiting in behind.parked.values_mut().flat_map(|parking| &mut parking.waiting) {
            if let Waiting::Request(parked) = waiting
                && (parked.connection, parked.stream) == (connection, stream)
            {
                parked.ended = true;
                return true;
            }
        }
        false
    }

    /// What the store has at a place; `None` if it cannot say.
    pub(crate) fn records_found(&mut self, now: Instant, place: Place, found: Option<Vec<Entry>>) {
        let parking = self.behind.as_mut().and_then(|behind| behind.parked.remove(&place));
        // Who waited for this was answered without it.
        let Some(parking) = parking else { return };
        if let Some(entries) = found {
            self.note_asked(now, place);
            for entry in entries.iter().filter(|entry| entry.place == place) {
                // What cannot be read is not there.
                let _ = self.take_in(now, entry);
            }
        }
        for waiting in parking.waiting {
            match waiting {
                Waiting::Request(parked) => self.respond(now, *parked),
                Waiting::Query(id) => {
                    let Some(query) = self.queries.get(&id) else { continue };
                    let key = query.key.clone();
                    self.found_providers(id, self.kept_providers(now, &key));
                    if let Some(record) = self.store.record(now, &key).cloned() {
                        self.found(now, id, self.me, record);
                    }
                }
            }
        }
    }

    fn note_asked(&mut self, now: Instant, place: Place) {
        let Some(behind) = &mut self.behind else { return };
        if behind.asked.len() >= MAX_ASKED {
            behind.asked.retain(|_, until| *until > now);
        }
        if behind.asked.len() < MAX_ASKED {
            behind.asked.insert(place, now + FRESH);
        }
    }

    /// Takes an entry of the store into memory, if it is as good as what is there.
    fn take_in(&mut self, now: Instant, entry: &Entry) -> Result<(), Malformed> {
        let unix = self.unix_millis(now);
        let left = Duration::from_millis(entry.expires.saturating_sub(unix));
        if left.is_zero() {
            return Ok(());
        }
        let limits = self.store.limits();
        if entry.place.is_of_record() {
            let until = now + left.min(limits.record_life);
            let record = read_record(&entry.value).map_err(|_| Malformed)?;
            let good = self.validators.validate(&record.key, &record.value, unix).is_ok();
            let old = self.store.record(now, &record.key);
            let better = old.is_none_or(|old| {
                self.validators.is_better(&record.key, &record.value, &old.value)
            });
            if good && better && Place::of_record(&record.key) == entry.place {
                // Without room it is not kept in memory, and found again another time.
                let _ = self.store.put_until(record, until);
            }
        } else {
            let until = now + left.min(limits.provider_life);
            let peer = PeerId::from_bytes(&entry.name).map_err(|_| Malformed)?;
            let (key, addresses) = read_provider(&entry.value)?;
            let known = self.store.providers(now, &key).any(|one| one.peer == peer);
            if !known && Place::of_providers(&key) == entry.place {
                let _ = self.store.provide_until(&key, Provider::new(peer, &addresses, until));
            }
        }
        Ok(())
    }

    /// Whether the store keeps up with what comes.
    pub(super) fn room_behind(&self) -> Result<(), StoreFull> {
        let full = self.behind.as_ref().is_some_and(Behind::full);
        if full { Err(StoreFull::Unwritten) } else { Ok(()) }
    }

    /// Has a record written that is in memory now; `old` is when the same one ended.
    pub(super) fn write_record(&mut self, now: Instant, record: &Record, old: Option<Instant>) {
        let life = self.store.limits().record_life;
        if self.behind.is_none() || old.is_some_and(|old| old + WORTH_WRITING > now + life) {
            return;
        }
        let mut value = Vec::new();
        Writer(&mut value)
            .bytes(1, &record.key)
            .bytes(2, &record.value)
            .some_bytes(5, record.received.as_bytes());
        let place = Place::of_record(&record.key);
        self.write(now, Entry { place, name: Vec::new(), value, expires: millis(life) });
    }

    /// Has a provider written that is in memory now; `old` is what was known of it.
    pub(super) fn write_provider(
        &mut self,
        now: Instant,
        key: &[u8],
        peer: &PeerId,
        old: Option<Provider>,
    ) {
        let life = self.store.limits().provider_life;
        let Some(new) = self.store.providers(now, key).find(|one| one.peer == *peer) else {
            return;
        };
        let same = old.is_some_and(|old| {
            old.addresses == new.addresses && old.until + WORTH_WRITING > new.until
        });
        if self.behind.is_none() || same {
            return;
        }
        let mut value = Vec::new();
        let mut out = Writer(&mut value);
        out.bytes(1, key);
        for address in &new.addresses {
            out.bytes(2, address.as_bytes());
        }
        let name = peer.as_bytes().to_vec();
        self.write(
            now,
            Entry { place: Place::of_providers(key), name, value, expires: millis(life) },
        );
    }

    /// Has an entry written whose end is given as the life that it has left.
    fn write(&mut self, now: Instant, mut entry: Entry) {
        entry.expires = self.unix_millis(now).saturating_add(entry.expires);
        let Some(behind) = &mut self.behind else { return };
        behind.bytes += entry.value.len();
        let at = (entry.place, entry.name.clone());
        if let Some(old) = behind.unwritten.insert(at, entry) {
            behind.bytes -= old.value.len();
        }
        self.write_on();
    }

    /// The last entries are written, or cannot be.
    pub(crate) fn records_written(&mut self) {
        if let Some(behind) = &mut self.behind {
            behind.is_writing = false;
        }
        self.write_on();
    }

    fn write_on(&mut self) {
        let Some(behind) = &mut self.behind else { return };
        if behind.is_writing || behind.unwritten.is_empty() {
            return;
        }
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some((_, entry)) = behind.unwritten.pop_first()
        {
            behind.bytes -= entry.value.len();
            batch.push(entry);
        }
        behind.is_writing = true;
        self.actions.push_back(Action::Kad(Order::Store(StoreOrder::Write(batch))));
    }

    /// Answers those without the store that have waited for long.
    pub(super) fn time_parked(&mut self, now: Instant) {
        let Some(behind) = &self.behind else { return };
        let late = behind.parked.iter().filter(|(_, parking)| parking.deadline <= now);
        let late: Vec<Place> = late.map(|(place, _)| *place).collect();
        for place in late {
            self.records_found(now, place, None);
        }
    }

    pub(super) fn parked_timeout(&self) -> Option<Instant> {
        self.behind.as_ref()?.parked.values().map(|parking| parking.deadline).min()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn read_provider(bytes: &[u8]) -> Result<(Vec<u8>, Vec<Multiaddr>), Malformed> {
    let (mut key, mut addresses) = (Vec::new(), Vec::new());
    for field in Reader(bytes) {
        match field? {
            (1, value) => {
                key = Some(value.bytes()?)
                    .filter(|key| key.len() <= MAX_KEY)
                    .ok_or(Malformed)?
                    .to_vec()
            }
            (2, value) if addresses.len() < MAX_ADDRESSES => {
                addresses.extend(Multiaddr::from_bytes(value.bytes()?).ok());
            }
            _ => {}
        }
    }
    Ok((key, addresses))
}
