//! A WebSocket as a byte stream.
//!
//! Messages are not collected: a frame's payload goes from the socket straight
//! into the reader's buffer, where headers are cut out and the mask is taken
//! off. So a connection keeps no buffer while it is idle, and a frame's length
//! needs no limit, for nothing is ever allocated from it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::io::{AsyncRead, AsyncWrite};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::ReadBuf;

use super::frame::{FrameError, Header, Kind, MAX_HEADER};
use super::mask;

/// The longest message that is sent, in bytes. Peers deliver a message when it
/// is whole, so longer ones would only cost them memory; at this size a header
/// and a system call cost little beside the payload.
const MAX_MESSAGE: usize = 128 * 1024;

/// Reads in one poll that may bring no payload, so that a flood of control or
/// empty frames cannot keep the task.
const MAX_FRUITLESS_READS: usize = 16;

/// The status of a normal end (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;

thread_local! {
    /// The buffer that outgoing frames are built in, shared by the connections of
    /// the thread; one that could not write all at once keeps it until it has.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// We dialed: our frames are masked.
    Client,
    /// We accepted: the other's frames are masked.
    Server,
}

/// A byte stream in binary messages over `T`.
pub(crate) struct WebSocket<T> {
    io: T,
    side: Side,
    /// What came right behind the handshake.
    early: Vec<u8>,
    inbound: Inbound,
    /// The start of a header that is not whole yet.
    head: [u8; MAX_HEADER],
    head_length: usize,
    /// Whether a fragmented message is open.
    in_message: bool,
    /// Encoded frames, of which `sent` bytes are written.
    out: Vec<u8>,
    sent: usize,
    /// The answer that is owed to the last ping. Only the last: the answers need
    /// no queue that a remote could fill.
    pong: Option<Vec<u8>>,
    /// The close frame to send: before (`Due`) or after.
    close: Close,
    /// Whether a writer waits for the socket: a reader must not take its place.
    writer_waits: bool,
}

/// Where in the incoming frames we are.
enum Inbound {
    Header,
    Payload { left: u64, mask: Option<[u8; 4]>, offset: usize },
    Control { kind: Kind, left: usize, mask: Option<[u8; 4]>, payload: Vec<u8> },
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Close {
    Open,
    Due(u16),
    Sent,
}

impl<T> WebSocket<T> {
    /// A connection whose handshake is done; `early` came behind it.
    pub(super) fn new(io: T, side: Side, early: Vec<u8>) -> Self {
        Self {
            io,
            side,
            early,
            inbound: Inbound::Header,
            head: [0; MAX_HEADER],
            head_length: 0,
            in_message: false,
            out: Vec::new(),
            sent: 0,
            pong: None,
            close: Close::Open,
            writer_waits: false,
        }
    }

    /// Takes frames apart in place: moves the payload in `bytes` to its front and
    /// returns how much that is.
    fn decode(&mut self, bytes: &mut [u8]) -> Result<usize, FrameError> {
        let (mut at, mut kept) = (0, 0);
        while at < bytes.len() {
            let rest = bytes.len() - at;
            match &mut self.inbound {
                Inbound::Header => {
                    let known = self.head_length;
                    let added = rest.min(MAX_HEADER - known);
                    self.head[known..known + added].copy_from_slice(&bytes[at..at + added]);
                    match Header::parse(&self.head[..known + added])? {
                        None => {
                            self.head_length = known + added;
                            at += added;
                        }
                        Some((header, size)) => {
                            self.head_length = 0;
                            at += size - known;
                            self.begin(header)?;
                        }
                    }
                }
                Inbound::Payload { left, mask, offset } => {
                    let count = usize::try_from(*left).map_or(rest, |left| left.min(rest));
                    bytes.copy_within(at..at + count, kept);
                    if let Some(key) = mask {
                        mask::apply(&mut bytes[kept..kept + count], *key, *offset);
                        *offset = (*offset + count) % 4;
                    }
                    *left -= count as u64;
                    if *left == 0 {
                        self.inbound = Inbound::Header;
                    }
                    at += count;
                    kept += count;
                }
                Inbound::Control { kind, left, mask, payload } => {
                    let count = rest.min(*left);
                    payload.extend_from_slice(&bytes[at..at + count]);
                    *left -= count;
                    at += count;
                    if *left == 0 {
                        let (kind, mask, payload) = (*kind, *mask, std::mem::take(payload));
                        self.control(kind, mask, payload);
                    }
                }
                Inbound::Closed => break,
            }
        }
        Ok(kept)
    }

    /// A frame begins.
    fn begin(&mut self, header: Header) -> Result<(), FrameError> {
        let Header { fin, kind, mask, length } = header;
        if mask.is_some() != (self.side == Side::Server) {
            return Err(FrameError::BadMask);
        }
        if kind.is_control() {
            // At most 125, which the header's parser has checked.
            let left = usize::try_from(length).map_err(|_| FrameError::BadControl)?;
            if left == 0 {
                self.control(kind, None, Vec::new());
            } else {
                self.inbound = Inbound::Control { kind, left, mask, payload: Vec::new() };
            }
            return Ok(());
        }
        if (kind == Kind::Continuation) != self.in_message {
            return Err(FrameError::BadSequence);
        }
        self.in_message = !fin;
        if length > 0 {
            self.inbound = Inbound::Payload { left: length, mask, offset: 0 };
        }
        Ok(())
    }

    /// A control frame is whole.
    fn control(&mut self, kind: Kind, mask: Option<[u8; 4]>, mut payload: Vec<u8>) {
        self.inbound = Inbound::Header;
        if let Some(key) = mask {
            mask::apply(&mut payload, key, 0);
        }
        match kind {
            Kind::Ping => self.pong = Some(payload),
            Kind::Close => {
                self.inbound = Inbound::Closed;
                if self.close == Close::Open {
                    self.close = Close::Due(NORMAL);
                }
            }
            Kind::Pong | Kind::Binary | Kind::Continuation => {}
        }
    }

    /// Whether the other end may still send, so that its silence now would be a
    /// cut in the middle of something.
    fn inside_frame(&self) -> bool {
        self.head_length > 0 || self.in_message || !matches!(self.inbound, Inbound::Header)
    }

    /// Appends a frame to what is to be written.
    fn encode(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        if self.out.capacity() == 0 {
            self.out = SPARE.take();
        }
        let mask = match self.side {
            Side::Client => Some(random_key()?),
            Side::Server => None,
        };
        let header = Header { fin: true, kind, mask, length: payload.len() as u64 };
        header.write(&mut self.out);
        let start = self.out.len();
        self.out.extend_from_slice(payload);
        if let Some(key) = mask {
            mask::apply(&mut self.out[start..], key, 0);
        }
        Ok(())
    }

    /// Encodes the control frame that is due, if one is.
    fn encode_control(&mut self) -> io::Result<()> {
        if self.close == Close::Sent {
            return Ok(());
        }
        if let Some(payload) = self.pong.take() {
            self.encode(Kind::Pong, &payload)?;
        }
        if let Close::Due(status) = self.close {
            self.encode(Kind::Close, &status.to_be_bytes())?;
            self.close = Close::Sent;
        }
        Ok(())
    }
}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> WebSocket<T> {
    /// Writes all that is encoded or due.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.sent < self.out.len() {
                match ready!(Pin::new(&mut self.io).poll_write(cx, &self.out[self.sent..]))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => self.sent += count,
                }
            }
            if self.out.capacity() > 0 {
                self.out.clear();
                self.sent = 0;
                SPARE.set(std::mem::take(&mut self.out));
            }
            self.encode_control()?;
            if self.out.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// As [`Self::poll_drain`], for the writer: remembers whether it waits.
    fn poll_drain_as_writer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let drained = self.poll_drain(cx);
        self.writer_waits = drained.is_pending();
        drained
    }

    /// Answers control frames from within a read. A waiting writer does it when it
    /// wakes; errors show themselves at the next write.
    fn answer(&mut self, cx: &mut Context<'_>) {
        let due = self.pong.is_some() || matches!(self.close, Close::Due(_));
        if due && !self.writer_waits && self.poll_drain(cx).is_ready() {
            let _ = Pin::new(&mut self.io).poll_flush(cx);
        }
    }

    /// Writes header and payload from where they are. Only what the socket does
    /// not take is copied.
    fn poll_write_frame(
        &mut self,
        cx: &mut Context<'_>,
        payload: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut head = Vec::with_capacity(MAX_HEADER);
        let length = payload.len() as u64;
        Header { fin: true, kind: Kind::Binary, mask: None, length }.write(&mut head);
        let slices = [IoSlice::new(&head), IoSlice::new(payload)];
        let count = match Pin::new(&mut self.io).poll_write_vectored(cx, &slices) {
            Poll::Ready(count) => count?,
            Poll::Pending => {
                self.writer_waits = true;
                return Poll::Pending;
            }
        };
        if count < head.len() + payload.len() {
            self.out = SPARE.take();
            self.out.extend_from_slice(head.get(count..).unwrap_or_default());
            let start = count.saturating_sub(head.len());
            self.out.extend_from_slice(payload.get(start..).unwrap_or_default());
        }
        Poll::Ready(Ok(payload.len()))
    }
}

/// A fresh masking key. It must not be foreseen by who chooses the payload
/// (RFC 6455, section 10.3), so it comes from the operating system.
fn random_key() -> io::Result<[u8; 4]> {
    let mut key = [0; 4];
    SystemRandom::new().fill(&mut key).map_err(|_| io::Error::other("no randomness"))?;
    Ok(key)
}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> AsyncRead for WebSocket<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        for _ in 0..MAX_FRUITLESS_READS {
            if matches!(this.inbound, Inbound::Closed) || buffer.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let count = if this.early.is_empty() {
                let mut read = ReadBuf::new(buffer);
                ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
                read.filled().len()
            } else {
                let count = this.early.len().min(buffer.len());
                buffer[..count].copy_from_slice(&this.early[..count]);
                this.early.drain(..count);
                if this.early.is_empty() {
                    this.early = Vec::new();
                }
                count
            };
            if count == 0 {
                let cut = this.inside_frame();
                this.inbound = Inbound::Closed;
                return Poll::Ready(if cut {
                    Err(io::ErrorKind::UnexpectedEof.into())
                } else {
                    Ok(0)
                });
            }
            let decoded = this.decode(&mut buffer[..count]);
            if let Err(error) = decoded {
                this.inbound = Inbound::Closed;
                this.close = match this.close {
                    Close::Open => Close::Due(error.status()),
                    other => other,
                };
            }
            this.answer(cx);
            match decoded {
                Err(error) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
                Ok(0) => {}
                Ok(count) => return Poll::Ready(Ok(count)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> AsyncWrite for WebSocket<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain_as_writer(cx))?;
        if this.close != Close::Open {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let payload = &data[..data.len().min(MAX_MESSAGE)];
        if payload.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if this.side == Side::Server && this.io.is_write_vectored() {
            return this.poll_write_frame(cx, payload);
        }
        this.encode(Kind::Binary, payload)?;
        match this.poll_drain_as_writer(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What could not be written is ours now, and goes first next time.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(payload.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain_as_writer(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.close == Close::Open {
            self.close = Close::Due(NORMAL);
        }
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
