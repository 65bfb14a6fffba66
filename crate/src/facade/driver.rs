//! The task of one connection: between its transport, its streams' users and
//! the brain.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use futures::StreamExt;
use futures::channel::mpsc;
use futures::io::{AsyncRead, AsyncWrite};
use futures::task::AtomicWaker;

use crate::connection::{
    Connection, Error, Read, StreamError, StreamEvent, StreamId, ToConnection, ToNode,
};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::ConnectionId;
use crate::time::Instant;

use super::platform::{BoxFuture, Io, Platform};

/// Bytes read from a transport at a time; one buffer a thread, not a connection.
const READ_BYTES: usize = 256 * 1024;
/// Bytes gathered for one write to a transport.
const WRITE_BYTES: usize = 256 * 1024;
/// Reads and writes before other tasks of the thread get their turn.
const ROUNDS: usize = 16;

thread_local! {
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static WRITE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a connection's task and its users share.
pub(super) struct Shared {
    state: Mutex<State>,
    driver: AtomicWaker,
    platform: Arc<dyn Platform>,
}

struct State {
    connection: Connection,
    streams: BTreeMap<StreamId, Handle>,
    /// Streams whose users wait until all that they wrote is on its way.
    flushing: Vec<StreamId>,
    peer: Option<PeerId>,
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
    /// The node still has it, but the connection is told to detach it.
    expected: bool,
}

impl Handle {
    fn wake(&mut self) {
        let wakers = [self.reader.take(), self.writer.take(), self.flusher.take()];
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
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
            streams: BTreeMap::new(),
            flushing: Vec::new(),
            peer: None,
            closed: None,
            closing: Vec::new(),
        };
        Self { state: Mutex::new(state), driver: AtomicWaker::new(), platform }
    }

    /// A panic elsewhere leaves the state whole: every change of it is complete
    /// before a call returns.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    pub(super) fn open(&self, protocols: Vec<Name>) -> Result<StreamId, StreamError> {
        let mut state = self.lock();
        let id = state.connection.open(self.platform.now(), protocols)?;
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
        if let Some(error) = handle.error() {
            return Poll::Ready(Err(error));
        }
        match &state.closed {
            Some(error) => Poll::Ready(Err(disconnected(error))),
            // Closed both ways and drained.
            None => Poll::Ready(Ok(0)),
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
        match state.connection.stream(id) {
            Some(stream) if !stream.is_flushed() => {
                if handle.flusher.replace(cx.waker().clone()).is_none() {
                    state.flushing.push(id);
                }
                self.kick(state);
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
    io::Error::new(io::ErrorKind::NotConnected, error.clone())
}

impl State {
    /// Wakes those whom the connection's news concern.
    fn dispatch(&mut self) {
        while let Some(event) = self.connection.poll_stream() {
            let (StreamEvent::Opened { stream: id, .. }
            | StreamEvent::Failed { stream: id, .. }
            | StreamEvent::Readable(id)
            | StreamEvent::Writable(id)
            | StreamEvent::Finished(id)
            | StreamEvent::Reset(id)) = event;
            let Some(handle) = self.streams.get_mut(&id) else { continue };
            let waker = match event {
                StreamEvent::Writable(_) => handle.writer.take(),
                StreamEvent::Readable(_) | StreamEvent::Finished(_) => handle.reader.take(),
                StreamEvent::Opened { protocol, .. } => {
                    handle.agreed = Some(protocol);
                    handle.reader.take()
                }
                StreamEvent::Failed { error, .. } => {
                    handle.failed = Some(error);
                    handle.wake();
                    None
                }
                StreamEvent::Reset(_) => {
                    handle.reset = true;
                    handle.wake();
                    None
                }
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        self.wake_flushed();
    }

    /// A stream that was expected is there, or lost.
    fn detached(&mut self, id: StreamId) {
        let lost = self.connection.stream(id).is_none();
        if let Some(handle) = self.streams.get_mut(&id) {
            handle.expected = false;
            handle.reset |= lost;
            handle.wake();
        }
    }

    fn wake_flushed(&mut self) {
        let Self { connection, streams, flushing, .. } = self;
        flushing.retain(|id| {
            let Some(handle) = streams.get_mut(id) else { return false };
            let waits = handle.flusher.is_some()
                && connection.stream(*id).is_some_and(|stream| !stream.is_flushed());
            if !waits && let Some(waker) = handle.flusher.take() {
                waker.wake();
            }
            waits
        });
    }

    fn close(&mut self, error: Error) {
        self.closed = Some(error);
        self.streams.values_mut().for_each(Handle::wake);
        self.closing.drain(..).for_each(Waker::wake);
    }
}

/// The task of one connection, a future that ends with it.
pub(super) struct Driver {
    pub(super) id: ConnectionId,
    pub(super) io: Box<dyn Io>,
    pub(super) shared: Arc<Shared>,
    pub(super) from_node: mpsc::UnboundedReceiver<ToConnection>,
    pub(super) to_node: mpsc::Sender<(ConnectionId, ToNode)>,
    /// Bytes that the transport did not take yet; empty while it takes them.
    pub(super) unsent: Vec<u8>,
    pub(super) sleep: Option<(Instant, BoxFuture<'static, ()>)>,
    pub(super) over: bool,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.shared.driver.register(cx.waker());
        for _ in 0..ROUNDS {
            let now = this.shared.platform.now();
            this.hear_node(cx, now);
            let paused = !this.shared.lock().connection.wants_read();
            let read = this.read(cx, now);
            let written = this.write(cx, now);
            this.shared.lock().dispatch();
            ready!(this.tell_node(cx));
            if this.over {
                // The goodbye is best effort: the remote may have gone first.
                let _ = ready!(Pin::new(&mut this.io).poll_close(cx));
                return Poll::Ready(());
            }
            // What was just fetched or sent may have made room for reading again,
            // of which nobody else would wake us.
            let resumed = paused && this.shared.lock().connection.wants_read();
            if !(read || written || resumed || this.time_passed(cx, now)) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Driver {
    fn hear_node(&mut self, cx: &mut Context<'_>, now: Instant) {
        while let Poll::Ready(message) = self.from_node.poll_next_unpin(cx) {
            // Without a brain, or dropped by it, a connection has no purpose.
            let Some(message) = message else {
                self.shared.lock().connection.transport_closed("dropped".into());
                return;
            };
            let detached = match &message {
                ToConnection::Detach(stream) => Some(*stream),
                _ => None,
            };
            let mut state = self.shared.lock();
            state.connection.handle_node(now, message);
            if let Some(stream) = detached {
                state.detached(stream);
            }
        }
    }

    /// Hands the brain all news that it has room for. Ends only while it has none.
    fn tell_node(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.over {
                return Poll::Ready(());
            }
            // A brain that is gone needs no news; the closed channel to us tells.
            let gone = ready!(self.to_node.poll_ready(cx)).is_err();
            let mut state = self.shared.lock();
            let Some(news) = state.connection.poll_node() else {
                if state.connection.is_finished() {
                    state.connection.transport_closed(String::new());
                    continue;
                }
                return Poll::Ready(());
            };
            let end = match &news {
                ToNode::Closed { error } => Some(error.clone()),
                _ => None,
            };
            if let ToNode::Established { peer } = &news {
                state.peer = Some(*peer);
            }
            drop(state);
            if !gone {
                // The channel was ready a moment ago, and only we send here.
                let _ = self.to_node.start_send((self.id, news));
            }
            // The brain knows by now: who wakes here and dials gets a new connection.
            if let Some(error) = end {
                self.shared.lock().close(error);
                self.over = true;
            }
        }
    }

    /// Reads once; `true` if there may be more.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if !self.shared.lock().connection.wants_read() {
            return false;
        }
        READ.with_borrow_mut(|scratch| {
            scratch.resize(READ_BYTES, 0);
            let result = Pin::new(&mut self.io).poll_read(cx, scratch);
            let mut state = self.shared.lock();
            match result {
                Poll::Pending => return false,
                Poll::Ready(Ok(0)) => state.connection.transport_closed("ended".into()),
                Poll::Ready(Ok(count)) => {
                    state.connection.receive(now, &mut scratch[..count]);
                    return true;
                }
                Poll::Ready(Err(error)) => state.connection.transport_closed(error.to_string()),
            }
            false
        })
    }

    /// Writes until there is nothing to write or the transport takes no more;
    /// `true` if anything was written.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut any = false;
        for _ in 0..ROUNDS {
            if self.unsent.is_empty() {
                let mut out = WRITE.take();
                self.shared.lock().connection.transmit(now, &mut out, WRITE_BYTES);
                self.unsent = out;
            }
            let mut sent = 0;
            while sent < self.unsent.len() {
                match Pin::new(&mut self.io).poll_write(cx, &self.unsent[sent..]) {
                    Poll::Ready(Ok(count)) if count > 0 => sent += count,
                    Poll::Pending => {
                        self.unsent.drain(..sent);
                        return any || sent > 0;
                    }
                    Poll::Ready(result) => {
                        let reason = result.err().map_or("ended".into(), |e| e.to_string());
                        self.shared.lock().connection.transport_closed(reason);
                        self.unsent = Vec::new();
                        return any;
                    }
                }
            }
            // The buffer goes back to its thread: an idle connection holds none.
            let mut empty = std::mem::take(&mut self.unsent);
            empty.clear();
            WRITE.set(empty);
            if sent == 0 {
                break;
            }
            any = true;
        }
        // Transports that gather bytes must send them now; failing shows in the
        // next write.
        let _ = Pin::new(&mut self.io).poll_flush(cx);
        any
    }

    /// Turns the clock; `true` if a deadline had come. A timer that is early is
    /// kept, so that deadlines moving on cost nothing.
    fn time_passed(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let deadline = self.shared.lock().connection.poll_timeout();
        let Some(deadline) = deadline else {
            self.sleep = None;
            return false;
        };
        if deadline <= now {
            self.shared.lock().connection.handle_timeout(now);
            return true;
        }
        if self.sleep.as_ref().is_none_or(|(at, _)| *at > deadline || *at <= now) {
            self.sleep = Some((deadline, self.shared.platform.sleep_until(deadline)));
        }
        match &mut self.sleep {
            Some((_, sleep)) => sleep.as_mut().poll(cx).is_ready(),
            None => false,
        }
    }
}
