//! How the node takes part in a DHT: its queries, and the peers that it dials for them.

use std::collections::VecDeque;

use crate::collections::LongMap;
use crate::connection::Framing;
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::protocols::kad::{
    Dialable, Kademlia, Mode, Order, QueryError, QueryId, Record, Validator,
};
use crate::protocols::{Action, Input, Local, Protocol};
use crate::records::{Entry, Place};
use crate::swarm::DialOptions;
use crate::time::Instant;

use super::hosting::ProtocolId;
use super::{Config, ConnectionId, DialId, Event, Node, Output};

/// The DHT, if the node takes part in one.
pub(super) struct Routing {
    pub(super) kad: Option<Box<Kademlia>>,
    pub(super) orders: VecDeque<Order>,
    /// Dials to those who are to be asked.
    dials: LongMap<DialId, PeerId>,
    /// Connections whose peers have said what they are.
    identified: Vec<ConnectionId>,
}

impl Routing {
    pub(super) fn new(config: &Config, me: PeerId) -> Self {
        let kad = config.kad.clone().map(|config| Box::new(Kademlia::new(config, me)));
        Self { kad, orders: VecDeque::new(), dials: LongMap::new(), identified: Vec::new() }
    }

    pub(super) fn note(&mut self, event: &Event) {
        if let Event::Identified { connection, .. } = event
            && self.kad.is_some()
        {
            self.identified.push(*connection);
        }
    }
}

impl Protocol for Routing {
    fn names(&self) -> Vec<(Name, Framing)> {
        self.kad.as_ref().map(|kad| kad.names()).unwrap_or_default()
    }

    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>) {
        if let Some(kad) = &mut self.kad {
            kad.handle(now, local, input);
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.kad.as_mut()?.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.kad.as_ref()?.poll_timeout()
    }
}

impl Node {
    /// The DHT, to ask it things; `None` if the node takes part in none
    /// ([`Config::kad`]).
    pub fn dht(&self) -> Option<&Kademlia> {
        self.routing.kad.as_deref()
    }

    /// Has records of `/namespace/…` judged by `validator` from now on.
    pub fn set_validator(&mut self, namespace: &str, validator: Box<dyn Validator>) {
        if let Some(kad) = &mut self.routing.kad {
            kad.validators_mut().set(namespace, validator);
        }
    }

    /// Takes part in a DHT from now on, with the peers that are connected already;
    /// `false` if the node takes part in one.
    pub fn join_dht(&mut self, now: Instant, config: crate::protocols::kad::Config) -> bool {
        if self.routing.kad.is_some() {
            return false;
        }
        let mut kad = Box::new(Kademlia::new(config, self.peer_id()));
        kad.handle(now, &self.local, Input::LocalChanged);
        kad.set_reachable(self.can_be_dialed());
        for (connection, link) in self.links.iter() {
            let Some(peer) = &link.peer else { continue };
            let (connection, direction, remote) = (*connection, link.direction, &link.remote);
            let input = Input::Connected { connection, peer, direction, remote };
            kad.handle(now, &self.local, input);
            self.routing.identified.push(connection);
        }
        let serves = kad.is_server();
        self.routing.kad = Some(kad);
        #[cfg(feature = "pubsub")]
        self.seeking.stir();
        if serves {
            self.dht_serves(now);
        }
        self.settle_identified(now);
        true
    }

    /// Has the node play another part in the DHT than [`Config::kad`] said.
    pub fn set_dht_mode(&mut self, now: Instant, mode: Mode) {
        let reachable = self.can_be_dialed();
        let kad = self.routing.kad.as_mut();
        if kad.is_some_and(|kad| kad.set_mode(mode, reachable)) {
            self.dht_serves(now);
        }
    }

    /// Of what the DHT tells of others, only addresses that the host can dial are kept
    /// and tried.
    pub fn set_dialable(&mut self, dialable: Dialable) {
        if let Some(kad) = &mut self.routing.kad {
            kad.set_dialable(dialable);
        }
    }

    /// Looks around in all parts of the key space now, which the node does every
    /// [`Config::refresh`](crate::protocols::kad::Config::refresh) by itself.
    pub fn bootstrap_dht(&mut self, now: Instant) {
        if let Some(kad) = &mut self.routing.kad {
            kad.bootstrap(now);
        }
        self.turn_dht(now);
    }

    /// Looks for the peers that are nearest to a key. [`Event::Dht`] tells of the way,
    /// and at its end who they are.
    ///
    /// # Errors
    /// [`QueryError`]: too many are under way, or there is no DHT.
    pub fn closest_peers(&mut self, now: Instant, key: &[u8]) -> Result<QueryId, QueryError> {
        self.query(now, |kad, id| kad.closest(now, id, key.to_vec()))
    }

    /// Looks for the addresses of a peer.
    ///
    /// # Errors
    /// [`QueryError`]: too many are under way, or there is no DHT.
    pub fn find_peer(&mut self, now: Instant, peer: PeerId) -> Result<QueryId, QueryError> {
        self.query(now, |kad, id| kad.find_peer(now, id, peer))
    }

    /// Tells those who are nearest to a key (a multihash) that we provide it, and does so
    /// again every 22 hours until [`Node::withdraw`].
    ///
    /// # Errors
    /// [`QueryError`]: too many are under way, or there is no DHT.
    pub fn provide(&mut self, now: Instant, key: &[u8]) -> Result<QueryId, QueryError> {
        self.query(now, |kad, id| kad.provide(now, id, key.to_vec()))
    }

    /// Looks for who provides a key, until `enough` are found or all were asked.
    ///
    /// # Errors
    /// [`QueryError`]: too many are under way, or there is no DHT.
    pub fn find_providers(
        &mut self,
        now: Instant,
        key: &[u8],
        enough: usize,
    ) -> Result<QueryId, QueryError> {
        self.query(now, |kad, id| kad.find_providers(now, id, (key.to_vec(), enough)))
    }

    /// Has a value kept by those who are nearest to its key, and again every 22 hours, or
    /// the better one that is there then, until [`Node::withdraw`].
    ///
    /// # Errors
    /// [`QueryError`]: it is not good, too many are under way, or there is no DHT.
    pub fn put_value(
        &mut self,
        now: Instant,
        key: &[u8],
        value: &[u8],
    ) -> Result<QueryId, QueryError> {
        let (key, value) = (key.to_vec(), value.to_vec());
        let record = Record { key, value, received: String::new() };
        self.query(now, |kad, id| kad.put(now, id, record))
    }

    /// Looks for the best value of a key, until `quorum` peers agree on it or all were
    /// asked. Those who have a worse one or none are told of it.
    ///
    /// # Errors
    /// [`QueryError`]: too many are under way, or there is no DHT.
    pub fn get_value(
        &mut self,
        now: Instant,
        key: &[u8],
        quorum: usize,
    ) -> Result<QueryId, QueryError> {
        self.query(now, |kad, id| kad.get(now, id, (key.to_vec(), quorum)))
    }

    /// Provides a key, or puts its value, no more: others forget it with its time.
    pub fn withdraw(&mut self, key: &[u8]) {
        if let Some(kad) = &mut self.routing.kad {
            kad.withdraw(key);
        }
    }

    /// Gives a query up; nothing more is said of it.
    pub fn cancel_query(&mut self, now: Instant, query: QueryId) {
        if let Some(kad) = &mut self.routing.kad {
            kad.cancel(query);
        }
        self.turn_dht(now);
    }

    /// The host has a store for what the node keeps for others, and carries out
    /// [`Output::Records`] from now on.
    pub fn store_records(&mut self) {
        if let Some(kad) = &mut self.routing.kad {
            kad.store_behind();
        }
    }

    /// What the store has at a place, expired or not, or why it cannot say.
    pub fn records_found(&mut self, now: Instant, place: Place, found: Result<Vec<Entry>, String>) {
        let found = match found {
            Ok(entries) => Some(entries),
            Err(reason) => {
                self.emit(Event::RecordsFailed { reason });
                None
            }
        };
        if let Some(kad) = &mut self.routing.kad {
            kad.records_found(now, place, found);
        }
        self.turn_dht(now);
    }

    /// The store has carried out the last [`records::Order::Write`](crate::records::Order),
    /// or has failed to.
    pub fn records_written(&mut self, now: Instant, result: Result<(), String>) {
        if let Err(reason) = result {
            self.emit(Event::RecordsFailed { reason });
        }
        if let Some(kad) = &mut self.routing.kad {
            kad.records_written();
        }
        self.turn_dht(now);
    }

    fn can_be_dialed(&self) -> bool {
        #[cfg(feature = "autonat")]
        return self.reachability() == crate::swarm::addresses::Reachability::Public;
        #[cfg(not(feature = "autonat"))]
        return false;
    }

    /// Others can dial us now, or cannot any more.
    #[cfg(feature = "autonat")]
    pub(super) fn dht_reachability(&mut self, now: Instant) {
        let reachable = self.can_be_dialed();
        let kad = self.routing.kad.as_mut();
        if kad.is_some_and(|kad| kad.set_reachable(reachable)) {
            self.dht_serves(now);
        }
    }

    /// The DHT answers others now, or does not any more.
    fn dht_serves(&mut self, now: Instant) {
        let Some(kad) = &self.routing.kad else { return };
        if kad.is_server() {
            self.register(ProtocolId::Routing);
        } else {
            let name = kad.name().clone();
            std::sync::Arc::make_mut(&mut self.handlers).remove(&name);
        }
        self.protocols_changed(now);
    }

    fn query(
        &mut self,
        now: Instant,
        begin: impl FnOnce(&mut Kademlia, QueryId) -> Result<(), QueryError>,
    ) -> Result<QueryId, QueryError> {
        let id = QueryId(self.number());
        begin(self.routing.kad.as_mut().ok_or(QueryError::Off)?, id)?;
        self.turn_dht(now);
        Ok(id)
    }

    /// Lets the DHT go on, and carries out what it wants.
    pub(super) fn turn_dht(&mut self, now: Instant) {
        if let Some(kad) = &mut self.routing.kad {
            kad.advance(now);
        }
        self.drain(ProtocolId::Routing);
        self.settle_dht(now);
    }

    pub(super) fn settle_dht(&mut self, now: Instant) {
        while let Some(order) = self.routing.orders.pop_front() {
            match order {
                Order::Reach { peer, addresses } => {
                    let dial = DialId(self.number());
                    self.routing.dials.insert(dial, peer);
                    let options = DialOptions { direct: true, ..DialOptions::default() };
                    self.begin_dial(now, (dial, options), Some(peer), addresses);
                }
                Order::Store(order) => self.outputs.push_back(Output::Records(order)),
                Order::Forget { peer } => {
                    let dials = self.routing.dials.iter();
                    let dial = dials.filter(|(_, of)| **of == peer).map(|(id, _)| *id).next();
                    if let Some(dial) = dial {
                        self.routing.dials.remove(&dial);
                        self.cancel_dial(now, dial);
                    }
                }
            }
        }
    }

    /// Whether a dial is one of the DHT's; then its result is dealt with.
    pub(super) fn dht_dialed(&mut self, now: Instant, event: &Event) -> bool {
        let (dial, connection) = match event {
            Event::Dialed { dial, connection, .. } => (dial, Some(*connection)),
            Event::DialFailed { dial, .. } => (dial, None),
            _ => return false,
        };
        let Some(peer) = self.routing.dials.remove(dial) else { return false };
        if let Some(kad) = &mut self.routing.kad {
            match connection {
                Some(connection) => kad.reached(&peer, connection),
                None => kad.not_reached(now, &peer),
            }
        }
        self.turn_dht(now);
        true
    }

    /// Tells the DHT of peers that have said what they are.
    pub(super) fn settle_identified(&mut self, now: Instant) {
        while let Some(connection) = self.routing.identified.pop() {
            let Some(info) = self.identify.info(connection) else { continue };
            let Some(kad) = &mut self.routing.kad else { return };
            kad.identified(now, connection, (&info.protocols, &info.addresses));
            self.turn_dht(now);
        }
    }
}
