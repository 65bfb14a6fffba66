//! Bytes for the link out: control frames, then the streams in turns.

use std::collections::VecDeque;

use super::config::{DEFAULT_WEIGHT, QUANTUM};
use super::frame::{Flags, HEADER_LEN, Header, Kind};
use super::session::{Reply, Session, Yamux, remove_if_over};
use super::state::{End, Life, Marks, State};
use crate::Instant;

/// Data is not cut to fewer bytes than this to fill the end of a budget.
const MIN_CUT: usize = 512;

/// Bytes that first turns may be ahead of the turns of streams that wait longer:
/// as many as a turn has by default.
const FRESH_CREDIT: i64 = QUANTUM as i64 * DEFAULT_WEIGHT as i64;

const NO_BODY: [&[u8]; 2] = [&[], &[]];

/// Room for whole frames at the end of a vector.
struct Room<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    limit: usize,
}

impl Room<'_> {
    /// Bytes of body that still fit beside their header.
    fn body(&self) -> Option<usize> {
        (self.limit - self.out.len()).checked_sub(HEADER_LEN)
    }

    fn is_fresh(&self) -> bool {
        self.out.len() == self.start
    }

    /// Appends a frame that [`Room::body`] has room for.
    fn frame(&mut self, header: Header, body: [&[u8]; 2], session: &mut Session) {
        self.out.extend_from_slice(&header.encode());
        for piece in body {
            self.out.extend_from_slice(piece);
        }
        session.stats.frames_out += 1;
    }
}

impl Yamux {
    /// Appends whole frames to `out`, at most `budget` bytes, and returns how
    /// many bytes they are. Zero means that nothing waits, or that the budget is
    /// too small for the next frame (13 bytes are enough for any).
    pub fn transmit(&mut self, now: Instant, out: &mut Vec<u8>, budget: usize) -> usize {
        let start = out.len();
        let mut room = Room { start, limit: start.saturating_add(budget), out };
        let session = &mut self.session;
        session.now = now;
        if session.go_away_due.is_some() && room.body().is_some() {
            let code = session.go_away_due.take().unwrap_or_default();
            room.frame(session_frame(Kind::GoAway, Flags::NONE, code), NO_BODY, session);
        }
        if session.failed.is_none() {
            session.transmit_replies(&mut room);
            self.transmit_control(&mut room);
            self.transmit_data(&mut room);
        }
        self.session.books.settle(self.session.held());
        let written = room.out.len() - start;
        if written > 0 {
            self.session.tidy_later();
        }
        written
    }

    /// Resets and window updates of streams.
    fn transmit_control(&mut self, room: &mut Room<'_>) {
        while room.body().is_some() {
            let Some(id) = self.session.control.pop_front() else { return };
            let Some(state) = self.streams.get_mut(&id) else { continue };
            state.queued.clear(Marks::CONTROL);
            let session = &mut self.session;
            if state.rst_due {
                state.rst_due = false;
                let header = Header { kind: Kind::Data, flags: Flags::RST, stream: id, length: 0 };
                room.frame(header, NO_BODY, session);
            } else if state.life == Life::Open
                && state.owes_window()
                && state.booking.may_give(session.now, id, &mut session.books)
            {
                state.tune_window(session);
                let length = state.window_due();
                state.credit_in += length;
                let header = state.header(Kind::WindowUpdate, length, session);
                room.frame(header, NO_BODY, session);
            }
            remove_if_over(&mut self.streams, &mut self.session, id);
        }
    }

    /// Deficit round robin: a stream sends for its turn's bytes, then goes to
    /// the end of the queue. One that had nothing to send for a whole round has
    /// its first turn before all others, as long as such first turns take no
    /// more than half the bytes.
    fn transmit_data(&mut self, room: &mut Room<'_>) {
        while let Some(space) = room.body() {
            let session = &mut self.session;
            let fresh = session.fresh_is_next();
            let alone = session.fresh.len() + session.ready.len() == 1;
            let Some(&id) = session.turns(fresh).front() else { return };
            let Some(state) = self.streams.get_mut(&id) else {
                session.turns(fresh).pop_front();
                continue;
            };
            if state.has_turn() {
                if state.turn == 0 {
                    state.turn = QUANTUM * u32::from(state.weight);
                }
                let before = room.out.len();
                if !state.transmit(room, space, alone, session) {
                    return;
                }
                session.account(fresh, room.out.len() - before);
                if state.turn > 0 && state.has_turn() {
                    continue;
                }
            }
            state.turn = 0;
            session.turns(fresh).pop_front();
            // After a first turn even a stream without more waits for the round
            // to pass, or it could come back and be first for ever.
            if state.has_turn() || (fresh && !session.ready.is_empty()) {
                session.ready.push_back(id);
            } else {
                state.queued.clear(Marks::READY);
                remove_if_over(&mut self.streams, session, id);
            }
        }
    }
}

impl Session {
    /// Whether the next turn is one of `fresh`, else of `ready`.
    fn fresh_is_next(&self) -> bool {
        !self.fresh.is_empty() && (self.fresh_credit > 0 || self.ready.is_empty())
    }

    /// Bytes were sent in a turn of `fresh`, or of `ready`, which earns the other
    /// as many.
    fn account(&mut self, fresh: bool, bytes: usize) {
        let bytes = bytes as i64;
        let credit = self.fresh_credit + if fresh { -bytes } else { bytes };
        let credit = if self.ready.is_empty() { FRESH_CREDIT } else { credit };
        self.fresh_credit = credit.min(FRESH_CREDIT);
    }

    fn turns(&mut self, fresh: bool) -> &mut VecDeque<u32> {
        if fresh { &mut self.fresh } else { &mut self.ready }
    }

    /// Pings and replies that belong to no stream.
    fn transmit_replies(&mut self, room: &mut Room<'_>) {
        while room.body().is_some() {
            let header = if let Some(value) = self.ping.transmit(self.now) {
                session_frame(Kind::Ping, Flags::SYN, value)
            } else {
                match self.replies.pop_front() {
                    Some(Reply::Pong(value)) => session_frame(Kind::Ping, Flags::ACK, value),
                    Some(Reply::Refuse(stream)) => {
                        Header { kind: Kind::Data, flags: Flags::RST, stream, length: 0 }
                    }
                    None => return,
                }
            };
            room.frame(header, NO_BODY, self);
        }
    }
}

impl State {
    /// Sends one frame in the stream's turn; false if `space` is too small.
    fn transmit(
        &mut self,
        room: &mut Room<'_>,
        space: usize,
        alone: bool,
        session: &mut Session,
    ) -> bool {
        let turn = if alone { usize::MAX } else { self.turn as usize };
        let most = session.config.max_frame.min(self.booking.slice());
        let wanted = self.sendable().min(most).min(turn);
        let length = wanted.min(space);
        if length < wanted && (length == 0 || (length < MIN_CUT && !room.is_fresh())) {
            return false;
        }
        // The end has a frame of its own: js-libp2p reads flags before the body,
        // and drops a body that comes with FIN.
        let fin = self.local_end == End::Due && self.send.is_empty();
        if fin {
            self.local_end = End::Sent;
        }
        // A frame that only opens or accepts is a window update.
        let kind = if length > 0 || fin { Kind::Data } else { Kind::WindowUpdate };
        let mut header = self.header(kind, length as u32, session);
        header.flags = header.flags | Flags::FIN.when(fin);
        room.frame(header, self.send.front(length), session);
        self.send.consume(length, &mut session.pool);
        self.credit_out -= length as u32;
        self.turn = self.turn.saturating_sub(length as u32);
        session.unsent -= length;
        session.stats.data_out += length as u64;
        if length > 0 {
            self.booking.sent(session.now, length, self.id, &mut session.books);
        }
        if self.writer_waits && self.has_room(session) {
            self.writer_waits = false;
            self.tell(Marks::WRITABLE, session);
        }
        self.close_if_done(session);
        true
    }

    /// A header for the stream, with the flags that are due.
    fn header(&mut self, kind: Kind, length: u32, session: &mut Session) -> Header {
        let flags = Flags::SYN.when(self.syn_due) | Flags::ACK.when(self.ack_due);
        if self.ack_due {
            self.acknowledge(session);
        }
        self.syn_due = false;
        self.ack_due = false;
        Header { kind, flags, stream: self.id, length }
    }
}

const fn session_frame(kind: Kind, flags: Flags, length: u32) -> Header {
    Header { kind, flags, stream: 0, length }
}
