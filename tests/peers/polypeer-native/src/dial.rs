//! The checks and measurements of the dialer.

use std::future::Future;
use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt};
use polypeer::Multiaddr;
use polypeer::facade::{Connection, Stream};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::serve::{CHUNK, ECHO, HALF_CLOSE, PERF, RESET, send_zeros};
use crate::{Outcome, start};

const ECHO_BYTES: usize = 16 << 20;
const HALF_CLOSE_BYTES: usize = 100_000;
const PING: &str = "/ipfs/ping/1.0.0";
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

/// Runs every check against `address`, prints one JSON object, and says whether
/// all passed.
pub(crate) async fn checks(address: Multiaddr, agent: &str) -> Outcome<bool> {
    let peer = address.peer_id().ok_or("the address does not end with /p2p/…")?;
    let mut report = Report { ok: true, checks: Map::new() };
    let node = start();
    let mut connection = None;
    report
        .check("connect", async {
            let made = node.dial(address.clone()).await?;
            let remote = *made.peer_id();
            connection = Some(made);
            if remote != peer {
                return Err(format!("connected to {remote}").into());
            }
            Ok(remote.to_string())
        })
        .await;
    if let Some(connection) = connection {
        report.check("identify", identified(&connection, agent)).await;
        report.check("ping", async { Ok(format!("{:?}", connection.ping().await?)) }).await;
        report.check("echo", echoed(&connection)).await;
        report.check("halfClose", half_closed(&connection)).await;
        report.check("reset", was_reset(&connection)).await;
        report.check("unknownProtocol", refused(&connection)).await;
        report.check("wrongPeer", wrong_peer(&address)).await;
    }
    let local = node.peer_id().to_string();
    println!("{}", json!({ "ok": report.ok, "peerId": local, "checks": report.checks }));
    node.close().await;
    Ok(report.ok)
}

async fn identified(connection: &Connection, agent: &str) -> Outcome<String> {
    let info = connection.identify().await?;
    if info.agent.is_empty() || !info.agent.contains(agent) {
        return Err(format!("agent is {:?}", info.agent).into());
    }
    for wanted in [ECHO, HALF_CLOSE, RESET, PING] {
        if !info.protocols.iter().any(|name| &**name == wanted) {
            return Err(format!("{wanted} is not among {:?}", info.protocols).into());
        }
    }
    Ok(info.agent)
}

async fn echoed(connection: &Connection) -> Outcome<String> {
    let (mut reader, mut writer) = connection.open_stream(&[ECHO]).await?.split();
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
    let ((), (count, received)) = futures::future::try_join(write, read).await?;
    if count != ECHO_BYTES || received != sent {
        return Err(format!("{count} bytes came back, or others than sent").into());
    }
    Ok(format!("{count} bytes"))
}

async fn half_closed(connection: &Connection) -> Outcome<String> {
    let mut stream = connection.open_stream(&[HALF_CLOSE]).await?;
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

async fn was_reset(connection: &Connection) -> Outcome<String> {
    let mut stream = connection.open_stream(&[RESET]).await?;
    let outcome = async {
        stream.write_all(&[1]).await?;
        // The reset may be there before the byte is known to be sent.
        stream.flush().await?;
        stream.read_to_end(&mut Vec::new()).await
    };
    match outcome.await {
        Err(error) => Ok(error.to_string()),
        Ok(_) => Err("the stream was closed, not reset".into()),
    }
}

async fn refused(connection: &Connection) -> Outcome<String> {
    match connection.open_stream(&["/test/nobody-speaks-this/1.0.0"]).await {
        Err(error) => Ok(error.to_string()),
        Ok(_) => Err("an unknown protocol was accepted".into()),
    }
}

/// Dials the same address with the name of somebody else.
async fn wrong_peer(address: &Multiaddr) -> Outcome<String> {
    let (other, dialer) = (start(), start());
    let wrong = format!("{}/p2p/{}", address.without_peer(), other.peer_id());
    let outcome = dialer.dial(wrong.parse()?).await;
    other.close().await;
    dialer.close().await;
    match outcome {
        Err(error) => Ok(format!("refused: {error}")),
        Ok(_) => Err("a wrong PeerId was accepted".into()),
    }
}

/// Runs the perf protocol once a direction and prints seconds and bytes.
pub(crate) async fn perf(address: Multiaddr, upload: u64, download: u64) -> Outcome<()> {
    let node = start();
    let connection = node.dial(address).await?;
    let up = transfer(&connection, upload, 0).await?;
    let down = transfer(&connection, 0, download).await?;
    println!(
        "{}",
        json!({
            "ok": true,
            "upload": { "bytes": upload, "seconds": up.as_secs_f64() },
            "download": { "bytes": download, "seconds": down.as_secs_f64() },
        })
    );
    node.close().await;
    Ok(())
}

async fn transfer(connection: &Connection, upload: u64, download: u64) -> Outcome<Duration> {
    let mut stream: Stream = connection.open_stream(&[PERF]).await?;
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
