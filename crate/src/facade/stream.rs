//! One stream of the application, as bytes to read and write.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};

use crate::connection::StreamId;
use crate::negotiate::Name;

use super::shared::Shared;

/// One stream of a connection.
///
/// Backpressure reaches the remote: it can send no more than its window until
/// what it sent is read. Closing ends our direction only; dropping a stream that
/// is not closed and read to its end resets it.
pub struct Stream {
    shared: Arc<Shared>,
    id: StreamId,
    protocol: Protocol,
}

/// The protocol's name; the one proposed until one is agreed on.
pub(super) struct Protocol(Option<Name>);

impl From<Option<&str>> for Protocol {
    fn from(name: Option<&str>) -> Self {
        Self(name.map(Name::from))
    }
}

impl Stream {
    pub(super) fn new(shared: Arc<Shared>, id: StreamId, protocol: Protocol) -> Self {
        Self { shared, id, protocol }
    }

    pub(super) fn set_protocol(&mut self, protocol: Name) {
        self.protocol = Protocol(Some(protocol));
    }

    /// What it speaks.
    pub fn protocol(&self) -> &str {
        self.protocol.0.as_deref().unwrap_or_default()
    }

    /// Who is at the other end.
    pub fn peer_id(&self) -> Option<crate::PeerId> {
        self.shared.peer()
    }

    /// Sends no more after what was written, without waiting for that.
    #[cfg(feature = "relay")]
    pub(super) fn finish(&self) {
        self.shared.finish(self.id);
    }

    /// Gives the stream up, both ways; the remote sees a reset.
    pub fn reset(self) {
        self.shared.reset(self.id);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_read(cx, self.id, out)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_write(cx, self.id, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_flush(cx, self.id)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.finish(self.id);
        self.shared.poll_flush(cx, self.id)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.release(self.id);
    }
}
