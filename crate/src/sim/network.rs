//! The links of a simulated network: delay, jitter, rate, loss, silence.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use crate::node::ConnectionId;
use crate::rng::Rng;
use crate::time::Instant;

use super::{End, PeerIndex};

/// How links behave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// One way.
    pub delay: Duration,
    /// Up to as much is added to each chunk; chunks of a link stay in order.
    pub jitter: Duration,
    /// Bytes a second and direction; `None` is without limit.
    pub rate: Option<u64>,
    /// The share of chunks lost, in parts of a thousand, 900 at most: each comes
    /// [`Conditions::retransmit`] later, twice that if lost again, and so on.
    pub loss: u64,
    /// When a lost chunk is sent again.
    pub retransmit: Duration,
    /// Bytes that a transport holds, sent and not yet read at the other end.
    pub buffer: usize,
}

impl Default for Conditions {
    /// A good network: 10 ms one way, nothing lost.
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            rate: None,
            loss: 0,
            retransmit: Duration::from_millis(200),
            buffer: 256 * 1024,
        }
    }
}

/// Smaller writes than this wait for more room, as the muxer's frames need some.
const MIN_WRITE: usize = 1024;

#[derive(Default)]
pub(super) struct Links {
    pub(super) conditions: Conditions,
    halves: BTreeMap<End, Half>,
}

/// One end of a link, and what is on its way to it.
struct Half {
    other: End,
    /// Bytes that this end has sent and the other has not read.
    in_flight: usize,
    /// When this end's last chunk is off the sender.
    busy_until: Instant,
    /// When this end's last chunk arrives.
    last_arrival: Instant,
    /// Sent into a partition.
    held: Vec<u8>,
    /// Arrived here and not read.
    inbox: VecDeque<Vec<u8>>,
}

impl Links {
    pub(super) fn insert(&mut self, a: End, b: End) {
        for (end, other) in [(a, b), (b, a)] {
            let half = Half {
                other,
                in_flight: 0,
                busy_until: Instant::ZERO,
                last_arrival: Instant::ZERO,
                held: Vec::new(),
                inbox: VecDeque::new(),
            };
            self.halves.insert(end, half);
        }
    }

    /// What this end sends comes no sooner than the other knows of the link.
    pub(super) fn begins(&mut self, end: End, at: Instant) {
        if let Some(half) = self.halves.get_mut(&end) {
            half.last_arrival = half.last_arrival.max(at);
        }
    }

    /// Forgets a link; returns its other end.
    pub(super) fn remove(&mut self, end: End) -> Option<End> {
        let other = self.halves.remove(&end)?.other;
        // What is under way to the other end still arrives.
        self.halves.get_mut(&other)?.held.clear();
        Some(other)
    }

    pub(super) fn other(&self, end: End) -> Option<End> {
        self.halves.get(&end).map(|half| half.other)
    }

    /// A delay of the network, drawn anew.
    pub(super) fn delay(&self, rng: &mut Rng) -> Duration {
        let jitter = self.conditions.jitter.as_micros() as u64;
        self.conditions.delay + Duration::from_micros(rng.below(jitter.saturating_add(1)))
    }

    /// Whether something is lost that nobody but its sender sends again.
    pub(super) fn loses(&self, rng: &mut Rng) -> bool {
        rng.below(1000) < self.conditions.loss.min(900)
    }

    /// How much this end may write now, if enough for a frame.
    pub(super) fn room(&self, end: End) -> Option<usize> {
        let half = self.halves.get(&end)?;
        let room = self.conditions.buffer.saturating_sub(half.in_flight);
        (room >= MIN_WRITE).then_some(room)
    }

    /// Sends: when it arrives, where, and what; `None` if it waits in a partition.
    pub(super) fn send(
        &mut self,
        from: End,
        bytes: Vec<u8>,
        now: Instant,
        reachable: bool,
        rng: &mut Rng,
    ) -> Option<(Duration, End, Vec<u8>)> {
        let mut delay = self.delay(rng);
        let conditions = self.conditions;
        let half = self.halves.get_mut(&from)?;
        half.in_flight += bytes.len();
        if !reachable || !half.held.is_empty() {
            half.held.extend_from_slice(&bytes);
            return None;
        }
        let mut wait = conditions.retransmit;
        while rng.below(1000) < conditions.loss.min(900) {
            delay += wait;
            wait *= 2;
        }
        let sending = conditions.rate.map_or(Duration::ZERO, |rate| {
            Duration::from_micros((bytes.len() as u64).saturating_mul(1_000_000) / rate.max(1))
        });
        half.busy_until = half.busy_until.max(now) + sending;
        half.last_arrival = half.last_arrival.max(half.busy_until + delay);
        Some((half.last_arrival - now, half.other, bytes))
    }

    /// When the last chunk of this end arrives at the other.
    pub(super) fn last_arrival(&self, end: End) -> Instant {
        self.halves.get(&end).map_or(Instant::ZERO, |half| half.last_arrival)
    }

    pub(super) fn deliver(&mut self, to: End, bytes: Vec<u8>) {
        if let Some(half) = self.halves.get_mut(&to) {
            half.inbox.push_back(bytes);
        }
    }

    /// The links of a peer on which something has arrived.
    pub(super) fn waiting(&self, index: PeerIndex) -> Vec<ConnectionId> {
        let all = (index, ConnectionId(0))..=(index, ConnectionId(u64::MAX));
        let arrived = self.halves.range(all).filter(|(_, half)| !half.inbox.is_empty());
        arrived.map(|((_, id), _)| *id).collect()
    }

    /// Takes what has arrived first, and says who sent it.
    pub(super) fn take(&mut self, end: End) -> Option<(Vec<u8>, End)> {
        let half = self.halves.get_mut(&end)?;
        let bytes = half.inbox.pop_front()?;
        let other = half.other;
        if let Some(sender) = self.halves.get_mut(&other) {
            sender.in_flight = sender.in_flight.saturating_sub(bytes.len());
        }
        Some((bytes, other))
    }

    /// Sends what was held for those who reach each other again; returns the
    /// ends that may go on writing.
    pub(super) fn heal(&mut self, mut reach: impl FnMut(End, End) -> bool) -> Vec<End> {
        let mut ends = Vec::new();
        let mut arrived = Vec::new();
        for (end, half) in &mut self.halves {
            if !half.held.is_empty() && reach(*end, half.other) {
                arrived.push((half.other, core::mem::take(&mut half.held)));
                ends.push(*end);
                ends.push(half.other);
            }
        }
        for (to, bytes) in arrived {
            self.deliver(to, bytes);
        }
        ends
    }
}
