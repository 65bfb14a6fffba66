//! A service as a protocol of the node.

use crate::collections::LongMap;
use core::time::Duration;

use crate::connection::{Framing, StreamId};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::{ConnectionId, Direction, Event};
use crate::protocols::{Action, Input, Local, Protocol};
use crate::time::Instant;

use super::state::{Core, Link};
use super::{
    Config, Context, End, Outcome, Service, ServiceError, Session, SessionContext, SessionId,
    SessionInfo,
};

const MINUTE: Duration = Duration::from_secs(60);
/// Peers of which is remembered how often they open; the longest quiet go first.
const MAX_OPENERS: usize = 4096;

pub(crate) struct Machine {
    core: Core,
    service: Box<dyn Service>,
    handlers: LongMap<SessionId, Box<dyn Session>>,
    /// How often peers opened lately.
    openers: LongMap<PeerId, Openings>,
}

struct Openings {
    since: Instant,
    count: u32,
    told: bool,
}

impl Machine {
    pub(crate) fn new(config: Config, service: Box<dyn Service>) -> Self {
        Self { core: Core::new(config), service, handlers: LongMap::new(), openers: LongMap::new() }
    }

    /// Whether it takes connections that a relay limits.
    #[cfg(feature = "relay")]
    pub(crate) fn takes_limited(&self) -> bool {
        self.core.config.limited
    }

    /// Uses the service from outside.
    pub(crate) fn with<T>(
        &mut self,
        now: Instant,
        action: impl FnOnce(&mut dyn Service, &mut Context<'_>) -> T,
    ) -> T {
        self.core.now = now;
        let result = action(&mut *self.service, &mut Context { core: &mut self.core });
        self.settle();
        result
    }

    // Callbacks.

    /// Calls the service; whether all is well.
    fn call(
        &mut self,
        about: Option<&SessionInfo>,
        callback: impl FnOnce(&mut dyn Service, &mut Context<'_>) -> Outcome,
    ) -> bool {
        let outcome = callback(&mut *self.service, &mut Context { core: &mut self.core });
        self.judge(about, outcome)
    }

    /// Calls the handler of a session that is open; whether all is well.
    fn call_session(
        &mut self,
        info: &SessionInfo,
        callback: impl FnOnce(&mut dyn Session, &mut SessionContext<'_>) -> Outcome,
    ) -> bool {
        let Some(handler) = self.handlers.get_mut(&info.id) else { return false };
        let mut cx = SessionContext { core: &mut self.core, info: info.clone() };
        let outcome = callback(&mut **handler, &mut cx);
        self.judge(Some(info), outcome)
    }

    fn judge(&mut self, about: Option<&SessionInfo>, outcome: Outcome) -> bool {
        let Err(failure) = outcome else { return true };
        self.core.fail(about.map(|info| info.peer), ServiceError::Callback(failure.0));
        if let Some(info) = about {
            self.core.closing.push_back((info.id, End::Failed));
        }
        false
    }

    // Sessions.

    fn begin(
        &mut self,
        at: (ConnectionId, StreamId),
        peer: PeerId,
        protocol: Name,
        direction: Direction,
    ) {
        let info = self.core.insert(at, peer, protocol, direction);
        let mut cx = Context { core: &mut self.core };
        let Some(handler) = self.service.session(&mut cx, &info) else {
            self.core.remove(info.id);
            return self.reset(at);
        };
        self.handlers.insert(info.id, handler);
        let (service, protocol) = (self.core.name(), info.protocol.clone());
        let event = Event::SessionOpened { service, peer, protocol, direction };
        self.core.actions.push_back(Action::Emit(event));
        if self.call(Some(&info), |service, cx| service.connected(cx, &info)) {
            self.call_session(&info, |session, cx| session.connected(cx));
        }
    }

    /// Ends a session; its stream is finished or given up unless that is over.
    fn end(&mut self, id: SessionId, end: End) {
        let Some(open) = self.core.remove(id) else { return };
        let (connection, stream) = (open.info.connection, open.stream);
        match end {
            End::Remote => self.core.actions.push_back(Action::Finish { connection, stream }),
            End::Reset | End::Disconnected => {}
            _ => self.reset((connection, stream)),
        }
        let info = open.info;
        // Its handler is called a last time, and can reach others only.
        if let Some(mut handler) = self.handlers.remove(&id) {
            let mut cx = SessionContext { core: &mut self.core, info: info.clone() };
            let outcome = handler.disconnected(&mut cx, &end);
            self.judge(Some(&info), outcome);
        }
        self.call(Some(&info), |service, cx| service.disconnected(cx, &info, &end));
        let service = self.core.name();
        let event = Event::SessionClosed { service, peer: info.peer, end };
        self.core.actions.push_back(Action::Emit(event));
    }

    fn reset(&mut self, (connection, stream): (ConnectionId, StreamId)) {
        self.core.actions.push_back(Action::Reset { connection, stream });
    }

    /// Carries out what callbacks left to be done.
    fn settle(&mut self) {
        while let Some((id, end)) = self.core.closing.pop_front() {
            self.end(id, end);
        }
    }

    // News.

    fn on_inbound(&mut self, local: &Local, at: (ConnectionId, StreamId), protocol: &Name) {
        let Some(peer) = self.core.links.get(&at.0).map(|link| link.peer) else { return };
        if !self.may_open(peer) {
            return self.reset(at);
        }
        let me = local.keypair.peer_id();
        let ours = self.core.by_peer.get(&peer).and_then(|id| self.core.sessions.get(id));
        match ours.map(|open| (open.info.id, open.info.direction)) {
            // Both opened: one of them yields, the same on either side.
            Some((_, Direction::Outbound)) if me < peer => return self.reset(at),
            Some((id, _)) => self.end(id, End::Replaced),
            None if me < peer && self.core.is_opening(&peer) => {
                return self.reset(at);
            }
            None if self.core.sessions.len() >= self.core.config.max_sessions => {
                self.core.fail(Some(peer), ServiceError::TooManySessions);
                return self.reset(at);
            }
            None => {}
        }
        self.begin(at, peer, protocol.clone(), Direction::Inbound);
    }

    /// Whether `peer` has not opened too often of late.
    fn may_open(&mut self, peer: PeerId) -> bool {
        let (now, limit) = (self.core.now, self.core.config.openings);
        if self.openers.len() >= MAX_OPENERS && !self.openers.contains_key(&peer) {
            self.openers.retain(|_, known| now - known.since < MINUTE);
            let oldest = self.openers.iter().min_by_key(|(_, known)| known.since);
            if self.openers.len() >= MAX_OPENERS
                && let Some((oldest, _)) = oldest.map(|(peer, known)| (*peer, known.since))
            {
                self.openers.remove(&oldest);
            }
        }
        let fresh = || Openings { since: now, count: 0, told: false };
        let known = self.openers.entry(peer).or_insert_with(fresh);
        if now - known.since >= MINUTE {
            *known = fresh();
        }
        known.count = known.count.saturating_add(1);
        let news = known.count > limit && !known.told;
        known.told |= news;
        let allowed = known.count <= limit;
        if news {
            self.core.fail(Some(peer), ServiceError::TooManyOpenings);
        }
        allowed
    }

    fn on_opened(
        &mut self,
        local: &Local,
        request: u64,
        at: (ConnectionId, StreamId),
        name: &Name,
    ) {
        let Some((_, peer)) = self.core.opening.remove(&request) else { return self.reset(at) };
        let theirs = self.core.by_peer.get(&peer).copied();
        match theirs {
            Some(_) if local.keypair.peer_id() > peer => return self.reset(at),
            Some(id) => self.end(id, End::Replaced),
            None => {}
        }
        self.begin(at, peer, name.clone(), Direction::Outbound);
    }

    fn on_identified(&mut self, connection: ConnectionId, protocols: &[Name]) {
        let wanted = self.core.config.versions.among(protocols);
        let Some(link) = self.core.links.get_mut(&connection) else { return };
        link.names = wanted;
        if self.core.config.automatic
            && link.direction == Direction::Outbound
            && !link.names.is_empty()
        {
            let peer = link.peer;
            self.core.open(&peer);
        }
    }

    fn on_disconnected(&mut self, connection: ConnectionId) {
        let Some(link) = self.core.links.remove(&connection) else { return };
        let opening = self.core.is_opening(&link.peer);
        self.core.opening.retain(|_, (known, _)| *known != connection);
        let over = self.core.by_peer.get(&link.peer).copied();
        let over = over.filter(|id| {
            self.core.sessions.get(id).is_some_and(|open| open.info.connection == connection)
        });
        if let Some(id) = over {
            self.end(id, End::Disconnected);
        }
        // On with another connection, if there is one.
        let spare = |(_, other): (_, &Link)| {
            other.peer == link.peer
                && other.direction == Direction::Outbound
                && !other.names.is_empty()
        };
        if self.core.config.automatic
            && (over.is_some() || opening)
            && self.core.links.iter().any(spare)
        {
            self.core.open(&link.peer);
        }
    }

    fn on_message(&mut self, id: SessionId, message: Vec<u8>) {
        let Some(info) = self.core.sessions.get(&id).map(|open| open.info.clone()) else { return };
        if self.call(Some(&info), |service, cx| service.received(cx, &info, &message)) {
            self.call_session(&info, |session, cx| session.received(cx, message));
        }
    }

    fn on_timeout(&mut self) {
        while let Some((of, token)) = self.core.take_due() {
            match of {
                None => {
                    self.call(None, |service, cx| service.notified(cx, &token));
                }
                Some(id) => {
                    let info = self.core.sessions.get(&id).map(|open| open.info.clone());
                    if let Some(info) = info {
                        self.call_session(&info, |session, cx| session.notified(cx, &token));
                    }
                }
            }
            self.settle();
        }
        let (now, patience) = (self.core.now, self.core.config.patience);
        let stalled = |since: Instant| now >= since + patience;
        let late = self.core.sessions.values().filter(|open| open.waiting.is_some_and(stalled));
        for id in late.map(|open| open.info.id).collect::<Vec<_>>() {
            self.end(id, End::Stalled);
        }
    }

    fn session_at(&self, connection: ConnectionId, stream: StreamId) -> Option<SessionId> {
        self.core.by_stream.get(&(connection, stream)).copied()
    }
}

impl Protocol for Machine {
    fn names(&self) -> Vec<(Name, Framing)> {
        let framing = self.core.framing();
        self.core.config.versions.own().map(|name| (name.into(), framing)).collect()
    }

    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>) {
        self.core.now = now;
        match input {
            Input::Connected { connection, peer, direction, .. } => {
                let link = Link { peer: *peer, direction, names: Vec::new() };
                self.core.links.insert(connection, link);
            }
            Input::Disconnected { connection } => self.on_disconnected(connection),
            Input::Identified { connection, protocols } => {
                self.on_identified(connection, protocols)
            }
            Input::Opened { connection, request, stream, protocol } => {
                self.on_opened(local, request, (connection, stream), protocol);
            }
            Input::OpenFailed { request, error, .. } => {
                if let Some((_, peer)) = self.core.opening.remove(&request) {
                    // It may have come by the other's opening meanwhile.
                    if !self.core.by_peer.contains_key(&peer) {
                        self.core.fail(Some(peer), error.into());
                    }
                }
            }
            Input::Inbound { connection, stream, protocol } => {
                self.on_inbound(local, (connection, stream), protocol);
            }
            Input::Message { connection, stream, bytes } => {
                if let Some(id) = self.session_at(connection, stream) {
                    self.on_message(id, bytes);
                }
            }
            Input::Flushed { connection, stream } => {
                if let Some(id) = self.session_at(connection, stream) {
                    self.core.flushed(id);
                }
            }
            Input::Finished { connection, stream } => {
                if let Some(id) = self.session_at(connection, stream) {
                    self.end(id, End::Remote);
                }
            }
            Input::Reset { connection, stream } => {
                if let Some(id) = self.session_at(connection, stream) {
                    self.end(id, End::Reset);
                }
            }
            Input::Timeout => self.on_timeout(),
            _ => {}
        }
        self.settle();
    }

    fn poll(&mut self) -> Option<Action> {
        self.core.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.core.next_timeout()
    }
}
