//! Filters: whom this node speaks with, by PeerId, address and network.
//!
//! Each stage asks on its own: every address before it is dialed, an inbound
//! connection's address when it is accepted, its PeerId when it is proved. The
//! rule that says the most about what is asked decides; where none fits, the
//! answer is yes. Rules come from the application alone, so no remote can fill
//! their tables; a check takes one look-up for each length of network in use.

use crate::collections::{LongMap, LongSet};
use core::net::IpAddr;
use core::str::FromStr;

use thiserror::Error;

use crate::address::{Multiaddr, Protocol};
use crate::identity::PeerId;
use crate::node::Direction;

/// Whom or what a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Subject {
    /// Every peer that no other rule names. Written `*`.
    Everyone,
    /// One peer.
    Peer(PeerId),
    /// All IP addresses of a network, such as `/ip4/10.0.0.0/ipcidr/8`; one
    /// address without `/ipcidr`.
    Network(Network),
    /// All addresses that begin so, such as `/dns4/example.com` or
    /// `/ip4/192.0.2.1/tcp/4001`. It holds where the address is known: for those
    /// that are dialed.
    Address(Multiaddr),
}

/// A block of IP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// The address's bits, an IPv4 one as IPv4-mapped IPv6, those behind the
    /// prefix zero.
    bits: u128,
    /// The prefix's length among 128.
    length: u8,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Yes. Networks that are allowed by name are not held to the limits on
    /// inbound connections by address.
    Allow,
    /// No.
    Deny,
}

/// Text that names no [`Subject`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("neither a PeerId nor an address nor a network: {text}")]
pub struct SubjectError {
    /// The text.
    pub text: String,
}

/// Bits before an IPv4 address in its IPv6 form.
const MAPPED: u8 = 96;

impl Network {
    /// The network of `ip`'s first `length` bits; a length that is too large is
    /// the largest.
    pub fn new(ip: IpAddr, length: u8) -> Self {
        let (bits, length) = match ip {
            IpAddr::V4(ip) => (ip.to_ipv6_mapped().to_bits(), length.min(32) + MAPPED),
            IpAddr::V6(ip) => (ip.to_bits(), length.min(128)),
        };
        Self { bits, length }.cut(length)
    }

    /// The network of this one address; an IPv4-mapped one is of IPv4.
    pub fn of(ip: IpAddr) -> Self {
        Self::new(ip, 128)
    }

    /// The larger network of as many bits.
    fn cut(self, length: u8) -> Self {
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        Self { bits: self.bits & mask, length }
    }
}

/// The IP address that `address` begins with.
pub(crate) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.to_canonical()),
        _ => None,
    }
}

impl From<PeerId> for Subject {
    fn from(peer: PeerId) -> Self {
        Self::Peer(peer)
    }
}

impl From<Multiaddr> for Subject {
    fn from(address: Multiaddr) -> Self {
        let mut parts = address.iter();
        let (first, second, third) = (parts.next(), parts.next(), parts.next());
        let length = match (second, third) {
            (None, _) => u8::MAX,
            (Some(Protocol::Ipcidr(length)), None) => length,
            _ => return Self::Address(address),
        };
        match first {
            Some(Protocol::Ip4(ip)) => Self::Network(Network::new(ip.into(), length)),
            Some(Protocol::Ip6(ip)) => Self::Network(Network::new(ip.into(), length)),
            Some(Protocol::P2p(peer)) if second.is_none() => Self::Peer(peer),
            _ => Self::Address(address),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    /// Reads `*`, a PeerId or an address.
    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let none = |_| SubjectError { text: text.into() };
        match text {
            "*" => Ok(Self::Everyone),
            _ if text.starts_with('/') => {
                Ok(text.parse::<Multiaddr>().map_err(|_| none(()))?.into())
            }
            _ => Ok(Self::Peer(text.parse().map_err(|_| none(()))?)),
        }
    }
}

/// The rules for one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rules {
    everyone: Option<Verdict>,
    peers: LongMap<PeerId, Verdict>,
    networks: LongMap<Network, Verdict>,
    /// The lengths of these networks.
    lengths: LongSet<u8>,
    addresses: LongMap<Multiaddr, Verdict>,
}

/// All rules of a node; plain data.
///
/// ```
/// use polypeer::node::Direction;
/// use polypeer::swarm::gate::{Filters, Verdict};
///
/// let mut filters = Filters::default();
/// filters.set("/ip4/10.0.0.0/ipcidr/8".parse()?, None, Verdict::Deny);
/// filters.set("/ip4/10.1.0.0/ipcidr/16".parse()?, None, Verdict::Allow);
/// let asks = |text: &str| filters.address(&text.parse().unwrap(), Direction::Inbound);
/// assert_eq!(asks("/ip4/10.2.3.4/tcp/1"), Some(Verdict::Deny));
/// assert_eq!(asks("/ip4/10.1.3.4/tcp/1"), Some(Verdict::Allow));
/// assert_eq!(asks("/ip4/192.0.2.1/tcp/1"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    inbound: Rules,
    outbound: Rules,
}

impl Filters {
    /// From now on `verdict` holds for `subject`, in one direction or in both.
    pub fn set(&mut self, subject: Subject, direction: Option<Direction>, verdict: Verdict) {
        for rules in self.rules(direction) {
            rules.set(subject.clone(), Some(verdict));
        }
    }

    /// Forgets what was said of `subject`.
    pub fn remove(&mut self, subject: &Subject, direction: Option<Direction>) {
        for rules in self.rules(direction) {
            rules.set(subject.clone(), None);
        }
    }

    /// What is said of an address, if anything is.
    pub fn address(&self, address: &Multiaddr, direction: Direction) -> Option<Verdict> {
        let rules = self.of(direction);
        // A peer's own address begins with what a rule names, part by part.
        let mut begin =
            if rules.addresses.is_empty() { Multiaddr::empty() } else { address.clone() };
        while !begin.is_empty() {
            if let Some(verdict) = rules.addresses.get(&begin) {
                return Some(*verdict);
            }
            begin.pop();
        }
        let one = Network::of(ip(address)?);
        rules.lengths.iter().rev().find_map(|length| rules.networks.get(&one.cut(*length)).copied())
    }

    /// What is said of a peer, if anything is.
    pub fn peer(&self, peer: &PeerId, direction: Direction) -> Option<Verdict> {
        let rules = self.of(direction);
        rules.peers.get(peer).copied().or(rules.everyone)
    }

    /// Whether a peer may be spoken with at all.
    pub fn allows(&self, peer: &PeerId, direction: Direction) -> bool {
        self.peer(peer, direction) != Some(Verdict::Deny)
    }

    /// Whether an address may be spoken with at all.
    pub fn allows_address(&self, address: &Multiaddr, direction: Direction) -> bool {
        self.address(address, direction) != Some(Verdict::Deny)
    }

    fn of(&self, direction: Direction) -> &Rules {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    fn rules(&mut self, direction: Option<Direction>) -> impl Iterator<Item = &mut Rules> {
        let inbound = (direction != Some(Direction::Outbound)).then_some(&mut self.inbound);
        let outbound = (direction != Some(Direction::Inbound)).then_some(&mut self.outbound);
        inbound.into_iter().chain(outbound)
    }
}

impl Rules {
    fn set(&mut self, subject: Subject, verdict: Option<Verdict>) {
        match subject {
            Subject::Everyone => self.everyone = verdict,
            Subject::Peer(peer) => put(&mut self.peers, peer, verdict),
            Subject::Address(address) => put(&mut self.addresses, address, verdict),
            Subject::Network(network) => {
                put(&mut self.networks, network, verdict);
                self.lengths = self.networks.keys().map(|network| network.length).collect();
            }
        }
    }
}

fn put<K: Ord>(rules: &mut LongMap<K, Verdict>, key: K, verdict: Option<Verdict>) {
    match verdict {
        Some(verdict) => rules.insert(key, verdict),
        None => rules.remove(&key),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use Direction::{Inbound, Outbound};

    fn subject(text: &str) -> Subject {
        text.parse().unwrap()
    }

    fn peer(number: u64) -> PeerId {
        PeerId::random(&mut Rng::from_number(number))
    }

    #[test]
    fn subjects_are_read_as_they_are_written() {
        let one = peer(1);
        assert_eq!(subject("*"), Subject::Everyone);
        assert_eq!(subject(&one.to_string()), Subject::Peer(one));
        assert_eq!(subject(&format!("/p2p/{one}")), Subject::Peer(one));
        let network = Subject::Network(Network::new("10.0.0.0".parse().unwrap(), 8));
        assert_eq!(
            subject("/ip4/10.9.9.9/ipcidr/8"),
            network,
            "bits behind the prefix do not count"
        );
        assert_eq!(subject("/ip6/::ffff:10.0.0.1"), subject("/ip4/10.0.0.1"));
        assert!(matches!(subject("/ip4/10.0.0.1/tcp/1"), Subject::Address(_)));
        assert!(matches!(subject("/dns4/example.com"), Subject::Address(_)));
        for wrong in ["", "10.0.0.0/8", "/ip4/10.0.0.0/8", "peer"] {
            assert_eq!(wrong.parse::<Subject>(), Err(SubjectError { text: wrong.into() }));
        }
    }

    #[test]
    fn the_rule_that_says_most_decides() {
        let mut filters = Filters::default();
        for (text, verdict) in [
            ("/ip4/0.0.0.0/ipcidr/0", Verdict::Deny),
            ("/ip4/192.0.2.0/ipcidr/24", Verdict::Allow),
            ("/ip4/192.0.2.7", Verdict::Deny),
            ("/ip4/192.0.2.7/tcp/4001", Verdict::Allow),
            ("/ip6/2001:db8::/ipcidr/32", Verdict::Deny),
            ("/dns4/bad.example", Verdict::Deny),
            ("/ip6/::ffff:203.0.113.0/ipcidr/120", Verdict::Allow),
        ] {
            filters.set(subject(text), None, verdict);
        }
        for (text, allowed) in [
            ("/ip4/198.51.100.1/tcp/1", false),
            ("/ip4/203.0.113.9/tcp/1", true),
            ("/ip4/192.0.2.1/tcp/1", true),
            ("/ip4/192.0.2.7/tcp/4002", false),
            ("/ip4/192.0.2.7/tcp/4001", true),
            ("/ip4/192.0.2.7/tcp/4001/ws", true),
            ("/ip6/::ffff:198.51.100.1/tcp/1", false),
            ("/ip6/2001:db8:1::1/udp/1/quic-v1", false),
            ("/ip6/2001:db9::1/tcp/1", true),
            ("/dns4/bad.example/tcp/443/wss", false),
            ("/dns4/good.example/tcp/443/wss", true),
            ("/memory/7", true),
        ] {
            let address = text.parse().unwrap();
            assert_eq!(filters.allows_address(&address, Inbound), allowed, "{text}");
            assert_eq!(filters.allows_address(&address, Outbound), allowed, "{text}");
        }
    }

    #[test]
    fn directions_are_apart_and_rules_can_be_taken_back() {
        let (one, two) = (peer(1), peer(2));
        let mut filters = Filters::default();
        filters.set(one.into(), Some(Inbound), Verdict::Deny);
        assert!(!filters.allows(&one, Inbound) && filters.allows(&one, Outbound));
        filters.set(Subject::Everyone, None, Verdict::Deny);
        filters.set(two.into(), None, Verdict::Allow);
        assert!(!filters.allows(&one, Outbound) && filters.allows(&two, Outbound));
        filters.remove(&Subject::Everyone, Some(Outbound));
        assert!(filters.allows(&one, Outbound));
        for subject in [Subject::Everyone, one.into(), two.into()] {
            filters.remove(&subject, None);
        }
        assert_eq!(filters, Filters::default());
    }

    #[test]
    fn agrees_with_a_list_of_networks() {
        let mut rng = Rng::from_number(7);
        let mut filters = Filters::default();
        let mut list: Vec<(u32, u8, Verdict)> = Vec::new();
        for _ in 0..300 {
            let length = rng.below(13) as u8;
            let bits = (rng.below(1 << 12) as u32) << 20;
            let bits = bits & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            let verdict = if rng.below(2) == 0 { Verdict::Allow } else { Verdict::Deny };
            list.retain(|(known, of, _)| (*known, *of) != (bits, length));
            list.push((bits, length, verdict));
            let network = Network::new(IpAddr::V4(bits.into()), length);
            filters.set(Subject::Network(network), None, verdict);
        }
        for _ in 0..2000 {
            let ip = rng.next_u64() as u32;
            let inside = |(bits, length, _): &&(u32, u8, Verdict)| {
                ip & u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0) == *bits
            };
            let expected = list.iter().filter(inside).max_by_key(|(_, length, _)| *length);
            let address = Multiaddr::tcp((IpAddr::V4(ip.into()), 1).into());
            assert_eq!(filters.address(&address, Inbound), expected.map(|(.., verdict)| *verdict));
        }
    }
}
