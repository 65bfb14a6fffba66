//! The view of one stream that the application reads and writes through.

use super::config::INITIAL_WINDOW;
use super::error::WriteError;
use super::session::{Session, StreamId};
use super::state::{End, Life, State};

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes.
    Bytes(usize),
    /// Nothing yet: [`Event::Readable`] or [`Event::Finished`] will tell.
    ///
    /// [`Event::Readable`]: super::Event::Readable
    /// [`Event::Finished`]: super::Event::Finished
    Pending,
    /// Nothing, and nothing will come: the remote has finished.
    Finished,
    /// Nothing, and nothing will come: the stream was reset.
    Reset,
}

/// A stream, borrowed from its session.
#[derive(Debug)]
pub struct Stream<'a> {
    state: &'a mut State,
    session: &'a mut Session,
}

impl<'a> Stream<'a> {
    pub(super) fn new(state: &'a mut State, session: &'a mut Session) -> Self {
        Self { state, session }
    }

    /// The stream's number.
    pub fn id(&self) -> StreamId {
        StreamId(self.state.id)
    }

    /// Whether this side opened it.
    pub fn is_outbound(&self) -> bool {
        self.state.outbound
    }

    /// Whether the remote has accepted the stream (outbound), or been told that
    /// it is accepted (inbound).
    pub fn is_acknowledged(&self) -> bool {
        self.state.acknowledged
    }

    /// Whether the stream was reset.
    pub fn is_reset(&self) -> bool {
        self.state.life == Life::Reset
    }

    /// Whether the remote has finished and everything it sent is read.
    pub fn is_read_finished(&self) -> bool {
        self.state.remote_end && self.state.recv.is_empty()
    }

    /// Whether the remote has finished; what it sent before may still be unread.
    pub fn is_remote_finished(&self) -> bool {
        self.state.remote_end
    }

    /// Whether this side has finished writing.
    pub fn is_write_finished(&self) -> bool {
        self.state.local_end != End::Open
    }

    /// Bytes received and not read, without counting as a look at them.
    pub fn unread(&self) -> usize {
        self.state.recv.len()
    }

    /// Bytes written and not sent.
    pub fn unsent(&self) -> usize {
        self.state.send.len()
    }

    /// Bytes that [`Stream::write`] would take now.
    pub fn writable(&self) -> usize {
        if self.state.life != Life::Open || self.state.local_end != End::Open {
            return 0;
        }
        self.state.send_limit(self.session).saturating_sub(self.state.send.len())
    }

    /// The receive window in bytes, between [`INITIAL_WINDOW`] and
    /// [`Config::max_stream_window`](super::Config::max_stream_window).
    pub fn receive_window(&self) -> u32 {
        self.state.window.max(INITIAL_WINDOW)
    }

    /// All bytes received and not read. They stay until [`Stream::consume`]d.
    pub fn readable(&mut self) -> &[u8] {
        self.state.told_readable = false;
        self.state.recv.as_slice()
    }

    /// Takes the `count` oldest bytes as read, or all if there are fewer; the
    /// remote may send as many more.
    pub fn consume(&mut self, count: usize) {
        let Self { state, session } = self;
        state.told_readable = false;
        let count = count.min(state.recv.len());
        state.recv.consume(count, &mut session.pool);
        session.unread -= count;
        if state.life == Life::Open {
            if state.owes_window() {
                state.schedule_control(session);
            }
            state.close_if_done(session);
        }
    }

    /// Reads into `out`.
    pub fn read(&mut self, out: &mut [u8]) -> Read {
        let bytes = self.readable();
        if bytes.is_empty() {
            return match self.state.life {
                Life::Reset => Read::Reset,
                _ if self.state.remote_end => Read::Finished,
                _ => Read::Pending,
            };
        }
        let count = bytes.len().min(out.len());
        out[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Read::Bytes(count)
    }

    /// Takes as many of `bytes` as there is room for and returns their number.
    /// If that is not all, [`Event::Writable`] tells when there is room again.
    ///
    /// [`Event::Writable`]: super::Event::Writable
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, WriteError> {
        if self.state.life == Life::Reset {
            return Err(WriteError::Reset);
        }
        if self.state.local_end != End::Open {
            return Err(WriteError::Finished);
        }
        let mut count = bytes.len().min(self.writable());
        let Self { state, session } = self;
        if !session.books.cover(session.held() + count) {
            count = count.min(session.books.floor().saturating_sub(state.send.len()));
        }
        if count < bytes.len() {
            state.writer_waits = true;
        }
        if let Some(part @ [_, ..]) = bytes.get(..count) {
            state.send.push(part, &mut session.pool);
            session.unsent += count;
            state.schedule(session);
        }
        Ok(count)
    }

    /// Finishes writing: the remote sees the end after what was written.
    /// Reading goes on. Finishing again does nothing.
    pub fn finish(&mut self) {
        let Self { state, session } = self;
        if state.life == Life::Open && state.local_end == End::Open {
            state.local_end = End::Due;
            state.writer_waits = false;
            state.schedule(session);
        }
    }

    /// Ends the stream at once, both ways; what was not sent or not read is
    /// dropped. No event follows.
    pub fn reset(self) {
        self.state.reset(Life::Gone, self.session);
    }

    /// Books the stream with its protocol, from now on.
    #[cfg(feature = "limits")]
    pub(crate) fn assign(
        &mut self,
        protocol: &crate::negotiate::Name,
    ) -> Result<(), super::OpenError> {
        self.state.booking.assign(protocol)
    }

    /// Gives the stream a share of the link beside the others that have
    /// something to send: turns of `weight` times [`QUANTUM`] bytes. Zero is
    /// taken as one. The default is [`DEFAULT_WEIGHT`].
    ///
    /// [`QUANTUM`]: super::QUANTUM
    /// [`DEFAULT_WEIGHT`]: super::DEFAULT_WEIGHT
    pub fn set_weight(&mut self, weight: u8) {
        self.state.weight = weight.max(1);
    }
}
