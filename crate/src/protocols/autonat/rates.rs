//! How many requests a server takes in a minute.

use core::time::Duration;
use std::collections::VecDeque;

use crate::identity::PeerId;
use crate::swarm::addresses::Group;
use crate::time::Instant;

use super::ServerConfig;

/// What the limits are counted over.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// The requests that were taken lately: as many as
/// [`ServerConfig::per_minute`] at most.
#[derive(Default)]
pub(super) struct Rates(VecDeque<(Instant, PeerId, Group)>);

impl Rates {
    /// Whether one more is taken of this peer at this address; it counts if so.
    pub(super) fn take(
        &mut self,
        now: Instant,
        config: &ServerConfig,
        peer: &PeerId,
        group: Group,
    ) -> bool {
        while self.0.front().is_some_and(|(at, ..)| *at + WINDOW <= now) {
            self.0.pop_front();
        }
        let of_peer = self.0.iter().filter(|(_, other, _)| other == peer).count();
        let of_group = self.0.iter().filter(|(.., other)| *other == group).count();
        let room = self.0.len() < config.per_minute
            && of_peer < config.per_minute_of_peer
            && of_group < config.per_minute_of_network;
        if room {
            self.0.push_back((now, *peer, group));
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn each_limit_holds_for_a_minute() {
        let mut config = ServerConfig::default();
        (config.per_minute, config.per_minute_of_network, config.per_minute_of_peer) = (10, 4, 2);
        let peers: Vec<PeerId> =
            (0..20).map(|n| PeerId::random(&mut Rng::from_number(n))).collect();
        let group = |n: u8| Group::of([20, 0, n, 1].into());
        let mut rates = Rates::default();
        let mut now = Instant::ZERO;
        let mut take = |now, peer: usize, n| rates.take(now, &config, &peers[peer], group(n));
        for _ in 0..2 {
            assert_eq!([0; 3].map(|peer| take(now, peer, 1)), [true, true, false], "a peer");
            assert_eq!([1, 2, 3].map(|peer| take(now, peer, 1)), [true, true, false], "a network");
            let others: usize = (4..20).filter(|n| take(now, *n, *n as u8)).count();
            assert_eq!(others, 6, "all");
            now = now + WINDOW;
        }
    }
}
