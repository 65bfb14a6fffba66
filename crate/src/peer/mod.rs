//! A whole peer driven in place: the node and its connections in one struct,
//! for hosts with one thread (a page, Node.js, the simulator).
//!
//! ```text
//! host ── connected, accepted, receive, closed, handle_timeout ──▶ Peer
//! host ◀── poll_output: Dial, Transmit, Drop, Verify, Event ────── Peer
//! ```
//!
//! The loop of a host: bring news in, then drain [`Peer::poll_output`] until it
//! is `None`, then wait for bytes or [`Peer::poll_timeout`]. Several calls
//! between two drains are legal.

#[cfg(feature = "relay")]
mod carrying;
#[cfg(feature = "limits")]
mod limiting;
#[cfg(feature = "manager")]
mod managing;
#[cfg(feature = "rendezvous")]
mod meeting;
#[cfg(feature = "pubsub")]
mod pubsub;
#[cfg(feature = "addresses")]
mod reaching;
#[cfg(feature = "relay")]
mod relaying;
#[cfg(feature = "kad")]
mod routing;
#[cfg(feature = "service")]
mod serving;
#[cfg(feature = "webrtc")]
mod signalling;
#[cfg(feature = "store")]
mod storing;

use core::time::Duration;
use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::{Map, Set};
use crate::connection::{
    Carrier, Connection, Stream, StreamError, StreamEvent, StreamId, ToNode, VerifyRequest,
};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::{
    Config, ConnectionId, DialId, Event, Node, Output as NodeOutput, PingId, Refused,
};
use crate::rng::Rng;
use crate::swarm::DialOptions;
use crate::time::{Instant, earliest};

/// What the host is to do, in order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Open a transport to `address` and answer with [`Peer::connected`] or
    /// [`Peer::dial_failed`].
    Dial {
        /// The number of the connection to be.
        connection: ConnectionId,
        /// Where to.
        address: Multiaddr,
    },
    /// As `Dial`, with the same answers; see [`Output::Punch`](crate::node::Output).
    #[cfg(feature = "dcutr")]
    Punch {
        /// The number of the connection to be.
        connection: ConnectionId,
        /// Where to.
        address: Multiaddr,
    },
    /// The connection has bytes to send: call [`Peer::transmit`] until it
    /// returns zero, as the transport takes them.
    Transmit(ConnectionId),
    /// Close the transport, or give its dial up. What [`Peer::transmit`] gave
    /// before still belongs to the wire; nothing more is said of the connection.
    Drop(ConnectionId),
    /// Verify a signature and answer with [`Peer::verified`].
    Verify {
        /// The connection whose handshake waits.
        connection: ConnectionId,
        /// What to verify.
        request: VerifyRequest,
    },
    /// The stream under a connection has ended: fetch what the connection's own
    /// streams still hold, and call [`Peer::closed`].
    #[cfg(feature = "relay")]
    Ended(ConnectionId),
    /// News of a stream of the application.
    Stream(ConnectionId, StreamEvent),
    /// Do this for a WebRTC connection that is to be, and answer with
    /// [`Peer::rtc_described`], [`Peer::rtc_found`], [`Peer::rtc_connected`] or
    /// [`Peer::rtc_failed`].
    #[cfg(feature = "webrtc")]
    Rtc {
        /// The connection to be.
        connection: ConnectionId,
        /// What is to be done.
        order: crate::protocols::webrtc::HostOrder,
    },
    /// Tell the application.
    Event(Event),
    /// Carry this out in the store for what is kept for others; only asked of hosts that
    /// said [`Peer::store_records`].
    #[cfg(feature = "kad")]
    Records(crate::records::Order),
    /// Write this down, after what came before it.
    #[cfg(feature = "store")]
    Store(crate::swarm::store::Change),
}

/// A whole peer driven in place. See the [module](self).
pub struct Peer {
    node: Node,
    connections: Map<ConnectionId, Box<Link>>,
    /// When connections want [`Connection::handle_timeout`].
    deadlines: Set<(Instant, ConnectionId)>,
    /// Connections whose streams may have news that is not passed on yet.
    pumped: Set<ConnectionId>,
    outputs: VecDeque<Output>,
    #[cfg(feature = "relay")]
    carried: carrying::Carried,
}

struct Link {
    connection: Connection,
    deadline: Option<Instant>,
    /// The host knows that there is something to send.
    told: bool,
}

impl Peer {
    /// A peer that knows nobody.
    pub fn new(config: Config, rng: Rng) -> Self {
        Self {
            node: Node::new(config, rng),
            connections: Map::new(),
            deadlines: Set::new(),
            pumped: Set::new(),
            outputs: VecDeque::new(),
            #[cfg(feature = "relay")]
            carried: carrying::Carried::default(),
        }
    }

    /// The brain, to ask it things.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// A connection, to ask it things.
    pub fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(&id).map(|link| &link.connection)
    }

    // News from the host.

    /// The transport that [`Output::Dial`] asked for is open. `false` if it is
    /// not wanted any more: close it.
    pub fn connected(&mut self, now: Instant, id: ConnectionId) -> bool {
        self.connected_over(now, id, Carrier::Bytes)
    }

    /// As [`Peer::connected`], over something else than bytes.
    pub fn connected_over(&mut self, now: Instant, id: ConnectionId, carrier: Carrier) -> bool {
        match self.node.connected_over(now, id, carrier) {
            Some(connection) => {
                self.insert(now, id, connection);
                true
            }
            None => false,
        }
    }

    /// The transport that [`Output::Dial`] asked for cannot be had.
    pub fn dial_failed(&mut self, now: Instant, id: ConnectionId, reason: String) {
        self.node.dial_failed(now, id, reason);
        self.settle(now);
    }

    /// A remote opened a transport to us.
    pub fn accepted(&mut self, now: Instant, remote: Multiaddr) -> Result<ConnectionId, Refused> {
        self.accepted_over(now, remote, Carrier::Bytes)
    }

    /// As [`Peer::accepted`], over something else than bytes.
    pub fn accepted_over(
        &mut self,
        now: Instant,
        remote: Multiaddr,
        carrier: Carrier,
    ) -> Result<ConnectionId, Refused> {
        match self.node.accepted_over(now, remote, carrier) {
            Ok((id, connection)) => {
                self.insert(now, id, connection);
                Ok(id)
            }
            Err(refused) => {
                // Others may have been given up for it.
                self.settle(now);
                Err(refused)
            }
        }
    }

    /// The host listens on `address` from now on.
    pub fn listening(&mut self, now: Instant, address: Multiaddr) {
        self.node.listening(now, address);
        self.settle(now);
    }

    /// The host has stopped listening on `address`.
    pub fn unlistened(&mut self, now: Instant, address: &Multiaddr) {
        self.node.unlistened(now, address);
        self.settle(now);
    }

    /// Bytes came over a transport; they are decrypted in place.
    pub fn receive(&mut self, now: Instant, id: ConnectionId, bytes: &mut [u8]) {
        if let Some(link) = self.connections.get_mut(&id) {
            link.connection.receive(now, bytes);
            self.advance(now, id);
        }
    }

    /// Whether bytes of a transport are welcome; while not, leave them there.
    pub fn wants_read(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_none_or(|link| link.connection.wants_read())
    }

    /// Appends bytes for the transport to `out`, `budget` at most and that at
    /// least 64, and returns their number; zero when there is nothing to send
    /// now, after which [`Output::Transmit`] tells when there is.
    pub fn transmit(
        &mut self,
        now: Instant,
        id: ConnectionId,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> usize {
        let Some(link) = self.connections.get_mut(&id) else { return 0 };
        let count = link.connection.transmit(now, out, budget);
        if count == 0 {
            link.told = false;
        }
        self.advance(now, id);
        count
    }

    /// A transport ended or failed.
    pub fn closed(&mut self, now: Instant, id: ConnectionId, reason: String) {
        if let Some(link) = self.connections.get_mut(&id) {
            link.connection.transport_closed(reason);
            self.advance(now, id);
        }
    }

    /// The verdict on the signature of [`Output::Verify`].
    pub fn verified(&mut self, now: Instant, id: ConnectionId, good: bool) {
        if let Some(link) = self.connections.get_mut(&id) {
            link.connection.verified(now, good);
            self.advance(now, id);
        }
    }

    /// When [`Peer::handle_timeout`] is due; early calls are harmless.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let first = earliest(self.deadlines.first().map(|(at, _)| *at), self.node.poll_timeout());
        #[cfg(feature = "relay")]
        let first = earliest(first, self.carried.poll_timeout());
        first
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, id)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, id));
            if let Some(link) = self.connections.get_mut(&id) {
                link.deadline = None;
                link.connection.handle_timeout(now);
                self.advance(now, id);
            }
        }
        self.node.handle_timeout(now);
        #[cfg(feature = "relay")]
        self.time_carried(now);
        self.settle(now);
    }

    /// What the host is to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    // The application.

    /// Dials a peer; see [`Node::dial`].
    pub fn dial(
        &mut self,
        now: Instant,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    ) -> DialId {
        self.dial_with(now, peer, addresses, DialOptions::default())
    }

    /// As [`Peer::dial`], otherwise than usual.
    pub fn dial_with(
        &mut self,
        now: Instant,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        options: DialOptions,
    ) -> DialId {
        let id = self.node.dial_with(now, peer, addresses, options);
        self.settle(now);
        id
    }

    /// Takes a dial back; see [`Node::cancel_dial`].
    pub fn cancel_dial(&mut self, now: Instant, dial: DialId) {
        self.node.cancel_dial(now, dial);
        self.settle(now);
    }

    /// Answers inbound streams of `protocol` from now on.
    pub fn handle(&mut self, now: Instant, protocol: Name) {
        self.node.handle(now, protocol);
        self.settle(now);
    }

    /// Refuses inbound streams of `protocol` from now on.
    pub fn unhandle(&mut self, now: Instant, protocol: &str) {
        self.node.unhandle(now, protocol);
        self.settle(now);
    }

    /// Pings the remote of a connection; [`Event::Pinged`] answers.
    pub fn ping(&mut self, now: Instant, connection: ConnectionId) -> PingId {
        let ping = self.node.ping(now, connection);
        self.settle(now);
        ping
    }

    /// Closes a connection, politely.
    pub fn close(&mut self, now: Instant, connection: ConnectionId) {
        self.node.close(connection);
        self.settle(now);
    }

    /// Closes all connections to a peer, politely.
    pub fn hang_up(&mut self, now: Instant, peer: &PeerId) {
        self.node.hang_up(peer);
        self.settle(now);
    }

    /// As [`Peer::open_stream`], on connections that a relay limits too; see
    /// [`Connection::open_limited`].
    #[cfg(feature = "relay")]
    pub fn open_limited_stream(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        protocols: Vec<Name>,
    ) -> Result<StreamId, StreamError> {
        let link = self.connections.get_mut(&connection).ok_or(StreamError::NotConnected)?;
        let result = link.connection.open_limited(now, protocols);
        self.advance(now, connection);
        result
    }

    /// Opens a stream; see [`Connection::open`].
    pub fn open_stream(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        protocols: Vec<Name>,
    ) -> Result<StreamId, StreamError> {
        let link = self.connections.get_mut(&connection).ok_or(StreamError::NotConnected)?;
        let result = link.connection.open(now, protocols);
        self.advance(now, connection);
        result
    }

    /// Lends a stream; call [`Peer::touched`] after writing, reading or finishing.
    pub fn stream(&mut self, connection: ConnectionId, stream: StreamId) -> Option<Stream<'_>> {
        self.connections.get_mut(&connection)?.connection.stream(stream)
    }

    /// Takes up what was done to the streams of a connection: there may be bytes
    /// to send. One call after several operations will do.
    pub fn touched(&mut self, now: Instant, connection: ConnectionId) {
        self.advance(now, connection);
    }

    /// Gives a stream up, both ways; no event follows.
    pub fn reset_stream(&mut self, now: Instant, connection: ConnectionId, stream: StreamId) {
        if let Some(link) = self.connections.get_mut(&connection) {
            link.connection.reset(stream);
            self.advance(now, connection);
        }
    }

    /// The measured round trip of a connection.
    pub fn rtt(&self, connection: ConnectionId) -> Option<Duration> {
        self.connection(connection)?.rtt()
    }

    // The crank.

    fn insert(&mut self, now: Instant, id: ConnectionId, connection: Connection) {
        self.add(id, connection);
        self.advance(now, id);
    }

    fn add(&mut self, id: ConnectionId, connection: Connection) {
        let link = Link { connection, deadline: None, told: false };
        self.connections.insert(id, Box::new(link));
    }

    /// Carries the news of one connection on, and what the node makes of them.
    fn advance(&mut self, now: Instant, id: ConnectionId) {
        self.pump(now, id);
        self.settle(now);
    }

    fn pump(&mut self, now: Instant, id: ConnectionId) {
        let Some(link) = self.connections.get_mut(&id) else { return };
        self.pumped.insert(id);
        if let Some(request) = link.connection.poll_verify() {
            self.outputs.push_back(Output::Verify { connection: id, request });
        }
        if link.connection.is_finished() {
            link.connection.transport_closed(String::new());
        }
        let mut over = false;
        while let Some(news) = link.connection.poll_node() {
            over |= matches!(news, ToNode::Closed { .. });
            self.node.handle_connection(now, id, news);
        }
        if over {
            return self.drop_link(now, id);
        }
        #[cfg(feature = "relay")]
        let tunnelled = self.carried.stirs(id);
        #[cfg(not(feature = "relay"))]
        let tunnelled = false;
        if !tunnelled && !link.told && link.connection.wants_transmit() {
            link.told = true;
            self.outputs.push_back(Output::Transmit(id));
        }
        let deadline = link.connection.poll_timeout();
        if deadline != link.deadline {
            if let Some(at) = link.deadline {
                self.deadlines.remove(&(at, id));
            }
            if let Some(at) = deadline {
                self.deadlines.insert((at, id));
            }
            link.deadline = deadline;
        }
    }

    /// Carries out what the node wants until it wants nothing more.
    fn settle(&mut self, now: Instant) {
        self.settle_once(now);
        #[cfg(feature = "relay")]
        while !self.carried.is_settled() {
            self.carry(now);
            self.settle_once(now);
        }
        #[cfg(feature = "relay")]
        self.tell_ended();
    }

    fn settle_once(&mut self, now: Instant) {
        while let Some(output) = self.next_output() {
            match output {
                NodeOutput::Dial { connection, address } => {
                    self.outputs.push_back(Output::Dial { connection, address });
                }
                #[cfg(feature = "dcutr")]
                NodeOutput::Punch { connection, address, .. } => {
                    self.outputs.push_back(Output::Punch { connection, address });
                }
                // Hosts of one thread never dial from ports that they listen on.
                #[cfg(feature = "autonat")]
                NodeOutput::DialBack { connection, address } => {
                    self.outputs.push_back(Output::Dial { connection, address });
                }
                NodeOutput::Connection(id, message) => {
                    if let Some(link) = self.connections.get_mut(&id) {
                        link.connection.handle_node(now, message);
                        self.pump(now, id);
                    }
                }
                NodeOutput::Drop(id) => self.drop_link(now, id),
                #[cfg(feature = "relay")]
                NodeOutput::Tunnel { connection, via, stream } => {
                    self.tunnel(now, connection, (via, stream));
                }
                #[cfg(feature = "relay")]
                NodeOutput::Splice { circuit, ends, limit, pace } => {
                    self.splice(now, (circuit, ends), limit, pace);
                }
                #[cfg(feature = "webrtc")]
                NodeOutput::Rtc { connection, order } => {
                    self.outputs.push_back(Output::Rtc { connection, order });
                }
                NodeOutput::Event(event) => self.outputs.push_back(Output::Event(event)),
                #[cfg(feature = "kad")]
                NodeOutput::Records(order) => self.outputs.push_back(Output::Records(order)),
                #[cfg(feature = "store")]
                NodeOutput::Store(change) => self.outputs.push_back(Output::Store(change)),
            }
        }
        // Last, so that the node has told of a stream before the stream has news.
        while let Some(id) = self.pumped.pop_first() {
            let Some(link) = self.connections.get_mut(&id) else { continue };
            while let Some(event) = link.connection.poll_stream() {
                #[cfg(feature = "relay")]
                if self.carried.hears(id, &event) {
                    continue;
                }
                self.outputs.push_back(Output::Stream(id, event));
            }
        }
    }

    fn next_output(&mut self) -> Option<NodeOutput> {
        let output = self.node.poll_output();
        if output.is_none() && self.node.flush() { self.node.poll_output() } else { output }
    }

    fn drop_link(&mut self, now: Instant, id: ConnectionId) {
        if let Some(link) = self.connections.remove(&id)
            && let Some(at) = link.deadline
        {
            self.deadlines.remove(&(at, id));
        }
        #[cfg(feature = "relay")]
        {
            let tunnelled = self.carried.stirs(id);
            self.drop_carried(now, id);
            if tunnelled {
                return;
            }
        }
        #[cfg(not(feature = "relay"))]
        let _ = now;
        self.outputs.push_back(Output::Drop(id));
    }
}
