//! How the table is filled and kept true.

use core::time::Duration;

use crate::identity::PeerId;
use crate::time::Instant;

use super::config::MAX_PROBES;
use super::key::Key;
use super::query::{Goal, QueryId};
use super::{Kademlia, OWN};

/// With fewer peers than a bucket has room for, newcomers have the table filled so soon.
const EARLY: Duration = Duration::from_secs(5);
/// The nearest part of the key space that is refreshed by itself: nearer ones are met on
/// the way to ourselves, and keys for them are not found in a few thousand tries.
const MAX_REFRESHED: u32 = 12;

/// How often the store forgets what has had its time.
pub(super) const TIDY: Duration = Duration::from_secs(600);

impl Kademlia {
    /// Forgets what has had its time, and where those are who are of no use any more.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.tidy_at = now + TIDY;
        self.store.tidy(now);
        let (table, connected) = (&self.table, &self.connected);
        self.addresses.retain(|peer, _| table.knows(peer) || connected.contains_key(peer));
    }

    /// Looks around now, in all parts of the key space.
    pub(crate) fn bootstrap(&mut self, now: Instant) {
        self.refresh(now, now + Duration::from_micros(1));
    }

    /// A table with few peers is filled sooner than it would be refreshed.
    pub(super) fn refresh_early(&mut self, now: Instant) {
        let at = match self.table.len() {
            1 => now,
            few if few < self.config.table.k => now + EARLY,
            _ => now + self.config.refresh,
        };
        self.refresh_at = Some(self.refresh_at.map_or(at, |due| due.min(at)));
    }

    /// Looks around in the parts of the key space that nobody looked in since `before`,
    /// and near ourselves ("Bootstrap process"), and asks peers that said nothing since
    /// then whether they are still there.
    pub(super) fn refresh(&mut self, now: Instant, before: Instant) {
        self.refresh_at = Some(now + self.config.refresh);
        let silent: Vec<PeerId> = self.table.silent(before).copied().take(MAX_PROBES).collect();
        for peer in silent {
            self.probe(now, peer);
        }
        let stale = self.table.stale(before);
        let keys = stale.into_iter().filter(|prefix| *prefix <= MAX_REFRESHED);
        let keys: Vec<_> = keys.map(|prefix| self.key_with(prefix)).collect();
        let own = self.me.as_bytes().to_vec();
        for key in core::iter::once(own).chain(keys) {
            self.next += 1;
            let id = QueryId(self.next | OWN);
            // If too many are under way already, there is no need of more.
            if self.begin(now, id, Goal::Closest, key, false).is_err() {
                return;
            }
        }
    }

    /// A key that has so many bits in common with us, found by trying.
    fn key_with(&mut self, prefix: u32) -> Vec<u8> {
        let me = Key::of_peer(&self.me);
        loop {
            self.next += 1;
            let key = [self.me.as_bytes(), &self.next.to_le_bytes()].concat();
            if me.common_prefix(&Key::of(&key)) == prefix {
                return key;
            }
        }
    }

    pub(super) fn long_before(&self, now: Instant) -> Instant {
        Instant::ZERO + (now - Instant::ZERO).saturating_sub(self.config.refresh)
    }
}
