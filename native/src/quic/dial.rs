//! The QUIC of one node: its sockets, and dialing from them.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use polypeer::Keypair;
use polypeer::facade::platform::{Link, TransportError};
use polypeer_quic::{Setup, SetupError};
use quinn_proto::{ConnectError, Incoming};
use tokio::sync::mpsc;

use super::address;
use super::endpoint::{Endpoint, Open};
use super::link::QuicLink;
use crate::tcp::reaches;
use crate::udp::{Ports, anywhere};
use crate::webrtc::random;

/// The datagrams that open the way for a remote, and the pauses between them.
const KNOCK_BYTES: usize = 64;
const KNOCK_PAUSE: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(200)];

/// QUIC for one identity.
pub(crate) struct Quic {
    setup: Setup,
    ports: Arc<Ports>,
    /// What can be dialed from: those that are listened on, and sockets of ours.
    sockets: Mutex<Sockets>,
}

#[derive(Default)]
struct Sockets {
    listening: Vec<Weak<Open>>,
    /// Of IPv4 and of IPv6, which live as long as any dial or link needs them.
    own: [Weak<Endpoint>; 2],
}

impl Quic {
    pub(crate) fn new(keypair: &Keypair, ports: Arc<Ports>) -> Result<Self, SetupError> {
        Ok(Self { setup: Setup::new(keypair)?, ports, sockets: Mutex::default() })
    }

    fn sockets<T>(&self, change: impl FnOnce(&mut Sockets) -> T) -> T {
        // Each change is whole.
        change(&mut self.sockets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Listens; with `reuse` others are dialed from there.
    pub(super) fn listen(
        &self,
        at: SocketAddr,
        reuse: bool,
    ) -> io::Result<(Arc<Open>, mpsc::Receiver<Incoming>)> {
        let (open, arrivals) = Endpoint::open(&self.ports, &self.setup, at, true)?;
        let open = Arc::new(open);
        if reuse {
            self.sockets(|sockets| {
                sockets.listening.retain(|open| open.strong_count() > 0);
                sockets.listening.push(Arc::downgrade(&open));
            });
        }
        Ok((open, arrivals.ok_or(io::ErrorKind::Unsupported)?))
    }

    /// Opens a link to `remote`.
    pub(crate) async fn dial(&self, remote: SocketAddr) -> Result<Link, TransportError> {
        let link = match self.listening_toward(remote) {
            Some(open) => self.begin(&open.endpoint, remote),
            None => self.begin_from_own(remote),
        };
        finish(link?).await
    }

    /// As [`dial`](Self::dial), but never from a port that is listened on.
    pub(crate) async fn dial_anew(&self, remote: SocketAddr) -> Result<Link, TransportError> {
        let link = self.open(remote).and_then(|open| self.begin(&open.endpoint, remote));
        finish(link?).await
    }

    /// Sends datagrams of no meaning to `remote`, for as long as the future lives, from
    /// where we listen: the network around us then lets those of `remote` in. Returns
    /// only if that cannot be done.
    ///
    /// Source: libp2p specs, `relay/DCUtR.md`, "The Protocol".
    pub(crate) async fn knock(&self, remote: SocketAddr) -> TransportError {
        let failed = |source| TransportError::Connect { address: address(remote), source };
        let Some(open) = self.listening_toward(remote) else {
            return failed(io::ErrorKind::AddrNotAvailable.into());
        };
        let socket = Arc::clone(open.endpoint.socket.io());
        drop(open);
        loop {
            let datagram: [u8; KNOCK_BYTES] = match random() {
                Ok(datagram) => datagram,
                Err(error) => return failed(error),
            };
            // One that is lost is followed by others.
            let _ = socket.send_to(&datagram, remote).await;
            let [least, most] = KNOCK_PAUSE;
            tokio::time::sleep(least + (most - least) * u32::from(datagram[0]) / 255).await;
        }
    }

    /// A socket that is listened on and others are dialed from.
    fn listening_toward(&self, remote: SocketAddr) -> Option<Arc<Open>> {
        self.sockets(|sockets| {
            let mut open = sockets.listening.iter().filter_map(Weak::upgrade);
            open.find(|open| reaches(open.endpoint.socket.local(), remote))
        })
    }

    fn begin(
        &self,
        endpoint: &Arc<Endpoint>,
        remote: SocketAddr,
    ) -> Result<QuicLink, TransportError> {
        endpoint.connect(self.setup.client(), remote).map_err(|error| failed(&error, remote))
    }

    /// A socket of its own for a dial.
    fn open(&self, remote: SocketAddr) -> Result<Open, TransportError> {
        let failed = |source| TransportError::Connect { address: address(remote), source };
        let opened = Endpoint::open(&self.ports, &self.setup, anywhere(remote), false);
        Ok(opened.map_err(failed)?.0)
    }

    /// From a socket of ours that is open already, if there is one.
    fn begin_from_own(&self, remote: SocketAddr) -> Result<QuicLink, TransportError> {
        let family = usize::from(remote.is_ipv6());
        if let Some(endpoint) = self.sockets(|sockets| sockets.own[family].upgrade()) {
            match endpoint.connect(self.setup.client(), remote) {
                // It closes just now.
                Err(ConnectError::EndpointStopping) => {}
                begun => return begun.map_err(|error| failed(&error, remote)),
            }
        }
        let open = self.open(remote)?;
        self.sockets(|sockets| sockets.own[family] = Arc::downgrade(&open.endpoint));
        self.begin(&open.endpoint, remote)
    }
}

fn failed(error: &ConnectError, remote: SocketAddr) -> TransportError {
    TransportError::Quic { address: address(remote), reason: error.to_string() }
}

async fn finish(mut link: QuicLink) -> Result<Link, TransportError> {
    poll_fn(|cx| link.poll_open(cx)).await?;
    link.into_link()
}
