//! Gateways, by the protocols that they speak.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::time::Duration;

use crab_nat::{
    InternetProtocol, MappingFailure, PortMapping, PortMappingOptions, PortMappingType,
    TimeoutConfig, natpmp, pcp,
};
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{
    AddPortError, GetExternalIpError, PortMappingProtocol, RequestError, SearchOptions,
};
use polypeer::swarm::addresses::Transport;

use super::{MappingError, MappingOptions};

type Upnp = igd_next::aio::Gateway<Tokio>;

/// What gateways show people beside a mapping.
const DESCRIPTION: &str = "polypeer";
/// Ports that are tried at a gateway of UPnP when the wanted one is another's.
const MAX_OTHER_PORTS: u16 = 8;

/// A mapping as the gateway gives it.
pub(super) struct Mapped {
    pub(super) external: SocketAddr,
    pub(super) lease: Duration,
}

/// The gateway of this network, once it is known what it speaks.
pub(super) struct Gateways {
    options: MappingOptions,
    upnp: Option<Upnp>,
    /// Mappings by PCP or NAT-PMP, which are renewed as what they are.
    pmp: BTreeMap<(Transport, u16), PortMapping>,
}

impl Gateways {
    pub(super) fn new(options: MappingOptions) -> Self {
        Self { options, upnp: None, pmp: BTreeMap::new() }
    }

    /// Whether the gateway is on this machine, as in tests.
    pub(super) fn is_loopback(&self) -> bool {
        self.options.gateway.is_some_and(|ip| ip.is_loopback())
            || self.options.search.ip().is_loopback()
    }

    /// Maps a port, or renews its mapping.
    pub(super) async fn map(
        &mut self,
        transport: Transport,
        port: u16,
        before: Option<SocketAddr>,
    ) -> Result<Mapped, MappingError> {
        if self.upnp.is_some() {
            let mapped = self.map_upnp(transport, port, before).await;
            if mapped.is_err() {
                // It may be another gateway by now.
                self.upnp = None;
            }
            return mapped;
        }
        if self.pmp.contains_key(&(transport, port)) {
            return self.renew_pmp(transport, port).await;
        }
        let (mut reasons, mut refused) = (Vec::new(), None);
        if self.options.nat_pmp {
            match self.map_pmp(transport, port).await {
                Err(MappingError::NoGateway { reasons: reason }) => reasons.push(reason),
                // It may still do so when asked in the other language.
                Err(error) => refused = Some(error),
                mapped => return mapped,
            }
        }
        if self.options.upnp {
            match self.search().await {
                Ok(()) => return self.map_upnp(transport, port, before).await,
                Err(reason) => reasons.push(reason),
            }
        }
        Err(refused.unwrap_or(MappingError::NoGateway { reasons: reasons.join("; ") }))
    }

    /// Takes a mapping back, as far as the gateway still answers.
    pub(super) async fn unmap(&mut self, transport: Transport, port: u16, external: SocketAddr) {
        if let Some(mapping) = self.pmp.remove(&(transport, port)) {
            // Its lease ends in any case.
            let _ = mapping.try_drop().await;
        } else if let Some(gateway) = &self.upnp {
            let _ = gateway.remove_port(upnp_protocol(transport), external.port()).await;
        }
    }

    // PCP and NAT-PMP.

    async fn map_pmp(&mut self, transport: Transport, port: u16) -> Result<Mapped, MappingError> {
        let gateway = self.options.gateway.or_else(default_gateway);
        let gateway = gateway.ok_or_else(|| no_pmp("the gateway is not known"))?;
        let number = NonZeroU16::new(port).ok_or_else(|| no_pmp("no port"))?;
        let client = local_to(gateway).map_err(no_pmp)?;
        let options = PortMappingOptions {
            external_port: Some(number),
            lifetime_seconds: Some(seconds(self.options.lease)),
            timeout_config: Some(TimeoutConfig {
                initial_timeout: self.options.patience / 8,
                max_retries: 2,
                max_retry_timeout: None,
            }),
        };
        let protocol = match transport {
            Transport::Tcp => InternetProtocol::Tcp,
            Transport::Udp => InternetProtocol::Udp,
        };
        let mapping = PortMapping::new(gateway.into(), client, protocol, number, options).await;
        let mapping = mapping.map_err(|error| pmp_error(&error))?;
        let mapped = mapped_by_pmp(&mapping).await;
        self.pmp.insert((transport, port), mapping);
        mapped
    }

    async fn renew_pmp(&mut self, transport: Transport, port: u16) -> Result<Mapped, MappingError> {
        let key = (transport, port);
        let mapping = self.pmp.get_mut(&key).ok_or_else(|| no_pmp("not mapped"))?;
        let result = match mapping.renew().await {
            Ok(()) => mapped_by_pmp(mapping).await,
            Err(error) => Err(pmp_error(&error)),
        };
        if result.is_err() && mapping.expiration() <= std::time::Instant::now() {
            // Another gateway may be here by now.
            self.pmp.remove(&key);
        }
        result
    }

    // UPnP.

    async fn search(&mut self) -> Result<(), String> {
        let mut options = SearchOptions::default();
        options.broadcast_address = self.options.search;
        options.timeout = Some(self.options.patience);
        options.single_search_timeout = Some(self.options.patience);
        if self.options.search.ip().is_loopback() {
            options.bind_addr = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
            // No answer may lead to this machine, unless it is asked itself.
            options.allowed_gateway_ips = vec![self.options.search.ip()];
        }
        let found = search_gateway(options).await;
        self.upnp = Some(found.map_err(|error| format!("UPnP: {error}"))?);
        Ok(())
    }

    async fn map_upnp(
        &self,
        transport: Transport,
        port: u16,
        before: Option<SocketAddr>,
    ) -> Result<Mapped, MappingError> {
        let Some(gateway) = &self.upnp else { return Err(no_upnp("none is known")) };
        let lease = self.options.lease;
        let local = SocketAddr::new(local_to(gateway.addr.ip()).map_err(no_upnp)?, port);
        let wanted = before.map_or(port, |before| before.port());
        let ip = gateway.get_external_ip().await.map_err(|error| match error {
            GetExternalIpError::RequestError(error) => request_error(&error),
            error => MappingError::Refused { reason: error.to_string() },
        })?;
        let external = add_port(gateway, upnp_protocol(transport), wanted, local, lease).await?;
        // One without an end is asked for as often as others: gateways forget.
        Ok(Mapped { external: SocketAddr::new(ip, external), lease })
    }
}

/// Maps the wanted port or, if another host has it, one of those behind it.
async fn add_port(
    gateway: &Upnp,
    protocol: PortMappingProtocol,
    wanted: u16,
    local: SocketAddr,
    lease: Duration,
) -> Result<u16, MappingError> {
    let mut failure = AddPortError::PortInUse;
    let mut granted = lease;
    for external in wanted..=wanted.saturating_add(MAX_OTHER_PORTS) {
        let seconds = seconds(granted);
        let mut result = gateway.add_port(protocol, external, local, seconds, DESCRIPTION).await;
        if matches!(result, Err(AddPortError::OnlyPermanentLeasesSupported)) {
            granted = Duration::ZERO;
            result = gateway.add_port(protocol, external, local, 0, DESCRIPTION).await;
        }
        match result {
            Ok(()) => return Ok(external),
            Err(AddPortError::PortInUse) => {}
            Err(error) => {
                failure = error;
                break;
            }
        }
    }
    Err(match failure {
        AddPortError::RequestError(error) => request_error(&error),
        error => MappingError::Refused { reason: error.to_string() },
    })
}

/// A gateway that says a number has decided; what else goes wrong, it is not there.
fn request_error(error: &RequestError) -> MappingError {
    match error {
        RequestError::ErrorCode(..) | RequestError::UnsupportedAction(_) => {
            MappingError::Refused { reason: error.to_string() }
        }
        error => no_upnp(error),
    }
}

fn no_upnp(reason: impl Display) -> MappingError {
    MappingError::NoGateway { reasons: format!("UPnP: {reason}") }
}

fn no_pmp(reason: impl Display) -> MappingError {
    MappingError::NoGateway { reasons: format!("PCP: {reason}") }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn upnp_protocol(transport: Transport) -> PortMappingProtocol {
    match transport {
        Transport::Tcp => PortMappingProtocol::TCP,
        Transport::Udp => PortMappingProtocol::UDP,
    }
}

/// A gateway that has said anything at all has refused.
fn pmp_error(error: &MappingFailure) -> MappingError {
    match error {
        MappingFailure::NatPmp(natpmp::Failure::Socket(_) | natpmp::Failure::Timeout)
        | MappingFailure::Pcp(pcp::Failure::Socket(_) | pcp::Failure::Timeout) => no_pmp(error),
        _ => MappingError::Refused { reason: error.to_string() },
    }
}

/// What a mapping by PCP or NAT-PMP comes to.
async fn mapped_by_pmp(mapping: &PortMapping) -> Result<Mapped, MappingError> {
    let ip = match mapping.mapping_type() {
        PortMappingType::Pcp { external_ip, .. } => external_ip.to_canonical(),
        PortMappingType::NatPmp => {
            let timeouts = Some(mapping.timeout_config);
            let ip = natpmp::external_address(mapping.gateway(), timeouts).await;
            ip.map_err(|error| pmp_error(&error.into()))?.into()
        }
    };
    let external = SocketAddr::new(ip, mapping.external_port().get());
    Ok(Mapped { external, lease: Duration::from_secs(mapping.lifetime().into()) })
}

/// From which address of ours packets go to a gateway; none is sent.
fn local_to(gateway: IpAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = Ipv4Addr::UNSPECIFIED.into();
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((gateway, crab_nat::GATEWAY_PORT))?;
    Ok(socket.local_addr()?.ip())
}

/// The gateway of the default route.
fn default_gateway() -> Option<IpAddr> {
    let table = std::fs::read_to_string("/proc/net/route").ok()?;
    route_gateway(&table)
}

/// The gateway of a table of Linux: destination and gateway are the second and third
/// column, in hexadecimal, in the order of the machine.
pub(super) fn route_gateway(table: &str) -> Option<IpAddr> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (to, gateway) = (columns.next()?, columns.next()?);
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        let bits = number(gateway).filter(|bits| number(to) == Some(0) && *bits != 0)?;
        Some(IpAddr::from(bits.to_ne_bytes()))
    })
}
