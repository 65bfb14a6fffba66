//! What a relay has refused and carried.

use core::time::Duration;

use super::{CircuitSummary, Status};
use crate::collections::LongMap;
use crate::identity::PeerId;
use crate::time::Instant;

/// Pairs of peers of which is remembered what they sent each other through us; of
/// more, those whose last circuit ended longest ago are forgotten.
pub const MAX_PAIRS: usize = 1024;

/// The rule by which a relay refused a place or a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// [`ServiceConfig::allow`](super::ServiceConfig) and
    /// [`deny`](super::ServiceConfig).
    Denied,
    /// Over a circuit nothing is served.
    Relayed,
    /// [`ServiceConfig::max_reservations`](super::ServiceConfig).
    Reservations,
    /// [`ServiceConfig::max_reservations_per_ip`](super::ServiceConfig).
    ReservationsPerIp,
    /// [`ServiceConfig::max_circuits`](super::ServiceConfig).
    Circuits,
    /// [`ServiceConfig::max_circuits_per_peer`](super::ServiceConfig).
    CircuitsPerPeer,
    /// The peer has no place here.
    NoReservation,
}

impl Rule {
    /// Its name, as logs and figures have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Relayed => "relayed",
            Self::Reservations => "reservations",
            Self::ReservationsPerIp => "reservationsPerIp",
            Self::Circuits => "circuits",
            Self::CircuitsPerPeer => "circuitsPerPeer",
            Self::NoReservation => "noReservation",
        }
    }

    /// What the remote is told.
    pub(super) fn status(self) -> Status {
        match self {
            Self::Denied | Self::Relayed => Status::PermissionDenied,
            Self::Reservations | Self::ReservationsPerIp => Status::ReservationRefused,
            Self::Circuits | Self::CircuitsPerPeer => Status::ResourceLimitExceeded,
            Self::NoReservation => Status::NoReservation,
        }
    }
}

/// Something that a relay has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// By which rule.
    pub rule: Rule,
    /// When there will be room, if nobody goes sooner and that is known.
    pub retry_after: Option<Duration>,
}

/// What two peers have sent each other through a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairStats {
    /// Who asked for the circuits.
    pub source: PeerId,
    /// Whom they led to.
    pub target: PeerId,
    /// Circuits that are over.
    pub circuits: u64,
    /// Bytes in these from source to target, and back.
    pub bytes: [u64; 2],
}

/// What a relay does and has done. Plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayStats {
    /// Peers with a place.
    pub reservations: usize,
    /// Circuits.
    pub circuits: usize,
    /// How often each rule was in the way.
    pub refused: Vec<(Rule, u64)>,
    /// What pairs of peers have sent each other; [`MAX_PAIRS`] at most.
    pub pairs: Vec<PairStats>,
}

/// Counts for [`RelayStats`].
#[derive(Default)]
pub(super) struct Record {
    pub(super) refused: LongMap<Rule, u64>,
    pairs: LongMap<(PeerId, PeerId), (Instant, PairStats)>,
}

impl Record {
    pub(super) fn refuse(&mut self, rule: Rule) {
        let count = self.refused.entry(rule).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn ended(&mut self, now: Instant, circuit: &CircuitSummary) {
        let CircuitSummary { source, target, bytes } = *circuit;
        if self.pairs.len() >= MAX_PAIRS && !self.pairs.contains_key(&(source, target)) {
            let oldest = self.pairs.iter().min_by_key(|(_, (at, _))| *at).map(|(pair, _)| *pair);
            oldest.map(|pair| self.pairs.remove(&pair));
        }
        let (at, pair) = self
            .pairs
            .entry((source, target))
            .or_insert_with(|| (now, PairStats { source, target, circuits: 0, bytes: [0; 2] }));
        *at = now;
        pair.circuits = pair.circuits.saturating_add(1);
        for (sum, more) in pair.bytes.iter_mut().zip(bytes) {
            *sum = sum.saturating_add(more);
        }
    }

    pub(super) fn pairs(&self) -> Vec<PairStats> {
        self.pairs.values().map(|(_, pair)| *pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keypair, Rng};

    #[test]
    fn pairs_are_summed_and_the_oldest_forgotten() {
        let peer = |n| Keypair::generate_ed25519(&mut Rng::from_number(n)).peer_id();
        let target = peer(0);
        let mut record = Record::default();
        for number in 0..MAX_PAIRS as u64 + 10 {
            let source = peer(number % 7 + if number < 7 { 1 } else { number });
            let circuit = CircuitSummary { source, target, bytes: [number, 1] };
            record.ended(Instant::from_micros(number), &circuit);
        }
        assert_eq!(record.pairs().len(), MAX_PAIRS);
        let again = record.pairs()[0];
        let circuit = CircuitSummary { source: again.source, target, bytes: [u64::MAX, 2] };
        record.ended(Instant::from_micros(99_999), &circuit);
        let found = record.pairs().into_iter().find(|pair| pair.source == again.source).unwrap();
        assert_eq!(found.circuits, again.circuits + 1);
        assert_eq!(found.bytes, [u64::MAX, again.bytes[1] + 2]);
    }
}
