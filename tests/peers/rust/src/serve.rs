//! The protocols of the tests, as their server.

use std::{future::Future, io};

use futures::{AsyncReadExt, StreamExt};
use libp2p::{Stream, StreamProtocol};
use libp2p_stream::{AlreadyRegistered, Control};

use crate::streams::{self, answer_digest, echo, perf};

pub const ECHO: StreamProtocol = StreamProtocol::new(streams::ECHO);
pub const HALF_CLOSE: StreamProtocol = StreamProtocol::new(streams::HALF_CLOSE);
pub const RESET: StreamProtocol = StreamProtocol::new(streams::RESET);
pub const PERF: StreamProtocol = StreamProtocol::new(streams::PERF);

pub fn all(control: &mut Control) -> Result<(), AlreadyRegistered> {
    serve(control, ECHO, echo)?;
    serve(control, HALF_CLOSE, answer_digest)?;
    serve(control, RESET, reset)?;
    serve(control, PERF, perf)
}

pub fn serve<F>(
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

/// Reads one byte, then drops the open stream, which resets it.
pub async fn reset(mut stream: Stream) -> io::Result<()> {
    stream.read_exact(&mut [0]).await
}
