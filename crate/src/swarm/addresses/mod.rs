//! Where we can be reached: addresses that the host listens on, that gateways map
//! to these, that remotes see, that the application names; and which of them are
//! announced.
//!
//! An address that remotes see is believed once [`Config::observers`] of them, each
//! from another network, say the same, and only if it is that of a transport that
//! we listen on. `AutoNAT` then finds out whether it can be dialed: until it has, it
//! is announced as a candidate, and no more once it turned out that it cannot. Of a
//! connection that was dialed from a port of its own only the IP address counts: with
//! the port that we listen on it is a guess, announced once `AutoNAT` has found that it
//! can be dialed.
//!
//! What remotes can make grow: [`MAX_VOICES`] of them are heard, and
//! [`MAX_EXTERNAL`] addresses believed for each of ours.

mod observed;
mod waist;

use core::net::SocketAddr;

use crate::address::{Multiaddr, Protocol};
use crate::collections::Map;
use crate::node::{ConnectionId, Direction};
use crate::swarm::gate::{Filters, Subject, Verdict};
use crate::time::Instant;

pub use observed::{MAX_EXTERNAL, MAX_VOICES, TTL};
pub(crate) use waist::Group;
pub use waist::{Transport, Waist, is_public};

use observed::Observed;

/// Which addresses are announced to others. The words are those of go-libp2p and
/// js-libp2p.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Announce these in place of all that the node knows of itself, places at
    /// relays included; empty for those.
    pub announce: Vec<Multiaddr>,
    /// Announce these too.
    pub append_announce: Vec<Multiaddr>,
    /// Never announce these, unless they stand in one of the lists above: addresses
    /// that begin so, or networks such as `/ip4/10.0.0.0/ipcidr/8`.
    pub no_announce: Vec<Subject>,
    /// How many remotes, each from another network, must see the same address before
    /// it is believed; 4, as in go-libp2p.
    pub observers: usize,
    /// Whether private addresses count as public ones do: they are believed, and
    /// tried for others. For tests and closed networks; off.
    pub private: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            announce: Vec::new(),
            append_announce: Vec::new(),
            no_announce: Vec::new(),
            observers: 4,
            private: false,
        }
    }
}

/// How we know of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The host listens on it.
    Listening,
    /// A gateway maps it to one that the host listens on.
    Mapped,
    /// Several remotes see us there.
    Observed,
    /// Several remotes see us at this IP address, and we listen on this port: announced
    /// only once it was dialed.
    Inferred,
    /// A relay keeps a place for us there.
    Relayed,
    /// The application says so.
    Configured,
}

/// Whether remotes can dial an address, or the node at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reachability {
    /// Too few remotes have tried.
    #[default]
    Unknown,
    /// They can.
    Public,
    /// They cannot.
    Private,
}

/// An address of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    /// The address, without our PeerId.
    pub address: Multiaddr,
    /// How we know of it.
    pub source: Source,
    /// Whether it can be dialed, as far as was tried.
    pub reachability: Reachability,
    /// Whether others are told of it.
    pub announced: bool,
}

/// The addresses of a node.
pub(crate) struct Addresses {
    config: Config,
    silenced: Filters,
    listening: Vec<Multiaddr>,
    mapped: Map<(Transport, u16), SocketAddr>,
    observed: Observed,
    verdicts: Map<Multiaddr, Reachability>,
}

impl Addresses {
    pub(crate) fn new(config: Config) -> Self {
        let mut silenced = Filters::default();
        for subject in &config.no_announce {
            silenced.set(subject.clone(), None, Verdict::Deny);
        }
        Self {
            config,
            silenced,
            listening: Vec::new(),
            mapped: Map::new(),
            observed: Observed::default(),
            verdicts: Map::new(),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Changes what is announced; what is known stays.
    pub(crate) fn configure(&mut self, config: Config) {
        let new = Self::new(config);
        (self.config, self.silenced) = (new.config, new.silenced);
    }

    pub(crate) fn listening(&mut self, address: Multiaddr) {
        if !self.listening.contains(&address) {
            self.listening.push(address);
        }
    }

    pub(crate) fn unlistened(&mut self, address: &Multiaddr) {
        self.listening.retain(|known| known != address);
        let left: Vec<Waist> = self.listening.iter().filter_map(Waist::of).collect();
        self.observed
            .keep_only(|local| left.iter().any(|one| one == local || one.any_port() == *local));
    }

    pub(crate) fn is_listening(&self, address: &Multiaddr) -> bool {
        self.listening.contains(address)
    }

    /// A gateway sends on to `port` what comes to `external`, or no more.
    pub(crate) fn mapped(&mut self, of: (Transport, u16), external: Option<SocketAddr>) {
        match external {
            Some(external) => self.mapped.insert(of, external),
            None => self.mapped.remove(&of),
        };
    }

    /// The remote of a connection says where it sees us.
    pub(crate) fn observed(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        (local, remote): (Waist, Waist),
        external: Waist,
    ) {
        let ours = || self.listening.iter().filter_map(Waist::of);
        let listens = |waist: &Waist| ours().any(|one| one == *waist);
        let same_kind = external.transport == local.transport
            && external.socket.is_ipv4() == local.socket.is_ipv4();
        let counts =
            external.is_public() || self.config.private && !external.socket.ip().is_loopback();
        let (place, seen) = (local.any_port(), external.any_port());
        let group = Group::of(remote.socket.ip());
        // Where it is no other than ours there is nothing to learn.
        if same_kind && counts && listens(&local) && !listens(&external) {
            self.observed.hear(now, connection, (local, group), external);
        } else if same_kind
            && counts
            && !listens(&local)
            && place != seen
            && ours().any(|one| one.any_port() == place)
        {
            self.observed.hear(now, connection, (place, group), seen);
        } else {
            self.observed.ended(now, connection);
        }
    }

    pub(crate) fn disconnected(&mut self, now: Instant, connection: ConnectionId) {
        self.observed.ended(now, connection);
    }

    /// What came of dials to one of our addresses.
    #[cfg(feature = "autonat")]
    pub(crate) fn judge(&mut self, address: &Multiaddr, reachability: Reachability) {
        match reachability {
            Reachability::Unknown => self.verdicts.remove(address),
            _ => self.verdicts.insert(address.clone(), reachability),
        };
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.observed.poll_timeout()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.observed.handle_timeout(now);
    }

    /// All addresses, those at relays given.
    pub(crate) fn list<'a>(&self, relayed: impl Iterator<Item = &'a Multiaddr>) -> Vec<OwnAddress> {
        let mut list: Vec<OwnAddress> = Vec::new();
        let replaced = !self.config.announce.is_empty();
        let mut add = |address: Multiaddr, source: Source| {
            if list.iter().any(|known| known.address == address) {
                return;
            }
            let reachability = self.verdicts.get(&address).copied().unwrap_or_default();
            let believed = match source {
                Source::Inferred => reachability == Reachability::Public,
                _ => reachability != Reachability::Private,
            };
            let announced = source == Source::Configured
                || !replaced
                    && believed
                    && self.silenced.allows_address(&address, Direction::Outbound);
            list.push(OwnAddress { address, source, reachability, announced });
        };
        for address in self.config.announce.iter().chain(&self.config.append_announce) {
            add(address.clone(), Source::Configured);
        }
        for address in &self.listening {
            add(address.clone(), Source::Listening);
        }
        for address in self.listening.iter().filter(|address| may_move(address)) {
            let Some((local, rest)) = Waist::split(address) else { continue };
            let mapped = self.mapped.get(&(local.transport, local.socket.port()));
            if let Some(socket) = mapped.filter(|_| is_mappable(local, self.config.private)) {
                add(Waist { socket: *socket, ..local }.address(&rest), Source::Mapped);
            }
        }
        let believed = self.observed.believed(self.config.observers);
        for source in [Source::Observed, Source::Inferred] {
            for (local, external) in &believed {
                for address in self.listening.iter().filter(|address| may_move(address)) {
                    let Some((mut waist, rest)) = Waist::split(address) else { continue };
                    if source == Source::Observed && waist == *local {
                        add(external.address(&rest), source);
                    } else if source == Source::Inferred && waist.any_port() == *local {
                        waist.socket.set_ip(external.socket.ip());
                        add(waist.address(&rest), source);
                    }
                }
            }
        }
        for address in relayed {
            add(address.clone(), Source::Relayed);
        }
        list
    }
}

/// Whether an address still leads here under another IP address: what TLS secures
/// is bound to its name.
fn may_move(address: &Multiaddr) -> bool {
    !address.iter().any(|part| matches!(part, Protocol::Tls | Protocol::Wss))
}

/// Whether a gateway in between can stand before an address: that of one's own
/// machine, and IPv6, it cannot.
fn is_mappable(local: Waist, private: bool) -> bool {
    local.socket.is_ipv4() && !local.is_public() && (private || !local.socket.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn waist(text: &str) -> Waist {
        Waist::of(&address(text)).unwrap()
    }

    fn with(change: impl FnOnce(&mut Config)) -> Addresses {
        let mut config = Config::default();
        change(&mut config);
        let mut addresses = Addresses::new(config);
        for text in [
            "/ip4/127.0.0.1/tcp/4001",
            "/ip4/192.168.1.2/tcp/4001",
            "/ip4/192.168.1.2/tcp/4002/ws",
            "/ip4/192.168.1.2/tcp/4003/tls/ws",
        ] {
            addresses.listening(address(text));
        }
        addresses
    }

    fn see(
        addresses: &mut Addresses,
        local: &str,
        external: &str,
        observers: std::ops::Range<u64>,
    ) {
        for number in observers {
            let remote = waist(&format!("/ip4/20.0.{number}.1/tcp/4001"));
            let id = ConnectionId(number);
            addresses.observed(Instant::ZERO, id, (waist(local), remote), waist(external));
        }
    }

    fn of(addresses: &Addresses, source: Source) -> Vec<String> {
        let list = addresses.list(core::iter::empty());
        let of = list.iter().filter(|own| own.source == source && own.announced);
        of.map(|own| own.address.to_string()).collect()
    }

    #[test]
    fn what_several_see_is_announced_with_the_rest_of_the_transport() {
        let mut addresses = with(|_| {});
        see(&mut addresses, "/ip4/192.168.1.2/tcp/4002", "/ip4/50.1.1.1/tcp/9000", 0..3);
        assert_eq!(of(&addresses, Source::Observed), [""; 0]);
        see(&mut addresses, "/ip4/192.168.1.2/tcp/4002", "/ip4/50.1.1.1/tcp/9000", 3..4);
        assert_eq!(of(&addresses, Source::Observed), ["/ip4/50.1.1.1/tcp/9000/ws"]);
        addresses.unlistened(&address("/ip4/192.168.1.2/tcp/4002/ws"));
        assert_eq!(of(&addresses, Source::Observed), [""; 0]);
    }

    #[test]
    fn where_dials_come_from_is_announced_with_our_port_once_it_was_dialed() {
        let mut addresses = with(|_| {});
        see(&mut addresses, "/ip4/192.168.1.2/tcp/50000", "/ip4/50.1.1.1/tcp/61000", 0..4);
        assert_eq!(of(&addresses, Source::Inferred), [""; 0]);
        let guessed = address("/ip4/50.1.1.1/tcp/4001");
        let known = |addresses: &Addresses| {
            let list = addresses.list(core::iter::empty());
            list.into_iter().find(|own| own.address == guessed).map(|own| own.source)
        };
        assert_eq!(known(&addresses), Some(Source::Inferred));
        #[cfg(feature = "autonat")]
        {
            addresses.judge(&guessed, Reachability::Public);
            assert_eq!(of(&addresses, Source::Inferred), ["/ip4/50.1.1.1/tcp/4001"]);
        }
        // Those who dial us there know better.
        see(&mut addresses, "/ip4/192.168.1.2/tcp/4001", "/ip4/50.1.1.1/tcp/4001", 10..14);
        assert_eq!(known(&addresses), Some(Source::Observed));
        for port in ["4001", "4002/ws", "4003/tls/ws"] {
            addresses.unlistened(&address(&format!("/ip4/192.168.1.2/tcp/{port}")));
        }
        assert_eq!(known(&addresses), None);
    }

    #[test]
    fn what_says_nothing_of_a_place_is_not_believed() {
        let mut addresses = with(|_| {});
        for (local, external) in [
            // A port that we dialed from and do not listen on.
            ("/ip4/192.168.1.2/tcp/50000", "/ip4/50.1.1.1/tcp/50000"),
            ("/ip4/192.168.1.2/tcp/4001", "/ip4/192.168.1.2/tcp/4001"),
            ("/ip4/192.168.1.2/tcp/4001", "/ip4/10.0.0.1/tcp/4001"),
            ("/ip4/192.168.1.2/tcp/4001", "/ip4/127.0.0.1/tcp/9"),
            ("/ip4/192.168.1.2/tcp/4001", "/ip4/50.1.1.1/udp/4001"),
            ("/ip4/192.168.1.2/tcp/4001", "/ip6/2a00::1/tcp/4001"),
            ("/ip4/192.168.1.2/tcp/4001", "/ip4/50.1.1.1/tcp/0"),
            // What its certificate is not for.
            ("/ip4/192.168.1.2/tcp/4003", "/ip4/50.1.1.1/tcp/4003"),
        ] {
            see(&mut addresses, local, external, 0..20);
            assert_eq!(of(&addresses, Source::Observed), [""; 0], "{local} as {external}");
        }
        let mut closed = with(|config| config.private = true);
        see(&mut closed, "/ip4/192.168.1.2/tcp/4001", "/ip4/10.0.0.1/tcp/4001", 0..4);
        assert_eq!(of(&closed, Source::Observed), ["/ip4/10.0.0.1/tcp/4001"]);
    }

    #[test]
    fn the_application_says_what_is_announced() {
        let mut addresses = with(|config| {
            config.append_announce = vec![address("/dns4/a.example/tcp/443/wss")];
            config.no_announce = ["/ip4/127.0.0.0/ipcidr/8", "/ip4/192.168.1.2/tcp/4002"]
                .map(|text| text.parse().unwrap())
                .into();
        });
        assert_eq!(of(&addresses, Source::Configured), ["/dns4/a.example/tcp/443/wss"]);
        assert_eq!(
            of(&addresses, Source::Listening),
            ["/ip4/192.168.1.2/tcp/4001", "/ip4/192.168.1.2/tcp/4003/tls/ws"]
        );
        let config = Config {
            announce: vec![address("/ip4/50.1.1.1/tcp/1")],
            no_announce: vec!["/ip4/50.1.1.1".parse().unwrap()],
            ..Config::default()
        };
        addresses.configure(config);
        let relayed = address("/ip4/1.2.3.4/tcp/1").with_circuit();
        let list = addresses.list(core::iter::once(&relayed));
        let announced: Vec<_> = list.iter().filter(|own| own.announced).collect();
        assert_eq!(announced.len(), 1);
        assert_eq!(announced[0].address, address("/ip4/50.1.1.1/tcp/1"));
        assert!(list.iter().any(|own| own.source == Source::Relayed && !own.announced));
    }

    #[test]
    fn what_a_gateway_maps_is_announced_while_it_does() {
        let mut addresses = with(|_| {});
        let external = "50.1.1.1:9001".parse().ok();
        addresses.mapped((Transport::Tcp, 4001), external);
        addresses.mapped((Transport::Tcp, 4002), "50.1.1.1:9002".parse().ok());
        assert_eq!(
            of(&addresses, Source::Mapped),
            ["/ip4/50.1.1.1/tcp/9001", "/ip4/50.1.1.1/tcp/9002/ws"]
        );
        addresses.mapped((Transport::Tcp, 4001), None);
        addresses.mapped((Transport::Udp, 4003), external);
        assert_eq!(of(&addresses, Source::Mapped), ["/ip4/50.1.1.1/tcp/9002/ws"]);
    }
}
