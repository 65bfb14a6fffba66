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
mod hearing;
mod keeping;
mod key;
pub mod lookup;
pub mod message;
mod query;
mod refreshing;
mod serving;
#[cfg(feature = "sim")]
mod simulated;
mod size;
pub mod store;
pub mod table;
#[cfg(test)]
mod tests;

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
    Config, LAN_NAME, MAX_INBOUND, MAX_INBOUND_PER_CONNECTION, MAX_PROBES, MAX_QUERIES,
    MAX_REPUBLISHING, Mode, NAME, OWN_NAME,
};
pub use key::{Distance, Key};
pub use lookup::Lookup;
pub use message::{Answer, Contact, Link, MessageError, Record, Request};
pub use query::{QueryEvent, QueryId, Summary};
pub use table::{Group, Offered, Table};

use asking::Ask;
use query::{Goal, Query};

/// Whether a node can answer others at all; where not, the compiler leaves out what is only
/// a server's.
const SERVES: bool = cfg!(feature = "kad-server");
/// Addresses that are kept of a peer.
const MAX_ADDRESSES: usize = message::MAX_ADDRESSES;
/// Peers whose addresses are kept: of those connected and those in the table, which are
/// fewer; others go when it is tidied.
const MAX_KNOWN: usize = 16_384;

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
    /// It said that it answers others.
    serves: bool,
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
    /// Whether it answers others.
    serves: bool,
    /// Where we can be reached.
    own_addresses: Vec<Multiaddr>,
    /// Which addresses the host can dial; all if it does not say.
    dialable: Option<Dialable>,
    keeping: keeping::Keeping,
    census: size::Census,
}

/// Whether the host can dial an address.
pub type Dialable = Box<dyn Fn(&Multiaddr) -> bool + Send>;

impl Kademlia {
    /// Takes part from now on.
    pub fn new(config: Config, me: PeerId) -> Self {
        let table = Table::new(config.table.clone(), Key::of_peer(&me));
        Self {
            store: store::Store::new(config.store.clone(), Key::of_peer(&me)),
            behind: None,
            serves: SERVES && config.mode == Mode::Server,
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
            tidy_at: Instant::ZERO + refreshing::TIDY,
            own_addresses: Vec::new(),
            dialable: None,
            keeping: keeping::Keeping::default(),
            census: size::Census::default(),
        }
    }

    /// Whether it answers others: as a server, or while it can be dialed.
    pub fn is_server(&self) -> bool {
        self.serves
    }

    /// The protocol's name, which is that of the network.
    pub fn name(&self) -> &Name {
        &self.config.protocol
    }

    /// How many peers take part, by how near to each other they are; known after a few
    /// lookups in a network that is larger than a bucket.
    pub fn network_size(&self) -> Option<u64> {
        self.census.peers().map(|peers| peers as u64)
    }

    /// Plays another part; whether it answers others now and did not, or the reverse.
    pub(crate) fn set_mode(&mut self, mode: Mode, reachable: bool) -> bool {
        self.config.mode = mode;
        self.set_reachable(reachable)
    }

    /// Whether others can dial us; the answer as for [`Kademlia::set_mode`].
    pub(crate) fn set_reachable(&mut self, reachable: bool) -> bool {
        let serves = match self.config.mode {
            _ if !SERVES => false,
            Mode::Auto => reachable,
            Mode::Client => false,
            Mode::Server => true,
        };
        core::mem::replace(&mut self.serves, serves) != serves
    }

    /// Only addresses that the host can dial are kept and tried.
    pub(crate) fn set_dialable(&mut self, dialable: Dialable) {
        self.dialable = Some(dialable);
    }

    /// Whether private addresses that others tell of are dialed.
    pub fn dials_private(&self) -> bool {
        self.config.private
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
        self.begin(now, id, Goal::Peer(peer), peer.as_bytes().to_vec(), true)?;
        // Whom we are connected to we need not look for.
        let known = self.contact(&peer).filter(|contact| contact.link == Link::Connected);
        if let Some((contact, query)) = known.zip(self.queries.get_mut(&id)) {
            query.successes = 1;
            query.lookup.end();
            self.tell(id, QueryEvent::Peer(contact));
        }
        Ok(())
    }

    /// Looks for who provides a key, until so many are found.
    pub(crate) fn find_providers(
        &mut self,
        now: Instant,
        id: QueryId,
        (key, enough): (Vec<u8>, usize),
    ) -> Result<(), QueryError> {
        let kept = self.kept_providers(now, &key);
        let place = crate::records::Place::of_providers(&key);
        self.begin(now, id, Goal::Providers { enough: enough.max(1) }, key, true)?;
        if self.park(now, place, behind::Waiting::Query(id)).is_err() {
            self.found_providers(id, kept);
        }
        Ok(())
    }

    /// Tells the nearest to a key that we provide it.
    pub(crate) fn provide(
        &mut self,
        now: Instant,
        id: QueryId,
        key: Vec<u8>,
    ) -> Result<(), QueryError> {
        self.keep_provided(now, &key);
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
        let record = self.dated(now, record);
        self.keep(now, &record)?;
        self.keep_put(now, record.clone());
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
        let Some(remote) = self.remotes.get_mut(&connection) else { return };
        let (peer, group) = (remote.peer, remote.group);
        remote.serves = protocols.contains(&self.config.protocol);
        if !remote.serves {
            // It was a server, and is one no more.
            self.table.remove(now, &peer);
            return;
        }
        self.learn(&peer, addresses);
        match self.table.offer(now, peer, group) {
            Offered::Added => self.refresh_early(now),
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
        let room = self.addresses.len() < MAX_KNOWN || self.addresses.contains_key(peer);
        if !addresses.is_empty() && room {
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
        let remote = Remote { peer, group: Group::of(remote), serves: false };
        self.remotes.insert(connection, remote);
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
        if SERVES && self.inbound.contains(&(connection, stream)) {
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
}

/// What the number of a query has that the node makes for itself.
const OWN: u64 = 1 << 63;

impl Protocol for Kademlia {
    fn names(&self) -> Vec<(Name, Framing)> {
        let framing = Framing::LengthPrefixed { max: message::MAX_MESSAGE };
        let name = self.serves.then(|| self.config.protocol.clone());
        name.map(|name| (name, framing)).into_iter().collect()
    }

    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>) {
        match input {
            Input::LocalChanged => self.own_addresses.clone_from(&local.addresses),
            Input::Connected { connection, peer, remote, .. } => {
                self.own_addresses.clone_from(&local.addresses);
                self.on_connected(connection, *peer, remote);
            }
            Input::Disconnected { connection } => self.on_disconnected(now, connection),
            Input::Opened { connection, request, stream, .. } => {
                self.on_opened(request, connection, stream);
            }
            Input::OpenFailed { request, .. } => self.failed(now, request),
            Input::Inbound { connection, stream, .. } if SERVES => {
                self.on_inbound(connection, stream);
            }
            Input::Inbound { .. } => {}
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
                    self.tidy(now);
                }
                if self.refresh_at.is_some_and(|at| at <= now) {
                    self.refresh(now, self.long_before(now));
                }
                self.republish(now);
            }
            #[cfg(feature = "service")]
            Input::Identified { .. } => {}
            #[cfg(any(feature = "pubsub", feature = "service"))]
            Input::Flushed { .. } => {}
        }
        self.advance(now);
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let asks = self.deadlines.first().map(|(at, _)| *at);
        let queries = self.queries.values().map(|query| query.deadline).min();
        let tidy = !self.store.is_empty() || !self.addresses.is_empty();
        let tidy = tidy.then_some(self.tidy_at);
        let own = earliest(self.refresh_at, self.keeping.next());
        let own = earliest(own, self.parked_timeout());
        earliest(earliest(asks, queries), earliest(tidy, own))
    }
}
