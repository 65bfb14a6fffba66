//! Figures of a node, for people and for monitoring.

use core::fmt;

use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::swarm::limits::{Resource, ScopeKind};
use crate::swarm::meter::Traffic;
use crate::time::Instant;

use super::{Direction, Node, Refused};

/// What a node does and holds at one moment. Plain data; [`Display`](fmt::Display)
/// prints it as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Its connections.
    pub connections: Connections,
    /// Peers with an established connection.
    pub peers: usize,
    /// Streams that remotes opened.
    pub streams_in: usize,
    /// Streams that we opened.
    pub streams_out: usize,
    /// Bytes of memory booked.
    pub memory: usize,
    /// What all transports carry.
    pub traffic: Traffic,
    /// Inbound connections refused since the start, by reason.
    pub refused: RefusedCounts,
    /// The streams of each protocol, and their data.
    pub protocols: Vec<ProtocolStats>,
    /// Every limit.
    pub scopes: Vec<ScopeUse>,
}

/// Connections by direction and state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Established, opened by the remote.
    pub inbound: usize,
    /// Established, opened by us.
    pub outbound: usize,
    /// Inbound ones whose remote is not known yet.
    pub handshaking: usize,
    /// Attempts of ours.
    pub dialing: usize,
}

/// Inbound connections that were refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedCounts {
    /// [`Refused::Full`] and [`Refused::Limit`].
    pub full: u64,
    /// [`Refused::TooManyHandshakes`], and those whose handshake was given up for
    /// others.
    pub handshakes: u64,
    /// [`Refused::Denied`], and those denied once their peer was known.
    pub denied: u64,
    /// [`Refused::AddressFull`].
    pub address_full: u64,
    /// [`Refused::TooFast`].
    pub too_fast: u64,
}

impl RefusedCounts {
    pub(super) fn count(&mut self, refused: Refused) {
        let count = match refused {
            Refused::Full | Refused::Limit(_) => &mut self.full,
            Refused::TooManyHandshakes => &mut self.handshakes,
            Refused::Denied => &mut self.denied,
            Refused::AddressFull => &mut self.address_full,
            Refused::TooFast => &mut self.too_fast,
        };
        *count = count.saturating_add(1);
    }
}

/// The streams of one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolStats {
    /// Its name; empty for all that came after the first
    /// [`MAX_PROTOCOLS`](crate::swarm::limits::MAX_PROTOCOLS).
    pub name: Name,
    /// Streams that remotes opened.
    pub streams_in: usize,
    /// Streams that we opened.
    pub streams_out: usize,
    /// The data of all its streams so far.
    pub traffic: Traffic,
}

/// The connections of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStats {
    /// Who it is.
    pub peer: PeerId,
    /// Its connections.
    pub connections: usize,
    /// Its streams.
    pub streams: usize,
    /// Bytes of memory that it has us hold.
    pub memory: usize,
    /// What its connections carry.
    pub traffic: Traffic,
}

/// One limit: what is in use of it, and how often it was in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeUse {
    /// Whose limit.
    pub scope: ScopeKind,
    /// On what.
    pub resource: Resource,
    /// In use now; of scopes that there are several of, in the one that uses the
    /// most. Windows of single streams are not counted here.
    pub used: usize,
    /// The limit.
    pub limit: usize,
    /// How often something was refused for it.
    pub refused: u64,
}

impl Node {
    /// What the node does and holds.
    pub fn stats(&self, now: Instant) -> Stats {
        let resources = &self.limiting.resources;
        let mut connections = Connections::default();
        for link in self.links.values() {
            let count = match (link.direction, link.peer) {
                (Direction::Inbound, Some(_)) => &mut connections.inbound,
                (Direction::Outbound, Some(_)) => &mut connections.outbound,
                (Direction::Inbound, None) => &mut connections.handshaking,
                (Direction::Outbound, None) => &mut connections.dialing,
            };
            *count += 1;
        }
        let protocols = resources.protocols().into_iter().map(|(name, protocol)| ProtocolStats {
            name,
            streams_in: protocol.scope.used(Resource::StreamsIn),
            streams_out: protocol.scope.used(Resource::StreamsOut),
            traffic: protocol.meter.traffic(now),
        });
        Stats {
            connections,
            peers: self.peers.len(),
            streams_in: resources.system.used(Resource::StreamsIn),
            streams_out: resources.system.used(Resource::StreamsOut),
            memory: resources.system.used(Resource::Memory),
            traffic: resources.meter.traffic(now),
            refused: self.limiting.refused,
            protocols: protocols.collect(),
            scopes: self.scopes(),
        }
    }

    /// What each connected peer uses.
    pub fn peer_stats(&self, now: Instant) -> Vec<PeerStats> {
        let peers = self.limiting.resources.peers();
        let stats = peers.iter().map(|peer| PeerStats {
            peer: peer.peer,
            connections: peer.scope.used(Resource::Connections),
            streams: peer.scope.used(Resource::Streams),
            memory: peer.scope.used(Resource::Memory),
            traffic: peer.meter.traffic(now),
        });
        stats.collect()
    }

    /// What a connection's transport carries.
    pub fn traffic(&self, now: Instant, connection: super::ConnectionId) -> Option<Traffic> {
        Some(self.links.get(&connection)?.held.scope().meter.traffic(now))
    }

    fn scopes(&self) -> Vec<ScopeUse> {
        let resources = &self.limiting.resources;
        let mut all = Vec::new();
        for scope in ScopeKind::ALL {
            for resource in Resource::ALL {
                let limit = resources.limits.of(scope).of(resource);
                if limit < usize::MAX {
                    let used = match scope {
                        ScopeKind::Connection => {
                            let links = self.links.values();
                            links.map(|link| link.held.scope().used(resource)).max().unwrap_or(0)
                        }
                        _ => resources.used(scope, resource),
                    };
                    let refused = resources.refusals.of(scope, resource);
                    all.push(ScopeUse { scope, resource, used, limit, refused });
                }
            }
        }
        all
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Connections { inbound, outbound, handshaking, dialing } = self.connections;
        writeln!(
            f,
            "connections  {inbound} in, {outbound} out, {handshaking} handshaking, \
             {dialing} dialing; {} peers",
            self.peers
        )?;
        writeln!(
            f,
            "streams      {} in, {} out; {} held",
            self.streams_in,
            self.streams_out,
            Bytes(self.memory as u64)
        )?;
        let RefusedCounts { full, handshakes, denied, address_full, too_fast } = self.refused;
        writeln!(
            f,
            "refused      {full} for limits, {handshakes} in handshakes, {denied} denied, \
             {address_full} by address, {too_fast} too fast"
        )?;
        writeln!(f, "traffic      {}", self.traffic)?;
        for protocol in &self.protocols {
            let ProtocolStats { name, streams_in, streams_out, traffic } = protocol;
            let name = if name.is_empty() { "(others)" } else { name };
            writeln!(f, "  {name:32} {streams_in} in, {streams_out} out; {traffic}")?;
        }
        write!(f, "limits       {:44} {:>12} {:>12} {:>10}", "", "used", "limit", "refused")?;
        for ScopeUse { scope, resource, used, limit, refused } in &self.scopes {
            let name = format!("{scope}: {resource}");
            write!(f, "\n  {name:55} {used:>12} {limit:>12} {refused:>10}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [bytes_in, bytes_out] = [self.bytes_in, self.bytes_out].map(Bytes);
        let [rate_in, rate_out] = [self.rate_in, self.rate_out].map(Bytes);
        write!(f, "{bytes_in} in ({rate_in}/s), {bytes_out} out ({rate_out}/s)")
    }
}

/// An amount as people read it.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < units.len() {
            value /= 1024.0;
            unit += 1;
        }
        let digits = usize::from(unit > 0);
        write!(f, "{value:.digits$} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Keypair;
    use crate::node::Config;
    use crate::rng::Rng;

    #[test]
    fn figures_are_printed_as_people_read_them() {
        let mut rng = Rng::from_number(1);
        let mut node = Node::new(Config::new(Keypair::generate_ed25519(&mut rng)), rng);
        let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let accepted = node.accepted(Instant::ZERO, remote).unwrap();
        let stats = node.stats(Instant::ZERO);
        let expected = Connections { handshaking: 1, ..Connections::default() };
        assert_eq!(stats.connections, expected);
        let text = stats.to_string();
        assert!(text.starts_with("connections  0 in, 0 out, 1 handshaking"), "{text}");
        assert!(text.contains("8.0 KiB held"), "{text}");
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
        let words = line("system: inbound connections");
        assert!(words.split_whitespace().skip(3).eq(["1", "4096", "0"]), "{words}");
        drop(accepted);
        assert_eq!(Bytes(1023).to_string(), "1023 B");
        assert_eq!(Bytes(5 << 40).to_string(), "5.0 TiB");
        assert_eq!(Bytes(u64::MAX).to_string(), "16777216.0 TiB");
    }
}
