//! How the node dials: what [`Dials`](crate::swarm::dial::Dials) wants, carried out.

use crate::address::Multiaddr;
use crate::connection::{Carrier, Connection, Role};
use crate::identity::PeerId;
use crate::swarm::DialOptions;
use crate::swarm::dial::Outcome;
use crate::time::Instant;

use super::paths::Standing;
#[cfg(feature = "relay")]
use super::relaying::Relayed;
use super::{AttemptError, ConnectionId, DialError, DialId, Direction, Event, Link, Node, Output};
#[cfg(feature = "relay")]
use crate::protocols::relay::split_circuit;

impl Node {
    /// Dials a peer at these addresses; [`Event::Dialed`] or
    /// [`Event::DialFailed`] answers, always. Without a `peer` the addresses'
    /// `/p2p` says who, and if that is missing too, whoever answers is taken.
    /// However many ask for a peer, it is dialed once.
    pub fn dial(
        &mut self,
        now: Instant,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    ) -> DialId {
        self.dial_with(now, peer, addresses, DialOptions::default())
    }

    /// As [`Node::dial`], otherwise than usual.
    pub fn dial_with(
        &mut self,
        now: Instant,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        options: DialOptions,
    ) -> DialId {
        let id = DialId(self.number());
        self.begin_dial(now, (id, options), peer, addresses);
        id
    }

    /// How many dials are under way.
    pub fn dial_count(&self) -> usize {
        self.dials.len()
    }

    /// How many addresses are being tried.
    pub fn attempt_count(&self) -> usize {
        self.dials.attempts()
    }

    pub(super) fn begin_dial(
        &mut self,
        now: Instant,
        asker: (DialId, DialOptions),
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    ) {
        if let Err(error) = self.try_dial(now, asker, peer, addresses) {
            self.answer(now, Event::DialFailed { dial: asker.0, error });
        }
        self.advance_dials(now);
    }

    /// Tells who dialed what came of it.
    fn answer(&mut self, now: Instant, event: Event) {
        #[cfg(feature = "manager")]
        if self.managed_dial(now, &event) {
            return;
        }
        #[cfg(feature = "relay")]
        if self.relay_dialed(now, &event) {
            return;
        }
        #[cfg(feature = "dcutr")]
        if self.course_dialed(now, &event) {
            return;
        }
        #[cfg(feature = "pubsub")]
        if self.pubsub_dialed(&event) {
            return;
        }
        #[cfg(feature = "kad")]
        if self.dht_dialed(now, &event) {
            return;
        }
        #[cfg(feature = "rendezvous")]
        if self.meeting_dialed(now, &event) {
            return;
        }
        #[cfg(not(any(
            feature = "kad",
            feature = "manager",
            feature = "relay",
            feature = "rendezvous"
        )))]
        let _ = now;
        self.emit(event);
    }

    fn try_dial(
        &mut self,
        now: Instant,
        asker: (DialId, DialOptions),
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    ) -> Result<(), DialError> {
        let mut target = peer;
        for named in addresses.iter().filter_map(Multiaddr::peer_id) {
            if target.get_or_insert(named) != &named {
                return Err(DialError::SeveralPeers);
            }
        }
        if target == Some(self.peer_id()) {
            return Err(DialError::Myself);
        }
        #[cfg(feature = "limits")]
        if target.is_some_and(|peer| !self.limiting.allows(&peer, Direction::Outbound)) {
            return Err(DialError::Denied);
        }
        let (id, options) = asker;
        // Who names WebRTC wants a direct connection, be there a relayed one.
        #[cfg(feature = "webrtc")]
        let options = DialOptions {
            direct: options.direct
                || !addresses.is_empty() && addresses.iter().all(Multiaddr::is_signalled),
            ..options
        };
        #[cfg(feature = "relay")]
        let fresh = self.replaces_circuit(id);
        #[cfg(not(feature = "relay"))]
        let fresh = false;
        if let Some(peer) = target
            && !fresh
            && let Some(connection) = self.best(&peer, options.direct)
        {
            self.answer(now, Event::Dialed { dial: id, connection, peer });
            return Ok(());
        }
        #[cfg(feature = "store")]
        let addresses = self.or_known(target.as_ref(), addresses);
        if addresses.is_empty() {
            return Err(DialError::NoAddress);
        }
        if self.links.len() >= self.config.max_connections {
            return Err(DialError::Full);
        }
        let ours = |address: &Multiaddr| {
            #[cfg(feature = "addresses")]
            if self.reaching.addresses.is_listening(address) {
                return true;
            }
            self.local.addresses.contains(address)
        };
        // At one relay there are many, and only the name behind it tells them apart.
        let mine = |address: &Multiaddr| {
            target.is_some() && !address.is_circuit() && ours(&address.without_peer())
        };
        self.dials.ask(now, (id, options), target, addresses, mine);
        Ok(())
    }

    /// Takes a dial back; its attempts end when nobody else waits for them.
    pub fn cancel_dial(&mut self, now: Instant, dial: DialId) {
        if let Some(outcome) = self.dials.cancel(dial) {
            self.give_up(now, outcome.dropped);
            self.answer(now, Event::DialFailed { dial, error: DialError::Cancelled });
            self.advance_dials(now);
        }
    }

    /// The transport that [`Output::Dial`] asked for is open. Returns the
    /// connection to drive, or `None` if it is not wanted any more: close it.
    pub fn connected(&mut self, now: Instant, id: ConnectionId) -> Option<Connection> {
        self.connected_over(now, id, Carrier::Bytes)
    }

    /// As [`Node::connected`], over something else than bytes.
    pub fn connected_over(
        &mut self,
        now: Instant,
        id: ConnectionId,
        carrier: Carrier,
    ) -> Option<Connection> {
        #[cfg(feature = "autonat")]
        if let Some(connection) = self.dial_back_connected(now, id, &carrier) {
            return Some(connection);
        }
        let link = self.links.get(&id)?;
        let mut expected = link.remote.peer_id();
        if let Some(key) = link.dial {
            expected = expected.or_else(|| self.dials.peer(key));
            self.dials.opened(now, key, id);
        }
        let role = Role::Initiator;
        #[cfg(feature = "dcutr")]
        let role = self.role_of(id, role);
        Some(self.connection(now, id, (role, carrier), expected))
    }

    /// The transport that [`Output::Dial`] asked for cannot be had.
    pub fn dial_failed(&mut self, now: Instant, id: ConnectionId, reason: String) {
        #[cfg(feature = "autonat")]
        if self.dial_back_failed(now, id) {
            return;
        }
        self.link_ended(now, id, AttemptError::Transport(reason));
    }

    /// Starts the attempts that are due and for which there is room, and tells of
    /// the dials that have failed.
    pub(super) fn advance_dials(&mut self, now: Instant) {
        while self.links.len() < self.config.max_connections {
            let id = ConnectionId(self.next_id + 1);
            let (a_dial, in_all) = (self.config.max_parallel_attempts, self.config.max_attempts);
            let Some((key, address)) = self.dials.start(now, id, a_dial, in_all) else { break };
            self.next_id = id.0;
            #[cfg(feature = "limits")]
            let held = match self.limiting.dial(&address) {
                Ok(held) => held,
                Err(error) => {
                    self.dials.failed(now, key, id, error);
                    continue;
                }
            };
            let (direction, remote) = (Direction::Outbound, address.clone());
            let link = Link {
                direction,
                dial: Some(key),
                remote,
                peer: None,
                standing: Standing::default(),
                #[cfg(feature = "dcutr")]
                role: None,
                #[cfg(feature = "addresses")]
                local: None,
                #[cfg(feature = "relay")]
                relayed: Relayed::default(),
                #[cfg(feature = "limits")]
                held,
            };
            self.links.insert(id, link);
            #[cfg(feature = "relay")]
            if let Some(circuit) = split_circuit(&address) {
                self.dial_circuit(now, id, circuit);
                continue;
            }
            #[cfg(feature = "webrtc")]
            if self.dial_signalled(now, id, &address) {
                continue;
            }
            self.outputs.push_back(Output::Dial { connection: id, address });
        }
        while let Some(Outcome { askers, failures, .. }) = self.dials.poll_exhausted() {
            for dial in askers {
                let error = DialError::Failed(failures.clone());
                self.answer(now, Event::DialFailed { dial, error });
            }
        }
    }

    /// Tells those who wait for this dial that there is a connection: that of its
    /// attempt `winner`, or another one.
    pub(super) fn dial_reached(
        &mut self,
        now: Instant,
        key: u64,
        winner: Option<ConnectionId>,
        (connection, peer): (ConnectionId, PeerId),
    ) {
        let relayed = self.links.get(&connection).is_some_and(|link| link.remote.is_relayed());
        let Outcome { askers, dropped, .. } = self.dials.reached(now, key, winner, relayed);
        self.give_up(now, dropped);
        for dial in askers {
            self.answer(now, Event::Dialed { dial, connection, peer });
        }
        self.advance_dials(now);
    }

    /// Gives up the attempts that take too long, and looks what is due.
    pub(super) fn time_dials(&mut self, now: Instant) {
        for id in self.dials.handle_timeout(now) {
            if let Some(Link { dial: Some(key), remote, .. }) = self.links.remove(&id) {
                self.attempt_failed(now, key, &remote);
                self.drop_attempt(now, id, &remote);
            }
        }
        self.advance_dials(now);
    }

    /// What is known of peers is told that an address of one led nowhere.
    pub(super) fn attempt_failed(&mut self, now: Instant, key: u64, address: &Multiaddr) {
        #[cfg(feature = "store")]
        if let Some(peer) = self.dials.peer(key) {
            self.store.dial_failed(now, &peer, address);
        }
        #[cfg(not(feature = "store"))]
        let _ = (now, key, address);
    }

    fn give_up(&mut self, now: Instant, attempts: Vec<ConnectionId>) {
        for id in attempts {
            if let Some(link) = self.links.remove(&id) {
                self.drop_attempt(now, id, &link.remote);
            }
        }
    }

    pub(super) fn drop_attempt(&mut self, now: Instant, id: ConnectionId, address: &Multiaddr) {
        #[cfg(feature = "relay")]
        if address.is_circuit() {
            self.cancel_circuit(now, id);
            #[cfg(feature = "webrtc")]
            self.cancel_signalled(now, id);
        }
        #[cfg(not(feature = "relay"))]
        let _ = (now, address);
        self.outputs.push_back(Output::Drop(id));
    }
}
