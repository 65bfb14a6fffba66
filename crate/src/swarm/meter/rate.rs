//! A smoothed rate, kept in one atomic number.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::time::Instant;

/// What passed so many seconds ago counts a third of what passes now.
const SMOOTHING: f32 = 5.0;

/// Microseconds in a tick, as a power of two: 65 ms; 32 bits of them are nine
/// years.
const TICK_BITS: u32 = 16;
const TICK_SECONDS: f32 = (1 << TICK_BITS) as f32 / 1e6;

/// Bytes a second, older ones counting less and less: the value in the upper
/// half, the tick when it was right in the lower.
#[derive(Debug, Default)]
pub(super) struct Rate(AtomicU64);

impl Rate {
    pub(super) fn count(&self, now: Instant, bytes: usize) {
        let more = |state: u64| {
            let value = value_at(state, tick(now)) + bytes as f32 / SMOOTHING;
            Some(u64::from(value.to_bits()) << 32 | u64::from(tick(now)))
        };
        // The closure never refuses.
        let _ = self.0.fetch_update(Relaxed, Relaxed, more);
    }

    /// Bytes a second.
    pub(super) fn per_second(&self, now: Instant) -> u64 {
        value_at(self.0.load(Relaxed), tick(now)) as u64
    }
}

fn tick(now: Instant) -> u32 {
    (now.as_micros() >> TICK_BITS) as u32
}

fn value_at(state: u64, tick: u32) -> f32 {
    let value = f32::from_bits((state >> 32) as u32);
    let age = tick.saturating_sub(state as u32) as f32 * TICK_SECONDS;
    value * (-age / SMOOTHING).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn follows_what_passes_and_forgets_it() {
        let rate = Rate::default();
        for millis in (0..60_000).step_by(100) {
            rate.count(at(millis), 100_000);
        }
        let steady = rate.per_second(at(60_000));
        assert!((950_000..1_050_000).contains(&steady), "{steady}");
        let later = rate.per_second(at(65_000));
        assert!((300_000..450_000).contains(&later), "{later}");
        assert_eq!(rate.per_second(at(600_000)), 0);
    }

    #[test]
    fn a_clock_that_stands_still_or_is_extreme_does_no_harm() {
        let rate = Rate::default();
        for now in [0, u64::MAX, 0] {
            rate.count(Instant::from_micros(now), usize::MAX);
            rate.per_second(Instant::from_micros(now));
        }
    }
}
