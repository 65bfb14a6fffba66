//! Under which addresses remotes see those that we listen on.
//!
//! One remote may lie, or sit behind the same NAT; so what counts is how many
//! [groups](Group) say the same, each of which has one voice for each of our
//! addresses. Voices of connections that are gone count for [`TTL`].

use core::time::Duration;

use crate::collections::Map;
use crate::collections::sort::sort_by;
use crate::node::ConnectionId;
use crate::time::Instant;

use super::waist::{Group, Waist};

/// Voices that are kept, of all groups for all our addresses: enough for many
/// addresses with [`Config::observers`](super::Config::observers) each, and little
/// memory.
pub const MAX_VOICES: usize = 256;
/// How long a voice counts after its connections; as long as go-libp2p's.
pub const TTL: Duration = Duration::from_secs(40 * 60);
/// Addresses that are believed for one of ours at a time: a network with several
/// ways out has few.
pub const MAX_EXTERNAL: usize = 3;

/// Who says it of which of our addresses.
type Key = (Waist, Group);

#[derive(Default)]
pub(super) struct Observed {
    voices: Map<Key, Voice>,
    /// The voice of each connection that has one.
    connections: Map<ConnectionId, Key>,
}

struct Voice {
    external: Waist,
    /// Connections that it is of.
    live: usize,
    /// When it was heard last, or the last of its connections ended.
    heard: Instant,
}

impl Observed {
    /// A remote of `group` sees our `local` address as `external`.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        (local, group): Key,
        external: Waist,
    ) {
        let key = (local, group);
        if self.connections.get(&connection) != Some(&key) {
            self.ended(now, connection);
            if self.voices.len() >= MAX_VOICES && !self.voices.contains_key(&key) {
                let gone = self.voices.iter().filter(|(_, voice)| voice.live == 0);
                let oldest = gone.min_by_key(|(_, voice)| voice.heard).map(|(key, _)| *key);
                // Those who are there keep their voices.
                let Some(oldest) = oldest else { return };
                self.voices.remove(&oldest);
            }
            let new = || Voice { external, live: 0, heard: now };
            self.voices.get_or_insert_with(key, new).live += 1;
            self.connections.insert(connection, key);
        }
        if let Some(voice) = self.voices.get_mut(&key) {
            (voice.external, voice.heard) = (external, now);
        }
    }

    /// A connection is over.
    pub(super) fn ended(&mut self, now: Instant, connection: ConnectionId) {
        if let Some(key) = self.connections.remove(&connection)
            && let Some(voice) = self.voices.get_mut(&key)
        {
            voice.live = voice.live.saturating_sub(1);
            voice.heard = now;
        }
    }

    /// Forgets what is said of addresses that we do not listen on any more.
    pub(super) fn keep_only(&mut self, listened: impl Fn(&Waist) -> bool) {
        self.voices.retain(|(local, _), _| listened(local));
        let voices = &self.voices;
        self.connections.retain(|_, key| voices.contains_key(key));
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let gone = self.voices.values().filter(|voice| voice.live == 0);
        gone.map(|voice| voice.heard + TTL).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.voices.retain(|_, voice| voice.live > 0 || voice.heard + TTL > now);
    }

    /// What at least `observers` groups say: our address, and the one that is seen.
    /// Those that most say come first.
    pub(super) fn believed(&self, observers: usize) -> Vec<(Waist, Waist)> {
        let mut counts: Map<(Waist, Waist), usize> = Map::new();
        for ((local, _), voice) in self.voices.iter() {
            *counts.get_or_insert_with((*local, voice.external), || 0) += 1;
        }
        let mut list: Vec<_> = counts.iter().filter(|(_, count)| **count >= observers).collect();
        sort_by(&mut list, |(a, x), (b, y)| a.0.cmp(&b.0).then(y.cmp(x)));
        list.chunk_by(|((a, _), _), ((b, _), _)| a == b)
            .flat_map(|of_one| of_one.iter().take(MAX_EXTERNAL).map(|(pair, _)| **pair))
            .collect()
    }

    #[cfg(test)]
    fn sizes(&self) -> (usize, usize) {
        (self.voices.len(), self.connections.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn waist(text: &str) -> Waist {
        Waist::of(&text.parse().unwrap()).unwrap()
    }

    fn group(number: usize) -> Group {
        Group::of([20, (number >> 8) as u8, number as u8, 1].into())
    }

    const HOME: &str = "/ip4/192.168.1.2/tcp/4001";
    const TRUTH: &str = "/ip4/50.1.1.1/tcp/4001";

    #[test]
    fn several_groups_are_believed_and_fewer_are_not() {
        let (mut observed, home, truth) = (Observed::default(), waist(HOME), waist(TRUTH));
        let now = Instant::ZERO;
        for number in 0..3 {
            // However many connections one group has, and whatever else it said before.
            for connection in 0..10 {
                let id = ConnectionId(number * 10 + connection);
                observed.hear(
                    now,
                    id,
                    (home, group(number as usize)),
                    waist("/ip4/66.6.6.6/tcp/6"),
                );
                observed.hear(now, id, (home, group(number as usize)), truth);
            }
        }
        assert_eq!(observed.believed(4), []);
        observed.hear(now, ConnectionId(99), (home, group(3)), truth);
        assert_eq!(observed.believed(4), [(home, truth)]);
        // The last word of a group counts.
        observed.hear(now, ConnectionId(99), (home, group(3)), waist("/ip4/66.6.6.6/tcp/6"));
        assert_eq!(observed.believed(4), []);
    }

    #[test]
    fn voices_last_as_long_as_their_connections_and_a_while() {
        let (mut observed, home, truth) = (Observed::default(), waist(HOME), waist(TRUTH));
        let mut now = Instant::ZERO;
        for number in 0..4 {
            observed.hear(now, ConnectionId(number), (home, group(number as usize)), truth);
        }
        assert_eq!(observed.poll_timeout(), None);
        now = now + TTL * 10;
        observed.handle_timeout(now);
        assert_eq!(observed.believed(4).len(), 1);
        observed.ended(now, ConnectionId(0));
        assert_eq!(observed.poll_timeout(), Some(now + TTL));
        observed.handle_timeout(now + TTL / 2);
        assert_eq!(observed.believed(4).len(), 1, "it is gone, and not long ago");
        observed.handle_timeout(now + TTL);
        assert_eq!(observed.believed(4), []);
        observed.keep_only(|_| false);
        assert_eq!(observed.sizes(), (0, 0));
    }

    #[test]
    fn a_crowd_of_liars_fills_no_more_than_its_table_and_drives_nobody_out() {
        let (mut observed, home, truth) = (Observed::default(), waist(HOME), waist(TRUTH));
        let mut rng = Rng::from_number(1);
        for number in 0..4 {
            observed.hear(
                Instant::ZERO,
                ConnectionId(number),
                (home, group(number as usize)),
                truth,
            );
        }
        for number in 4..4096 {
            let port = 1 + rng.below(60_000);
            let lie = waist(&format!("/ip4/66.6.6.6/tcp/{port}"));
            let key = (home, group(number as usize));
            observed.hear(Instant::ZERO, ConnectionId(number), key, lie);
        }
        assert_eq!(observed.sizes(), (MAX_VOICES, MAX_VOICES));
        assert!(observed.believed(4).contains(&(home, truth)));
    }

    #[test]
    fn few_addresses_are_believed_at_a_time_and_those_that_most_say() {
        let (mut observed, home) = (Observed::default(), waist(HOME));
        for number in 0..60_u64 {
            let lie = waist(&format!("/ip4/66.6.6.{}/tcp/1", number / 4 / 2 * 2));
            let key = (home, group(number as usize));
            observed.hear(Instant::ZERO, ConnectionId(number), key, lie);
        }
        for number in 60..80 {
            let key = (home, group(number as usize));
            observed.hear(Instant::ZERO, ConnectionId(number), key, waist(TRUTH));
        }
        let believed = observed.believed(4);
        assert_eq!(believed.len(), MAX_EXTERNAL);
        assert_eq!(believed[0], (home, waist(TRUTH)));
    }
}
