//! mDNS on the networks of this machine, over IPv4: a node is told of its neighbours,
//! and they of it.
//!
//! Source: libp2p specs, `discovery/mdns.md`. What is said, and when, is up to
//! [`polypeer::discovery::mdns`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::channel::mpsc;
use polypeer::discovery::mdns::{self, GROUP_V4, MAX_PACKET, MdnsEvent, PORT};
use polypeer::facade::Node;
use polypeer::{Multiaddr, Rng};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

/// How often this machine's networks are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Events that wait to be read; further ones are not told, but heeded all the same.
const EVENTS: usize = 256;

/// How neighbours are looked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MdnsOptions {
    /// The name that they look for each other by, and whether to stay on this machine
    /// (`loopback`): then nothing is said on its networks. Members of a private network
    /// have a name of their own, unless one is given.
    pub config: mdns::Config,
    /// The port; 5353, and another for tests alone. With 0 the system chooses.
    pub port: u16,
}

impl Default for MdnsOptions {
    fn default() -> Self {
        Self { config: mdns::Config::default(), port: PORT }
    }
}

/// Looks for neighbours for as long as it lives. What they say goes to the peer store
/// of the node, so that they can be dialed by PeerId.
#[derive(Debug)]
pub struct Mdns {
    port: u16,
    events: mpsc::Receiver<MdnsEvent>,
    leave: Option<oneshot::Sender<oneshot::Sender<()>>>,
}

impl Mdns {
    /// Begins, also where there is no network yet; it fails if the port cannot be had.
    pub fn start(node: Node, seed: [u8; 32], mut options: MdnsOptions) -> io::Result<Self> {
        let service = core::mem::take(&mut options.config.service);
        options.config.service = service.within(node.network_fingerprint());
        let socket = socket(options.port)?;
        let port = socket.local_addr()?.port();
        let mut networks = Networks { loopback: options.config.loopback, joined: Vec::new() };
        networks.look(&socket);
        let start = Instant::now();
        let mut rng = Rng::from_seed(seed);
        let machine = mdns::Mdns::new(since(start), options.config, *node.peer_id(), &mut rng);
        let (sender, events) = mpsc::channel(EVENTS);
        let (leave, left) = oneshot::channel();
        let task = Task { node, socket, port, networks, machine, start, events: sender };
        tokio::spawn(task.run(left));
        Ok(Self { port, events, leave: Some(leave) })
    }

    /// The port that it hears on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What has become known; none once the node has ended.
    pub async fn next(&mut self) -> Option<MdnsEvent> {
        self.events.next().await
    }

    /// Tells the neighbours that we leave, and ends.
    pub async fn close(mut self) {
        let (done, told) = oneshot::channel();
        if let Some(leave) = self.leave.take()
            && leave.send(done).is_ok()
        {
            // A task that has ended has nothing to say.
            let _ = told.await;
        }
    }
}

fn since(start: Instant) -> polypeer::Instant {
    polypeer::Instant::ZERO + start.elapsed()
}

/// A socket that shares its port with whoever else speaks multicast DNS here.
fn socket(port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    // Other programs of this machine are neighbours too.
    socket.set_multicast_loop_v4(true)?;
    // RFC 6762 section 11.
    socket.set_multicast_ttl_v4(255)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    UdpSocket::from_std(socket.into())
}

/// The networks whose group the socket belongs to, by this machine's address there.
struct Networks {
    loopback: bool,
    joined: Vec<Ipv4Addr>,
}

impl Networks {
    /// Joins those that are new; whether there are such.
    fn look(&mut self, socket: &UdpSocket) -> bool {
        // A machine that does not say has those that it had.
        let Ok(interfaces) = if_addrs::get_if_addrs() else { return false };
        let mut found = Vec::new();
        for interface in interfaces {
            if let IpAddr::V4(ip) = interface.ip()
                && ip.is_loopback() == self.loopback
            {
                found.push(ip);
            }
        }
        let mut changed = false;
        for ip in &found {
            if !self.joined.contains(ip) {
                // Not every interface has multicast, and one may come back.
                let _ = socket.leave_multicast_v4(GROUP_V4, *ip);
                if socket.join_multicast_v4(GROUP_V4, *ip).is_ok() {
                    self.joined.push(*ip);
                    changed = true;
                }
            }
        }
        self.joined.retain(|ip| found.contains(ip));
        changed
    }

    async fn send(&self, socket: &UdpSocket, port: u16, packet: &[u8]) {
        for ip in &self.joined {
            if SockRef::from(socket).set_multicast_if_v4(ip).is_ok() {
                // A network that is down now may be up when it is said again.
                let _ = socket.send_to(packet, (GROUP_V4, port)).await;
            }
        }
    }
}

struct Task {
    node: Node,
    socket: UdpSocket,
    port: u16,
    networks: Networks,
    machine: mdns::Mdns,
    start: Instant,
    events: mpsc::Sender<MdnsEvent>,
}

impl Task {
    async fn run(mut self, mut left: oneshot::Receiver<oneshot::Sender<()>>) {
        let mut buffer = vec![0; MAX_PACKET];
        let mut look = tokio::time::interval(LOOK);
        loop {
            let Ok(addresses) = self.node.addresses().await else { return };
            self.machine.handle_timeout(since(self.start), &addresses);
            if self.flush().await.is_err() {
                return;
            }
            let next = self.machine.poll_timeout().since(since(self.start));
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, _)) => self.machine.receive(since(self.start), &buffer[..length]),
                    // Some systems report here what became of what was sent.
                    Err(_) => tokio::task::yield_now().await,
                },
                () = tokio::time::sleep(next) => {}
                _ = look.tick() => {
                    if self.networks.look(&self.socket) {
                        self.machine.network_changed(since(self.start));
                    }
                }
                done = &mut left => {
                    self.farewell(&addresses).await;
                    // Whoever wanted to know may have gone.
                    if let Ok(done) = done {
                        let _ = done.send(());
                    }
                    return;
                }
            }
        }
    }

    async fn farewell(&mut self, addresses: &[Multiaddr]) {
        self.machine.farewell(addresses);
        let _ = self.flush().await;
    }

    /// Sends what there is to say and tells what has become known; fails once the node
    /// has ended.
    async fn flush(&mut self) -> Result<(), polypeer::facade::NodeClosed> {
        while let Some(packet) = self.machine.poll_packet() {
            self.networks.send(&self.socket, self.port, &packet).await;
        }
        while let Some(event) = self.machine.poll_event() {
            if let MdnsEvent::Seen { peer, addresses, ttl, .. } = &event {
                let store = self.node.peer_store();
                store.discovered(peer, addresses.clone(), *ttl).await?;
            }
            // Full: nobody reads.
            let _ = self.events.try_send(event);
        }
        Ok(())
    }
}
