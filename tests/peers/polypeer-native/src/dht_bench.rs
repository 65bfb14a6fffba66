//! The command `dht-bench`: peers in memory, all in this process, and what queries take.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use polypeer::facade::{Dht, Node, Platform};
use polypeer::node::Config;
use polypeer::protocols::kad::{self, Mode, QueryEvent};
use polypeer::swarm::manager;
use polypeer::{Keypair, Rng};
use polypeer_native::Native;

use crate::Outcome;
use crate::dht::{NAME, Numbered};
use crate::lookups::{Ask, Began, Told};

/// Prints one line.
pub(crate) async fn run(count: usize) -> Outcome<()> {
    let began = Began::now();
    let platform = Arc::new(Native::default());
    let mut rng = Rng::from_seed(platform.seed());
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..count {
        let mut config = Config::new(Keypair::generate_ed25519(&mut rng));
        let kad = kad::Config { protocol: NAME.into(), mode: Mode::Server, ..Default::default() };
        config.kad = Some(kad);
        // Connections that may be needed again are kept.
        config.manager = manager::Config::server(config.max_connections);
        let node = Node::start(platform.clone(), config);
        node.dht().set_validator("test", Box::new(Numbered)).await?;
        node.listen(format!("/memory/{}", at + 1).parse()?).await?;
        nodes.push(node);
    }
    for (at, node) in nodes.iter().enumerate().skip(1) {
        node.dial(format!("/memory/{}", at / 2 + 1).parse()?).await?;
        // Who was dialed says what it speaks a moment later.
        while node.dht().status().await?.is_none_or(|status| status.peers == 0) {
            tokio::task::yield_now().await;
        }
        carry_out(node.dht(), Ask::Closest(node.peer_id().as_bytes().to_vec())).await?;
        node.dht().bootstrap().await?;
    }
    let peers: Vec<_> = nodes.iter().map(|node| node.peer_id().as_bytes().to_vec()).collect();
    began.measure(&peers, async |at, ask| carry_out(nodes[at].dht(), ask).await).await
}

async fn carry_out(dht: Dht, ask: Ask) -> Outcome<Told> {
    let mut query = match &ask {
        Ask::Closest(key) => dht.closest_peers(key).await?,
        Ask::Put(key) => dht.put(key, b"1:value").await?,
        Ask::Get(key) => dht.get(key, 1).await?,
    };
    let mut at = None;
    while let Some(event) = query.next().await {
        match event {
            QueryEvent::Value(_) => at = at.or(Some(Instant::now())),
            QueryEvent::Done(summary) => {
                if !matches!(ask, Ask::Get(_)) {
                    at = Some(Instant::now());
                }
                let closest = summary.closest.iter().map(|peer| peer.as_bytes().to_vec());
                return Ok(Told { at, requests: summary.requests, closest: closest.collect() });
            }
            _ => {}
        }
    }
    Err("the query has no end".into())
}
