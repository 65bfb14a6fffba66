//! What callbacks can do.

use core::time::Duration;

use crate::identity::PeerId;
use crate::time::Instant;

use super::state::Core;
use super::{End, Priority, SendError, Sent, SessionId, SessionInfo, TooManyTimers};

/// What a [`Service`](super::Service) can do in its callbacks, and an application
/// by [`Node::with_service`](crate::node::Node::with_service).
pub struct Context<'a> {
    pub(super) core: &'a mut Core,
}

impl Context<'_> {
    /// The time.
    pub fn now(&self) -> Instant {
        self.core.now
    }

    /// The open sessions.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionInfo> {
        self.core.sessions.values().map(|open| &open.info)
    }

    /// The session with `peer`.
    pub fn session_of(&self, peer: &PeerId) -> Option<&SessionInfo> {
        let id = self.core.by_peer.get(peer)?;
        self.core.sessions.get(id).map(|open| &open.info)
    }

    /// Sends a message.
    pub fn send(
        &mut self,
        session: SessionId,
        message: impl Into<Vec<u8>>,
    ) -> Result<Sent, SendError> {
        self.core.send(session, message.into(), Priority::Normal)
    }

    /// Sends a message, before others or not.
    pub fn send_with(
        &mut self,
        session: SessionId,
        priority: Priority,
        message: impl Into<Vec<u8>>,
    ) -> Result<Sent, SendError> {
        self.core.send(session, message.into(), priority)
    }

    /// Sends a message to all whom `filter` picks; how many it is on its way to.
    /// Who reads too slowly for it is told of as an event.
    pub fn broadcast(&mut self, filter: impl Fn(&SessionInfo) -> bool, message: &[u8]) -> usize {
        self.broadcast_with(Priority::Normal, filter, message)
    }

    /// As [`Context::broadcast`], before others or not.
    pub fn broadcast_with(
        &mut self,
        priority: Priority,
        filter: impl Fn(&SessionInfo) -> bool,
        message: &[u8],
    ) -> usize {
        let picked: Vec<SessionId> =
            self.sessions().filter(|info| filter(info)).map(|info| info.id).collect();
        let mut send = |id: SessionId| self.core.send(id, message.to_vec(), priority).is_ok();
        picked.into_iter().filter(|id| send(*id)).count()
    }

    /// Bytes that wait for the peer of a session to read.
    pub fn queued(&self, session: SessionId) -> usize {
        self.core.queued(session)
    }

    /// Opens a session with a connected peer, if there is none; `false` if there is
    /// no connection or no room.
    pub fn open(&mut self, peer: &PeerId) -> bool {
        self.core.open(peer)
    }

    /// Closes a session; what waits for the peer is dropped.
    pub fn close(&mut self, session: SessionId) {
        self.core.closing.push_back((session, End::Local));
    }

    /// Has [`Service::notified`](super::Service::notified) called once, `after` this.
    /// A timer of the same name is set anew.
    pub fn set_timer(&mut self, token: &str, after: Duration) -> Result<(), TooManyTimers> {
        let at = self.core.now + after;
        self.core.set_timer(None, token, at)
    }

    /// Undoes [`Context::set_timer`].
    pub fn cancel_timer(&mut self, token: &str) {
        self.core.cancel_timer(None, token);
    }
}

/// What a [`Session`](super::Session) can do in its callbacks.
pub struct SessionContext<'a> {
    pub(super) core: &'a mut Core,
    pub(super) info: SessionInfo,
}

impl SessionContext<'_> {
    /// The session.
    pub fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.core.now
    }

    /// Sends a message to the peer of this session.
    pub fn send(&mut self, message: impl Into<Vec<u8>>) -> Result<Sent, SendError> {
        self.core.send(self.info.id, message.into(), Priority::Normal)
    }

    /// Sends a message, before others or not.
    pub fn send_with(
        &mut self,
        priority: Priority,
        message: impl Into<Vec<u8>>,
    ) -> Result<Sent, SendError> {
        self.core.send(self.info.id, message.into(), priority)
    }

    /// Bytes that wait for the peer to read.
    pub fn queued(&self) -> usize {
        self.core.queued(self.info.id)
    }

    /// Closes this session.
    pub fn close(&mut self) {
        self.core.closing.push_back((self.info.id, End::Local));
    }

    /// Has [`Session::notified`](super::Session::notified) called once, `after` this.
    pub fn set_timer(&mut self, token: &str, after: Duration) -> Result<(), TooManyTimers> {
        let at = self.core.now + after;
        self.core.set_timer(Some(self.info.id), token, at)
    }

    /// Undoes [`SessionContext::set_timer`].
    pub fn cancel_timer(&mut self, token: &str) {
        self.core.cancel_timer(Some(self.info.id), token);
    }

    /// What the service can do: to reach other sessions.
    pub fn service(&mut self) -> Context<'_> {
        Context { core: self.core }
    }
}
