//! The command `dht-bench`: peers in memory, all in this process, and what queries take.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use polypeer::facade::{Node, Platform, Query};
use polypeer::node::Config;
use polypeer::protocols::kad::{self, Mode, QueryEvent, Summary};
use polypeer::{Keypair, Rng};
use polypeer_native::Native;
use serde_json::json;

use crate::Outcome;
use crate::dht::{NAME, Numbered};
use crate::process::{cpu_seconds, memory_mib};

/// Prints one line: how long it took to build the network, and of each kind of query the
/// time (median), CPU and requests, and how many found fewer than the 20 nearest.
pub(crate) async fn run(count: usize) -> Outcome<()> {
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let platform = Arc::new(Native::default());
    let mut rng = Rng::from_seed(platform.seed());
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..count {
        let mut config = Config::new(Keypair::generate_ed25519(&mut rng));
        let kad = kad::Config { protocol: NAME.into(), mode: Mode::Server, ..Default::default() };
        config.kad = Some(kad);
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
        end(node.dht().closest_peers(node.peer_id().as_bytes()).await?).await?;
        node.dht().bootstrap().await?;
    }
    let mut report = json!({
        "peers": count, "build": begun.elapsed().as_secs_f64(), "buildCpu": cpu_seconds() - cpu,
    });
    for (name, total) in [("closest", 250), ("put", 100), ("get", 100)] {
        let (mut times, mut requests, mut short) = (Vec::new(), 0, 0);
        let cpu = cpu_seconds();
        for number in 0..total {
            let key = format!("/test/{number}").into_bytes();
            let dht = nodes[(number * 7 + name.len()) % count].dht();
            let began = Instant::now();
            let query = match name {
                "closest" => dht.closest_peers(&key).await?,
                "put" => dht.put(&key, b"1:value").await?,
                _ => dht.get(&key, 1).await?,
            };
            let summary = end(query).await?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            // Who keeps it was asked once more.
            requests += summary.asked + if name == "put" { summary.successes } else { 0 };
            short += usize::from(name != "get" && summary.closest.len() < 20.min(count - 1));
        }
        times.sort_by(f64::total_cmp);
        report[name] = json!({
            "medianMs": times[total / 2],
            "cpuMs": (cpu_seconds() - cpu) * 1000.0 / total as f64,
            "requests": requests as f64 / total as f64,
            "short": short,
        });
    }
    report["mib"] = memory_mib().into();
    println!("{report}");
    Ok(())
}

async fn end(mut query: Query) -> Outcome<Summary> {
    while let Some(event) = query.next().await {
        if let QueryEvent::Done(summary) = event {
            return Ok(summary);
        }
    }
    Err("the query has no end".into())
}
