//! The test protocols over any implementation's streams, as their server and as the
//! dialer's checks: part of both peers in Rust.

use std::{
    future::Future,
    io,
    time::{Duration, Instant},
};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::Outcome;

pub(crate) const ECHO: &str = "/echo/1.0.0";
pub(crate) const HALF_CLOSE: &str = "/test/half-close/1.0.0";
pub(crate) const RESET: &str = "/test/reset/1.0.0";
pub(crate) const PERF: &str = "/perf/1.0.0";

/// How much is read or written at once.
pub(crate) const CHUNK: usize = 64 * 1024;
const ECHO_BYTES: usize = 16 << 20;
const HALF_CLOSE_BYTES: usize = 100_000;
/// A check ends within this time, or it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stream of any implementation.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

// What the listener does.

pub(crate) async fn echo(mut stream: impl Bytes) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return stream.close().await;
        }
        stream.write_all(&buffer[..count]).await?;
        stream.flush().await?;
    }
}

pub(crate) async fn answer_digest(mut stream: impl Bytes) -> io::Result<()> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    stream.write_all(&hash.finalize()).await?;
    stream.close().await
}

pub(crate) async fn perf(mut stream: impl Bytes) -> io::Result<()> {
    let mut length = [0; 8];
    stream.read_exact(&mut length).await?;
    let mut buffer = vec![0; CHUNK];
    while stream.read(&mut buffer).await? > 0 {}
    send_zeros(&mut stream, u64::from_be_bytes(length)).await?;
    stream.close().await
}

async fn send_zeros(stream: &mut impl Bytes, mut count: u64) -> io::Result<()> {
    let zeros = vec![0; CHUNK];
    while count > 0 {
        let part = CHUNK.min(usize::try_from(count).unwrap_or(CHUNK));
        stream.write_all(&zeros[..part]).await?;
        count -= part as u64;
    }
    Ok(())
}

// What the dialer checks.

/// The results of the checks, as they are printed.
pub(crate) struct Report {
    pub(crate) ok: bool,
    checks: Map<String, Value>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { ok: true, checks: Map::new() }
    }

    pub(crate) async fn check(&mut self, name: &str, check: impl Future<Output = Outcome<String>>) {
        let start = Instant::now();
        let outcome = timeout(PATIENCE, check).await.unwrap_or_else(|_| Err("timed out".into()));
        let ok = outcome.is_ok();
        let detail = outcome.unwrap_or_else(|error| error.to_string());
        let ms = start.elapsed().as_secs_f64() * 1000.0;
        self.ok &= ok;
        self.checks.insert(name.into(), json!({ "ok": ok, "ms": ms, "detail": detail }));
    }

    pub(crate) fn print(self, peer_id: String) {
        println!("{}", json!({ "ok": self.ok, "peerId": peer_id, "checks": self.checks }));
    }
}

/// [`ECHO`], both ways at once.
pub(crate) async fn echoed(stream: impl Bytes) -> Outcome<String> {
    let (mut reader, mut writer) = stream.split();
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

/// [`HALF_CLOSE`].
pub(crate) async fn half_closed(mut stream: impl Bytes) -> Outcome<String> {
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

// What the benchmarks measure.

/// [`PERF`] on a fresh stream: how long it took.
pub(crate) async fn transfer(
    mut stream: impl Bytes,
    upload: u64,
    download: u64,
) -> Outcome<Duration> {
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

/// Prints what two transfers, of so many bytes, took.
pub(crate) fn print_transfers(upload: (u64, Duration), download: (u64, Duration)) {
    let part =
        |(bytes, time): (u64, Duration)| json!({ "bytes": bytes, "seconds": time.as_secs_f64() });
    println!("{}", json!({ "ok": true, "upload": part(upload), "download": part(download) }));
}

/// A byte through [`ECHO`].
pub(crate) async fn byte_and_back(mut stream: impl Bytes) -> Outcome<()> {
    stream.write_all(&[1]).await?;
    stream.close().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer == [1] { Ok(()) } else { Err("another byte came back".into()) }
}

/// Prints what `count` of something took, in seconds.
pub(crate) fn print_counted(count: usize, sequential: f64, parallel: f64) {
    println!(
        "{}",
        json!({ "ok": true, "count": count, "sequential": sequential, "parallel": parallel })
    );
}
