//! What the benchmarks ask of a dialer beside throughput.

use std::time::Instant;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, TryStreamExt};
use polypeer::Multiaddr;
use polypeer::facade::Connection;
use serde_json::json;

use crate::serve::ECHO;
use crate::{Outcome, start};

/// Streams in flight at a time, in the second half of the measurement.
const PARALLEL: usize = 64;

/// Opens `count` streams one after another, then as many side by side; a byte goes
/// there and back on each.
pub(crate) async fn streams(address: Multiaddr, count: usize) -> Outcome<()> {
    let node = start();
    let connection = node.dial(address).await?;
    let before = Instant::now();
    for _ in 0..count {
        byte_and_back(&connection).await?;
    }
    let sequential = before.elapsed().as_secs_f64();
    let before = Instant::now();
    futures::stream::iter((0..count).map(|_| Ok(byte_and_back(&connection))))
        .try_buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    let parallel = before.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({ "ok": true, "count": count, "sequential": sequential, "parallel": parallel })
    );
    node.close().await;
    Ok(())
}

async fn byte_and_back(connection: &Connection) -> Outcome<()> {
    let mut stream = connection.open_stream(&[ECHO]).await?;
    stream.write_all(&[1]).await?;
    stream.close().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer == [1] { Ok(()) } else { Err("another byte came back".into()) }
}

/// Connects and disconnects `count` times.
pub(crate) async fn handshakes(address: Multiaddr, count: usize) -> Outcome<()> {
    let node = start();
    let before = Instant::now();
    for _ in 0..count {
        let connection = node.dial(address.clone()).await?;
        connection.close();
        connection.closed().await;
    }
    let seconds = before.elapsed().as_secs_f64();
    println!("{}", json!({ "ok": true, "count": count, "seconds": seconds }));
    node.close().await;
    Ok(())
}

/// Holds `count` connections, each of a peer of its own, until standard input is closed.
pub(crate) async fn idle(address: Multiaddr, count: usize) -> Outcome<()> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        let node = start();
        node.dial(address.clone()).await?.identify().await?;
        nodes.push(node);
    }
    println!("{}", json!({ "ok": true, "count": count }));
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    Ok(())
}
