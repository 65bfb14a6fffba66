//! `polypeer serve`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use polypeer::Keypair;
use polypeer::address::{Multiaddr, Protocol};
use polypeer::facade::Node;
use polypeer::facade::platform::TransportError;
use polypeer::node::{Config, Direction, Event};
use polypeer::protocols::autonat;
use polypeer::protocols::relay::{CircuitSummary, ServiceConfig};
use polypeer::protocols::rendezvous;
use polypeer::swarm::manager;
use polypeer_native::mapping::{MappingOptions, PortMapping};
use polypeer_native::service::{echo, perf, room};
use polypeer_native::store::FileStore;
use polypeer_native::{
    Native, Options, ServerCertificate, WebRtcCertificate, keys, raise_descriptor_limit,
};
use serde_json::json;

use super::args::Serve;
use super::config::ConfigError;
use super::keeping::Keeping;
use super::output::Output;
use super::reload::Hangup;
use super::{Failure, config, dht, key, neighbours, reach, reload, stats, welcome};

/// Where a server listens if it is not told: on all interfaces, at one port.
const DEFAULT_LISTEN: [&str; 8] = [
    "/ip4/0.0.0.0/tcp/4001",
    "/ip6/::/tcp/4001",
    "/ip4/0.0.0.0/udp/4001/quic-v1",
    "/ip6/::/udp/4001/quic-v1",
    "/ip4/0.0.0.0/udp/4001/webrtc-direct",
    "/ip6/::/udp/4001/webrtc-direct",
    "/ip4/0.0.0.0/tcp/4001/ws",
    "/ip6/::/tcp/4001/ws",
];

/// Where it listens then if it has a certificate.
const SECURE_LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/4001/tls/ws", "/ip6/::/tcp/4001/tls/ws"];

/// Peers that proved stable which a server begins with.
const REMEMBERED: usize = 8;

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

pub(super) async fn run(arguments: Serve, output: Output) -> Result<(), Failure> {
    // Heard from the start, so that none is lost.
    let mut interrupted = Interrupted::new().map_err(Failure::Start)?;
    let mut hangup = Hangup::new(arguments.config.is_some()).map_err(Failure::Start)?;
    let path = key::path(&arguments.key)?;
    let loaded = keys::load_or_create(&path, || Keypair::generate_ed25519(&mut key::rng()))?;
    key::warn_if_exposed(&loaded, &path, output);

    let certificate = match (&arguments.certificate, &arguments.certificate_key) {
        (Some(chain), Some(key)) => Some(ServerCertificate::from_files(chain, key)?),
        _ => None,
    };
    let webrtc_certificate = webrtc_certificate(&arguments, &path)?;
    let host = Native::new(Options { certificate, webrtc_certificate, ..Options::default() });
    let configure = || configured(&arguments, loaded.keypair.clone());
    let config = configure()?;
    let keeping = Keeping::open(&arguments, &path, output).await?;
    raise_descriptor_limit();
    let host = Arc::new(host);
    let node = match storage(&arguments, &path, output) {
        Some(storage) => Node::start_stored(host, config, Box::new(storage)),
        None => Node::start(host, config),
    };
    let mut events = node.events();
    echo::serve(&node);
    room::serve(&node);
    if arguments.perf {
        perf::serve(&node);
    }

    let addresses = listen(&node, &arguments).await?;
    welcome::print(&node, &addresses, output).await;
    keeping.start(&node, output).await;
    if let Some(interval) = arguments.stats {
        tokio::spawn(stats::print(node.clone(), interval, output));
    }
    let mut reach = reach::Reach::new(&node, output).await;
    let mut mapping = arguments.port_mapping.then(|| {
        let options = MappingOptions { gateway: arguments.gateway, ..MappingOptions::default() };
        PortMapping::start(node.clone(), options)
    });
    let mut neighbours = neighbours::look(&node, arguments.mdns.clone())?;
    loop {
        tokio::select! {
            () = interrupted.next() => break,
            () = hangup.next() => reload::reload(configure(), &node, output).await,
            event = neighbours::heard(&mut neighbours) => neighbours::meet(&node, &event, output),
            event = reach::mapped(&mut mapping) => reach::tell_mapping(&event, output),
            event = events.next() => match event {
                Some(Event::AddressesChanged) => reach.changed(&node).await,
                Some(Event::Reachability { address, reachability }) => {
                    reach::tell(address.as_ref(), reachability, output);
                }
                Some(event) => report(&event, output),
                None => break,
            },
        }
    }
    let goodbye = async {
        let unmapping = async {
            if let Some(mapping) = mapping {
                mapping.close().await;
            }
        };
        if let Some(mdns) = neighbours {
            mdns.close().await;
        }
        // A gateway that has gone does not keep peers waiting.
        futures::join!(unmapping, node.close());
    };
    // A second interruption does not wait for goodbyes.
    tokio::select! {
        _ = tokio::time::timeout(GOODBYE, goodbye) => {}
        () = interrupted.next() => {}
    }
    output.print(json!({ "event": "closed" }), || "Closed".into());
    Ok(())
}

/// What the flags and the file say.
fn configured(arguments: &Serve, keypair: Keypair) -> Result<Config, ConfigError> {
    let mut config = Config::new(keypair);
    // A server is there for those who come.
    config.manager = manager::Config::server(config.max_connections);
    config.store.bootstrap.peers.clone_from(&arguments.bootstrap);
    config.store.bootstrap.public = arguments.public_bootstrap;
    config.store.bootstrap.remembered = REMEMBERED;
    if !arguments.no_relay {
        config.relay.service = Some(ServiceConfig::default());
    }
    config.autonat.server = (!arguments.no_autonat).then(autonat::ServerConfig::default);
    config.rendezvous = arguments.rendezvous.then(rendezvous::ServerConfig::default);
    config.kad = (!arguments.no_dht).then(|| dht::config(&arguments.dht));
    config::apply(arguments, &mut config)?;
    Ok(config)
}

/// What WebRTC direct is listened on with, if it is.
fn webrtc_certificate(arguments: &Serve, key: &Path) -> Result<Option<WebRtcCertificate>, Failure> {
    let direct = |address: &Multiaddr| address.iter().any(|part| part == Protocol::WebrtcDirect);
    if !arguments.listen.is_empty() && !arguments.listen.iter().any(direct) {
        return Ok(None);
    }
    let path = arguments.webrtc_certificate.clone();
    let path = path.unwrap_or_else(|| beside(key, ".webrtc.pem"));
    Ok(Some(WebRtcCertificate::load_or_create(&path)?))
}

/// The file of the key's name with `end` behind it.
pub(super) fn beside(key: &Path, end: &str) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// The file that peers are remembered in. A server without it is one all the same.
fn storage(arguments: &Serve, key: &Path, output: Output) -> Option<FileStore> {
    if arguments.no_store {
        return None;
    }
    let path = arguments.store.clone().unwrap_or_else(|| beside(key, ".peers.redb"));
    match FileStore::open_or_replace(&path) {
        Ok((storage, aside)) => {
            if let Some(aside) = aside {
                let text = "the store of peers was damaged and is begun anew; it is now";
                output.warn(&format!("{text} {}", aside.display()));
            }
            Some(storage)
        }
        Err(error) => {
            output.warn(&format!("peers will not be remembered: {error}"));
            None
        }
    }
}

/// Listens where asked to, or by default where this machine can.
async fn listen(node: &Node, arguments: &Serve) -> Result<Vec<Multiaddr>, Failure> {
    let (asked, mut reachable) = (&arguments.listen, Vec::new());
    let (relays, direct): (Vec<_>, Vec<_>) = asked.iter().partition(|address| address.is_circuit());
    for relay in relays {
        let asked = node.listen_on_relay(Some(relay.clone())).await;
        // A node that has ended says so elsewhere.
        asked.unwrap_or(Ok(())).map_err(|error| Failure::Relay(relay.clone(), error))?;
    }
    for address in direct {
        reachable.extend(node.listen(address.clone()).await.map_err(Failure::Listen)?);
    }
    if asked.is_empty() {
        let secure = arguments.certificate.iter().flat_map(|_| &SECURE_LISTEN);
        let places = DEFAULT_LISTEN.iter().chain(secure);
        for address in places.filter_map(|text| text.parse::<Multiaddr>().ok()) {
            match node.listen(address).await {
                Ok(addresses) => reachable.extend(addresses),
                // Machines without IPv6 are still common.
                Err(TransportError::Listen { source, .. }) if lacks_family(&source) => {}
                Err(error) => return Err(Failure::Listen(error)),
            }
        }
    }
    Ok(reachable)
}

fn lacks_family(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        // What Linux says when IPv6 is switched off: address family not supported.
        || error.raw_os_error() == Some(97)
}

fn report(event: &Event, output: Output) {
    match event {
        Event::Connected { peer, direction, remote, .. } => {
            let inbound = *direction == Direction::Inbound;
            let value = json!({
                "event": "connected", "peer": peer.to_string(),
                "address": remote.to_string(), "inbound": inbound,
            });
            output.print(value, || format!("+ {peer} at {remote}"));
        }
        Event::Disconnected { peer, reason, .. } => {
            let value = json!({
                "event": "disconnected", "peer": peer.to_string(), "reason": reason.to_string(),
            });
            output.print(value, || format!("- {peer}: {reason}"));
        }
        Event::Bootstrapped { peers } => {
            let value = json!({ "event": "bootstrapped", "peers": peers });
            output.print(value, || format!("Began with {peers} peers"));
        }
        Event::Reserved { relay, addresses } => {
            let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let value = json!({
                "event": "reserved", "relay": relay.to_string(), "addresses": list,
            });
            output.print(value, || format!("Reachable through the relay {relay}"));
        }
        Event::Unreserved { relay, error } => {
            let value = json!({
                "event": "unreserved", "relay": relay.to_string(), "reason": error.to_string(),
            });
            output.print(value, || format!("No place at the relay {relay}: {error}"));
        }
        Event::CircuitEnded { summary } => {
            let CircuitSummary { source, target, bytes: [there, back] } = summary;
            let value = json!({
                "event": "circuit", "source": source.to_string(), "target": target.to_string(),
                "bytesThere": there, "bytesBack": back,
            });
            output.print(value, || {
                format!("Relayed between {source} and {target}: {there} bytes, {back} back")
            });
        }
        Event::RelayRefused { peer, refusal } => {
            let (rule, after) = (refusal.rule.name(), refusal.retry_after.map(|at| at.as_secs()));
            let value = json!({
                "event": "relayRefused", "peer": peer.to_string(), "rule": rule, "retryAfter": after,
            });
            output.print(value, || format!("Refused {peer} as a relay: {rule}"));
        }
        Event::RecordsFailed { reason } => {
            output.warn(&format!("the store of records failed: {reason}"));
        }
        Event::StoreFailed { reason } => {
            output.warn(&format!("peers could not be written down: {reason}"));
        }
        _ => {}
    }
}

/// SIGINT (Ctrl-C) and SIGTERM.
struct Interrupted {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Interrupted {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    #[cfg(not(unix))]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        // Without the signal there is only the hard way to end us.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
