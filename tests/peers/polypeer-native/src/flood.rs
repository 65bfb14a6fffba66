//! Slow handshakes by the thousand, and honest dials beside them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use polypeer::Multiaddr;
use polypeer::address::Protocol;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;

use crate::{Outcome, start};

/// Dials whose slowest counts.
const DIALS: usize = 10;
/// Addresses that the flood comes from, where all of 127.0.0.0/8 are this machine.
const ADDRESSES: usize = if cfg!(target_os = "linux") { 250 } else { 1 };

/// Holds `count` handshakes that send a byte a second, again and again, while one
/// peer after another dials; prints how long the slowest of them took in seconds.
pub(crate) async fn flood(address: Multiaddr, count: usize) -> Outcome<()> {
    let to = socket_address(&address).ok_or("no TCP address on IPv4")?;
    let (connected, mut counted) = mpsc::channel(count.max(1));
    for number in 0..count {
        let from = Ipv4Addr::new(127, 0, 0, (number % ADDRESSES) as u8 + 1);
        tokio::spawn(linger(from, to, connected.clone()));
    }
    for _ in 0..count {
        counted.recv().await;
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..DIALS {
        let node = start();
        let before = Instant::now();
        node.dial(address.clone()).await?;
        slowest = slowest.max(before.elapsed());
        node.close().await;
    }
    println!("{}", json!({ "ok": true, "count": count, "slowest": slowest.as_secs_f64() }));
    Ok(())
}

fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    match (parts.next()?, parts.next()?) {
        (Protocol::Ip4(ip), Protocol::Tcp(port)) => Some((ip, port).into()),
        _ => None,
    }
}

async fn linger(from: Ipv4Addr, to: SocketAddr, connected: mpsc::Sender<()>) {
    loop {
        // What fails is tried again, like what was closed.
        let _ = handshake(from, to, &connected).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn handshake(
    from: Ipv4Addr,
    to: SocketAddr,
    connected: &mpsc::Sender<()>,
) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut stream = socket.connect(to).await?;
    // Those who are needed have been counted when it is full.
    let _ = connected.try_send(());
    for byte in b"\x13/multistream/1.0.0\n" {
        stream.write_all(&[*byte]).await?;
        let mut answer = [0; 64];
        if let Ok(read) =
            tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answer)).await
            && read? == 0
        {
            break;
        }
    }
    Ok(())
}
