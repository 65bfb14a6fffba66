//! A connection as a circuit: what its relay allows of it, and that it carries
//! others over its own streams.

use crate::protocols::relay::{Allowance, Limit, Meter};
use crate::time::Instant;

use super::{Connection, Error, Name, State, StreamError, StreamId};

/// What a relay allows of a connection; most have no relay, or one without limits.
#[derive(Default)]
pub(super) struct Circuit {
    meter: Option<Box<Meter>>,
    /// What was used when that was nearly all, until the node is told.
    near: Option<Allowance>,
}

impl Circuit {
    pub(super) fn is_limited(&self) -> bool {
        self.meter.is_some()
    }

    pub(super) fn sent(&mut self, now: Instant, bytes: usize) {
        if let Some(meter) = &mut self.meter {
            meter.sent(bytes);
            self.near = self.near.or(meter.poll_near(now));
        }
    }

    pub(super) fn received(&mut self, now: Instant, bytes: usize) {
        if let Some(meter) = &mut self.meter {
            meter.received(bytes);
            self.near = self.near.or(meter.poll_near(now));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.meter.as_ref()?.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(meter) = &mut self.meter {
            self.near = self.near.or(meter.poll_near(now));
        }
    }

    pub(super) fn poll_near(&mut self) -> Option<Allowance> {
        self.near.take()
    }

    pub(super) fn is_spent(&self) -> bool {
        self.meter.as_ref().is_some_and(|meter| meter.is_spent())
    }

    /// The end of a connection whose limit is reached.
    pub(super) fn spent(&self) -> Error {
        Error::RelayLimit(self.meter.as_ref().map(|meter| meter.last()).unwrap_or_default())
    }
}

impl Connection {
    /// From now on a relay allows so much of the connection.
    pub(crate) fn set_limit(&mut self, now: Instant, limit: Limit) {
        self.circuit.meter = Meter::new(limit, now).map(Box::new);
    }

    /// What a relay allows of the connection and what of that is used; `None` if it
    /// leads through none, or one without limits.
    pub fn allowance(&self, now: Instant) -> Option<Allowance> {
        Some(self.circuit.meter.as_ref()?.used(now))
    }

    /// As [`Connection::open`], on a connection that a relay limits too.
    ///
    /// # Errors
    /// As [`Connection::open`], but for [`StreamError::Limited`].
    pub fn open_limited(
        &mut self,
        now: Instant,
        protocols: Vec<Name>,
    ) -> Result<StreamId, StreamError> {
        self.open_anywhere(now, protocols)
    }

    /// As [`Connection::detach`], for another connection to run over the stream: it
    /// has what it sent last delivered before this one says goodbye, for which it
    /// has [`CLOSE_LIMIT`](super::CLOSE_LIMIT).
    pub fn carry(&mut self, id: StreamId) -> bool {
        match &mut self.state {
            State::Established(established) => established.streams.carry(id),
            _ => false,
        }
    }

    /// Whether the application has streams.
    pub(super) fn is_busy(&self) -> bool {
        matches!(&self.state, State::Established(established) if established.streams.is_used())
    }
}
