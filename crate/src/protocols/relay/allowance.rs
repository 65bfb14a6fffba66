//! What a relay allows of a connection through it, and what of that is used.

use core::time::Duration;

use super::Limit;
use crate::time::{Instant, earliest};

/// Of what a relay allows, five in so many parts are left when a connection is told
/// of: at 80 %.
const PARTS: u64 = 5;

/// What a relay allows of one connection, and what is used of it so far. Relays
/// count the bytes of the secure channel, which are some more than those of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// What the relay allows in all.
    pub limit: Limit,
    /// How long the connection has lasted.
    pub time: Duration,
    /// Bytes that it has sent.
    pub sent: u64,
    /// Bytes that it has received.
    pub received: u64,
}

impl Allowance {
    /// How much longer it may last; `None` for as long as one likes.
    pub fn time_left(&self) -> Option<Duration> {
        Some(self.limit.duration?.saturating_sub(self.time))
    }

    /// Bytes that may still be sent; `None` for any number.
    pub fn send_left(&self) -> Option<u64> {
        Some(self.limit.data?.saturating_sub(self.sent))
    }

    /// Bytes that may still be received; `None` for any number.
    pub fn receive_left(&self) -> Option<u64> {
        Some(self.limit.data?.saturating_sub(self.received))
    }
}

impl core::fmt::Display for Allowance {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { time, sent, received, .. } = self;
        write!(f, "{} s, {sent} bytes sent and {received} received", time.as_secs())
    }
}

/// Counts what a connection uses of its limit.
#[derive(Debug)]
pub(crate) struct Meter {
    used: Allowance,
    since: Instant,
    told: bool,
}

impl Meter {
    /// A circuit under this limit begins; nothing if there is none.
    pub(crate) fn new(limit: Limit, since: Instant) -> Option<Self> {
        let used = Allowance { limit, ..Allowance::default() };
        limit.is_limited().then_some(Self { used, since, told: false })
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.used.sent = self.used.sent.saturating_add(bytes as u64);
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.used.received = self.used.received.saturating_add(bytes as u64);
    }

    /// What is used by now.
    pub(crate) fn used(&self, now: Instant) -> Allowance {
        Allowance { time: now.since(self.since), ..self.used }
    }

    /// What was used when it was last looked at.
    pub(crate) fn last(&self) -> Allowance {
        self.used
    }

    /// What is used, once, when that is 80 % of the time or of the bytes one way.
    pub(crate) fn poll_near(&mut self, now: Instant) -> Option<Allowance> {
        let used = self.used(now);
        self.used.time = used.time;
        let few = |left: Option<u64>, all: Option<u64>| {
            left.zip(all).is_some_and(|(left, all)| left <= all / PARTS)
        };
        let data = used.limit.data;
        let late = self.near_at().is_some_and(|at| at <= now);
        let near = late || few(used.send_left(), data) || few(used.receive_left(), data);
        (near && !core::mem::replace(&mut self.told, near)).then_some(used)
    }

    /// Whether a circuit that was cut now was most likely cut for its limit. Relays
    /// stop before a piece that would exceed it, and what they hold is lost: the
    /// one that receives sees less than it was allowed.
    pub(crate) fn is_spent(&self) -> bool {
        let Allowance { limit, time, sent, received } = self.used;
        let most = |data: u64| sent.max(received) >= data - data / 4;
        limit.data.is_some_and(most) || limit.duration.is_some_and(|all| time >= early(all))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let near = self.near_at().filter(|_| !self.told);
        let end = self.used.limit.duration.map(|all| self.since + early(all));
        earliest(near, end.filter(|_| !self.is_spent()))
    }

    fn near_at(&self) -> Option<Instant> {
        let all = self.used.limit.duration?;
        Some(self.since + (all - all / PARTS as u32))
    }
}

/// The relay's clock began before ours, by a part of a round trip.
fn early(all: Duration) -> Duration {
    all - all / 20
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn meter(seconds: u64, data: u64) -> Meter {
        let duration = Some(Duration::from_secs(seconds)).filter(|time| !time.is_zero());
        let limit = Limit { duration, data: Some(data).filter(|data| *data > 0) };
        Meter::new(limit, at(10)).unwrap()
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        assert!(Meter::new(Limit::default(), at(0)).is_none());
    }

    #[test]
    fn what_is_used_and_left_adds_up() {
        let mut meter = meter(100, 1000);
        meter.sent(300);
        meter.received(1200);
        let used = meter.used(at(40));
        assert_eq!((used.time, used.sent, used.received), (Duration::from_secs(30), 300, 1200));
        assert_eq!(used.time_left(), Some(Duration::from_secs(70)));
        assert_eq!((used.send_left(), used.receive_left()), (Some(700), Some(0)));
        assert_eq!(Allowance::default().time_left(), None);
    }

    #[test]
    fn eighty_percent_are_told_once_whichever_comes_first() {
        let mut by_time = meter(100, 1000);
        assert_eq!(by_time.poll_timeout(), Some(at(90)));
        assert_eq!(by_time.poll_near(at(89)), None);
        assert!(by_time.poll_near(at(90)).is_some());
        assert_eq!(by_time.poll_near(at(95)), None);
        for sends in [true, false] {
            let mut by_bytes = meter(0, 1000);
            let mut count =
                |bytes| if sends { by_bytes.sent(bytes) } else { by_bytes.received(bytes) };
            count(799);
            assert_eq!(by_bytes.poll_near(at(11)), None);
            let mut count =
                |bytes| if sends { by_bytes.sent(bytes) } else { by_bytes.received(bytes) };
            count(1);
            assert!(by_bytes.poll_near(at(11)).is_some());
            assert_eq!(by_bytes.poll_near(at(12)), None);
        }
    }

    #[test]
    fn a_cut_is_put_down_to_the_limit_only_near_it() {
        let mut one = meter(100, 1000);
        one.sent(100);
        one.poll_near(at(50));
        assert!(!one.is_spent());
        one.poll_near(at(106));
        assert!(one.is_spent(), "the time is over but for the relay's head start");
        let mut other = meter(0, 1000);
        other.received(750);
        assert!(other.is_spent());
    }
}
