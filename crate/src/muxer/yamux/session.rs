//! The session: its streams, its queues, and what its owner calls.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use super::books::Books;
use super::code;
use super::config::{Config, INITIAL_WINDOW, MAX_ACK_BACKLOG, REPLIES_PAUSE};
use super::error::{Error, OpenError};
use super::ids::Used;
use super::ping::Ping;
use super::pool::Pool;
use super::receive::Incoming;
use super::state::{End, Life, Marks, State};
use super::stream::Stream;
use super::window::Lent;
use crate::Instant;
use crate::collections::Map;
use crate::time::earliest;

/// How long unused memory is kept for the next burst of traffic.
const TIDY_AFTER: Duration = Duration::from_secs(10);

/// Which side of the link this is (yamux, "StreamID Field").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The side that dialled: its streams have odd numbers.
    Client,
    /// The side that listened: its streams have even numbers.
    Server,
}

/// The number of a stream, the same on both sides and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(super) u32);

impl StreamId {
    /// The number as it is on the wire.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The stream of a number; there may be none.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// News for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The remote opened a stream. Taking this event accepts it; to refuse,
    /// reset the stream.
    Opened(StreamId),
    /// Bytes came in. Not told again before the application has looked.
    Readable(StreamId),
    /// There is room again (half the buffer) after a write that found too little.
    Writable(StreamId),
    /// The remote will send no more; what is not read yet can still be.
    Finished(StreamId),
    /// The stream was reset, by the remote or because [`Config::max_unread`]
    /// was reached. It is gone.
    Reset(StreamId),
    /// Both sides have finished and all is read. The stream is gone.
    Closed(StreamId),
    /// The remote takes no new streams, for the reason in this
    /// [`code`](super::code).
    GoAway(u32),
    /// The remote answered a [`Yamux::ping`].
    Pong(Duration),
}

/// What a session has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes of data received on streams.
    pub data_in: u64,
    /// Bytes of data sent on streams.
    pub data_out: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Streams that the remote opened.
    pub opened_in: u64,
    /// Streams that this side opened.
    pub opened_out: u64,
    /// Streams of the remote refused for a limit.
    pub refused: u64,
    /// Streams reset because [`Config::max_unread`] was reached.
    pub overflowed: u64,
}

/// A reply that belongs to no stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    Pong(u32),
    Refuse(u32),
}

/// What streams share.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) config: Config,
    pub(super) now: Instant,
    /// Streams that have just got something to send: they go before `ready`.
    pub(super) fresh: VecDeque<u32>,
    /// Bytes that they may send before it is the turn of one in `ready`.
    pub(super) fresh_credit: i64,
    /// Streams with something to send, in the order of their turns.
    pub(super) ready: VecDeque<u32>,
    /// Streams with a reset or a window update to send.
    pub(super) control: VecDeque<u32>,
    /// Streams with something to tell.
    pub(super) news: VecDeque<u32>,
    pub(super) replies: VecDeque<Reply>,
    pub(super) pool: Pool,
    /// Bytes received and not read, of all streams.
    pub(super) unread: usize,
    /// Bytes written and not sent, of all streams.
    pub(super) unsent: usize,
    pub(super) lent: Lent,
    pub(super) books: Books,
    pub(super) unacknowledged_in: usize,
    pub(super) unacknowledged_out: usize,
    pub(super) inbound: usize,
    pub(super) outbound: usize,
    pub(super) ping: Ping,
    pub(super) pong: Option<Duration>,
    /// Go Away to be sent.
    pub(super) go_away_due: Option<u32>,
    pub(super) local_gone: bool,
    pub(super) remote_gone: bool,
    /// Go Away of the remote to be told.
    pub(super) remote_code: Option<u32>,
    pub(super) failed: Option<Error>,
    pub(super) stats: Stats,
    /// When to give unused memory back, while there is some.
    tidy_at: Option<Instant>,
    /// Data frames counted when `tidy_at` was set.
    tidy_mark: u64,
}

/// One end of a yamux session.
///
/// See the [module](super) for how to drive it.
#[derive(Debug)]
pub struct Yamux {
    pub(super) streams: Map<u32, Box<State>>,
    pub(super) session: Session,
    pub(super) incoming: Incoming,
    pub(super) used: Used,
    pub(super) role: Role,
    /// The number of the next stream of ours.
    pub(super) next_id: Option<u32>,
}

impl Yamux {
    /// A new session; `now` is the time, here as in every call.
    pub fn new(config: Config, role: Role, now: Instant) -> Self {
        let (ours, theirs) = match role {
            Role::Client => (1, 2),
            Role::Server => (2, 1),
        };
        Self {
            streams: Map::new(),
            session: Session {
                config: config.clamped(),
                now,
                fresh: VecDeque::new(),
                fresh_credit: 0,
                ready: VecDeque::new(),
                control: VecDeque::new(),
                news: VecDeque::new(),
                replies: VecDeque::new(),
                pool: Pool::default(),
                unread: 0,
                unsent: 0,
                lent: Lent::default(),
                books: Books::default(),
                unacknowledged_in: 0,
                unacknowledged_out: 0,
                inbound: 0,
                outbound: 0,
                ping: Ping::default(),
                pong: None,
                go_away_due: None,
                local_gone: false,
                remote_gone: false,
                remote_code: None,
                failed: None,
                stats: Stats::default(),
                tidy_at: None,
                tidy_mark: 0,
            },
            incoming: Incoming::default(),
            used: Used::new(theirs),
            role,
            next_id: Some(ours),
        }
    }

    /// Opens a stream. Bytes may be written at once; they need not wait for the
    /// remote to accept it.
    pub fn open(&mut self) -> Result<StreamId, OpenError> {
        let session = &mut self.session;
        if session.failed.is_some() || session.remote_gone || session.local_gone {
            return Err(OpenError::GoneAway);
        }
        if session.unacknowledged_out >= MAX_ACK_BACKLOG {
            return Err(OpenError::TooManyUnacknowledged);
        }
        if session.outbound >= session.config.max_outbound_streams {
            return Err(OpenError::TooManyStreams);
        }
        let id = self.next_id.ok_or(OpenError::NumbersUsedUp)?;
        let booking = session.books.stream(false)?;
        self.next_id = id.checked_add(2);
        session.outbound += 1;
        session.unacknowledged_out += 1;
        session.stats.opened_out += 1;
        let mut state = Box::new(State::new(id, true, INITIAL_WINDOW, session.now, booking));
        state.schedule(session);
        self.streams.insert(id, state);
        Ok(StreamId(id))
    }

    /// Books streams and memory in this scope from now on.
    #[cfg(feature = "limits")]
    pub(crate) fn set_scope(
        &mut self,
        scope: std::sync::Arc<crate::swarm::limits::ConnectionScope>,
    ) {
        self.session.books.set_scope(scope);
    }

    /// The owner of the session wants to hold `bytes` more for its streams;
    /// `false` if that is too much.
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        let session = &mut self.session;
        let fits = session.books.cover(session.held() + bytes);
        if fits {
            session.books.hold(bytes);
        }
        fits
    }

    /// The owner of the session holds `bytes` less than before.
    pub(crate) fn unhold(&mut self, bytes: usize) {
        self.session.books.unhold(bytes);
    }

    /// The stream `id`, unless it is over or its [`Event::Opened`] has not been
    /// taken.
    pub fn stream(&mut self, id: StreamId) -> Option<Stream<'_>> {
        let state = self.streams.get_mut(&id.0)?;
        if state.life == Life::Gone || state.news.has(Marks::OPENED) {
            return None;
        }
        Some(Stream::new(state, &mut self.session))
    }

    /// The next news, if there is any.
    pub fn poll_event(&mut self) -> Option<Event> {
        let session = &mut self.session;
        if let Some(rtt) = session.pong.take() {
            return Some(Event::Pong(rtt));
        }
        if let Some(code) = session.remote_code.take() {
            return Some(Event::GoAway(code));
        }
        while let Some(&id) = session.news.front() {
            if let Some(state) = self.streams.get_mut(&id) {
                if let Some(event) = state.next_event(session) {
                    return Some(event);
                }
                state.queued.clear(Marks::NEWS);
            }
            session.news.pop_front();
            remove_if_over(&mut self.streams, session, id);
        }
        None
    }

    /// When [`Yamux::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let session = &self.session;
        earliest(earliest(session.ping.poll_timeout(), session.tidy_at), session.books.next())
    }

    /// Time has passed. Fails if a ping was not answered in time. Calls before
    /// the deadline do nothing.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        let session = &mut self.session;
        session.now = now;
        session.check()?;
        if let Err(error) = session.ping.handle_timeout(now) {
            session.failed = Some(error);
            return Err(error);
        }
        while let Some(id) = session.books.due(now) {
            let Some(state) = self.streams.get_mut(&id) else { continue };
            state.booking.wake(now);
            state.schedule(session);
            if state.owes_window() {
                state.schedule_control(session);
            }
        }
        if session.tidy_at.is_some_and(|at| at <= now) {
            session.tidy_at = None;
            if session.tidy_mark == session.data_frames() {
                session.shrink();
            } else {
                session.tidy_later();
            }
        }
        Ok(())
    }

    /// Sends a ping; [`Event::Pong`] tells of the answer. If there is none in
    /// [`Config::ping_timeout`] from its sending, the session fails. One that is
    /// under way already is not sent again. A caller that slept over the time
    /// limit, and may have slept over the answer, sends another ping.
    pub fn ping(&mut self, now: Instant) {
        self.session.now = now;
        self.session.ping.ask(now, self.session.config.ping_timeout);
    }

    /// As [`Yamux::ping`], with a limit of its own and in place of a ping that is
    /// under way.
    #[cfg(feature = "manager")]
    pub fn ping_within(&mut self, now: Instant, limit: Duration) {
        self.session.now = now;
        self.session.ping.ask_anew(now, limit);
    }

    /// The remote cannot be heard before `until`: its answer has so much more time.
    pub fn postpone_ping(&mut self, until: Instant) {
        self.session.ping.postpone(until + self.session.config.ping_timeout);
    }

    /// The round-trip time last measured: asked for with [`Yamux::ping`], or
    /// by the session itself, at most every ten seconds while data comes in.
    pub fn rtt(&self) -> Option<Duration> {
        self.session.ping.rtt()
    }

    /// Tells the remote that this side takes no new streams, with a
    /// [`code`](super::code); refuses those that come. Streams that exist go on,
    /// as far as this side is concerned: rust-yamux ends the session at once.
    pub fn go_away(&mut self, code: u32) {
        if !self.session.local_gone {
            self.session.local_gone = true;
            self.session.go_away_due = Some(code);
        }
    }

    /// Whether no stream exists and nothing waits to be sent.
    pub fn is_idle(&self) -> bool {
        self.streams.is_empty() && !self.wants_transmit()
    }

    /// Whether more bytes may be received now. If not, the remote makes this
    /// side answer faster than it takes answers: call [`Yamux::transmit`] first.
    pub fn wants_read(&self) -> bool {
        self.session.failed.is_none() && self.session.replies.len() < REPLIES_PAUSE
    }

    /// Whether [`Yamux::transmit`] has something to send.
    pub fn wants_transmit(&self) -> bool {
        let session = &self.session;
        session.go_away_due.is_some()
            || (session.failed.is_none()
                && (session.ping.wants_transmit()
                    || !session.replies.is_empty()
                    || !session.control.is_empty()
                    || !session.fresh.is_empty()
                    || !session.ready.is_empty()))
    }

    /// Whether [`Yamux::transmit`] has something to send, now or when the rate of
    /// its protocol allows it.
    pub fn will_transmit(&self) -> bool {
        let parked = |id: u32| self.streams.get(&id).is_some_and(|state| !state.booking.may_send());
        self.wants_transmit() || self.session.books.waiting().any(parked)
    }

    /// Whether a stream was finished whose end has not been sent.
    pub fn owes_end(&self) -> bool {
        self.streams.values().any(|state| state.life == Life::Open && state.local_end == End::Due)
    }

    /// What the session has done so far.
    pub fn stats(&self) -> Stats {
        self.session.stats
    }

    /// How many streams exist, inbound and outbound.
    pub fn streams(&self) -> (usize, usize) {
        (self.session.inbound, self.session.outbound)
    }

    /// Bytes received and not read, of all streams; at most [`Config::max_unread`].
    pub fn unread(&self) -> usize {
        self.session.unread
    }

    /// Bytes written and not sent, of all streams.
    pub fn unsent(&self) -> usize {
        self.session.unsent
    }

    /// Bytes of heap memory held, about.
    pub fn memory(&self) -> usize {
        let session = &self.session;
        let queues =
            session.ready.capacity() + session.control.capacity() + session.news.capacity();
        // A stream's place in the table takes some 20 bytes.
        self.streams.len() * (size_of::<State>() + 20)
            + queues * size_of::<u32>()
            + session.replies.capacity() * size_of::<Reply>()
            + session.pool.memory()
            + self.used.memory()
    }

    /// Ends the session for `error`; the remote is told.
    pub(super) fn fail(&mut self, error: Error) -> Error {
        self.session.failed = Some(error);
        self.session.go_away_due = Some(code::PROTOCOL_ERROR);
        error
    }
}

impl Session {
    pub(super) fn check(&self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), Err)
    }

    fn data_frames(&self) -> u64 {
        self.stats.frames_in.wrapping_add(self.stats.frames_out)
    }

    /// Has unused memory given back when traffic has ceased.
    pub(super) fn tidy_later(&mut self) {
        if self.tidy_at.is_none() {
            self.tidy_at = Some(self.now + TIDY_AFTER);
            self.tidy_mark = self.data_frames();
        }
    }

    /// Bytes that are or may be held for streams, beyond what each has by itself:
    /// what is unread has room in windows that were grown.
    pub(super) fn held(&self) -> usize {
        self.unread.max(self.lent.bytes()) + self.unsent + self.books.held_outside()
    }

    /// Gives unused memory back.
    fn shrink(&mut self) {
        self.books.shrink(self.held());
        self.pool.clear();
        self.fresh.shrink_to_fit();
        self.ready.shrink_to_fit();
        self.control.shrink_to_fit();
        self.news.shrink_to_fit();
        self.replies.shrink_to_fit();
    }
}

/// Removes the stream `id` if nothing refers to it any more, and with the last
/// one all memory kept for others.
pub(super) fn remove_if_over(streams: &mut Map<u32, Box<State>>, session: &mut Session, id: u32) {
    if !streams.get(&id).is_some_and(|state| state.is_over()) {
        return;
    }
    if let Some(state) = streams.remove(&id) {
        let count = if state.outbound { &mut session.outbound } else { &mut session.inbound };
        *count -= 1;
    }
    if streams.is_empty() {
        session.shrink();
    }
}
