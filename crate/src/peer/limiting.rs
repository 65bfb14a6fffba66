//! What `swarm::gate`, `swarm::limits` and `swarm::meter` let the application say.

use crate::node::{Direction, Stats};
use crate::swarm::arrivals::Arrivals;
use crate::swarm::gate::{Subject, Verdict};
use crate::swarm::limits::Limits;
use crate::swarm::meter::{Of, Rates};
use crate::time::Instant;

use super::Peer;

impl Peer {
    /// Changes the filters; see [`Node::set_filter`](crate::node::Node::set_filter).
    pub fn set_filter(
        &mut self,
        now: Instant,
        subject: Subject,
        direction: Option<Direction>,
        verdict: Verdict,
    ) {
        self.node.set_filter(now, subject, direction, verdict);
        self.settle(now);
    }

    /// Changes the limits; see [`Node::set_limits`](crate::node::Node::set_limits).
    pub fn set_limits(&mut self, limits: Limits, arrivals: Arrivals) {
        self.node.set_limits(limits, arrivals);
    }

    /// Changes how fast bytes may come and go; see
    /// [`Node::set_bandwidth`](crate::node::Node::set_bandwidth).
    pub fn set_bandwidth(&mut self, of: Of, rates: Rates) {
        self.node.set_bandwidth(of, rates);
    }

    /// What the node does and holds; see [`Node::stats`](crate::node::Node::stats).
    pub fn stats(&self, now: Instant) -> Stats {
        self.node.stats(now)
    }

    /// Forgets a filter; see [`Node::remove_filter`](crate::node::Node::remove_filter).
    pub fn remove_filter(&mut self, now: Instant, subject: &Subject, direction: Option<Direction>) {
        self.node.remove_filter(now, subject, direction);
        self.settle(now);
    }
}
