//! Whoever comes to the socket of a listener and is not known yet.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::ice;
use super::stun::{self, Message};
use super::ufrag::Credentials;

/// Those who have asked whether the path works and have not begun DTLS, in all; the
/// oldest is forgotten when there are more. An entry has some 600 bytes.
const MAX_STRANGERS: usize = 1024;
/// The same of one IP address, loopback excepted, so that it takes many to fill
/// [`MAX_STRANGERS`].
const MAX_STRANGERS_PER_ADDRESS: usize = 16;

/// The first record of DTLS (RFC 9147 section 4.1, RFC 7983): a handshake.
const HANDSHAKE_RECORD: u8 = 22;

/// Those who have asked a listener whether the path works: what they have said is
/// kept until they begin DTLS. Their addresses may be forged, so few are remembered.
#[derive(Debug, Default)]
pub struct Strangers {
    known: BTreeMap<SocketAddr, Credentials>,
    /// The same in the order of their age.
    ages: VecDeque<SocketAddr>,
}

impl Strangers {
    /// Takes in a datagram of somebody without a session; returns what is to be
    /// answered.
    pub fn handle(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        if !stun::is_stun(datagram) {
            return None;
        }
        let request = Message::parse(datagram)?;
        self.insert(from, ice::credentials(&request)?);
        ice::answer(&request, from)
    }

    /// What a stranger who begins DTLS with `datagram` has said: a session is to take
    /// it in. They are forgotten with that.
    pub fn begin(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<Credentials> {
        let begins = datagram.first() == Some(&HANDSHAKE_RECORD);
        if begins { self.remove(from) } else { None }
    }

    fn insert(&mut self, from: SocketAddr, credentials: Credentials) {
        if let Some(known) = self.known.get_mut(&from) {
            *known = credentials;
            return;
        }
        let of_the_same = |other: &&SocketAddr| other.ip() == from.ip();
        let crowded =
            !from.ip().is_loopback() && self.known_of(from.ip()) >= MAX_STRANGERS_PER_ADDRESS;
        let oldest = if crowded {
            self.ages.iter().find(of_the_same).copied()
        } else {
            self.ages.front().filter(|_| self.known.len() >= MAX_STRANGERS).copied()
        };
        if let Some(oldest) = oldest {
            self.remove(oldest);
        }
        self.known.insert(from, credentials);
        self.ages.push_back(from);
    }

    fn known_of(&self, ip: IpAddr) -> usize {
        self.known.range(SocketAddr::new(ip, 0)..=SocketAddr::new(ip, u16::MAX)).count()
    }

    fn remove(&mut self, from: SocketAddr) -> Option<Credentials> {
        let credentials = self.known.remove(&from)?;
        self.ages.retain(|other| *other != from);
        Some(credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ufrag::Version;
    use super::*;

    /// What a dialer with `number` begins with.
    fn check(number: u32) -> Vec<u8> {
        let mut random = [0; 64];
        random[..4].copy_from_slice(&number.to_le_bytes());
        let credentials = Credentials::new(Version::V2, &random);
        stun::request([1; 12], &credentials.username(), &credentials.listener, true, [2; 8])
    }

    const HELLO: [u8; 2] = [HANDSHAKE_RECORD, 0xfe];

    fn at(ip: u32, port: u16) -> SocketAddr {
        (std::net::Ipv4Addr::from(0xc000_0200 + ip), port).into()
    }

    #[test]
    fn strangers_are_answered_and_few_are_remembered() {
        let mut strangers = Strangers::default();
        // One address is remembered for so many ports, the latest.
        for port in 1..=100 {
            let answer = strangers.handle(at(0, port), &check(1)).unwrap();
            assert!(Message::parse(&answer).is_some());
        }
        assert_eq!(strangers.known.len(), MAX_STRANGERS_PER_ADDRESS);
        assert!(strangers.known.contains_key(&at(0, 100)));
        // And not more than so many of all addresses.
        for ip in 1..=2000 {
            assert!(strangers.handle(at(ip, 1), &check(ip)).is_some());
        }
        assert_eq!(strangers.known.len(), MAX_STRANGERS);
        assert_eq!(strangers.ages.len(), MAX_STRANGERS);
        assert!(!strangers.known.contains_key(&at(0, 100)));
        // Who asks again is still one.
        strangers.handle(at(2000, 1), &check(5));
        assert_eq!(strangers.ages.len(), MAX_STRANGERS);
    }

    #[test]
    fn only_those_who_asked_begin_and_only_with_a_handshake() {
        let mut strangers = Strangers::default();
        assert_eq!(strangers.begin(at(1, 1), &HELLO), None);
        strangers.handle(at(1, 1), &check(1));
        assert_eq!(strangers.begin(at(1, 2), &HELLO), None);
        for other in [&[][..], &[23, 0xfe], &check(1)] {
            assert_eq!(strangers.begin(at(1, 1), other), None);
        }
        assert!(strangers.begin(at(1, 1), &HELLO).is_some());
        assert_eq!(strangers.begin(at(1, 1), &HELLO), None);
        // Nonsense is neither answered nor remembered.
        for nonsense in [&[][..], &[0; 20], &HELLO, &[1; 2000]] {
            assert_eq!(strangers.handle(at(3, 1), nonsense), None);
        }
        assert!(strangers.known.is_empty());
    }
}
