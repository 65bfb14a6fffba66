//! What the benchmarks ask of a dialer beside throughput.

use std::time::{Duration, Instant};

use futures::{
    StreamExt, TryStreamExt,
    stream::{iter, repeat_with},
};
use libp2p::{Multiaddr, PeerId, Swarm, swarm::SwarmEvent};
use libp2p_stream::Control;

use crate::{
    Outcome,
    dial::{connect, named},
    host::{Behaviour, swarm},
    serve::ECHO,
    streams::{byte_and_back, print_counted},
};

/// Streams in flight at a time, in the second half of [`streams`].
const STREAMS: usize = 64;
/// Peers that connect side by side, in the second half of [`handshakes`].
const DIALERS: usize = 16;
/// What goes before the clock starts.
const WARM_UP: usize = 20;

/// Opens `count` streams one after another, then as many side by side; a byte goes
/// there and back on each.
pub async fn streams(address: Multiaddr, count: usize) -> Outcome<()> {
    let peer = named(&address)?;
    let mut swarm = swarm().await?;
    connect(&mut swarm, &address).await?;
    let control = swarm.behaviour().streams.new_control();
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    for _ in 0..WARM_UP {
        request(control.clone(), peer).await?;
    }
    let start = Instant::now();
    for _ in 0..count {
        request(control.clone(), peer).await?;
    }
    let sequential = start.elapsed().as_secs_f64();
    let start = Instant::now();
    // libp2p-stream resets the inbound streams that its user has not fetched when the
    // next one comes; these are not counted.
    let mut answers =
        repeat_with(|| request(control.clone(), peer)).take(count).buffer_unordered(STREAMS);
    let mut answered = 0;
    while let Some(answer) = answers.next().await {
        answered += usize::from(answer.is_ok());
    }
    if answered < count / 2 {
        return Err(format!("only {answered} of {count} streams were answered").into());
    }
    let parallel = start.elapsed().as_secs_f64() * count as f64 / answered as f64;
    print_counted(count, sequential, parallel);
    Ok(())
}

async fn request(mut control: Control, peer: PeerId) -> Outcome<()> {
    byte_and_back(control.open_stream(peer, ECHO).await?).await
}

/// Connects `count` times one after another, and prints the time until each
/// connection was open, without that of closing it; then as often from several
/// peers side by side, all included.
pub async fn handshakes(address: Multiaddr, count: usize) -> Outcome<()> {
    let mut swarms = Vec::new();
    for _ in 0..DIALERS {
        swarms.push(swarm().await?);
    }
    connect_often(&mut swarms[0], &address, WARM_UP).await?;
    let sequential = connect_often(&mut swarms[0], &address, count).await?.as_secs_f64();
    let start = Instant::now();
    iter(swarms.iter_mut().map(Ok))
        .try_for_each_concurrent(None, |swarm| async {
            connect_often(swarm, &address, count / DIALERS).await.map(drop)
        })
        .await?;
    print_counted(count / DIALERS * DIALERS, sequential, start.elapsed().as_secs_f64());
    Ok(())
}

/// How long the dials took.
async fn connect_often(
    swarm: &mut Swarm<Behaviour>,
    address: &Multiaddr,
    count: usize,
) -> Outcome<Duration> {
    let peer = named(address)?;
    let mut dialing = Duration::ZERO;
    for _ in 0..count {
        let start = Instant::now();
        connect(swarm, address).await?;
        dialing += start.elapsed();
        let _ = swarm.disconnect_peer_id(peer);
        while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {}
    }
    Ok(dialing)
}
