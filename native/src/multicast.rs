//! Datagrams to and from the groups of multicast DNS on the networks of this machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use polypeer::discovery::mdns::{GROUP_V4, GROUP_V6};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

/// The hops of a datagram: whoever is not on the network does not hear it (RFC 6762
/// section 11).
const HOPS: u32 = 255;

/// The groups of IPv4 and, where the machine has it, of IPv6.
pub(crate) struct Multicast {
    port: u16,
    loopback: bool,
    v4: UdpSocket,
    v6: Option<UdpSocket>,
    /// The networks whose groups the sockets belong to.
    joined: Vec<Network>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    /// By this machine's address there.
    V4(Ipv4Addr),
    /// By its number on this machine.
    V6(u32),
}

impl Multicast {
    /// Sockets that share their port with whoever else speaks multicast DNS here: on its
    /// networks, or on this machine alone. With port 0 the system chooses.
    pub(crate) fn open(port: u16, loopback: bool) -> io::Result<Self> {
        let v4 = socket(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into())?;
        let port = v4.local_addr()?.port();
        // Not every machine has it.
        let v6 = socket(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into()).ok();
        let mut multicast = Self { port, loopback, v4, v6, joined: Vec::new() };
        multicast.look();
        Ok(multicast)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Joins the networks that are new; whether there are such.
    pub(crate) fn look(&mut self) -> bool {
        // A machine that does not say has those that it had.
        let Ok(interfaces) = if_addrs::get_if_addrs() else { return false };
        let mut found = Vec::new();
        for interface in interfaces.iter().filter(|one| one.is_loopback() == self.loopback) {
            let network = match (interface.ip(), interface.index) {
                (IpAddr::V4(ip), _) => Network::V4(ip),
                (IpAddr::V6(_), Some(index)) => Network::V6(index),
                (IpAddr::V6(_), None) => continue,
            };
            if !found.contains(&network) {
                found.push(network);
            }
        }
        let mut changed = false;
        for network in &found {
            // Not every interface has multicast, and one may come back.
            if !self.joined.contains(network) && self.join(*network).is_ok() {
                self.joined.push(*network);
                changed = true;
            }
        }
        self.joined.retain(|network| found.contains(network));
        changed
    }

    fn join(&self, network: Network) -> io::Result<()> {
        // It may belong to it still, from before the network went.
        match (network, &self.v6) {
            (Network::V4(ip), _) => {
                let _ = self.v4.leave_multicast_v4(GROUP_V4, ip);
                self.v4.join_multicast_v4(GROUP_V4, ip)
            }
            (Network::V6(index), Some(v6)) => {
                let _ = v6.leave_multicast_v6(&GROUP_V6, index);
                v6.join_multicast_v6(&GROUP_V6, index)
            }
            (Network::V6(_), None) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Says something on all networks; one that is down now may be up when it is said again.
    pub(crate) async fn send(&self, packet: &[u8]) {
        for network in &self.joined {
            match (network, &self.v6) {
                (Network::V4(ip), _) => {
                    if SockRef::from(&self.v4).set_multicast_if_v4(ip).is_ok() {
                        let _ = self.v4.send_to(packet, (GROUP_V4, self.port)).await;
                    }
                }
                (Network::V6(index), Some(v6)) => {
                    let group = SocketAddrV6::new(GROUP_V6, self.port, 0, *index);
                    let _ = v6.send_to(packet, group).await;
                }
                (Network::V6(_), None) => {}
            }
        }
    }

    /// The length of the next datagram, which is in `buffer` then.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let v6 = async {
                match &self.v6 {
                    Some(v6) => v6.readable().await.map(|()| v6),
                    None => std::future::pending().await,
                }
            };
            let socket = tokio::select! {
                ready = self.v4.readable() => ready.map(|()| &self.v4)?,
                ready = v6 => ready?,
            };
            match socket.try_recv(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }
}

fn socket(domain: Domain, address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    // Other programs of this machine are neighbours too.
    if domain == Domain::IPV4 {
        socket.set_multicast_loop_v4(true)?;
        socket.set_multicast_ttl_v4(HOPS)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_loop_v6(true)?;
        socket.set_multicast_hops_v6(HOPS)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}
