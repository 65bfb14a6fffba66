//! The seam between the core and its host: sockets, time, randomness and tasks.
//!
//! A host (tokio, a page, Node) implements [`Platform`] once; nothing above it
//! knows which host it runs on.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};

use crate::Instant;
use crate::address::Multiaddr;
use crate::connection::Carrier;
#[cfg(feature = "dcutr")]
use crate::connection::Role;
use crate::identity::Keypair;
use crate::security::{Ciphers, RustCrypto};

/// `Send` where tasks move between threads; nothing in a page, where they do not.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}

/// `Send` where tasks move between threads; nothing in a page, where they do not.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// A boxed future; `Send` but in a page.
#[cfg(not(target_arch = "wasm32"))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A boxed future; `Send` but in a page.
#[cfg(target_arch = "wasm32")]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What the core needs of its host.
pub trait Platform: Send + Sync + 'static {
    /// The time by a clock that never goes back.
    fn now(&self) -> Instant;

    /// Milliseconds of Unix time, for what is remembered from one start of the
    /// program to the next.
    fn unix_millis(&self) -> u64;

    /// Thirty-two bytes from the operating system's generator, new at each call.
    fn seed(&self) -> [u8; 32];

    /// The ciphers to secure connections with; a host that has faster ones than
    /// the portable [`RustCrypto`] returns them.
    fn ciphers(&self) -> Arc<dyn Ciphers> {
        Arc::new(RustCrypto)
    }

    /// This host for the node with these keys, which it alone serves. A host whose
    /// transports prove by themselves who is at their ends (QUIC) returns one that can.
    fn with_identity(self: Arc<Self>, _keypair: &Keypair) -> Option<Arc<dyn Platform>> {
        None
    }

    /// Completes at `deadline`, at once if it has passed.
    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()>;

    /// Runs `task` until it completes, beside everything else.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Whether [`dial`](Self::dial) knows the transport of `address`.
    fn can_dial(&self, address: &Multiaddr) -> bool;

    /// Whether [`listen`](Self::listen) knows the transport of `address`.
    fn can_listen(&self, address: &Multiaddr) -> bool;

    /// Opens a byte link to `address`, resolving names (`/dns`, `/dns4`, `/dns6`,
    /// `/dnsaddr`) on the way. A `/p2p` at its end selects among the records of a
    /// `/dnsaddr` and is not checked otherwise: the security handshake does that.
    ///
    /// Dropping the future gives the dial up. The host sets a time limit.
    fn dial(&self, address: Multiaddr) -> BoxFuture<'static, Result<Link, TransportError>>;

    /// As [`dial`](Self::dial), but never from a port that is listened on: what is
    /// reached so can be reached by anyone. The same where ports are not reused.
    #[cfg(feature = "autonat")]
    fn dial_anew(&self, address: Multiaddr) -> BoxFuture<'static, Result<Link, TransportError>> {
        self.dial(address)
    }

    /// As [`dial`](Self::dial), for `/ip4` or `/ip6` and plain `/tcp`, from the port
    /// that is listened on and no other, and again while it is refused, for as long as
    /// the future lives: the remote does the same at the same time, and what comes of
    /// it may be a simultaneous open. A host that cannot dials as usual.
    ///
    /// For QUIC the `role` says who dials: the initiator. The responder sends datagrams of
    /// no meaning for as long as the future lives, so that its network lets the remote's
    /// in, and waits for the remote to arrive at its listener.
    #[cfg(feature = "dcutr")]
    fn punch(
        &self,
        address: Multiaddr,
        _role: Role,
    ) -> BoxFuture<'static, Result<Link, TransportError>> {
        self.dial(address)
    }

    /// Listens on `address`.
    fn listen(
        &self,
        address: Multiaddr,
    ) -> BoxFuture<'static, Result<Box<dyn Listener>, TransportError>>;
}

/// A listening socket. Dropping it closes the socket; links that it accepted live on.
pub trait Listener: MaybeSend + Unpin {
    /// The addresses under which it can be reached from this host's networks: real
    /// ports, and one address per interface in place of a wildcard.
    fn addresses(&self) -> Vec<Multiaddr>;

    /// The next inbound link. An error concerns one link, or passes (the process
    /// is out of descriptors, say): go on polling. The listener waits by itself
    /// before it tries again, so a loop around this never spins.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Link, TransportError>>;

    /// Whom the peer speaks with from now on. A listener that does something for
    /// its links before it hands them over (TLS, WebSocket) drops those that are
    /// denied before that; the others are dropped when they are handed over.
    #[cfg(feature = "limits")]
    fn set_filters(&mut self, _filters: Arc<crate::swarm::gate::Filters>) {}
}

/// An open link, not yet secured or multiplexed by us.
pub struct Link {
    /// The bytes, both ways, in order.
    pub io: Box<dyn Io>,
    /// Our end.
    pub local: Multiaddr,
    /// The other end, names resolved, without `/p2p`.
    pub remote: Multiaddr,
    /// What the bytes are: those of the connection, records of data channels, or frames.
    pub carrier: Carrier,
}

impl Link {
    /// A link of bytes.
    pub fn new(io: Box<dyn Io>, local: Multiaddr, remote: Multiaddr) -> Self {
        Self { io, local, remote, carrier: Carrier::Bytes }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("local", &self.local).field("remote", &self.remote).finish()
    }
}

/// A reliable, ordered byte stream in both directions.
///
/// `poll_close` flushes and ends our direction (half close); dropping it ends
/// both, at once.
pub trait Io: AsyncRead + AsyncWrite + MaybeSend + Unpin {}
impl<T: AsyncRead + AsyncWrite + MaybeSend + Unpin + ?Sized> Io for T {}

/// Why a link or a listener could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No transport of this host speaks the address: use one of the host's
    /// transports (see its documentation), or another host.
    #[error("no transport for {address}")]
    Unsupported {
        /// The address as it was given.
        address: Multiaddr,
    },
    /// A name did not resolve to an address that can be dialed: check the name
    /// and the resolver.
    #[error("cannot resolve {name}: {reason}")]
    Resolve {
        /// The name as it was looked up.
        name: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nothing answers at the address, or the network refuses.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The address that was tried, names resolved.
        address: Multiaddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The address cannot be listened on: taken, not ours, or not permitted.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as it was given.
        address: Multiaddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A listener failed to accept one link; it goes on.
    #[error("cannot accept on {address}: {source}")]
    Accept {
        /// The address listened on.
        address: Multiaddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The QUIC handshake failed, or the connection ended in it: most often the
    /// remote has no valid certificate of libp2p, or does not speak libp2p at all.
    #[error("QUIC with {address} failed: {reason}")]
    Quic {
        /// The other end.
        address: Multiaddr,
        /// What the QUIC library said.
        reason: String,
    },
    /// The TLS handshake failed: most often a certificate that is not trusted or
    /// is for another name.
    #[error("TLS with {address} failed: {reason}")]
    Tls {
        /// The other end.
        address: Multiaddr,
        /// What the TLS library said.
        reason: String,
    },
    /// The other end does not speak WebSocket as it should.
    #[error("WebSocket with {address} failed: {reason}")]
    WebSocket {
        /// The other end.
        address: Multiaddr,
        /// What was wrong.
        reason: String,
    },
    /// The other end has another certificate than its address says: ask whom the
    /// address is from for the one of today, and suspect whoever is in between.
    #[error("{address} has another certificate than that")]
    WrongCertificate {
        /// The other end, with the certificate that was expected.
        address: Multiaddr,
    },
    /// ICE, DTLS or SCTP with the other end failed.
    #[error("WebRTC with {address} failed: {reason}")]
    WebRtc {
        /// The other end.
        address: Multiaddr,
        /// What was wrong.
        reason: String,
    },
    /// The time limit passed before the link was open.
    #[error("{address} did not answer in time")]
    TimedOut {
        /// The other end.
        address: Multiaddr,
    },
    /// The host's own reason, where none of the others fits.
    #[error("{reason}")]
    Other {
        /// What went wrong.
        reason: String,
    },
}
