//! Relays: connections over streams, and as a relay, streams joined.

use core::time::Duration;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::future::{Either, select, try_join};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::address::Multiaddr;
use crate::connection::{StreamId, ToConnection};
use crate::identity::PeerId;
use crate::node::ConnectionId;
use crate::protocols::relay::{
    Circuit, CircuitId, HOP_NAME, Limit, Pace, RelayError, RelayStats, STOP_NAME,
};

use super::brain::Brain;
use super::commands::Command;
use super::platform::{Link, Platform};
use super::{Node, NodeClosed, Stream};

/// Bytes of a circuit carried at a time, in each direction.
const CHUNK: usize = 16 * 1024;

impl Node {
    /// Wants a place at a relay, for as long as the node lives: at the one with this
    /// address, or, for `None`, at one more of those that we are connected to. The
    /// relay need not be up: [`Event::Reserved`](crate::node::Event) tells when it
    /// serves us, and [`Node::addresses`] where we can then be reached.
    pub async fn listen_on_relay(
        &self,
        relay: Option<Multiaddr>,
    ) -> Result<Result<(), RelayError>, NodeClosed> {
        self.with(move |node, now| node.listen_on_relay(now, relay)).await
    }

    /// Serves others as a relay from now on, or changes what they are allowed.
    #[cfg(feature = "relay-service")]
    pub async fn serve_as_relay(
        &self,
        config: crate::protocols::relay::ServiceConfig,
    ) -> Result<(), NodeClosed> {
        self.with(move |node, now| node.serve_as_relay(now, config)).await
    }

    /// Whether streams for `protocol` are taken on limited connections too; see
    /// [`Node::handle_limited`](crate::node::Node::handle_limited).
    pub async fn handle_limited(&self, protocol: &str, takes: bool) -> Result<(), NodeClosed> {
        let protocol = protocol.into();
        self.with(move |node, _| node.handle_limited(protocol, takes)).await
    }

    /// What this node does and has done as a relay.
    pub async fn relay_stats(&self) -> Result<RelayStats, NodeClosed> {
        self.with(|node, _| node.relay_service().stats()).await
    }

    /// The relays that serve us.
    pub async fn relays(&self) -> Result<Vec<PeerId>, NodeClosed> {
        self.with(|node, _| node.reservations().map(|(relay, _)| *relay).collect()).await
    }
}

impl Brain {
    /// Lays a connection over a stream to a relay.
    pub(super) fn tunnel(&mut self, id: ConnectionId, via: ConnectionId, stream: StreamId) {
        let now = self.platform.now();
        let Some(io) = self.detached(via, stream, HOP_NAME, ToConnection::Carry) else {
            return self.node.dial_failed(now, id, "the stream to the relay is lost".into());
        };
        // Dropped, the stream is reset.
        let Some((remote, direction)) = self.node.link(id) else { return };
        let Some(machine) = self.node.tunnelled(now, id) else { return };
        let link = Link::new(Box::new(Conduit(io)), Multiaddr::empty(), remote);
        self.start(id, machine, link, direction);
    }

    /// Joins two streams until both have ended, or the limit is reached.
    pub(super) fn splice(&mut self, circuit: CircuitId, ends: Circuit, limit: Limit, pace: Pace) {
        let Circuit { source: (from, source), target: (to, target) } = ends;
        let source = self.detached(from, source, HOP_NAME, ToConnection::Detach);
        let target = self.detached(to, target, STOP_NAME, ToConnection::Detach);
        let (platform, commands) = (self.platform.clone(), self.commands_sender.clone());
        let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        self.platform.clone().spawn(Box::pin(async move {
            if let (Some(source), Some(target)) = (source, target) {
                join(platform, source, target, (limit, pace), &counts).await;
            }
            let bytes = [0, 1].map(|way: usize| counts[way].load(Ordering::Relaxed));
            let ended =
                move |node: &mut crate::node::Node, now| node.splice_ended(now, circuit, bytes);
            // A brain that is gone counts no more.
            let _ = commands.unbounded_send(Command::With(Box::new(ended)));
        }));
    }

    /// A stream of the node, as bytes from now on.
    fn detached(
        &self,
        id: ConnectionId,
        stream: StreamId,
        name: &str,
        message: fn(StreamId) -> ToConnection,
    ) -> Option<Stream> {
        let task = self.tasks.get(&id)?;
        task.shared.expect(stream);
        task.to_connection.unbounded_send(message(stream)).ok()?;
        Some(Stream::new(task.shared.clone(), stream, Some(name).into()))
    }
}

/// A stream as the transport of a connection. Closing it does not wait until all is
/// on its way: the connection that has the stream sees to that.
struct Conduit(Stream);

impl AsyncRead for Conduit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, out)
    }
}

impl AsyncWrite for Conduit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    // What is written is on its way as soon as there is room.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.finish();
        Poll::Ready(Ok(()))
    }
}

/// Carries bytes both ways; at an error or the limit, both streams are reset, which
/// is what dropping them does.
async fn join(
    platform: Arc<dyn Platform>,
    source: Stream,
    target: Stream,
    (limit, pace): (Limit, Pace),
    counts: &[AtomicU64; 2],
) {
    let (from_source, to_source) = source.split();
    let (from_target, to_target) = target.split();
    let most = limit.data.unwrap_or(u64::MAX);
    let [there, back] = counts;
    let carried = try_join(
        carry(&*platform, &pace, (from_source, to_target), there, most),
        carry(&*platform, &pace, (from_target, to_source), back, most),
    );
    match limit.duration {
        None => drop(carried.await),
        Some(duration) => within(&*platform, duration, carried).await,
    }
}

async fn within<F: Future>(platform: &dyn Platform, duration: Duration, future: F) {
    let sleep = platform.sleep_until(platform.now() + duration);
    match select(pin!(future), sleep).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}

async fn carry(
    platform: &dyn Platform,
    pace: &Pace,
    (mut from, mut to): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    count: &AtomicU64,
    most: u64,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let most_now = chunk.len().min(pace.slice());
        let length = from.read(&mut chunk[..most_now]).await?;
        if length == 0 {
            return to.close().await;
        }
        let before = count.load(Ordering::Relaxed);
        let allowed = (length as u64).min(most.saturating_sub(before));
        count.store(before + allowed, Ordering::Relaxed);
        to.write_all(&chunk[..allowed as usize]).await?;
        if let Some(at) = pace.passed(platform.now(), allowed as usize) {
            platform.sleep_until(at).await;
        }
        if allowed < length as u64 {
            // It still gets what is allowed.
            to.close().await?;
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
    }
}
