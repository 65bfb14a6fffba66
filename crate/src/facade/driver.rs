//! The task of one connection: between its transport, its streams' users and
//! the brain.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures::StreamExt;
use futures::channel::mpsc;
use futures::io::{AsyncRead, AsyncWrite};

use crate::connection::{ToConnection, ToNode};
use crate::node::ConnectionId;
use crate::time::Instant;

use super::platform::{BoxFuture, Io};
use super::shared::Shared;

/// Bytes read from a transport at a time; one buffer a thread, not a connection.
pub(super) const READ_BYTES: usize = 256 * 1024;
/// Bytes gathered for one write to a transport.
const WRITE_BYTES: usize = 256 * 1024;
/// Bytes read and written before other tasks of the thread get their turn.
pub(super) const TURN_BYTES: usize = 1024 * 1024;
/// Rounds of a turn, for remotes that send little at a time.
const ROUNDS: usize = 16;

thread_local! {
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static WRITE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
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
    /// Whom to wake as soon as nothing is locked; empty between turns.
    pub(super) woken: Vec<Waker>,
    pub(super) over: bool,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.shared.driver.register(cx.waker());
        let mut left = TURN_BYTES;
        for _ in 0..ROUNDS {
            let now = this.shared.platform.now();
            this.hear_node(cx, now);
            let paused = !this.shared.lock().connection.wants_read();
            let read = this.read(cx, now);
            let written = this.write(cx, now, left);
            this.wake();
            ready!(this.tell_node(cx));
            if this.over {
                // The goodbye is best effort: the remote may have gone first.
                let _ = ready!(Pin::new(&mut this.io).poll_close(cx));
                return Poll::Ready(());
            }
            // What was just fetched or sent may have made room for reading again,
            // of which nobody else would wake us.
            let resumed = paused && this.shared.lock().connection.wants_read();
            if read + written == 0 && !resumed && !this.time_passed(cx, now) {
                return Poll::Pending;
            }
            left = left.saturating_sub(read + written);
            if left == 0 {
                break;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Driver {
    fn wake(&mut self) {
        self.woken.drain(..).for_each(Waker::wake);
    }

    fn hear_node(&mut self, cx: &mut Context<'_>, now: Instant) {
        while let Poll::Ready(message) = self.from_node.poll_next_unpin(cx) {
            // Without a brain, or dropped by it, a connection has no purpose.
            let Some(message) = message else {
                self.shared.lock().connection.transport_closed("dropped".into());
                return;
            };
            let detached = match &message {
                ToConnection::Detach(stream) => Some(*stream),
                #[cfg(feature = "relay")]
                ToConnection::Carry(stream) => Some(*stream),
                _ => None,
            };
            self.shared.change(&mut self.woken, |state, woken| {
                state.connection.handle_node(now, message);
                if let Some(stream) = detached {
                    state.detached(stream, woken);
                }
            });
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
                if state.connection.is_finished() && self.unsent.is_empty() {
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
                self.shared.lock().close(error, &mut self.woken);
                self.wake();
                self.over = true;
            }
        }
    }

    /// Reads once: how much. If it was something, there may be more.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> usize {
        if !self.shared.lock().connection.wants_read() {
            return 0;
        }
        READ.with_borrow_mut(|scratch| {
            scratch.resize(READ_BYTES, 0);
            let result = Pin::new(&mut self.io).poll_read(cx, scratch);
            let Poll::Ready(result) = result else { return 0 };
            self.shared.change(&mut self.woken, |state, _| {
                match result {
                    Ok(0) => state.transport_closed("ended".into()),
                    Ok(count) => {
                        state.connection.receive(now, &mut scratch[..count]);
                        return count;
                    }
                    Err(error) => state.transport_closed(error.to_string()),
                }
                0
            })
        })
    }

    /// Writes until there is nothing to write, the transport takes no more or
    /// `enough` is written: how much.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant, enough: usize) -> usize {
        let mut written = 0;
        while written < enough {
            if self.unsent.is_empty() {
                let mut out = WRITE.take();
                self.shared.change(&mut self.woken, |state, _| {
                    state.connection.transmit(now, &mut out, WRITE_BYTES);
                });
                self.unsent = out;
            }
            let mut sent = 0;
            while sent < self.unsent.len() {
                match Pin::new(&mut self.io).poll_write(cx, &self.unsent[sent..]) {
                    Poll::Ready(Ok(count)) if count > 0 => sent += count,
                    Poll::Pending => {
                        self.unsent.drain(..sent);
                        return written + sent;
                    }
                    Poll::Ready(result) => {
                        let reason = result.err().map_or("ended".into(), |e| e.to_string());
                        self.shared.lock().connection.transport_closed(reason);
                        self.unsent = Vec::new();
                        return written;
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
            written += sent;
        }
        // Transports that gather bytes must send them now; failing shows in the
        // next write.
        let _ = Pin::new(&mut self.io).poll_flush(cx);
        written
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
            self.shared.change(&mut self.woken, |state, _| state.connection.handle_timeout(now));
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
