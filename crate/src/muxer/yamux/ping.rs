//! Pings of ours: the round-trip time, and whether the remote is there.

use core::time::Duration;

use super::error::Error;
use crate::Instant;

/// Bytes of data that must come in before the round-trip time is measured on
/// the session's own account: below, windows need no tuning.
const PROBE_BYTES: usize = 32 * 1024;

/// How old a measurement may be before one is made again.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// The ping that is under way.
#[derive(Debug)]
struct Pending {
    /// When it went out; `None` while it waits to.
    sent: Option<Instant>,
    /// By when it must be answered, if the application asked for it.
    deadline: Option<Instant>,
}

/// At most one ping under way, and what the last one found.
#[derive(Debug, Default)]
pub(super) struct Ping {
    pending: Option<Pending>,
    /// The value of the last ping sent.
    value: u32,
    rtt: Option<Duration>,
    measured: Option<Instant>,
    received: usize,
}

impl Ping {
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// The application wants to know that the remote answers by `deadline`.
    pub(super) fn ask(&mut self, deadline: Instant) {
        let pending = self.pending.get_or_insert(Pending { sent: None, deadline: None });
        pending.deadline.get_or_insert(deadline);
    }

    /// Data came in: time to measure?
    pub(super) fn on_data(&mut self, bytes: usize, now: Instant) {
        self.received = self.received.saturating_add(bytes);
        let fresh = self.measured.is_some_and(|then| now.since(then) < PROBE_INTERVAL);
        if self.received >= PROBE_BYTES && !fresh && self.pending.is_none() {
            self.pending = Some(Pending { sent: None, deadline: None });
        }
    }

    pub(super) fn wants_transmit(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.sent.is_none())
    }

    /// The value of a ping to send now, if one waits.
    pub(super) fn transmit(&mut self, now: Instant) -> Option<u32> {
        let pending = self.pending.as_mut().filter(|pending| pending.sent.is_none())?;
        pending.sent = Some(now);
        self.value = self.value.wrapping_add(1);
        Some(self.value)
    }

    /// An answer came in. The round-trip time if the application asked for it.
    pub(super) fn on_answer(&mut self, value: u32, now: Instant) -> Option<Duration> {
        let pending =
            self.pending.take_if(|pending| pending.sent.is_some() && value == self.value)?;
        let rtt = now.since(pending.sent?);
        self.rtt = Some(rtt);
        self.measured = Some(now);
        self.received = 0;
        pending.deadline.map(|_| rtt)
    }

    /// An answer may come as late as `deadline`.
    pub(super) fn postpone(&mut self, deadline: Instant) {
        if let Some(at) = self.pending.as_mut().and_then(|pending| pending.deadline.as_mut()) {
            *at = deadline.max(*at);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.pending.as_ref()?.deadline
    }

    pub(super) fn handle_timeout(&self, now: Instant) -> Result<(), Error> {
        match self.poll_timeout() {
            Some(deadline) if deadline <= now => Err(Error::PingTimeout),
            _ => Ok(()),
        }
    }
}
