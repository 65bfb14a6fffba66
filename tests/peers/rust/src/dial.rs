//! The checks and measurements of the dialer.

use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, identify,
    multiaddr::Protocol,
    ping,
    swarm::{DialError, SwarmEvent},
};
use libp2p_stream::{Control, OpenStreamError};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::{
    Outcome,
    host::{Behaviour, BehaviourEvent, swarm},
    serve::{CHUNK, ECHO, HALF_CLOSE, PERF, RESET, send_zeros},
};

const ECHO_BYTES: usize = 16 << 20;
const HALF_CLOSE_BYTES: usize = 100_000;
/// A check ends within this time, or it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The results of the checks, as they are printed.
struct Report {
    ok: bool,
    checks: Map<String, Value>,
}

impl Report {
    async fn check(&mut self, name: &str, check: impl Future<Output = Outcome<String>>) {
        let start = Instant::now();
        let outcome = timeout(PATIENCE, check).await.unwrap_or_else(|_| Err("timed out".into()));
        let ok = outcome.is_ok();
        let detail = outcome.unwrap_or_else(|error| error.to_string());
        let ms = start.elapsed().as_secs_f64() * 1000.0;
        self.ok &= ok;
        self.checks.insert(name.into(), json!({ "ok": ok, "ms": ms, "detail": detail }));
    }
}

/// Runs every check against `address`, prints one JSON object, and says whether all passed.
pub async fn checks(address: Multiaddr, agent: &str) -> Outcome<bool> {
    let peer = named(&address)?;
    let mut report = Report { ok: true, checks: Map::new() };
    let mut swarm = swarm().await?;
    let local = *swarm.local_peer_id();
    report
        .check("connect", async {
            connect(&mut swarm, &address).await?;
            Ok(peer.to_string())
        })
        .await;
    if report.ok {
        report.check("identify", identified(&mut swarm, agent)).await;
        report.check("ping", pinged(&mut swarm)).await;
        let control = swarm.behaviour().streams.new_control();
        tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        report.check("echo", echoed(control.clone(), peer)).await;
        report.check("halfClose", half_closed(control.clone(), peer)).await;
        report.check("reset", was_reset(control.clone(), peer)).await;
        report.check("unknownProtocol", refused(control, peer)).await;
        report.check("wrongPeer", wrong_peer(address)).await;
    }
    println!(
        "{}",
        json!({ "ok": report.ok, "peerId": local.to_string(), "checks": report.checks })
    );
    Ok(report.ok)
}

pub fn named(address: &Multiaddr) -> Outcome<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Ok(peer),
        _ => Err("the address does not end with /p2p/…".into()),
    }
}

pub async fn connect(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> Outcome<()> {
    swarm.dial(address.clone())?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => return Ok(()),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}

async fn identified(swarm: &mut Swarm<Behaviour>, agent: &str) -> Outcome<String> {
    let info = loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                info,
                ..
            })) => break info,
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Error {
                error,
                ..
            })) => {
                return Err(error.into());
            }
            _ => {}
        }
    };
    if info.agent_version.is_empty() || !info.agent_version.contains(agent) {
        return Err(format!("agent is {:?}", info.agent_version).into());
    }
    for wanted in [ECHO, HALF_CLOSE, RESET, ping::PROTOCOL_NAME] {
        if !info.protocols.contains(&wanted) {
            return Err(format!("{wanted} is not among {:?}", info.protocols).into());
        }
    }
    Ok(info.agent_version)
}

/// The first ping is sent as soon as the connection is there.
async fn pinged(swarm: &mut Swarm<Behaviour>) -> Outcome<String> {
    loop {
        if let SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { result, .. })) =
            swarm.select_next_some().await
        {
            return Ok(format!("{:?}", result?));
        }
    }
}

async fn echoed(mut control: Control, peer: PeerId) -> Outcome<String> {
    let (mut reader, mut writer) = control.open_stream(peer, ECHO).await?.split();
    // Not the same bytes twice, so that lost, doubled or swapped parts show.
    let data: Vec<u8> = (0..ECHO_BYTES as u64 / 8)
        .flat_map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect();
    let sent = Sha256::digest(&data);
    let write = async {
        for part in data.chunks(CHUNK) {
            writer.write_all(part).await?;
        }
        writer.close().await
    };
    let read = async {
        let (mut hash, mut count, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK]);
        loop {
            let read = reader.read(&mut buffer).await?;
            if read == 0 {
                return Ok((count, hash.finalize()));
            }
            count += read;
            hash.update(&buffer[..read]);
        }
    };
    let ((), (count, received)) = futures::try_join!(write, read)?;
    if count != ECHO_BYTES || received != sent {
        return Err(format!("{count} bytes came back, or others than sent").into());
    }
    Ok(format!("{count} bytes"))
}

async fn half_closed(mut control: Control, peer: PeerId) -> Outcome<String> {
    let mut stream = control.open_stream(peer, HALF_CLOSE).await?;
    let data = vec![0x5a; HALF_CLOSE_BYTES];
    stream.write_all(&data).await?;
    stream.close().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer != Sha256::digest(&data).as_slice() {
        return Err(format!("answer of {} bytes is not the digest", answer.len()).into());
    }
    Ok("digest after our end was closed".into())
}

/// rust-libp2p's Yamux reads a reset as the end; but only after a reset can it no
/// longer be written to.
async fn was_reset(mut control: Control, peer: PeerId) -> Outcome<String> {
    let mut stream = control.open_stream(peer, RESET).await?;
    stream.write_all(&[1]).await?;
    let rest = async {
        stream.flush().await?;
        stream.read_to_end(&mut Vec::new()).await
    };
    if let Err(error) = rest.await {
        return Ok(error.to_string());
    }
    match stream.write_all(&[1]).await {
        Err(error) => Ok(format!("read to the end, then: {error}")),
        Ok(()) => Err("the stream was closed, not reset".into()),
    }
}

async fn refused(mut control: Control, peer: PeerId) -> Outcome<String> {
    match control.open_stream(peer, StreamProtocol::new("/test/nobody-speaks-this/1.0.0")).await {
        Err(error @ OpenStreamError::UnsupportedProtocol(_)) => Ok(error.to_string()),
        Err(error) => Err(error.into()),
        Ok(_) => Err("an unknown protocol was accepted".into()),
    }
}

/// Dials the same address with the name of somebody else.
async fn wrong_peer(mut address: Multiaddr) -> Outcome<String> {
    address.pop();
    address.push(Protocol::P2p(PeerId::random()));
    let mut swarm = swarm().await?;
    swarm.dial(address)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => {
                return Err("a wrong PeerId was accepted".into());
            }
            SwarmEvent::OutgoingConnectionError {
                error: DialError::WrongPeerId { .. }, ..
            } => {
                return Ok("refused".into());
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
}

/// Runs the perf protocol once a direction and prints seconds and bytes.
pub async fn perf(address: Multiaddr, upload: u64, download: u64) -> Outcome<()> {
    let peer = named(&address)?;
    let mut swarm = swarm().await?;
    connect(&mut swarm, &address).await?;
    let mut control = swarm.behaviour().streams.new_control();
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    let up = transfer(&mut control, peer, upload, 0).await?;
    let down = transfer(&mut control, peer, 0, download).await?;
    println!(
        "{}",
        json!({
            "ok": true,
            "upload": { "bytes": upload, "seconds": up.as_secs_f64() },
            "download": { "bytes": download, "seconds": down.as_secs_f64() },
        })
    );
    Ok(())
}

async fn transfer(
    control: &mut Control,
    peer: PeerId,
    upload: u64,
    download: u64,
) -> Outcome<Duration> {
    let mut stream = control.open_stream(peer, PERF).await?;
    let start = Instant::now();
    stream.write_all(&download.to_be_bytes()).await?;
    send_zeros(&mut stream, upload).await?;
    stream.close().await?;
    let (mut count, mut buffer) = (0, vec![0; CHUNK]);
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        count += read as u64;
    }
    if count != download {
        return Err(format!("{count} bytes came, not {download}").into());
    }
    Ok(start.elapsed())
}
