//! Pings of ours: the round-trip time, and whether the remote is there.

use core::time::Duration;

use super::error::Error;
use crate::Instant;

/// Bytes of data that must come in before the round-trip time is measured on
/// the session's own account: below, windows need no tuning.
const PROBE_BYTES: usize = 32 * 1024;

/// How old a measurement may be before one is made again.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// A remote is not judged by an answer that is missing at a look which comes so
/// late itself: this side slept, and the answer may wait to be read.
const LATE: Duration = Duration::from_secs(2);

/// How often its limit a ping may wait to be sent at all.
const UNSENT: u32 = 3;

/// The ping that is under way.
#[derive(Debug)]
struct Pending {
    asked: Instant,
    /// When it went out; `None` while it waits to.
    sent: Option<Instant>,
    /// How long its answer may take, if the application asked for it.
    limit: Option<Duration>,
    /// By when it need not be answered in any case.
    not_before: Instant,
}

impl Pending {
    fn new(asked: Instant, limit: Option<Duration>) -> Self {
        Self { asked, sent: None, limit, not_before: Instant::ZERO }
    }
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

    /// The application wants to know that the remote answers within `limit`.
    pub(super) fn ask(&mut self, now: Instant, limit: Duration) {
        let pending = self.pending.get_or_insert(Pending::new(now, None));
        pending.limit.get_or_insert(limit);
    }

    /// As [`Ping::ask`], in place of the ping that is under way.
    #[cfg(feature = "manager")]
    pub(super) fn ask_anew(&mut self, now: Instant, limit: Duration) {
        self.pending = Some(Pending::new(now, Some(limit)));
    }

    /// Data came in: time to measure?
    pub(super) fn on_data(&mut self, bytes: usize, now: Instant) {
        self.received = self.received.saturating_add(bytes);
        let fresh = self.measured.is_some_and(|then| now.since(then) < PROBE_INTERVAL);
        if self.received >= PROBE_BYTES && !fresh && self.pending.is_none() {
            self.pending = Some(Pending::new(now, None));
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
        pending.limit.map(|_| rtt)
    }

    /// An answer may come as late as `deadline`.
    pub(super) fn postpone(&mut self, deadline: Instant) {
        if let Some(pending) = &mut self.pending {
            pending.not_before = deadline.max(pending.not_before);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let pending = self.pending.as_ref()?;
        let limit = pending.limit?;
        let unsent = pending.asked + limit.saturating_mul(UNSENT);
        Some(pending.sent.map_or(unsent, |sent| sent + limit).max(pending.not_before))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        let Some(deadline) = self.poll_timeout().filter(|at| *at <= now) else { return Ok(()) };
        match &mut self.pending {
            Some(pending) if now > deadline + LATE => {
                (pending.asked, pending.sent) = (now, None);
                Ok(())
            }
            _ => Err(Error::PingTimeout),
        }
    }
}
