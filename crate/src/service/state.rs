//! What a service's callbacks act on: sessions, their queues, timers.

use crate::collections::{LongMap, LongSet};
use std::collections::VecDeque;

use crate::connection::{Framing, StreamId};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::{ConnectionId, Direction, Event};
use crate::protocols::Action;
use crate::time::Instant;

use super::queue::Queue;
use super::{
    Config, End, MAX_TIMERS, Priority, SendError, Sent, ServiceError, SessionId, SessionInfo,
    TooManyTimers,
};

/// Bytes handed to a connection before it says that they are on their way.
const BATCH: usize = 64 << 10;

/// A session's timer, or one of the service itself.
pub(super) type TimerKey = (Option<SessionId>, Name);

pub(super) struct Core {
    pub(super) config: Config,
    pub(super) now: Instant,
    pub(super) sessions: LongMap<SessionId, Open>,
    pub(super) by_peer: LongMap<PeerId, SessionId>,
    pub(super) by_stream: LongMap<(ConnectionId, StreamId), SessionId>,
    pub(super) links: LongMap<ConnectionId, Link>,
    /// Streams being opened by us: where and to whom.
    pub(super) opening: LongMap<u64, (ConnectionId, PeerId)>,
    pub(super) actions: VecDeque<Action>,
    /// Sessions that callbacks closed, to be told of when those have returned.
    pub(super) closing: VecDeque<(SessionId, End)>,
    timers: LongMap<TimerKey, Instant>,
    due: LongSet<(Instant, TimerKey)>,
    next: u64,
}

/// A connection.
pub(super) struct Link {
    pub(super) peer: PeerId,
    pub(super) direction: Direction,
    /// What the remote speaks of what we want, the best first; once identified.
    pub(super) names: Vec<Name>,
}

/// A session with its stream.
pub(super) struct Open {
    pub(super) info: SessionInfo,
    pub(super) stream: StreamId,
    queue: Queue,
    /// The connection has a batch that is not on its way yet, since then.
    pub(super) waiting: Option<Instant>,
    /// That the queue is full was told.
    full: bool,
}

impl Core {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            now: Instant::ZERO,
            sessions: LongMap::new(),
            by_peer: LongMap::new(),
            by_stream: LongMap::new(),
            links: LongMap::new(),
            opening: LongMap::new(),
            actions: VecDeque::new(),
            closing: VecDeque::new(),
            timers: LongMap::new(),
            due: LongSet::new(),
            next: 0,
        }
    }

    pub(super) fn framing(&self) -> Framing {
        Framing::LengthPrefixed { max: self.config.max_message }
    }

    /// What the service is called: its first name.
    pub(super) fn name(&self) -> Name {
        self.config.versions.own().next().unwrap_or_default().into()
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn fail(&mut self, peer: Option<PeerId>, error: ServiceError) {
        let service = self.name();
        self.actions.push_back(Action::Emit(Event::ServiceError { service, peer, error }));
    }

    // Sessions.

    pub(super) fn insert(
        &mut self,
        (connection, stream): (ConnectionId, StreamId),
        peer: PeerId,
        protocol: Name,
        direction: Direction,
    ) -> SessionInfo {
        let id = SessionId(self.number());
        let info = SessionInfo { id, peer, connection, protocol, direction };
        let open = Open {
            info: info.clone(),
            stream,
            queue: Queue::default(),
            waiting: None,
            full: false,
        };
        self.sessions.insert(id, open);
        self.by_peer.insert(peer, id);
        self.by_stream.insert((connection, stream), id);
        info
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Open> {
        let open = self.sessions.remove(&id)?;
        self.by_stream.remove(&(open.info.connection, open.stream));
        if self.by_peer.get(&open.info.peer) == Some(&id) {
            self.by_peer.remove(&open.info.peer);
        }
        let first = (Some(id), Name::from(""));
        let timers = self.timers.range(first..).take_while(|((of, _), _)| *of == Some(id));
        for (_, name) in timers.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.cancel_timer(Some(id), &name);
        }
        Some(open)
    }

    pub(super) fn is_opening(&self, peer: &PeerId) -> bool {
        self.opening.values().any(|(_, known)| known == peer)
    }

    /// Asks for a session with `peer`, unless there is one or one is coming.
    pub(super) fn open(&mut self, peer: &PeerId) -> bool {
        if self.by_peer.contains_key(peer) || self.is_opening(peer) {
            return true;
        }
        if self.sessions.len() + self.opening.len() >= self.config.max_sessions {
            self.fail(Some(*peer), ServiceError::TooManySessions);
            return false;
        }
        let best = self.links.iter().filter(|(_, link)| link.peer == *peer);
        let Some((connection, link)) = best.max_by_key(|(_, link)| link.names.len()) else {
            return false;
        };
        // One that did not say what it speaks is asked.
        let protocols = match &*link.names {
            [] => self.config.versions.own().map(Name::from).collect(),
            names => names.to_vec(),
        };
        let (connection, framing) = (*connection, self.framing());
        let request = self.number();
        self.opening.insert(request, (connection, *peer));
        self.actions.push_back(Action::Open { connection, request, protocols, framing });
        true
    }

    // Messages.

    pub(super) fn send(
        &mut self,
        id: SessionId,
        message: Vec<u8>,
        priority: Priority,
    ) -> Result<Sent, SendError> {
        let max = self.config.max_message;
        if message.len() > max {
            return Err(SendError::TooLong { max });
        }
        let open = self.sessions.get_mut(&id).ok_or(SendError::NoSession)?;
        let result = open.queue.push(message, priority, self.config.queue, self.config.full);
        let lost = !matches!(result, Ok(Sent { dropped: 0 }));
        let news = lost && !open.full;
        open.full |= lost;
        let peer = open.info.peer;
        if news {
            self.fail(Some(peer), ServiceError::QueueFull);
        }
        self.advance(id);
        result
    }

    /// Hands the connection as much as it gets at a time.
    pub(super) fn advance(&mut self, id: SessionId) {
        let Some(open) = self.sessions.get_mut(&id) else { return };
        if open.waiting.is_some() || open.queue.is_empty() {
            return;
        }
        let (connection, stream) = (open.info.connection, open.stream);
        let mut bytes = 0;
        while bytes < BATCH
            && let Some(message) = open.queue.pop()
        {
            bytes += message.len();
            self.actions.push_back(Action::Send { connection, stream, bytes: message });
        }
        open.waiting = Some(self.now);
        self.actions.push_back(Action::Flush { connection, stream });
    }

    /// What the connection had is on its way.
    pub(super) fn flushed(&mut self, id: SessionId) {
        if let Some(open) = self.sessions.get_mut(&id) {
            open.waiting = None;
            open.full = false;
        }
        self.advance(id);
    }

    pub(super) fn queued(&self, id: SessionId) -> usize {
        self.sessions.get(&id).map_or(0, |open| open.queue.bytes())
    }

    // Timers.

    pub(super) fn set_timer(
        &mut self,
        of: Option<SessionId>,
        token: &str,
        at: Instant,
    ) -> Result<(), TooManyTimers> {
        self.cancel_timer(of, token);
        let first = (of, Name::from(""));
        let count = self.timers.range(first..).take_while(|((owner, _), _)| *owner == of).count();
        if count >= MAX_TIMERS {
            return Err(TooManyTimers);
        }
        let key = (of, Name::from(token));
        self.timers.insert(key.clone(), at);
        self.due.insert((at, key));
        Ok(())
    }

    pub(super) fn cancel_timer(&mut self, of: Option<SessionId>, token: &str) {
        let key = (of, Name::from(token));
        if let Some(at) = self.timers.remove(&key) {
            self.due.remove(&(at, key));
        }
    }

    /// The next timer that has run off.
    pub(super) fn take_due(&mut self) -> Option<TimerKey> {
        let (at, _) = self.due.first()?;
        if *at > self.now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.timers.remove(&key);
        Some(key)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let timer = self.due.first().map(|(at, _)| *at);
        let stalled = self.sessions.values().filter_map(|open| open.waiting);
        crate::time::earliest(timer, stalled.min().map(|since| since + self.config.patience))
    }
}
