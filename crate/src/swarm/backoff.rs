//! Addresses that failed are left alone for a while, longer each time.

use core::time::Duration;

use crate::address::Multiaddr;
use crate::collections::Map;
use crate::identity::PeerId;
use crate::time::Instant;

/// The pause after the first failure; as go-libp2p's.
pub const BACKOFF_BASE: Duration = Duration::from_secs(5);
/// The longest pause.
pub const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// Addresses that are remembered; beyond, those whose pause ends first are
/// forgotten. A hundred kilobytes or so.
pub const MAX_BACKOFFS: usize = 1024;

/// What is remembered of failed addresses.
#[derive(Default)]
pub(crate) struct Backoff {
    entries: Map<Multiaddr, Entry>,
}

struct Entry {
    failures: u64,
    until: Instant,
}

/// After so many failures, all later ones forgotten, not one more is tried for
/// this long: 5 s and 1 s × failures².
fn pause(failures: u64) -> Duration {
    let failures = failures.min(20);
    (BACKOFF_BASE + Duration::from_secs(failures * failures)).min(MAX_BACKOFF)
}

impl Backoff {
    /// How long this address is still left alone, if it is.
    pub(crate) fn left(
        &self,
        now: Instant,
        address: &Multiaddr,
        peer: Option<PeerId>,
    ) -> Option<Duration> {
        let entry = self.entries.get(&named(address, peer))?;
        (entry.until > now).then(|| entry.until - now)
    }

    /// An attempt failed.
    pub(crate) fn failed(&mut self, now: Instant, address: &Multiaddr, peer: Option<PeerId>) {
        let address = named(address, peer);
        // Whatever has stayed quiet for as long again as it was left alone starts anew.
        self.entries.retain(|_, entry| entry.until + pause(entry.failures) > now);
        if self.entries.len() >= MAX_BACKOFFS && !self.entries.contains_key(&address) {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.until);
            if let Some(first) = first.map(|(address, _)| address.clone()) {
                self.entries.remove(&first);
            }
        }
        let failures = self.entries.get(&address).map_or(0, |entry| entry.failures + 1);
        let until = now + pause(failures);
        self.entries.insert(address, Entry { failures, until });
    }

    /// The network is another one: nothing of what was learned holds.
    #[cfg(feature = "manager")]
    pub(crate) fn clear(&mut self) {
        self.entries = Map::new();
    }

    /// A peer was reached, by whichever address.
    pub(crate) fn reached(&mut self, peer: &PeerId, address: &Multiaddr) {
        self.entries.retain(|known, _| known != address && known.peer_id().as_ref() != Some(peer));
    }
}

/// What an address is remembered under: one that failed for one peer is free for
/// another.
fn named(address: &Multiaddr, peer: Option<PeerId>) -> Multiaddr {
    peer.map_or_else(|| address.clone(), |peer| address.with_peer(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(number: usize) -> Multiaddr {
        format!("/memory/{number}").parse().unwrap()
    }

    #[test]
    fn pauses_grow_to_a_ceiling_and_are_forgotten() {
        let mut backoff = Backoff::default();
        let mut now = Instant::ZERO;
        let mut pauses = Vec::new();
        for _ in 0..30 {
            backoff.failed(now, &address(1), None);
            let left = backoff.left(now, &address(1), None).unwrap();
            pauses.push(left.as_secs());
            now = now + left;
            assert_eq!(backoff.left(now, &address(1), None), None);
        }
        assert_eq!(pauses[..5], [5, 6, 9, 14, 21]);
        assert_eq!(pauses.last(), Some(&300));
        backoff.failed(now + MAX_BACKOFF, &address(1), None);
        assert_eq!(backoff.left(now + MAX_BACKOFF, &address(1), None), Some(BACKOFF_BASE));
    }

    #[test]
    fn a_peer_that_was_reached_starts_anew() {
        let mut backoff = Backoff::default();
        let peer = crate::Keypair::ed25519_from_seed([1; 32]).peer_id();
        let (named, unnamed) = (address(1).with_peer(peer), address(2));
        backoff.failed(Instant::ZERO, &named, None);
        backoff.failed(Instant::ZERO, &unnamed, None);
        backoff.failed(Instant::ZERO, &address(3), None);
        backoff.reached(&peer, &unnamed);
        assert_eq!(backoff.left(Instant::ZERO, &named, None), None);
        assert_eq!(backoff.left(Instant::ZERO, &unnamed, None), None);
        assert!(backoff.left(Instant::ZERO, &address(3), None).is_some());
    }

    #[test]
    fn the_table_is_bounded() {
        let mut backoff = Backoff::default();
        for number in 0..=MAX_BACKOFFS {
            backoff.failed(Instant::from_micros(number as u64), &address(number), None);
        }
        let now = Instant::ZERO + SECOND;
        assert_eq!(backoff.entries.len(), MAX_BACKOFFS);
        assert_eq!(backoff.left(now, &address(0), None), None, "the oldest went");
        assert!(backoff.left(now, &address(MAX_BACKOFFS), None).is_some());
    }
}
