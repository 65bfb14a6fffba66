//! A token bucket that many connections share without a lock.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;

use crate::time::Instant;

/// How long a bucket that was not used saves up: what may be sent at once.
pub const BURST: Duration = Duration::from_millis(100);

/// The most bytes that are sent before the bucket is asked again.
const MAX_SLICE: u64 = 256 * 1024;
/// The least, so that frames are not mostly headers.
const MIN_SLICE: u64 = 1024;

/// The generic cell rate algorithm over bytes: one number says until when the
/// rate is used up. Bytes are charged when they have passed, and whoever passed
/// them waits for the moment that [`Bucket::charge`] names; so those who share a
/// bucket go on in the order in which they came, and none goes short.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// Bytes a second; zero for no limit.
    rate: AtomicU64,
    /// In nanoseconds of the core's clock.
    used_up_until: AtomicU64,
}

impl Bucket {
    pub(crate) fn set_rate(&self, rate: Option<u64>) {
        self.rate.store(rate.map_or(0, |rate| rate.max(1)), Relaxed);
    }

    /// Bytes a second, if there is a limit.
    pub(crate) fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Relaxed)).filter(|rate| *rate > 0)
    }

    /// `bytes` have passed: when the next may, if not at once.
    pub(crate) fn charge(&self, now: Instant, bytes: usize) -> Option<Instant> {
        let rate = self.rate()?;
        let cost = u128::from(bytes as u64) * 1_000_000_000 / u128::from(rate);
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        let nanos = now.as_micros().saturating_mul(1000);
        let next = |until: u64| until.max(nanos).saturating_add(cost);
        let before = self.used_up_until.fetch_update(Relaxed, Relaxed, |until| Some(next(until)));
        // The closure never refuses.
        let until = before.map_or(0, next).saturating_sub(BURST.as_nanos() as u64);
        (until > nanos).then(|| Instant::from_micros(until.div_ceil(1000)))
    }

    /// How many bytes to pass before the next charge.
    pub(crate) fn slice(&self) -> usize {
        let slice = |rate: u64| (rate / 50).clamp(MIN_SLICE, MAX_SLICE);
        self.rate().map_or(usize::MAX, |rate| slice(rate) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn the_rate_is_kept_after_the_burst() {
        let bucket = Bucket::default();
        assert_eq!(bucket.charge(at(0), usize::MAX), None, "no limit");
        bucket.set_rate(Some(1_000_000));
        assert_eq!(bucket.charge(at(0), 100_000), None, "a tenth of a second's worth");
        assert_eq!(bucket.charge(at(0), 50_000), Some(at(50)));
        assert_eq!(bucket.charge(at(50), 50_000), Some(at(100)));
        let mut now = at(100);
        for _ in 0..1000 {
            now = bucket.charge(now, 10_000).unwrap_or(now);
        }
        assert_eq!(now, at(10_100));
        assert_eq!(bucket.charge(at(60_000), 100_000), None, "it saves no more than the burst");
        assert_eq!(bucket.charge(at(60_000), 1_000), Some(at(60_001)));
    }

    #[test]
    fn those_who_share_it_wait_their_turn() {
        let bucket = Bucket::default();
        bucket.set_rate(Some(1_000_000));
        bucket.charge(at(0), 100_000);
        let turns: Vec<_> = (0..4).map(|_| bucket.charge(at(0), 20_000)).collect();
        assert_eq!(turns, [20, 40, 60, 80].map(|millis| Some(at(millis))));
    }

    #[test]
    fn threads_together_keep_the_rate() {
        let bucket = Bucket::default();
        bucket.set_rate(Some(1_000_000));
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..1000 {
                        bucket.charge(at(0), 500);
                    }
                });
            }
        });
        assert_eq!(bucket.charge(at(0), 0), Some(at(1900)));
    }

    #[test]
    fn extreme_values_do_not_wrap() {
        let bucket = Bucket::default();
        for rate in [0, 1, u64::MAX] {
            bucket.set_rate(Some(rate));
            for now in [0, 1, u64::MAX] {
                bucket.charge(Instant::from_micros(now), usize::MAX);
            }
            assert!(bucket.slice() >= MIN_SLICE as usize);
        }
    }
}
