//! A deterministic network of whole peers in one process and in virtual time.
//!
//! One heap of events, one seed: the same seed gives the same run, event by
//! event ([`World::digest`]). Transports are reliable byte streams, as TCP is:
//! loss shows as delay, a partition as silence.
//!
//! Peers find each other at `/memory/N`, without further ado. Those that are given
//! a [place](World::place) have addresses and ports instead, and may live behind
//! translators ([`Nat`]).
//!
//! ```
//! use core::time::Duration;
//! use polypeer::sim::{Silent, World};
//!
//! let mut world = World::new(1);
//! let (alice, bob) = (world.add(Silent), world.add(Silent));
//! let address = world.address(bob);
//! world.with(alice, |peer, _, now| { peer.dial(now, None, vec![address]); });
//! world.run_for(Duration::from_secs(1));
//! assert_eq!(world.peer(bob).node().peers().count(), 1);
//! ```

#[cfg(feature = "kad")]
pub mod dht;
#[cfg(feature = "store")]
mod disk;
mod happening;
mod nat;
mod network;
mod placed;
mod power;
#[cfg(feature = "pubsub")]
pub mod pubsub;
#[cfg(feature = "webrtc")]
mod rtc;
#[cfg(feature = "kad")]
mod shelf;
mod tcp;
#[cfg(test)]
mod tests;

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

use sha2::{Digest, Sha256};

use crate::address::{Multiaddr, Protocol};
use crate::connection::StreamEvent;
use crate::identity::Keypair;
use crate::node::{Config, ConnectionId, Event};
use crate::peer::{Output, Peer};
use crate::rng::Rng;
use crate::time::Instant;

#[cfg(feature = "store")]
pub use disk::Disk;
use happening::Happening;
pub use nat::{Nat, NatKind};
pub use network::Conditions;
use network::Links;
#[cfg(feature = "kad")]
pub use shelf::Shelf;
use tcp::Internet;
pub use tcp::NatIndex;

/// A peer of a [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIndex(pub usize);

/// What runs on a simulated peer.
pub trait Application {
    /// Something happened; the peer may be used at will.
    fn handle(&mut self, peer: &mut Peer, now: Instant, news: News);
}

/// What an [`Application`] is told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum News {
    /// An event of the node.
    Node(Event),
    /// An event of one of the application's streams.
    Stream(ConnectionId, StreamEvent),
}

/// An application that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Application for Silent {
    fn handle(&mut self, _: &mut Peer, _: Instant, _: News) {}
}

/// One end of a link.
type End = (PeerIndex, ConnectionId);

/// How long a dial into a partition takes to fail, as TCP's do.
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);

/// A network of peers that all run an `A`.
pub struct World<A> {
    now: Instant,
    rng: Rng,
    hosts: Vec<Host<A>>,
    heap: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    /// Numbers events, so that those of one moment keep their order.
    sequence: u64,
    links: Links,
    internet: Internet,
    log: Sha256,
    events: u64,
    #[cfg(feature = "webrtc")]
    stacks: rtc::Stacks,
}

struct Host<A> {
    peer: Peer,
    app: A,
    timer: Option<Instant>,
    /// Peers of different groups cannot reach each other.
    group: u32,
    /// What is sent to it is lost.
    deaf: bool,
    /// What happens to it while it sleeps, if it does.
    asleep: Option<Vec<Happening>>,
    /// It is stopped: dials to it are refused.
    down: bool,
    config: Config,
    /// What the peer wrote down.
    #[cfg(feature = "store")]
    disk: Disk,
    #[cfg(feature = "kad")]
    shelf: Option<Shelf>,
}

impl<A: Application> World<A> {
    /// An empty network; everything that happens in it follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            rng: Rng::from_number(seed),
            hosts: Vec::new(),
            heap: BinaryHeap::new(),
            sequence: 0,
            links: Links::default(),
            internet: Internet::default(),
            log: Sha256::new(),
            events: 0,
            #[cfg(feature = "webrtc")]
            stacks: rtc::Stacks::default(),
        }
    }

    /// Adds a peer with the default configuration.
    pub fn add(&mut self, app: A) -> PeerIndex {
        self.add_with(app, |_| {})
    }

    /// Adds a peer, its configuration changed by `configure`.
    pub fn add_with(&mut self, app: A, configure: impl FnOnce(&mut Config)) -> PeerIndex {
        let index = PeerIndex(self.hosts.len());
        let mut config = Config::new(Keypair::generate_ed25519(&mut self.rng));
        configure(&mut config);
        let mut peer = Peer::new(config.clone(), self.rng.fork());
        peer.listening(self.now, memory(index));
        self.hosts.push(Host {
            peer,
            app,
            timer: None,
            group: 0,
            deaf: false,
            asleep: None,
            down: false,
            config,
            #[cfg(feature = "store")]
            disk: Disk::default(),
            #[cfg(feature = "kad")]
            shelf: None,
        });
        self.drain(index);
        index
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many events have happened.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// A fingerprint of everything that has happened: equal for equal runs.
    pub fn digest(&self) -> [u8; 32] {
        self.log.clone().finalize().into()
    }

    /// Where a peer can be dialed.
    pub fn address(&self, index: PeerIndex) -> Multiaddr {
        let address = self.internet.listens_at(index).unwrap_or_else(|| memory(index));
        address.with_peer(self.peer(index).node().peer_id())
    }

    /// A peer, to ask it things.
    pub fn peer(&self, index: PeerIndex) -> &Peer {
        &self.hosts[index.0].peer
    }

    /// A peer's application, to ask it things.
    pub fn app(&self, index: PeerIndex) -> &A {
        &self.hosts[index.0].app
    }

    /// All peers.
    pub fn peers(&self) -> impl Iterator<Item = PeerIndex> + use<A> {
        (0..self.hosts.len()).map(PeerIndex)
    }

    /// Uses a peer and its application, and carries out what comes of it.
    pub fn with<T>(
        &mut self,
        index: PeerIndex,
        act: impl FnOnce(&mut Peer, &mut A, Instant) -> T,
    ) -> T {
        let host = &mut self.hosts[index.0];
        let result = act(&mut host.peer, &mut host.app, self.now);
        self.drain(index);
        result
    }

    /// The conditions of all links, from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.links.conditions = conditions;
    }

    /// Puts a peer in a group; peers of different groups cannot reach each other,
    /// and what they send waits until they can.
    pub fn set_group(&mut self, index: PeerIndex, group: u32) {
        self.hosts[index.0].group = group;
        let groups: Vec<u32> = self.hosts.iter().map(|host| host.group).collect();
        let (internet, now) = (&mut self.internet, self.now);
        let reach = |a: End, b: End| groups[a.0.0] == groups[b.0.0] && internet.carries(now, a, b);
        for end in self.links.heal(reach) {
            self.schedule(Duration::ZERO, Happening::Room(end));
        }
    }

    /// From now on a peer accepts transports, and what comes over them is lost: it
    /// says nothing.
    pub fn deafen(&mut self, index: PeerIndex) {
        self.hosts[index.0].deaf = true;
    }

    /// Cuts a connection's transport, as a router that restarts does.
    pub fn cut(&mut self, index: PeerIndex, connection: ConnectionId) {
        let end = (index, connection);
        let other = self.links.remove(end);
        for end in other.into_iter().chain([end]) {
            self.schedule(Duration::ZERO, Happening::Ended(end));
        }
    }

    /// Lets the next event happen; `false` if there is none.
    pub fn step(&mut self) -> bool {
        let Some(Reverse((at, _, happening))) = self.heap.pop() else { return false };
        self.now = self.now.max(at);
        self.events += 1;
        happening.record(self.now, &mut self.log);
        self.happen(happening);
        true
    }

    /// Lets happen what happens in the next `duration`.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.heap.peek().is_some_and(|Reverse((at, ..))| *at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// Lets things happen until `done`, for `limit` at most; whether it came to it.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            if self.heap.peek().is_none_or(|Reverse((at, ..))| *at > end) {
                return false;
            }
            self.step();
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        if let Some(waiting) = &mut self.hosts[happening.whose().0].asleep {
            return waiting.push(happening);
        }
        let now = self.now;
        let index = match happening {
            Happening::Timer(index) => {
                let host = &mut self.hosts[index.0];
                if host.timer.is_none_or(|at| at > now) {
                    return;
                }
                host.timer = None;
                host.peer.handle_timeout(now);
                index
            }
            Happening::Knock { from, to, relayed } => {
                let remote = memory(from.0);
                let remote = if relayed { remote.with_circuit() } else { remote };
                self.accept(from, to, remote);
                to
            }
            Happening::SynDue(name) => return self.send_syn(name),
            Happening::Syn(name, source) => match self.syn_arrives(name, source) {
                Some(index) => index,
                None => return,
            },
            Happening::Reset(name) => match self.refused(name) {
                Some(index) => index,
                None => return,
            },
            Happening::DialFailed((index, id), reason) => {
                self.internet.forget((index, id));
                self.hosts[index.0].peer.dial_failed(now, id, reason.into());
                index
            }
            Happening::Open((index, id)) => {
                #[cfg(feature = "addresses")]
                self.locate((index, id));
                if !self.hosts[index.0].peer.connected(now, id) {
                    self.close((index, id));
                }
                index
            }
            Happening::Deliver { to, bytes } => {
                if !self.hosts[to.0.0].deaf {
                    self.links.deliver(to, bytes);
                }
                to.0
            }
            Happening::Ended((index, id)) => {
                self.internet.forget((index, id));
                self.hosts[index.0].peer.closed(now, id, "ended".into());
                index
            }
            Happening::Room(end) => {
                self.transmit(end);
                end.0
            }
            #[cfg(feature = "webrtc")]
            Happening::Meet(one, other) => {
                self.meet(one, other);
                one.0
            }
            #[cfg(feature = "webrtc")]
            Happening::RtcFailed(end, number) => {
                self.rtc_late(end, number);
                end.0
            }
        };
        self.drain(index);
    }

    /// Carries out what a peer wants, until it wants nothing more.
    fn drain(&mut self, index: PeerIndex) {
        loop {
            self.read(index);
            let host = &mut self.hosts[index.0];
            let Some(output) = host.peer.poll_output() else { break };
            match output {
                Output::Dial { connection, address } => self.dial((index, connection), &address),
                #[cfg(feature = "dcutr")]
                Output::Punch { connection, address } => self.punch((index, connection), &address),
                Output::Transmit(connection) => self.transmit((index, connection)),
                Output::Drop(connection) => self.close((index, connection)),
                #[cfg(feature = "relay")]
                Output::Ended(connection) => {
                    host.peer.closed(self.now, connection, "the circuit ended".into());
                }
                Output::Verify { connection, .. } => {
                    host.peer.verified(self.now, connection, false);
                }
                Output::Stream(connection, event) => {
                    host.app.handle(&mut host.peer, self.now, News::Stream(connection, event));
                }
                Output::Event(event) => {
                    host.app.handle(&mut host.peer, self.now, News::Node(event));
                }
                #[cfg(feature = "webrtc")]
                Output::Rtc { connection, order } => self.rtc((index, connection), order),
                #[cfg(feature = "kad")]
                Output::Records(order) => self.carry_out(index, order),
                #[cfg(feature = "store")]
                Output::Store(change) => host.disk.apply(change),
            }
        }
        let host = &mut self.hosts[index.0];
        let wanted = host.peer.poll_timeout();
        if let Some(at) = wanted
            && host.timer.is_none_or(|timer| timer > at)
        {
            host.timer = Some(at);
            self.schedule(at - self.now, Happening::Timer(index));
        }
    }

    /// Hands a peer what has arrived on those of its links that it reads.
    fn read(&mut self, index: PeerIndex) {
        let peer = &mut self.hosts[index.0].peer;
        for id in self.links.waiting(index) {
            if !peer.wants_read(id) {
                continue;
            }
            if let Some((mut bytes, sender)) = self.links.take((index, id)) {
                peer.receive(self.now, id, &mut bytes);
                self.sequence += 1;
                let room = Happening::Room(sender);
                self.heap.push(Reverse((self.now, self.sequence, room)));
            }
        }
    }

    fn accept(&mut self, from: End, to: PeerIndex, remote: Multiaddr) -> Option<ConnectionId> {
        let delay = self.links.delay(&mut self.rng);
        let host = &mut self.hosts[to.0];
        let accepted = if host.down { None } else { host.peer.accepted(self.now, remote).ok() };
        let Some(id) = accepted else {
            self.schedule(delay, Happening::DialFailed(from, "refused"));
            return None;
        };
        self.links.insert(from, (to, id));
        self.links.begins((to, id), self.now + delay);
        self.schedule(delay, Happening::Open(from));
        Some(id)
    }

    fn dial(&mut self, from: End, address: &Multiaddr) {
        if let Some(remote) = tcp::endpoint(address) {
            return self.connect(from, remote, false);
        }
        let delay = self.links.delay(&mut self.rng);
        let target = match address.iter().next() {
            Some(Protocol::Memory(number)) => {
                usize::try_from(number).ok().filter(|n| *n < self.hosts.len()).map(PeerIndex)
            }
            _ => None,
        };
        match target {
            Some(to) if self.reachable(from.0, to) => {
                let relayed = address.is_circuit();
                self.schedule(delay, Happening::Knock { from, to, relayed });
            }
            Some(_) => self.schedule(DIAL_TIMEOUT, Happening::DialFailed(from, "timed out")),
            None => self.schedule(delay * 2, Happening::DialFailed(from, "nobody is there")),
        }
    }

    fn transmit(&mut self, from: End) {
        let (index, id) = from;
        while let Some(room) = self.links.room(from) {
            let mut bytes = Vec::new();
            if self.hosts[index.0].peer.transmit(self.now, id, &mut bytes, room) == 0 {
                break;
            }
            let other = self.links.other(from);
            let reachable = other.is_some_and(|other| {
                self.reachable(index, other.0) && self.internet.carries(self.now, from, other)
            });
            #[cfg(feature = "webrtc")]
            let bytes = self.over_channels(from, bytes, reachable);
            let sent = self.links.send(from, bytes, self.now, reachable, &mut self.rng);
            if let Some((delay, to, bytes)) = sent {
                self.schedule(delay, Happening::Deliver { to, bytes });
            }
        }
    }

    fn close(&mut self, end: End) {
        self.internet.forget(end);
        #[cfg(feature = "webrtc")]
        self.rtc_dropped(end);
        let after = self.links.last_arrival(end).since(self.now);
        if let Some(other) = self.links.remove(end) {
            let delay = self.links.delay(&mut self.rng).max(after);
            self.schedule(delay, Happening::Ended(other));
        }
    }

    fn reachable(&self, a: PeerIndex, b: PeerIndex) -> bool {
        self.hosts[a.0].group == self.hosts[b.0].group
    }

    fn schedule(&mut self, delay: Duration, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse((self.now + delay, self.sequence, happening)));
    }
}

/// The address of a simulated peer, without its PeerId.
fn memory(index: PeerIndex) -> Multiaddr {
    let address = Multiaddr::empty().with(Protocol::Memory(index.0 as u64));
    // A number's address is well-formed, whatever the number.
    address.unwrap_or_else(|_| Multiaddr::empty())
}
