//! What the benchmarks ask of a dialer beside throughput.

use std::time::{Duration, Instant};

use futures::stream::{iter, repeat_with};
use futures::{StreamExt, TryStreamExt};
use polypeer::Multiaddr;
use polypeer::facade::Node;
use serde_json::json;

use crate::streams::{ECHO, byte_and_back, print_counted};
use crate::{Outcome, listen_through, start};

/// Streams in flight at a time, in the second half of [`streams`].
const STREAMS: usize = 64;
/// Peers that connect side by side, in the second half of [`handshakes`].
const DIALERS: usize = 16;
/// What goes before the clock starts.
const WARM_UP: usize = 20;

/// Opens `count` streams one after another, then as many side by side; a byte goes
/// there and back on each.
pub(crate) async fn streams(address: Multiaddr, count: usize) -> Outcome<()> {
    let node = start();
    let connection = node.dial(address).await?;
    for _ in 0..WARM_UP {
        byte_and_back(connection.open_stream_early(ECHO)?).await?;
    }
    let before = Instant::now();
    for _ in 0..count {
        byte_and_back(connection.open_stream_early(ECHO)?).await?;
    }
    let sequential = before.elapsed().as_secs_f64();
    let before = Instant::now();
    repeat_with(|| Ok(async { byte_and_back(connection.open_stream_early(ECHO)?).await }))
        .take(count)
        .try_buffer_unordered(STREAMS)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    let parallel = before.elapsed().as_secs_f64();
    print_counted(count, sequential, parallel);
    node.close().await;
    Ok(())
}

/// Connects `count` times one after another, and prints the time until each
/// connection was open, without that of closing it; then as often from several
/// peers side by side, all included.
pub(crate) async fn handshakes(address: Multiaddr, count: usize) -> Outcome<()> {
    let nodes: Vec<Node> = (0..DIALERS).map(|_| start()).collect();
    connect(&nodes[0], &address, WARM_UP).await?;
    let sequential = connect(&nodes[0], &address, count).await?.as_secs_f64();
    let before = Instant::now();
    iter(nodes.iter().map(Ok))
        .try_for_each_concurrent(None, |node| async {
            connect(node, &address, count / DIALERS).await.map(drop)
        })
        .await?;
    print_counted(count / DIALERS * DIALERS, sequential, before.elapsed().as_secs_f64());
    for node in nodes {
        node.close().await;
    }
    Ok(())
}

/// How long the dials took.
async fn connect(node: &Node, address: &Multiaddr, count: usize) -> Outcome<Duration> {
    let mut dialing = Duration::ZERO;
    for _ in 0..count {
        let before = Instant::now();
        let connection = node.dial(address.clone()).await?;
        dialing += before.elapsed();
        connection.close();
        connection.closed().await;
    }
    Ok(dialing)
}

/// Holds `count` connections, each of a peer of its own, until standard input is closed.
pub(crate) async fn idle(address: Multiaddr, count: usize) -> Outcome<()> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        let node = start();
        node.dial(address.clone()).await?.identify().await?;
        nodes.push(node);
    }
    hold(nodes.len()).await
}

/// Holds `count` reservations at a relay, each of a peer of its own, until standard
/// input is closed.
pub(crate) async fn places(relay: &str, count: usize) -> Outcome<()> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        let node = start();
        listen_through(&node, relay).await?;
        nodes.push(node);
    }
    hold(nodes.len()).await
}

async fn hold(count: usize) -> Outcome<()> {
    println!("{}", json!({ "ok": true, "count": count }));
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    Ok(())
}
