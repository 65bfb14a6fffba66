//! How the node uses relays: circuits that it dials through them, circuits that
//! they bring, places that it wants at them, and circuits that it carries itself.
//!
//! What remotes can make grow: nothing here; see [`crate::protocols::relay`].

use core::time::Duration;
use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::{Map, Set};
use crate::connection::{Carrier, Connection, Role, ToConnection};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::protocols::relay::{
    Circuit, CircuitId, Client, Config, HOP_NAME, Limit, Order, RelayError, Reservation, Service,
    split_circuit,
};
use crate::swarm::DialOptions;
use crate::time::Instant;

use super::hosting::ProtocolId;
use super::{AttemptError, ConnectionId, DialId, Direction, Event, Node, Output};

/// The first wait before a relay is asked again; it doubles up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait while a relay has not been away for long: it may be restarting.
const SHORT_RETRY: Duration = Duration::from_secs(4);
/// Tries after which a relay that cannot be reached is one that is away for long: two
/// minutes and more.
const SHORT_TRIES: u32 = 30;
/// The longest wait before a relay that did not serve us is asked again.
const MAX_RETRY: Duration = Duration::from_secs(60);
/// Relays that are kept in mind because they did not serve us.
const MAX_REMEMBERED: usize = 64;

/// What the node wants of relays.
pub(super) struct Relays {
    pub(super) client: Client,
    pub(super) service: Service,
    pub(super) orders: VecDeque<Order>,
    /// Dials to relays, and what for.
    pub(super) dials: Map<DialId, Purpose>,
    /// Whether circuits that end soon are replaced.
    pub(super) refresh: bool,
    /// Protocols of the application that take streams on limited connections.
    pub(super) thrifty: Set<Name>,
    /// Relays that are to serve us, by name.
    fixed: Map<PeerId, Multiaddr>,
    /// How many others are to, whichever.
    any: usize,
    /// Relays that did not serve us: when to ask again, and the wait after that.
    retries: Map<PeerId, Retry>,
    /// Where we can be reached through whom.
    pub(super) announced: Map<PeerId, Vec<Multiaddr>>,
    /// Something changed that may make a relay useful.
    stirred: bool,
    /// When it was last seen to what is wanted.
    sought: Instant,
}

/// A relay that did not serve us.
struct Retry {
    at: Instant,
    /// The wait after that.
    wait: Duration,
    tries: u32,
}

/// What a relay says of a connection through it.
#[derive(Default)]
pub(super) struct Relayed {
    /// Who is at the other end.
    expected: Option<PeerId>,
    /// What it allows.
    pub(super) limit: Limit,
    /// The connection to it.
    pub(super) via: Option<ConnectionId>,
}

#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Circuit {
        attempt: ConnectionId,
        target: PeerId,
    },
    Reservation {
        relay: PeerId,
    },
    /// Another circuit to take the place of one that ends soon.
    Fresh,
}

impl Relays {
    pub(super) fn new(config: &Config) -> Self {
        let service = config.service.clone().unwrap_or_default();
        let serves = config.service.is_some();
        Self {
            client: Client::new(config.clone()),
            service: Service::new(serves, service, config.unix_millis_at_zero),
            orders: VecDeque::new(),
            dials: Map::new(),
            refresh: config.refresh,
            thrifty: Set::new(),
            fixed: Map::new(),
            any: 0,
            retries: Map::new(),
            announced: Map::new(),
            stirred: false,
            sought: Instant::ZERO,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waits = |relay: &PeerId| self.any > 0 || self.fixed.contains_key(relay);
        let retries = self.retries.iter().filter(|(relay, _)| waits(relay));
        retries.map(|(_, retry)| retry.at).filter(|at| *at > self.sought).min()
    }

    fn refused(&mut self, now: Instant, relay: PeerId, error: &RelayError) {
        let (wait, tries) =
            self.retries.get(&relay).map_or((FIRST_RETRY, 0), |retry| (retry.wait, retry.tries));
        // One that said no is not asked as soon as one that is away.
        let away = !matches!(error, RelayError::Refused(_) | RelayError::NotARelay);
        let longest = if away && tries < SHORT_TRIES { SHORT_RETRY } else { MAX_RETRY };
        if self.retries.len() >= MAX_REMEMBERED && !self.retries.contains_key(&relay) {
            let first =
                self.retries.iter().min_by_key(|(_, retry)| retry.at).map(|(peer, _)| *peer);
            first.map(|peer| self.retries.remove(&peer));
        }
        let retry =
            Retry { at: now + wait, wait: (wait * 2).min(longest), tries: tries.saturating_add(1) };
        self.retries.insert(relay, retry);
    }
}

impl Node {
    /// What the Unix time in milliseconds was when the node's clock was zero, for
    /// hosts that cannot say so in the configuration.
    pub fn set_relay_clock(&mut self, unix_millis_at_zero: u64) {
        self.relays.client.set_clock(unix_millis_at_zero);
        self.relays.service.set_clock(unix_millis_at_zero);
    }

    /// Wants a place at a relay, for as long as the node lives: at the one with this
    /// address (which ends with its PeerId, or `/p2p-circuit` behind that), or, for
    /// `None`, at one more of those that we are connected to. Where we can be
    /// reached through it is then among [`Node::addresses`], and another relay is
    /// taken when one goes.
    ///
    /// # Errors
    /// [`RelayError::Address`]: the address does not say who the relay is.
    pub fn listen_on_relay(
        &mut self,
        now: Instant,
        relay: Option<Multiaddr>,
    ) -> Result<(), RelayError> {
        match relay {
            None => self.relays.any += 1,
            Some(address) => {
                let (relay, address) = match split_circuit(&address) {
                    Some((address, relay, None)) => (relay, address),
                    Some(_) => return Err(RelayError::Address),
                    None => (address.peer_id().ok_or(RelayError::Address)?, address),
                };
                self.relays.fixed.insert(relay, address);
            }
        }
        self.relays.stirred = true;
        self.settle_relays(now);
        Ok(())
    }

    /// Whether streams for `protocol` are taken on limited connections too; not
    /// unless asked for, since a protocol that carries much would soon use up what
    /// the relay allows.
    pub fn handle_limited(&mut self, protocol: Name, takes: bool) {
        if takes {
            self.relays.thrifty.insert(protocol);
        } else {
            self.relays.thrifty.remove(&protocol);
        }
    }

    /// Whether an inbound stream of the application is to be refused because its
    /// connection is limited.
    pub(super) fn spares(&self, connection: ConnectionId, protocol: &Name) -> bool {
        self.limit(connection).is_some() && !self.relays.thrifty.contains(protocol)
    }

    /// The places that relays keep for us.
    pub fn reservations(&self) -> impl Iterator<Item = (&PeerId, &Reservation)> {
        self.relays.client.reservations()
    }

    /// What this node allows as a relay, if it is one.
    pub fn relay_service(&self) -> &Service {
        &self.relays.service
    }

    /// Begins to serve as a relay, or changes what is allowed from now on.
    #[cfg(feature = "relay-service")]
    pub fn serve_as_relay(&mut self, now: Instant, config: crate::protocols::relay::ServiceConfig) {
        let serves = self.relays.service.is_serving();
        self.relays.service.serve(config);
        if !serves {
            self.register(ProtocolId::RelayService);
            self.protocols_changed(now);
        }
    }

    /// What the relay allows of a connection through it; `None` for a direct one,
    /// or one without a limit.
    pub fn limit(&self, connection: ConnectionId) -> Option<Limit> {
        Some(self.links.get(&connection)?.relayed.limit).filter(Limit::is_limited)
    }

    /// The host has joined the two streams of [`Output::Splice`], and now they, or
    /// what the limit allows, have come to their end.
    pub fn splice_ended(&mut self, now: Instant, circuit: CircuitId, bytes: [u64; 2]) {
        if let Some(summary) = self.relays.service.circuit_ended(now, circuit, bytes) {
            self.emit(Event::CircuitEnded { summary });
        }
    }

    /// Where the other end of a connection is, and who dialed.
    pub fn link(&self, connection: ConnectionId) -> Option<(Multiaddr, Direction)> {
        self.links.get(&connection).map(|link| (link.remote.clone(), link.direction))
    }

    /// The connection that [`Output::Tunnel`] lays over a stream; `None` if it is
    /// not wanted any more: reset the stream.
    pub fn tunnelled(&mut self, now: Instant, id: ConnectionId) -> Option<Connection> {
        let link = self.links.get(&id)?;
        let (limit, source) = (link.relayed.limit, link.relayed.expected);
        let mut connection = match link.direction {
            Direction::Outbound => self.connected(now, id)?,
            Direction::Inbound => {
                self.connection(now, id, (Role::Responder, Carrier::Bytes), source)
            }
        };
        connection.set_limit(now, limit);
        Some(connection)
    }

    /// An attempt of a dial whose address leads through a relay.
    pub(super) fn dial_circuit(
        &mut self,
        now: Instant,
        attempt: ConnectionId,
        (address, relay, target): (Multiaddr, PeerId, Option<PeerId>),
    ) {
        let named = self.links.get(&attempt).and_then(|link| self.dials.peer(link.dial?));
        let Some(target) = target.or(named) else {
            return self.circuit_failed(now, attempt, RelayError::Address);
        };
        let purpose = Purpose::Circuit { attempt, target };
        self.reach_relay(now, relay, address, purpose);
    }

    fn reach_relay(&mut self, now: Instant, relay: PeerId, address: Multiaddr, purpose: Purpose) {
        let dial = DialId(self.number());
        self.relays.dials.insert(dial, purpose);
        let options = DialOptions { direct: true, force: true };
        self.begin_dial(now, (dial, options), Some(relay), vec![address]);
    }

    /// Whether a dial is one of ours, to a relay; then its result is dealt with.
    pub(super) fn relay_dialed(&mut self, now: Instant, event: &Event) -> bool {
        let (dial, connection, failure) = match event {
            Event::Dialed { dial, connection, .. } => (dial, Some(*connection), String::new()),
            Event::DialFailed { dial, error } => (dial, None, error.to_string()),
            _ => return false,
        };
        let Some(purpose) = self.relays.dials.remove(dial) else { return false };
        let error = RelayError::Unreachable(failure);
        let client = &mut self.relays.client;
        match (purpose, connection) {
            (Purpose::Circuit { attempt, target }, Some(connection)) => {
                client.connect(now, connection, attempt, target);
            }
            (Purpose::Reservation { .. }, Some(connection)) => client.reserve(now, connection),
            (Purpose::Circuit { attempt, .. }, None) => {
                self.relays.orders.push_back(Order::Failed { attempt, error });
            }
            (Purpose::Fresh, _) => {}
            (Purpose::Reservation { relay }, None) => {
                self.relays.orders.push_back(Order::Unreserved { relay, error });
            }
        }
        self.drain(ProtocolId::RelayClient);
        self.settle_relays(now);
        true
    }

    /// Nobody waits for an attempt through a relay any more.
    pub(super) fn cancel_circuit(&mut self, now: Instant, wanted: ConnectionId) {
        let is = |purpose: &Purpose| matches!(purpose, Purpose::Circuit { attempt, .. } if *attempt == wanted);
        let dial = self.relays.dials.iter().find(|(_, purpose)| is(purpose)).map(|(id, _)| *id);
        if let Some(dial) = dial {
            self.cancel_dial(now, dial);
        }
        self.relays.client.cancel(wanted);
        self.drain(ProtocolId::RelayClient);
    }

    fn circuit_failed(&mut self, now: Instant, attempt: ConnectionId, error: RelayError) {
        self.link_ended(now, attempt, AttemptError::Relay(error));
    }

    /// A connection was identified, or something else that may make it useful.
    pub(super) fn stir_relays(&mut self) {
        self.relays.stirred = true;
    }

    /// Carries out what the relay protocols want, and asks relays for what is wanted.
    pub(super) fn settle_relays(&mut self, now: Instant) {
        loop {
            while let Some(order) = self.relays.orders.pop_front() {
                self.carry_out(now, order);
            }
            let due = self.relays.poll_timeout().is_some_and(|at| at <= now);
            if !core::mem::take(&mut self.relays.stirred) && !due {
                return;
            }
            self.seek_relays(now);
        }
    }

    fn carry_out(&mut self, now: Instant, order: Order) {
        match order {
            Order::Tunnel { attempt, via, stream, peer, limit } => {
                self.streams.remove(&(via, stream));
                let connection = match attempt {
                    Some(attempt) => Some(attempt).filter(|id| self.links.contains_key(id)),
                    None => self.accept_circuit(now, via, peer),
                };
                match connection {
                    Some(connection) => {
                        if let Some(link) = self.links.get_mut(&connection) {
                            link.relayed.limit = limit;
                            link.relayed.via = Some(via);
                        }
                        self.outputs.push_back(Output::Tunnel { connection, via, stream });
                    }
                    None => {
                        let reset = ToConnection::Reset(stream);
                        self.outputs.push_back(Output::Connection(via, reset));
                    }
                }
            }
            Order::Failed { attempt, error } => self.circuit_failed(now, attempt, error),
            Order::Splice { circuit, ends, limit, pace } => {
                let Circuit { source, target } = ends;
                self.streams.remove(&source);
                self.streams.remove(&target);
                self.outputs.push_back(Output::Splice { circuit, ends, limit, pace });
            }
            Order::Reserved { relay, addresses } => self.reserved(now, relay, addresses),
            Order::Unreserved { relay, error } => {
                self.announce(now, relay, Vec::new());
                self.relays.refused(now, relay, &error);
                self.relays.stirred = true;
                self.emit(Event::Unreserved { relay, error });
            }
        }
    }

    /// Room for a connection that a relay brings.
    fn accept_circuit(
        &mut self,
        now: Instant,
        via: ConnectionId,
        source: PeerId,
    ) -> Option<ConnectionId> {
        let link = self.links.get(&via).filter(|link| !link.standing.closing)?;
        let remote = link.remote.with_peer(link.peer?).with_circuit().with_peer(source);
        let id = self.make_room(now, remote).ok()?;
        if let Some(link) = self.links.get_mut(&id) {
            link.relayed.expected = Some(source);
        }
        Some(id)
    }

    fn reserved(&mut self, now: Instant, relay: PeerId, mut addresses: Vec<Multiaddr>) {
        self.relays.retries.remove(&relay);
        if addresses.is_empty() {
            // It does not say where it is: it is at least where we found it.
            let kept = self.relays.client.reservations().find(|(peer, _)| **peer == relay);
            let link = kept.and_then(|(_, kept)| self.links.get(&kept.connection));
            addresses.extend(link.map(|link| link.remote.with_peer(relay).with_circuit()));
        }
        self.announce(now, relay, addresses.clone());
        self.emit(Event::Reserved { relay, addresses });
    }

    /// Replaces what is announced of one relay.
    fn announce(&mut self, now: Instant, relay: PeerId, addresses: Vec<Multiaddr>) {
        #[cfg(feature = "webrtc")]
        let addresses = self.with_signalled(addresses);
        let before = self.relays.announced.remove(&relay).unwrap_or_default();
        if before == addresses {
            self.relays.announced.insert(relay, before);
            return;
        }
        if !addresses.is_empty() {
            self.relays.announced.insert(relay, addresses);
        }
        self.addresses_changed(now);
    }

    /// Announces again what there is of each relay.
    #[cfg(feature = "webrtc")]
    pub(super) fn announce_anew(&mut self, now: Instant) {
        for (relay, addresses) in self.relays.announced.clone().into_iter() {
            self.announce(now, relay, addresses);
        }
    }

    /// Asks for the places that are wanted and not had.
    fn seek_relays(&mut self, now: Instant) {
        self.relays.sought = now;
        let rests = |relays: &Relays, relay: &PeerId| {
            relays.retries.get(relay).is_some_and(|retry| retry.at > now)
        };
        let held: Vec<PeerId> = self.reservations().map(|(relay, _)| *relay).collect();
        let under_way = |relays: &Relays, wanted: &PeerId| {
            let is = |purpose: &Purpose| matches!(purpose, Purpose::Reservation { relay } if relay == wanted);
            relays.dials.values().any(is)
        };
        let fixed: Vec<(PeerId, Multiaddr)> =
            self.relays.fixed.iter().map(|(relay, address)| (*relay, address.clone())).collect();
        for (relay, address) in fixed {
            if !held.contains(&relay)
                && !rests(&self.relays, &relay)
                && !under_way(&self.relays, &relay)
                && !self.relays.client.is_asking(&relay)
            {
                self.reach_relay(now, relay, address, Purpose::Reservation { relay });
            }
        }
        let fixed = |relays: &Relays, relay: &PeerId| relays.fixed.contains_key(relay);
        let others = held.iter().filter(|relay| !fixed(&self.relays, relay)).count();
        let asking = self.relays.client.asking().filter(|r| !fixed(&self.relays, r)).count();
        let mut missing = self.relays.any.saturating_sub(others + asking);
        let mut candidates = Vec::new();
        for (peer, connections) in self.peers.iter() {
            if held.contains(peer) || fixed(&self.relays, peer) || rests(&self.relays, peer) {
                continue;
            }
            let serves = |id: &&ConnectionId| {
                let direct = self.links.get(*id).is_some_and(|link| !link.remote.is_circuit());
                let info = self.identify.info(**id).filter(|_| direct);
                info.is_some_and(|info| info.protocols.iter().any(|name| &**name == HOP_NAME))
            };
            if missing > 0
                && !self.relays.client.is_asking(peer)
                && let Some(connection) = connections.iter().find(serves)
            {
                missing -= 1;
                candidates.push(*connection);
            }
        }
        for connection in candidates {
            self.relays.client.reserve(now, connection);
        }
        self.drain(ProtocolId::RelayClient);
    }
}
