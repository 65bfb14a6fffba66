//! The state machine of the signalling protocol.
//!
//! What remotes can make grow: streams that have not brought an offer and sessions
//! that answer one (together [`MAX_INBOUND_PER_PEER`] and [`MAX_INBOUND`]; each ends
//! after [`TRY_TIME`], restarted or not), candidates that wait for a description
//! ([`MAX_CANDIDATES`](super::MAX_CANDIDATES) of bounded length; a session takes two
//! descriptions at most), streams of sessions that are over here (each a [`LINGER`]
//! long).

use std::collections::VecDeque;

use crate::collections::Map;
use crate::connection::{Framing, StreamError, StreamId};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::ConnectionId;
use crate::protocols::{Action, Input, Local, Protocol};
use crate::time::{Instant, earliest};

use super::session::{Session, Step};
use super::{
    FRAMING, HostOrder, Kind, LINGER, MAX_INBOUND, MAX_INBOUND_PER_PEER, NAME, Order, Signal,
    SignalError, TRY_TIME,
};

type At = (ConnectionId, StreamId);

/// The protocol's state.
#[derive(Default)]
pub struct Signalling {
    listens: bool,
    connections: Map<ConnectionId, PeerId>,
    /// By the connection to be.
    sessions: Map<ConnectionId, Session>,
    /// Whose a stream is.
    streams: Map<At, ConnectionId>,
    /// Streams on which an offer is to come, and until when.
    awaited: Map<At, Instant>,
    /// Streams of sessions that are over here, and until when the remote may talk.
    lingering: Map<At, Instant>,
    next: u64,
    actions: VecDeque<Action>,
}

impl Signalling {
    /// A machine that takes no offers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes offers from now on.
    pub(crate) fn listen(&mut self) {
        self.listens = true;
    }

    /// Whether offers are taken.
    pub fn is_listening(&self) -> bool {
        self.listens
    }

    /// Whom a connection to be leads to.
    pub fn peer(&self, connection: ConnectionId) -> Option<PeerId> {
        self.sessions.get(&connection).map(|session| session.peer)
    }

    /// Whether there is to be a connection to `peer` that we offered.
    pub(crate) fn is_offering(&self, peer: &PeerId) -> bool {
        self.sessions.values().any(|session| session.peer == *peer && !session.is_inbound())
    }

    /// How many connections are to be.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no connection is to be.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Offers the peer at the other end of `via` a connection, and if that fails for
    /// want of a way, `retries` more times.
    pub fn offer(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        via: ConnectionId,
        retries: u8,
    ) {
        let Some(peer) = self.connections.get(&via).copied() else {
            let error = SignalError::Disconnected;
            return self.order(Order::Failed { connection, error });
        };
        self.next += 1;
        let session = Session::offering(now, via, peer, self.next, retries);
        self.sessions.insert(connection, session);
        self.actions.push_back(Action::Open {
            connection: via,
            request: self.next,
            protocols: vec![NAME.into()],
            framing: FRAMING,
        });
        self.order(Order::Host { connection, order: HostOrder::Offer });
    }

    /// Takes the offer that came on `stream`.
    pub fn answer(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        (via, stream): (ConnectionId, StreamId),
        offer: String,
    ) {
        let Some(peer) = self.connections.get(&via).copied() else {
            let error = SignalError::Disconnected;
            return self.order(Order::Failed { connection, error });
        };
        self.sessions.insert(connection, Session::answering(now, via, peer, stream));
        self.streams.insert((via, stream), connection);
        self.order(Order::Host { connection, order: HostOrder::Answer { offer } });
    }

    /// Does not take the offer that came on `stream`.
    pub fn refuse(&mut self, via: ConnectionId, stream: StreamId) {
        self.actions.push_back(Action::Reset { connection: via, stream });
    }

    /// Nobody wants a connection any more.
    pub fn cancel(&mut self, connection: ConnectionId) {
        if let Some(session) = self.sessions.remove(&connection) {
            self.reset(&session);
        }
    }

    // News from the host.

    /// The host made its description.
    pub fn described(&mut self, connection: ConnectionId, description: String) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        match session.describe(description) {
            Ok(()) => self.send(connection),
            Err(error) => self.failed(connection, error),
        }
    }

    /// The host found a candidate, as JSON, or `null` at their end.
    pub fn found(&mut self, connection: ConnectionId, candidate: String) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        session.found(candidate);
        self.send(connection);
    }

    /// The connection is open: to whom.
    pub fn connected(&mut self, now: Instant, connection: ConnectionId) -> Option<PeerId> {
        let session = self.sessions.get(&connection)?;
        // A connection that is up before the remote has answered is not ours.
        session.answered?;
        let session = self.sessions.remove(&connection)?;
        if let Some(stream) = session.stream {
            let at = (session.via, stream);
            self.streams.remove(&at);
            self.lingering.insert(at, now + LINGER);
            self.actions.push_back(Action::Finish { connection: at.0, stream });
        }
        Some(session.peer)
    }

    /// The host's WebRTC stack found no way; it keeps what it has until it is told to drop
    /// it, as ICE may be restarted.
    pub fn host_failed(&mut self, now: Instant, connection: ConnectionId, reason: String) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        let error = SignalError::Host(reason);
        session.failure = Some(error.clone());
        if !session.hopes() && !self.restart(connection) {
            self.try_again(now, connection, error);
        }
    }

    // Within.

    fn order(&mut self, order: Order) {
        self.actions.push_back(Action::Signal(order));
    }

    fn reset(&mut self, session: &Session) {
        if let Some(stream) = session.stream {
            let connection = session.via;
            self.streams.remove(&(connection, stream));
            self.actions.push_back(Action::Reset { connection, stream });
        }
    }

    fn send(&mut self, connection: ConnectionId) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        let steps = session.sendable();
        self.take(connection, steps);
    }

    fn take(&mut self, connection: ConnectionId, steps: Vec<Step>) {
        let Some(session) = self.sessions.get(&connection) else { return };
        let (via, stream) = (session.via, session.stream);
        for step in steps {
            match (step, stream) {
                (Step::Send(signal), Some(stream)) => self.actions.push_back(Action::Send {
                    connection: via,
                    stream,
                    bytes: signal.encode(),
                }),
                (Step::Send(_), None) => {}
                (Step::Host(order), _) => self.order(Order::Host { connection, order }),
            }
        }
    }

    fn failed(&mut self, connection: ConnectionId, error: SignalError) {
        if let Some(session) = self.sessions.remove(&connection) {
            self.reset(&session);
            self.order(Order::Failed { connection, error });
        }
    }

    /// Has the host begin anew with the peer connection that it has, if that may be.
    fn restart(&mut self, connection: ConnectionId) -> bool {
        let restarts = self.sessions.get_mut(&connection).is_some_and(Session::restart);
        if restarts {
            self.order(Order::Host { connection, order: HostOrder::Restart { offer: None } });
        }
        restarts
    }

    /// No way was found between the two: perhaps there is one the next time.
    fn try_again(&mut self, now: Instant, connection: ConnectionId, error: SignalError) {
        let Some(session) = self.sessions.get(&connection) else { return };
        if session.retries == 0 || session.answered.is_none() {
            let error = session.failure.clone().unwrap_or(error);
            return self.failed(connection, error);
        }
        let (via, retries) = (session.via, session.retries - 1);
        if let Some(session) = self.sessions.remove(&connection) {
            self.reset(&session);
        }
        self.offer(now, connection, via, retries);
    }

    fn on_inbound(&mut self, now: Instant, at: At) {
        let (connection, stream) = at;
        let peer = self.connections.get(&connection);
        let awaited = self.awaited.keys().map(|(id, _)| self.connections.get(id));
        let inbound = self.sessions.values().filter(|session| session.is_inbound());
        let (mut theirs, mut all) = (0, 0);
        for other in awaited.chain(inbound.map(|session| Some(&session.peer))) {
            all += 1;
            theirs += usize::from(other == peer);
        }
        let full = theirs >= MAX_INBOUND_PER_PEER || all >= MAX_INBOUND;
        if full || peer.is_none() || !self.listens {
            return self.actions.push_back(Action::Reset { connection, stream });
        }
        self.awaited.insert(at, now + TRY_TIME);
    }

    fn on_message(&mut self, now: Instant, at: At, bytes: &[u8]) {
        if self.lingering.contains_key(&at) {
            return;
        }
        let signal = Signal::decode(bytes);
        if self.awaited.remove(&at).is_some() {
            let (via, stream) = at;
            return match signal {
                Ok(Signal { kind: Kind::Offer, data: offer }) => {
                    self.order(Order::Offered { via, stream, offer });
                }
                _ => self.refuse(via, stream),
            };
        }
        let Some(connection) = self.streams.get(&at).copied() else { return };
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        match signal.and_then(|signal| session.hear(now, signal)) {
            Ok(steps) => self.take(connection, steps),
            Err(error) => self.failed(connection, error),
        }
    }

    /// The remote says no more; `lost` if it gave the stream up.
    fn on_end(&mut self, now: Instant, at: At, lost: bool) {
        let (connection, stream) = at;
        if self.lingering.remove(&at).is_some() {
            return;
        }
        if self.awaited.remove(&at).is_some() {
            if !lost {
                self.actions.push_back(Action::Reset { connection, stream });
            }
            return;
        }
        let Some(id) = self.streams.get(&at).copied() else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if lost {
            session.stream = None;
            self.streams.remove(&at);
            return self.try_again(now, id, SignalError::GivenUp);
        }
        session.ended();
        if session.answered.is_none() {
            self.failed(id, SignalError::GivenUp);
        } else if session.failure.is_some() {
            self.try_again(now, id, SignalError::GivenUp);
        }
    }

    fn on_disconnected(&mut self, gone: ConnectionId) {
        self.connections.remove(&gone);
        self.awaited.retain(|(id, _), _| *id != gone);
        self.lingering.retain(|(id, _), _| *id != gone);
        self.streams.retain(|(id, _), _| *id != gone);
        let mut lost = Vec::new();
        for (id, session) in self.sessions.iter_mut().filter(|(_, session)| session.via == gone) {
            session.stream = None;
            // Where both have heard each other, they may still meet.
            session.retries = 0;
            session.ended();
            if session.answered.is_none() || session.failure.is_some() {
                lost.push(*id);
            }
        }
        for id in lost {
            self.failed(id, SignalError::Disconnected);
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        let due = self.sessions.iter().filter(|(_, session)| session.due() <= now);
        for (id, deadline) in due.map(|(id, s)| (*id, s.deadline)).collect::<Vec<_>>() {
            if deadline <= now || !self.restart(id) {
                self.try_again(now, id, SignalError::TimedOut);
            }
        }
        for table in [&mut self.awaited, &mut self.lingering] {
            let late = table.iter().filter(|(_, deadline)| **deadline <= now);
            for at in late.map(|(at, _)| *at).collect::<Vec<_>>() {
                table.remove(&at);
                let (connection, stream) = at;
                self.actions.push_back(Action::Reset { connection, stream });
            }
        }
    }
}

impl Protocol for Signalling {
    fn names(&self) -> Vec<(Name, Framing)> {
        if self.listens { vec![(NAME.into(), FRAMING)] } else { Vec::new() }
    }

    fn handle(&mut self, now: Instant, _: &Local, input: Input<'_>) {
        match input {
            Input::Connected { connection, peer, .. } => {
                self.connections.insert(connection, *peer);
            }
            Input::Disconnected { connection } => self.on_disconnected(connection),
            Input::Opened { connection, request, stream, .. } => {
                let asked = |session: &Session| session.request == request;
                let wanted = self.sessions.iter_mut().find(|(_, session)| asked(session));
                let Some((id, session)) = wanted else {
                    return self.actions.push_back(Action::Reset { connection, stream });
                };
                let id = *id;
                session.stream = Some(stream);
                self.streams.insert((connection, stream), id);
                self.send(id);
            }
            Input::OpenFailed { request, error, .. } => {
                let asked = |session: &Session| session.request == request;
                let wanted = self.sessions.iter().find(|(_, session)| asked(session));
                let Some(id) = wanted.map(|(id, _)| *id) else { return };
                let error = match error {
                    StreamError::ProtocolNotSupported(_) => SignalError::NotSupported,
                    StreamError::TimedOut => SignalError::TimedOut,
                    _ => SignalError::Disconnected,
                };
                self.failed(id, error);
            }
            Input::Inbound { connection, stream, .. } => self.on_inbound(now, (connection, stream)),
            Input::Message { connection, stream, bytes } => {
                self.on_message(now, (connection, stream), &bytes);
            }
            Input::Finished { connection, stream } => self.on_end(now, (connection, stream), false),
            Input::Reset { connection, stream } => self.on_end(now, (connection, stream), true),
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
        let sessions = self.sessions.values().map(Session::due).min();
        let streams = self.awaited.values().chain(self.lingering.values()).min();
        earliest(sessions, streams.copied())
    }
}
