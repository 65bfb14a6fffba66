//! How messages get from one peer to another.

use core::cmp::Reverse;
use core::time::Duration;

use crate::address::{Multiaddr, Protocol as Part};
use crate::connection::{StreamError, StreamId};
use crate::identity::PeerId;
use crate::node::{ConnectionId, Direction, Event};
use crate::protocols::kad::{Order, QueryEvent};
use crate::protocols::{Action, Input, Protocol};
use crate::time::Instant;

use super::{APART, Done, MAX_LINKS, Network, ROUND_TRIPS, SILENCE};

/// One end of a connection.
pub(super) struct Link {
    pub(super) to: usize,
    /// Its name at the other end.
    there: ConnectionId,
    apart: Duration,
    used: Instant,
}

/// What happens at a time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    Timer(usize),
    /// A dial ends: with a connection to the peer of this index, or without.
    Dialed {
        from: usize,
        peer: PeerId,
        dial: u64,
        to: Option<usize>,
        apart: Duration,
    },
    /// The two ends of a connection have told each other what they are.
    Identified {
        host: usize,
        connection: ConnectionId,
    },
    Inbound {
        host: usize,
        connection: ConnectionId,
        stream: StreamId,
    },
    Message {
        host: usize,
        connection: ConnectionId,
        stream: StreamId,
        bytes: Vec<u8>,
    },
    Finished {
        host: usize,
        connection: ConnectionId,
        stream: StreamId,
    },
    Reset {
        host: usize,
        connection: ConnectionId,
        stream: StreamId,
    },
    Closed {
        host: usize,
        connection: ConnectionId,
    },
    Refused {
        host: usize,
        connection: ConnectionId,
        request: u64,
    },
}

/// The address of a peer: in the network of its group, with a number of its own.
pub(super) fn address(index: usize, group: usize) -> Multiaddr {
    // From 11.0.0.0 on: past the private networks, as far as groups go.
    let bits = u32::try_from(group).unwrap_or(u32::MAX).wrapping_mul(1 << 16);
    let ip = core::net::Ipv4Addr::from_bits(bits.wrapping_add(0x0b00_0001));
    format!("/ip4/{ip}/tcp/4001/memory/{index}").parse().unwrap_or_else(|_| Multiaddr::empty())
}

pub(super) fn index_of(address: &Multiaddr) -> Option<usize> {
    address.iter().find_map(|part| match part {
        Part::Memory(index) => usize::try_from(index).ok(),
        _ => None,
    })
}

impl Network {
    pub(super) fn schedule(&mut self, after: Duration, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse((self.now + after, self.sequence, happening)));
    }

    pub(super) fn step(&mut self) -> bool {
        let Some(Reverse((at, _, happening))) = self.heap.pop() else { return false };
        self.now = self.now.max(at);
        self.happen(happening);
        true
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Timer(index) => {
                let host = &mut self.hosts[index];
                if !host.alive || host.timer.is_none_or(|at| at > now) {
                    return;
                }
                host.timer = None;
                self.feed(index, Input::Timeout);
            }
            Happening::Dialed { from, peer, dial, to, apart } => {
                if self.hosts[from].dials.get(&peer) != Some(&dial) {
                    return;
                }
                self.hosts[from].dials.remove(&peer);
                match to.filter(|to| self.hosts[*to].alive) {
                    Some(to) => self.connect(from, to, apart),
                    None => {
                        self.hosts[from].kad.not_reached(now, &peer);
                        self.hosts[from].kad.advance(now);
                    }
                }
                self.drain(from);
            }
            Happening::Identified { host, connection } => {
                let Some(link) = self.hosts[host].links.get(&connection) else { return };
                let other = &self.hosts[link.to];
                let names = if other.kad.is_server() { &other.local.protocols[..] } else { &[] };
                let (names, addresses) = (names.to_vec(), other.local.addresses.clone());
                let kad = &mut self.hosts[host].kad;
                kad.identified(now, connection, (&names, &addresses));
                kad.advance(now);
                self.drain(host);
            }
            Happening::Inbound { host, connection, stream } => {
                let name = self.hosts[host].kad.name().clone();
                self.feed(host, Input::Inbound { connection, stream, protocol: &name });
            }
            Happening::Message { host, connection, stream, bytes } => {
                if !self.lies(host, connection, stream, &bytes) {
                    self.feed(host, Input::Message { connection, stream, bytes });
                }
            }
            Happening::Finished { host, connection, stream } => {
                self.feed(host, Input::Finished { connection, stream });
            }
            Happening::Reset { host, connection, stream } => {
                self.feed(host, Input::Reset { connection, stream });
            }
            Happening::Refused { host, connection, request } => {
                let error = StreamError::NotConnected;
                self.feed(host, Input::OpenFailed { connection, request, error });
            }
            Happening::Closed { host, connection } => self.closed(host, connection),
        }
    }

    fn feed(&mut self, index: usize, input: Input<'_>) {
        let host = &mut self.hosts[index];
        if host.alive {
            host.kad.handle(self.now, &host.local, input);
            self.drain(index);
        }
    }

    /// Carries out what a peer wants, until it wants nothing more.
    pub(super) fn drain(&mut self, index: usize) {
        while let Some(action) = self.hosts[index].kad.poll() {
            self.carry_out(index, action);
        }
        let wanted = self.hosts[index].kad.poll_timeout();
        let host = &mut self.hosts[index];
        if let Some(at) = wanted
            && host.timer.is_none_or(|timer| timer > at)
        {
            host.timer = Some(at);
            self.schedule(at - self.now, Happening::Timer(index));
        }
    }

    fn carry_out(&mut self, index: usize, action: Action) {
        match action {
            Action::Open { connection, request, .. } => self.open(index, connection, request),
            Action::Send { connection, stream, bytes } => {
                self.messages += 1;
                self.send(index, connection, |host, connection| Happening::Message {
                    host,
                    connection,
                    stream,
                    bytes,
                });
            }
            Action::Finish { connection, stream } => {
                self.send(index, connection, |host, connection| Happening::Finished {
                    host,
                    connection,
                    stream,
                });
            }
            Action::Reset { connection, stream } => {
                self.send(index, connection, |host, connection| Happening::Reset {
                    host,
                    connection,
                    stream,
                });
            }
            Action::Emit(Event::Dht { query, event }) => {
                let host = &mut self.hosts[index];
                match event {
                    QueryEvent::Done(summary) => {
                        let events = host.told.remove(&query).unwrap_or_default();
                        let Some((begin, dials)) = host.begun.remove(&query) else { return };
                        let (took, dials) = (self.now - begin, host.dialed - dials);
                        host.done.insert(query, Done { events, summary, took, dials });
                    }
                    event => host.told.entry(query).or_default().push(event),
                }
            }
            Action::Kad(Order::Reach { peer, addresses }) => self.reach(index, peer, &addresses),
            Action::Kad(Order::Forget { peer }) => _ = self.hosts[index].dials.remove(&peer),
            _ => {}
        }
    }

    fn open(&mut self, index: usize, connection: ConnectionId, request: u64) {
        let Some(link) = self.hosts[index].links.get_mut(&connection) else {
            let error = StreamError::NotConnected;
            return self.feed(index, Input::OpenFailed { connection, request, error });
        };
        link.used = self.now;
        let (to, apart) = (link.to, link.apart);
        if !self.hosts[to].kad.is_server() {
            let refused = Happening::Refused { host: index, connection, request };
            return self.schedule(2 * apart, refused);
        }
        self.next += 1;
        let stream = StreamId::from_number(self.next as u32);
        self.send(index, connection, |host, connection| Happening::Inbound {
            host,
            connection,
            stream,
        });
        let name = self.hosts[index].kad.name().clone();
        self.feed(index, Input::Opened { connection, request, stream, protocol: &name });
    }

    /// Has something happen at the other end of a connection.
    pub(super) fn send(
        &mut self,
        index: usize,
        connection: ConnectionId,
        news: impl FnOnce(usize, ConnectionId) -> Happening,
    ) {
        if let Some(link) = self.hosts[index].links.get(&connection) {
            let (apart, happening) = (link.apart, news(link.to, link.there));
            self.schedule(apart, happening);
        }
    }

    /// Dials a peer at the first of these addresses that is one.
    pub(super) fn reach(&mut self, index: usize, peer: PeerId, addresses: &[Multiaddr]) {
        self.next += 1;
        let dial = self.next;
        let apart = Duration::from_micros(APART.0 + self.rng.below(APART.1 - APART.0));
        let target = addresses.iter().find_map(index_of).filter(|to| *to < self.hosts.len());
        let host = &mut self.hosts[index];
        host.dials.insert(peer, dial);
        host.dialed += 1;
        let trips = if host.page { ROUND_TRIPS.1 } else { ROUND_TRIPS.0 };
        let there = target.filter(|to| self.hosts[*to].alive && self.hosts[*to].kad.is_server());
        // Who is somebody else says so in the handshake; who is gone says nothing.
        let to = there.filter(|to| self.hosts[*to].id == peer);
        let gone = target.is_some() && there.is_none();
        let after = if gone { SILENCE } else { 2 * apart * trips };
        self.schedule(after, Happening::Dialed { from: index, peer, dial, to, apart });
    }

    fn connect(&mut self, from: usize, to: usize, apart: Duration) {
        if let Some(known) = self.hosts[from].by_peer.get(&to).copied() {
            // They dialed each other.
            let peer = self.hosts[to].id;
            self.hosts[from].kad.reached(&peer, known);
            return;
        }
        self.next += 2;
        let [here, there] = [ConnectionId(self.next - 1), ConnectionId(self.next)];
        for (host, connection, other, at, direction) in [
            (from, here, to, there, Direction::Outbound),
            (to, there, from, here, Direction::Inbound),
        ] {
            self.make_room(host);
            let link = Link { to: other, there: at, apart, used: self.now };
            let (peer, remote) = (self.hosts[other].id, self.hosts[other].address.clone());
            self.hosts[host].links.insert(connection, link);
            self.hosts[host].by_peer.insert(other, connection);
            let input = Input::Connected { connection, peer: &peer, direction, remote: &remote };
            self.feed(host, input);
            self.schedule(2 * apart, Happening::Identified { host, connection });
        }
    }

    /// The connection that was used longest ago goes, if there are too many.
    fn make_room(&mut self, index: usize) {
        if self.hosts[index].links.len() < MAX_LINKS {
            return;
        }
        let links = self.hosts[index].links.iter();
        if let Some((connection, _)) = links.min_by_key(|(_, link)| link.used) {
            self.hang_up(index, *connection);
        }
    }

    fn hang_up(&mut self, index: usize, connection: ConnectionId) {
        self.send(index, connection, |host, connection| Happening::Closed { host, connection });
        self.closed(index, connection);
    }

    fn closed(&mut self, index: usize, connection: ConnectionId) {
        let host = &mut self.hosts[index];
        if let Some(link) = host.links.remove(&connection) {
            if host.by_peer.get(&link.to) == Some(&connection) {
                host.by_peer.remove(&link.to);
            }
            self.feed(index, Input::Disconnected { connection });
        }
    }

    /// The others notice that a peer is gone, after a while.
    pub(super) fn abandon(&mut self, index: usize, after: Duration) {
        let links: Vec<ConnectionId> = self.hosts[index].links.keys().copied().collect();
        for connection in links {
            let Some(link) = self.hosts[index].links.remove(&connection) else { continue };
            let closed = Happening::Closed { host: link.to, connection: link.there };
            self.schedule(after, closed);
        }
        self.hosts[index].by_peer.clear();
    }
}
