//! One UDP socket for all remotes of a listener: whose is each datagram?

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use polypeer_webrtc::{Credentials, Strangers};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::udp::{Datagram, Kind, Port, Ports, Taker};

/// Remotes that have begun DTLS and that nobody has taken up yet.
const MAX_ARRIVALS: usize = 64;

/// Datagrams of one remote that wait for its task, half a MiB at most in practice;
/// further ones are lost, as datagrams may be.
const MAX_QUEUED: usize = 400;

/// A remote that begins DTLS.
pub(super) struct Arrival {
    pub(super) remote: SocketAddr,
    pub(super) credentials: Credentials,
    /// Its datagrams, the one that it begins with first.
    pub(super) inbox: mpsc::Receiver<Vec<u8>>,
}

/// A bound socket and who comes to it.
pub(super) struct Endpoint {
    pub(super) port: Arc<Port>,
    arrivals: mpsc::Receiver<Arrival>,
}

impl Endpoint {
    pub(super) fn bind(ports: &Ports, address: SocketAddr) -> io::Result<Self> {
        let (sender, arrivals) = mpsc::channel(MAX_ARRIVALS);
        let port = ports.open(address, Kind::WebRtc, |socket| {
            Box::new(Sorting { sorter: Sorter::new(sender), socket: Arc::clone(socket.io()) })
        })?;
        Ok(Self { port, arrivals })
    }

    /// The next remote that begins; none if the socket has failed.
    pub(super) fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Option<Arrival>> {
        self.arrivals.poll_recv(cx)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.arrivals.close();
        self.port.left();
    }
}

/// A sorter with the socket that it answers by.
struct Sorting {
    sorter: Sorter,
    socket: Arc<UdpSocket>,
}

impl Taker for Sorting {
    fn take(&mut self, datagram: Datagram<'_>) {
        if let Some(answer) = self.sorter.sort(datagram.from, datagram.bytes) {
            // One that cannot be sent now is lost; the remote will ask again.
            let _ = self.socket.try_send_to(&answer, datagram.from);
        }
    }

    fn is_leaving(&self) -> bool {
        self.sorter.arrivals.is_closed()
    }

    fn is_over(&mut self) -> bool {
        if !self.is_leaving() {
            return false;
        }
        self.sorter.known.retain(|_, inbox| !inbox.is_closed());
        self.sorter.known.is_empty()
    }
}

/// Sorts the datagrams of a socket by whom they come from. It lives as long as the
/// listener or any of its links.
struct Sorter {
    arrivals: mpsc::Sender<Arrival>,
    known: BTreeMap<SocketAddr, mpsc::Sender<Vec<u8>>>,
    strangers: Strangers,
}

impl Sorter {
    fn new(arrivals: mpsc::Sender<Arrival>) -> Self {
        Self { arrivals, known: BTreeMap::new(), strangers: Strangers::default() }
    }

    /// Hands a datagram to whom it is for; returns what is to be answered.
    fn sort(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        if let Some(inbox) = self.known.get(&from) {
            match inbox.try_send(datagram.to_vec()) {
                Ok(()) | Err(TrySendError::Full(_)) => return None,
                Err(TrySendError::Closed(_)) => self.known.remove(&from),
            };
        }
        if self.arrivals.is_closed() {
            return None;
        }
        if let Some(answer) = self.strangers.handle(from, datagram) {
            return Some(answer);
        }
        if let Ok(permit) = self.arrivals.try_reserve()
            && let Some(credentials) = self.strangers.begin(from, datagram)
        {
            self.known.retain(|_, inbox| !inbox.is_closed());
            let (sender, inbox) = mpsc::channel(MAX_QUEUED);
            if sender.try_send(datagram.to_vec()).is_ok() {
                self.known.insert(from, sender);
                permit.send(Arrival { remote: from, credentials, inbox });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check of a dialer of version 2, and the beginning of DTLS.
    const CHECK: &[u8] = include_bytes!("../../../crate/webrtc/tests/vectors/request-v2.bin");
    const HELLO: [u8; 2] = [22, 0xfe];

    fn at(ip: u32, port: u16) -> SocketAddr {
        (std::net::Ipv4Addr::from(0xc000_0200 + ip), port).into()
    }

    #[test]
    fn only_those_who_asked_arrive_and_no_more_than_are_taken_up() {
        let (sender, mut arrivals) = mpsc::channel(MAX_ARRIVALS);
        let mut sorter = Sorter::new(sender);
        assert_eq!(sorter.sort(at(1, 1), &HELLO), None);
        assert!(arrivals.try_recv().is_err());
        for ip in 0..200 {
            sorter.sort(at(ip, 1), CHECK);
            sorter.sort(at(ip, 1), &HELLO);
        }
        assert_eq!(sorter.known.len(), MAX_ARRIVALS);
        let mut first = arrivals.try_recv().unwrap();
        assert_eq!((first.remote, first.inbox.try_recv()), (at(0, 1), Ok(HELLO.to_vec())));
        // There is room for one that had none, and one that is gone is forgotten.
        drop(first);
        sorter.sort(at(199, 1), &HELLO);
        assert_eq!(sorter.known.len(), MAX_ARRIVALS);
        assert!(!sorter.known.contains_key(&at(0, 1)));
    }

    #[test]
    fn what_nobody_takes_up_is_lost() {
        let (sender, mut arrivals) = mpsc::channel(MAX_ARRIVALS);
        let mut sorter = Sorter::new(sender);
        sorter.sort(at(1, 1), CHECK);
        sorter.sort(at(1, 1), &HELLO);
        let arrival = arrivals.try_recv().unwrap();
        for _ in 0..1000 {
            assert_eq!(sorter.sort(at(1, 1), &[23; 1200]), None);
        }
        assert_eq!(arrival.inbox.len(), MAX_QUEUED);
        // The listener is gone: nobody new, and those who are there stay.
        drop(arrivals);
        assert_eq!(sorter.sort(at(2, 1), CHECK), None);
        assert!(sorter.known.contains_key(&at(1, 1)));
    }
}
