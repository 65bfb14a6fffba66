//! What the node and a connection say to each other, and who owns which protocol.

use std::sync::Arc;

use crate::collections::Map;
use crate::identity::PeerId;
use crate::muxer::yamux::StreamId;
use crate::negotiate::Name;

use super::{Error, StreamError};

/// How a protocol of the node cuts its stream into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Each message behind its length as an unsigned varint.
    LengthPrefixed {
        /// The longest message taken, in bytes; a longer one resets the stream.
        max: usize,
    },
    /// One message each way behind its length, after which the stream rests until
    /// [`Connection::detach`](super::Connection::detach) makes bytes of it.
    Once {
        /// The longest message taken, in bytes; a longer one resets the stream.
        max: usize,
    },
    /// Messages of one length, without a prefix.
    Fixed {
        /// That length in bytes.
        len: usize,
    },
}

/// Who reads and writes the streams of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The application, bytes straight from its connection.
    Application,
    /// A protocol of the node, whole messages.
    Node(Framing),
}

/// A protocol that inbound streams may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// Who gets the streams.
    pub owner: Owner,
    /// Its share of the connection beside other streams, of which the ordinary
    /// one is [`DEFAULT_WEIGHT`](crate::muxer::yamux::DEFAULT_WEIGHT).
    pub weight: u8,
}

/// The protocols that a node answers to, shared by its connections.
pub type Handlers = Map<Name, Handler>;

/// From the node to one of its connections.
#[derive(Debug)]
#[non_exhaustive]
pub enum ToConnection {
    /// Open a stream for a protocol of the node.
    Open {
        /// Comes back in [`ToNode::Opened`] or [`ToNode::OpenFailed`].
        request: u64,
        /// The names to propose, best first.
        protocols: Vec<Name>,
        /// How the stream is cut into messages.
        framing: Framing,
    },
    /// Send one message on a stream of the node.
    Send(StreamId, Vec<u8>),
    /// Answer with [`ToNode::Flushed`] when nothing of the node's waits on its stream
    /// any more.
    #[cfg(any(feature = "pubsub", feature = "service"))]
    Flush(StreamId),
    /// Send no more on a stream of the node.
    Finish(StreamId),
    /// Give a stream of the node up, both ways.
    Reset(StreamId),
    /// Make bytes of a stream of the node: see [`Connection::detach`](super::Connection::detach).
    Detach(StreamId),
    /// As [`ToConnection::Detach`], for a connection over the stream: see
    /// [`Connection::carry`](super::Connection::carry).
    #[cfg(feature = "relay")]
    Carry(StreamId),
    /// From now on answer to these protocols.
    Handlers(Arc<Handlers>),
    /// Ping the remote: [`ToNode::Pong`] tells of the answer, and without one in
    /// this time from the sending the connection fails.
    #[cfg(feature = "manager")]
    Ping(core::time::Duration),
    /// There is a better connection: end when the application's streams have,
    /// after [`DRAIN_GRACE`](super::DRAIN_GRACE) at the earliest and
    /// [`DRAIN_LIMIT`](super::DRAIN_LIMIT) at the latest.
    Drain,
    /// There is no better connection any more: stay after all.
    #[cfg(feature = "relay")]
    Keep,
    /// Say goodbye, flush, and end.
    Close,
}

/// From a connection to its node.
#[derive(Debug)]
#[non_exhaustive]
pub enum ToNode {
    /// The remote proved who it is and streams can be opened.
    Established {
        /// The remote.
        peer: PeerId,
    },
    /// A stream that the node asked for is open.
    Opened {
        /// The request's number.
        request: u64,
        /// The stream.
        stream: StreamId,
        /// The name that was agreed on.
        protocol: Name,
    },
    /// A stream that the node asked for could not be opened.
    OpenFailed {
        /// The request's number.
        request: u64,
        /// Why.
        error: StreamError,
    },
    /// The remote opened a stream and asked for one of our protocols.
    Inbound {
        /// The stream.
        stream: StreamId,
        /// What it speaks.
        protocol: Name,
        /// Who is to have it.
        owner: Owner,
    },
    /// A whole message came on a stream of the node.
    Message {
        /// The stream.
        stream: StreamId,
        /// The message, without its prefix.
        bytes: Vec<u8>,
    },
    /// What the node sent on its stream is on its way, as far as flow control knows.
    #[cfg(any(feature = "pubsub", feature = "service"))]
    Flushed {
        /// The stream.
        stream: StreamId,
    },
    /// The remote sends no more on a stream of the node.
    Finished {
        /// The stream.
        stream: StreamId,
    },
    /// A stream of the node is lost: the remote reset it, or broke its framing.
    Reset {
        /// The stream.
        stream: StreamId,
    },
    /// A stream of the node is closed on both sides; nothing more is said of it.
    Gone {
        /// The stream.
        stream: StreamId,
    },
    /// The remote answered a ping.
    #[cfg(feature = "manager")]
    Pong {
        /// The round trip.
        rtt: core::time::Duration,
    },
    /// Four fifths of what the relay allows of the connection are used.
    #[cfg(feature = "relay")]
    LimitNear {
        /// What is used.
        used: crate::protocols::relay::Allowance,
        /// Whether the application has streams on it.
        busy: bool,
    },
    /// The connection is over; nothing follows.
    Closed {
        /// Why.
        error: Error,
    },
}

/// News of the application's streams.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StreamEvent {
    /// The remote agreed on a protocol for a stream that we opened.
    Opened {
        /// The stream.
        stream: StreamId,
        /// The name that was agreed on.
        protocol: Name,
    },
    /// A stream that we opened is gone before its protocol was agreed on, or any is
    /// ([`StreamError::Overrun`]).
    Failed {
        /// The stream.
        stream: StreamId,
        /// Why.
        error: StreamError,
    },
    /// There is something to read.
    Readable(StreamId),
    /// There is room to write again.
    Writable(StreamId),
    /// The remote sends no more; what it sent before can still be read.
    Finished(StreamId),
    /// The remote gave the stream up: nothing can be read or written.
    Reset(StreamId),
}
