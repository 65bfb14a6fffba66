//! The relay: reservations, and circuits between two peers that are connected to
//! us.
//!
//! What remotes can make grow, and its bounds: reservations and circuits, in all,
//! a peer and an address ([`ServiceConfig`]); requests that are not read yet
//! ([`MAX_REQUESTS`] a connection). Each ends at its time, and with its connection.

use core::time::Duration;
use std::collections::VecDeque;

use crate::address::{Multiaddr, Protocol as Part};
use crate::collections::{LongMap, LongSet};
use crate::connection::{Framing, StreamId};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::{ConnectionId, Event};
use crate::protocols::{Action, Input, Local, Protocol};
use crate::time::{Instant, earliest};

use super::message::{Hop, MAX_MESSAGE_BYTES, Reservation, Stop};
use super::pace::{Paces, Prefix};
use super::refusal::Record;
use super::{
    FRAMING, HOP_NAME, Limit, Order, Refusal, RelayStats, Rule, SERVES, STOP_NAME, ServiceConfig,
    Status, Voucher,
};

/// Requests of one connection that are not read yet.
pub(super) const MAX_REQUESTS: usize = 16;
/// How long the target of a circuit may take to answer.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(30);

/// A circuit's number, unique for the life of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CircuitId(pub u64);

/// The two ends of a circuit: a connection of the relay, and a stream on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// That of the peer that asked for it.
    pub source: (ConnectionId, StreamId),
    /// That of the peer that it leads to.
    pub target: (ConnectionId, StreamId),
}

/// What a circuit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitSummary {
    /// Who asked for it.
    pub source: PeerId,
    /// Whom it led to.
    pub target: PeerId,
    /// Bytes from source to target, and back.
    pub bytes: [u64; 2],
}

/// A relay's state.
pub struct Service {
    serving: bool,
    config: ServiceConfig,
    unix_millis_at_zero: u64,
    connections: LongMap<ConnectionId, Link>,
    reservations: LongMap<PeerId, Kept>,
    requests: LongSet<(ConnectionId, StreamId)>,
    circuits: LongMap<CircuitId, State>,
    /// Streams to targets that have not answered yet.
    stops: LongMap<(ConnectionId, StreamId), CircuitId>,
    paces: Paces,
    record: Record,
    next: u64,
    actions: VecDeque<Action>,
}

struct Link {
    peer: PeerId,
    /// The IPv4 address or IPv6 /56 that it comes from.
    prefix: Option<Prefix>,
    relayed: bool,
}

struct Kept {
    connection: ConnectionId,
    expires: Instant,
}

struct State {
    source: (PeerId, ConnectionId, StreamId),
    target: (PeerId, ConnectionId),
    /// Until the target has answered.
    deadline: Option<Instant>,
    limit: Limit,
    /// When it will be cut.
    ends: Option<Instant>,
}

impl Service {
    /// A relay, or what may become one. `unix_millis_at_zero`: see
    /// [`Config`](super::Config).
    pub fn new(serving: bool, config: ServiceConfig, unix_millis_at_zero: u64) -> Self {
        let mut paces = Paces::default();
        paces.set(config.rates);
        Self {
            serving: SERVES && serving,
            config,
            unix_millis_at_zero,
            connections: LongMap::new(),
            reservations: LongMap::new(),
            requests: LongSet::new(),
            circuits: LongMap::new(),
            stops: LongMap::new(),
            paces,
            record: Record::default(),
            next: 0,
            actions: VecDeque::new(),
        }
    }

    /// What it allows.
    pub fn config(&self) -> &ServiceConfig {
        &self.config
    }

    pub(crate) fn set_clock(&mut self, unix_millis_at_zero: u64) {
        self.unix_millis_at_zero = unix_millis_at_zero;
    }

    /// Whether it serves others.
    pub fn is_serving(&self) -> bool {
        self.serving
    }

    /// Serves others, or changes what it allows from now on; what stands, stays.
    #[cfg(feature = "relay-service")]
    pub fn serve(&mut self, config: ServiceConfig) {
        self.serving = true;
        self.paces.set(config.rates);
        self.config = config;
    }

    /// The peers that have a reservation.
    pub fn reservations(&self) -> impl Iterator<Item = &PeerId> {
        self.reservations.keys()
    }

    /// How many circuits there are, those that wait for their target included.
    pub fn circuit_count(&self) -> usize {
        self.circuits.len()
    }

    /// What it does and has done.
    pub fn stats(&self) -> RelayStats {
        RelayStats {
            reservations: self.reservations.len(),
            circuits: self.circuits.len(),
            refused: self.record.refused.iter().map(|(rule, count)| (*rule, *count)).collect(),
            pairs: self.record.pairs(),
        }
    }

    /// A circuit that was ordered is over, having carried so many bytes.
    pub fn circuit_ended(
        &mut self,
        now: Instant,
        circuit: CircuitId,
        bytes: [u64; 2],
    ) -> Option<CircuitSummary> {
        let state = self.circuits.remove(&circuit)?;
        let summary = CircuitSummary { source: state.source.0, target: state.target.0, bytes };
        self.record.ended(now, &summary);
        Some(summary)
    }

    /// What a circuit between two peers may last and carry.
    fn limit(&self, ends: [&PeerId; 2]) -> Limit {
        let trusted = ends.iter().any(|peer| self.config.trusted.contains(peer));
        if trusted { Limit::default() } else { self.config.limit }
    }

    fn serves(&self, peer: &PeerId) -> bool {
        let ServiceConfig { allow, deny, .. } = &self.config;
        !deny.contains(peer) && (allow.is_empty() || allow.contains(peer))
    }

    fn refuse(&mut self, connection: ConnectionId, refusal: Refusal) -> Status {
        self.record.refuse(refusal.rule);
        if let Some(peer) = self.connections.get(&connection).map(|link| link.peer) {
            self.actions.push_back(Action::Emit(Event::RelayRefused { peer, refusal }));
        }
        refusal.rule.status()
    }

    fn answer(&mut self, (connection, stream): (ConnectionId, StreamId), status: Status) {
        let message = Hop::Status { status, reservation: None, limit: Limit::default() };
        self.actions.push_back(Action::Send { connection, stream, bytes: message.encode() });
        self.actions.push_back(Action::Finish { connection, stream });
    }

    fn on_request(
        &mut self,
        now: Instant,
        local: &Local,
        (connection, stream): (ConnectionId, StreamId),
        bytes: &[u8],
    ) {
        let refusal = match Hop::decode(bytes) {
            Ok(Hop::Reserve) => match self.reserve(now, connection) {
                Ok(()) => return self.confirm(now, local, connection, stream),
                Err(refusal) => self.refuse(connection, refusal),
            },
            Ok(Hop::Connect { peer }) => match self.connect(now, connection, stream, peer) {
                Ok(()) => return,
                Err(refusal) => self.refuse(connection, refusal),
            },
            Ok(Hop::Status { .. }) => Status::UnexpectedMessage,
            Err(_) => Status::MalformedMessage,
        };
        self.answer((connection, stream), refusal);
    }

    fn reserve(&mut self, now: Instant, connection: ConnectionId) -> Result<(), Refusal> {
        let link = self.asker(connection)?;
        let (peer, prefix) = (link.peer, link.prefix);
        let others = || self.reservations.iter().filter(|(other, _)| **other != peer);
        let near = |kept: &Kept| match self.connections.get(&kept.connection) {
            Some(other) => prefix.is_some() && other.prefix == prefix,
            None => false,
        };
        let until = |first: Option<Instant>| first.map(|at| at.since(now));
        if others().count() >= self.config.max_reservations {
            let retry_after = until(others().map(|(_, kept)| kept.expires).min());
            return Err(Refusal { rule: Rule::Reservations, retry_after });
        }
        let nearby = || others().filter(|(_, kept)| near(kept));
        if nearby().count() >= self.config.max_reservations_per_ip {
            let retry_after = until(nearby().map(|(_, kept)| kept.expires).min());
            return Err(Refusal { rule: Rule::ReservationsPerIp, retry_after });
        }
        let kept = Kept { connection, expires: now + self.config.reservation_ttl };
        self.reservations.insert(peer, kept);
        Ok(())
    }

    /// Who asks, if it may.
    fn asker(&self, connection: ConnectionId) -> Result<&Link, Refusal> {
        let refuse = |rule| Refusal { rule, retry_after: None };
        let link = self.connections.get(&connection).ok_or(refuse(Rule::Relayed))?;
        match link {
            Link { relayed: true, .. } => Err(refuse(Rule::Relayed)),
            Link { peer, .. } if !self.serves(peer) => Err(refuse(Rule::Denied)),
            link => Ok(link),
        }
    }

    fn confirm(&mut self, now: Instant, local: &Local, connection: ConnectionId, stream: StreamId) {
        let Some(peer) = self.connections.get(&connection).map(|link| link.peer) else { return };
        let ends = self.unix_millis_at_zero / 1000
            + (now + self.config.reservation_ttl).as_micros() / 1_000_000;
        let us = local.keypair.peer_id();
        let mut room = MAX_MESSAGE_BYTES / 2;
        let announced = local.addresses.iter().filter(|address| !address.is_circuit());
        let addresses = announced.map(|address| address.with_peer(us)).take_while(|address| {
            room = room.saturating_sub(address.as_bytes().len() + 4);
            room > 0
        });
        let voucher = Voucher::seal(&local.keypair, &peer, ends).ok();
        let reservation = Reservation { expire: ends, addresses: addresses.collect(), voucher };
        let (status, limit) = (Status::Ok, self.limit([&peer, &peer]));
        let message = Hop::Status { status, reservation: Some(reservation), limit };
        self.actions.push_back(Action::Send { connection, stream, bytes: message.encode() });
        self.actions.push_back(Action::Finish { connection, stream });
    }

    fn connect(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        stream: StreamId,
        peer: PeerId,
    ) -> Result<(), Refusal> {
        let source = self.asker(connection)?.peer;
        let refuse = |rule| Refusal { rule, retry_after: None };
        if self.config.deny.contains(&peer) {
            return Err(refuse(Rule::Denied));
        }
        let kept = self.reservations.get(&peer).filter(|kept| kept.expires > now);
        let target = kept.ok_or(refuse(Rule::NoReservation))?.connection;
        let full = |rule, most: usize, counts: &dyn Fn(&State) -> bool| {
            let counted = || self.circuits.values().filter(|state| counts(state));
            let first = || counted().filter_map(|state| state.ends).min();
            (counted().count() >= most)
                .then(|| Refusal { rule, retry_after: first().map(|at| at.since(now)) })
        };
        let of = |state: &State, peer: &PeerId| state.source.0 == *peer || state.target.0 == *peer;
        let (in_all, each) = (self.config.max_circuits, self.config.max_circuits_per_peer);
        let refusal = full(Rule::Circuits, in_all, &|_| true)
            .or_else(|| full(Rule::CircuitsPerPeer, each, &|state| of(state, &source)))
            .or_else(|| full(Rule::CircuitsPerPeer, each, &|state| of(state, &peer)));
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        self.next += 1;
        let limit = self.limit([&source, &peer]);
        let state = State {
            source: (source, connection, stream),
            target: (peer, target),
            deadline: Some(now + ANSWER_TIME),
            limit,
            ends: limit.duration.map(|duration| now + duration),
        };
        self.circuits.insert(CircuitId(self.next), state);
        self.actions.push_back(Action::Open {
            connection: target,
            request: self.next,
            protocols: vec![STOP_NAME.into()],
            framing: FRAMING,
        });
        Ok(())
    }

    fn on_opened(&mut self, id: CircuitId, connection: ConnectionId, stream: StreamId) {
        let Some(state) = self.circuits.get(&id) else {
            return self.actions.push_back(Action::Reset { connection, stream });
        };
        let bytes = Stop::Connect { peer: state.source.0, limit: state.limit }.encode();
        self.stops.insert((connection, stream), id);
        self.actions.push_back(Action::Send { connection, stream, bytes });
    }

    fn on_stop_answer(&mut self, target: (ConnectionId, StreamId), id: CircuitId, bytes: &[u8]) {
        match Stop::decode(bytes) {
            Ok(Stop::Status(Status::Ok)) => {}
            Ok(Stop::Status(_)) | Ok(Stop::Connect { .. }) | Err(_) => {
                let (connection, stream) = target;
                self.actions.push_back(Action::Reset { connection, stream });
                return self.fail(id);
            }
        }
        let Some(state) = self.circuits.get_mut(&id) else { return };
        state.deadline = None;
        let ((from, connection, stream), (to, _), limit) =
            (state.source, state.target, state.limit);
        let message = Hop::Status { status: Status::Ok, reservation: None, limit };
        self.actions.push_back(Action::Send { connection, stream, bytes: message.encode() });
        let ends = Circuit { source: (connection, stream), target };
        let prefix = |id| self.connections.get(&id).and_then(|link| link.prefix);
        let pace = self.paces.circuit([(from, prefix(connection)), (to, prefix(target.0))]);
        self.actions.push_back(Action::Relay(Order::Splice { circuit: id, ends, limit, pace }));
    }

    /// A circuit did not come about on its target's side.
    fn fail(&mut self, id: CircuitId) {
        if let Some(State { source: (_, connection, stream), .. }) = self.circuits.remove(&id) {
            self.answer((connection, stream), Status::ConnectionFailed);
        }
    }

    /// A stream ended early.
    fn on_lost(&mut self, at: (ConnectionId, StreamId)) {
        self.requests.remove(&at);
        if let Some(id) = self.stops.remove(&at) {
            return self.fail(id);
        }
        let waits =
            |state: &State| state.deadline.is_some() && (state.source.1, state.source.2) == at;
        let waiting = self.circuits.iter().find(|(_, s)| waits(s)).map(|(id, _)| *id);
        if let Some(id) = waiting {
            self.abandon(id);
        }
    }

    /// Nobody waits for a circuit any more.
    fn abandon(&mut self, id: CircuitId) {
        self.circuits.remove(&id);
        let stop = self.stops.iter().find(|(_, circuit)| **circuit == id).map(|(at, _)| *at);
        if let Some((connection, stream)) = stop {
            self.stops.remove(&(connection, stream));
            self.actions.push_back(Action::Reset { connection, stream });
        }
    }

    fn on_disconnected(&mut self, gone: ConnectionId) {
        self.connections.remove(&gone);
        self.requests.retain(|(connection, _)| *connection != gone);
        self.reservations.retain(|_, kept| kept.connection != gone);
        // The host ends those that are spliced, and tells.
        let waits = |state: &State| state.deadline.is_some();
        let of_source = |state: &State| waits(state) && state.source.1 == gone;
        let of_target = |state: &State| waits(state) && state.target.1 == gone;
        let ids = |is: &dyn Fn(&State) -> bool| -> Vec<CircuitId> {
            self.circuits.iter().filter(|(_, state)| is(state)).map(|(id, _)| *id).collect()
        };
        let (sources, targets) = (ids(&of_source), ids(&of_target));
        sources.into_iter().for_each(|id| self.abandon(id));
        self.stops.retain(|(connection, _), _| *connection != gone);
        targets.into_iter().for_each(|id| self.fail(id));
    }

    fn on_timeout(&mut self, now: Instant) {
        self.reservations.retain(|_, kept| kept.expires > now);
        let late = |state: &State| state.deadline.is_some_and(|at| at <= now);
        let ids = self.circuits.iter().filter(|(_, state)| late(state)).map(|(id, _)| *id);
        for id in ids.collect::<Vec<_>>() {
            let Some(state) = self.circuits.get(&id) else { continue };
            let (_, connection, stream) = state.source;
            self.abandon(id);
            self.answer((connection, stream), Status::ConnectionFailed);
        }
    }
}

/// What addresses are counted by.
fn prefix(remote: &Multiaddr) -> Option<Prefix> {
    match remote.iter().next()? {
        Part::Ip4(address) => {
            let [a, b, c, d] = address.octets();
            Some([4, a, b, c, d, 0, 0, 0])
        }
        Part::Ip6(address) => {
            let [a, b, c, d, e, f, g, ..] = address.octets();
            Some([6, a, b, c, d, e, f, g])
        }
        _ => None,
    }
}

impl Protocol for Service {
    fn names(&self) -> Vec<(Name, Framing)> {
        if self.serving { vec![(HOP_NAME.into(), FRAMING)] } else { Vec::new() }
    }

    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>) {
        if !SERVES {
            return;
        }
        match input {
            Input::Connected { connection, peer, remote, .. } => {
                let (prefix, relayed) = (prefix(remote), remote.is_circuit());
                self.connections.insert(connection, Link { peer: *peer, prefix, relayed });
            }
            Input::Disconnected { connection } => self.on_disconnected(connection),
            Input::Inbound { connection, stream, .. } => {
                let open = (connection, StreamId::from_number(0));
                let unread = self.requests.range(open..).take_while(|(id, _)| *id == connection);
                if unread.count() >= MAX_REQUESTS {
                    return self.actions.push_back(Action::Reset { connection, stream });
                }
                self.requests.insert((connection, stream));
            }
            Input::Message { connection, stream, bytes } => {
                let at = (connection, stream);
                if self.requests.remove(&at) {
                    self.on_request(now, local, at, &bytes);
                } else if let Some(id) = self.stops.remove(&at) {
                    self.on_stop_answer(at, id, &bytes);
                }
            }
            Input::Opened { connection, request, stream, .. } => {
                self.on_opened(CircuitId(request), connection, stream);
            }
            Input::OpenFailed { request, .. } => self.fail(CircuitId(request)),
            Input::Finished { connection, stream } => {
                // A source that sends no more still waits for its answer.
                if self.stops.contains_key(&(connection, stream))
                    || self.requests.contains(&(connection, stream))
                {
                    self.actions.push_back(Action::Reset { connection, stream });
                    self.on_lost((connection, stream));
                }
            }
            Input::Reset { connection, stream } => self.on_lost((connection, stream)),
            Input::Timeout => self.on_timeout(now),
            Input::LocalChanged => {}
            #[cfg(feature = "service")]
            Input::Identified { .. } => {}
            #[cfg(any(feature = "pubsub", feature = "service"))]
            Input::Flushed { .. } => {}
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if !SERVES {
            return None;
        }
        let circuits = self.circuits.values().filter_map(|state| state.deadline).min();
        earliest(circuits, self.reservations.values().map(|kept| kept.expires).min())
    }
}
