//! The protocols of the tests, as their server.

use std::{future::Future, io};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{Stream, StreamProtocol};
use libp2p_stream::{AlreadyRegistered, Control};
use sha2::{Digest, Sha256};

pub const ECHO: StreamProtocol = StreamProtocol::new("/echo/1.0.0");
pub const HALF_CLOSE: StreamProtocol = StreamProtocol::new("/test/half-close/1.0.0");
pub const RESET: StreamProtocol = StreamProtocol::new("/test/reset/1.0.0");
pub const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");

/// How much is read or written at once.
pub const CHUNK: usize = 64 * 1024;

pub fn all(control: &mut Control) -> Result<(), AlreadyRegistered> {
    serve(control, ECHO, echo)?;
    serve(control, HALF_CLOSE, answer_digest)?;
    serve(control, RESET, reset)?;
    serve(control, PERF, perf)
}

fn serve<F>(
    control: &mut Control,
    name: StreamProtocol,
    handle: fn(Stream) -> F,
) -> Result<(), AlreadyRegistered>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut incoming = control.accept(name)?;
    tokio::spawn(async move {
        while let Some((_, stream)) = incoming.next().await {
            // A stream that fails is dropped, which resets it.
            tokio::spawn(handle(stream));
        }
    });
    Ok(())
}

async fn echo(mut stream: Stream) -> io::Result<()> {
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

/// Reads one byte, then drops the open stream, which resets it.
async fn reset(mut stream: Stream) -> io::Result<()> {
    stream.read_exact(&mut [0]).await
}

async fn perf(mut stream: Stream) -> io::Result<()> {
    let mut length = [0; 8];
    stream.read_exact(&mut length).await?;
    let mut buffer = vec![0; CHUNK];
    while stream.read(&mut buffer).await? > 0 {}
    send_zeros(&mut stream, u64::from_be_bytes(length)).await?;
    stream.close().await
}

pub async fn send_zeros(stream: &mut Stream, mut count: u64) -> io::Result<()> {
    let zeros = vec![0; CHUNK];
    while count > 0 {
        let part = CHUNK.min(usize::try_from(count).unwrap_or(CHUNK));
        stream.write_all(&zeros[..part]).await?;
        count -= part as u64;
    }
    Ok(())
}
