//! One authenticated, multiplexed link to one peer, as a state machine.
//!
//! Bytes of the transport go in by [`Connection::receive`] and come out by
//! [`Connection::transmit`]. In between stand, from the wire upwards: the
//! private network's cipher if there is one, multistream-select, the secure
//! channel (Noise), the muxer (Yamux), and on each stream multistream-select
//! again. Two sides use it: the *node*, whose protocols exchange whole messages
//! ([`ToConnection`], [`ToNode`]), and the *application*, which borrows
//! [`Stream`] views.
//!
//! The calls come in four kinds: getters; `handle_*`, `receive` and `verified`
//! bring news from outside; `open`, `stream`, `close` are the owner's; `poll_*`
//! and `transmit` are drained after any of these. Draining late is harmless,
//! and so are early timeouts.

mod booking;
mod carrier;
mod channel;
#[cfg(feature = "relay")]
mod circuit;
mod config;
mod error;
mod established;
mod message;
mod over;
mod streams;
mod upgrade;

use core::time::Duration;
use std::sync::Arc;

use crate::identity::PeerId;
use crate::muxer::yamux::{self, Yamux};
use crate::negotiate::Name;
use crate::rng::Rng;
use crate::security::pnet::Cipher;
use crate::time::{Instant, earliest};
use crate::wire::Buffer;

pub use crate::muxer::yamux::{Read, StreamId, WriteError};
pub use crate::security::Role;
pub use crate::security::noise::VerifyRequest;
pub use carrier::Carrier;
pub use config::{Config, Security};
pub use error::{Error, StreamError};
pub use established::{CLOSE_LIMIT, DRAIN_GRACE, DRAIN_LIMIT};
pub use message::{Framing, Handler, Handlers, Owner, StreamEvent, ToConnection, ToNode};
pub use streams::{MAX_DISCARDED, MAX_NEGOTIATING, MAX_NEWS, MAX_OUTBOX, Stream};
pub use upgrade::MAX_HANDSHAKE_BYTES;

use booking::Booking;
use established::Established;
use streams::Streams;
use upgrade::{Progress, Upgrade, Upgraded};

/// One authenticated, multiplexed link to one peer. See the [module](self).
pub struct Connection {
    config: Arc<Config>,
    handlers: Arc<Handlers>,
    role: Role,
    private: Option<Box<Cipher>>,
    /// The nonce that opens a private network's stream, until it is sent.
    nonce: Vec<u8>,
    state: State,
    /// Bytes of negotiations and handshakes for the wire.
    out: Buffer,
    verify: Option<VerifyRequest>,
    established: Option<PeerId>,
    /// The end, until the node has been told.
    failed: Option<Error>,
    booking: Booking,
    /// What a relay allows of it.
    #[cfg(feature = "relay")]
    circuit: circuit::Circuit,
}

enum State {
    Upgrading { upgrade: Box<Upgrade>, deadline: Instant },
    Established(Box<Established>),
    Closed,
}

impl Connection {
    /// A connection over a transport that has just opened.
    ///
    /// `role` is the initiator's for the side that dialed, which may name whom
    /// it `expected`. `rng` need not be shared with anything.
    pub fn new(
        config: Arc<Config>,
        handlers: Arc<Handlers>,
        role: Role,
        expected: Option<PeerId>,
        mut rng: Rng,
        now: Instant,
    ) -> Self {
        let mut out = Vec::new();
        let deadline = now + config.handshake_timeout;
        let mut nonce = Vec::new();
        let private = config
            .pre_shared_key
            .as_ref()
            .map(|key| Box::new(Cipher::new(key, &mut rng, &mut nonce)));
        let upgrade = Upgrade::new(config.clone(), role, expected, rng, &mut out);
        let mut connection = Self::upgrading((config, handlers, role), upgrade, deadline, &out);
        (connection.private, connection.nonce) = (private, nonce);
        connection
    }

    fn upgrading(
        (config, handlers, role): (Arc<Config>, Arc<Handlers>, Role),
        upgrade: Result<Upgrade, Error>,
        deadline: Instant,
        said: &[u8],
    ) -> Self {
        let (state, failed) = match upgrade {
            Ok(upgrade) => (State::Upgrading { upgrade: Box::new(upgrade), deadline }, None),
            Err(error) => (State::Closed, Some(error)),
        };
        let mut out = Buffer::new();
        out.push(said);
        Self {
            config,
            handlers,
            role,
            private: None,
            nonce: Vec::new(),
            state,
            out,
            verify: None,
            established: None,
            failed,
            booking: Booking::default(),
            #[cfg(feature = "relay")]
            circuit: circuit::Circuit::default(),
        }
    }

    /// Books what the connection uses in this scope.
    #[cfg(feature = "limits")]
    pub(crate) fn set_scope(&mut self, scope: Arc<crate::swarm::limits::ConnectionScope>) {
        self.booking.scope = Some(scope);
    }

    /// Bytes from the transport, in order; they are decrypted in place.
    pub fn receive(&mut self, now: Instant, bytes: &mut [u8]) {
        let bytes = match &mut self.private {
            Some(private) => match private.open(bytes) {
                Ok(bytes) => bytes,
                Err(_) => return self.fail(crate::security::Error::Exhausted.into()),
            },
            None => bytes,
        };
        let count = bytes.len();
        #[cfg(feature = "relay")]
        self.circuit.received(now, count);
        if let Err(error) = self.receive_inner(now, bytes) {
            return self.fail(error);
        }
        // While nothing is read, no answer of the remote is: it has that much
        // more time.
        if let Some(until) = self.booking.received(now, count)
            && let State::Established(established) = &mut self.state
        {
            established.ping_at = established.ping_at.max(until + self.config.keep_alive);
            established.streams.yamux.postpone_ping(until);
        }
    }

    fn receive_inner(&mut self, now: Instant, bytes: &mut [u8]) -> Result<(), Error> {
        match &mut self.state {
            State::Upgrading { upgrade, .. } => {
                let held = upgrade.held().saturating_add(bytes.len());
                self.booking.handshake(held.min(MAX_HANDSHAKE_BYTES))?;
                let progress = upgrade.receive(bytes, self.out.writer())?;
                self.progress(now, progress)
            }
            State::Established(established) => {
                established.ping_at = now + self.config.keep_alive;
                established.receive(now, bytes)
            }
            State::Closed => Ok(()),
        }
    }

    fn progress(&mut self, now: Instant, progress: Progress) -> Result<(), Error> {
        match progress {
            Progress::Pending => Ok(()),
            Progress::Verify(request) => {
                self.verify = Some(request);
                Ok(())
            }
            Progress::Done(upgraded) => self.establish(now, *upgraded),
        }
    }

    fn establish(&mut self, now: Instant, upgraded: Upgraded) -> Result<(), Error> {
        let Upgraded { channel, peer, muxer_answer, mut rest, plain } = upgraded;
        self.booking.authenticated(peer)?;
        self.established = Some(peer);
        let role = match self.role {
            Role::Initiator => yamux::Role::Client,
            Role::Responder => yamux::Role::Server,
        };
        #[cfg_attr(not(feature = "limits"), expect(unused_mut))]
        let mut yamux = Yamux::new(channel.muxer_config(&self.config.yamux), role, now);
        #[cfg(feature = "limits")]
        if let Some(scope) = &self.booking.scope {
            yamux.set_scope(scope.clone());
        }
        let mut established = Established {
            channel,
            streams: Streams::new(yamux, self.config.clone(), self.handlers.clone()),
            muxer_answer: muxer_answer.map(|dialer| (dialer, Buffer::new())),
            closing: None,
            draining: None,
            ping_at: now + self.config.keep_alive,
        };
        let result =
            established.plain(now, &plain).and_then(|()| established.receive(now, &mut rest));
        self.state = State::Established(Box::new(established));
        result
    }

    /// The host's verdict on the signature of [`Connection::poll_verify`].
    pub fn verified(&mut self, now: Instant, good: bool) {
        let State::Upgrading { upgrade, .. } = &mut self.state else { return };
        let result = upgrade
            .verified(good, self.out.writer())
            .and_then(|progress| self.progress(now, progress));
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// A signature for the host to verify, whose algorithm the core was built
    /// without; the handshake waits for [`Connection::verified`].
    pub fn poll_verify(&mut self) -> Option<VerifyRequest> {
        self.verify.take()
    }

    /// Whether bytes of the transport are welcome: `false` while the application
    /// or the node is behind, or the host verifies a signature, so that the
    /// transport slows the remote.
    pub fn wants_read(&self) -> bool {
        self.booking.may_read()
            && match &self.state {
                State::Upgrading { upgrade, .. } => upgrade.wants_read(),
                State::Established(established) => established.wants_read(),
                State::Closed => true,
            }
    }

    /// Appends bytes for the transport to `out`, at most `budget`, and returns
    /// their number. Zero means that there is nothing to send now, if `budget`
    /// was 64 at least. Everything but time may change that.
    pub fn transmit(&mut self, now: Instant, out: &mut Vec<u8>, budget: usize) -> usize {
        let start = out.len();
        let budget = self.booking.budget(budget);
        if budget == 0 {
            return 0;
        }
        // The nonce of a private network goes first, in the clear.
        out.append(&mut self.nonce);
        let clear = out.len();
        let count = self.out.len().min(budget);
        out.extend_from_slice(&self.out.as_slice()[..count]);
        self.out.consume(count);
        if self.out.is_empty()
            && let State::Established(established) = &mut self.state
        {
            let Established { channel, streams, .. } = &mut **established;
            let left = budget.saturating_sub(out.len() - start);
            let result = channel
                .transmit(out, left, &mut |out, budget| streams.yamux.transmit(now, out, budget));
            #[cfg(feature = "webrtc")]
            let result = result.and(established.reflect(now));
            established.streams.process(now);
            if let Err(error) = result {
                self.fail(error);
            }
        }
        if let Some(private) = &mut self.private
            && private.seal(&mut out[clear..]).is_err()
        {
            out.truncate(clear);
            self.fail(crate::security::Error::Exhausted.into());
        }
        let sent = out.len() - start;
        self.booking.sent(now, sent);
        #[cfg(feature = "relay")]
        self.circuit.sent(now, sent);
        if let State::Established(established) = &mut self.state
            && let Some(since) = &mut established.closing
            && sent > 0
        {
            *since = now;
            established.streams.part();
        }
        sent
    }

    /// When [`Connection::handle_timeout`] is due. Early calls are harmless,
    /// late ones delay what waits for time: limits, pings, retries.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let at = match &self.state {
            State::Upgrading { deadline, .. } => Some(*deadline),
            State::Established(established) => {
                let ends = established.ends_at();
                let at = Some(ends.map_or(established.ping_at, |at| at.min(established.ping_at)));
                earliest(at, established.streams.poll_timeout())
            }
            State::Closed => return None,
        };
        #[cfg(feature = "relay")]
        let at = earliest(at, self.circuit.poll_timeout());
        earliest(at, self.booking.poll_timeout())
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.booking.handle_timeout(now);
        #[cfg(feature = "relay")]
        self.circuit.handle_timeout(now);
        match &mut self.state {
            State::Upgrading { deadline, .. } if now >= *deadline => {
                self.fail(Error::HandshakeTimedOut);
            }
            State::Established(established) => {
                if now >= established.ping_at {
                    established.ping_at = now + self.config.keep_alive;
                    established.streams.yamux.ping(now);
                }
                if established.ends_at().is_some_and(|at| now >= at) {
                    if established.closing.is_some() {
                        return self.fail(Error::ClosedHere);
                    }
                    established.close(now);
                }
                let result = established.streams.handle_timeout(now);
                established.streams.process(now);
                if let Err(error) = result {
                    self.fail(error.into());
                }
            }
            _ => {}
        }
    }

    /// A message of the node.
    pub fn handle_node(&mut self, now: Instant, message: ToConnection) {
        if let ToConnection::Handlers(handlers) = &message {
            self.handlers = handlers.clone();
        }
        let State::Established(established) = &mut self.state else {
            if matches!(message, ToConnection::Close) {
                self.fail(Error::ClosedHere);
            }
            return;
        };
        let streams = &mut established.streams;
        match message {
            ToConnection::Open { request, protocols, framing } => {
                streams.open_for_node(now, request, protocols, framing);
            }
            ToConnection::Send(stream, bytes) => streams.send(stream, &bytes),
            #[cfg(any(feature = "pubsub", feature = "service"))]
            ToConnection::Flush(stream) => streams.tell_flushed(stream),
            ToConnection::Finish(stream) => streams.finish(stream),
            ToConnection::Reset(stream) => streams.abandon(stream),
            ToConnection::Detach(stream) => {
                // Whether it worked shows in the stream.
                streams.detach(stream);
            }
            #[cfg(feature = "relay")]
            ToConnection::Carry(stream) => _ = streams.carry(stream),
            ToConnection::Handlers(handlers) => streams.set_handlers(handlers),
            #[cfg(feature = "manager")]
            ToConnection::Ping(limit) => streams.yamux.ping_within(now, limit),
            ToConnection::Drain => _ = established.draining.get_or_insert(now),
            #[cfg(feature = "relay")]
            ToConnection::Keep => established.draining = None,
            ToConnection::Close => established.close(now),
        }
        if let State::Established(established) = &mut self.state {
            established.streams.process(now);
        }
    }

    /// The next news for the node. Messages are taken from their streams only
    /// here: a node that does not ask slows the remote.
    pub fn poll_node(&mut self) -> Option<ToNode> {
        if let Some(peer) = self.established.take() {
            return Some(ToNode::Established { peer });
        }
        if let State::Established(established) = &mut self.state
            && let Some(news) = established.streams.poll_node()
        {
            return Some(news);
        }
        #[cfg(feature = "relay")]
        if let Some(used) = self.circuit.poll_near() {
            return Some(ToNode::LimitNear { used, busy: self.is_busy() });
        }
        self.failed.take().map(|error| ToNode::Closed { error })
    }

    /// The next news of the application's streams.
    pub fn poll_stream(&mut self) -> Option<StreamEvent> {
        match &mut self.state {
            State::Established(established) => established.streams.poll_event(),
            _ => None,
        }
    }

    /// Opens a stream of the application. With a single proposal it can be
    /// written to at once, and what is written travels with the proposal.
    /// A connection that a relay limits takes it only by
    /// [`Connection::open_limited`].
    pub fn open(&mut self, now: Instant, protocols: Vec<Name>) -> Result<StreamId, StreamError> {
        #[cfg(feature = "relay")]
        if self.circuit.is_limited() {
            return Err(StreamError::Limited);
        }
        self.open_anywhere(now, protocols)
    }

    fn open_anywhere(
        &mut self,
        now: Instant,
        protocols: Vec<Name>,
    ) -> Result<StreamId, StreamError> {
        match &mut self.state {
            State::Established(established) if established.closing.is_none() => {
                established.streams.open(now, protocols, Owner::Application, None)
            }
            _ => Err(StreamError::NotConnected),
        }
    }

    /// A stream of the application, to read and write; `None` once it is gone.
    pub fn stream(&mut self, id: StreamId) -> Option<Stream<'_>> {
        match &mut self.state {
            State::Established(established) => established.streams.stream(id),
            _ => None,
        }
    }

    /// Makes a stream of bytes of a node's stream whose one message was read
    /// ([`Framing::Once`]) and answered. `false` if the stream is lost.
    pub fn detach(&mut self, id: StreamId) -> bool {
        match &mut self.state {
            State::Established(established) => established.streams.detach(id),
            _ => false,
        }
    }

    /// Gives a stream of the application up, both ways; no event follows.
    pub fn reset(&mut self, id: StreamId) {
        if let State::Established(established) = &mut self.state {
            established.streams.abandon(id);
        }
    }

    /// The application lets go of a stream: one whose both halves are finished, or
    /// whose own half is, comes to its end by itself; any other is reset.
    pub fn release(&mut self, now: Instant, id: StreamId) {
        if let State::Established(established) = &mut self.state {
            established.streams.release(now, id);
        }
    }

    /// The transport ended: the connection is over.
    pub fn transport_closed(&mut self, reason: String) {
        let error = match &self.state {
            State::Established(established) if established.closing.is_some() => Error::ClosedHere,
            State::Established(established) => match established.streams.goodbye {
                Some(code) => Error::ClosedByRemote(code),
                #[cfg(feature = "relay")]
                None if self.circuit.is_spent() => self.circuit.spent(),
                None => Error::Transport(reason),
            },
            _ => Error::Transport(reason),
        };
        self.fail(error);
    }

    /// Whether [`Connection::transmit`] has something to give.
    pub fn wants_transmit(&self) -> bool {
        let has_something = !self.nonce.is_empty()
            || !self.out.is_empty()
            || matches!(&self.state, State::Established(established)
                if established.wants_transmit());
        has_something && self.booking.may_send()
    }

    /// Whether the transport can be closed: the end was reached, or we said
    /// goodbye and everything is flushed.
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Closed => true,
            State::Established(established) => {
                established.closing.is_some()
                    && self.out.is_empty()
                    && !established.streams.has_last_words()
                    && !established.will_transmit()
            }
            State::Upgrading { .. } => false,
        }
    }

    /// Whether it has ended: the node is told why, or soon will be.
    #[cfg(feature = "async")]
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// How many streams are open, negotiating ones included.
    pub fn stream_count(&self) -> usize {
        match &self.state {
            State::Established(established) => established.streams.len(),
            _ => 0,
        }
    }

    /// The smoothed round trip as the muxer measures it, if it has.
    pub fn rtt(&self) -> Option<Duration> {
        match &self.state {
            State::Established(established) => established.rtt(),
            _ => None,
        }
    }

    /// Ends the connection; the first reason stands.
    fn fail(&mut self, error: Error) {
        if !matches!(self.state, State::Closed) {
            self.state = State::Closed;
            self.booking = Booking::default();
            self.failed.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests;
