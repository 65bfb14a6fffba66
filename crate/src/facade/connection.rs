//! The handle to one connection.

use core::time::Duration;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures::channel::{mpsc, oneshot};

use crate::address::Multiaddr;
use crate::connection::{self as core_connection, StreamError, StreamId};
use crate::identity::PeerId;
use crate::node::{ConnectionId, Direction};
use crate::protocols::identify::Info;
use crate::protocols::ping::PingError;

use super::commands::Command;
use super::shared::Shared;
use super::{Stream, names};

/// A connection to one peer. Clones are handles to the same one; dropping them
/// does not close it.
#[derive(Clone)]
pub struct Connection {
    pub(super) id: ConnectionId,
    pub(super) peer: PeerId,
    pub(super) remote: Multiaddr,
    pub(super) direction: Direction,
    pub(super) shared: Arc<Shared>,
    pub(super) commands: mpsc::UnboundedSender<Command>,
}

impl Connection {
    /// Its number, as events name it.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Who is at the other end.
    pub fn peer_id(&self) -> &PeerId {
        &self.peer
    }

    /// Where the remote is, as the transport sees it.
    pub fn remote_address(&self) -> &Multiaddr {
        &self.remote
    }

    /// Who dialed.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Opens a stream for the first of `protocols` that the remote speaks, and
    /// waits for its word: one round trip.
    ///
    /// # Errors
    /// On a connection that a relay limits, [`StreamError::Limited`].
    pub async fn open_stream(&self, protocols: &[&str]) -> Result<Stream, StreamError> {
        let id = self.shared.open(|machine, now| machine.open(now, names(protocols)))?;
        self.agreed(id, protocols).await
    }

    async fn agreed(&self, id: StreamId, protocols: &[&str]) -> Result<Stream, StreamError> {
        let mut stream = Stream::new(self.shared.clone(), id, protocols.first().copied().into());
        let protocol = poll_fn(|cx| self.shared.poll_agreed(cx, id)).await?;
        stream.set_protocol(protocol);
        Ok(stream)
    }

    /// Opens a stream without waiting: what is written travels with the
    /// proposal. If the remote does not speak `protocol`, reading fails with
    /// [`std::io::ErrorKind::Unsupported`].
    pub fn open_stream_early(&self, protocol: &str) -> Result<Stream, StreamError> {
        let id = self.shared.open(|machine, now| machine.open(now, names(&[protocol])))?;
        Ok(Stream::new(self.shared.clone(), id, Some(protocol).into()))
    }

    /// As [`Connection::open_stream`], on a connection that a relay limits too: for
    /// protocols that carry little, or can do with an end at any time.
    #[cfg(feature = "relay")]
    pub async fn open_limited_stream(&self, protocols: &[&str]) -> Result<Stream, StreamError> {
        let id = self.shared.open(|machine, now| machine.open_limited(now, names(protocols)))?;
        self.agreed(id, protocols).await
    }

    /// Whether it leads to the peer itself, and not through a relay.
    pub fn direct(&self) -> bool {
        !self.remote.is_relayed()
    }

    /// Whether it leads through a relay that limits it. Streams on it are opened by
    /// [`Connection::open_limited_stream`] only, and taken for protocols of
    /// [`Node::handle_limited`](super::Node::handle_limited).
    #[cfg(feature = "relay")]
    pub fn limited(&self) -> bool {
        self.allowance().is_some()
    }

    /// What the relay allows of it and what of that is used; `None` where there is no
    /// limit, or the connection is over.
    #[cfg(feature = "relay")]
    pub fn allowance(&self) -> Option<crate::protocols::relay::Allowance> {
        self.shared.allowance()
    }

    /// The round trip of one ping.
    pub async fn ping(&self) -> Result<Duration, PingError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Ping { connection: self.id, reply };
        self.commands.unbounded_send(command).map_err(|_| PingError::Disconnected)?;
        answer.await.unwrap_or(Err(PingError::Disconnected))
    }

    /// What the remote says of itself; waits until it has said it.
    pub async fn identify(&self) -> Result<Info, core_connection::Error> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Identify { connection: self.id, reply };
        // Without a brain the sender is dropped, which the answer tells.
        let _ = self.commands.unbounded_send(command);
        answer.await.map_err(|_| self.closed_reason())
    }

    /// The measured round trip, if one has been measured.
    pub fn rtt(&self) -> Option<Duration> {
        self.shared.rtt()
    }

    /// How many streams are open.
    pub fn stream_count(&self) -> usize {
        self.shared.stream_count()
    }

    /// Says goodbye, flushes, and closes.
    pub fn close(&self) {
        // A node that has ended has closed it.
        let _ = self.commands.unbounded_send(Command::CloseConnection(self.id));
    }

    /// Waits until the connection is over and returns why.
    pub async fn closed(&self) -> core_connection::Error {
        poll_fn(|cx| match self.shared.poll_closed(cx) {
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn closed_reason(&self) -> core_connection::Error {
        self.shared.closed().unwrap_or(core_connection::Error::ClosedHere)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({} at {})", self.peer, self.remote)
    }
}
