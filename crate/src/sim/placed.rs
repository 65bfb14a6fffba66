//! Peers with addresses and ports, behind translators or not.

use core::net::SocketAddrV4;

use super::tcp::{AFTER_REFUSAL, Answer, Name, address, endpoint};
use super::*;

impl<A: Application> World<A> {
    /// Adds a translator, for peers to be placed behind.
    pub fn add_nat(&mut self, nat: Nat) -> NatIndex {
        self.internet.add_nat(nat)
    }

    /// Gives a peer an IPv4 address, a public one or a private one behind a
    /// translator: it listens there on TCP, and no longer at `/memory/N`.
    pub fn place(&mut self, index: PeerIndex, nat: Option<NatIndex>) {
        self.place_with(index, nat, true);
    }

    /// As [`World::place`]; `reuses_port` says whether the peer's connections leave
    /// from the port that it listens on.
    pub fn place_with(&mut self, index: PeerIndex, nat: Option<NatIndex>, reuses_port: bool) {
        self.internet.place(index, nat, reuses_port);
        let listens_at = self.internet.listens_at(index);
        self.with(index, |peer, _, now| {
            peer.unlistened(now, &memory(index));
            listens_at.into_iter().for_each(|address| peer.listening(now, address));
        });
    }

    /// From now on no new transports come about between two peers with addresses;
    /// those that there are go on.
    pub fn block(&mut self, a: PeerIndex, b: PeerIndex) {
        self.internet.blocked.extend([(a, b), (b, a)]);
    }

    /// Takes [`World::block`] back.
    pub fn unblock(&mut self, a: PeerIndex, b: PeerIndex) {
        self.internet.blocked.retain(|pair| *pair != (a, b) && *pair != (b, a));
    }

    /// Dials again and again, from the port that is listened on.
    #[cfg(feature = "dcutr")]
    pub(super) fn punch(&mut self, from: End, address: &Multiaddr) {
        match endpoint(address) {
            Some(remote) => self.connect(from, remote, true),
            None => self.schedule(Duration::ZERO, Happening::DialFailed(from, "no such address")),
        }
    }

    pub(super) fn connect(&mut self, from: End, remote: SocketAddrV4, stubborn: bool) {
        match self.internet.connect(from, remote, stubborn) {
            Some(name) => self.send_syn(name),
            None => self.schedule(Duration::ZERO, Happening::DialFailed(from, "address in use")),
        }
    }

    /// Tells a peer where its end of a connection is.
    #[cfg(feature = "addresses")]
    pub(super) fn locate(&mut self, end: End) {
        if let Some(local) = self.internet.local(end) {
            self.hosts[end.0.0].peer.located(end.1, local);
        }
    }

    pub(super) fn send_syn(&mut self, name: Name) {
        let Some(end) = self.internet.waiting(name) else { return };
        if !self.internet.is_due(self.now, name) {
            return;
        }
        let sent = self.internet.syn(self.now, name, &mut self.rng);
        let Some((source, again)) = sent else {
            return self.schedule(Duration::ZERO, Happening::DialFailed(end, "timed out"));
        };
        self.schedule(again, Happening::SynDue(name));
        if !self.links.loses(&mut self.rng) {
            let delay = self.links.delay(&mut self.rng);
            self.schedule(delay, Happening::Syn(name, source));
        }
    }

    /// A SYN has come; which peer has news of it.
    pub(super) fn syn_arrives(&mut self, name: Name, source: SocketAddrV4) -> Option<PeerIndex> {
        let origin = self.internet.waiting(name)?;
        let here = &self.hosts[origin.0.0];
        let reaches = |to: PeerIndex| {
            let there = &self.hosts[to.0];
            there.group == here.group && there.asleep.is_none()
        };
        match self.internet.arrive(self.now, name, source, reaches) {
            Answer::Silence => None,
            Answer::Refused => {
                let delay = self.links.delay(&mut self.rng);
                self.schedule(delay, Happening::Reset(name));
                None
            }
            Answer::Accepted(to, remote) => {
                let id = self.accept(origin, to, address(remote))?;
                self.internet.connected(origin);
                self.internet.accepted((to, id), remote);
                #[cfg(feature = "addresses")]
                self.locate((to, id));
                Some(to)
            }
            Answer::Crossed(end) => {
                self.links.insert(origin, end);
                for (end, other) in [(origin, end), (end, origin)] {
                    let delay = self.links.delay(&mut self.rng);
                    self.links.begins(other, self.now + delay);
                    self.schedule(delay, Happening::Open(end));
                }
                None
            }
        }
    }

    /// A SYN was refused; which peer has news of it.
    pub(super) fn refused(&mut self, name: Name) -> Option<PeerIndex> {
        let end = self.internet.waiting(name)?;
        if self.internet.is_stubborn(name) {
            self.schedule(AFTER_REFUSAL, Happening::SynDue(name));
            return None;
        }
        self.internet.forget(end);
        self.hosts[end.0.0].peer.dial_failed(self.now, end.1, "refused".into());
        Some(end.0)
    }
}
