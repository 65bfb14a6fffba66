//! How fast bytes pass a relay.

use std::sync::Arc;

use crate::collections::LongMap;
use crate::identity::PeerId;
use crate::swarm::bucket::Bucket;
use crate::time::Instant;

/// Bytes a second through a relay at most, both ways together; `None`, the default,
/// is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayRates {
    /// Through one circuit.
    pub circuit: Option<u64>,
    /// Through all circuits from a peer or to one.
    pub peer: Option<u64>,
    /// Through all circuits from an IP address (an IPv6 /56) or to one.
    pub ip: Option<u64>,
    /// Through all circuits together.
    pub total: Option<u64>,
}

/// What addresses are counted by: an IPv4 address or an IPv6 /56.
pub(super) type Prefix = [u8; 8];

/// The buckets that circuits share. Those of peers and addresses live as long as
/// there are circuits of theirs.
#[derive(Default)]
pub(super) struct Paces {
    rates: RelayRates,
    circuits: Vec<Arc<Bucket>>,
    peers: LongMap<PeerId, Arc<Bucket>>,
    prefixes: LongMap<Prefix, Arc<Bucket>>,
    total: Arc<Bucket>,
}

/// The buckets that the bytes of one circuit are charged to. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Pace(Vec<Arc<Bucket>>);

impl Pace {
    /// `bytes` have passed: when the next may, if not at once.
    pub fn passed(&self, now: Instant, bytes: usize) -> Option<Instant> {
        self.0.iter().filter_map(|bucket| bucket.charge(now, bytes)).max()
    }

    /// How many bytes may pass before they are told of.
    pub fn slice(&self) -> usize {
        self.0.iter().map(|bucket| bucket.slice()).min().unwrap_or(usize::MAX)
    }
}

impl Paces {
    /// Sets the rates, of circuits that there are too.
    pub(super) fn set(&mut self, rates: RelayRates) {
        self.rates = rates;
        self.tidy();
        self.circuits.iter().for_each(|bucket| bucket.set_rate(rates.circuit));
        self.peers.values().for_each(|bucket| bucket.set_rate(rates.peer));
        self.prefixes.values().for_each(|bucket| bucket.set_rate(rates.ip));
        self.total.set_rate(rates.total);
    }

    /// The pace of a circuit between two peers, at these addresses.
    pub(super) fn circuit(&mut self, ends: [(PeerId, Option<Prefix>); 2]) -> Pace {
        self.tidy();
        let RelayRates { circuit, peer: of_peer, ip, .. } = self.rates;
        let own = limited(circuit);
        self.circuits.push(own.clone());
        let mut all = vec![own, self.total.clone()];
        for (index, (peer, prefix)) in ends.into_iter().enumerate() {
            all.push(self.peers.entry(peer).or_insert_with(|| limited(of_peer)).clone());
            // Two behind one address pay for it once.
            if let Some(prefix) = prefix.filter(|_| index == 0 || ends[0].1 != ends[1].1) {
                all.push(self.prefixes.entry(prefix).or_insert_with(|| limited(ip)).clone());
            }
        }
        Pace(all)
    }

    /// Forgets those whose circuits are over.
    fn tidy(&mut self) {
        let used = |bucket: &Arc<Bucket>| Arc::strong_count(bucket) > 1;
        self.circuits.retain(used);
        self.peers.retain(|_, bucket| used(bucket));
        self.prefixes.retain(|_, bucket| used(bucket));
    }
}

fn limited(rate: Option<u64>) -> Arc<Bucket> {
    let bucket = Bucket::default();
    bucket.set_rate(rate);
    Arc::new(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keypair, Rng};

    fn peer(number: u64) -> PeerId {
        Keypair::generate_ed25519(&mut Rng::from_number(number)).peer_id()
    }

    #[test]
    fn circuits_share_what_they_have_in_common_and_rates_change_at_once() {
        let now = Instant::ZERO;
        let rate = |rate| Some(rate).filter(|rate| *rate > 0);
        for (circuit, of_peer, ip, total, shares) in [
            (1000, 0, 0, 0, [true, false, false, false]),
            (0, 1000, 0, 0, [true, true, false, false]),
            (0, 0, 1000, 0, [true, true, true, false]),
            (0, 0, 0, 1000, [true, true, true, true]),
        ] {
            let mut paces = Paces::default();
            paces.set(RelayRates {
                circuit: rate(circuit),
                peer: rate(of_peer),
                ip: rate(ip),
                total: rate(total),
            });
            let ends = |a, from, b, to| [(peer(a), Some([from; 8])), (peer(b), Some([to; 8]))];
            let first = paces.circuit(ends(1, 1, 2, 2));
            let same_peer = paces.circuit(ends(1, 1, 3, 3));
            let same_address = paces.circuit(ends(4, 1, 5, 5));
            let other = paces.circuit(ends(6, 6, 7, 7));
            first.passed(now, 5000);
            let waits = [&first, &same_peer, &same_address, &other]
                .map(|pace| pace.passed(now, 0).is_some());
            assert_eq!(waits, shares);
            paces.set(RelayRates::default());
            assert_eq!(first.passed(now, usize::MAX), None);
        }
    }

    #[test]
    fn nothing_is_kept_of_circuits_that_are_over() {
        let mut paces = Paces::default();
        for number in 0..100 {
            paces.circuit([(peer(number), Some([1; 8])), (peer(200), None)]);
        }
        paces.set(RelayRates::default());
        assert_eq!((paces.circuits.len(), paces.peers.len(), paces.prefixes.len()), (0, 0, 0));
    }
}
