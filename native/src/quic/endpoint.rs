//! The connections of one socket: whose is each datagram?

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::BytesMut;
use polypeer_quic::{NOBODY, Session, Setup};
use quinn_proto::{
    ClientConfig, ConnectError, Connection, ConnectionEvent, ConnectionHandle, DatagramEvent,
    EndpointEvent, Incoming, Transmit,
};
use tokio::sync::mpsc;

use super::inbox::Inbox;
use super::link::QuicLink;
use crate::udp::{Datagram, Kind, Port, Ports, Socket, Taker};

/// Remotes that have begun and that nobody has taken up yet.
const MAX_ARRIVALS: usize = 64;

/// From so many on a remote has to show first that it is where it says it is.
const DOUBTFUL_ARRIVALS: usize = 16;

/// The QUIC of one socket.
pub(super) struct Endpoint {
    pub(super) socket: Arc<Socket>,
    state: Mutex<State>,
}

struct State {
    quic: quinn_proto::Endpoint,
    inboxes: BTreeMap<ConnectionHandle, Arc<Inbox<ConnectionEvent>>>,
    /// None: nobody listens, so nobody is taken up.
    arrivals: Option<mpsc::Sender<Incoming>>,
    /// Somebody may dial, even if there is no connection now.
    dialing: bool,
    /// Nothing is read any more.
    over: bool,
}

impl State {
    fn is_leaving(&self) -> bool {
        !self.dialing && self.arrivals.as_ref().is_none_or(mpsc::Sender::is_closed)
    }
}

/// A connection's place at its endpoint. Dropped, the endpoint forgets it.
pub(super) struct Place {
    pub(super) endpoint: Arc<Endpoint>,
    handle: ConnectionHandle,
    pub(super) inbox: Arc<Inbox<ConnectionEvent>>,
}

impl Place {
    /// Tells the endpoint something; the answer is for the connection.
    pub(super) fn tell(&self, event: EndpointEvent) -> Option<ConnectionEvent> {
        self.endpoint.lock().quic.handle_event(self.handle, event)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.endpoint.lock();
        // What comes late is answered by the endpoint.
        state.quic.handle_event(self.handle, EndpointEvent::drained());
        state.inboxes.remove(&self.handle);
    }
}

/// A socket that somebody listens on, or dials from.
pub(super) struct Open {
    pub(super) endpoint: Arc<Endpoint>,
    port: Arc<Port>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.endpoint.lock();
        (state.dialing, state.arrivals) = (false, None);
        drop(state);
        self.port.left();
    }
}

impl Endpoint {
    /// Binds a socket, or shares one that has no QUIC yet. With it come those who
    /// arrive, if there is to be somebody for them.
    pub(super) fn open(
        ports: &Ports,
        setup: &Setup,
        at: SocketAddr,
        listening: bool,
    ) -> io::Result<(Open, Option<mpsc::Receiver<Incoming>>)> {
        let (sender, receiver) = mpsc::channel(MAX_ARRIVALS);
        let arrivals = listening.then_some(sender);
        let mut made = None;
        let port = ports.open(at, Kind::Quic, |socket| {
            let quic = setup.endpoint(listening);
            let inboxes = BTreeMap::new();
            let state = State { quic, inboxes, arrivals, dialing: true, over: false };
            let endpoint = Endpoint { socket: Arc::clone(socket), state: Mutex::new(state) };
            let endpoint = Arc::new(endpoint);
            made = Some(Arc::clone(&endpoint));
            Box::new(Taking(endpoint))
        })?;
        let endpoint = made.ok_or(io::ErrorKind::AddrInUse)?;
        Ok((Open { endpoint, port }, listening.then_some(receiver)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole, or the connection's own affair.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to dial.
    pub(super) fn connect(
        self: &Arc<Self>,
        client: ClientConfig,
        remote: SocketAddr,
    ) -> Result<QuicLink, ConnectError> {
        let mut state = self.lock();
        if state.over {
            return Err(ConnectError::EndpointStopping);
        }
        let (handle, connection) = state.quic.connect(Instant::now(), client, remote, NOBODY)?;
        Ok(self.place(&mut state, handle, connection, remote))
    }

    /// Takes a remote up; `None` if it has made a mistake already.
    pub(super) fn accept(self: &Arc<Self>, incoming: Incoming) -> Option<QuicLink> {
        let (mut answer, remote) = (Vec::new(), incoming.remote_address());
        let mut state = self.lock();
        match state.quic.accept(incoming, Instant::now(), &mut answer, None) {
            Ok((handle, connection)) => Some(self.place(&mut state, handle, connection, remote)),
            Err(error) => {
                if let Some(transmit) = error.response {
                    self.answer(&transmit, &answer);
                }
                None
            }
        }
    }

    /// Turns a remote away without a word.
    pub(super) fn ignore(&self, incoming: Incoming) {
        self.lock().quic.ignore(incoming);
    }

    fn place(
        self: &Arc<Self>,
        state: &mut State,
        handle: ConnectionHandle,
        connection: Connection,
        remote: SocketAddr,
    ) -> QuicLink {
        let inbox = Arc::<Inbox<_>>::default();
        state.inboxes.insert(handle, Arc::clone(&inbox));
        let place = Place { endpoint: Arc::clone(self), handle, inbox };
        QuicLink::new(Session::new(connection), place, remote)
    }

    /// Sends what need not arrive.
    fn answer(&self, transmit: &Transmit, bytes: &[u8]) {
        let _ = self.socket.try_send(&to_udp(transmit, bytes));
    }

    fn take(self: &Arc<Self>, datagram: &Datagram<'_>) {
        let Datagram { from, to, ecn, bytes } = *datagram;
        let ecn = ecn.and_then(|ecn| quinn_proto::EcnCodepoint::from_bits(ecn as u8));
        let mut answer = Vec::new();
        let mut state = self.lock();
        let bytes = BytesMut::from(bytes);
        match state.quic.handle(Instant::now(), from, to, ecn, bytes, &mut answer) {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(inbox) = state.inboxes.get(&handle) {
                    inbox.put(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                self.arrived(&mut state, incoming, &mut answer);
            }
            Some(DatagramEvent::Response(transmit)) => self.answer(&transmit, &answer),
            None => {}
        }
    }

    fn arrived(&self, state: &mut State, incoming: Incoming, answer: &mut Vec<u8>) {
        let Some(arrivals) = &state.arrivals else { return state.quic.ignore(incoming) };
        let waiting = arrivals.max_capacity() - arrivals.capacity();
        if waiting >= DOUBTFUL_ARRIVALS && incoming.may_retry() {
            if let Ok(transmit) = state.quic.retry(incoming, answer) {
                self.answer(&transmit, answer);
            }
            return;
        }
        match arrivals.try_reserve() {
            Ok(place) => place.send(incoming),
            Err(_) => {
                let transmit = state.quic.refuse(incoming, answer);
                self.answer(&transmit, answer);
            }
        }
    }
}

/// As the socket takes it.
pub(super) fn to_udp<'a>(transmit: &Transmit, bytes: &'a [u8]) -> quinn_udp::Transmit<'a> {
    let ecn = transmit.ecn.and_then(|ecn| quinn_udp::EcnCodepoint::from_bits(ecn as u8));
    quinn_udp::Transmit {
        destination: transmit.destination,
        ecn,
        contents: bytes,
        segment_size: transmit.segment_size,
        src_ip: transmit.src_ip,
    }
}

struct Taking(Arc<Endpoint>);

impl Taker for Taking {
    fn take(&mut self, datagram: Datagram<'_>) {
        self.0.take(&datagram);
    }

    fn is_leaving(&self) -> bool {
        self.0.lock().is_leaving()
    }

    fn is_over(&mut self) -> bool {
        let mut state = self.0.lock();
        state.over = state.is_leaving() && state.inboxes.is_empty();
        state.over
    }
}
