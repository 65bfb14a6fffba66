//! A session with its datagrams and its clock, as the stream of records that the
//! core reads and writes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::io::{AsyncRead, AsyncWrite};
use polypeer::address::Multiaddr;
use polypeer::connection::Carrier;
use polypeer::facade::platform::{Link, TransportError};
use polypeer::webrtc::prologue;
use polypeer_webrtc::records::Assembler;
use polypeer_webrtc::{End, Session};
use tokio::time::Sleep;

use super::path::{MAX_DATAGRAM, Path};

/// Datagrams taken in before other tasks of the thread get their turn.
const TURN: usize = 256;

/// Bytes of records made at a time.
const READ_BYTES: usize = 64 * 1024;

/// An end of a WebRTC direct connection.
pub(super) struct RecordLink {
    session: Session,
    path: Path,
    sleep: Option<Pin<Box<Sleep>>>,
    /// The datagram that the socket did not take yet.
    unsent: Option<Vec<u8>>,
    /// Records for the core, of which `taken` bytes it has.
    records: Vec<u8>,
    taken: usize,
    assembler: Assembler,
}

impl RecordLink {
    pub(super) fn new(session: Session, path: Path) -> Self {
        let (records, assembler) = (Vec::new(), Assembler::default());
        Self { session, path, sleep: None, unsent: None, records, taken: 0, assembler }
    }

    /// As the core takes it, between `local` and `remote`.
    pub(super) fn into_link(self, local: Multiaddr, remote: Multiaddr) -> Link {
        // Of a session that is open both are known.
        let (client, server) = self.session.certificates().unwrap_or(([0; 34], [0; 34]));
        let carrier = Carrier::Direct { prologue: prologue(&client, &server) };
        Link { io: Box::new(self), local, remote, carrier }
    }

    /// Ready as soon as there are data channels, or there will be none.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.drive(cx)?;
        match self.session.end() {
            Some(end) => Poll::Ready(Err(Failure::Ended(end.clone()))),
            None if self.session.is_open() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    /// Ready as soon as the remote has answered or given up.
    pub(super) fn poll_reached(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.drive(cx)?;
        match self.session.end() {
            Some(end) => Poll::Ready(Err(Failure::Ended(end.clone()))),
            None if self.session.is_reached() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    /// Moves datagrams and time as far as they go now.
    fn drive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut buffer = [0; MAX_DATAGRAM];
        for _ in 0..TURN {
            match self.path.poll_receive(cx, &mut buffer) {
                Poll::Ready(Ok(length)) => {
                    self.session.handle(Instant::now(), &buffer[..length]);
                    self.transmit(cx)?;
                }
                Poll::Ready(Err(error)) => self.weigh(error)?,
                Poll::Pending => return self.pass_time(cx),
            }
        }
        cx.waker().wake_by_ref();
        self.pass_time(cx)
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.path.poll_ready(cx).is_ready() {
            let unsent = self.unsent.take();
            let Some(datagram) = unsent.or_else(|| self.session.poll_datagram(Instant::now()))
            else {
                break;
            };
            match self.path.send(&datagram) {
                Ok(true) => {}
                Ok(false) => self.unsent = Some(datagram),
                Err(error) => self.weigh(error)?,
            }
        }
        Ok(())
    }

    /// Something on the way says that nobody is there. While nobody has answered
    /// that is an answer; later whoever is there will be heard, or will not.
    fn weigh(&self, error: io::Error) -> io::Result<()> {
        let passes = self.session.is_open() && error.kind() != io::ErrorKind::NotConnected;
        if passes { Ok(()) } else { Err(error) }
    }

    fn pass_time(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            self.transmit(cx)?;
            let Some(at) = self.session.poll_timeout() else { return Ok(()) };
            if at <= Instant::now() {
                self.session.handle_timeout(Instant::now());
            }
            // A sleep that is too short does no harm, and times move on all the time.
            if self.sleep.as_ref().is_none_or(|sleep| sleep.deadline() > at.into()) {
                self.sleep = Some(Box::pin(tokio::time::sleep_until(at.into())));
            }
            let Some(sleep) = &mut self.sleep else { return Ok(()) };
            if sleep.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.sleep = None;
        }
    }

    fn failure(&self) -> Option<io::Error> {
        let kind = match self.session.end()? {
            End::ByUs | End::ByRemote => return None,
            End::Vanished => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::ConnectionAborted,
        };
        Some(io::Error::new(kind, self.session.end()?.clone()))
    }
}

/// Why a session did not open.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Ended(#[from] End),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    /// As an error of the transport, with `address`.
    pub(super) fn at(self, address: &Multiaddr) -> TransportError {
        let address = address.clone();
        match self {
            Self::Io(source) => TransportError::Connect { address, source },
            Self::Ended(End::WrongCertificate) => TransportError::WrongCertificate { address },
            Self::Ended(End::Vanished) => TransportError::TimedOut { address },
            Self::Ended(end) => TransportError::WebRtc { address, reason: end.to_string() },
        }
    }
}

impl AsyncRead for RecordLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.taken == this.records.len() {
            this.drive(cx)?;
            this.records.clear();
            this.taken = 0;
            this.session.read(Instant::now(), &mut this.records, READ_BYTES.min(buffer.len()));
            if this.records.is_empty() {
                return match (this.session.end(), this.failure()) {
                    (None, _) => Poll::Pending,
                    (Some(_), None) => Poll::Ready(Ok(0)),
                    (Some(_), Some(error)) => Poll::Ready(Err(error)),
                };
            }
            // The remote may be told that there is room again.
            this.transmit(cx)?;
        }
        let left = &this.records[this.taken..];
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        this.taken += length;
        if this.taken == this.records.len() && this.records.capacity() > 2 * READ_BYTES {
            (this.records, this.taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for RecordLink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let mut rest = data;
        while !rest.is_empty() {
            if this.session.end().is_some() {
                let error = this.failure();
                return Poll::Ready(Err(error.unwrap_or(io::ErrorKind::BrokenPipe.into())));
            }
            if !this.session.has_room() {
                this.drive(cx)?;
                if !this.session.has_room() && this.session.end().is_none() {
                    break;
                }
                continue;
            }
            if let Some(record) = this.assembler.next(&mut rest) {
                this.session.write(Instant::now(), &record);
            }
        }
        let written = data.len() - rest.len();
        if written == 0 && !data.is_empty() { Poll::Pending } else { Poll::Ready(Ok(written)) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What comes is heeded even by a core that does not read now: with it comes
        // word of what has arrived.
        self.drive(cx)?;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.close(Instant::now());
        self.drive(cx)?;
        if self.session.end().is_none() || self.unsent.is_some() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}
