//! Both versions of AutoNAT, asked and answered on loopback.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use polypeer::facade::{Node, Platform};
use polypeer::node::{Config, Event};
use polypeer::protocols::autonat::ServerConfig;
use polypeer::swarm::addresses::Reachability;
use polypeer::{Keypair, Multiaddr, Rng};
use polypeer_native::{Native, Options};
use serde_json::json;

use crate::{Outcome, serve_until_closed};

/// A node for which loopback is as good as the Internet.
fn start(options: Options, change: impl FnOnce(&mut Config)) -> Node {
    let platform = Arc::new(Native::new(options));
    let keypair = Keypair::generate_ed25519(&mut Rng::from_seed(platform.seed()));
    let mut config = Config::new(keypair);
    config.addresses.private = true;
    change(&mut config);
    Node::start(platform, config)
}

pub(crate) async fn serve() -> Outcome<bool> {
    let node = start(Options::default(), |config| {
        config.autonat.client = false;
        config.autonat.server = Some(ServerConfig::default());
    });
    node.listen("/ip4/127.0.0.1/tcp/0".parse()?).await?;
    serve_until_closed(&node).await
}

/// Asks whether the address that `which` names can be dialed.
pub(crate) async fn ask(server: Multiaddr, which: &str) -> Outcome<bool> {
    let closed: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse()?;
    // Connections that leave from another address than the one asked about.
    let options = Options { port_reuse: which != "elsewhere", ..Options::default() };
    let node = start(options, |config| {
        config.autonat.confidence = 1;
        if which == "closed" {
            config.addresses.append_announce = vec![closed];
        }
    });
    let mut events = node.events();
    match which {
        "open" => _ = node.listen("/ip4/127.0.0.1/tcp/0".parse()?).await?,
        "elsewhere" => _ = node.listen("/ip4/127.0.0.3/tcp/0".parse()?).await?,
        _ => {}
    }
    let began = Instant::now();
    node.dial(server).await?;
    let found = loop {
        match events.next().await {
            Some(Event::Reachability { reachability: Reachability::Public, .. }) => break "public",
            Some(Event::Reachability { reachability: Reachability::Private, .. }) => {
                break "private";
            }
            Some(_) => {}
            None => return Err("the node has ended".into()),
        }
    };
    let ok = found == if which == "closed" { "private" } else { "public" };
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    let checks = json!({ "reachability": { "ok": ok, "ms": ms, "detail": found } });
    let peer = node.peer_id().to_string();
    println!("{}", json!({ "ok": ok, "peerId": peer, "checks": checks }));
    node.close().await;
    Ok(ok)
}
