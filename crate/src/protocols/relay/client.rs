//! What relays do for us: reservations, circuits that we ask for, circuits to us.
//!
//! What remotes can make grow: circuits asked for ([`MAX_CONNECTS`]), circuits that
//! a relay offers and has not named yet ([`MAX_OFFERS`] a connection); each ends at
//! its time.

use core::time::Duration;
use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::{LongSet, Map};
use crate::connection::{Framing, StreamError, StreamId};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::ConnectionId;
use crate::protocols::{Action, Input, Local, Protocol};
use crate::time::{Instant, earliest};

use super::message::{Hop, Stop};
use super::{Config, FRAMING, HOP_NAME, Limit, Order, RelayError, STOP_NAME, Status, Voucher};

/// Circuits that are being asked for at a time.
pub(super) const MAX_CONNECTS: usize = 128;
/// Streams of one relay on which it has not said yet who wants to reach us.
pub(super) const MAX_OFFERS: usize = 16;
/// How long a relay may take to answer.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(30);
/// A reservation is renewed after three quarters of its time, but not sooner than
/// this: a relay that gives less does not make us ask without end.
const MIN_RENEWAL: Duration = Duration::from_secs(10);
/// A relay that promises more than a week, in seconds, is asked again by then.
const MAX_TTL: u64 = 7 * 24 * 3600;

/// A place at a relay.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reservation {
    /// The connection to the relay that keeps it.
    pub connection: ConnectionId,
    /// When it ends unless it is renewed.
    pub expires: Instant,
    /// What the relay allows on the circuits to us.
    pub limit: Limit,
    /// The relay's signed word, if it gave one.
    pub voucher: Option<Voucher>,
    renew: Instant,
}

/// The client's state.
pub struct Client {
    config: Config,
    connections: Map<ConnectionId, PeerId>,
    reservations: Map<PeerId, Reservation>,
    /// What we wait for, by request until the stream is open and then by stream.
    requests: Map<u64, Waiting>,
    streams: Map<(ConnectionId, StreamId), Waiting>,
    /// Streams on which a relay is to say who wants to reach us.
    offers: LongSet<(ConnectionId, StreamId)>,
    next: u64,
    actions: VecDeque<Action>,
}

struct Waiting {
    connection: ConnectionId,
    relay: PeerId,
    purpose: Purpose,
    deadline: Instant,
}

#[derive(Clone, Copy)]
enum Purpose {
    Reserve,
    Connect { attempt: ConnectionId, peer: PeerId },
}

impl Client {
    /// A client that knows no relay.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            connections: Map::new(),
            reservations: Map::new(),
            requests: Map::new(),
            streams: Map::new(),
            offers: LongSet::new(),
            next: 0,
            actions: VecDeque::new(),
        }
    }

    pub(crate) fn set_clock(&mut self, unix_millis_at_zero: u64) {
        self.config.unix_millis_at_zero = unix_millis_at_zero;
    }

    /// The places that relays keep for us.
    pub fn reservations(&self) -> impl Iterator<Item = (&PeerId, &Reservation)> {
        self.reservations.iter()
    }

    /// The relays that are asked for a place and have not answered yet.
    pub(crate) fn asking(&self) -> impl Iterator<Item = &PeerId> {
        let all = self.requests.values().chain(self.streams.values());
        let ours = all.filter(|waiting| matches!(waiting.purpose, Purpose::Reserve));
        ours.map(|waiting| &waiting.relay)
    }

    /// Whether this relay is one of [`Client::asking`].
    pub(crate) fn is_asking(&self, relay: &PeerId) -> bool {
        self.asking().any(|asked| asked == relay)
    }

    /// Asks the relay at the other end of a connection for a place, or for more
    /// time. [`Order::Reserved`] or [`Order::Unreserved`] answers.
    pub fn reserve(&mut self, now: Instant, connection: ConnectionId) {
        let asked = |waiting: &Waiting| {
            waiting.connection == connection && matches!(waiting.purpose, Purpose::Reserve)
        };
        if self.requests.values().any(asked) || self.streams.values().any(asked) {
            return;
        }
        self.ask(now, connection, Purpose::Reserve);
    }

    /// Asks the relay at the other end of `connection` for a circuit to `peer`.
    /// [`Order::Tunnel`] or [`Order::Failed`] answers.
    pub fn connect(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        attempt: ConnectionId,
        peer: PeerId,
    ) {
        if self.requests.len() + self.streams.len() >= MAX_CONNECTS {
            return self.order(Order::Failed { attempt, error: RelayError::TooMany });
        }
        self.ask(now, connection, Purpose::Connect { attempt, peer });
    }

    /// Nobody waits for the circuit of this attempt any more.
    pub fn cancel(&mut self, wanted: ConnectionId) {
        let is = |waiting: &Waiting| matches!(waiting.purpose, Purpose::Connect { attempt, .. } if attempt == wanted);
        self.requests.retain(|_, waiting| !is(waiting));
        let found = self.streams.iter().find(|(_, waiting)| is(waiting)).map(|(id, _)| *id);
        if let Some((connection, stream)) = found {
            self.streams.remove(&(connection, stream));
            self.actions.push_back(Action::Reset { connection, stream });
        }
    }

    fn ask(&mut self, now: Instant, connection: ConnectionId, purpose: Purpose) {
        let Some(relay) = self.connections.get(&connection).copied() else {
            return self.failed(purpose, None, RelayError::Disconnected);
        };
        self.next += 1;
        let waiting = Waiting { connection, relay, purpose, deadline: now + ANSWER_TIME };
        self.requests.insert(self.next, waiting);
        self.actions.push_back(Action::Open {
            connection,
            request: self.next,
            protocols: vec![HOP_NAME.into()],
            framing: FRAMING,
        });
    }

    fn order(&mut self, order: Order) {
        self.actions.push_back(Action::Relay(order));
    }

    fn failed(&mut self, purpose: Purpose, relay: Option<PeerId>, error: RelayError) {
        match (purpose, relay) {
            (Purpose::Connect { attempt, .. }, _) => self.order(Order::Failed { attempt, error }),
            (Purpose::Reserve, Some(relay)) => self.unreserve(relay, error),
            (Purpose::Reserve, None) => {}
        }
    }

    fn unreserve(&mut self, relay: PeerId, error: RelayError) {
        self.reservations.remove(&relay);
        self.order(Order::Unreserved { relay, error });
    }

    fn on_answer(
        &mut self,
        now: Instant,
        (connection, stream): (ConnectionId, StreamId),
        waiting: Waiting,
        bytes: &[u8],
        local: &Local,
    ) {
        let Waiting { relay, purpose, .. } = waiting;
        let (reservation, limit) = match Hop::decode(bytes) {
            Ok(Hop::Status { status: Status::Ok, reservation, limit }) => (reservation, limit),
            answer => {
                let error = match answer {
                    Ok(Hop::Status { status, .. }) => RelayError::Refused(status),
                    _ => RelayError::Protocol,
                };
                self.actions.push_back(Action::Reset { connection, stream });
                return self.failed(purpose, Some(relay), error);
            }
        };
        if let Purpose::Connect { attempt, peer } = purpose {
            let (attempt, via) = (Some(attempt), connection);
            return self.order(Order::Tunnel { attempt, via, stream, peer, limit });
        }
        self.actions.push_back(Action::Finish { connection, stream });
        let Some(reservation) = reservation else {
            return self.unreserve(relay, RelayError::Protocol);
        };
        // A voucher is advisory, but one that is not what it says is a lie.
        let voucher = match reservation.voucher.as_deref().map(Voucher::open) {
            None => None,
            Some(Ok(voucher))
                if voucher.relay == relay && voucher.peer == local.keypair.peer_id() =>
            {
                Some(voucher)
            }
            Some(_) => return self.unreserve(relay, RelayError::Protocol),
        };
        let unix = self.config.unix_millis_at_zero / 1000 + now.as_micros() / 1_000_000;
        let lasts = Duration::from_secs(reservation.expire.saturating_sub(unix).min(MAX_TTL));
        if lasts.is_zero() {
            return self.unreserve(relay, RelayError::Protocol);
        }
        let expires = now + lasts;
        let renew = now + (lasts * 3 / 4).max(MIN_RENEWAL);
        let kept = Reservation { connection, expires, limit, voucher, renew };
        self.reservations.insert(relay, kept);
        let plain = |address: &Multiaddr| !address.is_circuit();
        let addresses = reservation.addresses.iter().filter(|address| plain(address));
        let addresses = addresses.map(|address| address.with_peer(relay).with_circuit()).collect();
        self.order(Order::Reserved { relay, addresses });
    }

    fn on_offer(&mut self, connection: ConnectionId, stream: StreamId, bytes: &[u8]) {
        let relay = self.connections.get(&connection);
        let serves = relay.is_some_and(|relay| self.reservations.get(relay).is_some());
        let status = match Stop::decode(bytes) {
            Ok(Stop::Connect { peer, limit }) if serves => {
                let bytes = Stop::Status(Status::Ok).encode();
                self.actions.push_back(Action::Send { connection, stream, bytes });
                let (attempt, via) = (None, connection);
                return self.order(Order::Tunnel { attempt, via, stream, peer, limit });
            }
            Ok(Stop::Connect { .. }) => Status::PermissionDenied,
            Ok(Stop::Status(_)) => Status::UnexpectedMessage,
            Err(_) => Status::MalformedMessage,
        };
        let bytes = Stop::Status(status).encode();
        self.actions.push_back(Action::Send { connection, stream, bytes });
        self.actions.push_back(Action::Finish { connection, stream });
    }

    fn on_disconnected(&mut self, gone: ConnectionId) {
        self.connections.remove(&gone);
        self.offers.retain(|(connection, _)| *connection != gone);
        let mut ended = Vec::new();
        self.requests.retain(|_, waiting| {
            let stays = waiting.connection != gone;
            if !stays {
                ended.push((waiting.purpose, waiting.relay));
            }
            stays
        });
        self.streams.retain(|_, waiting| {
            let stays = waiting.connection != gone;
            if !stays {
                ended.push((waiting.purpose, waiting.relay));
            }
            stays
        });
        for (purpose, relay) in ended {
            self.failed(purpose, Some(relay), RelayError::Disconnected);
        }
        let lost = self.reservations.iter().find(|(_, kept)| kept.connection == gone);
        if let Some(relay) = lost.map(|(relay, _)| *relay) {
            self.unreserve(relay, RelayError::Disconnected);
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        let late: Vec<u64> = due(&self.requests, now);
        for request in late {
            if let Some(waiting) = self.requests.remove(&request) {
                self.failed(waiting.purpose, Some(waiting.relay), RelayError::TimedOut);
            }
        }
        for (connection, stream) in due(&self.streams, now) {
            if let Some(waiting) = self.streams.remove(&(connection, stream)) {
                self.actions.push_back(Action::Reset { connection, stream });
                self.failed(waiting.purpose, Some(waiting.relay), RelayError::TimedOut);
            }
        }
        let mut renew = Vec::new();
        for (_, kept) in self.reservations.iter_mut().filter(|(_, kept)| kept.renew <= now) {
            kept.renew = now + ANSWER_TIME;
            renew.push(kept.connection);
        }
        let ended = self.reservations.iter().filter(|(_, kept)| kept.expires <= now);
        for relay in ended.map(|(relay, _)| *relay).collect::<Vec<_>>() {
            self.unreserve(relay, RelayError::TimedOut);
        }
        for connection in renew {
            self.reserve(now, connection);
        }
    }
}

fn due<K: Copy + Ord>(table: &Map<K, Waiting>, now: Instant) -> Vec<K> {
    table.iter().filter(|(_, waiting)| waiting.deadline <= now).map(|(key, _)| *key).collect()
}

impl Protocol for Client {
    fn names(&self) -> Vec<(Name, Framing)> {
        vec![(STOP_NAME.into(), FRAMING)]
    }

    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>) {
        match input {
            Input::Connected { connection, peer, .. } => {
                self.connections.insert(connection, *peer);
            }
            Input::Disconnected { connection } => self.on_disconnected(connection),
            Input::Opened { connection, request, stream, .. } => {
                let Some(waiting) = self.requests.remove(&request) else {
                    return self.actions.push_back(Action::Reset { connection, stream });
                };
                let bytes = match waiting.purpose {
                    Purpose::Reserve => Hop::Reserve.encode(),
                    Purpose::Connect { peer, .. } => Hop::Connect { peer }.encode(),
                };
                self.streams.insert((connection, stream), waiting);
                self.actions.push_back(Action::Send { connection, stream, bytes });
            }
            Input::OpenFailed { request, error, .. } => {
                let Some(waiting) = self.requests.remove(&request) else { return };
                let error = match error {
                    StreamError::ProtocolNotSupported(_) => RelayError::NotARelay,
                    StreamError::TimedOut => RelayError::TimedOut,
                    _ => RelayError::Disconnected,
                };
                self.failed(waiting.purpose, Some(waiting.relay), error);
            }
            Input::Inbound { connection, stream, .. } => {
                let open = self.offers.iter().filter(|(id, _)| *id == connection).count();
                if open >= MAX_OFFERS {
                    return self.actions.push_back(Action::Reset { connection, stream });
                }
                self.offers.insert((connection, stream));
            }
            Input::Message { connection, stream, bytes } => {
                if self.offers.remove(&(connection, stream)) {
                    self.on_offer(connection, stream, &bytes);
                } else if let Some(waiting) = self.streams.remove(&(connection, stream)) {
                    self.on_answer(now, (connection, stream), waiting, &bytes, local);
                }
            }
            Input::Finished { connection, stream } => {
                if self.offers.remove(&(connection, stream)) {
                    return self.actions.push_back(Action::Reset { connection, stream });
                }
                if let Some(waiting) = self.streams.remove(&(connection, stream)) {
                    self.actions.push_back(Action::Reset { connection, stream });
                    self.failed(waiting.purpose, Some(waiting.relay), RelayError::Protocol);
                }
            }
            Input::Reset { connection, stream } => {
                self.offers.remove(&(connection, stream));
                if let Some(waiting) = self.streams.remove(&(connection, stream)) {
                    self.failed(waiting.purpose, Some(waiting.relay), RelayError::Disconnected);
                }
            }
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
        let waiting = self.requests.values().chain(self.streams.values());
        let answers = waiting.map(|waiting| waiting.deadline).min();
        let kept = self.reservations.values().map(|kept| kept.renew.min(kept.expires)).min();
        earliest(answers, kept)
    }
}
