//! When to try for a direct connection to peers that are connected through a relay.
//!
//! A try costs both ends some sockets and the relay some of what it allows, so a
//! network in which there is no way is asked seldom: once more soon, as ICE does
//! fail by chance, and then at most six times in any hour.
//!
//! What others can make grow: the peers that are remembered, [`MAX_UPGRADES`].

use core::time::Duration;

use crate::collections::Map;
use crate::identity::PeerId;
use crate::time::Instant;

/// How long until the next try, by the tries that failed in a row; the last one for
/// all that follow.
pub const UPGRADE_PAUSES: [Duration; 4] = [
    Duration::from_secs(2),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(20 * 60),
];
/// How long a peer is left alone after a try that succeeded, so that a connection
/// that does not last is not made anew without end.
const AFTER_SUCCESS: Duration = Duration::from_secs(10);
/// Peers whose tries are remembered; those that are due first are forgotten first.
pub const MAX_UPGRADES: usize = 256;

#[derive(Default)]
pub(crate) struct Upgrades(Map<PeerId, Tries>);

struct Tries {
    failures: usize,
    next: Instant,
}

impl Upgrades {
    /// Whether it may be tried now.
    pub(crate) fn is_due(&self, now: Instant, peer: &PeerId) -> bool {
        self.0.get(peer).is_none_or(|tries| tries.next <= now)
    }

    /// A try has failed: how long until the next.
    pub(crate) fn failed(&mut self, now: Instant, peer: PeerId) -> Duration {
        let failures = self.0.get(&peer).map_or(0, |tries| tries.failures);
        let last = UPGRADE_PAUSES.len() - 1;
        let pause = UPGRADE_PAUSES.get(failures.min(last)).copied().unwrap_or_default();
        self.remember(peer, Tries { failures: failures.saturating_add(1), next: now + pause });
        pause
    }

    /// A try has succeeded.
    pub(crate) fn succeeded(&mut self, now: Instant, peer: PeerId) {
        self.remember(peer, Tries { failures: 0, next: now + AFTER_SUCCESS });
    }

    /// When the first try after `last` is due, of those for `wanted` peers.
    pub(crate) fn poll_timeout(
        &self,
        last: Instant,
        wanted: impl Fn(&PeerId) -> bool,
    ) -> Option<Instant> {
        let waiting = self.0.iter().filter(|(_, tries)| tries.next > last);
        waiting.filter(|(peer, _)| wanted(peer)).map(|(_, tries)| tries.next).min()
    }

    fn remember(&mut self, peer: PeerId, tries: Tries) {
        if self.0.len() >= MAX_UPGRADES && !self.0.contains_key(&peer) {
            let first = self.0.iter().min_by_key(|(_, tries)| tries.next).map(|(peer, _)| *peer);
            first.map(|peer| self.0.remove(&peer));
        }
        self.0.insert(peer, tries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keypair, Rng};

    fn peer(number: u64) -> PeerId {
        Keypair::generate_ed25519(&mut Rng::from_number(number)).peer_id()
    }

    #[test]
    fn a_way_that_is_not_there_is_tried_six_times_in_any_hour() {
        let (mut upgrades, peer) = (Upgrades::default(), peer(1));
        let mut tries = Vec::new();
        for second in 0..24 * 3600 {
            let now = Instant::ZERO + Duration::from_secs(second);
            if upgrades.is_due(now, &peer) {
                tries.push(second);
                upgrades.failed(now, peer);
            }
        }
        assert_eq!(tries[..3], [0, 2, 122]);
        for first in &tries {
            let hour = tries.iter().filter(|at| (*first..first + 3600).contains(at)).count();
            assert!(hour <= 6, "{hour} tries from {first} s on");
        }
        assert!(tries.len() > 60, "it is never given up");
    }

    #[test]
    fn a_success_forgets_the_failures() {
        let (mut upgrades, peer) = (Upgrades::default(), peer(1));
        for _ in 0..9 {
            upgrades.failed(Instant::ZERO, peer);
        }
        upgrades.succeeded(Instant::ZERO, peer);
        assert!(!upgrades.is_due(Instant::ZERO, &peer));
        let later = Instant::ZERO + AFTER_SUCCESS;
        assert_eq!(upgrades.poll_timeout(Instant::ZERO, |_| true), Some(later));
        assert_eq!(upgrades.poll_timeout(Instant::ZERO, |_| false), None);
        assert!(upgrades.is_due(later, &peer));
        assert_eq!(upgrades.failed(later, peer), UPGRADE_PAUSES[0]);
    }

    #[test]
    fn the_limit_of_remembered_peers_is_reached() {
        let mut upgrades = Upgrades::default();
        for number in 0..MAX_UPGRADES as u64 + 1 {
            upgrades.failed(Instant::from_micros(number), peer(number));
        }
        assert_eq!(upgrades.0.len(), MAX_UPGRADES);
        assert!(upgrades.is_due(Instant::ZERO, &peer(0)), "the oldest is forgotten");
        assert!(!upgrades.is_due(Instant::ZERO, &peer(1)));
    }
}
