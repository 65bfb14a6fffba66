//! What a connection's task and the users of its streams share.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::task::AtomicWaker;

use crate::connection::{Connection, Error, Read, StreamError, StreamEvent, StreamId};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::time::Instant;
use crate::wire::Buffer;

use super::platform::Platform;

/// What a connection's task and its users share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the task.
    pub(super) driver: AtomicWaker,
    pub(super) platform: Arc<dyn Platform>,
}

pub(super) struct State {
    pub(super) connection: Connection,
    pub(super) peer: Option<PeerId>,
    streams: BTreeMap<StreamId, Handle>,
    /// Streams whose users wait until all that they wrote is on its way.
    flushing: Vec<StreamId>,
    closed: Option<Error>,
    closing: Vec<Waker>,
}

/// What the user of a stream waits for.
#[derive(Default)]
struct Handle {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Set while the stream is in [`State::flushing`].
    flusher: Option<Waker>,
    agreed: Option<Name>,
    failed: Option<StreamError>,
    reset: bool,
    finished: bool,
    /// What was not read when the connection ended.
    rest: Buffer,
    /// The node still has it, but the connection is told to detach it.
    expected: bool,
}

impl Handle {
    /// All who wait.
    fn take(&mut self) -> impl Iterator<Item = Waker> {
        let wakers = [self.reader.take(), self.writer.take(), self.flusher.take()];
        wakers.into_iter().flatten()
    }

    fn error(&self) -> Option<io::Error> {
        if let Some(error) = &self.failed {
            let kind = match error {
                StreamError::ProtocolNotSupported(_) => io::ErrorKind::Unsupported,
                StreamError::TimedOut => io::ErrorKind::TimedOut,
                _ => io::ErrorKind::ConnectionReset,
            };
            return Some(io::Error::new(kind, error.clone()));
        }
        self.reset.then(|| io::Error::new(io::ErrorKind::ConnectionReset, StreamError::Reset))
    }
}

impl Shared {
    pub(super) fn new(connection: Connection, platform: Arc<dyn Platform>) -> Self {
        let state = State {
            connection,
            peer: None,
            streams: BTreeMap::new(),
            flushing: Vec::new(),
            closed: None,
            closing: Vec::new(),
        };
        Self { state: Mutex::new(state), driver: AtomicWaker::new(), platform }
    }

    /// A panic elsewhere leaves the state whole: every change of it is complete
    /// before a call returns.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody holds the lock.
    #[cfg(test)]
    pub(super) fn is_free(&self) -> bool {
        self.state.try_lock().is_ok()
    }

    /// Wakes the task if the connection has something to send.
    fn kick(&self, state: &State) {
        if state.connection.wants_transmit() {
            self.driver.wake();
        }
    }

    pub(super) fn peer(&self) -> Option<PeerId> {
        self.lock().peer
    }

    pub(super) fn rtt(&self) -> Option<core::time::Duration> {
        self.lock().connection.rtt()
    }

    #[cfg(feature = "relay")]
    pub(super) fn allowance(&self) -> Option<crate::protocols::relay::Allowance> {
        self.lock().connection.allowance(self.platform.now())
    }

    pub(super) fn stream_count(&self) -> usize {
        self.lock().connection.stream_count()
    }

    pub(super) fn closed(&self) -> Option<Error> {
        self.lock().closed.clone()
    }

    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Error> {
        let mut state = self.lock();
        if let Some(error) = &state.closed {
            return Poll::Ready(error.clone());
        }
        state.closing.push(cx.waker().clone());
        Poll::Pending
    }

    /// Lets the connection's task change the connection, and moves those whom the
    /// news concern to `woken`. The news are told under the lock of what made them:
    /// a stream that was gone without a word would be taken for one that has ended.
    pub(super) fn change<R>(
        &self,
        woken: &mut Vec<Waker>,
        change: impl FnOnce(&mut State, &mut Vec<Waker>) -> R,
    ) -> R {
        let mut state = self.lock();
        let result = change(&mut state, woken);
        state.dispatch(woken);
        result
    }

    pub(super) fn open(
        &self,
        open: impl FnOnce(&mut Connection, Instant) -> Result<StreamId, StreamError>,
    ) -> Result<StreamId, StreamError> {
        let mut state = self.lock();
        let id = open(&mut state.connection, self.platform.now())?;
        state.streams.insert(id, Handle::default());
        self.kick(&state);
        Ok(id)
    }

    /// Takes over a stream that the remote opened; `false` if it is gone again.
    pub(super) fn adopt(&self, id: StreamId) -> bool {
        let mut state = self.lock();
        if state.connection.stream(id).is_none() {
            return false;
        }
        state.streams.insert(id, Handle::default());
        true
    }

    /// Expects a stream of the node that is about to be detached.
    #[cfg(feature = "relay")]
    pub(super) fn expect(&self, id: StreamId) {
        self.lock().streams.insert(id, Handle { expected: true, ..Handle::default() });
    }

    pub(super) fn poll_agreed(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
    ) -> Poll<Result<Name, StreamError>> {
        let mut state = self.lock();
        let closed = state.closed.is_some();
        let Some(handle) = state.streams.get_mut(&id) else {
            return Poll::Ready(Err(StreamError::NotConnected));
        };
        if let Some(name) = handle.agreed.take() {
            return Poll::Ready(Ok(name));
        }
        if let Some(error) = &handle.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if closed {
            return Poll::Ready(Err(StreamError::NotConnected));
        }
        handle.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(handle) = state.streams.get_mut(&id) else { return Poll::Ready(Ok(0)) };
        if handle.expected && state.closed.is_none() {
            handle.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(mut stream) = state.connection.stream(id) {
            match stream.read(out) {
                Read::Bytes(count) => {
                    handle.finished = stream.is_read_ended() && stream.readable().is_empty();
                    self.kick(state);
                    return Poll::Ready(Ok(count));
                }
                Read::Finished => {
                    handle.finished = true;
                    return Poll::Ready(Ok(0));
                }
                Read::Pending => {
                    handle.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Read::Reset => handle.reset = true,
            }
        }
        if !handle.rest.is_empty() {
            let count = handle.rest.len().min(out.len());
            out[..count].copy_from_slice(&handle.rest.as_slice()[..count]);
            handle.rest.consume(count);
            return Poll::Ready(Ok(count));
        }
        if let Some(error) = handle.error() {
            return Poll::Ready(Err(error));
        }
        match &state.closed {
            Some(error) if !handle.finished => Poll::Ready(Err(disconnected(error))),
            // Why is about to be told.
            None if !handle.finished && state.connection.is_closed() => {
                handle.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            // Closed both ways and drained.
            _ => Poll::Ready(Ok(0)),
        }
    }

    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(handle) = state.streams.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if handle.expected && state.closed.is_none() {
            handle.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(mut stream) = state.connection.stream(id) {
            match stream.write(bytes) {
                Ok(0) if !bytes.is_empty() => {
                    handle.writer = Some(cx.waker().clone());
                    self.kick(state);
                    return Poll::Pending;
                }
                Ok(count) => {
                    self.kick(state);
                    return Poll::Ready(Ok(count));
                }
                Err(error) => {
                    let error = io::Error::new(io::ErrorKind::BrokenPipe, error);
                    return Poll::Ready(Err(handle.error().unwrap_or(error)));
                }
            }
        }
        let error = handle.error().unwrap_or_else(|| match &state.closed {
            Some(error) => disconnected(error),
            None => io::ErrorKind::BrokenPipe.into(),
        });
        Poll::Ready(Err(error))
    }

    /// Completes when the connection has taken all that was written.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>, id: StreamId) -> Poll<io::Result<()>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(handle) = state.streams.get_mut(&id) else { return Poll::Ready(Ok(())) };
        if let Some(error) = handle.error() {
            return Poll::Ready(Err(error));
        }
        if let Some(error) = &state.closed {
            return Poll::Ready(Err(disconnected(error)));
        }
        let ending = state.connection.is_closed();
        match state.connection.stream(id) {
            Some(stream) if !stream.is_flushed() => {
                if handle.flusher.replace(cx.waker().clone()).is_none() {
                    state.flushing.push(id);
                }
                self.kick(state);
                Poll::Pending
            }
            // Why is about to be told.
            None if ending => {
                handle.flusher = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn finish(&self, id: StreamId) {
        let mut state = self.lock();
        if let Some(mut stream) = state.connection.stream(id) {
            stream.finish();
        }
        self.kick(&state);
    }

    pub(super) fn reset(&self, id: StreamId) {
        let mut state = self.lock();
        state.connection.reset(id);
        self.kick(&state);
    }

    /// The user is gone: a stream that has not come to its end is reset.
    pub(super) fn release(&self, id: StreamId) {
        let mut state = self.lock();
        state.streams.remove(&id);
        state.connection.release(self.platform.now(), id);
        self.kick(&state);
    }
}

fn disconnected(error: &Error) -> io::Error {
    let kind = match error {
        #[cfg(feature = "relay")]
        Error::RelayLimit(_) => io::ErrorKind::QuotaExceeded,
        _ => io::ErrorKind::NotConnected,
    };
    io::Error::new(kind, error.clone())
}

impl State {
    /// Moves those whom the connection's news concern to `woken`: to be woken
    /// without the lock, which is the first thing that they will want.
    fn dispatch(&mut self, woken: &mut Vec<Waker>) {
        while let Some(event) = self.connection.poll_stream() {
            let (StreamEvent::Opened { stream: id, .. }
            | StreamEvent::Failed { stream: id, .. }
            | StreamEvent::Readable(id)
            | StreamEvent::Writable(id)
            | StreamEvent::Finished(id)
            | StreamEvent::Reset(id)) = event;
            let Some(handle) = self.streams.get_mut(&id) else { continue };
            match event {
                StreamEvent::Writable(_) => woken.extend(handle.writer.take()),
                StreamEvent::Readable(_) => woken.extend(handle.reader.take()),
                StreamEvent::Finished(_) => {
                    // Of one that is gone already all was read.
                    handle.finished |=
                        !self.connection.is_closed() && self.connection.stream(id).is_none();
                    woken.extend(handle.reader.take());
                }
                StreamEvent::Opened { protocol, .. } => {
                    handle.agreed = Some(protocol);
                    woken.extend(handle.reader.take());
                }
                StreamEvent::Failed { error, .. } => {
                    handle.failed = Some(error);
                    woken.extend(handle.take());
                }
                StreamEvent::Reset(_) => {
                    handle.reset = true;
                    woken.extend(handle.take());
                }
            }
        }
        let Self { connection, streams, flushing, .. } = self;
        flushing.retain(|id| {
            let Some(handle) = streams.get_mut(id) else { return false };
            let waits = handle.flusher.is_some()
                && connection.stream(*id).is_some_and(|stream| !stream.is_flushed());
            if !waits {
                woken.extend(handle.flusher.take());
            }
            waits
        });
    }

    /// The transport has ended: what came over it before can still be read.
    pub(super) fn transport_closed(&mut self, reason: String) {
        let Self { connection, streams, .. } = self;
        for (id, handle) in streams {
            if let Some(mut stream) = connection.stream(*id) {
                handle.rest.push(stream.readable());
                handle.finished |= stream.is_read_ended();
            }
        }
        connection.transport_closed(reason);
    }

    /// A stream that was expected is there, or lost.
    pub(super) fn detached(&mut self, id: StreamId, woken: &mut Vec<Waker>) {
        let lost = self.connection.stream(id).is_none();
        if let Some(handle) = self.streams.get_mut(&id) {
            handle.expected = false;
            handle.reset |= lost;
            woken.extend(handle.take());
        }
    }

    /// The connection is over: moves all who wait to `woken`.
    pub(super) fn close(&mut self, error: Error, woken: &mut Vec<Waker>) {
        self.closed = Some(error);
        woken.extend(self.streams.values_mut().flat_map(Handle::take));
        woken.append(&mut self.closing);
    }
}
