//! What a relay allows, and how a client behaves.

use core::time::Duration;

use super::{Limit, RelayRates};
use crate::collections::Set;
use crate::identity::PeerId;

/// The relay protocols of a node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Whether a connection through a relay that limits it is followed by another
    /// one, dialed when four fifths of the limit are used and it is in use; yes by
    /// default.
    pub refresh: bool,
    /// Whether this node is a relay for others, and what it allows them; `None`
    /// by default, and without the feature `relay-service`.
    pub service: Option<ServiceConfig>,
    /// Milliseconds of Unix time when the node's clock was zero: reservations end
    /// by it. Hosts set it.
    pub unix_millis_at_zero: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { refresh: true, service: None, unix_millis_at_zero: 0 }
    }
}

/// What a relay allows. The defaults are those of go-libp2p.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServiceConfig {
    /// Peers that may have a reservation at a time; 128. One peer has one, which
    /// a new one replaces.
    pub max_reservations: usize,
    /// Of these, from one IP address (an IPv6 /56); 8.
    pub max_reservations_per_ip: usize,
    /// How long a reservation lasts if it is not renewed; 1 h.
    pub reservation_ttl: Duration,
    /// Circuits at a time; 1024.
    pub max_circuits: usize,
    /// Of these, from one peer or to one; 16.
    pub max_circuits_per_peer: usize,
    /// What each circuit may last and carry in each direction; 2 min, 128 KiB.
    pub limit: Limit,
    /// How fast bytes pass; without limit. They go together with the rates that the
    /// node as a whole keeps.
    pub rates: RelayRates,
    /// Who is served; empty, the default, for everybody.
    pub allow: Set<PeerId>,
    /// Who is not served, and to whom no circuit leads.
    pub deny: Set<PeerId>,
    /// Circuits from these peers and to them have no `limit`.
    pub trusted: Set<PeerId>,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            max_reservations: 128,
            max_reservations_per_ip: 8,
            reservation_ttl: Duration::from_secs(3600),
            max_circuits: 1024,
            max_circuits_per_peer: 16,
            limit: Limit { duration: Some(Duration::from_secs(120)), data: Some(128 * 1024) },
            rates: RelayRates::default(),
            allow: Set::new(),
            deny: Set::new(),
            trusted: Set::new(),
        }
    }
}
