//! The host: tokio under the core's [`Platform`].

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::stream::{FuturesUnordered, StreamExt};
use polypeer::address::Multiaddr;
use polypeer::connection::Role;
use polypeer::facade::platform::{BoxFuture, Io, Link, Listener, Platform, TransportError};
use polypeer::security::Ciphers;
use polypeer::{Instant, Keypair};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use crate::ciphers::Ring;
use crate::endpoint::{Endpoint, Host, Layer, Over, Target};
use crate::io::Compat;
use crate::listener::TcpListener;
use crate::memory::{self, MemoryListener};
use crate::port::{Kind, Listening};
use crate::quic::{Quic, QuicListener};
use crate::resolve::{Resolver, SystemResolver, resolve};
use crate::tcp::{self, Ports};
use crate::tls::{self, ServerCertificate};
use crate::udp;
use crate::webrtc::{self, WebRtcCertificate, WebRtcListener};
use crate::websocket;

/// How long a dial waits for one address before it tries the next one beside it
/// (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How the host behaves. The defaults are right for most.
pub struct Options {
    /// How long a dial may take, from the first look-up to the open link.
    pub dial_timeout: Duration,
    /// Whether TCP connections to others leave from the port that is listened on,
    /// so that others see an address that they can dial.
    pub port_reuse: bool,
    /// Looks names up.
    pub resolver: Arc<dyn Resolver>,
    /// Trusted in secure WebSocket beside the system's and the web's authorities.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// To listen on secure WebSocket with.
    pub certificate: Option<ServerCertificate>,
    /// To listen on WebRTC direct with. Its hash is part of the addresses, which
    /// therefore stay only if it does; by default it is a new one.
    pub webrtc_certificate: Option<WebRtcCertificate>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::from_secs(15),
            port_reuse: true,
            resolver: Arc::new(SystemResolver::default()),
            extra_roots: Vec::new(),
            certificate: None,
            webrtc_certificate: None,
        }
    }
}

/// The tokio host. It dials and listens on TCP, WebSocket (`/ws`), secure WebSocket
/// (`/wss`, `/tls/ws`, `/tls/sni/NAME/ws`), QUIC (`/udp/PORT/quic-v1`), WebRTC direct
/// (`/udp/PORT/webrtc-direct`) and memory, and resolves names. QUIC is there for the node
/// that it is started with ([`Platform::with_identity`]).
///
/// Its futures must be polled, and its tasks run, in a tokio runtime with time and
/// I/O switched on. Clones share everything.
#[derive(Clone)]
pub struct Native(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    started: std::time::Instant,
    options: Arc<Options>,
    ports: Arc<Ports>,
    listening: Arc<Listening>,
    tls: Arc<tls::Client>,
    /// The one that we listen on WebRTC direct with, once we do.
    webrtc: Arc<OnceLock<polypeer_webrtc::Identity>>,
    udp: Arc<udp::Ports>,
    /// None: it is not known for whom.
    quic: Option<Arc<Quic>>,
}

impl Default for Native {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Native {
    /// A host that behaves as `options` say.
    pub fn new(mut options: Options) -> Self {
        let tls = Arc::new(tls::Client::new(std::mem::take(&mut options.extra_roots)));
        let started = std::time::Instant::now();
        Self(Arc::new(Inner {
            started,
            options: Arc::new(options),
            ports: Arc::default(),
            listening: Arc::default(),
            tls,
            webrtc: Arc::default(),
            udp: Arc::default(),
            quic: None,
        }))
    }
}

impl Platform for Native {
    fn now(&self) -> Instant {
        let micros = self.0.started.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn unix_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn seed(&self) -> [u8; 32] {
        let mut seed = [0; 32];
        // Without randomness there is no security: better no peer than a false one.
        SystemRandom::new().fill(&mut seed).expect("the operating system has no randomness");
        seed
    }

    fn ciphers(&self) -> Arc<dyn Ciphers> {
        Arc::new(Ring)
    }

    fn with_identity(self: Arc<Self>, keypair: &Keypair) -> Option<Arc<dyn Platform>> {
        // Without a certificate there is no QUIC, and all else is as it was.
        let quic = Quic::new(keypair, Arc::clone(&self.0.udp)).ok().map(Arc::new);
        Some(Arc::new(Self(Arc::new(Inner { quic, ..(*self.0).clone() }))))
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let deadline = self.0.started + Duration::from_micros(deadline.as_micros());
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn can_dial(&self, address: &Multiaddr) -> bool {
        match Endpoint::parse(address) {
            // A listener of WebRTC direct is known by its certificate alone.
            None | Some(Endpoint::WebRtc { certhash: None, .. }) => false,
            Some(Endpoint::Quic { .. }) => self.0.quic.is_some(),
            Some(_) => true,
        }
    }

    fn can_listen(&self, address: &Multiaddr) -> bool {
        match Endpoint::parse(address) {
            Some(Endpoint::Memory(_)) => true,
            Some(Endpoint::WebRtc { host: Host::Ip(_), certhash: None, .. }) => true,
            Some(Endpoint::Quic { host: Host::Ip(_), .. }) => self.0.quic.is_some(),
            Some(Endpoint::Tcp { host: Host::Ip(_), over, .. }) => {
                !matches!(over.layer, Layer::Wss { .. }) || self.0.options.certificate.is_some()
            }
            _ => false,
        }
    }

    fn dial(&self, address: Multiaddr) -> BoxFuture<'static, Result<Link, TransportError>> {
        self.dial_from(Some(Arc::clone(&self.0.ports)), address)
    }

    fn dial_anew(&self, address: Multiaddr) -> BoxFuture<'static, Result<Link, TransportError>> {
        self.dial_from(None, address)
    }

    fn punch(
        &self,
        address: Multiaddr,
        role: Role,
    ) -> BoxFuture<'static, Result<Link, TransportError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.punch(address, role).await })
    }

    fn listen(
        &self,
        address: Multiaddr,
    ) -> BoxFuture<'static, Result<Box<dyn Listener>, TransportError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.listen(address) })
    }
}

impl Native {
    /// Dials from one of these ports, or from any if none will do; without ports, from
    /// one that is not listened on.
    fn dial_from(
        &self,
        ports: Option<Arc<Ports>>,
        address: Multiaddr,
    ) -> BoxFuture<'static, Result<Link, TransportError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let limit = inner.options.dial_timeout;
            tokio::time::timeout(limit, inner.dial(ports.as_deref(), &address))
                .await
                .unwrap_or(Err(TransportError::TimedOut { address }))
        })
    }
}

impl Inner {
    /// Tries what `address` resolves to, one after the other and then beside each
    /// other; the first link wins.
    async fn dial(
        &self,
        ports: Option<&Ports>,
        address: &Multiaddr,
    ) -> Result<Link, TransportError> {
        let mut targets = resolve(&*self.options.resolver, address).await?.into_iter();
        let mut attempts = FuturesUnordered::new();
        let mut failure = TransportError::Unsupported { address: address.clone() };
        loop {
            if let Some(target) = targets.next() {
                attempts.push(self.attempt(ports, target));
            }
            let next = tokio::time::timeout(ATTEMPT_DELAY, attempts.next());
            let ended = if targets.len() == 0 {
                attempts.next().await
            } else {
                match next.await {
                    Ok(ended) => ended,
                    Err(_) => continue,
                }
            };
            match ended {
                Some(Ok(link)) => return Ok(link),
                Some(Err(error)) => failure = error,
                None => return Err(failure),
            }
        }
    }

    async fn punch(&self, address: Multiaddr, role: Role) -> Result<Link, TransportError> {
        let (at, over) = match Endpoint::parse(&address) {
            Some(Endpoint::Quic { host: Host::Ip(ip), port }) => {
                let at = SocketAddr::new(ip, port);
                return match (&self.quic, role) {
                    (None, _) => Err(TransportError::Unsupported { address }),
                    (Some(quic), Role::Initiator) => quic.dial(at).await,
                    (Some(quic), Role::Responder) => Err(quic.knock(at).await),
                };
            }
            Some(Endpoint::Tcp { host: Host::Ip(ip), port, over }) if over.layer == Layer::Tcp => {
                (SocketAddr::new(ip, port), over)
            }
            _ => return Err(TransportError::Unsupported { address }),
        };
        let failed = |source| TransportError::Connect { address: over.address(at), source };
        let stream = tcp::punch(&self.ports, at).await.map_err(failed)?;
        let local = over.address(stream.local_addr().map_err(failed)?);
        Ok(Link::new(Box::new(Compat(stream)), local, over.address(at)))
    }

    async fn attempt(&self, ports: Option<&Ports>, target: Target) -> Result<Link, TransportError> {
        let remote = target.address();
        let (at, over) = match target {
            Target::Memory(port) => return memory::dial(port),
            Target::WebRtc { at, certhash } => return webrtc::dial(at, certhash).await,
            Target::Quic { at } => {
                let Some(quic) = &self.quic else {
                    return Err(TransportError::Unsupported { address: remote });
                };
                return match ports {
                    Some(_) => quic.dial(at).await,
                    None => quic.dial_anew(at).await,
                };
            }
            Target::Tcp { at, over } => (at, over),
        };
        let none = Ports::default();
        let ports = ports.unwrap_or(&none);
        let failed = |source| TransportError::Connect { address: remote.clone(), source };
        let stream = tcp::connect(ports, at).await.map_err(failed)?;
        let local = over.address(stream.local_addr().map_err(failed)?);
        let io: Box<dyn Io> = match &over.layer {
            Layer::Tcp => Box::new(Compat(stream)),
            Layer::Ws { host } => Box::new(upgrade(stream, host, &remote).await?),
            Layer::Wss { host, name } => {
                let stream = self.secure(stream, name).await.map_err(|error| {
                    TransportError::Tls { address: remote.clone(), reason: error.to_string() }
                })?;
                Box::new(upgrade(stream, host, &remote).await?)
            }
        };
        Ok(Link::new(io, local, remote))
    }

    async fn secure<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
        &self,
        stream: T,
        name: &str,
    ) -> io::Result<tokio_rustls::client::TlsStream<T>> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let config = self.tls.config().map_err(io::Error::other)?;
        TlsConnector::from(config).connect(name, stream).await
    }

    fn listen(&self, address: Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        match Endpoint::parse(&address) {
            Some(Endpoint::Memory(port)) => Ok(Box::new(MemoryListener::bind(port)?)),
            Some(Endpoint::Tcp { host: Host::Ip(ip), port, over }) => {
                self.listen_tcp(address, SocketAddr::new(ip, port), over)
            }
            Some(Endpoint::WebRtc { host: Host::Ip(ip), port, certhash: None }) => {
                self.listen_webrtc(address, SocketAddr::new(ip, port))
            }
            Some(Endpoint::Quic { host: Host::Ip(ip), port }) => {
                let Some(quic) = &self.quic else {
                    return Err(TransportError::Unsupported { address });
                };
                let at = SocketAddr::new(ip, port);
                let listener = QuicListener::bind(quic, at, self.options.port_reuse)
                    .map_err(|source| TransportError::Listen { address, source })?;
                Ok(Box::new(listener))
            }
            _ => Err(TransportError::Unsupported { address }),
        }
    }

    fn listen_webrtc(
        &self,
        address: Multiaddr,
        at: SocketAddr,
    ) -> Result<Box<dyn Listener>, TransportError> {
        let identity = match self.webrtc.get() {
            Some(identity) => identity,
            None => {
                let kept = self.options.webrtc_certificate.clone();
                let made = kept.map_or_else(WebRtcCertificate::generate, Ok);
                let made = made.and_then(WebRtcCertificate::identity);
                let made = made.map_err(|reason| TransportError::WebRtc {
                    address: address.clone(),
                    reason: reason.to_string(),
                })?;
                self.webrtc.get_or_init(|| made)
            }
        };
        let listener = WebRtcListener::bind(&self.udp, identity.clone(), at)
            .map_err(|source| TransportError::Listen { address, source })?;
        Ok(Box::new(listener))
    }

    fn listen_tcp(
        &self,
        address: Multiaddr,
        at: SocketAddr,
        over: Over,
    ) -> Result<Box<dyn Listener>, TransportError> {
        let certificate = match (&over.layer, &self.options.certificate) {
            (Layer::Wss { .. }, None) => {
                let reason = "secure WebSocket needs a certificate".into();
                return Err(TransportError::Tls { address, reason });
            }
            (Layer::Wss { .. }, certificate) => certificate.clone(),
            _ => None,
        };
        let kind = match over.layer {
            Layer::Tcp => Kind::Plain,
            Layer::Ws { .. } => Kind::Http,
            Layer::Wss { .. } => Kind::Tls,
        };
        let failed = |source| TransportError::Listen { address: address.clone(), source };
        let mut door = self.listening.open(at, kind).map_err(failed)?;
        if kind != Kind::Plain {
            return Ok(Box::new(TcpListener::websocket(door, over, certificate)));
        }
        // WebSocket servers are reached through names and proxies: what others see
        // of a plain TCP connection from their port would help nobody.
        if self.options.port_reuse {
            door.offer(&self.ports).map_err(failed)?;
        }
        Ok(Box::new(TcpListener::plain(door, over)))
    }
}

async fn upgrade<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    stream: T,
    host: &str,
    address: &Multiaddr,
) -> Result<websocket::WebSocket<T>, TransportError> {
    websocket::connect(stream, host).await.map_err(|error| TransportError::WebSocket {
        address: address.clone(),
        reason: error.to_string(),
    })
}
