//! Where the datagrams of one session go and come from.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// The longest datagram that is taken in; those of WebRTC have less than 1,300 bytes.
pub(super) const MAX_DATAGRAM: usize = 2048;

/// The datagrams of one remote.
pub(super) struct Path {
    socket: Arc<UdpSocket>,
    remote: SocketAddr,
    /// None: the socket is connected to the remote.
    inbox: Option<mpsc::Receiver<Vec<u8>>>,
    /// Waits for the socket to take more. Sockets wake one poller only, and many
    /// paths share one.
    blocked: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send>>>,
}

impl Path {
    /// A socket that is connected to `remote`.
    pub(super) fn connected(socket: UdpSocket, remote: SocketAddr) -> Self {
        Self { socket: Arc::new(socket), remote, inbox: None, blocked: None }
    }

    /// A socket that many share; what `remote` sends is put into `inbox`.
    pub(super) fn shared(
        socket: Arc<UdpSocket>,
        remote: SocketAddr,
        inbox: mpsc::Receiver<Vec<u8>>,
    ) -> Self {
        Self { socket, remote, inbox: Some(inbox), blocked: None }
    }

    /// The next datagram of the remote, in `buffer`.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8; MAX_DATAGRAM],
    ) -> Poll<io::Result<usize>> {
        let Some(inbox) = &mut self.inbox else {
            let mut buffer = ReadBuf::new(buffer);
            ready!(self.socket.poll_recv(cx, &mut buffer))?;
            return Poll::Ready(Ok(buffer.filled().len()));
        };
        let datagram = ready!(inbox.poll_recv(cx)).ok_or(io::ErrorKind::NotConnected)?;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Poll::Ready(Ok(length))
    }

    /// Ready as soon as the socket may take a datagram.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(blocked) = &mut self.blocked {
            // If waiting has failed, sending will tell why.
            let _ = ready!(blocked.as_mut().poll(cx));
            self.blocked = None;
        }
        Poll::Ready(())
    }

    /// Sends a datagram; `false` if the socket takes none now.
    pub(super) fn send(&mut self, datagram: &[u8]) -> io::Result<bool> {
        let sent = match self.inbox {
            None => self.socket.try_send(datagram),
            Some(_) => self.socket.try_send_to(datagram, self.remote),
        };
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let socket = Arc::clone(&self.socket);
                self.blocked = Some(Box::pin(async move { socket.writable().await }));
                Ok(false)
            }
            sent => sent.map(|_| true),
        }
    }
}
