//! WebRTC connections that two peers arrange over one through a relay: those that
//! are dialed, those that others offer, and what the host does for them.
//!
//! What remotes can make grow: links, within the limits of the node, and sessions;
//! see [`crate::protocols::webrtc`].

use std::collections::VecDeque;

use crate::address::{Multiaddr, Protocol};
use crate::collections::Map;
use crate::connection::{Carrier, Connection, Role};
use crate::protocols::relay::{RelayError, split_circuit};
use crate::protocols::webrtc::{Order, SignalError, Signalling};
use crate::time::Instant;

use super::hosting::ProtocolId;
use super::paths::Standing;
use super::relaying::Relayed;
use super::upgrading::Upgrading;
use super::{AttemptError, ConnectionId, Direction, Link, Node, Output};

/// Tries of a dial after its first.
const RETRIES: u8 = 1;

/// What the node wants of WebRTC.
#[derive(Default)]
pub(super) struct Signals {
    pub(super) machine: Signalling,
    pub(super) orders: VecDeque<Order>,
    /// The host can make peer connections.
    enabled: bool,
    /// Connections through a relay that are being made, and what waits for each.
    ways: Map<ConnectionId, ConnectionId>,
    pub(super) upgrading: Upgrading,
}

impl Signals {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.upgrading.poll_timeout()
    }
}

impl Node {
    /// The host carries out [`Output::Rtc`]: addresses with `/p2p-circuit/webrtc` can
    /// be dialed from now on. With `upgrade`, peers that we dialed through a relay
    /// and that take such connections get one by themselves.
    pub fn enable_webrtc(&mut self, now: Instant, upgrade: bool) {
        self.signals.enabled = true;
        self.signals.upgrading.enable(upgrade);
        self.settle_signals(now);
    }

    /// Takes WebRTC connections from now on; where we can be reached through relays
    /// is announced with `/webrtc` behind it too.
    pub fn listen_on_webrtc(&mut self, now: Instant) {
        if self.signals.machine.is_listening() {
            return;
        }
        self.signals.machine.listen();
        self.register(ProtocolId::Signalling);
        self.protocols_changed(now);
        self.announce_anew(now);
    }

    /// Adds to addresses through a relay those of WebRTC, if we take it.
    pub(super) fn with_signalled(&self, mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        addresses.retain(|address| !address.is_signalled());
        if self.signals.machine.is_listening() {
            let more: Vec<Multiaddr> = addresses.iter().filter_map(signalled).collect();
            addresses.extend(more);
        }
        addresses
    }

    // What is dialed.

    /// Begins an attempt of a dial, if its address is one of WebRTC through a relay.
    pub(super) fn dial_signalled(
        &mut self,
        now: Instant,
        attempt: ConnectionId,
        address: &Multiaddr,
    ) -> bool {
        if !self.signals.enabled || !address.is_signalled() {
            return false;
        }
        let named = self.links.get(&attempt).and_then(|link| self.dials.peer(link.dial?));
        let circuit = circuit_of(address);
        let Some(peer) = address.peer_id().or(named).filter(|_| split_circuit(&circuit).is_some())
        else {
            self.link_ended(now, attempt, RelayError::Address.into());
            return true;
        };
        match self.best(&peer, false) {
            Some(via) => self.offer(now, attempt, via),
            None => {
                let Some(way) = self.begin_attempt(&circuit.with_peer(peer)) else {
                    self.link_ended(now, attempt, RelayError::TooMany.into());
                    return true;
                };
                self.signals.ways.insert(way, attempt);
                if let Some((relay, name, _)) = split_circuit(&circuit) {
                    self.dial_circuit(now, way, (relay, name, Some(peer)));
                }
            }
        }
        true
    }

    /// An attempt that belongs to no dial.
    pub(super) fn begin_attempt(&mut self, address: &Multiaddr) -> Option<ConnectionId> {
        if self.links.len() >= self.config.max_connections {
            return None;
        }
        #[cfg(feature = "limits")]
        let held = self.limiting.dial(address).ok()?;
        let id = ConnectionId(self.number());
        let link = Link {
            direction: Direction::Outbound,
            dial: None,
            remote: address.clone(),
            #[cfg(feature = "addresses")]
            local: None,
            peer: None,
            standing: Standing::default(),
            #[cfg(feature = "dcutr")]
            role: None,
            relayed: Relayed::default(),
            #[cfg(feature = "limits")]
            held,
        };
        self.links.insert(id, link);
        Some(id)
    }

    fn offer(&mut self, now: Instant, attempt: ConnectionId, via: ConnectionId) {
        self.signals.machine.offer(now, attempt, via, RETRIES);
        self.drain(ProtocolId::Signalling);
        self.settle_signals(now);
    }

    /// An attempt is not wanted any more.
    pub(super) fn cancel_signalled(&mut self, now: Instant, attempt: ConnectionId) {
        self.signals.machine.cancel(attempt);
        let way = self.signals.ways.iter().find(|(_, waiting)| **waiting == attempt);
        if let Some(way) = way.map(|(way, _)| *way) {
            self.signals.ways.remove(&way);
            if let Some(link) = self.links.remove(&way) {
                self.drop_attempt(now, way, &link.remote);
            }
        }
        self.drain(ProtocolId::Signalling);
    }

    /// A connection is established: perhaps one that an attempt waits for.
    pub(super) fn way_opened(&mut self, now: Instant, id: ConnectionId) {
        if let Some(attempt) = self.signals.ways.remove(&id) {
            self.offer(now, attempt, id);
        }
    }

    /// A connection is over, whatever it had come to.
    pub(super) fn way_ended(&mut self, now: Instant, id: ConnectionId, error: &AttemptError) {
        // One that opens and ends at once is no better than one that does not open.
        if self.signals.upgrading.is_under_way(id) {
            self.upgrade_failed(now, id, &SignalError::Host(error.to_string()));
        }
        self.signals.machine.cancel(id);
        self.drain(ProtocolId::Signalling);
        if let Some(attempt) = self.signals.ways.remove(&id) {
            self.link_ended(now, attempt, error.clone());
        }
    }

    /// Something changed that may make a direct connection possible.
    pub(super) fn stir_signals(&mut self) {
        self.signals.upgrading.stir();
    }

    /// Carries out what the signalling wants, and begins upgrades that are due.
    pub(super) fn settle_signals(&mut self, now: Instant) {
        while let Some(order) = self.signals.orders.pop_front() {
            self.carry_out_signal(now, order);
        }
        self.upgrade_due(now);
    }

    fn carry_out_signal(&mut self, now: Instant, order: Order) {
        match order {
            Order::Host { connection, order } => {
                self.outputs.push_back(Output::Rtc { connection, order });
            }
            Order::Offered { via, stream, offer } => {
                match self.accept_signalled(now, via) {
                    Some(id) => self.signals.machine.answer(now, id, (via, stream), offer),
                    None => self.signals.machine.refuse(via, stream),
                }
                self.drain(ProtocolId::Signalling);
            }
            Order::Failed { connection, error } => {
                self.outputs.push_back(Output::Drop(connection));
                self.upgrade_failed(now, connection, &error);
                self.link_ended(now, connection, error.into());
            }
        }
    }

    /// Room for a connection that a peer offers.
    fn accept_signalled(&mut self, now: Instant, via: ConnectionId) -> Option<ConnectionId> {
        let link = self.links.get(&via)?;
        let (peer, remote) = (link.peer?, link.remote.without_peer());
        let remote = if remote.is_circuit() { signalled(&remote)? } else { remote };
        self.make_room(now, remote.with_peer(peer)).ok()
    }

    // News from the host, which carries out `Output::Rtc`.

    /// The host made its description.
    pub fn rtc_described(&mut self, now: Instant, id: ConnectionId, description: String) {
        self.signals.machine.described(id, description);
        self.signals_changed(now);
    }

    /// The host found a candidate: what `RTCIceCandidate.toJSON()` gives as text, or
    /// `null` when there are no more.
    pub fn rtc_found(&mut self, now: Instant, id: ConnectionId, candidate: String) {
        self.signals.machine.found(id, candidate);
        self.signals_changed(now);
    }

    /// The host found no way, or can make nothing of what the remote sent. It keeps the
    /// peer connection, as ICE may be restarted, until it is told to drop it.
    pub fn rtc_failed(&mut self, now: Instant, id: ConnectionId, reason: String) {
        self.signals.machine.host_failed(now, id, reason);
        self.signals_changed(now);
    }

    /// The peer connection is open. Returns the connection to drive over its data
    /// channels, or `None` if it is not wanted any more: close it.
    pub fn rtc_connected(&mut self, now: Instant, id: ConnectionId) -> Option<Connection> {
        let peer = self.signals.machine.connected(now, id)?;
        self.signals_changed(now);
        let carrier = Carrier::Signalled { peer };
        match self.links.get(&id)?.direction {
            Direction::Outbound => self.connected_over(now, id, carrier),
            Direction::Inbound => {
                Some(self.connection(now, id, (Role::Responder, carrier), Some(peer)))
            }
        }
    }

    fn signals_changed(&mut self, now: Instant) {
        self.drain(ProtocolId::Signalling);
        self.settle_signals(now);
    }
}

/// The address of WebRTC for one through a relay, without the peer behind it.
pub(super) fn signalled(circuit: &Multiaddr) -> Option<Multiaddr> {
    circuit.without_peer().with(Protocol::Webrtc).ok()
}

/// The address through a relay in one of WebRTC, without the peer behind it.
fn circuit_of(address: &Multiaddr) -> Multiaddr {
    let mut circuit = address.without_peer();
    circuit.pop();
    circuit
}
