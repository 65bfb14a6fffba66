//! Queries of the DHT; see [`Node`](crate::node::Node) for each.

use crate::identity::PeerId;
use crate::protocols::kad::{Config, Dialable, Mode, QueryError, QueryId, Validator};
use crate::records::{Entry, Place};
use crate::time::Instant;

use super::Peer;

impl Peer {
    /// Looks for the peers that are nearest to a key.
    ///
    /// # Errors
    /// [`QueryError`]
    pub fn closest_peers(&mut self, now: Instant, key: &[u8]) -> Result<QueryId, QueryError> {
        let query = self.node.closest_peers(now, key);
        self.settle(now);
        query
    }

    /// Looks for the addresses of a peer.
    ///
    /// # Errors
    /// [`QueryError`]
    pub fn find_peer(&mut self, now: Instant, peer: PeerId) -> Result<QueryId, QueryError> {
        let query = self.node.find_peer(now, peer);
        self.settle(now);
        query
    }

    /// Tells those who are nearest to a key that we provide it.
    ///
    /// # Errors
    /// [`QueryError`]
    pub fn provide(&mut self, now: Instant, key: &[u8]) -> Result<QueryId, QueryError> {
        let query = self.node.provide(now, key);
        self.settle(now);
        query
    }

    /// Looks for who provides a key, until `enough` are found.
    ///
    /// # Errors
    /// [`QueryError`]
    pub fn find_providers(
        &mut self,
        now: Instant,
        key: &[u8],
        enough: usize,
    ) -> Result<QueryId, QueryError> {
        let query = self.node.find_providers(now, key, enough);
        self.settle(now);
        query
    }

    /// Has a value kept by those who are nearest to its key.
    ///
    /// # Errors
    /// [`QueryError`]
    pub fn put_value(
        &mut self,
        now: Instant,
        key: &[u8],
        value: &[u8],
    ) -> Result<QueryId, QueryError> {
        let query = self.node.put_value(now, key, value);
        self.settle(now);
        query
    }

    /// Looks for the best value of a key, until `quorum` peers agree on it.
    ///
    /// # Errors
    /// [`QueryError`]
    pub fn get_value(
        &mut self,
        now: Instant,
        key: &[u8],
        quorum: usize,
    ) -> Result<QueryId, QueryError> {
        let query = self.node.get_value(now, key, quorum);
        self.settle(now);
        query
    }

    /// Gives a query up; nothing more is said of it.
    pub fn cancel_query(&mut self, now: Instant, query: QueryId) {
        self.node.cancel_query(now, query);
        self.settle(now);
    }

    /// Provides a key, or puts its value, no more.
    pub fn withdraw(&mut self, key: &[u8]) {
        self.node.withdraw(key);
    }

    /// Takes part in a DHT from now on.
    pub fn join_dht(&mut self, now: Instant, config: Config) -> bool {
        let joined = self.node.join_dht(now, config);
        self.settle(now);
        joined
    }

    /// Has the node play another part.
    pub fn set_dht_mode(&mut self, now: Instant, mode: Mode) {
        self.node.set_dht_mode(now, mode);
        self.settle(now);
    }

    /// Only addresses that the host can dial are kept and tried.
    pub fn set_dialable(&mut self, dialable: Dialable) {
        self.node.set_dialable(dialable);
    }

    /// Looks around in all parts of the key space now.
    pub fn bootstrap_dht(&mut self, now: Instant) {
        self.node.bootstrap_dht(now);
        self.settle(now);
    }

    /// Has records of `/namespace/…` judged by `validator` from now on.
    pub fn set_validator(&mut self, namespace: &str, validator: Box<dyn Validator>) {
        self.node.set_validator(namespace, validator);
    }

    /// The host has a store for what is kept for others.
    pub fn store_records(&mut self) {
        self.node.store_records();
    }

    /// What the store has at a place; or why it cannot say.
    pub fn records_found(&mut self, now: Instant, place: Place, found: Result<Vec<Entry>, String>) {
        self.node.records_found(now, place, found);
        self.settle(now);
    }

    /// The store has carried out the last order to write, or has failed to.
    pub fn records_written(&mut self, now: Instant, result: Result<(), String>) {
        self.node.records_written(now, result);
        self.settle(now);
    }
}
