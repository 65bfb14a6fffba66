//! Several connections to one peer: which carries new streams, and which go.
//!
//! Both ends reckon alike, from what both know: a direct connection before one
//! through a relay, of these one that its relay will not cut soon, then one that the
//! peer with the smaller PeerId dialed. What
//! only one end can order, two that the same peer dialed, that peer orders.
//! Nobody drains a connection before the better one has brought news, which
//! shows that the other end has it too.

/// A connection, as far as the choice goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// Through a relay.
    pub(crate) relayed: bool,
    /// Its relay will cut it soon.
    #[cfg(feature = "relay")]
    pub(crate) spent: bool,
    /// We dialed.
    pub(crate) ours: bool,
    /// Grows with each connection that is established here.
    pub(crate) order: u64,
}

impl Path {
    /// Better is smaller; `first` if our PeerId is smaller than the remote's.
    pub(crate) fn rank(self, first: bool) -> impl Ord {
        #[cfg(feature = "relay")]
        let relayed = (self.relayed, self.spent);
        #[cfg(not(feature = "relay"))]
        let relayed = self.relayed;
        (relayed, self.ours != first, self.order)
    }

    /// Whether this connection goes when `best` is there, as far as we decide it.
    pub(crate) fn yields_to(self, best: Self) -> bool {
        self.ours || best.ours || self.relayed != best.relayed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_keep_the_same_one() {
        // Each connection as both ends see it: (relayed, dialed by the first peer).
        let kinds = [(false, true), (false, false), (true, true), (true, false)];
        for (a, b) in kinds.iter().flat_map(|a| kinds.iter().map(move |b| (*a, *b))) {
            if a == b {
                continue;
            }
            let best = |first: bool, orders: [u64; 2]| {
                let path = |(relayed, dialed): (bool, bool), order| Path {
                    relayed,
                    #[cfg(feature = "relay")]
                    spent: false,
                    ours: dialed == first,
                    order,
                };
                let (x, y) = (path(a, orders[0]), path(b, orders[1]));
                let x_wins = x.rank(first) < y.rank(first);
                let (best, other) = if x_wins { (x, y) } else { (y, x) };
                (x_wins, other.yields_to(best))
            };
            let views: Vec<_> = [(true, [1, 2]), (true, [2, 1]), (false, [1, 2]), (false, [2, 1])]
                .map(|(first, orders)| best(first, orders))
                .to_vec();
            assert!(views.iter().all(|(x_wins, _)| *x_wins == views[0].0), "{a:?} {b:?}");
            assert!(views.iter().all(|(_, yields)| *yields), "{a:?} {b:?}");
        }
    }

    #[test]
    fn of_two_that_one_peer_dialed_that_peer_keeps_the_first() {
        let dialed = |ours, order| Path {
            relayed: false,
            #[cfg(feature = "relay")]
            spent: false,
            ours,
            order,
        };
        let [old, new] = [1, 2].map(|order| dialed(true, order));
        assert!(old.rank(true) < new.rank(true));
        assert!(new.yields_to(old));
        let [old, new] = [1, 2].map(|order| dialed(false, order));
        assert!(!new.yields_to(old) && !old.yields_to(new), "the remote decides");
    }
}
