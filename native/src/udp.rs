//! UDP sockets, which QUIC and WebRTC direct may share: the first byte of a datagram
//! says whose it is (RFC 9443).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// What the kernel keeps for all remotes, where it permits so much.
const SOCKET_BYTES: usize = 4 << 20;

/// What is read at a time: so many times what the kernel may have put together.
const BATCH: usize = 8;
const BATCH_BYTES: usize = 64 * 1024;

/// How often a socket that nobody listens on any more looks whether its links have ended.
const LINGER: Duration = Duration::from_secs(1);

/// The bit that all datagrams of QUIC have in their first byte, and none of STUN and DTLS.
const QUIC: u8 = 0x40;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A bound UDP socket.
pub(crate) struct Socket {
    io: Arc<UdpSocket>,
    state: UdpSocketState,
    local: SocketAddr,
}

impl Socket {
    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket =
            socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // IPv4 has addresses, and sockets, of its own.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        // The kernel's own sizes serve too, if less well.
        let _ = socket.set_recv_buffer_size(SOCKET_BYTES);
        let _ = socket.set_send_buffer_size(SOCKET_BYTES);
        let io = UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new((&io).into())?;
        Ok(Self { local: io.local_addr()?, io: Arc::new(io), state })
    }

    /// The address bound to, which may be a wildcard.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// The socket itself.
    pub(crate) fn io(&self) -> &Arc<UdpSocket> {
        &self.io
    }

    /// How many datagrams of one length the kernel takes at a time.
    pub(crate) fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends, or fails with [`io::ErrorKind::WouldBlock`].
    pub(crate) fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || self.state.try_send((&*self.io).into(), transmit))
    }

    /// Calls `each` with what has come, and returns at the latest when [`BATCH`] is read.
    fn try_read(&self, each: &mut dyn FnMut(Datagram<'_>)) -> io::Result<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(BATCH * BATCH_BYTES, 0);
            let mut metas = [RecvMeta::default(); BATCH];
            let count = self.io.try_io(Interest::READABLE, || {
                let mut chunks = scratch.chunks_mut(BATCH_BYTES);
                let mut buffers: [IoSliceMut<'_>; BATCH] =
                    std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
                self.state.recv((&*self.io).into(), &mut buffers, &mut metas)
            })?;
            for (meta, bytes) in metas[..count].iter().zip(scratch.chunks(BATCH_BYTES)) {
                for bytes in bytes[..meta.len].chunks(meta.stride.max(1)) {
                    let (from, to, ecn) = (meta.addr, meta.dst_ip, meta.ecn);
                    each(Datagram { from, to, ecn, bytes });
                }
            }
            Ok(())
        })
    }
}

/// A datagram that has come.
pub(crate) struct Datagram<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: Option<IpAddr>,
    pub(crate) ecn: Option<EcnCodepoint>,
    pub(crate) bytes: &'a [u8],
}

/// What a socket's datagrams are for.
pub(crate) trait Taker: Send {
    /// Takes a datagram.
    fn take(&mut self, datagram: Datagram<'_>);

    /// Whether nobody listens any more.
    fn is_leaving(&self) -> bool;

    /// Whether nobody needs datagrams any more. Nobody will afterwards.
    fn is_over(&mut self) -> bool;
}

/// Which transport a datagram is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Quic,
    WebRtc,
}

/// A socket and who takes its datagrams.
pub(crate) struct Port {
    pub(crate) socket: Arc<Socket>,
    takers: Mutex<Takers>,
    /// Somebody has [`left`](Self::left).
    changed: Notify,
}

#[derive(Default)]
struct Takers {
    quic: Option<Box<dyn Taker>>,
    webrtc: Option<Box<dyn Taker>>,
    /// The socket is read no more.
    over: bool,
}

impl Takers {
    fn of(&mut self, kind: Kind) -> &mut Option<Box<dyn Taker>> {
        match kind {
            Kind::Quic => &mut self.quic,
            Kind::WebRtc => &mut self.webrtc,
        }
    }
}

impl Port {
    fn takers<T>(&self, change: impl FnOnce(&mut Takers) -> T) -> T {
        // Takers are whole after any panic but that of one of them.
        change(&mut self.takers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A listener has gone, or who dialed.
    pub(crate) fn left(&self) {
        self.changed.notify_one();
    }

    /// Reads the socket for as long as somebody needs it.
    async fn run(self: Arc<Self>) {
        loop {
            let leaving = self.takers(|takers| {
                for kind in [Kind::Quic, Kind::WebRtc] {
                    takers.of(kind).take_if(|taker| taker.is_over());
                }
                let left = [&takers.quic, &takers.webrtc];
                takers.over = left.iter().all(|taker| taker.is_none());
                (!takers.over).then(|| left.into_iter().flatten().any(|taker| taker.is_leaving()))
            });
            let Some(leaving) = leaving else { return };
            tokio::select! {
                // Errors tell of datagrams that somebody did not take.
                _ = self.socket.io.readable() => { _ = self.read(); }
                () = self.changed.notified() => {}
                () = tokio::time::sleep(LINGER), if leaving => {}
            }
        }
    }

    fn read(&self) -> io::Result<()> {
        self.takers(|takers| {
            self.socket.try_read(&mut |datagram| {
                let quic = datagram.bytes.first().is_some_and(|first| first & QUIC != 0);
                let kind = if quic { Kind::Quic } else { Kind::WebRtc };
                if let Some(taker) = takers.of(kind) {
                    taker.take(datagram);
                }
            })
        })
    }
}

/// The sockets of a host.
#[derive(Default)]
pub(crate) struct Ports(Mutex<BTreeMap<SocketAddr, Weak<Port>>>);

impl Ports {
    /// The socket at `address`, with one more who takes datagrams of a `kind`, of which
    /// there is one a socket.
    pub(crate) fn open(
        &self,
        address: SocketAddr,
        kind: Kind,
        taker: impl FnOnce(&Arc<Socket>) -> Box<dyn Taker>,
    ) -> io::Result<Arc<Port>> {
        // The table is whole after any panic.
        let mut ports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ports.retain(|_, port| port.strong_count() > 0);
        if let Some(port) = ports.get(&address).and_then(Weak::upgrade) {
            let joined = port.takers(|takers| {
                let free = !takers.over && takers.of(kind).is_none();
                if free {
                    *takers.of(kind) = Some(taker(&port.socket));
                }
                free
            });
            return if joined { Ok(port) } else { Err(io::ErrorKind::AddrInUse.into()) };
        }
        let socket = Arc::new(Socket::bind(address)?);
        let mut takers = Takers::default();
        *takers.of(kind) = Some(taker(&socket));
        let port = Port { socket, takers: Mutex::new(takers), changed: Notify::new() };
        let port = Arc::new(port);
        ports.insert(port.socket.local, Arc::downgrade(&port));
        tokio::spawn(Arc::clone(&port).run());
        Ok(port)
    }
}

/// Any port, of all interfaces that `remote` can be reached by.
pub(crate) fn anywhere(remote: SocketAddr) -> SocketAddr {
    if remote.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    }
}

/// Our address as `remote` sees it: in place of a wildcard the one that the system
/// sends from to there.
pub(crate) fn facing(local: SocketAddr, remote: SocketAddr) -> SocketAddr {
    if !local.ip().is_unspecified() {
        return local;
    }
    let probe = std::net::UdpSocket::bind(SocketAddr::new(local.ip(), 0));
    // Connecting a datagram socket sends nothing.
    let found = probe.and_then(|probe| probe.connect(remote).and_then(|()| probe.local_addr()));
    SocketAddr::new(found.map_or(local.ip(), |found| found.ip()), local.port())
}
