//! The streams of a QUIC connection, as frames of Yamux for the core.
//!
//! The core numbers streams and counts windows as Yamux does, but with the session and
//! not with the remote: what the core may send on a stream is what QUIC has taken of it,
//! and what QUIC gives it is what its readers have room for. So no stream waits for
//! another, and what a remote sends too early stays in QUIC, within its windows.

mod incoming;
mod outgoing;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use polypeer::identity::PeerId;
use polypeer::muxer::yamux::{Flags, HEADER_LEN, Header, INITIAL_WINDOW, Kind};
use quinn_proto::{
    Connection, ConnectionError, ConnectionEvent, Dir, EndpointEvent, Event, Side, StreamEvent,
    StreamId, Transmit, VarInt,
};
use rustls::pki_types::CertificateDer;

use crate::certificate::peer_of;

/// Bytes of streams that QUIC has not taken yet; from then on nothing more is taken from
/// the core.
pub const MAX_UNSENT: usize = 16 * 1024 * 1024;

/// How long a connection that is closed waits for what was sent to arrive, while nothing
/// of the remote does: three round trips, but so long at least.
const MIN_LINGER: Duration = Duration::from_millis(20);
/// And in all.
const MAX_LINGER: Duration = Duration::from_secs(1);

/// What the end of a stream or connection is called: libp2p has no numbers for it.
const NO_REASON: VarInt = VarInt::from_u32(0);

/// Why a session has ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// We closed it.
    #[error("closed by this side")]
    ByUs,
    /// The remote closed it, with this number.
    #[error("closed by the remote ({0})")]
    ByRemote(u64),
    /// The remote was not heard of for too long.
    #[error("the remote has gone silent")]
    Vanished,
    /// The handshake failed or the remote broke the protocol.
    #[error("{0}")]
    Failed(String),
}

/// A stream, which the core knows by a number.
struct Stream {
    /// None: the remote does not take more streams yet.
    id: Option<StreamId>,
    /// Bytes that the core still takes.
    credit: u32,
    /// What QUIC has not taken yet.
    unsent: BytesMut,
    /// Bytes that are done with and that the core may send anew, once it is told.
    spent: u32,
    /// Our end comes after what is unsent.
    finishing: bool,
    sent_all: bool,
    heard_all: bool,
    /// The remote reads no more: what we would send is dropped.
    deaf: bool,
    /// There may be something to read.
    queued: bool,
}

impl Stream {
    fn new(id: Option<StreamId>) -> Self {
        Self {
            id,
            credit: INITIAL_WINDOW,
            unsent: BytesMut::new(),
            spent: 0,
            finishing: false,
            sent_all: false,
            heard_all: false,
            deaf: false,
            queued: false,
        }
    }
}

/// A ping of the core.
struct Ping {
    value: u32,
    /// When an answer can be here.
    due: Instant,
    heard: bool,
}

/// We want to close, but at these times at the latest.
#[derive(Clone, Copy)]
struct Closing {
    /// If nothing is heard before.
    silent: Instant,
    whatever: Instant,
}

/// One connection, between QUIC and the core.
pub struct Session {
    connection: Connection,
    /// Whether the core's numbers of the remote's streams are odd.
    remote_odd: bool,
    accepted: u32,
    streams: BTreeMap<u32, Stream>,
    numbers: BTreeMap<StreamId, u32>,
    /// Streams that the remote does not take yet.
    opening: VecDeque<u32>,
    readable: VecDeque<u32>,
    /// Frames for the core, of which it has `taken` bytes.
    frames: Vec<u8>,
    taken: usize,
    input: outgoing::Input,
    unsent: usize,
    pings: VecDeque<Ping>,
    peer: Option<PeerId>,
    closing: Option<Closing>,
    end: Option<End>,
}

impl Session {
    /// Of a connection that has just begun.
    pub fn new(connection: Connection) -> Self {
        // The dialer's numbers are odd.
        let remote_odd = connection.side() == Side::Server;
        Self {
            connection,
            remote_odd,
            accepted: 0,
            streams: BTreeMap::new(),
            numbers: BTreeMap::new(),
            opening: VecDeque::new(),
            readable: VecDeque::new(),
            frames: Vec::new(),
            taken: 0,
            input: outgoing::Input::default(),
            unsent: 0,
            pings: VecDeque::new(),
            peer: None,
            closing: None,
            end: None,
        }
    }

    /// Who has proved to be at the other end; none while the handshake goes on.
    pub fn peer(&self) -> Option<PeerId> {
        self.peer
    }

    /// Why it has ended, if it has.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// How many streams are open.
    #[cfg(test)]
    pub(crate) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    #[cfg(test)]
    pub(crate) fn unsent(&self) -> usize {
        self.unsent
    }

    #[cfg(test)]
    pub(crate) fn quic(&mut self) -> &mut Connection {
        &mut self.connection
    }

    // Towards the network.

    /// What the endpoint has for this connection: a datagram, or its own news.
    pub fn handle(&mut self, now: Instant, event: ConnectionEvent) {
        self.connection.handle_event(event);
        for ping in &mut self.pings {
            ping.heard = true;
        }
        let patience = self.patience();
        if let Some(closing) = &mut self.closing {
            closing.silent = (now + patience).min(closing.whatever);
        }
        self.settle(now);
    }

    /// What is to be told to the endpoint, whose answer goes to [`handle`](Self::handle).
    pub fn poll_endpoint_event(&mut self) -> Option<EndpointEvent> {
        self.connection.poll_endpoint_events()
    }

    /// Datagrams to be sent, at most `count` of them, appended to `buffer`.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        count: usize,
        buffer: &mut Vec<u8>,
    ) -> Option<Transmit> {
        self.connection.poll_transmit(now, count, buffer)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let ping = self.pings.front().filter(|ping| ping.heard).map(|ping| ping.due);
        let close = self.closing.filter(|_| self.end.is_none()).map(|closing| closing.silent);
        let own = close.into_iter().chain(ping);
        self.connection.poll_timeout().into_iter().chain(own).min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.connection.poll_timeout().is_some_and(|at| at <= now) {
            self.connection.handle_timeout(now);
        }
        self.settle(now);
    }

    /// Closes the connection as soon as what was sent has arrived, or soon after.
    pub fn close(&mut self, now: Instant) {
        if self.closing.is_none() {
            let silent = now + self.patience();
            self.closing = Some(Closing { silent, whatever: now + MAX_LINGER });
        }
        self.settle(now);
    }

    fn patience(&self) -> Duration {
        (self.connection.rtt() * 3).clamp(MIN_LINGER, MAX_LINGER)
    }

    /// Takes up all news of QUIC.
    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.connection.poll() {
            match event {
                Event::Connected => self.identify(),
                Event::ConnectionLost { reason } => {
                    self.end.get_or_insert(reason.into());
                }
                Event::Stream(event) => self.on_stream(event),
                _ => {}
            }
        }
        while self.pings.front().is_some_and(|ping| ping.heard && ping.due <= now) {
            if let Some(ping) = self.pings.pop_front() {
                self.say(Kind::Ping, Flags::ACK, 0, ping.value);
            }
        }
        if let Some(closing) = self.closing
            && self.end.is_none()
        {
            let arrived = self.unsent == 0 && self.connection.streams().send_streams() == 0;
            if arrived || closing.silent <= now || self.peer.is_none() {
                self.connection.close(now, NO_REASON, Bytes::new());
                self.end = Some(End::ByUs);
            }
        }
    }

    /// Who is there, as the handshake has proved.
    fn identify(&mut self) {
        let shown = self.connection.crypto_session().peer_identity();
        let shown = shown.and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
        self.peer = shown.and_then(|chain| peer_of(chain.first()?).ok());
        if self.peer.is_none() {
            self.end.get_or_insert(End::Failed("the remote showed no certificate".into()));
        }
    }

    fn on_stream(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Opened { dir: Dir::Bi } => self.accept(),
            StreamEvent::Available { dir: Dir::Bi } => self.open_waiting(),
            StreamEvent::Readable { id } => self.on_readable(id),
            StreamEvent::Writable { id } => self.on_writable(id),
            StreamEvent::Stopped { id, .. } => self.on_stopped(id),
            // Streams of one direction are not allowed to the remote.
            _ => {}
        }
    }

    /// A frame without a body, for the core.
    fn say(&mut self, kind: Kind, flags: Flags, stream: u32, length: u32) {
        self.frames.extend_from_slice(&Header { kind, flags, stream, length }.encode());
    }

    /// Gives a stream up, both ways.
    fn abort(&mut self, number: u32) {
        let Some(stream) = self.streams.remove(&number) else { return };
        self.unsent -= stream.unsent.len();
        let Some(id) = stream.id else {
            return self.opening.retain(|waiting| *waiting != number);
        };
        self.numbers.remove(&id);
        // What has ended already needs no reset.
        let _ = self.connection.send_stream(id).reset(NO_REASON);
        let _ = self.connection.recv_stream(id).stop(NO_REASON);
    }

    /// Forgets a stream that has ended both ways.
    fn forget_if_done(&mut self, number: u32) {
        let done = |stream: &Stream| stream.sent_all && stream.heard_all;
        if self.streams.get(&number).is_some_and(done)
            && let Some(id) = self.streams.remove(&number).and_then(|stream| stream.id)
        {
            self.numbers.remove(&id);
        }
    }
}

impl From<ConnectionError> for End {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => Self::ByRemote(close.error_code.into()),
            ConnectionError::LocallyClosed => Self::ByUs,
            ConnectionError::TimedOut => Self::Vanished,
            error => Self::Failed(error.to_string()),
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { peer, end, .. } = self;
        f.debug_struct("Session").field("peer", peer).field("end", end).finish_non_exhaustive()
    }
}
