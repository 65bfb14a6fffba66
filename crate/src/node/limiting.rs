//! The node's side of `swarm::limits`, `swarm::arrivals` and `swarm::gate`: who
//! is let in and dialed, and what each connection costs before there is one.

use std::sync::Arc;

use crate::address::Multiaddr;
use crate::connection;
use crate::identity::PeerId;
use crate::swarm::arrivals::{Arrival, Arrivals, Gatekeeper, TooMany};
use crate::swarm::gate::{Filters, Subject, Verdict, ip};
use crate::swarm::limits::{ConnectionScope, Limits, Resources};
use crate::swarm::meter::{Of, Rates};
use crate::time::Instant;

use super::{AttemptError, Config, ConnectionId, Direction, Node, Output, Refused, RefusedCounts};

pub(super) struct Limiting {
    pub(super) resources: Arc<Resources>,
    keeper: Gatekeeper,
    filters: Arc<Filters>,
    pub(super) refused: RefusedCounts,
}

/// What a link holds until it is forgotten.
pub(super) struct Held {
    scope: Arc<ConnectionScope>,
    arrival: Option<Arrival>,
}

impl Limiting {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            resources: Resources::new(config.limits.clone(), config.bandwidth.clone()),
            keeper: Gatekeeper::new(config.arrivals.clone(), config.max_unauthenticated),
            filters: Arc::new(config.filters.clone()),
            refused: RefusedCounts::default(),
        }
    }

    /// We are about to open a transport.
    pub(super) fn dial(&mut self, address: &Multiaddr) -> Result<Held, AttemptError> {
        if !self.filters.allows_address(address, Direction::Outbound) {
            return Err(AttemptError::Denied);
        }
        Ok(Held { scope: self.resources.connection(Direction::Outbound)?, arrival: None })
    }

    /// The remote of a connection has proved who it is; whether it may stay.
    pub(super) fn proved(&mut self, peer: &PeerId, direction: Direction) -> bool {
        let allowed = self.filters.allows(peer, direction);
        if !allowed && direction == Direction::Inbound {
            self.refused.count(Refused::Denied);
        }
        allowed
    }

    /// Whether a peer may be spoken with.
    pub(super) fn allows(&self, peer: &PeerId, direction: Direction) -> bool {
        self.filters.allows(peer, direction)
    }
}

impl Held {
    pub(super) fn scope(&self) -> Arc<ConnectionScope> {
        self.scope.clone()
    }

    /// The remote has proved who it is.
    pub(super) fn proved(&self) {
        if let Some(arrival) = &self.arrival {
            arrival.proved();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.scope.ended();
    }
}

impl Node {
    /// What the filters say.
    pub fn filters(&self) -> &Arc<Filters> {
        &self.limiting.filters
    }

    /// Changes the filters; connections that they deny from now on are closed.
    pub fn set_filter(
        &mut self,
        now: Instant,
        subject: Subject,
        direction: Option<Direction>,
        verdict: Verdict,
    ) {
        Arc::make_mut(&mut self.limiting.filters).set(subject, direction, verdict);
        self.close_denied(now);
    }

    /// Forgets what the filters say of `subject`; connections that are denied
    /// without it are closed.
    pub fn remove_filter(&mut self, now: Instant, subject: &Subject, direction: Option<Direction>) {
        Arc::make_mut(&mut self.limiting.filters).remove(subject, direction);
        self.close_denied(now);
    }

    /// Changes the limits, for connections from now on; those that are there stay
    /// booked as they were.
    pub fn set_limits(&mut self, limits: Limits, arrivals: Arrivals) {
        let max_handshakes = self.config.max_unauthenticated;
        self.limiting.keeper = Gatekeeper::new(arrivals, max_handshakes);
        self.limiting.resources = self.limiting.resources.with(limits);
    }

    /// Changes how fast bytes may come and go, from now on.
    pub fn set_bandwidth(&mut self, of: Of, rates: Rates) {
        self.limiting.resources.set_bandwidth(of, rates);
    }

    fn close_denied(&mut self, now: Instant) {
        let filters = &self.limiting.filters;
        let denied = self.links.iter().filter(|(_, link)| {
            !filters.allows_address(&link.remote, link.direction)
                || link.peer.is_some_and(|peer| !filters.allows(&peer, link.direction))
        });
        let denied: Vec<ConnectionId> = denied.map(|(id, _)| *id).collect();
        for id in denied {
            self.end_link(now, id, connection::Error::Denied);
        }
    }

    /// Ends a connection at once: its remote is owed no goodbye.
    fn end_link(&mut self, now: Instant, id: ConnectionId, error: connection::Error) {
        self.outputs.push_back(Output::Drop(id));
        self.link_ended(now, id, error.into());
    }

    /// A remote opened a transport to us, which is to be connection `id`.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        id: ConnectionId,
        remote: &Multiaddr,
    ) -> Result<Held, Refused> {
        let held = self.try_admit(now, id, remote);
        held.inspect_err(|refused| self.limiting.refused.count(*refused))
    }

    fn try_admit(
        &mut self,
        now: Instant,
        id: ConnectionId,
        remote: &Multiaddr,
    ) -> Result<Held, Refused> {
        let verdict = self.limiting.filters.address(remote, Direction::Inbound);
        if verdict == Some(Verdict::Deny) {
            return Err(Refused::Denied);
        }
        if self.links.len() >= self.config.max_connections {
            return Err(Refused::Full);
        }
        let allowed = verdict == Some(Verdict::Allow);
        // Behind a relay's address there are many: the relay limits them.
        let from = ip(remote).filter(|_| !remote.is_circuit());
        let admitted = self.limiting.keeper.admit(now, id.0, from, allowed);
        let (arrival, displaced) = admitted.map_err(|too_many| match too_many {
            TooMany::Connections => Refused::AddressFull,
            TooMany::Rate => Refused::TooFast,
            TooMany::Handshakes => Refused::TooManyHandshakes,
        })?;
        if let Some(displaced) = displaced {
            self.limiting.refused.count(Refused::TooManyHandshakes);
            self.end_link(now, ConnectionId(displaced), connection::Error::Displaced);
        }
        let scope = self.limiting.resources.connection(Direction::Inbound)?;
        Ok(Held { scope, arrival: Some(arrival) })
    }

    /// The transport of a dial is open, at the address that its names led to;
    /// whether that may be spoken with.
    #[cfg(feature = "async")]
    pub(crate) fn allows_remote(&self, remote: &Multiaddr) -> bool {
        self.limiting.filters.allows_address(remote, Direction::Outbound)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::identity::Keypair;
    use crate::node::{Event, Output};
    use crate::rng::Rng;
    use crate::swarm::limits::{LimitReached, Resource, ScopeKind};

    fn node(change: impl FnOnce(&mut Config)) -> Node {
        let mut rng = Rng::from_number(1);
        let mut config = Config::new(Keypair::generate_ed25519(&mut rng));
        change(&mut config);
        Node::new(config, rng)
    }

    fn accept(node: &mut Node, ip: &str) -> Result<ConnectionId, Refused> {
        let remote = format!("{ip}/tcp/4001").parse().unwrap();
        node.accepted(Instant::ZERO, remote).map(|(id, _)| id)
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let mut denying = node(|config| {
            config.filters.set("/ip4/192.0.2.0/ipcidr/24".parse().unwrap(), None, Verdict::Deny);
        });
        assert_eq!(accept(&mut denying, "/ip4/192.0.2.1"), Err(Refused::Denied));
        assert!(accept(&mut denying, "/ip4/198.51.100.1").is_ok());

        let mut crowded = node(|config| config.arrivals.address.connections = 0);
        assert_eq!(accept(&mut crowded, "/ip4/192.0.2.1"), Err(Refused::AddressFull));

        let mut slow = node(|config| config.arrivals.address.burst = 2);
        for _ in 0..2 {
            assert!(accept(&mut slow, "/ip4/192.0.2.1").is_ok());
        }
        assert_eq!(accept(&mut slow, "/ip4/192.0.2.1"), Err(Refused::TooFast));

        let mut full = node(|config| config.limits.system.connections = 1);
        assert!(accept(&mut full, "/ip4/192.0.2.1").is_ok());
        let limit = LimitReached { scope: ScopeKind::System, resource: Resource::Connections };
        assert_eq!(accept(&mut full, "/ip4/192.0.2.2"), Err(Refused::Limit(limit)));

        let mut none = node(|config| config.max_unauthenticated = 0);
        assert_eq!(accept(&mut none, "/ip4/192.0.2.1"), Err(Refused::TooManyHandshakes));
    }

    #[test]
    fn a_newcomer_displaces_the_oldest_handshake_and_the_host_is_told() {
        let mut node = node(|config| config.max_unauthenticated = 3);
        let ids: Vec<_> =
            (1..=4).map(|n| accept(&mut node, &format!("/ip4/192.0.2.{n}")).unwrap()).collect();
        assert_eq!(node.connection_count(), 3);
        assert!(matches!(node.poll_output(), Some(Output::Drop(id)) if id == ids[0]));
        let told = matches!(
            node.poll_output(),
            Some(Output::Event(Event::InboundFailed { error: connection::Error::Displaced, .. }))
        );
        assert!(told);
        assert!(node.poll_output().is_none());
    }

    #[test]
    fn a_handshake_that_takes_ten_seconds_is_over() {
        let mut node = node(|_| {});
        let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let (_, mut connection) = node.accepted(Instant::ZERO, remote).unwrap();
        let at = connection.poll_timeout().unwrap();
        assert_eq!(at - Instant::ZERO, Duration::from_secs(10));
        connection.handle_timeout(at);
        assert!(connection.is_finished());
    }

    #[test]
    fn denied_addresses_and_peers_are_not_dialed() {
        let mut node = node(|_| {});
        let now = Instant::ZERO;
        let peer = PeerId::random(&mut Rng::from_number(9));
        node.set_filter(now, "/ip4/10.0.0.0/ipcidr/8".parse().unwrap(), None, Verdict::Deny);
        let addresses = ["/ip4/10.0.0.1/tcp/1", "/ip4/192.0.2.1/tcp/1"];
        node.dial(now, Some(peer), addresses.map(|text| text.parse().unwrap()).into());
        let dialed = std::iter::from_fn(|| node.poll_output()).filter_map(|output| match output {
            Output::Dial { address, .. } => Some(address.to_string()),
            _ => None,
        });
        assert_eq!(dialed.collect::<Vec<_>>(), [addresses[1]]);

        // Denied while it is dialed, and from then on.
        node.set_filter(now, peer.into(), Some(Direction::Outbound), Verdict::Deny);
        node.dial(now, Some(peer), vec![addresses[1].parse().unwrap()]);
        let failed = std::iter::from_fn(|| node.poll_output()).any(|output| {
            use crate::node::DialError;
            matches!(output, Output::Event(Event::DialFailed { error: DialError::Denied, .. }))
        });
        assert!(failed);
        node.remove_filter(now, &peer.into(), None);
        node.dial(now, Some(peer), vec![addresses[1].parse().unwrap()]);
    }
}
