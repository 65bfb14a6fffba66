//! From how far an address makes sense.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::{Multiaddr, Protocol};

/// How near somebody must be for an address to lead to the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// On the same machine, or in the same process.
    Host,
    /// On the same network.
    Network,
    /// Anywhere.
    World,
}

impl Scope {
    /// The scope of an address: that of its outermost part, names being public.
    pub(super) fn of(address: &Multiaddr) -> Self {
        match address.iter().find(|part| !matches!(part, Protocol::Ip6zone(_))) {
            Some(Protocol::Ip4(ip)) => Self::of_ip(ip.into()),
            Some(Protocol::Ip6(ip)) => Self::of_ip(ip.into()),
            Some(Protocol::Memory(_) | Protocol::Unix(_)) => Self::Host,
            _ => Self::World,
        }
    }

    fn of_ip(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() || ip.is_unspecified() => Self::Host,
            IpAddr::V4(ip) if is_local4(ip) => Self::Network,
            IpAddr::V6(ip) if is_local6(ip) => Self::Network,
            _ => Self::World,
        }
    }

    /// Whether what a peer at this scope says of `address` can be true for us: a
    /// peer far away that speaks of our own machine or network lies, or does not
    /// know better.
    pub(super) fn sees(self, address: &Multiaddr) -> bool {
        !address.is_empty() && Self::of(address) >= self
    }
}

/// RFC 1918, link-local, and what carriers use behind their NATs (RFC 6598).
fn is_local4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64)
}

/// Unique local and link-local addresses.
fn is_local6(ip: Ipv6Addr) -> bool {
    ip.is_unique_local() || ip.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_far_away_does_not_speak_of_our_network() {
        let address = |text: &str| text.parse::<Multiaddr>().unwrap();
        let of = |text: &str| Scope::of(&address(text));
        assert_eq!(of("/ip4/127.0.0.1/tcp/1"), Scope::Host);
        assert_eq!(of("/ip6/::ffff:127.0.0.1/tcp/1"), Scope::Host);
        assert_eq!(of("/ip6zone/eth0/ip6/fe80::1/tcp/1"), Scope::Network);
        assert_eq!(of("/ip4/100.64.0.1/tcp/1"), Scope::Network);
        assert_eq!(of("/ip4/100.128.0.1/tcp/1"), Scope::World);
        assert_eq!(of("/dns4/a.example/tcp/1"), Scope::World);
        assert!(Scope::Network.sees(&address("/ip4/10.0.0.1/tcp/1")));
        assert!(!Scope::Network.sees(&address("/ip4/127.0.0.1/tcp/1")));
        assert!(!Scope::World.sees(&address("/ip4/10.0.0.1/tcp/1")));
    }
}
