//! rust-libp2p as a test peer; `../README.md` describes its command line.

#[path = "../../shared/answers.rs"]
mod answers;
mod autonat;
mod bench;
mod dht;
mod dht_bench;
mod dial;
mod direct;
#[path = "../../shared/gossip.rs"]
mod gossip;
mod host;
#[path = "../../shared/lookups.rs"]
mod lookups;
#[path = "../../shared/process.rs"]
mod process;
mod pubsub;
mod punch;
mod relay;
mod rendezvous;
mod serve;
#[path = "../../shared/streams.rs"]
mod streams;

use std::error::Error;

use serde_json::json;

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() {
    // QUIC and WebRTC bring different ones, and WebRTC asks for the one of the process.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("peer-rust: there is a provider of cryptography already");
        std::process::exit(1);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(error) => {
            eprintln!("peer-rust: {error}");
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
    let version = || option("--version").unwrap_or("2").parse::<u64>();
    let count = || option("--count").unwrap_or("100").parse::<usize>();
    match arguments {
        [command, ..] if command == "listen" || command == "relay" => {
            let transport = option("--transport").unwrap_or("tcp");
            let (peer_id, addresses) = match option("--through") {
                Some(relay) => relay::listen(relay.parse()?).await?,
                None if command == "relay" => relay::serve(transport).await?,
                None if transport == "webrtc-direct" => {
                    host::listen(direct::swarm().await?, transport, |_, _| {}).await?
                }
                None => host::listen(host::swarm().await?, transport, |_, _| {}).await?,
            };
            println!("{}", json!({ "peerId": peer_id.to_string(), "addresses": addresses }));
            tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
            Ok(true)
        }
        [command, ..] if command == "pubsub" => {
            pubsub::serve(option("--protocol")).await?;
            Ok(true)
        }
        [command, ..] if command == "pubsub-bench" => {
            let window = option("--window").unwrap_or("16").parse()?;
            pubsub::bench(count()?, usize::try_from(number("--messages")?)?, window).await?;
            Ok(true)
        }
        [command, ..] if command == "autonat-serve" => {
            let (peer_id, address) = autonat::serve(version()?).await?;
            println!("{}", json!({ "peerId": peer_id.to_string(), "addresses": [address] }));
            tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
            Ok(true)
        }
        [command, address, ..] if command == "autonat-ask" => {
            let which = option("--which").unwrap_or("open");
            autonat::ask(address.parse()?, version()?, which).await
        }
        [command, ..] if command == "dht" => {
            dht::serve(option("--name").unwrap_or(dht::NAME)).await?;
            Ok(true)
        }
        [command, ..] if command == "dht-bench" => {
            dht_bench::run(count()?).await?;
            Ok(true)
        }
        [command, ..] if command == "rendezvous" => {
            rendezvous::serve().await?;
            Ok(true)
        }
        [command, relay, ..] if command == "punch" => {
            let at = option("--at").unwrap_or(punch::LOOPBACK);
            let (peer_id, address) = punch::listen(relay.parse()?, at.parse()?).await?;
            println!("{}", json!({ "peerId": peer_id.to_string(), "addresses": [address] }));
            tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
            Ok(true)
        }
        [command, address, ..] if command == "upgrade" => {
            let at = option("--at").unwrap_or(punch::LOOPBACK);
            punch::upgrade(address.parse()?, at.parse()?).await
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
        _ => Err("usage: peer COMMAND (see ../README.md)".into()),
    }
}
