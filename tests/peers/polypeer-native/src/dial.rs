//! The checks and measurements of the dialer.

use futures::{AsyncReadExt, AsyncWriteExt};
use polypeer::Multiaddr;
use polypeer::facade::Connection;

use crate::streams::{
    ECHO, HALF_CLOSE, PERF, RESET, Report, echoed, half_closed, print_transfers, transfer,
};
use crate::{Outcome, start};

/// As many writes as it may take to hear that nobody reads.
const WRITES: usize = 1000;

const PING: &str = "/ipfs/ping/1.0.0";

/// Runs every check against `address`, prints one JSON object, and says whether
/// all passed.
pub(crate) async fn checks(address: Multiaddr, agent: &str) -> Outcome<bool> {
    let peer = address.peer_id().ok_or("the address does not end with /p2p/…")?;
    let mut report = Report::new();
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
        let echo = async { echoed(connection.open_limited_stream(&[ECHO]).await?).await };
        report.check("echo", echo).await;
        let half_close =
            async { half_closed(connection.open_limited_stream(&[HALF_CLOSE]).await?).await };
        report.check("halfClose", half_close).await;
        report.check("reset", was_reset(&connection)).await;
        report.check("unknownProtocol", refused(&connection)).await;
        report.check("wrongPeer", wrong_peer(&address)).await;
    }
    let ok = report.ok;
    report.print(node.peer_id().to_string());
    node.close().await;
    Ok(ok)
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

async fn was_reset(connection: &Connection) -> Outcome<String> {
    let mut stream = connection.open_limited_stream(&[RESET]).await?;
    let outcome = async {
        stream.write_all(&[1]).await?;
        // The reset may be there before the byte is known to be sent.
        stream.flush().await?;
        stream.read_to_end(&mut Vec::new()).await
    };
    if let Err(error) = outcome.await {
        return Ok(error.to_string());
    }
    // rust-libp2p over QUIC ends its half and reads no more: then nothing can be written.
    for _ in 0..WRITES {
        let outcome = async {
            stream.write_all(&[1]).await?;
            stream.flush().await
        };
        if let Err(error) = outcome.await {
            return Ok(format!("read to the end, then: {error}"));
        }
    }
    Err("the stream was closed, not reset".into())
}

async fn refused(connection: &Connection) -> Outcome<String> {
    match connection.open_limited_stream(&["/test/nobody-speaks-this/1.0.0"]).await {
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
    let up = transfer(connection.open_limited_stream(&[PERF]).await?, upload, 0).await?;
    let down = transfer(connection.open_limited_stream(&[PERF]).await?, 0, download).await?;
    print_transfers((upload, up), (download, down));
    node.close().await;
    Ok(())
}
