//! TCP: sockets, and the reuse of listening ports.

use std::collections::BTreeSet;
use std::io::{self, IoSlice, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Sleep;

/// Connections that the kernel keeps until we accept them.
const BACKLOG: u32 = 1024;

/// The first wait after accepting has failed for want of something, doubled up to
/// [`MAX_BACKOFF`] while it goes on failing.
const MIN_BACKOFF: Duration = Duration::from_millis(10);
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// How soon a refused connection is tried again while a hole is punched: a
/// translator that refuses what comes too early lets the next one in.
const AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// The addresses listened on, which outgoing connections leave from, so that the
/// address that others see is one they can dial.
#[derive(Default)]
pub(crate) struct Ports(Mutex<BTreeSet<SocketAddr>>);

impl Ports {
    fn change<T>(&self, change: impl FnOnce(&mut BTreeSet<SocketAddr>) -> T) -> T {
        // A set is whole after any panic.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The address to leave from to `remote`.
    fn toward(&self, remote: SocketAddr) -> Option<SocketAddr> {
        self.change(|ports| ports.iter().find(|local| reaches(**local, remote)).copied())
    }
}

/// Whether a socket bound to `local` can send to `remote`.
pub(crate) fn reaches(local: SocketAddr, remote: SocketAddr) -> bool {
    local.is_ipv4() == remote.is_ipv4()
        && (local.ip().is_unspecified() || local.ip().is_loopback() == remote.ip().is_loopback())
}

/// Connects to `remote`, from a port of `ports` if one will do.
pub(crate) async fn connect(ports: &Ports, remote: SocketAddr) -> io::Result<TcpStream> {
    if let Some(local) = ports.toward(remote) {
        match connect_from(local, remote).await {
            // From our port to our port, TCP connects a socket to itself.
            Ok(stream) if stream.local_addr()? != stream.peer_addr()? => return Ok(stream),
            // The remote's answer would be the same from another port.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(error),
            // The pair of addresses is in use already, most often.
            _ => {}
        }
    }
    prepared(socket(remote)?.connect(remote).await?)
}

/// Connects to `remote` from a port of `ports` and no other, while it connects to us:
/// the two may meet on the way (simultaneous open, RFC 9293, section 3.5), or one may
/// be accepted by the other's listener. Goes on while it is refused, and while there is
/// a connection between the two ports already: that is the remote's, which our listener
/// has accepted, or one of a moment ago that is ending.
pub(crate) async fn punch(ports: &Ports, remote: SocketAddr) -> io::Result<TcpStream> {
    let local = ports.toward(remote).ok_or(io::ErrorKind::AddrNotAvailable)?;
    loop {
        match connect_from(local, remote).await {
            Ok(stream) if stream.local_addr()? == stream.peer_addr()? => {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            Err(error) if is_passing(&error) => {}
            result => return result,
        }
        tokio::time::sleep(AFTER_REFUSAL).await;
    }
}

/// Whether what stands in the way of a punch may be gone a moment later.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, ConnectionRefused};
    matches!(error.kind(), ConnectionRefused | AddrNotAvailable | AddrInUse)
}

async fn connect_from(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(local)?;
    socket.set_reuseaddr(true)?;
    reuse_port(&SockRef::from(&socket))?;
    socket.bind(local)?;
    prepared(socket.connect(remote).await?)
}

fn socket(of: SocketAddr) -> io::Result<TcpSocket> {
    if of.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(unix)]
fn reuse_port(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn reuse_port(_: &SockRef<'_>) -> io::Result<()> {
    Ok(())
}

/// How much of a connection can be known before it is read: what tells TLS from all else.
const BEGINNING: usize = 6;

/// A connection of a remote. Dropped before we said anything on it, as one that is
/// refused is, it is reset: the kernel then keeps nothing of it.
pub(crate) struct Accepted {
    stream: TcpStream,
    answered: bool,
    /// The first `begun` bytes, of which the first `read` have been read.
    beginning: [u8; BEGINNING],
    begun: usize,
    read: usize,
}

impl Accepted {
    fn new(stream: TcpStream) -> Self {
        Self { stream, answered: false, beginning: [0; BEGINNING], begun: 0, read: 0 }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// What it begins with, as far as that is known. It is read all the same.
    pub(crate) fn begun(&self) -> &[u8] {
        self.beginning.get(..self.begun).unwrap_or_default()
    }

    /// Learns more of what it begins with; how many bytes, none if it has ended.
    pub(crate) fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.beginning.get_mut(self.begun..).unwrap_or_default();
        let mut buffer = ReadBuf::new(room);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let count = buffer.filled().len();
        self.begun += count;
        Poll::Ready(Ok(count))
    }

    /// The same of what has come by now, which the runtime may not know of yet.
    pub(crate) fn begin_now(&mut self) -> Poll<io::Result<usize>> {
        let room = self.beginning.get_mut(self.begun..).unwrap_or_default();
        match (&*SockRef::from(&self.stream)).read(room) {
            Ok(count) => {
                self.begun += count;
                Poll::Ready(Ok(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if !self.answered {
            // It is closed in either case.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read < self.begun {
            let left = self.begun().get(self.read..).unwrap_or_default();
            let count = left.len().min(buffer.remaining());
            buffer.put_slice(left.get(..count).unwrap_or_default());
            self.read += count;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answered = true;
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.answered = true;
        Pin::new(&mut self.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A listening socket.
pub(crate) struct Acceptor {
    listener: TcpListener,
    local: SocketAddr,
    waiting: Option<Pin<Box<Sleep>>>,
    backoff: Duration,
}

impl Acceptor {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = socket(address)?;
        if address.is_ipv6() {
            // IPv4 has addresses, and sockets, of its own.
            SockRef::from(&socket).set_only_v6(true)?;
        }
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let local = listener.local_addr()?;
        Ok(Self { listener, local, waiting: None, backoff: MIN_BACKOFF })
    }

    /// Connections to others leave from here until the offer is dropped.
    pub(crate) fn offer(&self, ports: &Arc<Ports>) -> io::Result<Offer> {
        // Only now: set before it listened, another process could listen on the same
        // port and take every other connection.
        reuse_port(&SockRef::from(&self.listener))?;
        ports.change(|ports| ports.insert(self.local));
        Ok(Offer { ports: Arc::clone(ports), local: self.local })
    }

    /// The address bound to, which may be a wildcard.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// The next connection. After an error that comes of want (of descriptors, of
    /// memory) it waits before it tries again.
    pub(crate) fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Accepted, SocketAddr)>> {
        if let Some(sleep) = &mut self.waiting {
            ready!(sleep.as_mut().poll(cx));
            self.waiting = None;
        }
        let accepted = ready!(self.listener.poll_accept(cx));
        match accepted.and_then(|(stream, remote)| Ok((prepared(stream)?, remote))) {
            Ok((stream, remote)) => {
                self.backoff = MIN_BACKOFF;
                Poll::Ready(Ok((Accepted::new(stream), remote)))
            }
            Err(error) => {
                self.waiting = Some(Box::pin(tokio::time::sleep(self.backoff)));
                self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
                Poll::Ready(Err(error))
            }
        }
    }
}

/// See [`Acceptor::offer`].
pub(crate) struct Offer {
    ports: Arc<Ports>,
    local: SocketAddr,
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.ports.change(|ports| ports.remove(&self.local));
    }
}

/// The addresses that `bound` can be reached at: itself, or in place of a wildcard
/// one for each interface.
pub(crate) fn reachable(bound: SocketAddr) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<_> = interfaces
        .iter()
        .filter(|interface| interface.is_oper_up())
        .map(|interface| interface.ip())
        .filter(|ip| ip.is_ipv4() == bound.is_ipv4() && !is_link_local(ip))
        .map(|ip| SocketAddr::new(ip, bound.port()))
        .collect();
    if addresses.is_empty() {
        let loopback: IpAddr =
            if bound.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        addresses.push(SocketAddr::new(loopback, bound.port()));
    }
    addresses
}

/// Whether an address means something only together with an interface.
fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A port for each end, that nobody listens on.
    fn ends() -> [SocketAddr; 2] {
        let bound = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        bound.map(|socket| socket.local_addr().unwrap())
    }

    /// Connects until that succeeds, on a thread and runtime of its own: what is
    /// refused came while the other end was between two tries.
    fn connecting(local: SocketAddr, remote: SocketAddr) -> std::thread::JoinHandle<TcpStream> {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                loop {
                    match connect_from(local, remote).await {
                        Ok(stream) => return stream,
                        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
    }

    #[test]
    fn two_that_connect_to_each_other_at_once_are_connected_without_a_listener() {
        let [a, b] = ends();
        let sides = [connecting(a, b), connecting(b, a)];
        let [one, other] = sides.map(|side| side.join().unwrap());
        assert_eq!((one.local_addr().unwrap(), one.peer_addr().unwrap()), (a, b));
        assert_eq!((other.local_addr().unwrap(), other.peer_addr().unwrap()), (b, a));
    }

    #[tokio::test]
    async fn a_punch_goes_on_while_it_is_refused_and_leaves_from_the_port_listened_on() {
        let [_, remote] = ends();
        let ports = Arc::default();
        let acceptor = Acceptor::bind(ends()[0]).unwrap();
        let _offer = acceptor.offer(&ports).unwrap();
        let punch = punch(&ports, remote);
        let mut punch = std::pin::pin!(punch);
        let early = tokio::time::timeout(AFTER_REFUSAL * 3, punch.as_mut()).await;
        assert!(early.is_err(), "nobody is there, and it has not given up");
        let listener = TcpListener::bind(remote).await.unwrap();
        let (accepted, connected) = tokio::join!(listener.accept(), punch);
        assert_eq!(accepted.unwrap().1, acceptor.local());
        assert_eq!(connected.unwrap().local_addr().unwrap(), acceptor.local());
    }

    #[tokio::test]
    async fn a_punch_outlasts_a_connection_between_the_same_ports() {
        let [ours, theirs] = ends();
        let ports = Arc::default();
        let acceptor = Acceptor::bind(ours).unwrap();
        let _offer = acceptor.offer(&ports).unwrap();
        let first = connect_from(theirs, ours).await.unwrap();
        let mut punch = std::pin::pin!(punch(&ports, theirs));
        let early = tokio::time::timeout(AFTER_REFUSAL * 3, punch.as_mut()).await;
        assert!(early.is_err(), "it waits for the other, and has not failed");
        drop(first);
    }

    #[tokio::test]
    async fn who_does_not_listen_cannot_punch() {
        let refused = punch(&Ports::default(), ends()[0]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
