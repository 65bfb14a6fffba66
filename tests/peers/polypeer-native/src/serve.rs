//! The protocols of the tests, as their server.

use std::future::Future;
use std::io;

use futures::AsyncReadExt;
use polypeer::facade::{Node, Stream};

use crate::Outcome;
use crate::streams::{ECHO, HALF_CLOSE, PERF, RESET, answer_digest, echo, perf};

pub(crate) fn all(node: &Node) {
    serve(node, ECHO, echo);
    serve(node, HALF_CLOSE, answer_digest);
    serve(node, RESET, reset);
    serve(node, PERF, perf);
}

/// Serves on limited connections too.
pub(crate) async fn on_limited(node: &Node) -> Outcome<()> {
    for protocol in [ECHO, HALF_CLOSE, RESET, PERF] {
        node.handle_limited(protocol, true).await?;
    }
    Ok(())
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

async fn reset(mut stream: Stream) -> io::Result<()> {
    stream.read_exact(&mut [0]).await?;
    stream.reset();
    Ok(())
}
