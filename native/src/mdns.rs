//! mDNS on the networks of this machine: a node is told of its neighbours, and they of
//! it.
//!
//! Source: libp2p specs, `discovery/mdns.md`. What is said, and when, is up to
//! [`polypeer::discovery::mdns`].

use std::io;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::channel::mpsc;
use polypeer::discovery::mdns::{self, MAX_PACKET, MdnsEvent, PORT};
use polypeer::facade::Node;
use polypeer::{Multiaddr, Rng};
use tokio::sync::oneshot;

use crate::multicast::Multicast;

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
        let multicast = Multicast::open(options.port, options.config.loopback)?;
        let port = multicast.port();
        let start = Instant::now();
        let mut rng = Rng::from_seed(seed);
        let machine = mdns::Mdns::new(since(start), options.config, *node.peer_id(), &mut rng);
        let (sender, events) = mpsc::channel(EVENTS);
        let (leave, left) = oneshot::channel();
        let task = Task { node, multicast, machine, start, events: sender };
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

struct Task {
    node: Node,
    multicast: Multicast,
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
                received = self.multicast.receive(&mut buffer) => match received {
                    Ok(length) => self.machine.receive(since(self.start), &buffer[..length]),
                    // Some systems report here what became of what was sent.
                    Err(_) => tokio::task::yield_now().await,
                },
                () = tokio::time::sleep(next) => {}
                _ = look.tick() => {
                    if self.multicast.look() {
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
            self.multicast.send(&packet).await;
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
