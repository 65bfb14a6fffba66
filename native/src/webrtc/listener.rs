//! Listening on WebRTC direct.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use polypeer::address::{Multiaddr, Protocol};
use polypeer::facade::platform::{Link, Listener, TransportError};
use polypeer::node::Direction;
use polypeer::swarm::gate::Filters;
use polypeer_webrtc::{Identity, Multihash, Session};
use tokio::net::UdpSocket;

use super::link::{Failure, RecordLink};
use super::path::Path;
use super::random;
use super::sorter::{Arrival, Endpoint};
use crate::handshakes::Handshakes;
use crate::tcp::reachable;
use crate::udp::{Ports, facing};

/// A listener on WebRTC direct. Dropped, it takes up nobody any more; the socket
/// closes with the last of its links.
pub(crate) struct WebRtcListener {
    identity: Identity,
    endpoint: Endpoint,
    handshakes: Handshakes,
    filters: Arc<Filters>,
}

impl WebRtcListener {
    pub(crate) fn bind(ports: &Ports, identity: Identity, address: SocketAddr) -> io::Result<Self> {
        let (handshakes, filters) = (Handshakes::default(), Arc::default());
        Ok(Self { identity, endpoint: Endpoint::bind(ports, address)?, handshakes, filters })
    }

    fn start(&mut self, arrival: Arrival) {
        let remote = address(arrival.remote);
        if !self.filters.allows_address(&remote, Direction::Inbound) {
            return;
        }
        let (at, identity) = (self.endpoint.port.socket.local(), self.identity.clone());
        let socket = Arc::clone(self.endpoint.port.socket.io());
        self.handshakes.start(arrival.remote.ip(), remote.clone(), async move {
            let local = with_certhash(address(facing(at, arrival.remote)), identity.certhash());
            let link =
                accept(&identity, socket, arrival).await.map_err(|failure| failure.at(&remote))?;
            Ok(link.into_link(local, remote))
        });
    }
}

/// Takes up a remote.
pub(super) async fn accept(
    identity: &Identity,
    socket: Arc<UdpSocket>,
    arrival: Arrival,
) -> Result<RecordLink, Failure> {
    let Arrival { remote, credentials, inbox } = arrival;
    let session = Session::listener(identity, credentials, remote, random()?, Instant::now());
    let mut link = RecordLink::new(session, Path::shared(socket, remote, inbox));
    poll_fn(|cx| link.poll_open(cx)).await?;
    Ok(link)
}

impl Listener for WebRtcListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        let hash = self.identity.certhash();
        let addresses = reachable(self.endpoint.port.socket.local()).into_iter();
        addresses.map(|at| with_certhash(address(at), hash)).collect()
    }

    fn set_filters(&mut self, filters: Arc<Filters>) {
        self.filters = filters;
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Link, TransportError>> {
        loop {
            if let Poll::Ready(link) = self.handshakes.poll(cx) {
                return Poll::Ready(link);
            }
            match self.endpoint.poll_arrival(cx) {
                Poll::Ready(Some(arrival)) => self.start(arrival),
                // The socket is sorted as long as we are here.
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// `/ip/udp/webrtc-direct`
pub(crate) fn address(at: SocketAddr) -> Multiaddr {
    // Protocols without values are always taken.
    Multiaddr::udp(at).with(Protocol::WebrtcDirect).unwrap_or_default()
}

pub(crate) fn with_certhash(address: Multiaddr, hash: Multihash) -> Multiaddr {
    let whole = address.clone().with(Protocol::Certhash(&hash));
    // A multihash is a value that this protocol takes.
    whole.unwrap_or(address)
}
