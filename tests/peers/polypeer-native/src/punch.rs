//! From a relayed connection to a direct one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use polypeer::facade::{Connection, Node, Platform};
use polypeer::node::{Config, Event};
use polypeer::{Keypair, Multiaddr, PeerId, Rng};
use polypeer_native::Native;
use serde_json::json;
use tokio::time::timeout;

use crate::{Outcome, serve, streams};

/// From the relayed connection to the direct one.
const PATIENCE: Duration = Duration::from_secs(40);

/// A node; on loopback, private addresses count as public ones do. A `silent` one tells nobody where it
/// listens, so that it must be punched to.
async fn start(listen: &str, silent: bool) -> Outcome<Node> {
    let platform = Arc::new(Native::default());
    let keypair = Keypair::generate_ed25519(&mut Rng::from_seed(platform.seed()));
    let mut config = Config::new(keypair);
    config.addresses.private = listen.starts_with("/ip4/127.");
    if silent {
        config.addresses.no_announce = vec!["/ip4/0.0.0.0/ipcidr/0".parse()?];
    }
    let node = Node::start(platform, config);
    serve::all(&node);
    node.listen(listen.parse()?).await?;
    Ok(node)
}

/// Listens, also through the relay there.
pub(crate) async fn listen(relay: &str, at: &str) -> Outcome<Node> {
    let node = start(at, false).await?;
    super::listen_through(&node, relay).await?;
    Ok(node)
}

/// Dials through a relay and waits for the direct connection, which it uses then.
pub(crate) async fn upgrade(circuit: Multiaddr, at: &str) -> Outcome<bool> {
    let peer = circuit.peer_id().ok_or("the address names no peer")?;
    let node = start(at, true).await?;
    node.dial(circuit).await?;
    let began = Instant::now();
    let direct = timeout(PATIENCE, direct(&node, &peer)).await;
    let took = began.elapsed().as_millis();
    let why = async || Outcome::Ok(node.explain(&peer).await?.map(|why| why.to_string()));
    let Ok(direct) = direct else {
        println!("{}", json!({ "ok": false, "detail": why().await? }));
        return Ok(false);
    };
    let direct = direct?;
    let mut stream = direct.open_stream(&[streams::ECHO]).await?;
    stream.write_all(b"direct").await?;
    stream.close().await?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await?;
    let (address, why) = (direct.remote_address().to_string(), why().await?);
    println!(
        "{}",
        json!({ "ok": back == b"direct", "direct": address, "ms": took, "detail": why })
    );
    node.close().await;
    Ok(back == b"direct")
}

/// The first direct connection to a peer.
async fn direct(node: &Node, peer: &PeerId) -> Outcome<Connection> {
    let mut events = node.events();
    loop {
        let connections = node.connections().await?;
        let is = |connection: &Connection| {
            connection.peer_id() == peer && !connection.remote_address().is_circuit()
        };
        if let Some(direct) = connections.into_iter().find(is) {
            return Ok(direct);
        }
        loop {
            match events.next().await.ok_or("the node has ended")? {
                Event::Connected { .. } | Event::Upgraded { .. } => break,
                _ => {}
            }
        }
    }
}
