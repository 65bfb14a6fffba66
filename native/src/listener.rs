//! Listening on TCP, and on WebSocket over it.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use polypeer::address::Multiaddr;
use polypeer::facade::platform::{Io, Link, Listener, TransportError};
use polypeer::node::Direction;
use polypeer::swarm::gate::Filters;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::endpoint::Over;
use crate::io::Compat;
use crate::tcp::{Accepted, Acceptor, reachable};
use crate::tls::ServerCertificate;
use crate::websocket;

/// Handshakes at a time. When there are more, the oldest is given up: those who
/// take their time cannot keep the others out.
const MAX_HANDSHAKES: usize = 64;

/// Handshakes at a time with one address, loopback excepted (a proxy, most often).
/// So it takes many addresses to fill [`MAX_HANDSHAKES`].
const MAX_HANDSHAKES_PER_ADDRESS: usize = 8;

/// How long TLS and WebSocket may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A listener on TCP.
pub(crate) struct TcpListener {
    acceptor: Acceptor,
    over: Over,
    /// None: the connections are links as they are.
    handshakes: Option<Handshakes>,
    filters: Arc<Filters>,
}

/// The handshakes under way, each in a task of its own.
struct Handshakes {
    certificate: Option<ServerCertificate>,
    tasks: JoinSet<Result<Link, TransportError>>,
    /// The same in the order of their age.
    ages: VecDeque<(Id, IpAddr, AbortHandle)>,
}

impl TcpListener {
    /// Links are the connections themselves.
    pub(crate) fn plain(acceptor: Acceptor, over: Over) -> Self {
        Self { acceptor, over, handshakes: None, filters: Arc::default() }
    }

    /// Links are WebSockets, over TLS if there is a certificate.
    pub(crate) fn websocket(
        acceptor: Acceptor,
        over: Over,
        certificate: Option<ServerCertificate>,
    ) -> Self {
        let handshakes = Handshakes { certificate, tasks: JoinSet::new(), ages: VecDeque::new() };
        Self { acceptor, over, handshakes: Some(handshakes), filters: Arc::default() }
    }

    fn failed(&self, source: io::Error) -> TransportError {
        TransportError::Accept { address: self.over.address(self.acceptor.local()), source }
    }
}

impl Listener for TcpListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        let addresses = reachable(self.acceptor.local());
        addresses.into_iter().map(|address| self.over.address(address)).collect()
    }

    fn set_filters(&mut self, filters: Arc<Filters>) {
        self.filters = filters;
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Link, TransportError>> {
        loop {
            if let Some(handshakes) = &mut self.handshakes
                && let Poll::Ready(link) = handshakes.poll(cx)
            {
                return Poll::Ready(link);
            }
            let accepted = match self.acceptor.poll_accept(cx) {
                Poll::Ready(accepted) => accepted,
                Poll::Pending => return Poll::Pending,
            };
            let (stream, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(source) => return Poll::Ready(Err(self.failed(source))),
            };
            let local = match stream.local_addr() {
                Ok(local) => local,
                Err(source) => return Poll::Ready(Err(self.failed(source))),
            };
            let (local, address) = (self.over.address(local), self.over.address(remote));
            if !self.filters.allows_address(&address, Direction::Inbound) {
                continue;
            }
            match &mut self.handshakes {
                None => {
                    let io: Box<dyn Io> = Box::new(Compat(stream));
                    return Poll::Ready(Ok(Link::new(io, local, address)));
                }
                Some(handshakes) => handshakes.start(stream, remote, local, address),
            }
        }
    }
}

impl Handshakes {
    fn start(&mut self, stream: Accepted, from: SocketAddr, local: Multiaddr, remote: Multiaddr) {
        self.make_room(from.ip());
        let certificate = self.certificate.clone();
        let task = self.tasks.spawn(async move {
            let io = tokio::time::timeout(
                HANDSHAKE_TIMEOUT,
                handshake(stream, certificate, remote.clone()),
            )
            .await
            .unwrap_or_else(|_| Err(TransportError::TimedOut { address: remote.clone() }))?;
            Ok(Link::new(io, local, remote))
        });
        self.ages.push_back((task.id(), from.ip(), task));
    }

    /// Gives up the oldest handshake if the limits are reached, with `ip` if it is
    /// that address that has too many.
    fn make_room(&mut self, ip: IpAddr) {
        let same = |(_, other, _): &&(Id, IpAddr, AbortHandle)| *other == ip;
        let crowded = !ip.is_loopback()
            && self.ages.iter().filter(same).count() >= MAX_HANDSHAKES_PER_ADDRESS;
        let oldest = if crowded {
            self.ages.iter().position(|(_, other, _)| *other == ip)
        } else {
            (self.ages.len() >= MAX_HANDSHAKES).then_some(0)
        };
        if let Some((_, _, task)) = oldest.and_then(|index| self.ages.remove(index)) {
            task.abort();
        }
    }

    /// The next handshake that ends, well or not.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Link, TransportError>> {
        while let Poll::Ready(Some(ended)) = self.tasks.poll_join_next_with_id(cx) {
            let id = match &ended {
                Ok((id, _)) => *id,
                Err(error) => error.id(),
            };
            self.ages.retain(|(other, ..)| *other != id);
            match ended {
                Ok((_, link)) => return Poll::Ready(link),
                // It was given up for another one.
                Err(error) if error.is_cancelled() => {}
                Err(error) => {
                    return Poll::Ready(Err(TransportError::Other { reason: error.to_string() }));
                }
            }
        }
        Poll::Pending
    }
}

async fn handshake(
    stream: Accepted,
    certificate: Option<ServerCertificate>,
    address: Multiaddr,
) -> Result<Box<dyn Io>, TransportError> {
    let failed = |error: websocket::HandshakeError| TransportError::WebSocket {
        address: address.clone(),
        reason: error.to_string(),
    };
    Ok(match certificate {
        None => Box::new(websocket::accept(stream).await.map_err(failed)?),
        Some(ServerCertificate(config)) => {
            let stream = TlsAcceptor::from(config).accept(stream).await.map_err(|error| {
                TransportError::Tls { address: address.clone(), reason: error.to_string() }
            })?;
            Box::new(websocket::accept(stream).await.map_err(failed)?)
        }
    })
}
