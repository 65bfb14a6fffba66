//! What is known about one stream.

use super::books::Booking;
use super::config::{DEFAULT_WEIGHT, INITIAL_WINDOW, QUANTUM};
use super::fifo::Fifo;
use super::ring::Ring;
use super::session::{Event, Session, StreamId};
use crate::Instant;

/// How a stream stands with the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// In use, at least by one side.
    Open,
    /// Both sides finished and everything is read; `Closed` is to be told.
    Closed,
    /// Reset, not by the application; `Reset` is to be told.
    Reset,
    /// The application knows that it is over: nothing but queue entries left.
    Gone,
}

/// How far this side's end of a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Open,
    /// FIN goes out after what waits to be sent.
    Due,
    Sent,
}

/// A set of small marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(u8);

impl Marks {
    // The queues of the session that the stream stands in.
    pub(super) const READY: u8 = 1;
    pub(super) const CONTROL: u8 = 2;
    pub(super) const NEWS: u8 = 4;
    // What the application is to be told, in the order of telling.
    pub(super) const OPENED: u8 = 1;
    pub(super) const READABLE: u8 = 2;
    pub(super) const WRITABLE: u8 = 4;
    pub(super) const FINISHED: u8 = 8;

    pub(super) const fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Sets `mark`; true if it was not set.
    pub(super) fn set(&mut self, mark: u8) -> bool {
        let new = !self.has(mark);
        self.0 |= mark;
        new
    }

    /// Clears `mark`; true if it was set.
    pub(super) fn clear(&mut self, mark: u8) -> bool {
        let old = self.has(mark);
        self.0 &= !mark;
        old
    }
}

/// One stream.
#[derive(Debug)]
pub(super) struct State {
    pub(super) id: u32,
    pub(super) outbound: bool,
    pub(super) life: Life,
    /// Received and not read.
    pub(super) recv: Fifo,
    /// Written and not sent.
    pub(super) send: Ring,
    /// Bytes that the remote may still send.
    pub(super) credit_in: u32,
    /// Bytes that this side may still send.
    pub(super) credit_out: u32,
    /// The receive window: what may be under way and unread together.
    pub(super) window: u32,
    /// When the window was last given back (or the stream made).
    pub(super) window_since: Instant,
    /// SYN goes with the next frame.
    pub(super) syn_due: bool,
    /// ACK goes with the next frame.
    pub(super) ack_due: bool,
    /// The one side's SYN was answered with the other's ACK.
    pub(super) acknowledged: bool,
    /// RST goes out, if the remote knows of the stream.
    pub(super) rst_due: bool,
    pub(super) local_end: End,
    /// The remote has sent FIN.
    pub(super) remote_end: bool,
    pub(super) weight: u8,
    /// Bytes left of the stream's turn.
    pub(super) turn: u32,
    pub(super) queued: Marks,
    pub(super) news: Marks,
    /// `Readable` was told and the application has not looked since.
    pub(super) told_readable: bool,
    /// A write found no room: `Writable` is owed.
    pub(super) writer_waits: bool,
    pub(super) booking: Booking,
}

impl State {
    pub(super) fn new(
        id: u32,
        outbound: bool,
        credit_out: u32,
        now: Instant,
        booking: Booking,
    ) -> Self {
        Self {
            id,
            outbound,
            life: Life::Open,
            recv: Fifo::default(),
            send: Ring::default(),
            credit_in: INITIAL_WINDOW,
            credit_out,
            window: INITIAL_WINDOW,
            window_since: now,
            syn_due: outbound,
            ack_due: false,
            acknowledged: false,
            rst_due: false,
            local_end: End::Open,
            remote_end: false,
            weight: DEFAULT_WEIGHT,
            turn: 0,
            queued: Marks::default(),
            news: Marks::default(),
            told_readable: false,
            writer_waits: false,
            booking,
        }
    }

    /// Bytes that can be sent now.
    pub(super) fn sendable(&self) -> usize {
        self.send.len().min(self.credit_out as usize)
    }

    /// Bytes that the send buffer may hold: when all streams together hold more
    /// than their budget, what each needs to use its turns up.
    pub(super) fn send_limit(&self, session: &Session) -> usize {
        let limit = session.config.send_buffer;
        if session.unsent < session.config.send_budget {
            return limit;
        }
        limit.min(2 * QUANTUM as usize * usize::from(self.weight))
    }

    /// Whether half the send buffer is free.
    pub(super) fn has_room(&self, session: &Session) -> bool {
        self.send.len() <= self.send_limit(session) / 2
    }

    /// Whether the scheduler has anything to send for this stream.
    pub(super) fn has_turn(&self) -> bool {
        self.life == Life::Open
            && self.booking.may_send()
            && (self.syn_due
                || self.ack_due
                || self.sendable() > 0
                || (self.local_end == End::Due && self.send.is_empty()))
    }

    /// Puts the stream into the scheduler's queue if it has something to send.
    pub(super) fn schedule(&mut self, session: &mut Session) {
        if self.has_turn() && self.queued.set(Marks::READY) {
            session.fresh.push_back(self.id);
        }
    }

    /// Puts the stream into the queue of those with a reset or a window update
    /// to send.
    pub(super) fn schedule_control(&mut self, session: &mut Session) {
        if self.queued.set(Marks::CONTROL) {
            session.control.push_back(self.id);
        }
    }

    /// Has the application told of `mark`, or of the end of `life` (`mark` 0).
    pub(super) fn tell(&mut self, mark: u8, session: &mut Session) {
        self.news.set(mark);
        if self.queued.set(Marks::NEWS) {
            session.news.push_back(self.id);
        }
    }

    /// What to tell the application next. Ends the life of a stream whose end
    /// has been told.
    pub(super) fn next_event(&mut self, session: &mut Session) -> Option<Event> {
        let id = StreamId(self.id);
        match self.life {
            Life::Gone => return None,
            Life::Reset => {
                self.life = Life::Gone;
                // One that the application never saw needs no word.
                return (!self.news.has(Marks::OPENED)).then_some(Event::Reset(id));
            }
            Life::Open | Life::Closed => {}
        }
        if self.news.clear(Marks::OPENED) {
            self.ack_due = true;
            self.schedule(session);
            return Some(Event::Opened(id));
        }
        if self.news.clear(Marks::READABLE) && !self.recv.is_empty() {
            self.told_readable = true;
            return Some(Event::Readable(id));
        }
        if self.news.clear(Marks::WRITABLE) && self.local_end == End::Open {
            if self.has_room(session) {
                return Some(Event::Writable(id));
            }
            self.writer_waits = true;
        }
        if self.news.clear(Marks::FINISHED) {
            return Some(Event::Finished(id));
        }
        if self.life == Life::Closed {
            self.life = Life::Gone;
            return Some(Event::Closed(id));
        }
        None
    }

    /// Ends the stream if both sides have finished and all is read.
    pub(super) fn close_if_done(&mut self, session: &mut Session) {
        if self.life == Life::Open
            && self.local_end == End::Sent
            && self.remote_end
            && self.recv.is_empty()
        {
            self.end(Life::Closed, session);
            self.tell(0, session);
        }
    }

    /// Ends the stream and gives back all that it holds but its place in the
    /// table. Asks for an RST if `rst` and the remote knows of the stream.
    pub(super) fn end(&mut self, life: Life, session: &mut Session) {
        if self.life == Life::Open {
            session.unread -= self.recv.len();
            session.unsent -= self.send.len();
            self.recv.clear(&mut session.pool);
            self.send.clear(&mut session.pool);
            self.set_window(INITIAL_WINDOW, session);
            self.acknowledge(session);
            session.books.forget(self.id);
        }
        self.life = life;
    }

    /// Resets the stream from this side; `life` says who asked for it.
    pub(super) fn reset(&mut self, life: Life, session: &mut Session) {
        let known = !self.syn_due;
        let open = self.life == Life::Open;
        self.end(life, session);
        if open && known {
            self.rst_due = true;
            self.schedule_control(session);
        }
    }

    /// Takes the stream out of the backlog of unacknowledged ones.
    pub(super) fn acknowledge(&mut self, session: &mut Session) {
        if !self.acknowledged {
            self.acknowledged = true;
            if self.outbound {
                session.unacknowledged_out -= 1;
            } else {
                session.unacknowledged_in -= 1;
            }
        }
    }

    /// Whether nothing refers to the stream any more.
    pub(super) fn is_over(&self) -> bool {
        self.life == Life::Gone && self.queued.is_empty()
    }
}
