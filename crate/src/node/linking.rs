//! Connections as they come and go: admitted, made, established, ended.

use crate::address::Multiaddr;
use crate::collections::Set;
use crate::connection::{self, Carrier, Connection, Role};
use crate::identity::PeerId;
use crate::protocols::Input;
use crate::time::Instant;

use super::paths::Standing;
use super::{AttemptError, ConnectionId, Direction, Event, Link, Node, Output, Refused};

impl Node {
    /// A remote opened a transport to us. Returns the connection to drive, or
    /// why it is not taken: close the transport.
    pub fn accepted(
        &mut self,
        now: Instant,
        remote: Multiaddr,
    ) -> Result<(ConnectionId, Connection), Refused> {
        self.accepted_over(now, remote, Carrier::Bytes)
    }

    /// As [`Node::accepted`], over something else than bytes.
    pub fn accepted_over(
        &mut self,
        now: Instant,
        remote: Multiaddr,
        carrier: Carrier,
    ) -> Result<(ConnectionId, Connection), Refused> {
        #[cfg(feature = "dcutr")]
        let from = remote.clone();
        let id = self.make_room(now, remote)?;
        // Only of bytes both ends can have begun at once.
        #[cfg(feature = "dcutr")]
        if carrier == Carrier::Bytes
            && let Some(connection) = self.met(now, id, &from)
        {
            return Ok((id, connection));
        }
        Ok((id, self.connection(now, id, (Role::Responder, carrier), None)))
    }

    /// Room for an inbound connection.
    pub(super) fn make_room(
        &mut self,
        now: Instant,
        remote: Multiaddr,
    ) -> Result<ConnectionId, Refused> {
        let id = ConnectionId(self.number());
        #[cfg(not(feature = "limits"))]
        let _ = now;
        #[cfg(feature = "limits")]
        let held = self.admit(now, id, &remote)?;
        if self.links.len() >= self.config.max_connections {
            return Err(Refused::Full);
        }
        if self.unauthenticated >= self.config.max_unauthenticated {
            return Err(Refused::TooManyHandshakes);
        }
        self.unauthenticated += 1;
        let direction = Direction::Inbound;
        let link = Link {
            direction,
            dial: None,
            remote,
            peer: None,
            standing: Standing::default(),
            #[cfg(feature = "dcutr")]
            role: None,
            #[cfg(feature = "addresses")]
            local: None,
            #[cfg(feature = "relay")]
            relayed: super::relaying::Relayed::default(),
            #[cfg(feature = "limits")]
            held,
        };
        self.links.insert(id, link);
        Ok(id)
    }

    #[cfg_attr(not(feature = "limits"), expect(unused_variables))]
    pub(super) fn connection(
        &mut self,
        now: Instant,
        id: ConnectionId,
        (role, carrier): (Role, Carrier),
        expected: Option<PeerId>,
    ) -> Connection {
        let (config, handlers) = (self.connection_config.clone(), self.handlers.clone());
        let rng = self.rng.fork();
        let mut connection =
            Connection::over((config, handlers), (role, &carrier), expected, rng, now);
        #[cfg(feature = "limits")]
        if let Some(link) = self.links.get(&id) {
            connection.set_scope(link.held.scope());
        }
        connection.begin(now, &carrier);
        connection
    }

    pub(super) fn on_established(&mut self, now: Instant, id: ConnectionId, peer: PeerId) {
        let order = self.number();
        let Some(link) = self.links.get_mut(&id) else { return };
        (link.peer, link.standing.order) = (Some(peer), order);
        let (direction, remote, dial) = (link.direction, link.remote.clone(), link.dial.take());
        // A dial to oneself, by an address that did not say so.
        let refused = (peer == self.peer_id()).then_some(connection::Error::Myself);
        #[cfg(feature = "limits")]
        let refused = refused.or_else(|| {
            let denied = !self.limiting.proved(&peer, direction);
            denied.then_some(connection::Error::Denied)
        });
        if let Some(error) = refused {
            let error = AttemptError::Connection(error);
            if let Some(link) = self.links.get_mut(&id) {
                (link.dial, link.peer) = (dial, None);
            }
            self.outputs.push_back(Output::Drop(id));
            return self.link_ended(now, id, error);
        }
        if direction == Direction::Inbound {
            self.unauthenticated = self.unauthenticated.saturating_sub(1);
        }
        #[cfg(feature = "dcutr")]
        let direction = self.direction_of(id, direction);
        #[cfg(feature = "limits")]
        if let Some(link) = self.links.get(&id) {
            link.held.proved();
        }
        let before = self.best(&peer, false);
        self.peers.get_or_insert_with(peer, Set::new).insert(id);
        let event = Event::Connected { connection: id, peer, direction, remote: remote.clone() };
        self.emit(event);
        self.dials.backoff.reached(&peer, &remote);
        for protocol in self.protocol_ids() {
            let (connection, peer, remote) = (id, &peer, &remote);
            self.feed(now, protocol, Input::Connected { connection, peer, direction, remote });
        }
        if let Some(key) = dial {
            let best = self.best(&peer, false).unwrap_or(id);
            self.dial_reached(now, key, Some(id), (best, peer));
        }
        self.path_changed(peer, before);
        self.drain_worse(&peer);
        #[cfg(feature = "webrtc")]
        self.way_opened(now, id);
        #[cfg(feature = "manager")]
        self.managed_connected(now, id, peer, direction);
    }

    /// A connection is over, whatever it had come to.
    pub(super) fn link_ended(&mut self, now: Instant, id: ConnectionId, error: AttemptError) {
        let peer = self.links.get(&id).and_then(|link| link.peer);
        let before = peer.and_then(|peer| self.best(&peer, false));
        let Some(link) = self.links.remove(&id) else { return };
        #[cfg(feature = "webrtc")]
        self.way_ended(now, id, &error);
        #[cfg(feature = "dcutr")]
        self.socket_ended(now, (id, peer), &error);
        if let Some(peer) = peer {
            if let Some(connections) = self.peers.get_mut(&peer) {
                connections.remove(&id);
                if connections.is_empty() {
                    self.peers.remove(&peer);
                }
            }
            #[cfg(feature = "addresses")]
            self.reaching.addresses.disconnected(now, id);
            self.streams.retain(|(connection, _), _| *connection != id);
            self.requests.retain(|_, (connection, ..)| *connection != id);
            for protocol in self.protocol_ids() {
                self.feed(now, protocol, Input::Disconnected { connection: id });
            }
            let reason = match error {
                AttemptError::Connection(error) => error,
                error => connection::Error::Transport(error.to_string()),
            };
            self.emit(Event::Disconnected { connection: id, peer, reason: reason.clone() });
            #[cfg(feature = "relay")]
            self.keep_drained(&peer);
            self.path_changed(peer, before);
            #[cfg(feature = "manager")]
            self.managed_disconnected(now, id, peer, &reason, &link);
        } else if link.direction == Direction::Inbound {
            self.unauthenticated = self.unauthenticated.saturating_sub(1);
            if let AttemptError::Connection(error) = error {
                self.emit(Event::InboundFailed { remote: link.remote, error });
            }
        } else if let Some(key) = link.dial {
            self.attempt_failed(now, key, &link.remote);
            self.dials.failed(now, key, id, error);
        }
        // There may be room for attempts that wait.
        self.advance_dials(now);
    }
}
