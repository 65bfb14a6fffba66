//! What the node wants of its host, and what it tells the application.

use core::time::Duration;

use thiserror::Error;

use crate::address::Multiaddr;
#[cfg(feature = "dcutr")]
use crate::connection::Role;
use crate::connection::{self, StreamId, ToConnection};
use crate::identity::PeerId;
use crate::negotiate::Name;
#[cfg(feature = "dcutr")]
use crate::protocols::dcutr;
#[cfg(feature = "relay")]
use crate::protocols::relay;
use crate::protocols::{identify, ping};

/// A connection of this node, unique for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A dial that the application asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// A ping that the application asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PingId(pub u64);

/// Who dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The remote did.
    Inbound,
    /// We did.
    Outbound,
}

/// What the host is to do, in order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Open a transport to `address` and answer with `connected` or `dial_failed`.
    Dial {
        /// The number of the connection to be.
        connection: ConnectionId,
        /// Where to.
        address: Multiaddr,
    },
    /// As `Dial`, from the port that is listened on and from no other, and again
    /// while it is refused, until it is dropped: the remote does the same at the same
    /// time (simultaneous open). Over QUIC only the initiator dials; the responder sends
    /// datagrams that open its network for it, and its attempt comes to nothing.
    #[cfg(feature = "dcutr")]
    Punch {
        /// Whether we dial, where only one may.
        role: Role,
        /// The number of the connection to be.
        connection: ConnectionId,
        /// Where to.
        address: Multiaddr,
    },
    /// Hand this to the connection.
    Connection(ConnectionId, ToConnection),
    /// Close the transport of this connection, or give its dial up. It is
    /// forgotten: nothing more is said of it on either side.
    Drop(ConnectionId),
    /// As [`Output::Dial`], but from a port of its own, and not one that is listened
    /// on: for a peer that wants to know whether it can be dialed.
    #[cfg(feature = "autonat")]
    DialBack {
        /// The number of the connection to be.
        connection: ConnectionId,
        /// Where to.
        address: Multiaddr,
    },
    /// Lay a connection over a stream that now leads to another peer, which is
    /// detached for it ([`Connection::carry`](crate::connection::Connection::carry)):
    /// [`Node::tunnelled`](super::Node::tunnelled) has it.
    #[cfg(feature = "relay")]
    Tunnel {
        /// The connection to be.
        connection: ConnectionId,
        /// The connection to the relay.
        via: ConnectionId,
        /// The stream on it.
        stream: StreamId,
    },
    /// Detach two streams and carry bytes between them, until both have ended, one
    /// is reset, or the limit is reached, at which both are reset; then tell
    /// [`Node::splice_ended`](super::Node::splice_ended).
    #[cfg(feature = "relay")]
    Splice {
        /// Its number.
        circuit: relay::CircuitId,
        /// The two streams.
        ends: relay::Circuit,
        /// What it may last and carry.
        limit: relay::Limit,
        /// How fast: it is told of all bytes that pass.
        pace: relay::Pace,
    },
    /// Do this for a WebRTC connection that is to be, and answer with
    /// [`Node::rtc_described`](super::Node::rtc_described),
    /// [`Node::rtc_found`](super::Node::rtc_found),
    /// [`Node::rtc_connected`](super::Node::rtc_connected) or
    /// [`Node::rtc_failed`](super::Node::rtc_failed).
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
    /// said [`Node::store_records`](super::Node::store_records).
    #[cfg(feature = "kad")]
    Records(crate::records::Order),
    /// Write this down, after what came before it.
    #[cfg(feature = "store")]
    Store(crate::swarm::store::Change),
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A connection is established, and the remote is who it says it is.
    Connected {
        /// The connection.
        connection: ConnectionId,
        /// Who is at its other end.
        peer: PeerId,
        /// Who dialed.
        direction: Direction,
        /// Where the remote is, as the transport sees it.
        remote: Multiaddr,
    },
    /// A connection that was established is over.
    Disconnected {
        /// The connection.
        connection: ConnectionId,
        /// Who was at its other end.
        peer: PeerId,
        /// Why.
        reason: connection::Error,
    },
    /// Of several connections to a peer another one is now the best: new streams
    /// belong on it. A direct one has come up beside one through a relay, say.
    PathChanged {
        /// The peer.
        peer: PeerId,
        /// The best connection.
        connection: ConnectionId,
    },
    /// What a query of the DHT has found, or that it is over.
    #[cfg(feature = "kad")]
    Dht {
        /// The query.
        query: crate::protocols::kad::QueryId,
        /// What it has found.
        event: crate::protocols::kad::QueryEvent,
    },
    /// News of topics: messages, and who subscribes.
    #[cfg(feature = "pubsub")]
    Pubsub(crate::protocols::pubsub::PubsubEvent),
    /// What a rendezvous point answered, or that we are registered anew.
    #[cfg(feature = "rendezvous")]
    Rendezvous(crate::protocols::rendezvous::RendezvousEvent),
    /// A peer that was connected through a relay is connected directly: traffic
    /// went both ways. The relayed connection ends with its streams.
    #[cfg(any(feature = "dcutr", feature = "webrtc"))]
    Upgraded {
        /// The peer.
        peer: PeerId,
        /// The direct connection.
        connection: ConnectionId,
    },
    /// No direct connection came up beside one through a relay, which stays.
    /// [`Node::explain`](super::Node::explain) tells what was tried to punch holes.
    #[cfg(any(feature = "dcutr", feature = "webrtc"))]
    UpgradeFailed {
        /// The peer.
        peer: PeerId,
        /// The relayed connection.
        connection: ConnectionId,
        /// Why.
        error: UpgradeError,
        /// How long until it is tried again.
        after: Duration,
    },
    /// There are too many connections: those to this peer are let go, as it is
    /// worth least.
    #[cfg(feature = "manager")]
    Trimmed {
        /// The peer.
        peer: PeerId,
    },
    /// A peer that is to be kept is not connected; it is dialed again.
    #[cfg(feature = "manager")]
    Redialing {
        /// The peer.
        peer: PeerId,
        /// Dials, and connections that did not last, that failed in a row.
        failures: u32,
        /// How long until the next dial.
        after: Duration,
    },
    /// An inbound connection ended before it was established.
    InboundFailed {
        /// Where the remote is.
        remote: Multiaddr,
        /// Why.
        error: connection::Error,
    },
    /// A dial has its connection, new or one that was there.
    Dialed {
        /// The dial.
        dial: DialId,
        /// The connection.
        connection: ConnectionId,
        /// Who is at its other end.
        peer: PeerId,
    },
    /// A dial has failed.
    DialFailed {
        /// The dial.
        dial: DialId,
        /// Why.
        error: DialError,
    },
    /// The remote opened a stream for a protocol of the application.
    InboundStream {
        /// The connection.
        connection: ConnectionId,
        /// The stream, to be borrowed from its connection.
        stream: StreamId,
        /// Who opened it.
        peer: PeerId,
        /// What it speaks.
        protocol: Name,
    },
    /// A peer said, or said anew, what it is.
    Identified {
        /// The connection.
        connection: ConnectionId,
        /// The peer.
        peer: PeerId,
        /// What it said.
        info: Box<identify::Info>,
    },
    /// A ping was answered, or not.
    Pinged {
        /// The connection.
        connection: ConnectionId,
        /// The ping.
        ping: PingId,
        /// The round trip.
        result: Result<Duration, ping::PingError>,
    },
    /// The addresses that the node announces are others than before.
    AddressesChanged,
    /// It is known now whether others can dial us, or it is doubtful again.
    #[cfg(feature = "autonat")]
    Reachability {
        /// At which address; `None` for all of them together.
        address: Option<Multiaddr>,
        /// Whether they can.
        reachability: crate::swarm::addresses::Reachability,
    },
    /// A relay serves us: we can be reached through it.
    #[cfg(feature = "relay")]
    Reserved {
        /// The relay.
        relay: PeerId,
        /// Where, without our PeerId.
        addresses: Vec<Multiaddr>,
    },
    /// As a relay, we have refused a place or a circuit.
    #[cfg(feature = "relay")]
    RelayRefused {
        /// To whom.
        peer: PeerId,
        /// Why.
        refusal: relay::Refusal,
    },
    /// Of what a relay allows of a connection, four fifths are used: it will soon be
    /// cut.
    #[cfg(feature = "relay")]
    LimitNear {
        /// The connection.
        connection: ConnectionId,
        /// Who is at its other end.
        peer: PeerId,
        /// What is used.
        used: relay::Allowance,
    },
    /// A relay does not serve us, or no more. It is asked again after a while.
    #[cfg(feature = "relay")]
    Unreserved {
        /// The relay.
        relay: PeerId,
        /// Why.
        error: relay::RelayError,
    },
    /// We are a relay, and one of our circuits is over.
    #[cfg(feature = "relay")]
    CircuitEnded {
        /// What it came to.
        summary: relay::CircuitSummary,
    },
    /// A peer's session of a service has opened.
    #[cfg(feature = "service")]
    SessionOpened {
        /// The service, by its first name.
        service: Name,
        /// The peer.
        peer: PeerId,
        /// The name and version that was agreed on.
        protocol: Name,
        /// Who opened it.
        direction: Direction,
    },
    /// A session of a service is over.
    #[cfg(feature = "service")]
    SessionClosed {
        /// The service, by its first name.
        service: Name,
        /// The peer.
        peer: PeerId,
        /// Why.
        end: crate::service::End,
    },
    /// Something went wrong in a service: all its errors come here.
    #[cfg(feature = "service")]
    ServiceError {
        /// The service, by its first name.
        service: Name,
        /// The peer that it is about, if any.
        peer: Option<PeerId>,
        /// What went wrong.
        error: crate::service::ServiceError,
    },
    /// The peer store knows something new of a peer.
    #[cfg(feature = "store")]
    PeerUpdated {
        /// The peer.
        peer: PeerId,
    },
    /// The peer store knows nothing of a peer any more: what it knew has expired,
    /// made room for others, or was deleted.
    #[cfg(feature = "store")]
    PeerForgotten {
        /// The peer.
        peer: PeerId,
    },
    /// The bootstrap list did what it could: see
    /// [`bootstrap`](crate::swarm::store::bootstrap).
    #[cfg(feature = "store")]
    Bootstrapped {
        /// Peers that are connected now.
        peers: usize,
    },
    /// The store for what is kept for others failed: what is in memory stays, and what
    /// could not be written is not tried again.
    #[cfg(feature = "kad")]
    RecordsFailed {
        /// What the store said.
        reason: String,
    },
    /// The host could not write the peer store down; what it holds in memory stays.
    #[cfg(feature = "store")]
    StoreFailed {
        /// What the host said.
        reason: String,
    },
}

/// Why a connection through a relay was not replaced by a direct one.
#[cfg(any(feature = "dcutr", feature = "webrtc"))]
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The two did not come together by WebRTC.
    #[cfg(feature = "webrtc")]
    #[error("{0}")]
    Signalling(#[from] crate::protocols::webrtc::SignalError),
    /// No hole could be punched.
    #[cfg(feature = "dcutr")]
    #[error("{0}")]
    Punch(#[from] dcutr::DcutrError),
}

/// Why a dial failed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum DialError {
    /// No address was given, and none is known.
    #[error("no address of this peer is known")]
    NoAddress,
    /// The target is this node itself.
    #[error("a node cannot dial itself")]
    Myself,
    /// The addresses name different peers.
    #[error("the addresses belong to different peers")]
    SeveralPeers,
    /// Each address failed for its own reason.
    #[error("no address could be reached: {}", causes(.0))]
    Failed(Vec<(Multiaddr, AttemptError)>),
    /// The node has as many connections as [`Config::max_connections`](super::Config) allows.
    #[error("the node has no room for another connection")]
    Full,
    /// The application took it back.
    #[error("the dial was cancelled")]
    Cancelled,
    /// The node's [`Filters`](crate::swarm::gate::Filters) deny this peer.
    #[cfg(feature = "limits")]
    #[error("the filters of this node deny the peer")]
    Denied,
}

fn causes(list: &[(Multiaddr, AttemptError)]) -> String {
    let mut text = String::new();
    for (address, error) in list {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&address.to_string());
        text.push_str(": ");
        text.push_str(&error.to_string());
    }
    text
}

/// Why one address could not be reached.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The host could not open a transport.
    #[error("{0}")]
    Transport(String),
    /// The transport opened, but no connection came of it.
    #[error("{0}")]
    Connection(#[from] connection::Error),
    /// No connection came of it in the time that the address or the dial had
    /// ([`ATTEMPT_TIMEOUT`](crate::swarm::ATTEMPT_TIMEOUT),
    /// [`DIAL_TIMEOUT`](crate::swarm::DIAL_TIMEOUT)).
    #[error("timed out")]
    TimedOut,
    /// It failed a short while ago and was not tried; it may be after this time,
    /// or at once with [`DialOptions::force`](crate::swarm::DialOptions).
    #[error("failed lately and is left alone for {} s", .0.as_secs().saturating_add(1))]
    BackedOff(Duration),
    /// It names no place, this node's own, or one that is not allowed.
    #[error("cannot be dialed")]
    Filtered,
    /// More addresses than [`MAX_ADDRESSES`](crate::swarm::MAX_ADDRESSES) were given.
    #[error("one address too many")]
    TooMany,
    /// The node's [`Limits`](crate::swarm::limits::Limits) leave no room for it.
    #[cfg(feature = "limits")]
    #[error(transparent)]
    Limit(#[from] crate::swarm::limits::LimitReached),
    /// The node's [`Filters`](crate::swarm::gate::Filters) deny the address.
    #[cfg(feature = "limits")]
    #[error("the filters of this node deny the address")]
    Denied,
    /// No circuit to it could be had.
    #[cfg(feature = "relay")]
    #[error("{0}")]
    Relay(#[from] relay::RelayError),
    /// The peer was reached through a relay, which stays, and not directly.
    #[cfg(feature = "webrtc")]
    #[error("{0}")]
    Signalling(#[from] crate::protocols::webrtc::SignalError),
}

impl AttemptError {
    /// Whether the address was not tried, for reasons of this node.
    pub(crate) fn is_ours(&self) -> bool {
        #[cfg(feature = "limits")]
        return matches!(self, Self::Limit(_) | Self::Denied);
        #[cfg(not(feature = "limits"))]
        false
    }
}

/// Why an inbound connection is not taken. Close its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// As many as [`Config::max_connections`](super::Config) are open.
    #[error("the node has no room for another connection")]
    Full,
    /// As many as [`Config::max_unauthenticated`](super::Config) are in their handshakes.
    #[error("too many inbound connections are in their handshakes")]
    TooManyHandshakes,
    /// The node's [`Filters`](crate::swarm::gate::Filters) deny its address.
    #[cfg(feature = "limits")]
    #[error("the filters of this node deny the address")]
    Denied,
    /// Its address, or the network of it, has as many connections as
    /// [`Arrivals`](crate::swarm::arrivals::Arrivals) allow.
    #[cfg(feature = "limits")]
    #[error("too many connections come from its address")]
    AddressFull,
    /// New connections come faster from its address, or the network of it, than
    /// [`Arrivals`](crate::swarm::arrivals::Arrivals) allow.
    #[cfg(feature = "limits")]
    #[error("connections come too fast from its address")]
    TooFast,
    /// The node's [`Limits`](crate::swarm::limits::Limits) leave no room for it.
    #[cfg(feature = "limits")]
    #[error(transparent)]
    Limit(#[from] crate::swarm::limits::LimitReached),
}
