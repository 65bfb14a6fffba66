//! Listening on QUIC.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use polypeer::address::Multiaddr;
use polypeer::facade::platform::{Link, Listener, TransportError};
use polypeer::node::Direction;
use polypeer::swarm::gate::Filters;
use quinn_proto::Incoming;
use tokio::sync::mpsc;

use super::address;
use super::dial::Quic;
use super::endpoint::Open;
use crate::handshakes::Handshakes;
use crate::tcp::reachable;

/// A listener on QUIC. Dropped, it takes up nobody any more; the socket closes with the
/// last of its links.
pub(crate) struct QuicListener {
    open: Arc<Open>,
    arrivals: mpsc::Receiver<Incoming>,
    handshakes: Handshakes,
    filters: Arc<Filters>,
}

impl QuicListener {
    pub(crate) fn bind(quic: &Quic, at: SocketAddr, reuse: bool) -> io::Result<Self> {
        let (open, arrivals) = quic.listen(at, reuse)?;
        Ok(Self { open, arrivals, handshakes: Handshakes::default(), filters: Arc::default() })
    }

    fn start(&mut self, incoming: Incoming) {
        let at = incoming.remote_address();
        let (remote, endpoint) = (address(at), Arc::clone(&self.open.endpoint));
        if !self.filters.allows_address(&remote, Direction::Inbound) {
            return endpoint.ignore(incoming);
        }
        // Whoever made a mistake has been told.
        let Some(mut link) = endpoint.accept(incoming) else { return };
        self.handshakes.start(at.ip(), remote, async move {
            poll_fn(|cx| link.poll_open(cx)).await?;
            link.into_link()
        });
    }
}

impl Listener for QuicListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        let local = self.open.endpoint.socket.local();
        reachable(local).into_iter().map(address).collect()
    }

    fn set_filters(&mut self, filters: Arc<Filters>) {
        self.filters = filters;
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Link, TransportError>> {
        loop {
            if let Poll::Ready(link) = self.handshakes.poll(cx) {
                return Poll::Ready(link);
            }
            match self.arrivals.poll_recv(cx) {
                Poll::Ready(Some(incoming)) => self.start(incoming),
                // The socket is read as long as we are here.
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}
