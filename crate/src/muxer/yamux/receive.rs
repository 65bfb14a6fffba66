//! Bytes of the link in: every frame is judged whole before it changes anything.

use super::config::{INITIAL_WINDOW, MAX_REPLIES};
use super::error::Error;
use super::frame::{Flags, Header, Kind, Partial};
use super::session::{Reply, Role, Session, Yamux};
use super::state::{Life, Marks, State};
use crate::Instant;

/// Where in the stream of frames the reader is.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    partial: Partial,
    body: Body,
}

/// The body of the data frame that is being received.
#[derive(Debug, Default)]
struct Body {
    stream: u32,
    left: usize,
    /// The frame ends its stream.
    fin: bool,
}

impl Yamux {
    /// Takes `input` from the link, in chunks of any size.
    ///
    /// After an error the link can only be closed; the same error comes again.
    pub fn receive(&mut self, now: Instant, mut input: &[u8]) -> Result<(), Error> {
        self.session.check()?;
        self.session.now = now;
        self.session.tidy_later();
        loop {
            if self.incoming.body.left > 0 {
                if input.is_empty() {
                    return Ok(());
                }
                let (part, rest) = input.split_at(self.incoming.body.left.min(input.len()));
                input = rest;
                self.incoming.body.left -= part.len();
                self.on_body(part);
            } else {
                let Some(bytes) = self.incoming.partial.take(&mut input) else { return Ok(()) };
                let result = Header::decode(&bytes).map_err(Error::from);
                if let Err(error) = result.and_then(|header| self.on_frame(header)) {
                    return Err(self.fail(error));
                }
            }
        }
    }

    fn on_frame(&mut self, header: Header) -> Result<(), Error> {
        self.session.stats.frames_in += 1;
        match header.kind {
            Kind::Data | Kind::WindowUpdate => self.on_stream_frame(header),
            _ if header.stream != 0 => Err(Error::NotSession(header.stream)),
            Kind::Ping => self.on_ping(header),
            Kind::GoAway => {
                self.session.remote_gone = true;
                self.session.remote_code = Some(header.length);
                Ok(())
            }
        }
    }

    fn on_ping(&mut self, header: Header) -> Result<(), Error> {
        let session = &mut self.session;
        if header.flags.has(Flags::SYN) {
            return session.reply(Reply::Pong(header.length));
        }
        let now = session.now;
        if let Some(rtt) = session.ping.on_answer(header.length, now) {
            session.pong = Some(rtt);
        }
        Ok(())
    }

    fn on_stream_frame(&mut self, header: Header) -> Result<(), Error> {
        let Header { flags, stream: id, .. } = header;
        if id == 0 {
            return Err(Error::SessionStream);
        }
        if flags.has(Flags::SYN) && !flags.has(Flags::RST) {
            self.on_open(header)?;
        }
        let known = self.was_opened(id);
        let Some(state) = self.streams.get_mut(&id).filter(|state| state.life == Life::Open) else {
            // The opener may end what it never began: rust-yamux sends FIN or
            // RST for a stream that was given up before its SYN.
            let given_up = flags.has(Flags::RST) || (flags.has(Flags::FIN) && header.length == 0);
            if !known && !given_up {
                return Err(Error::NeverOpened(id));
            }
            return self.ignore(header);
        };
        let session = &mut self.session;
        if flags.has(Flags::RST) {
            state.end(Life::Reset, session);
            state.tell(0, session);
            return self.ignore(header);
        }
        match header.kind {
            Kind::Data if header.length > state.credit_in => return Err(Error::WindowExceeded(id)),
            Kind::Data if header.length > 0 && state.remote_end => {
                return Err(Error::DataAfterEnd(id));
            }
            Kind::Data => {
                state.credit_in -= header.length;
                session.ping.on_data(header.length as usize, session.now);
                self.incoming.body =
                    Body { stream: id, left: header.length as usize, fin: flags.has(Flags::FIN) };
            }
            _ => {
                let credit = state.credit_out.checked_add(header.length);
                state.credit_out = credit.ok_or(Error::WindowOverflow(id))?;
                state.schedule(session);
            }
        }
        if state.outbound {
            // Any answer shows that the remote has accepted the stream.
            state.acknowledge(session);
        }
        if flags.has(Flags::FIN) && (header.kind != Kind::Data || header.length == 0) {
            state.on_remote_end(session);
        }
        Ok(())
    }

    /// Judges a SYN and makes the stream, or refuses it.
    fn on_open(&mut self, header: Header) -> Result<(), Error> {
        let id = header.stream;
        if (id % 2 == 1) != (self.role == Role::Server) {
            return Err(Error::WrongSide(id));
        }
        let credit_out = match header.kind {
            Kind::Data if header.length > INITIAL_WINDOW => return Err(Error::WindowExceeded(id)),
            Kind::WindowUpdate if header.length.checked_add(INITIAL_WINDOW).is_none() => {
                return Err(Error::WindowOverflow(id));
            }
            _ => INITIAL_WINDOW,
        };
        if !self.used.insert(id) {
            return Err(Error::Reused(id));
        }
        let session = &mut self.session;
        if session.local_gone
            || session.inbound >= session.config.max_inbound_streams
            || session.unacknowledged_in >= session.config.accept_backlog
        {
            session.stats.refused += 1;
            return session.reply(Reply::Refuse(id));
        }
        let Ok(booking) = session.books.stream(true) else {
            session.stats.refused += 1;
            return session.reply(Reply::Refuse(id));
        };
        session.inbound += 1;
        session.unacknowledged_in += 1;
        session.stats.opened_in += 1;
        let mut state = Box::new(State::new(id, false, credit_out, session.now, booking));
        state.tell(Marks::OPENED, session);
        self.streams.insert(id, state);
        Ok(())
    }

    /// Whether the stream `id` exists or existed, as far as the remote can know.
    fn was_opened(&self, id: u32) -> bool {
        if (id % 2 == 1) == (self.role == Role::Server) {
            self.used.contains(id)
        } else {
            self.next_id.is_none_or(|next| id < next)
        }
    }

    /// Passes over a frame for a stream that is over: it crossed its end.
    fn ignore(&mut self, header: Header) -> Result<(), Error> {
        if header.kind == Kind::Data {
            if header.length > self.session.config.max_stream_window {
                return Err(Error::WindowExceeded(header.stream));
            }
            self.incoming.body =
                Body { stream: header.stream, left: header.length as usize, fin: false };
        }
        Ok(())
    }

    /// Part of a body. If its stream has ended meanwhile it is dropped.
    fn on_body(&mut self, part: &[u8]) {
        let Body { stream, left, fin } = self.incoming.body;
        if !self.session.has_room(part.len()) {
            self.relieve(stream, part.len());
        }
        let session = &mut self.session;
        let Some(state) = self.streams.get_mut(&stream).filter(|state| state.life == Life::Open)
        else {
            return;
        };
        session.unread += part.len();
        session.stats.data_in += part.len() as u64;
        state.booking.received(session.now, part.len());
        state.recv.push(part, &mut session.pool);
        if !state.told_readable {
            state.tell(Marks::READABLE, session);
        }
        if left == 0 && fin {
            state.on_remote_end(session);
        }
    }

    /// Makes room for `more` bytes of `stream`: resets the stream that would
    /// hold the most unread, which may be that one.
    fn relieve(&mut self, stream: u32, more: usize) {
        while !self.session.has_room(more) {
            let held = |state: &&mut Box<State>| {
                state.recv.len() + if state.id == stream { more } else { 0 }
            };
            let open = self.streams.values_mut().filter(|state| state.life == Life::Open);
            let Some(state) = open.max_by_key(held) else { return };
            let last = state.id == stream;
            state.reset(Life::Reset, &mut self.session);
            state.tell(0, &mut self.session);
            self.session.stats.overflowed += 1;
            if last {
                return;
            }
        }
    }
}

impl State {
    /// The remote has sent FIN.
    fn on_remote_end(&mut self, session: &mut Session) {
        if !self.remote_end {
            self.remote_end = true;
            self.tell(Marks::FINISHED, session);
            self.close_if_done(session);
        }
    }
}

impl Session {
    /// Whether `more` bytes may be held unread.
    fn has_room(&mut self, more: usize) -> bool {
        let unread = self.unread + more;
        let held = self.held() - self.unread.max(self.lent.bytes());
        unread <= self.config.max_unread && self.books.cover(held + unread.max(self.lent.bytes()))
    }

    fn reply(&mut self, reply: Reply) -> Result<(), Error> {
        if self.replies.len() >= MAX_REPLIES {
            return Err(Error::TooManyReplies);
        }
        self.replies.push_back(reply);
        Ok(())
    }
}
