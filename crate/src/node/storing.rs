//! What the node teaches its peer store, and what it asks of it.

use core::time::Duration;

use crate::address::Multiaddr;
use crate::connection;
use crate::identity::{PeerId, PeerRecord, PeerRecordError};
use crate::rng::Rng;
use crate::swarm::store::bootstrap::{Bootstrap, Candidate, Step};
use crate::swarm::store::{Notice, Patch, PatchError, PeerStore, Restored};
use crate::time::{Instant, earliest};

use super::{Config, DialId, Direction, Event, Node, Output};

impl Node {
    pub(super) fn new_store(config: &Config) -> PeerStore {
        PeerStore::new(config.store.clone(), config.connection.keypair.peer_id())
    }

    pub(super) fn new_bootstrap(config: &Config, rng: &mut Rng) -> Bootstrap {
        Bootstrap::new(config.store.bootstrap.clone(), rng.fork())
    }

    /// Begins anew with an empty store that behaves as `config` says: for hosts
    /// that learn how when the node is made already.
    pub fn configure_store(&mut self, config: crate::swarm::store::Config) {
        self.config.store = config;
        self.store = Self::new_store(&self.config);
        self.bootstrap = Self::new_bootstrap(&self.config, &mut self.rng);
    }

    /// What is known of peers.
    pub fn peer_store(&self) -> &PeerStore {
        &self.store
    }

    /// Takes what an earlier run wrote down; call it before the first dial.
    pub fn restore(
        &mut self,
        now: Instant,
        entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Restored {
        let report = self.store.restore(now, entries);
        self.bootstrap.restored(!self.store.stable(1).is_empty());
        report
    }

    /// Changes what the application knows of a peer; see [`PeerStore::patch`].
    pub fn patch_peer(
        &mut self,
        now: Instant,
        peer: &PeerId,
        patch: Patch,
    ) -> Result<(), PatchError> {
        self.store.patch(now, peer, patch)
    }

    /// Forgets a peer; see [`PeerStore::delete`].
    pub fn delete_peer(&mut self, now: Instant, peer: &PeerId) -> bool {
        self.store.delete(now, peer)
    }

    /// Others say where a peer can be reached; see [`PeerStore::discovered`].
    pub fn discovered(
        &mut self,
        now: Instant,
        peer: &PeerId,
        addresses: &[Multiaddr],
        ttl: Duration,
    ) {
        self.store.discovered(now, peer, addresses, ttl);
    }

    /// Others handed on what a peer signed; see [`PeerStore::discovered_record`].
    pub fn discovered_record(&mut self, now: Instant, record: &PeerRecord, ttl: Duration) {
        self.store.discovered_record(now, record, ttl);
    }

    /// Where a peer says it can be reached, signed by it, to be handed on to others:
    /// an envelope of libp2p RFC 0002 with a record of RFC 0003. Of ourselves it is made
    /// now; of others it is what they signed last, if that is still good.
    pub fn signed_record(&self, peer: &PeerId) -> Option<Vec<u8>> {
        if *peer == self.peer_id() {
            return self.local.seal().ok().map(|record| record.to_bytes());
        }
        self.store.signed_record(peer).map(<[u8]>::to_vec)
    }

    /// Takes what [`Node::signed_record`] gave at another node, for `ttl` as
    /// [`Node::discovered_record`] does, and tells whose it is.
    ///
    /// # Errors
    /// [`PeerRecordError`]: the envelope, its signature or the record in it is not good.
    pub fn accept_record(
        &mut self,
        now: Instant,
        envelope: &[u8],
        ttl: Duration,
    ) -> Result<PeerId, PeerRecordError> {
        let record = PeerRecord::open(envelope)?;
        self.discovered_record(now, &record, ttl);
        Ok(record.peer_id())
    }

    /// Writes what has changed in the peer store down at once.
    pub fn flush_store(&mut self, now: Instant) {
        self.store.tell_time(now);
        self.store.flush();
    }

    /// The addresses to dial: those given, or those known.
    pub(super) fn or_known(
        &self,
        peer: Option<&PeerId>,
        addresses: Vec<Multiaddr>,
    ) -> Vec<Multiaddr> {
        match peer {
            Some(peer) if addresses.is_empty() => self.store.addresses(peer),
            _ => addresses,
        }
    }

    pub(super) fn learn(&mut self, event: &Event) {
        let now = self.store.now();
        match event {
            Event::Connected { peer, direction, remote, .. } => {
                let dialed = (*direction == Direction::Outbound).then_some(remote);
                self.store.connected(now, peer, dialed);
            }
            Event::Disconnected { peer, reason, .. } => {
                self.store.disconnected(now, peer);
                let ours = *reason == connection::Error::ClosedHere;
                self.bootstrap.lost(now, peer, ours, self.peers.len());
            }
            Event::Dialed { dial, peer, .. } => self.bootstrap.dialed(now, *dial, Some(peer)),
            Event::DialFailed { dial, .. } => self.bootstrap.dialed(now, *dial, None),
            Event::Identified { connection, peer, info } => {
                if let Some(link) = self.links.get(connection) {
                    self.store.identified(now, peer, &link.remote, info);
                }
            }
            #[cfg(feature = "rendezvous")]
            Event::Rendezvous(event) => self.learn_of_found(now, event),
            _ => {}
        }
    }

    pub(super) fn store_timeout(&self) -> Option<Instant> {
        earliest(self.store.poll_timeout(), self.bootstrap.poll_timeout())
    }

    pub(super) fn time_store(&mut self, now: Instant) {
        self.store.handle_timeout(now);
        while self.bootstrap.is_due(now) {
            self.go_on_bootstrapping(now);
        }
    }

    fn go_on_bootstrapping(&mut self, now: Instant) {
        loop {
            let is_connected = |peer: &PeerId| self.peers.contains_key(peer);
            let (connected, stable) = (self.peers.len(), self.bootstrap.remembered());
            let stable = || self.store.stable(stable);
            let (step, candidate) = self.bootstrap.step(now, connected, is_connected, stable);
            if let Some(candidate) = candidate {
                let Candidate { peer, addresses } = candidate.clone();
                // The number that the dial is about to get: its end may come at once.
                self.bootstrap.dialing(DialId(self.next_id + 1), candidate);
                self.dial(now, peer, addresses);
            }
            match step {
                Step::Dial => {}
                Step::Over => return self.emit(Event::Bootstrapped { peers: connected }),
                Step::Wait => return,
            }
        }
    }

    pub(super) fn tell_of_store(&mut self) {
        while let Some(notice) = self.store.poll_notice() {
            self.outputs.push_back(Output::Event(match notice {
                Notice::Updated(peer) => Event::PeerUpdated { peer },
                Notice::Forgotten(peer) => Event::PeerForgotten { peer },
            }));
        }
        if self.outputs.is_empty()
            && let Some(change) = self.store.poll_change()
        {
            self.outputs.push_back(Output::Store(change));
        }
    }
}
