//! In which order a peer's addresses are tried, and how long after each other.
//!
//! Happy eyeballs (RFC 8305) with the groups and delays of go-libp2p's dial
//! ranker, so that our dials load a network no more than its own do: within
//! each of private, public and relayed addresses, QUIC before the transports
//! over TCP before the others, IPv6 before IPv4, low ports first. Names count as
//! public: only the host resolves them.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use crate::address::{Multiaddr, Protocol};

/// Between the groups of public addresses, in milliseconds: about one round trip.
const PUBLIC_STEP: u32 = 250;
/// Between the groups of private addresses, in milliseconds.
const PRIVATE_STEP: u32 = 30;
/// How long relayed addresses wait if there is a public one, in milliseconds.
const RELAY_DELAY: u32 = 500;
/// What goes neither over QUIC nor over TCP waits this many milliseconds after these.
const PUBLIC_OTHER: u32 = 1000;
/// The same among private addresses.
const PRIVATE_OTHER: u32 = 100;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Private,
    Public,
    Relayed,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Quic,
    WebTransport,
    Tcp,
    WebrtcDirect,
    Other,
}

/// What ranks an address; smaller is earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    group: Group,
    kind: Kind,
    ip4: bool,
    draft: bool,
    port: u16,
}

impl Class {
    fn of(address: &Multiaddr) -> Self {
        let mut class =
            Self { group: Group::Public, kind: Kind::Other, ip4: true, draft: false, port: 0 };
        let mut parts = address.iter().enumerate();
        while let Some((index, part)) = parts.next() {
            match part {
                Protocol::P2pCircuit => {
                    class.group = Group::Relayed;
                    // What needs the relayed connection first comes after it.
                    if parts.next().is_some_and(|(_, part)| part == Protocol::Webrtc) {
                        class.kind = Kind::Other;
                    }
                    break;
                }
                Protocol::Ip6(ip) => (class.ip4, class.group) = (false, group(is_private6(ip))),
                Protocol::Ip4(ip) => class.group = group(is_private4(ip)),
                Protocol::Dns6(_) => class.ip4 = false,
                Protocol::Memory(_) | Protocol::Unix(_) if index == 0 => {
                    class.group = Group::Private;
                }
                Protocol::Tcp(port) => (class.kind, class.port) = (Kind::Tcp, port),
                Protocol::Udp(port) => class.port = port,
                Protocol::QuicV1 => class.kind = Kind::Quic,
                Protocol::Quic => (class.kind, class.draft) = (Kind::Quic, true),
                Protocol::WebTransport => class.kind = Kind::WebTransport,
                Protocol::WebrtcDirect => (class.kind, class.port) = (Kind::WebrtcDirect, 0),
                _ => {}
            }
        }
        class
    }
}

fn group(private: bool) -> Group {
    if private { Group::Private } else { Group::Public }
}

fn is_private4(ip: Ipv4Addr) -> bool {
    ip.is_private() || ip.is_loopback() || ip.is_link_local()
}

fn is_private6(ip: Ipv6Addr) -> bool {
    match ip.to_ipv4_mapped() {
        Some(ip) => is_private4(ip),
        // fc00::/7 and fe80::/10.
        None => {
            let first = ip.segments()[0];
            ip.is_loopback() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
        }
    }
}

/// Whether an address is of this machine or of a network around it.
pub(crate) fn is_private(address: &Multiaddr) -> bool {
    Class::of(address).group == Group::Private
}

/// Between attempts at addresses of this kind.
pub(crate) fn step(address: &Multiaddr) -> Duration {
    let step = if is_private(address) { PRIVATE_STEP } else { PUBLIC_STEP };
    Duration::from_millis(step.into())
}

/// Whether an address names a place at all: `0.0.0.0`, `::` and port zero do not.
pub(crate) fn is_dialable(address: &Multiaddr) -> bool {
    !address.is_empty()
        && !address.iter().any(|part| match part {
            Protocol::Ip4(ip) => ip.is_unspecified(),
            Protocol::Ip6(ip) => ip.is_unspecified(),
            Protocol::Tcp(port) | Protocol::Udp(port) => port == 0,
            _ => false,
        })
}

/// The addresses with how long each waits, earliest first.
pub(crate) fn rank(addresses: Vec<Multiaddr>) -> Vec<(Duration, Multiaddr)> {
    let mut ranked: Vec<(Class, u32, Multiaddr)> = Vec::with_capacity(addresses.len());
    for address in addresses {
        let class = Class::of(&address);
        let at = ranked.partition_point(|(known, ..)| *known <= class);
        ranked.insert(at, (class, 0, address));
    }
    let public = ranked.iter().any(|(class, ..)| class.group == Group::Public);
    for group in ranked.chunk_by_mut(|(a, ..), (b, ..)| a.group == b.group) {
        let (step, other, start) = match group.first().map(|(class, ..)| class.group) {
            Some(Group::Private) => (PRIVATE_STEP, PRIVATE_OTHER, 0),
            Some(Group::Relayed) if public => (PUBLIC_STEP, PUBLIC_OTHER, RELAY_DELAY),
            _ => (PUBLIC_STEP, PUBLIC_OTHER, 0),
        };
        let tcp = group.partition_point(|(class, ..)| class.kind < Kind::Tcp);
        let others = group.partition_point(|(class, ..)| class.kind <= Kind::Tcp);
        let (over_ip, rest) = group.split_at_mut(others);
        let (quic, tcp) = over_ip.split_at_mut(tcp);
        let mut last = start;
        if !quic.is_empty() {
            last = eyeballs(quic, last, step);
        }
        if !tcp.is_empty() {
            let first = if quic.is_empty() { last } else { last + step };
            last = eyeballs(tcp, first, step);
        }
        rest.iter_mut().for_each(|(_, delay, _)| *delay = last + other);
    }
    let mut result: Vec<(Duration, Multiaddr)> = Vec::with_capacity(ranked.len());
    for (_, delay, address) in ranked {
        let delay = Duration::from_millis(delay.into());
        let at = result.partition_point(|(known, _)| *known <= delay);
        result.insert(at, (delay, address));
    }
    result
}

/// Ranks addresses of one kind: the first, then, if that is of IPv6, the first of
/// IPv4, then all others. Returns when the last ones start.
fn eyeballs(run: &mut [(Class, u32, Multiaddr)], start: u32, step: u32) -> u32 {
    let first_is_6 = run.first().is_some_and(|(class, ..)| !class.ip4);
    let ip4 = run.iter().position(|(class, ..)| class.ip4).filter(|_| first_is_6);
    if let Some(second) = ip4.and_then(|at| run.get_mut(1..=at)) {
        second.rotate_right(1);
    }
    let mut last = start;
    for (index, (_, delay, _)) in run.iter_mut().enumerate() {
        let steps = match index {
            0 | 1 => index as u32,
            _ => 1 + u32::from(ip4.is_some()),
        };
        last = start + steps * step;
        *delay = last;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(addresses: &[&str]) -> Vec<(u128, String)> {
        // Given the other way round: the order asked in does not count.
        let addresses = addresses.iter().rev().map(|text| text.parse().unwrap()).collect();
        let ranked = rank(addresses);
        ranked
            .into_iter()
            .map(|(delay, address)| (delay.as_millis(), address.to_string()))
            .collect()
    }

    fn check(expected: &[(u128, &str)]) {
        let addresses: Vec<&str> = expected.iter().map(|(_, address)| *address).collect();
        let expected: Vec<_> =
            expected.iter().map(|(delay, text)| (*delay, text.to_string())).collect();
        assert_eq!(ranked(&addresses), expected);
    }

    #[test]
    fn quic_of_ip6_comes_first_then_ip4_then_the_rest_then_tcp() {
        check(&[
            (0, "/ip6/2001:db8::1/udp/4001/quic-v1"),
            (250, "/ip4/1.2.3.4/udp/4001/quic-v1"),
            (500, "/ip6/2001:db8::1/udp/5001/quic-v1"),
            (500, "/ip4/1.2.3.4/udp/5001/quic-v1"),
            (500, "/ip4/1.2.3.4/udp/4001/quic-v1/webtransport"),
            (750, "/ip6/2001:db8::1/tcp/4001"),
            (1000, "/ip4/1.2.3.4/tcp/4001"),
            (1250, "/ip6/2001:db8::1/tcp/4002/ws"),
            (2250, "/ip4/1.2.3.4/udp/4001/webrtc-direct"),
        ]);
    }

    #[test]
    fn one_family_has_two_groups() {
        check(&[
            (0, "/ip4/1.2.3.4/udp/1/quic-v1"),
            (250, "/ip4/1.2.3.4/udp/2/quic-v1"),
            (250, "/ip4/1.2.3.4/udp/3/quic-v1"),
            (500, "/ip4/1.2.3.4/tcp/1"),
            (750, "/ip4/1.2.3.4/tcp/2"),
            (750, "/ip4/1.2.3.4/tcp/3"),
        ]);
    }

    #[test]
    fn private_addresses_do_not_wait_for_public_ones_and_are_quicker() {
        check(&[
            (0, "/ip4/192.168.1.2/tcp/4001"),
            (0, "/dns4/example.com/tcp/443/tls/ws"),
            (30, "/ip4/127.0.0.1/tcp/4002"),
            (250, "/ip4/1.2.3.4/tcp/4001"),
        ]);
        check(&[
            (0, "/ip6/fe80::1/udp/1/quic-v1"),
            (30, "/ip4/10.0.0.1/udp/1/quic-v1"),
            (60, "/ip6/fd00::1/tcp/1"),
            (160, "/ip4/10.0.0.1/udp/1/webrtc-direct"),
        ]);
    }

    #[test]
    fn relayed_addresses_wait_only_where_there_is_a_public_one() {
        let relayed = "/ip4/9.9.9.9/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit";
        check(&[(0, "/ip4/1.2.3.4/tcp/1"), (500, relayed)]);
        check(&[(0, "/ip4/10.0.0.1/tcp/1"), (0, relayed)]);
        let signalled = format!("{relayed}/webrtc");
        check(&[(0, relayed), (1000, &signalled)]);
        check(&[(0, relayed)]);
    }

    #[test]
    fn addresses_of_nowhere_are_not_dialed() {
        for address in ["/ip4/0.0.0.0/tcp/1", "/ip6/::/udp/1/quic-v1", "/ip4/1.2.3.4/tcp/0"] {
            assert!(!is_dialable(&address.parse().unwrap()), "{address}");
        }
        assert!(!is_dialable(&Multiaddr::empty()));
        assert!(is_dialable(&"/dns/example.com/tcp/1".parse().unwrap()));
    }
}
