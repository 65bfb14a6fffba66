//! Ping: whether a peer answers, and how fast.
//!
//! Source: libp2p specs "ping". One stream a connection and direction stays open
//! and carries one 32-byte message after another.
//!
//! What a remote can make grow: its ping streams ([`MAX_INBOUND`] a connection);
//! answers are sent only as messages are fetched.

use core::time::Duration;
use std::collections::VecDeque;

use thiserror::Error;

use crate::collections::{Map, Set};
use crate::connection::{Framing, StreamError, StreamId};
use crate::negotiate::Name;
use crate::node::{ConnectionId, Event, PingId};
use crate::rng::Rng;
use crate::time::Instant;

use super::{Action, Input, Local, Protocol};

/// The protocol's name.
pub const NAME: &str = "/ipfs/ping/1.0.0";
/// Ping streams that a remote may have open on a connection.
///
/// Source: libp2p specs "ping", Protocol: a dialer should keep one, a listener
/// accept at most two.
pub const MAX_INBOUND: usize = 2;
/// How long an answer may take.
pub const TIMEOUT: Duration = Duration::from_secs(20);
const FRAMING: Framing = Framing::Fixed { len: 32 };

/// Why a ping has no round trip to tell.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PingError {
    /// No answer within [`TIMEOUT`].
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The peer does not speak ping, or refused the stream.
    #[error("the peer does not answer pings")]
    Unsupported,
    /// The answer was not what we sent.
    #[error("the peer's answer was wrong")]
    WrongAnswer,
    /// The connection or the stream ended.
    #[error("the connection ended")]
    Disconnected,
}

/// The ping protocol's state.
pub struct Ping {
    rng: Rng,
    connections: Map<ConnectionId, Link>,
    actions: VecDeque<Action>,
}

#[derive(Default)]
struct Link {
    outbound: Outbound,
    /// Pings asked for and not sent yet.
    waiting: VecDeque<PingId>,
    in_flight: Option<Flight>,
    inbound: Set<StreamId>,
}

#[derive(Default, PartialEq)]
enum Outbound {
    #[default]
    None,
    Opening,
    Open(StreamId),
}

struct Flight {
    ping: PingId,
    payload: [u8; 32],
    sent: Instant,
}

impl Ping {
    /// A protocol that draws its payloads from `rng`.
    pub fn new(rng: Rng) -> Self {
        Self { rng, connections: Map::new(), actions: VecDeque::new() }
    }

    /// Pings the remote of a connection; [`Event::Pinged`] answers.
    pub fn ping(&mut self, now: Instant, connection: ConnectionId, ping: PingId) {
        match self.connections.get_mut(&connection) {
            Some(link) => link.waiting.push_back(ping),
            None => return self.answer(connection, ping, Err(PingError::Disconnected)),
        }
        self.advance(now, connection);
    }

    fn advance(&mut self, now: Instant, connection: ConnectionId) {
        let Some(link) = self.connections.get_mut(&connection) else { return };
        if link.in_flight.is_some() || link.waiting.is_empty() {
            return;
        }
        match link.outbound {
            Outbound::Opening => {}
            Outbound::None => {
                link.outbound = Outbound::Opening;
                self.actions.push_back(Action::Open {
                    connection,
                    request: 0,
                    protocols: vec![NAME.into()],
                    framing: FRAMING,
                });
            }
            Outbound::Open(stream) => {
                let Some(ping) = link.waiting.pop_front() else { return };
                let payload = self.rng.array();
                link.in_flight = Some(Flight { ping, payload, sent: now });
                let bytes = payload.to_vec();
                self.actions.push_back(Action::Send { connection, stream, bytes });
            }
        }
    }

    fn on_message(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        stream: StreamId,
        bytes: Vec<u8>,
    ) {
        let Some(link) = self.connections.get_mut(&connection) else { return };
        if link.inbound.contains(&stream) {
            return self.actions.push_back(Action::Send { connection, stream, bytes });
        }
        let Some(flight) = link.in_flight.take() else { return };
        let right = flight.payload[..] == bytes[..];
        let rtt = now - flight.sent;
        if right {
            self.answer(connection, flight.ping, Ok(rtt));
            self.advance(now, connection);
        } else {
            self.answer(connection, flight.ping, Err(PingError::WrongAnswer));
            self.give_up(connection, &PingError::WrongAnswer);
        }
    }

    /// Ends the outbound stream and all pings that count on it.
    fn give_up(&mut self, connection: ConnectionId, error: &PingError) {
        let Some(link) = self.connections.get_mut(&connection) else { return };
        if let Outbound::Open(stream) = core::mem::take(&mut link.outbound) {
            self.actions.push_back(Action::Reset { connection, stream });
        }
        let flight = link.in_flight.take().map(|flight| flight.ping);
        let waiting = core::mem::take(&mut link.waiting);
        for ping in flight.into_iter().chain(waiting) {
            self.answer(connection, ping, Err(error.clone()));
        }
    }

    fn answer(
        &mut self,
        connection: ConnectionId,
        ping: PingId,
        result: Result<Duration, PingError>,
    ) {
        self.actions.push_back(Action::Emit(Event::Pinged { connection, ping, result }));
    }

    fn on_timeout(&mut self, now: Instant) {
        let late: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, link)| link.in_flight.as_ref().is_some_and(|f| now >= f.sent + TIMEOUT))
            .map(|(id, _)| *id)
            .collect();
        for connection in late {
            self.give_up(connection, &PingError::TimedOut);
        }
    }
}

impl Protocol for Ping {
    fn names(&self) -> Vec<(Name, Framing)> {
        vec![(NAME.into(), FRAMING)]
    }

    fn handle(&mut self, now: Instant, _: &Local, input: Input<'_>) {
        match input {
            Input::Connected { connection, .. } => {
                self.connections.insert(connection, Link::default());
            }
            Input::Disconnected { connection } => {
                self.give_up(connection, &PingError::Disconnected);
                self.connections.remove(&connection);
            }
            Input::Opened { connection, stream, .. } => {
                if let Some(link) = self.connections.get_mut(&connection) {
                    link.outbound = Outbound::Open(stream);
                }
                self.advance(now, connection);
            }
            Input::OpenFailed { connection, error, .. } => {
                let error = match error {
                    StreamError::ProtocolNotSupported(_) => PingError::Unsupported,
                    StreamError::TimedOut => PingError::TimedOut,
                    _ => PingError::Disconnected,
                };
                self.give_up(connection, &error);
            }
            Input::Inbound { connection, stream, .. } => {
                let Some(link) = self.connections.get_mut(&connection) else { return };
                if link.inbound.len() < MAX_INBOUND {
                    link.inbound.insert(stream);
                } else {
                    self.actions.push_back(Action::Reset { connection, stream });
                }
            }
            Input::Message { connection, stream, bytes } => {
                self.on_message(now, connection, stream, bytes);
            }
            Input::Finished { connection, stream } | Input::Reset { connection, stream } => {
                let Some(link) = self.connections.get_mut(&connection) else { return };
                if link.inbound.remove(&stream) {
                    self.actions.push_back(Action::Finish { connection, stream });
                } else if link.outbound == Outbound::Open(stream) {
                    self.give_up(connection, &PingError::Disconnected);
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
        let flights = self.connections.values().filter_map(|link| link.in_flight.as_ref());
        flights.map(|flight| flight.sent + TIMEOUT).min()
    }
}
