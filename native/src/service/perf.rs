//! Throughput by `/perf/1.0.0` (libp2p specification "perf").

use std::io;
use std::time::{Duration, Instant};

use futures::io::{AsyncReadExt, AsyncWriteExt};
use polypeer::connection::StreamError;
use polypeer::facade::{Connection, Node, Stream};

/// The protocol's names: the specification's, and the one that some use.
pub const NAMES: [&str; 2] = ["/perf/1.0.0", "/libp2p/perf/1.0.0"];

/// Bytes handed over at a time.
const CHUNK: usize = 256 * 1024;

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerfError {
    /// The remote does not offer perf (it should not unless asked to), or is gone.
    #[error("cannot open a stream: {0}")]
    Open(#[from] StreamError),
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
    /// The remote sent less or more than it was asked for.
    #[error("asked for {asked} bytes, got {got}")]
    WrongCount {
        /// Bytes asked for.
        asked: u64,
        /// Bytes that came.
        got: u64,
    },
}

/// Serves measurements. It lets others make this peer work for them: only for
/// networks that are trusted.
pub fn serve(node: &Node) {
    for name in NAMES {
        node.handle(name, |stream| async move {
            // The remote's end of the stream is not our failure.
            let _ = answer(stream).await;
        });
    }
}

async fn answer(mut stream: Stream) -> io::Result<()> {
    let mut head = [0; 8];
    stream.read_exact(&mut head).await?;
    let mut chunk = vec![0; CHUNK];
    while stream.read(&mut chunk).await? > 0 {}
    send(&mut stream, u64::from_be_bytes(head)).await?;
    stream.close().await
}

/// Sends `upload` bytes, then receives `download` bytes, on one new stream.
/// Returns the time from the stream's opening to its end.
pub async fn measure(
    connection: &Connection,
    upload: u64,
    download: u64,
) -> Result<Duration, PerfError> {
    let start = Instant::now();
    let mut stream = connection.open_stream(&NAMES).await?;
    stream.write_all(&download.to_be_bytes()).await?;
    send(&mut stream, upload).await?;
    stream.close().await?;
    let mut chunk = vec![0; CHUNK];
    let mut got = 0;
    loop {
        match stream.read(&mut chunk).await? {
            0 => break,
            count => got += count as u64,
        }
    }
    if got != download {
        return Err(PerfError::WrongCount { asked: download, got });
    }
    Ok(start.elapsed())
}

/// Writes `count` zero bytes.
async fn send(stream: &mut Stream, mut count: u64) -> io::Result<()> {
    let chunk = [0; CHUNK];
    while count > 0 {
        let size = usize::try_from(count).map_or(CHUNK, |count| count.min(CHUNK));
        stream.write_all(&chunk[..size]).await?;
        count -= size as u64;
    }
    Ok(())
}
