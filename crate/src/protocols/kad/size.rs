//! How many peers the network has, by how near to a key the nearest are.
//!
//! The `i`th nearest of `n` peers is `i / (n + 1)` of the key space away, on average:
//! the slope of these distances tells `n`. What a remote can fill: [`SAMPLES`], one a
//! lookup.

use std::collections::VecDeque;

use crate::identity::PeerId;

use super::key::Key;

/// Lookups that are remembered.
const SAMPLES: usize = 24;
/// Lookups that it takes before anything is said.
const ENOUGH: usize = 3;
/// A nine in ten chance, in standard deviations.
const SURE: f64 = 1.281_6;

/// What lookups tell of the size of the network.
#[derive(Debug, Default)]
pub(super) struct Census(VecDeque<f64>);

impl Census {
    /// A lookup for `target` has found its nearest, the nearest first.
    pub(super) fn take(&mut self, target: &Key, closest: &[PeerId]) {
        let (mut weighted, mut squares) = (0.0, 0.0);
        for (peer, rank) in closest.iter().zip(1u32..) {
            let rank = f64::from(rank);
            weighted += rank * away(target, peer);
            squares += rank * rank;
        }
        if weighted > 0.0 {
            self.0.push_back(weighted / squares);
        }
        if self.0.len() > SAMPLES {
            self.0.pop_front();
        }
    }

    /// How many peers there are, once enough lookups have told.
    pub(super) fn peers(&self) -> Option<f64> {
        let slope: f64 = self.0.iter().sum::<f64>() / self.0.len() as f64;
        (self.0.len() >= ENOUGH).then(|| (1.0 / slope - 1.0).max(1.0))
    }
}

/// What part of the key space lies between a key and a peer.
pub(super) fn away(target: &Key, peer: &PeerId) -> f64 {
    target.distance(&Key::of_peer(peer)).fraction()
}

/// How far the `count`th nearest is at least in nine of ten cases, in peers' mean
/// distances: a quantile of the gamma distribution, by that of the normal one.
pub(super) fn at_least(count: f64) -> f64 {
    (count - SURE * count.sqrt() + (SURE * SURE - 1.0) / 3.0).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::peer;
    use super::*;

    #[test]
    fn the_size_of_a_network_is_told_by_the_nearest() {
        for size in [200u64, 2000] {
            let peers: Vec<PeerId> = (0..size).map(peer).collect();
            let mut census = Census::default();
            assert_eq!(census.peers(), None);
            for number in 0..SAMPLES as u8 + 9 {
                let target = Key::of(&[number]);
                let mut sorted = peers.clone();
                sorted.sort_by_key(|peer| target.distance(&Key::of_peer(peer)));
                census.take(&target, &sorted[..20]);
            }
            let told = census.peers().unwrap() / size as f64;
            assert!((0.8..1.25).contains(&told), "{told}");
            assert_eq!(census.0.len(), SAMPLES);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_gamma_distribution() {
        // By tables: 14.525 and 7.021.
        assert!((at_least(20.0) - 14.525).abs() < 0.1);
        assert!((at_least(11.0) - 7.021).abs() < 0.1);
    }
}
