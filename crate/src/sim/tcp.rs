//! TCP between peers that have addresses: who a SYN reaches, through which
//! translators, and what comes of it.
//!
//! As the kernel does it: a socket that has sent its SYN and gets one from where it
//! sent it is connected (simultaneous open, RFC 9293, section 3.5); a SYN for the
//! port listened on is accepted; any other is refused. A SYN that is not answered
//! is sent again after 1, 3 and 7 s and given up after 15 s.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::address::{Multiaddr, Protocol};
use crate::rng::Rng;
use crate::time::Instant;

use super::nat::{Gateway, Nat};
use super::{End, PeerIndex};

/// The port that every peer listens on.
const LISTEN_PORT: u16 = 4001;
/// The first port that is used otherwise.
const FIRST_EPHEMERAL: u16 = 32_768;
/// From the first SYN to the second; doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// So many are sent.
const MAX_SYNS: u32 = 4;
/// How soon a stubborn socket connects again when it is refused.
pub(super) const AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// A translator of a [`World`](super::World).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NatIndex(pub(super) usize);

/// A socket by its host, its port, and its other end as the host sees it.
pub(super) type Name = (PeerIndex, u16, SocketAddrV4);

/// All peers with addresses, and what is between them.
#[derive(Default)]
pub(super) struct Internet {
    gateways: Vec<Gateway>,
    sites: BTreeMap<PeerIndex, Site>,
    sockets: BTreeMap<Name, Socket>,
    names: BTreeMap<End, Name>,
    /// Who cannot open a transport to whom.
    pub(super) blocked: BTreeSet<(PeerIndex, PeerIndex)>,
}

struct Site {
    ip: Ipv4Addr,
    nat: Option<NatIndex>,
    /// Connections leave from the port that is listened on.
    reuses_port: bool,
    next_port: u16,
}

struct Socket {
    end: End,
    connected: bool,
    syns: u32,
    /// When its next one is due.
    due: Instant,
    /// It goes on where it is refused.
    stubborn: bool,
}

/// What comes of a SYN.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing: it was dropped, or came for the second time.
    Silence,
    /// A reset.
    Refused,
    /// A socket of this peer listens, and sees this remote.
    Accepted(PeerIndex, SocketAddrV4),
    /// This end's socket had sent its own SYN: both are connected now.
    Crossed(End),
}

impl Internet {
    pub(super) fn add_nat(&mut self, nat: Nat) -> NatIndex {
        let index = self.gateways.len();
        let outer = Ipv4Addr::from(0x1e00_0001 + index as u32);
        self.gateways.push(Gateway::new(nat, outer));
        NatIndex(index)
    }

    /// Gives a peer an address; each is of a network of its own.
    pub(super) fn place(&mut self, index: PeerIndex, nat: Option<NatIndex>, reuses_port: bool) {
        let base = if nat.is_some() { 0x0a00_0001 } else { 0x1400_0001 };
        let ip = Ipv4Addr::from(base + ((index.0 as u32) << 8));
        let site = Site { ip, nat, reuses_port, next_port: FIRST_EPHEMERAL };
        self.sites.insert(index, site);
    }

    /// Where a peer listens.
    pub(super) fn listens_at(&self, index: PeerIndex) -> Option<Multiaddr> {
        let site = self.sites.get(&index)?;
        Some(address(SocketAddrV4::new(site.ip, LISTEN_PORT)))
    }

    /// Makes a socket that connects; a `stubborn` one from the port that is listened
    /// on only. `None` if the peer has no address, or that pair is in use.
    pub(super) fn connect(
        &mut self,
        end: End,
        remote: SocketAddrV4,
        stubborn: bool,
    ) -> Option<Name> {
        let site = self.sites.get_mut(&end.0)?;
        let mut port = LISTEN_PORT;
        if !site.reuses_port || self.sockets.contains_key(&(end.0, port, remote)) {
            if stubborn {
                return None;
            }
            port = site.next_port;
            site.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL);
        }
        let name = (end.0, port, remote);
        let due = Instant::ZERO;
        self.insert(name, Socket { end, connected: false, syns: 0, due, stubborn });
        Some(name)
    }

    /// The other end has been accepted as `end`.
    pub(super) fn accepted(&mut self, end: End, remote: SocketAddrV4) {
        let name = (end.0, LISTEN_PORT, remote);
        let due = Instant::ZERO;
        self.insert(name, Socket { end, connected: true, syns: 0, due, stubborn: false });
    }

    fn insert(&mut self, name: Name, socket: Socket) {
        self.names.insert(socket.end, name);
        self.sockets.insert(name, socket);
    }

    /// Whether a socket goes on where it is refused; then it begins anew.
    pub(super) fn is_stubborn(&mut self, name: Name) -> bool {
        let socket = self.sockets.get_mut(&name).filter(|socket| socket.stubborn);
        socket.is_some_and(|socket| {
            (socket.syns, socket.due) = (0, Instant::ZERO);
            true
        })
    }

    /// Where an end is, as its host sees it.
    #[cfg(feature = "addresses")]
    pub(super) fn local(&self, end: End) -> Option<Multiaddr> {
        let (index, port, _) = self.names.get(&end)?;
        Some(address(SocketAddrV4::new(self.sites.get(index)?.ip, *port)))
    }

    /// An end is no more.
    pub(super) fn forget(&mut self, end: End) {
        if let Some(name) = self.names.remove(&end) {
            self.sockets.remove(&name);
        }
    }

    /// A socket sends its SYN, once more: where it seems to come from, and how long
    /// until the next one. `None` if it was the last one, or it wants none.
    pub(super) fn syn(
        &mut self,
        now: Instant,
        name: Name,
        rng: &mut Rng,
    ) -> Option<(SocketAddrV4, Duration)> {
        let socket = self.sockets.get_mut(&name).filter(|socket| !socket.connected)?;
        if socket.syns == MAX_SYNS {
            return None;
        }
        let wait = FIRST_RETRY * 2u32.saturating_pow(socket.syns);
        (socket.syns, socket.due) = (socket.syns + 1, now + wait);
        let (index, port, remote) = name;
        let site = self.sites.get(&index)?;
        let inner = SocketAddrV4::new(site.ip, port);
        let local = site.nat.is_some() && remote.ip().is_private();
        let source = match site.nat.filter(|_| !local) {
            Some(nat) => self.gateways[nat.0].leave(now, inner, remote, rng),
            None => inner,
        };
        Some((source, wait))
    }

    /// A SYN of this socket comes to where it was sent, if its sender `reaches` that
    /// peer.
    pub(super) fn arrive(
        &mut self,
        now: Instant,
        from: Name,
        source: SocketAddrV4,
        reaches: impl Fn(PeerIndex) -> bool,
    ) -> Answer {
        let Some(origin) = self.waiting(from) else { return Answer::Silence };
        let (to, port) = match self.route(now, from, source) {
            Ok(reached) => reached,
            Err(answer) => return answer,
        };
        let name = (to, port, source);
        if !reaches(to) || self.blocked.contains(&(from.0, to)) {
            return Answer::Silence;
        }
        match self.sockets.get_mut(&name) {
            // From one's own port to one's own port.
            _ if name == from => Answer::Refused,
            Some(socket) if socket.connected => Answer::Silence,
            Some(socket) => {
                socket.connected = true;
                let end = socket.end;
                self.connected(origin);
                Answer::Crossed(end)
            }
            None if port == LISTEN_PORT => Answer::Accepted(to, source),
            None => Answer::Refused,
        }
    }

    /// The SYN of this end's socket was answered.
    pub(super) fn connected(&mut self, end: End) {
        if let Some(socket) = self.names.get(&end).and_then(|name| self.sockets.get_mut(name)) {
            socket.connected = true;
        }
    }

    /// Whose socket it is, if it still waits for an answer.
    pub(super) fn waiting(&self, name: Name) -> Option<End> {
        self.sockets.get(&name).filter(|socket| !socket.connected).map(|socket| socket.end)
    }

    /// Whether a socket is to send its SYN by now.
    pub(super) fn is_due(&self, now: Instant, name: Name) -> bool {
        self.sockets.get(&name).is_some_and(|socket| socket.due <= now)
    }

    /// Whether what one end sends comes to the other: translators forget.
    pub(super) fn carries(&mut self, now: Instant, from: End, to: End) -> bool {
        let mut known = true;
        for end in [from, to] {
            if let Some((index, port, remote)) = self.names.get(&end)
                && let Some(Site { ip, nat: Some(nat), .. }) = self.sites.get(index)
                && !remote.ip().is_private()
            {
                let inner = SocketAddrV4::new(*ip, *port);
                known &= self.gateways[nat.0].carry(now, inner, *remote);
            }
        }
        known
    }

    /// The host and port that something comes to, past translators.
    fn route(
        &mut self,
        now: Instant,
        (sender, _, target): Name,
        source: SocketAddrV4,
    ) -> Result<(PeerIndex, u16), Answer> {
        let behind = self.sites.get(&sender).and_then(|site| site.nat);
        let outer = self.gateways.iter().position(|gateway| gateway.outer == *target.ip());
        let (nat, inner) = match outer {
            None if target.ip().is_private() => (behind, target),
            None => (None, target),
            Some(at) => {
                let gateway = &mut self.gateways[at];
                if behind == Some(NatIndex(at)) && !gateway.nat.hairpin {
                    return Err(Answer::Silence);
                }
                let inner = gateway.enter(now, target.port(), source);
                let answer = if gateway.nat.refuses { Answer::Refused } else { Answer::Silence };
                (Some(NatIndex(at)), inner.ok_or(answer)?)
            }
        };
        let is = |site: &Site| site.nat == nat && site.ip == *inner.ip();
        let host = self.sites.iter().find(|(_, site)| is(site)).map(|(index, _)| *index);
        Ok((host.ok_or(Answer::Silence)?, inner.port()))
    }
}

/// The address and port that a multiaddr of plain TCP names.
pub(super) fn endpoint(of: &Multiaddr) -> Option<SocketAddrV4> {
    let mut parts = of.iter();
    let (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) = (parts.next(), parts.next()) else {
        return None;
    };
    let plain = matches!(parts.next(), None | Some(Protocol::P2p(_))) && parts.next().is_none();
    plain.then(|| SocketAddrV4::new(ip, port))
}

pub(super) fn address(of: SocketAddrV4) -> Multiaddr {
    Multiaddr::tcp(of.into())
}

#[cfg(test)]
mod tests {
    use super::super::nat::NatKind;
    use super::*;
    use crate::node::ConnectionId;

    const NOW: Instant = Instant::ZERO;

    /// Peers, each behind a translator of its own if one is given.
    struct Net {
        internet: Internet,
        rng: Rng,
        ends: u64,
    }

    impl Net {
        fn new(nats: &[Option<Nat>]) -> Self {
            let mut internet = Internet::default();
            for (index, nat) in nats.iter().enumerate() {
                let nat = nat.map(|nat| internet.add_nat(nat));
                internet.place(PeerIndex(index), nat, true);
            }
            Self { internet, rng: Rng::from_number(1), ends: 0 }
        }

        fn connect(&mut self, index: usize, to: SocketAddrV4) -> Name {
            self.ends += 1;
            let end = (PeerIndex(index), ConnectionId(self.ends));
            self.internet.connect(end, to, false).unwrap()
        }

        fn syn(&mut self, name: Name) -> SocketAddrV4 {
            self.internet.syn(NOW, name, &mut self.rng).unwrap().0
        }

        /// Connects, and what comes of the first SYN.
        fn knock(&mut self, index: usize, to: SocketAddrV4) -> Answer {
            let name = self.connect(index, to);
            let source = self.syn(name);
            self.internet.arrive(NOW, name, source, all)
        }

        fn listens(&self, index: usize) -> SocketAddrV4 {
            endpoint(&self.internet.listens_at(PeerIndex(index)).unwrap()).unwrap()
        }

        /// Where a peer is seen by another one, that it connects to.
        fn seen(&mut self, index: usize, by: usize) -> SocketAddrV4 {
            let to = self.listens(by);
            let name = self.connect(index, to);
            self.syn(name)
        }
    }

    fn all(_: PeerIndex) -> bool {
        true
    }

    fn nat(kind: NatKind) -> Option<Nat> {
        Some(Nat::new(kind))
    }

    #[test]
    fn a_public_peer_accepts_and_nobody_else_is_found_by_its_private_address() {
        let mut net = Net::new(&[None, None, nat(NatKind::FullCone)]);
        let to = net.listens(1);
        assert_eq!(net.knock(0, to), Answer::Accepted(PeerIndex(1), net.listens(0)));
        let closed = SocketAddrV4::new(*to.ip(), 5);
        assert_eq!(net.knock(0, closed), Answer::Refused);
        let private = net.listens(2);
        assert_eq!(net.knock(0, private), Answer::Silence);
        let nobody = SocketAddrV4::new(Ipv4Addr::new(8, 8, 8, 8), 1);
        assert_eq!(net.knock(0, nobody), Answer::Silence);
    }

    #[test]
    fn unsolicited_syns_pass_a_full_cone_and_are_dropped_or_refused_by_others() {
        for (refuses, answer) in [(false, Answer::Silence), (true, Answer::Refused)] {
            let restricted = Nat { refuses, ..Nat::new(NatKind::AddressRestricted) };
            let mut net = Net::new(&[None, None, nat(NatKind::FullCone), Some(restricted)]);
            let (open, shut) = (net.seen(2, 0), net.seen(3, 0));
            assert!(matches!(net.knock(1, open), Answer::Accepted(PeerIndex(2), _)));
            assert_eq!(net.knock(1, shut), answer);
            let solicited = net.knock(0, shut);
            assert!(matches!(solicited, Answer::Crossed((PeerIndex(3), _))));
        }
    }

    #[test]
    fn syns_that_cross_connect_both() {
        let mut net = Net::new(&[None, nat(NatKind::PortRestricted), nat(NatKind::PortRestricted)]);
        let (a, b) = (net.seen(1, 0), net.seen(2, 0));
        let (to_b, to_a) = (net.connect(1, b), net.connect(2, a));
        assert_eq!((net.syn(to_b), net.syn(to_a)), (a, b));
        let end = net.internet.waiting(to_a).unwrap();
        assert_eq!(net.internet.arrive(NOW, to_b, a, all), Answer::Crossed(end));
        // What is still under way, or sent again, changes nothing.
        assert_eq!(net.internet.arrive(NOW, to_a, b, all), Answer::Silence);
        assert!(net.internet.syn(NOW, to_b, &mut net.rng).is_none());
        assert!(net.internet.carries(NOW, end, (PeerIndex(1), ConnectionId(3))));
    }

    #[test]
    fn a_symmetric_translator_is_not_where_it_was_seen() {
        let mut net = Net::new(&[None, nat(NatKind::Symmetric), nat(NatKind::PortRestricted)]);
        let (a, b) = (net.seen(1, 0), net.seen(2, 0));
        let (to_b, to_a) = (net.connect(1, b), net.connect(2, a));
        assert_ne!(net.syn(to_b), a);
        let source = net.syn(to_a);
        assert_eq!(net.internet.arrive(NOW, to_a, source, all), Answer::Silence);
    }

    #[test]
    fn peers_behind_one_translator_meet_inside_or_by_hairpin() {
        for hairpin in [true, false] {
            let mut net = Net::new(&[None]);
            let nat = net.internet.add_nat(Nat { hairpin, ..Nat::new(NatKind::FullCone) });
            for index in [1, 2] {
                net.internet.place(PeerIndex(index), Some(nat), true);
            }
            let (outer, inner) = (net.seen(2, 0), net.listens(2));
            let reached = matches!(net.knock(1, outer), Answer::Accepted(PeerIndex(2), _));
            assert_eq!(reached, hairpin);
            let from = net.listens(1);
            assert_eq!(net.knock(1, inner), Answer::Accepted(PeerIndex(2), from));
        }
    }

    #[test]
    fn a_pair_of_addresses_in_use_takes_another_port() {
        let mut net = Net::new(&[None, None]);
        let to = net.listens(1);
        let ports = [net.connect(0, to), net.connect(0, to), net.connect(0, to)].map(|name| name.1);
        assert_eq!(ports, [LISTEN_PORT, FIRST_EPHEMERAL, FIRST_EPHEMERAL + 1]);
        net.internet.forget((PeerIndex(0), ConnectionId(1)));
        assert_eq!(net.connect(0, to).1, LISTEN_PORT);
    }

    #[test]
    fn syns_are_sent_again_ever_later() {
        let mut net = Net::new(&[None]);
        let name = net.connect(0, SocketAddrV4::new(Ipv4Addr::new(8, 8, 8, 8), 1));
        let waits = [(); 4].map(|()| net.internet.syn(NOW, name, &mut net.rng).unwrap().1);
        assert_eq!(waits.map(|wait| wait.as_secs()), [1, 2, 4, 8]);
        assert!(net.internet.syn(NOW, name, &mut net.rng).is_none());
    }
}
