//! `/echo/1.0.0`: every byte comes back.

use futures::io::{AsyncReadExt, AsyncWriteExt};
use polypeer::facade::{Node, Stream};

/// The protocol's name.
pub const NAME: &str = "/echo/1.0.0";

/// Bytes on their way back: a remote that does not read its echo is not read from.
const BUFFER: usize = 16 * 1024;

/// Echoes on every stream that others open.
pub fn serve(node: &Node) {
    node.handle(NAME, |stream| async move {
        // The remote's end of the stream is not our failure.
        let _ = echo(stream).await;
    });
}

async fn echo(mut stream: Stream) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return stream.close().await;
        }
        stream.write_all(&buffer[..count]).await?;
    }
}
