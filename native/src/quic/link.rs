//! A connection with its datagrams and its clock, as the pipe of frames that the core
//! reads and writes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::io::{AsyncRead, AsyncWrite};
use polypeer::address::Multiaddr;
use polypeer::connection::Carrier;
use polypeer::facade::platform::{BoxFuture, Link, TransportError};
use polypeer_quic::{End, Session};
use quinn_proto::Transmit;
use tokio::time::Sleep;

use super::address;
use super::endpoint::{Place, to_udp};
use crate::udp::facing;

/// Times that datagrams are handed to the kernel before other tasks get their turn.
const SENDS: usize = 64;

/// Datagrams handed to the kernel at a time.
const MAX_SEGMENTS: usize = 32;

/// An end of a QUIC connection.
pub(crate) struct QuicLink {
    session: Session,
    place: Place,
    remote: SocketAddr,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Datagrams for the kernel, and what it did not take of them yet.
    buffer: Vec<u8>,
    unsent: Option<Transmit>,
    /// Waits for the socket to take more; many links share it.
    blocked: Option<BoxFuture<'static, ()>>,
}

impl QuicLink {
    pub(super) fn new(session: Session, place: Place, remote: SocketAddr) -> Self {
        let (sleep, buffer, unsent, blocked) = (None, Vec::new(), None, None);
        Self { session, place, remote, sleep, buffer, unsent, blocked }
    }

    /// Our end and the other one.
    pub(super) fn ends(&self) -> (Multiaddr, Multiaddr) {
        let local = facing(self.place.endpoint.socket.local(), self.remote);
        (address(local), address(self.remote))
    }

    /// Ready as soon as it is known who is there, or that nobody is.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.drive(cx);
        match (self.session.end(), self.session.peer()) {
            (Some(end), _) => Poll::Ready(Err(self.failed(end))),
            (None, Some(_)) => Poll::Ready(Ok(())),
            (None, None) => Poll::Pending,
        }
    }

    fn failed(&self, end: &End) -> TransportError {
        let address = address(self.remote);
        match end {
            End::Vanished => TransportError::TimedOut { address },
            end => TransportError::Quic { address, reason: end.to_string() },
        }
    }

    /// As the core takes it, once it is open.
    pub(super) fn into_link(self) -> Result<Link, TransportError> {
        let (local, remote) = self.ends();
        let Some(peer) = self.session.peer() else {
            return Err(self.failed(&End::Vanished));
        };
        Ok(Link { io: Box::new(self), local, remote, carrier: Carrier::Muxed { peer } })
    }

    /// Moves datagrams and time as far as they go now.
    fn drive(&mut self, cx: &mut Context<'_>) {
        let now = Instant::now();
        for event in self.place.inbox.take(cx) {
            self.session.handle(now, event);
        }
        loop {
            while let Some(event) = self.session.poll_endpoint_event() {
                if let Some(event) = self.place.tell(event) {
                    self.session.handle(now, event);
                }
            }
            self.transmit(cx, now);
            if !self.pass_time(cx, now) {
                return;
            }
        }
    }

    fn transmit(&mut self, cx: &mut Context<'_>, now: Instant) {
        let segments = self.place.endpoint.socket.max_segments().min(MAX_SEGMENTS);
        for _ in 0..SENDS {
            if let Some(blocked) = &mut self.blocked {
                if blocked.as_mut().poll(cx).is_pending() {
                    return;
                }
                self.blocked = None;
            }
            if self.unsent.is_none() {
                self.buffer.clear();
                self.unsent = self.session.poll_transmit(now, segments, &mut self.buffer);
            }
            let Some(transmit) = &self.unsent else {
                // An idle connection holds no buffer.
                self.buffer = Vec::new();
                return;
            };
            let bytes = &self.buffer[..transmit.size];
            match self.place.endpoint.socket.try_send(&to_udp(transmit, bytes)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let socket = self.place.endpoint.socket.io().clone();
                    // If waiting has failed, sending will tell why.
                    self.blocked = Some(Box::pin(async move { _ = socket.writable().await }));
                }
                // What cannot be sent is lost, and sent again.
                _ => self.unsent = None,
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Whether something was due.
    fn pass_time(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(at) = self.session.poll_timeout() else {
            self.sleep = None;
            return false;
        };
        if at <= now {
            self.session.handle_timeout(now);
            return true;
        }
        // A sleep that is too short does no harm, and times move on all the time.
        if self.sleep.as_ref().is_none_or(|sleep| sleep.deadline() > at.into()) {
            self.sleep = Some(Box::pin(tokio::time::sleep_until(at.into())));
        }
        if let Some(sleep) = &mut self.sleep
            && sleep.as_mut().poll(cx).is_ready()
        {
            self.sleep = None;
            cx.waker().wake_by_ref();
        }
        false
    }

    fn error(&self) -> Option<io::Error> {
        let kind = match self.session.end()? {
            End::ByUs | End::ByRemote(_) => return None,
            End::Vanished => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::ConnectionAborted,
        };
        Some(io::Error::new(kind, self.session.end()?.clone()))
    }
}

impl AsyncRead for QuicLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.drive(cx);
        let count = this.session.read(buffer);
        if count > 0 {
            // The remote may be told that there is room again.
            this.transmit(cx, Instant::now());
            return Poll::Ready(Ok(count));
        }
        match (this.session.end(), this.error()) {
            (None, _) => Poll::Pending,
            (Some(_), None) => Poll::Ready(Ok(0)),
            (Some(_), Some(error)) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for QuicLink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.session.end().is_some() {
            let error = this.error().unwrap_or(io::ErrorKind::BrokenPipe.into());
            return Poll::Ready(Err(error));
        }
        let written = this.session.write(Instant::now(), data);
        if written == 0 && !data.is_empty() {
            this.drive(cx);
            return Poll::Pending;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What comes is heeded even by a core that does not read now: with it comes
        // word of what has arrived.
        self.drive(cx);
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.close(Instant::now());
        self.drive(cx);
        if self.session.end().is_none() || self.unsent.is_some() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}
