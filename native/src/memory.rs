//! `/memory/N`: links within the process, for tests and for peers that share one.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use polypeer::address::Multiaddr;
use polypeer::facade::platform::{Link, Listener, TransportError};
use tokio::sync::mpsc;

use crate::endpoint::memory;
use crate::io::Compat;

/// Bytes that wait in a link in each direction before its writer does.
const LINK_BUFFER: usize = 256 * 1024;

/// Links that wait to be accepted; more are refused, as a socket's backlog does.
const BACKLOG: usize = 128;

/// Who listens in this process.
static LISTENERS: Mutex<BTreeMap<u64, mpsc::Sender<Link>>> = Mutex::new(BTreeMap::new());

fn listeners<T>(change: impl FnOnce(&mut BTreeMap<u64, mpsc::Sender<Link>>) -> T) -> T {
    // A map is whole after any panic.
    change(&mut LISTENERS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Opens a link to the listener on `port`.
pub(crate) fn dial(port: u64) -> Result<Link, TransportError> {
    let address = memory(port);
    let refused = |kind: io::ErrorKind| TransportError::Connect {
        address: address.clone(),
        source: kind.into(),
    };
    let listener = listeners(|listeners| listeners.get(&port).cloned())
        .ok_or_else(|| refused(io::ErrorKind::ConnectionRefused))?;
    let (ours, theirs) = tokio::io::duplex(LINK_BUFFER);
    // The dialing end has no port of its own.
    let nowhere = memory(0);
    let link = Link::new(Box::new(Compat(theirs)), address.clone(), nowhere.clone());
    listener.try_send(link).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => refused(io::ErrorKind::ResourceBusy),
        mpsc::error::TrySendError::Closed(_) => refused(io::ErrorKind::ConnectionRefused),
    })?;
    Ok(Link::new(Box::new(Compat(ours)), nowhere, address))
}

/// A listener on a port of the process.
pub(crate) struct MemoryListener {
    port: u64,
    links: mpsc::Receiver<Link>,
}

impl MemoryListener {
    /// Listens on `port`, on a free one if it is zero.
    pub(crate) fn bind(port: u64) -> Result<Self, TransportError> {
        let (sender, links) = mpsc::channel(BACKLOG);
        listeners(|listeners| {
            let port = match port {
                0 => (1..).find(|port| !listeners.contains_key(port)).unwrap_or_default(),
                port => port,
            };
            if listeners.contains_key(&port) {
                let source = io::ErrorKind::AddrInUse.into();
                return Err(TransportError::Listen { address: memory(port), source });
            }
            listeners.insert(port, sender);
            Ok(Self { port, links })
        })
    }
}

impl Listener for MemoryListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        vec![memory(self.port)]
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Link, TransportError>> {
        match self.links.poll_recv(cx) {
            Poll::Ready(Some(link)) => Poll::Ready(Ok(link)),
            // The sender is in the map as long as we are here.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        listeners(|listeners| listeners.remove(&self.port));
    }
}
