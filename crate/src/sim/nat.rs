//! Network address translators, as RFC 4787 and, for TCP, RFC 5382 describe them.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;
use std::collections::BTreeMap;

use crate::rng::Rng;
use crate::time::Instant;

/// What a translator maps and whom it lets in: the names of RFC 3489, section 5,
/// which say less than the behaviours of RFC 4787 and are what people use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NatKind {
    /// One outer port for an inner one, open to everybody.
    FullCone,
    /// One outer port, open to addresses that were sent to.
    AddressRestricted,
    /// One outer port, open to addresses and ports that were sent to.
    PortRestricted,
    /// Another outer port, drawn at random, for each address and port that is sent
    /// to; open to that one.
    Symmetric,
}

/// How a translator behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// What it maps and whom it lets in.
    pub kind: NatKind,
    /// Hosts behind it reach each other at its outer address (RFC 4787, section 6).
    pub hairpin: bool,
    /// What is not let in is answered with a reset; otherwise with silence, as RFC
    /// 5382, section 4.3, asks for.
    pub refuses: bool,
    /// How long what is silent is remembered.
    pub timeout: Duration,
}

impl Nat {
    /// A translator of this kind, with the manners that RFC 5382 asks for.
    pub fn new(kind: NatKind) -> Self {
        Self { kind, hairpin: true, refuses: false, timeout: Duration::from_secs(7440) }
    }
}

/// A translator at work.
pub(super) struct Gateway {
    pub(super) nat: Nat,
    /// Its outer address.
    pub(super) outer: Ipv4Addr,
    mappings: Vec<Mapping>,
}

struct Mapping {
    inner: SocketAddrV4,
    port: u16,
    /// With whom, and when they last spoke.
    remotes: BTreeMap<SocketAddrV4, Instant>,
}

impl Gateway {
    pub(super) fn new(nat: Nat, outer: Ipv4Addr) -> Self {
        Self { nat, outer, mappings: Vec::new() }
    }

    /// Something goes out; where it seems to come from.
    pub(super) fn leave(
        &mut self,
        now: Instant,
        inner: SocketAddrV4,
        remote: SocketAddrV4,
        rng: &mut Rng,
    ) -> SocketAddrV4 {
        self.expire(now);
        let symmetric = self.nat.kind == NatKind::Symmetric;
        let serves = |mapping: &Mapping| {
            mapping.inner == inner && (!symmetric || mapping.remotes.contains_key(&remote))
        };
        let at = self.mappings.iter().position(serves).unwrap_or_else(|| {
            let port = self.free_port(rng);
            self.mappings.push(Mapping { inner, port, remotes: BTreeMap::new() });
            self.mappings.len() - 1
        });
        let mapping = &mut self.mappings[at];
        mapping.remotes.insert(remote, now);
        SocketAddrV4::new(self.outer, mapping.port)
    }

    /// Something comes for an outer port; whom it is for, if it is let in.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        port: u16,
        remote: SocketAddrV4,
    ) -> Option<SocketAddrV4> {
        self.expire(now);
        let mapping = self.mappings.iter_mut().find(|mapping| mapping.port == port)?;
        let welcome = match self.nat.kind {
            NatKind::FullCone => true,
            NatKind::AddressRestricted => {
                mapping.remotes.keys().any(|known| known.ip() == remote.ip())
            }
            NatKind::PortRestricted | NatKind::Symmetric => mapping.remotes.contains_key(&remote),
        };
        welcome.then(|| {
            mapping.remotes.insert(remote, now);
            mapping.inner
        })
    }

    /// Something goes over a connection; whether it is still known.
    pub(super) fn carry(
        &mut self,
        now: Instant,
        inner: SocketAddrV4,
        remote: SocketAddrV4,
    ) -> bool {
        self.expire(now);
        let mut own = self.mappings.iter_mut().filter(|mapping| mapping.inner == inner);
        own.find_map(|mapping| mapping.remotes.get_mut(&remote)).is_some_and(|heard| {
            *heard = now;
            true
        })
    }

    fn expire(&mut self, now: Instant) {
        let timeout = self.nat.timeout;
        self.mappings.retain_mut(|mapping| {
            mapping.remotes.retain(|_, heard| *heard + timeout > now);
            !mapping.remotes.is_empty()
        });
    }

    fn free_port(&self, rng: &mut Rng) -> u16 {
        loop {
            let port = 1024 + rng.below(64_000) as u16;
            if self.mappings.iter().all(|mapping| mapping.port != port) {
                return port;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 4001);
    const OUTER: Ipv4Addr = Ipv4Addr::new(30, 0, 0, 1);

    fn remote(host: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(20, 0, 0, host), port)
    }

    fn gateway(kind: NatKind) -> (Gateway, Rng) {
        (Gateway::new(Nat::new(kind), OUTER), Rng::from_number(1))
    }

    #[test]
    fn cones_keep_the_outer_port_and_a_symmetric_one_does_not() {
        use NatKind::{AddressRestricted, FullCone, PortRestricted, Symmetric};
        for kind in [FullCone, AddressRestricted, PortRestricted, Symmetric] {
            let (mut gateway, mut rng) = gateway(kind);
            let now = Instant::ZERO;
            let mut leave = |to| gateway.leave(now, INNER, to, &mut rng);
            let first = leave(remote(1, 1));
            assert_eq!(*first.ip(), OUTER);
            assert_eq!(leave(remote(1, 1)), first, "{kind:?}");
            let same = [leave(remote(1, 2)), leave(remote(2, 1))].map(|seen| seen == first);
            assert_eq!(same, [kind != Symmetric; 2], "{kind:?}");
        }
    }

    #[test]
    fn each_kind_lets_in_whom_it_says() {
        let cases = [
            (NatKind::FullCone, [true, true, true]),
            (NatKind::AddressRestricted, [true, true, false]),
            (NatKind::PortRestricted, [true, false, false]),
            (NatKind::Symmetric, [true, false, false]),
        ];
        for (kind, expected) in cases {
            let (mut gateway, mut rng) = gateway(kind);
            let port = gateway.leave(Instant::ZERO, INNER, remote(1, 1), &mut rng).port();
            let welcome = [remote(1, 1), remote(1, 2), remote(2, 1)]
                .map(|from| gateway.enter(Instant::ZERO, port, from) == Some(INNER));
            assert_eq!(welcome, expected, "{kind:?}");
            assert_eq!(gateway.enter(Instant::ZERO, port ^ 1, remote(1, 1)), None);
        }
    }

    #[test]
    fn what_is_silent_for_long_is_forgotten() {
        let (mut gateway, mut rng) = gateway(NatKind::PortRestricted);
        gateway.nat.timeout = Duration::from_secs(60);
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let seen = gateway.leave(at(0), INNER, remote(1, 1), &mut rng);
        gateway.leave(at(30), INNER, remote(2, 2), &mut rng);
        assert!(gateway.carry(at(50), INNER, remote(1, 1)), "and it counts from here");
        assert!(gateway.enter(at(100), seen.port(), remote(1, 1)).is_some());
        assert!(!gateway.carry(at(100), INNER, remote(2, 2)), "the other one is gone");
        assert_eq!(gateway.enter(at(160), seen.port(), remote(1, 1)), None);
        let again = gateway.leave(at(160), INNER, remote(1, 1), &mut rng);
        assert_ne!(again, seen, "a new port for a new start");
    }
}
