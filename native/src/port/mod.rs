//! One port for several kinds of links. Who listens holds a [`Door`]. While a port has
//! one door, connections go through it as they come; with more, what a connection begins
//! with says through which.
//!
//! Limits on what remotes can have wait here: [`GRACE`], [`MAX_WAITING`], and on those who
//! are silent the same as on handshakes ([`surplus`]).

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use futures::task::AtomicWaker;
use polypeer::address::Multiaddr;
use polypeer::node::Direction;
use polypeer::swarm::gate::Filters;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::handshakes::surplus;
use crate::tcp::{Accepted, Acceptor, Offer, Ports};

/// How long a connection may leave open what it is. Then it is plain libp2p: after a hole
/// was punched, the side that dialed may wait for the other to speak. The first segment of
/// a WebSocket may be lost, and come once more, before that.
const GRACE: Duration = Duration::from_secs(1);

/// Connections that wait at one door. With so many nobody else is accepted, at no door:
/// the kernel keeps them until its holder takes these.
const MAX_WAITING: usize = 64;

/// What goes through a door. Who begins like nothing else is of the first kind there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// libp2p's own upgrade, or the nonce of a private network.
    Plain,
    /// A WebSocket.
    Http,
    /// A WebSocket over TLS.
    Tls,
}

impl Kind {
    /// Whether connections of this kind begin so; none if more must be known.
    fn begins(self, begun: &[u8]) -> Option<bool> {
        // Whole, since a nonce begins with anything: once in a billion like these.
        let whole = match self {
            Self::Plain => return Some(false),
            Self::Http => 4,
            Self::Tls => 6,
        };
        let fits = |(index, byte): (usize, &u8)| match self {
            Self::Plain => false,
            Self::Http => b"GET ".get(index) == Some(byte),
            // A record of a handshake, its version and length, and a ClientHello in it.
            Self::Tls => {
                matches!((index, byte), (0, 0x16) | (1, 3) | (2, 0..=4) | (3 | 4, _) | (5, 1))
            }
        };
        if !begun.iter().enumerate().take(whole).all(fits) {
            return Some(false);
        }
        (begun.len() >= whole).then_some(true)
    }
}

/// The ports that a host listens on.
#[derive(Default)]
pub(crate) struct Listening(Mutex<BTreeMap<SocketAddr, Weak<Port>>>);

impl Listening {
    /// Listens on `address` for `kind`; on a port listened on already, if not for that.
    pub(crate) fn open(self: &Arc<Self>, address: SocketAddr, kind: Kind) -> io::Result<Door> {
        let port = self.find_or_bind(address)?;
        if !port.lock().doors.open(kind) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(Door { port, kind, offer: None })
    }

    fn find_or_bind(self: &Arc<Self>, address: SocketAddr) -> io::Result<Arc<Port>> {
        let mut ports = self.lock();
        if let Some(port) = ports.get(&address).and_then(Weak::upgrade) {
            return Ok(port);
        }
        let acceptor = Acceptor::bind(address)?;
        let local = acceptor.local();
        let state = State {
            acceptor,
            doors: Doors::default(),
            undecided: VecDeque::new(),
            sleep: None,
            filters: Arc::default(),
        };
        let port = Arc::new(Port {
            local,
            state: Mutex::new(state),
            bells: Arc::default(),
            listening: Arc::clone(self),
        });
        ports.insert(local, Arc::downgrade(&port));
        Ok(port)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Weak<Port>>> {
        // A map is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listening socket and its doors.
struct Port {
    local: SocketAddr,
    state: Mutex<State>,
    bells: Arc<Bells>,
    listening: Arc<Listening>,
}

impl Port {
    fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic it is polled on; what was on its way then is lost.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // The socket is still open: nobody else can have bound it by now.
        self.listening.lock().remove(&self.local);
    }
}

/// Wakes who waits at the doors of a port: any of them may see to it for all.
#[derive(Default)]
struct Bells([AtomicWaker; 3]);

impl Bells {
    fn of(&self, kind: Kind) -> &AtomicWaker {
        let [plain, http, tls] = &self.0;
        match kind {
            Kind::Plain => plain,
            Kind::Http => http,
            Kind::Tls => tls,
        }
    }

    fn ring(&self) {
        self.0.iter().for_each(AtomicWaker::wake);
    }
}

impl Wake for Bells {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

type Arrival = (Accepted, SocketAddr);

/// The doors that are open and who waits at each, in the order of their kinds.
#[derive(Default)]
struct Doors(Vec<(Kind, VecDeque<Arrival>)>);

impl Doors {
    /// Opens the door of `kind`, unless it is open.
    fn open(&mut self, kind: Kind) -> bool {
        let Err(place) = self.0.binary_search_by_key(&kind, |(kind, _)| *kind) else {
            return false;
        };
        self.0.insert(place, (kind, VecDeque::new()));
        true
    }

    fn close(&mut self, kind: Kind) {
        self.0.retain(|(other, _)| *other != kind);
    }

    fn at(&mut self, kind: Kind) -> Option<&mut VecDeque<Arrival>> {
        self.0.iter_mut().find(|(other, _)| *other == kind).map(|(_, waiting)| waiting)
    }

    fn is_full(&self) -> bool {
        self.0.iter().any(|(_, waiting)| waiting.len() >= MAX_WAITING)
    }

    /// Where those go who begin like nothing else.
    fn first(&self) -> Option<Kind> {
        self.0.first().map(|(kind, _)| *kind)
    }

    /// Through which door goes what begins so; none if more must be known.
    fn decide(&self, begun: &[u8]) -> Option<Kind> {
        let mut answers = self.0.iter().map(|(kind, _)| (*kind, kind.begins(begun)));
        if self.0.len() > 1 {
            if let Some((kind, _)) = answers.clone().find(|(_, answer)| *answer == Some(true)) {
                return Some(kind);
            }
            if answers.any(|(_, answer)| answer.is_none()) {
                return None;
            }
        }
        self.first()
    }

    /// The same for a connection that is read on as far as needed.
    fn sort(
        &self,
        stream: &mut Accepted,
        mut read: impl FnMut(&mut Accepted) -> Poll<io::Result<usize>>,
    ) -> Poll<Option<Kind>> {
        loop {
            if let Some(kind) = self.decide(stream.begun()) {
                return Poll::Ready(Some(kind));
            }
            match ready!(read(stream)) {
                // Who takes it meets its end as well.
                Ok(0) | Err(_) => return Poll::Ready(self.first()),
                Ok(_) => {}
            }
        }
    }

    fn sort_now(&self, stream: &mut Accepted) -> Poll<Option<Kind>> {
        self.sort(stream, Accepted::begin_now)
    }
}

/// A connection that has not said what it is, and until when it may.
struct Undecided {
    stream: Accepted,
    remote: SocketAddr,
    until: Instant,
}

struct State {
    acceptor: Acceptor,
    doors: Doors,
    /// The oldest first.
    undecided: VecDeque<Undecided>,
    /// For the oldest.
    sleep: Option<Pin<Box<Sleep>>>,
    filters: Arc<Filters>,
}

impl State {
    /// Begins with a connection; the kind of one whose door is found.
    fn sort(&mut self, (mut stream, remote): Arrival) -> Option<(Kind, Arrival)> {
        if let Poll::Ready(kind) = self.doors.sort_now(&mut stream) {
            return kind.map(|kind| (kind, (stream, remote)));
        }
        if !self.filters.allows_address(&Multiaddr::tcp(remote), Direction::Inbound) {
            return None;
        }
        let waiting = self.undecided.iter().map(|it| it.remote.ip());
        let surplus = surplus(waiting, remote.ip()).and_then(|index| self.undecided.remove(index));
        self.undecided.push_back(Undecided { stream, remote, until: Instant::now() + GRACE });
        self.hurry(surplus?)
    }

    /// What a connection is that may not wait any longer.
    fn hurry(&self, it: Undecided) -> Option<(Kind, Arrival)> {
        let Undecided { mut stream, remote, .. } = it;
        // It may have said so a moment ago.
        let kind = match self.doors.sort_now(&mut stream) {
            Poll::Ready(kind) => kind,
            Poll::Pending => self.doors.first(),
        };
        kind.map(|kind| (kind, (stream, remote)))
    }

    /// The next of the undecided that have said what they are, or have not in time.
    fn poll_decided(&mut self, cx: &mut Context<'_>) -> Option<(Kind, Arrival)> {
        let (doors, mut kind) = (&self.doors, Poll::Pending);
        let decided = self.undecided.iter_mut().position(|it| {
            kind = doors.sort(&mut it.stream, |stream| stream.poll_begin(cx));
            kind.is_ready()
        });
        if let (Some(index), Poll::Ready(kind)) = (decided, kind) {
            let Undecided { stream, remote, .. } = self.undecided.remove(index)?;
            return Some((kind?, (stream, remote)));
        }
        let Some(oldest) = self.undecided.front() else {
            self.sleep = None;
            return None;
        };
        let until = oldest.until;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        if sleep.as_mut().poll(cx).is_pending() {
            return None;
        }
        let oldest = self.undecided.pop_front()?;
        self.hurry(oldest)
    }
}

/// What one listener has of a port. Dropped, it is closed, and those who wait at it are
/// turned away; the port closes with the last one.
pub(crate) struct Door {
    port: Arc<Port>,
    kind: Kind,
    offer: Option<Offer>,
}

impl Door {
    /// The address bound to, which may be a wildcard.
    pub(crate) fn local(&self) -> SocketAddr {
        self.port.local
    }

    /// Has connections to others leave from this port as long as the door is open.
    pub(crate) fn offer(&mut self, ports: &Arc<Ports>) -> io::Result<()> {
        self.offer = Some(self.port.lock().acceptor.offer(ports)?);
        Ok(())
    }

    /// Whom the port keeps no place for while they have not said what they are.
    pub(crate) fn set_filters(&self, filters: Arc<Filters>) {
        self.port.lock().filters = filters;
    }

    /// The next connection for this door. After an error it waits before it tries again.
    pub(crate) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        let bells = &self.port.bells;
        bells.of(self.kind).register(cx.waker());
        // Who is polled last may never be polled again: news wake all.
        let waker = Waker::from(Arc::clone(bells));
        let cx = &mut Context::from_waker(&waker);
        let mut state = self.port.lock();
        loop {
            let full = state.doors.is_full();
            if let Some(arrival) = state.doors.at(self.kind).and_then(VecDeque::pop_front) {
                if full {
                    bells.ring();
                }
                return Poll::Ready(Ok(arrival));
            }
            if full {
                return Poll::Pending;
            }
            let decided = match state.poll_decided(cx) {
                Some(decided) => Some(decided),
                None => {
                    let arrival = ready!(state.acceptor.poll_accept(cx))?;
                    state.sort(arrival)
                }
            };
            if let Some((kind, arrival)) = decided
                && let Some(waiting) = state.doors.at(kind)
            {
                waiting.push_back(arrival);
                if kind != self.kind {
                    bells.of(kind).wake();
                }
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.port.lock().doors.close(self.kind);
        self.port.bells.of(self.kind).take();
        self.port.bells.ring();
    }
}

#[cfg(test)]
mod tests;
