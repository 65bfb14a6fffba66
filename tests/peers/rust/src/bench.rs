//! What the benchmarks ask of a dialer beside throughput.

use std::time::Instant;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, TryStreamExt};
use libp2p::{Multiaddr, PeerId, Swarm, swarm::SwarmEvent};
use libp2p_stream::Control;
use serde_json::json;

use crate::{
    Outcome,
    dial::{connect, named},
    host::{Behaviour, swarm},
    serve::ECHO,
};

/// Streams in flight at a time, in the second half of the measurement.
const PARALLEL: usize = 64;

/// Opens `count` streams one after another, then as many side by side; a byte goes
/// there and back on each.
pub async fn streams(address: Multiaddr, count: usize) -> Outcome<()> {
    let peer = named(&address)?;
    let mut swarm = swarm().await?;
    connect(&mut swarm, &address).await?;
    let control = swarm.behaviour().streams.new_control();
    drive(swarm);
    let start = Instant::now();
    for _ in 0..count {
        byte_and_back(control.clone(), peer).await?;
    }
    let sequential = start.elapsed().as_secs_f64();
    let start = Instant::now();
    futures::stream::iter((0..count).map(|_| Ok(byte_and_back(control.clone(), peer))))
        .try_buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    let parallel = start.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({ "ok": true, "count": count, "sequential": sequential, "parallel": parallel })
    );
    Ok(())
}

async fn byte_and_back(mut control: Control, peer: PeerId) -> Outcome<()> {
    let mut stream = control.open_stream(peer, ECHO).await?;
    stream.write_all(&[1]).await?;
    stream.close().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer == [1] { Ok(()) } else { Err("another byte came back".into()) }
}

/// Connects and disconnects `count` times.
pub async fn handshakes(address: Multiaddr, count: usize) -> Outcome<()> {
    let peer = named(&address)?;
    let mut swarm = swarm().await?;
    let start = Instant::now();
    for _ in 0..count {
        connect(&mut swarm, &address).await?;
        let _ = swarm.disconnect_peer_id(peer);
        while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {}
    }
    println!("{}", json!({ "ok": true, "count": count, "seconds": start.elapsed().as_secs_f64() }));
    Ok(())
}

/// Holds `count` connections, each of a peer of its own, until standard input is closed.
pub async fn idle(address: Multiaddr, count: usize) -> Outcome<()> {
    for _ in 0..count {
        let mut swarm = swarm().await?;
        connect(&mut swarm, &address).await?;
        drive(swarm);
    }
    println!("{}", json!({ "ok": true, "count": count }));
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    Ok(())
}

fn drive(mut swarm: Swarm<Behaviour>) {
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
}
