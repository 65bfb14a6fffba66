//! One connection's task, polled by hand over a transport in memory.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures::channel::mpsc;
use futures::future::{BoxFuture, pending};
use futures::io::{AsyncRead, AsyncWrite};
use futures::task::noop_waker_ref;

use super::driver::{Driver, READ_BYTES, TURN_BYTES};
use super::platform::{Link, Listener, Platform, TransportError};
use super::shared::Shared;
use crate::address::Multiaddr;
use crate::connection::{Config, Connection, Handler, Owner, Role, StreamId, ToNode};
use crate::identity::Keypair;
use crate::muxer::yamux;
use crate::node::ConnectionId;
use crate::{Instant, Rng};

const ECHO: &str = "/echo/1.0.0";
const NOW: Instant = Instant::ZERO;

/// A host whose clock stands still.
struct Still;

impl Platform for Still {
    fn now(&self) -> Instant {
        NOW
    }
    fn unix_millis(&self) -> u64 {
        0
    }
    fn seed(&self) -> [u8; 32] {
        [0; 32]
    }
    fn sleep_until(&self, _: Instant) -> BoxFuture<'static, ()> {
        Box::pin(pending())
    }
    fn spawn(&self, _: BoxFuture<'static, ()>) {}
    fn can_dial(&self, _: &Multiaddr) -> bool {
        false
    }
    fn can_listen(&self, _: &Multiaddr) -> bool {
        false
    }
    fn dial(&self, _: Multiaddr) -> BoxFuture<'static, Result<Link, TransportError>> {
        Box::pin(pending())
    }
    fn listen(
        &self,
        _: Multiaddr,
    ) -> BoxFuture<'static, Result<Box<dyn Listener>, TransportError>> {
        Box::pin(pending())
    }
}

/// What is on its way to the task's connection, and from it.
#[derive(Clone, Default)]
struct Wire {
    inbound: Arc<Mutex<Vec<u8>>>,
    outbound: Arc<Mutex<Vec<u8>>>,
    /// What others do in the middle of the task's turn, when it has read.
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

type Meanwhile = Box<dyn FnMut() + Send>;

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut inbound = self.inbound.lock().unwrap();
        let count = inbound.len().min(out.len());
        out[..count].copy_from_slice(&inbound[..count]);
        inbound.drain(..count);
        if count > 0 { Poll::Ready(Ok(count)) } else { Poll::Pending }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.outbound.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(meanwhile) = &mut *self.meanwhile.lock().unwrap() {
            meanwhile();
        }
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn connection(number: u64, role: Role) -> Connection {
    let config = Config::new(Keypair::generate_ed25519(&mut Rng::from_number(number)));
    let handler = Handler { owner: Owner::Application, weight: yamux::DEFAULT_WEIGHT };
    let handlers = Arc::new([(ECHO.into(), handler)].into());
    Connection::new(Arc::new(config), handlers, role, None, Rng::from_number(number), NOW)
}

/// A remote that is connected with a task.
struct Pair {
    remote: Connection,
    wire: Wire,
    shared: Arc<Shared>,
    driver: Driver,
    news: mpsc::Receiver<(ConnectionId, ToNode)>,
    _to_connection: mpsc::UnboundedSender<crate::connection::ToConnection>,
}

impl Pair {
    fn new() -> Self {
        let shared = Arc::new(Shared::new(connection(1, Role::Responder), Arc::new(Still)));
        let wire = Wire::default();
        let (_to_connection, from_node) = mpsc::unbounded();
        let (to_node, news) = mpsc::channel(100);
        let driver = Driver {
            id: ConnectionId(1),
            io: Box::new(wire.clone()),
            shared: shared.clone(),
            from_node,
            to_node,
            unsent: Vec::new(),
            sleep: None,
            woken: Vec::new(),
            over: false,
        };
        let remote = connection(2, Role::Initiator);
        let mut pair = Self { remote, wire, shared, driver, news, _to_connection };
        for _ in 0..4 {
            pair.send();
            assert!(pair.poll().is_pending());
            pair.remote.receive(NOW, &mut std::mem::take(&mut *pair.wire.outbound.lock().unwrap()));
        }
        assert!(pair.shared.peer().is_some());
        pair
    }

    fn poll(&mut self) -> Poll<()> {
        let mut context = Context::from_waker(noop_waker_ref());
        Future::poll(Pin::new(&mut self.driver), &mut context)
    }

    /// Puts what the remote has to send on the wire.
    fn send(&mut self) {
        let mut inbound = self.wire.inbound.lock().unwrap();
        self.remote.transmit(NOW, &mut inbound, usize::MAX);
    }

    /// A stream that the remote opens, as it knows it and as the task does.
    fn stream(&mut self) -> (StreamId, StreamId) {
        let there = self.remote.open(NOW, vec![ECHO.into()]).unwrap();
        self.send();
        assert!(self.poll().is_pending());
        let here = loop {
            if let (_, ToNode::Inbound { stream, .. }) = self.news.try_recv().unwrap() {
                break stream;
            }
        };
        assert!(self.shared.adopt(here));
        (there, here)
    }
}

#[test]
fn a_remote_that_sends_much_leaves_others_their_turn() {
    let mut pair = Pair::new();
    let streams: Vec<StreamId> = (0..12).map(|_| pair.stream().0).collect();
    for there in streams {
        assert_eq!(pair.remote.stream(there).unwrap().write(&[1; 250_000]), Ok(250_000));
        pair.send();
    }
    let waiting = |pair: &Pair| pair.wire.inbound.lock().unwrap().len();
    let all = waiting(&pair);
    assert!(all > 2 * TURN_BYTES);
    let (mut polls, mut before) = (0, all);
    while waiting(&pair) > 0 {
        assert!(pair.poll().is_pending());
        polls += 1;
        assert!(before - waiting(&pair) <= TURN_BYTES + READ_BYTES);
        before = waiting(&pair);
    }
    assert!(polls > 1);
}

#[test]
fn users_are_woken_when_nothing_is_locked() {
    /// Uses the connection as it is woken.
    struct Eager(Arc<Shared>, AtomicUsize);
    impl Wake for Eager {
        fn wake(self: Arc<Self>) {
            // Else this thread holds it, and using the connection would never return.
            assert!(self.0.is_free());
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let mut pair = Pair::new();
    let (there, here) = pair.stream();
    let eager = Arc::new(Eager(pair.shared.clone(), AtomicUsize::new(0)));
    let waker = Waker::from(eager.clone());
    let mut context = Context::from_waker(&waker);
    assert!(pair.shared.poll_read(&mut context, here, &mut [0; 9]).is_pending());
    assert!(pair.shared.poll_closed(&mut context).is_pending());
    pair.remote.stream(there).unwrap().write(&[1; 9]).unwrap();
    pair.send();
    assert!(pair.poll().is_pending());
    assert_eq!(eager.1.load(Ordering::Relaxed), 1, "there is something to read");
    let read = pair.shared.poll_read(&mut context, here, &mut [0; 9]);
    assert!(matches!(read, Poll::Ready(Ok(9))));
    pair.wire.inbound.lock().unwrap().extend([0; 100]);
    while pair.poll().is_pending() {}
    assert_eq!(eager.1.load(Ordering::Relaxed), 2, "the connection is over");
}

/// What a user reads and flushes in the middle of the turn in which `act` reaches the
/// task.
fn read_meanwhile(act: impl FnOnce(&mut Pair, StreamId)) -> Vec<(String, String)> {
    let mut pair = Pair::new();
    let (there, here) = pair.stream();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (shared, results) = (pair.shared.clone(), seen.clone());
    *pair.wire.meanwhile.lock().unwrap() = Some(Box::new(move || {
        let mut context = Context::from_waker(noop_waker_ref());
        let read = shared.poll_read(&mut context, here, &mut [0; 9]);
        let flushed = shared.poll_flush(&mut context, here);
        results.lock().unwrap().push((format!("{read:?}"), format!("{flushed:?}")));
    }));
    act(&mut pair, there);
    let _ = pair.poll();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(!seen.is_empty());
    seen
}

#[test]
fn a_reset_is_not_taken_for_an_end() {
    let seen = read_meanwhile(|pair, there| {
        pair.remote.reset(there);
        pair.send();
    });
    assert!(seen.iter().all(|(read, flushed)| {
        read.contains("ConnectionReset") && flushed.contains("ConnectionReset")
    }));
}

#[test]
fn the_end_of_a_connection_is_not_taken_for_that_of_a_stream() {
    let seen = read_meanwhile(|pair, _| pair.wire.inbound.lock().unwrap().extend([0; 100]));
    assert!(seen.iter().all(|(read, flushed)| read == "Pending" && flushed == "Pending"));
}

#[test]
fn an_end_is_seen_after_the_connection_has_ended() {
    let mut pair = Pair::new();
    let (there, here) = pair.stream();
    let mut stream = pair.remote.stream(there).unwrap();
    assert_eq!(stream.write(&[1; 9]), Ok(9));
    stream.finish();
    pair.send();
    assert!(pair.poll().is_pending());
    let mut context = Context::from_waker(noop_waker_ref());
    pair.shared.finish(here);
    assert!(pair.poll().is_pending());
    let mut read = || match pair.shared.poll_read(&mut context, here, &mut [0; 20]) {
        Poll::Ready(Ok(count)) => count,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(), 9);
    pair.wire.inbound.lock().unwrap().extend([0; 100]);
    while Future::poll(Pin::new(&mut pair.driver), &mut Context::from_waker(noop_waker_ref()))
        .is_pending()
    {}
    assert_eq!(read(), 0);
}

#[cfg(feature = "kad")]
#[test]
fn the_store_in_memory_does_what_stores_do() {
    use super::{MemoryRecords, RecordStore, conformance};

    let known = Mutex::new(std::collections::BTreeMap::new());
    let open = async |name: &str, limits| -> Arc<dyn RecordStore> {
        let mut known = known.lock().unwrap();
        let known = known.entry(name.to_owned());
        let store = known.or_insert_with(|| MemoryRecords::new(limits)).clone();
        let store: Arc<dyn RecordStore> = Arc::new(store);
        store
    };
    futures::executor::block_on(conformance::check(open));
}
