//! Receive windows: how large they are and when they are given back.

use super::config::INITIAL_WINDOW;
use super::session::Session;
use super::state::State;
use crate::Instant;

/// Round trips for which a stream's want of window counts: it is repeated in
/// every one or two while it lasts.
const WANTED_ROUND_TRIPS: u32 = 8;

/// The window that a session's streams have beyond the initial one of each.
#[derive(Debug, Default)]
pub(super) struct Lent {
    bytes: usize,
    /// Streams that have some of it.
    streams: usize,
    /// When a stream with less than its share last found too little left.
    wanted: Option<Instant>,
}

impl Lent {
    /// Bytes of all streams.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A stream's window changes, from and to these bytes.
    fn change(&mut self, from: u32, to: u32) {
        self.bytes -= (from - INITIAL_WINDOW) as usize;
        self.bytes += (to - INITIAL_WINDOW) as usize;
        self.streams -= usize::from(from > INITIAL_WINDOW);
        self.streams += usize::from(to > INITIAL_WINDOW);
    }
}

impl State {
    /// Bytes of window to give back: what was read since it was last done.
    pub(super) fn window_due(&self) -> u32 {
        self.window.saturating_sub(self.credit_in).saturating_sub(self.recv.len() as u32)
    }

    /// Whether half the window waits to be given back.
    pub(super) fn owes_window(&self) -> bool {
        !self.remote_end && self.window_due() >= self.window / 2
    }

    /// Half the window is due: makes it fit the sender and the session.
    ///
    /// Doubles it if the half was used up in less than two round trips: then it,
    /// and not the reader, is what holds the sender back. Halves it if it is more
    /// than this stream's share of the budget, none is left and another stream
    /// lacks its share; no more than half is promised to the remote just now.
    pub(super) fn tune_window(&mut self, session: &mut Session) {
        let (now, used) = (session.now, session.now.since(self.window_since));
        self.window_since = now;
        let least = session.config.min_round_trip;
        let Some(rtt) = session.ping.rtt().or(Some(least).filter(|least| !least.is_zero())) else {
            return;
        };
        let rtt = rtt.max(least);
        let (lent, budget) = (&mut session.lent, session.config.window_budget);
        let left = u32::try_from(budget.saturating_sub(lent.bytes)).unwrap_or(u32::MAX);
        let more_than = |share: usize, window: u32| (window - INITIAL_WINDOW) as usize > share;
        let doubled = self.window.saturating_mul(2).min(session.config.max_stream_window);
        let wanted = lent.wanted.is_some_and(|at| now.since(at) < rtt * WANTED_ROUND_TRIPS);
        let share = budget / (lent.streams + 1);
        if wanted && more_than(share, self.window) && left < INITIAL_WINDOW {
            self.set_window((self.window / 2).max(INITIAL_WINDOW), session);
        } else if used < rtt * 2 && !(wanted && more_than(share, doubled)) {
            let window = doubled.min(self.window.saturating_add(left));
            if window < doubled && !more_than(budget / lent.streams.max(1), doubled) {
                lent.wanted = Some(now);
            }
            if self.is_affordable(window, session) {
                self.set_window(window, session);
            }
        }
    }

    /// Whether there is memory for a larger window, which is booked then.
    fn is_affordable(&mut self, window: u32, session: &mut Session) -> bool {
        let more = (window - self.window) as usize;
        let beyond = (window - INITIAL_WINDOW) as usize;
        self.booking.may_grow()
            && session.books.cover(session.held() + more)
            && self.booking.set_window(beyond)
    }

    /// Changes the window, in the books of the session too.
    pub(super) fn set_window(&mut self, window: u32, session: &mut Session) {
        session.lent.change(self.window, window);
        if window < self.window {
            self.booking.set_window((window - INITIAL_WINDOW) as usize);
        }
        self.window = window;
    }
}
