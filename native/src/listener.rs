//! Listening on TCP, and on WebSocket over it.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use polypeer::address::Multiaddr;
use polypeer::facade::platform::{Io, Link, Listener, TransportError};
use polypeer::node::Direction;
use polypeer::swarm::gate::Filters;
use tokio_rustls::TlsAcceptor;

use crate::endpoint::Over;
use crate::handshakes::Handshakes;
use crate::io::Compat;
use crate::port::Door;
use crate::tcp::{Accepted, reachable};
use crate::tls::ServerCertificate;
use crate::websocket;

/// A listener on TCP.
pub(crate) struct TcpListener {
    door: Door,
    over: Over,
    /// None: the connections are links as they are.
    handshakes: Option<Handshakes>,
    /// To secure them with.
    certificate: Option<ServerCertificate>,
    filters: Arc<Filters>,
}

impl TcpListener {
    /// Links are the connections themselves.
    pub(crate) fn plain(door: Door, over: Over) -> Self {
        Self { door, over, handshakes: None, certificate: None, filters: Arc::default() }
    }

    /// Links are WebSockets, over TLS if there is a certificate.
    pub(crate) fn websocket(
        door: Door,
        over: Over,
        certificate: Option<ServerCertificate>,
    ) -> Self {
        let handshakes = Some(Handshakes::default());
        Self { door, over, handshakes, certificate, filters: Arc::default() }
    }

    fn failed(&self, source: io::Error) -> TransportError {
        TransportError::Accept { address: self.over.address(self.door.local()), source }
    }
}

impl Listener for TcpListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        let addresses = reachable(self.door.local());
        addresses.into_iter().map(|address| self.over.address(address)).collect()
    }

    fn set_filters(&mut self, filters: Arc<Filters>) {
        self.door.set_filters(Arc::clone(&filters));
        self.filters = filters;
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Link, TransportError>> {
        loop {
            if let Some(handshakes) = &mut self.handshakes
                && let Poll::Ready(link) = handshakes.poll(cx)
            {
                return Poll::Ready(link);
            }
            let accepted = match self.door.poll_accept(cx) {
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
                Some(handshakes) => {
                    let (certificate, at) = (self.certificate.clone(), address.clone());
                    handshakes.start(remote.ip(), address.clone(), async move {
                        let io = handshake(stream, certificate, at).await?;
                        Ok(Link::new(io, local, address))
                    });
                }
            }
        }
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
