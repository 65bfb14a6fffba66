//! The protocols of the tests, as their server.

use std::future::Future;
use std::io;

use futures::{AsyncReadExt, AsyncWriteExt};
use polypeer::facade::{Node, Stream};
use sha2::{Digest, Sha256};

pub(crate) const ECHO: &str = "/echo/1.0.0";
pub(crate) const HALF_CLOSE: &str = "/test/half-close/1.0.0";
pub(crate) const RESET: &str = "/test/reset/1.0.0";
pub(crate) const PERF: &str = "/perf/1.0.0";

/// How much is read or written at once.
pub(crate) const CHUNK: usize = 64 * 1024;

pub(crate) fn all(node: &Node) {
    serve(node, ECHO, echo);
    serve(node, HALF_CLOSE, answer_digest);
    serve(node, RESET, reset);
    serve(node, PERF, perf);
}

/// A stream whose handler fails is dropped, which resets it.
fn serve<F>(node: &Node, name: &str, handle: fn(Stream) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    node.handle(name, move |stream| async move {
        let _ = handle(stream).await;
    });
}

async fn echo(mut stream: Stream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return stream.close().await;
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

async fn answer_digest(mut stream: Stream) -> io::Result<()> {
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

async fn reset(mut stream: Stream) -> io::Result<()> {
    stream.read_exact(&mut [0]).await?;
    stream.reset();
    Ok(())
}

async fn perf(mut stream: Stream) -> io::Result<()> {
    let mut length = [0; 8];
    stream.read_exact(&mut length).await?;
    let mut buffer = vec![0; CHUNK];
    while stream.read(&mut buffer).await? > 0 {}
    send_zeros(&mut stream, u64::from_be_bytes(length)).await?;
    stream.close().await
}

pub(crate) async fn send_zeros(stream: &mut Stream, mut count: u64) -> io::Result<()> {
    let zeros = vec![0; CHUNK];
    while count > 0 {
        let part = CHUNK.min(usize::try_from(count).unwrap_or(CHUNK));
        stream.write_all(&zeros[..part]).await?;
        count -= part as u64;
    }
    Ok(())
}
