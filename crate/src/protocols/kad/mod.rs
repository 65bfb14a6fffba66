//! Kademlia: who is nearest to a key, what is kept under it, who provides it.
//!
//! Source: libp2p specs, `kad-dht/README.md` (r2). Its parts know nothing of streams:
//! the key space ([`Key`]), whom we know of it ([`Table`]), the search in it
//! ([`Lookup`]), the messages ([`Request`], [`Answer`]), what is kept
//! ([`Store`](store::Store)) and which of it is good ([`Validators`]). [`Kademlia`] makes
//! a protocol of them.
//!
//! What a remote can fill: the table (`table`), candidates of a lookup (`lookup`), lists
//! of an answer (`message`), what is kept for others (`store`), and streams that wait for
//! an answer ([`MAX_INBOUND`], [`MAX_INBOUND_PER_CONNECTION`]).

mod asking;
pub mod behind;
mod config;
mod key;
pub mod lookup;
pub mod message;
mod query;
mod serving;
pub mod store;
pub mod table;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::VecDeque;

use thiserror::Error;

use crate::address::Multiaddr;
use crate::collections::{LongMap, LongSet};
use crate::connection::{Framing, StreamId};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::ConnectionId;
use crate::time::{Instant, earliest};

use super::{Action, Input, Local, Protocol};

pub use crate::records::{Invalid, Validator, Validators};
pub use config::{
    Config, LAN_NAME, MAX_INBOUND, MAX_INBOUND_PER_CONNECTION, MAX_QUERIES, Mode, NAME,
};
pub use key::{Distance, Key};
pub use lookup::Lookup;
pub use message::{Answer, Contact, Link, MessageError, Record, Request};
pub use query::{QueryEvent, QueryId, Summary};
pub use table::{Group, Offered, Table};

use asking::Ask;
use query::{Goal, Query};

/// Addresses that are kept of a peer.
const MAX_ADDRESSES: usize = message::MAX_ADDRESSES;
/// How often the store forgets what has had its time.
const TIDY: Duration = Duration::from_secs(600);

/// Why a query did not begin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// [`MAX_QUERIES`] are under way: wait for one of them.
    #[error("too many queries are under way")]
    TooMany,
    /// The record is not good.
    #[error(transparent)]
    Put(#[from] PutError),
    /// The node takes part in no DHT: configure one.
    #[error("this node takes part in no DHT")]
    Off,
}

/// Why a record is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PutError {
    /// It is not good.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// What is there is better.
    #[error("a better record is there already")]
    Worse,
    /// There is no room.
    #[error(transparent)]
    Full(#[from] store::StoreFull),
}

/// What only this protocol wants of its node.
#[derive(Debug)]
pub enum Order {
    /// A connection to a peer, which may be at these addresses.
    Reach {
        /// Who.
        peer: PeerId,
        /// Where it is said to be.
        addresses: Vec<Multiaddr>,
    },
    /// It is not needed any more.
    Forget {
        /// Who.
        peer: PeerId,
    },
    /// Something of the store behind the memory.
    Store(crate::records::Order),
}

/// A remote on one connection.
struct Remote {
    peer: PeerId,
    group: Option<Group>,
}

/// The protocol.
pub struct Kademlia {
    config: Config,
    me: PeerId,
    table: Table,
    store: store::Store,
    behind: Option<behind::Behind>,
    validators: Validators,
    remotes: LongMap<ConnectionId, Remote>,
    connected: LongMap<PeerId, Vec<ConnectionId>>,
    /// Where those of the table are, and who provides something.
    addresses: LongMap<PeerId, Vec<Multiaddr>>,
    queries: LongMap<QueryId, Query>,
    asks: LongMap<u64, Ask>,
    deadlines: LongSet<(Instant, u64)>,
    streams: LongMap<(ConnectionId, StreamId), u64>,
    /// Asks that wait for a connection.
    unreached: LongMap<PeerId, Vec<u64>>,
    inbound: LongSet<(ConnectionId, StreamId)>,
    actions: VecDeque<Action>,
    next: u64,
    refresh_at: Option<Instant>,
    tidy_at: Instant,
}

impl Kademlia {
    /// Takes part from now on.
    pub fn new(config: Config, me: PeerId) -> Self {
        let table = Table::new(config.table.clone(), Key::of_peer(&me));
        Self {
            store: store::Store::new(config.store.clone(), Key::of_peer(&me)),
            behind: None,
            config,
            me,
            table,
            validators: Validators::default(),
            remotes: LongMap::new(),
            connected: LongMap::new(),
            addresses: LongMap::new(),
            queries: LongMap::new(),
            asks: LongMap::new(),
            deadlines: LongSet::new(),
            streams: LongMap::new(),
            unreached: LongMap::new(),
            inbound: LongSet::new(),
            actions: VecDeque::new(),
            next: 0,
            refresh_at: None,
            tidy_at: Instant::ZERO + TIDY,
        }
    }

    /// Whom it knows.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// What it keeps for others.
    pub fn store(&self) -> &store::Store {
        &self.store
    }

    /// Which records are good.
    pub fn validators_mut(&mut self) -> &mut Validators {
        &mut self.validators
    }

    /// Looks for those who are nearest to a key.
    pub(crate) fn closest(
        &mut self,
        now: Instant,
        id: QueryId,
        key: Vec<u8>,
    ) -> Result<(), QueryError> {
        self.begin(now, id, Goal::Closest, key, true)
    }

    /// Looks for where a peer is.
    pub(crate) fn find_peer(
        &mut self,
        now: Instant,
        id: QueryId,
        peer: PeerId,
    ) -> Result<(), QueryError> {
        self.begin(now, id, Goal::Peer(peer), peer.as_bytes().to_vec(), true)
    }

    /// Looks for who provides a key, until so many are found.
    pub(crate) fn find_providers(
        &mut self,
        now: Instant,
        id: QueryId,
        (key, enough): (Vec<u8>, usize),
    ) -> Result<(), QueryError> {
        self.begin(now, id, Goal::Providers { enough: enough.max(1) }, key, true)
    }

    /// Tells the nearest to a key that we provide it.
    pub(crate) fn provide(
        &mut self,
        now: Instant,
        id: QueryId,
        key: Vec<u8>,
    ) -> Result<(), QueryError> {
        self.begin(now, id, Goal::Provide, key, true)
    }

    /// Looks for the value of a key, until so many agree on the best.
    pub(crate) fn get(
        &mut self,
        now: Instant,
        id: QueryId,
        (key, quorum): (Vec<u8>, usize),
    ) -> Result<(), QueryError> {
        let kept = self.store.record(now, &key).cloned();
        let place = crate::records::Place::of_record(&key);
        self.begin(now, id, Goal::Value { quorum: quorum.max(1) }, key, true)?;
        if self.park(now, place, behind::Waiting::Query(id)).is_ok() {
            return Ok(());
        }
        if let Some(record) = kept {
            self.found(now, id, self.me, record);
        }
        Ok(())
    }

    /// Has a record kept by those who are nearest to its key.
    pub(crate) fn put(
        &mut self,
        now: Instant,
        id: QueryId,
        record: Record,
    ) -> Result<(), QueryError> {
        self.keep(now, &record)?;
        let key = record.key.clone();
        self.begin(now, id, Goal::Put(record), key, true)
    }

    /// Gives a query up; nothing more is said of it.
    pub(crate) fn cancel(&mut self, id: QueryId) {
        if let Some(query) = self.queries.get_mut(&id) {
            query.is_told = false;
            self.end(id, false);
        }
    }

    /// A peer said what it speaks and where it is.
    pub(crate) fn identified(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        (protocols, addresses): (&[Name], &[Multiaddr]),
    ) {
        let Some(remote) = self.remotes.get(&connection) else { return };
        let (peer, group) = (remote.peer, remote.group);
        if !protocols.contains(&self.config.protocol) {
            // It was a server, and is one no more.
            self.table.remove(now, &peer);
            return;
        }
        self.learn(&peer, addresses);
        match self.table.offer(now, peer, group) {
            Offered::Added => self.refresh_at = self.refresh_at.or(Some(now)),
            Offered::Waits(oldest) => {
                let since = self.long_before(now);
                if self.table.silent(since).any(|silent| *silent == oldest) {
                    self.probe(now, oldest);
                }
            }
            _ => {}
        }
    }

    /// Keeps in mind where a peer is.
    fn learn(&mut self, peer: &PeerId, addresses: &[Multiaddr]) {
        if !addresses.is_empty() {
            let known = addresses.iter().take(MAX_ADDRESSES).cloned().collect();
            self.addresses.insert(*peer, known);
        }
    }

    fn group_of(&self, peer: &PeerId) -> Option<Group> {
        let connection = self.connected.get(peer)?.first()?;
        self.remotes.get(connection)?.group
    }

    /// The time of the records: milliseconds since 1970.
    pub fn unix_millis(&self, now: Instant) -> u64 {
        self.config.unix_millis_at_zero.saturating_add((now - Instant::ZERO).as_millis() as u64)
    }

    fn on_connected(&mut self, connection: ConnectionId, peer: PeerId, remote: &Multiaddr) {
        self.remotes.insert(connection, Remote { peer, group: Group::of(remote) });
        self.connected.entry(peer).or_default().push(connection);
        self.reached(&peer, connection);
    }

    fn on_disconnected(&mut self, now: Instant, connection: ConnectionId) {
        let Some(remote) = self.remotes.remove(&connection) else { return };
        if let Some(links) = self.connected.get_mut(&remote.peer) {
            links.retain(|link| *link != connection);
            if links.is_empty() {
                self.connected.remove(&remote.peer);
            }
        }
        let first = (connection, StreamId::from_number(0));
        let lost: Vec<u64> = self
            .streams
            .range(first..)
            .take_while(|((of, _), _)| *of == connection)
            .map(|(_, number)| *number)
            .collect();
        self.streams.retain(|(of, _), _| *of != connection);
        for number in lost {
            self.failed(now, number);
        }
        self.inbound.retain(|(of, _)| *of != connection);
    }

    fn on_message(
        &mut self,
        now: Instant,
        (connection, stream): (ConnectionId, StreamId),
        bytes: &[u8],
    ) {
        if self.inbound.contains(&(connection, stream)) {
            self.on_request(now, connection, stream, bytes);
        } else if let Some(number) = self.streams.get(&(connection, stream)).copied() {
            self.on_answer(now, number, bytes);
        }
    }

    /// The remote says no more on a stream.
    fn on_end(
        &mut self,
        now: Instant,
        (connection, stream): (ConnectionId, StreamId),
        reset: bool,
    ) {
        if !reset && self.end_parked(connection, stream) {
            return;
        }
        if self.inbound.remove(&(connection, stream)) && !reset {
            self.actions.push_back(Action::Finish { connection, stream });
        }
        if let Some(number) = self.streams.remove(&(connection, stream)) {
            self.failed(now, number);
        }
    }

    /// Looks around in the parts of the key space that nobody looked in for long, and
    /// near ourselves ("Bootstrap process").
    fn refresh(&mut self, now: Instant) {
        self.refresh_at = Some(now + self.config.refresh);
        let stale = self.table.stale(self.long_before(now));
        let keys = stale.into_iter().filter(|prefix| *prefix <= MAX_REFRESHED);
        let keys: Vec<_> = keys.map(|prefix| self.key_with(prefix)).collect();
        let own = self.me.as_bytes().to_vec();
        for key in core::iter::once(own).chain(keys) {
            self.next += 1;
            let id = QueryId(self.next | OWN);
            // If too many are under way already, there is no need of more.
            if self.begin(now, id, Goal::Closest, key, false).is_err() {
                return;
            }
        }
    }

    /// A key that has so many bits in common with us, found by trying.
    fn key_with(&mut self, prefix: u32) -> Vec<u8> {
        let me = Key::of_peer(&self.me);
        loop {
            self.next += 1;
            let key = [self.me.as_bytes(), &self.next.to_le_bytes()].concat();
            if me.common_prefix(&Key::of(&key)) == prefix {
                return key;
            }
        }
    }

    fn long_before(&self, now: Instant) -> Instant {
        Instant::ZERO + (now - Instant::ZERO).saturating_sub(self.config.refresh)
    }
}

/// The nearest part of the key space that is refreshed by itself: nearer ones are met on
/// the way to ourselves, and keys for them are not found in a few thousand tries.
const MAX_REFRESHED: u32 = 12;

/// What the number of a query has that the node makes for itself.
const OWN: u64 = 1 << 63;

impl Protocol for Kademlia {
    fn names(&self) -> Vec<(Name, Framing)> {
        let framing = Framing::LengthPrefixed { max: message::MAX_MESSAGE };
        match self.config.mode {
            Mode::Server => vec![(self.config.protocol.clone(), framing)],
            Mode::Client => Vec::new(),
        }
    }

    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>) {
        match input {
            Input::Connected { connection, peer, remote, .. } => {
                self.on_connected(connection, *peer, remote);
            }
            Input::Disconnected { connection } => self.on_disconnected(now, connection),
            Input::Opened { connection, request, stream, .. } => {
                self.on_opened(request, connection, stream);
            }
            Input::OpenFailed { request, .. } => self.failed(now, request),
            Input::Inbound { connection, stream, .. } => self.on_inbound(connection, stream),
            Input::Message { connection, stream, bytes } => {
                self.on_message(now, (connection, stream), &bytes);
            }
            Input::Finished { connection, stream } => {
                self.on_end(now, (connection, stream), false);
            }
            Input::Reset { connection, stream } => self.on_end(now, (connection, stream), true),
            Input::Timeout => {
                self.time_queries(now);
                self.time_parked(now);
                if self.tidy_at <= now {
                    self.tidy_at = now + TIDY;
                    self.store.tidy(now);
                }
                if self.refresh_at.is_some_and(|at| at <= now) {
                    self.refresh(now);
                }
            }
            _ => {}
        }
        self.advance(now, local);
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let asks = self.deadlines.first().map(|(at, _)| *at);
        let queries = self.queries.values().map(|query| query.deadline).min();
        let tidy = (!self.store.is_empty()).then_some(self.tidy_at);
        let own = earliest(self.refresh_at, self.parked_timeout());
        earliest(earliest(asks, queries), earliest(tidy, own))
    }
}
