//! The thin waist of an address: IP address, transport and port, which is all
//! that a network in between sees and changes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::address::{Multiaddr, Protocol};

/// What carries a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// TCP, and what runs over it.
    Tcp,
    /// UDP, and what runs over it.
    Udp,
}

/// The part of an address that a NAT changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waist {
    /// TCP or UDP.
    pub transport: Transport,
    /// Where.
    pub socket: SocketAddr,
}

impl Waist {
    /// The waist of an address, and what stands behind it; `None` if it does not
    /// begin with an IP address and a port. An IPv4-mapped IPv6 address is IPv4.
    pub fn split(address: &Multiaddr) -> Option<(Self, Multiaddr)> {
        let mut parts = address.iter();
        let ip = match parts.next()? {
            Protocol::Ip4(ip) => ip.into(),
            Protocol::Ip6(ip) => ip.to_canonical(),
            _ => return None,
        };
        let (transport, port) = match parts.next()? {
            Protocol::Tcp(port) => (Transport::Tcp, port),
            Protocol::Udp(port) => (Transport::Udp, port),
            _ => return None,
        };
        let mut rest = Multiaddr::empty();
        for part in parts {
            rest.push(part).ok()?;
        }
        Some((Self { transport, socket: SocketAddr::new(ip, port) }, rest))
    }

    /// The waist of an address.
    pub fn of(address: &Multiaddr) -> Option<Self> {
        Some(Self::split(address)?.0)
    }

    /// The address of this waist with `rest` behind it.
    pub fn address(self, rest: &Multiaddr) -> Multiaddr {
        let address = match self.transport {
            Transport::Tcp => Multiaddr::tcp(self.socket),
            Transport::Udp => Multiaddr::udp(self.socket),
        };
        address.concat(rest)
    }

    /// The same place, whatever its port.
    pub(super) fn any_port(mut self) -> Self {
        self.socket.set_port(0);
        self
    }

    /// Whether packets from anywhere on the Internet may find it.
    pub fn is_public(self) -> bool {
        self.socket.port() != 0 && is_public(self.socket.ip())
    }
}

/// Whether an IP address is one of the public Internet: neither of this machine or
/// a network around it, nor reserved. Source: IANA's registries of special-purpose
/// addresses (RFC 6890).
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public4(ip),
        IpAddr::V6(ip) => is_public6(ip),
    }
}

fn is_public4(ip: Ipv4Addr) -> bool {
    let special = match ip.octets() {
        [0 | 10 | 127 | 224.., ..] => true,
        [100, second, ..] => second & 0xc0 == 64,
        [169, 254, ..] | [192, 168, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] => true,
        [172, second, ..] => second & 0xf0 == 16,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => false,
    };
    !special
}

fn is_public6(ip: Ipv6Addr) -> bool {
    // All that is routed is of 2000::/3; 2001::/23 is for protocols, 2001:db8::/32
    // and 3fff::/20 are for texts.
    match ip.segments() {
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        [0x3fff, second, ..] => second >= 0x1000,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Who counts as one: a public IPv4 /24 or IPv6 /48, which one party holds as a
/// rule; elsewhere an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group(u128);

impl Group {
    pub(crate) fn of(ip: IpAddr) -> Self {
        let public = is_public(ip);
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let bits = if public { ip.to_bits() & !0xff } else { ip.to_bits() };
                Ipv4Addr::from_bits(bits).to_ipv6_mapped().to_bits()
            }
            IpAddr::V6(ip) if public => ip.to_bits() >> 80 << 80,
            IpAddr::V6(ip) => ip.to_bits(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_waist_and_the_rest() {
        for (text, rest) in [
            ("/ip4/1.2.3.4/tcp/4001", None),
            ("/ip4/1.2.3.4/tcp/4001/ws", Some("/ws")),
            ("/ip6/2a00::1/udp/4001/quic-v1", Some("/quic-v1")),
        ] {
            let address: Multiaddr = text.parse().unwrap();
            let (waist, behind) = Waist::split(&address).unwrap();
            assert_eq!(behind, rest.map_or(Multiaddr::empty(), |text| text.parse().unwrap()));
            assert_eq!(waist.address(&behind), address);
        }
        let mapped = Waist::of(&"/ip6/::ffff:1.2.3.4/tcp/1".parse().unwrap());
        assert_eq!(mapped, Waist::of(&"/ip4/1.2.3.4/tcp/1".parse().unwrap()));
        for none in
            ["/dns4/a.example/tcp/1", "/ip4/1.2.3.4", "/memory/1", "/ip4/1.2.3.4/p2p-circuit"]
        {
            assert_eq!(Waist::of(&none.parse().unwrap()), None, "{none}");
        }
    }

    #[test]
    fn what_is_public() {
        for ip in ["1.2.3.4", "100.63.0.1", "172.32.0.1", "2a00::1", "::ffff:8.8.8.8"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.16.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "64:ff9b::102:304",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn one_network_is_one_group() {
        let group = |text: &str| Group::of(text.parse().unwrap());
        assert_eq!(group("1.2.3.4"), group("1.2.3.200"));
        assert_ne!(group("1.2.3.4"), group("1.2.4.4"));
        assert_ne!(group("10.0.0.1"), group("10.0.0.2"));
        assert_eq!(group("2a00:1:2::1"), group("2a00:1:2:ffff::9"));
        assert_ne!(group("2a00:1:2::1"), group("2a00:1:3::1"));
    }
}
