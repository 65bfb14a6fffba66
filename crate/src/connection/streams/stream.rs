//! The application's view of one of its streams.

use crate::muxer::yamux::{self, Read, WriteError};

use super::{Entry, Negotiation};

/// A short loan of one stream of the application.
pub struct Stream<'a> {
    pub(super) entry: &'a mut Entry,
    pub(super) inner: yamux::Stream<'a>,
}

impl Stream<'_> {
    /// Bytes that came and wait; empty until the protocol is agreed on.
    pub fn readable(&mut self) -> &[u8] {
        if self.entry.negotiation.is_some() { &[] } else { self.inner.readable() }
    }

    /// Drops the `count` oldest bytes, which lets the remote send as many more.
    pub fn consume(&mut self, count: usize) {
        if self.entry.negotiation.is_none() {
            self.inner.consume(count);
        }
    }

    /// Moves bytes that came into `out`.
    pub fn read(&mut self, out: &mut [u8]) -> Read {
        if self.entry.negotiation.is_some() {
            return Read::Pending;
        }
        self.inner.read(out)
    }

    /// Takes as many of `bytes` as there is room for and returns their number;
    /// after less than all, [`StreamEvent::Writable`](crate::connection::StreamEvent::Writable) tells when to go on.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, WriteError> {
        if self.entry.blocks_writer() { Ok(0) } else { self.inner.write(bytes) }
    }

    /// Sends no more after what was written.
    pub fn finish(&mut self) {
        match self.entry.negotiation.as_deref_mut() {
            Some(Negotiation::Dialer { lazy: false, finish, .. }) => *finish = true,
            _ => self.inner.finish(),
        }
    }

    /// Whether the remote has finished: what can be read is all that will come.
    #[cfg(feature = "async")]
    pub(crate) fn is_read_ended(&self) -> bool {
        self.inner.is_remote_finished()
    }

    /// Whether all that was written has been handed to the connection.
    pub fn is_flushed(&self) -> bool {
        self.inner.unsent() == 0 && !self.entry.blocks_writer()
    }
}
