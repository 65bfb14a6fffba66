//! Port mapping: asks the gateway of the local network to send on to us what comes
//! to one of its public ports, by UPnP IGD, PCP or NAT-PMP.
//!
//! What is mapped are the ports of private IPv4 addresses that the node listens on.
//! What the gateway has granted is announced, renewed at half of its lease, and taken
//! back when the node no longer listens there; what it has not is asked for again
//! after a while.
//!
//! The gateway is trusted: whoever answers as one in the local network says which
//! address is announced.

mod gateway;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc;
use polypeer::facade::{Events, Node};
use polypeer::node::Event;
use polypeer::swarm::addresses::{Source, Transport, Waist, is_public};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;

use gateway::{Gateways, Mapped};

/// The first wait after a gateway has not mapped a port; doubled up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(30);
/// The longest such wait.
const MAX_RETRY: Duration = Duration::from_secs(15 * 60);
/// Ports that are mapped at a time; a node listens on few.
pub const MAX_PORTS: usize = 32;

/// How gateways are found and what is asked of them.
#[derive(Clone, Debug)]
pub struct MappingOptions {
    /// Whether UPnP IGD is tried; yes.
    pub upnp: bool,
    /// Whether PCP and NAT-PMP are tried, before UPnP; yes.
    pub nat_pmp: bool,
    /// The gateway for PCP and NAT-PMP; that of the default route if it is not named,
    /// which is found on Linux.
    pub gateway: Option<IpAddr>,
    /// Where UPnP's search goes to; 239.255.255.250:1900, the multicast address of
    /// SSDP.
    pub search: SocketAddr,
    /// How long a mapping is asked for; two hours, as RFC 6886 advises.
    pub lease: Duration,
    /// How long a gateway may take to be found; 5 s.
    pub patience: Duration,
}

impl Default for MappingOptions {
    fn default() -> Self {
        Self {
            upnp: true,
            nat_pmp: true,
            gateway: None,
            search: SocketAddr::from(([239, 255, 255, 250], 1900)),
            lease: Duration::from_secs(7200),
            patience: Duration::from_secs(5),
        }
    }
}

/// Why a port is not mapped. It is tried again after a while.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum MappingError {
    /// No gateway answers: it speaks neither UPnP nor PCP nor NAT-PMP, or that is
    /// switched off there.
    #[error("no gateway that maps ports was found: {reasons}")]
    NoGateway {
        /// What was tried, and what came of it.
        reasons: String,
    },
    /// The gateway does not map the port: its settings forbid it, or it has no room.
    #[error("the gateway refuses: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// The gateway maps, but is itself behind another one: nobody is helped.
    #[error("the gateway's own address, {address}, is not public")]
    NotPublic {
        /// Its address.
        address: IpAddr,
    },
}

/// What happens to mappings.
#[derive(Debug)]
#[non_exhaustive]
pub enum MappingEvent {
    /// What comes to `external` comes to us.
    Mapped {
        /// TCP or UDP.
        transport: Transport,
        /// Our port.
        port: u16,
        /// Where others reach it.
        external: SocketAddr,
    },
    /// A port is not mapped, or no more.
    Failed {
        /// TCP or UDP.
        transport: Transport,
        /// Our port.
        port: u16,
        /// Why.
        error: MappingError,
    },
}

/// Keeps the ports of a node mapped, for as long as the node lives; dropped, it lets
/// the leases run out.
pub struct PortMapping {
    events: mpsc::Receiver<MappingEvent>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl PortMapping {
    /// Maps the ports that `node` listens on, now and later.
    pub fn start(node: Node, options: MappingOptions) -> Self {
        let (sender, events) = mpsc::channel(MAX_PORTS);
        let (stop, stopped) = oneshot::channel();
        let changes = node.events();
        let mapper = Mapper {
            node,
            gateways: Gateways::new(options.clone()),
            options,
            ports: BTreeMap::new(),
            sender,
        };
        Self { events, stop: Some(stop), task: tokio::spawn(mapper.run(changes, stopped)) }
    }

    /// The next thing that happens; `None` when the node has ended.
    pub async fn next(&mut self) -> Option<MappingEvent> {
        self.events.next().await
    }

    /// Takes all mappings back.
    pub async fn close(mut self) {
        if let Some(stop) = self.stop.take() {
            // A task that has ended has nothing to take back.
            let _ = stop.send(());
        }
        self.events.close();
        // It ends by itself or with the runtime.
        let _ = (&mut self.task).await;
    }
}

impl Drop for PortMapping {
    fn drop(&mut self) {
        if self.stop.is_some() {
            self.task.abort();
        }
    }
}

struct Mapper {
    node: Node,
    gateways: Gateways,
    options: MappingOptions,
    ports: BTreeMap<(Transport, u16), Port>,
    sender: mpsc::Sender<MappingEvent>,
}

struct Port {
    external: Option<SocketAddr>,
    /// When the lease ends.
    until: Instant,
    /// When it is asked for, again.
    due: Instant,
    /// The wait after the next failure.
    retry: Duration,
}

impl Mapper {
    async fn run(mut self, mut changes: Events, mut stopped: oneshot::Receiver<()>) {
        let mut alive = self.follow().await;
        while alive {
            let due = self.ports.values().map(|port| port.due).min();
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = &mut stopped => break,
                () = timer => tokio::select! {
                    // What is being asked for now runs out by itself.
                    _ = &mut stopped => break,
                    () = self.map_due() => {}
                },
                event = changes.next() => match event {
                    Some(Event::AddressesChanged) => alive = self.follow().await,
                    Some(_) => {}
                    // The node has ended, or has left us behind while a gateway was slow.
                    None => {
                        changes = self.node.events();
                        alive = self.follow().await;
                    }
                },
            }
        }
        for (transport, port) in self.ports.keys().copied().collect::<Vec<_>>() {
            self.unmap(transport, port).await;
        }
    }

    /// Takes up where the node listens now; whether it still lives.
    async fn follow(&mut self) -> bool {
        let Ok(own) = self.node.own_addresses().await else { return false };
        let near = self.gateways.is_loopback();
        let listening = own.iter().filter(|own| own.source == Source::Listening);
        let wanted: Vec<(Transport, u16)> = listening
            .filter_map(|own| Waist::of(&own.address))
            .filter(|waist| waist.socket.is_ipv4() && !waist.is_public())
            .filter(|waist| waist.socket.ip().is_loopback() == near)
            .map(|waist| (waist.transport, waist.socket.port()))
            .collect();
        let gone = self.ports.keys().filter(|port| !wanted.contains(port)).copied();
        for (transport, port) in gone.collect::<Vec<_>>() {
            self.unmap(transport, port).await;
        }
        for port in wanted {
            if self.ports.len() < MAX_PORTS {
                let now = Instant::now();
                let new = || Port { external: None, until: now, due: now, retry: FIRST_RETRY };
                self.ports.entry(port).or_insert_with(new);
            }
        }
        true
    }

    async fn map_due(&mut self) {
        let now = Instant::now();
        let due: Vec<(Transport, u16)> =
            self.ports.iter().filter(|(_, port)| port.due <= now).map(|(key, _)| *key).collect();
        let mut silent = None;
        for (transport, number) in due {
            let Some(before) = self.ports.get(&(transport, number)).map(|port| port.external)
            else {
                continue;
            };
            let result = match &silent {
                // Who did not answer a moment ago is not asked for each port.
                Some(error) => Err(MappingError::clone(error)),
                None => self.ask(transport, number, before).await,
            };
            if let Err(error @ MappingError::NoGateway { .. }) = &result {
                silent = Some(error.clone());
            }
            self.asked(transport, number, before, result).await;
        }
    }

    async fn ask(
        &mut self,
        transport: Transport,
        port: u16,
        before: Option<SocketAddr>,
    ) -> Result<Mapped, MappingError> {
        let mapped = self.gateways.map(transport, port, before).await?;
        let address = mapped.external.ip();
        if is_public(address) {
            return Ok(mapped);
        }
        self.gateways.unmap(transport, port, mapped.external).await;
        Err(MappingError::NotPublic { address })
    }

    /// A gateway has, or has not, mapped a port that was mapped to `before`.
    async fn asked(
        &mut self,
        transport: Transport,
        number: u16,
        before: Option<SocketAddr>,
        result: Result<Mapped, MappingError>,
    ) {
        let Some(port) = self.ports.get_mut(&(transport, number)) else { return };
        let now = Instant::now();
        let event = match result {
            Ok(Mapped { external, lease }) => {
                let lease = lease.min(self.options.lease);
                (port.external, port.retry) = (Some(external), FIRST_RETRY);
                (port.until, port.due) = (now + lease, now + lease / 2);
                MappingEvent::Mapped { transport, port: number, external }
            }
            Err(error) => {
                if matches!(error, MappingError::NoGateway { .. }) && now < port.until {
                    // Silence takes nothing away before the lease ends.
                    port.due = (now + port.retry).min(port.until);
                    return;
                }
                (port.external, port.until, port.due) = (None, now, now + port.retry);
                port.retry = (port.retry * 2).min(MAX_RETRY);
                MappingEvent::Failed { transport, port: number, error }
            }
        };
        let external = port.external;
        if external != before {
            // A node that has ended announces nothing.
            let _ = self.node.mapped(transport, number, external).await;
        }
        if external != before || external.is_none() {
            // Whoever does not listen misses it.
            let _ = self.sender.try_send(event);
        }
    }

    async fn unmap(&mut self, transport: Transport, number: u16) {
        let Some(port) = self.ports.remove(&(transport, number)) else { return };
        if let Some(external) = port.external {
            let _ = self.node.mapped(transport, number, None).await;
            self.gateways.unmap(transport, number, external).await;
        }
    }
}
