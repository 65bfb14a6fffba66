//! Polypeer as a test peer; `../README.md` describes its command line.

#[path = "../../shared/answers.rs"]
mod answers;
mod autonat;
mod bench;
mod dht;
mod dht_bench;
mod dial;
mod flood;
#[path = "../../shared/gossip.rs"]
mod gossip;
#[path = "../../shared/lookups.rs"]
mod lookups;
mod mdns;
mod plain;
#[path = "../../shared/process.rs"]
mod process;
mod pubsub;
mod punch;
mod serve;
#[path = "../../shared/streams.rs"]
mod streams;

use std::error::Error;
use std::sync::Arc;

use futures::StreamExt;
use polypeer::facade::{Node, Platform};
use polypeer::node::{Config, Event};
use polypeer::protocols::relay::{Limit, ServiceConfig};
use polypeer::swarm::limits::Limits;
use polypeer::swarm::manager;
use polypeer::{Keypair, Rng};
use polypeer_native::{Native, raise_descriptor_limit};
use serde_json::json;

/// Connections that a listener takes.
const MAX_CONNECTIONS: usize = 16_384;
/// Bytes of memory that it may use.
const MEMORY: usize = 1 << 30;

/// Where peers listen that are not told otherwise.
const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() {
    raise_descriptor_limit();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(error) => {
            eprintln!("polypeer-test-peer: {error}");
            std::process::exit(1);
        }
    }
}

/// Whether all went as it should.
async fn run(arguments: &[String]) -> Outcome<bool> {
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let number = |name: &str| option(name).unwrap_or("0").parse::<u64>();
    let count = || option("--count").unwrap_or("100").parse::<usize>();
    match arguments {
        [command, ..] if command == "pubsub" => {
            pubsub::serve(option("--discovery").unwrap_or_default()).await?;
            Ok(true)
        }
        [command, ..] if command == "pubsub-bench" => {
            let window = option("--window").unwrap_or("16").parse()?;
            pubsub::bench(count()?, usize::try_from(number("--messages")?)?, window).await?;
            Ok(true)
        }
        [command, ..] if command == "listen" && option("--through").is_some() => {
            let node = start();
            listen_through(&node, option("--through").unwrap_or_default()).await?;
            serve_until_closed(&node).await
        }
        [command, ..] if command == "listen" || command == "relay" => {
            let address = match option("--transport").unwrap_or("tcp") {
                "tcp" => option("--at").unwrap_or(LOOPBACK),
                "ws" => "/ip4/127.0.0.1/tcp/0/ws",
                "quic" => "/ip4/127.0.0.1/udp/0/quic-v1",
                "webrtc-direct" => "/ip4/127.0.0.1/udp/0/webrtc-direct",
                other => return Err(format!("no such transport: {other}").into()),
            };
            let node = start();
            if command == "relay" {
                let mut config = ServiceConfig::default();
                config.limit = Limit::default();
                config.max_reservations = MAX_CONNECTIONS;
                config.max_reservations_per_ip = MAX_CONNECTIONS;
                node.serve_as_relay(config).await?;
            }
            node.listen(address.parse()?).await?;
            serve_until_closed(&node).await
        }
        [command, ..] if command == "dht" => {
            dht::serve(option("--name").unwrap_or(dht::NAME)).await?;
            Ok(true)
        }
        [command, ..] if command == "dht-bench" => {
            dht_bench::run(count()?).await?;
            Ok(true)
        }
        [command, ..] if command == "mdns" => {
            mdns::serve(u16::try_from(number("--port")?)?).await?;
            Ok(true)
        }
        [command, relay, ..] if command == "punch" => {
            let node = punch::listen(relay, option("--at").unwrap_or(LOOPBACK)).await?;
            serve_until_closed(&node).await
        }
        [command, address, ..] if command == "upgrade" => {
            punch::upgrade(address.parse()?, option("--at").unwrap_or(LOOPBACK)).await
        }
        [command, ..] if command == "autonat-serve" => autonat::serve().await,
        [command, address, ..] if command == "autonat-ask" => {
            autonat::ask(address.parse()?, option("--which").unwrap_or("open")).await
        }
        [command, address, ..] if command == "dial" => {
            dial::checks(address.parse()?, option("--agent").unwrap_or("")).await
        }
        [command, address, ..] if command == "perf" => {
            dial::perf(address.parse()?, number("--upload")?, number("--download")?).await?;
            Ok(true)
        }
        [command, address, ..] if command == "streams" => {
            bench::streams(address.parse()?, count()?).await?;
            Ok(true)
        }
        [command, address, ..] if command == "handshakes" => {
            bench::handshakes(address.parse()?, count()?).await?;
            Ok(true)
        }
        [command, address, ..] if command == "idle" => {
            bench::idle(address.parse()?, count()?).await?;
            Ok(true)
        }
        [command, address, ..] if command == "places" => {
            bench::places(address, count()?).await?;
            Ok(true)
        }
        [command, address, ..] if command == "flood" => {
            flood::flood(address.parse()?, count()?).await?;
            Ok(true)
        }
        [command, ..] if command == "plain" => {
            let bytes = number("--bytes")?;
            tokio::task::spawn_blocking(move || plain::plain(bytes)).await??;
            Ok(true)
        }
        _ => Err("usage: polypeer-test-peer COMMAND (see ../README.md)".into()),
    }
}

async fn serve_until_closed(node: &Node) -> Outcome<bool> {
    serve::on_limited(node).await?;
    let addresses: Vec<String> = node.addresses().await?.iter().map(ToString::to_string).collect();
    println!("{}", json!({ "peerId": node.peer_id().to_string(), "addresses": addresses }));
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    node.close().await;
    Ok(true)
}

/// Waits for a place at the relay.
async fn listen_through(node: &Node, relay: &str) -> Outcome<()> {
    let mut events = node.events();
    node.listen_on_relay(Some(relay.parse()?)).await??;
    while let Some(event) = events.next().await {
        match event {
            Event::Reserved { .. } => return Ok(()),
            Event::Unreserved { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
    Err("the node has ended".into())
}

/// A fresh node that serves the protocols of the tests.
fn start() -> Node {
    let platform = Arc::new(Native::default());
    let keypair = Keypair::generate_ed25519(&mut Rng::from_seed(platform.seed()));
    let mut config = Config::new(keypair);
    config.manager = polypeer::swarm::manager::Config::server(config.max_connections);
    // As many connections as the benchmarks hold.
    config.max_connections = MAX_CONNECTIONS;
    config.limits = Limits::server(MEMORY);
    config.manager = manager::Config::server(MAX_CONNECTIONS);
    let node = Node::start(platform, config);
    serve::all(&node);
    node
}
