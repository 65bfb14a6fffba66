//! What came of the messages that were published.

use core::ops::Range;
use core::time::Duration;

use crate::time::Instant;

use super::{Network, Role};

/// Who came so shortly before a message, or left so shortly after it, need not have it.
const SETTLED: Duration = Duration::from_secs(10);

/// What came of messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// How many were published.
    pub published: usize,
    /// Who was to be told of them, summed up.
    pub expected: usize,
    /// Who was.
    pub delivered: usize,
    /// How long it took, for each who was, in order.
    pub times: Vec<Duration>,
}

impl Report {
    /// The part that was delivered, in percent.
    pub fn percent(&self) -> f64 {
        100.0 * self.delivered as f64 / (self.expected as f64).max(1.0)
    }

    /// How long it took at most for so many of a thousand.
    pub fn within(&self, per_mille: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get(last * per_mille / 1000).copied().unwrap_or_default()
    }
}

impl Network {
    /// How many messages were published so far.
    pub fn published(&self) -> usize {
        self.published.len()
    }

    /// What came of all messages from this number on, for honest peers that were there.
    pub fn report(&self, from: usize) -> Report {
        self.report_where(from..self.published.len(), 0..self.hosts.len())
    }

    /// What came of these messages.
    pub fn report_between(&self, numbers: Range<usize>) -> Report {
        self.report_where(numbers, 0..self.hosts.len())
    }

    /// What came of all messages from this number on at one peer.
    pub fn report_at(&self, from: usize, peer: usize) -> Report {
        self.report_where(from..self.published.len(), peer..peer + 1)
    }

    fn report_where(&self, numbers: Range<usize>, peers: Range<usize>) -> Report {
        let mut report = Report::default();
        for number in numbers {
            let Some((at, by)) = self.published.get(number) else { break };
            report.published += 1;
            for index in peers.clone() {
                let host = &self.hosts[index];
                if index == *by || host.role != Role::Honest || !self.was_there(index, *at) {
                    continue;
                }
                report.expected += 1;
                if let Some(told) = host.got.get(&(number as u64)) {
                    report.delivered += 1;
                    report.times.push(*told - *at);
                }
            }
        }
        report.times.sort_unstable();
        report
    }

    fn was_there(&self, index: usize, at: Instant) -> bool {
        let mut sessions = self.hosts[index].sessions.iter();
        sessions.any(|(from, until)| {
            *from + SETTLED.min(at - Instant::ZERO) <= at
                && until.is_none_or(|until| until >= at + SETTLED)
        })
    }
}
