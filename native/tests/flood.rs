//! Those who open connections and say next to nothing keep nobody out. Each of them
//! has an address of its own: on Linux all of 127.0.0.0/8 are this machine.
#![cfg(target_os = "linux")]

#[path = "native/common.rs"]
mod common;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polypeer::Keypair;
use polypeer::Rng;
use polypeer::address::Multiaddr;
use polypeer::facade::{Connection, Node, Platform};
use polypeer::node::Config;
use polypeer::swarm::DialOptions;
use polypeer_native::{Native, raise_descriptor_limit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;

const SOCKETS: usize = 2000;
const ADDRESSES: usize = 250;
/// More than the second in which it is done on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(20);

fn node(change: impl FnOnce(&mut Config)) -> Node {
    let host = Arc::new(Native::default());
    let mut config = Config::new(Keypair::generate_ed25519(&mut Rng::from_seed(host.seed())));
    change(&mut config);
    Node::start(host, config)
}

/// Connects again and again, and sends a byte a second of what a handshake begins with.
async fn linger(from: Ipv4Addr, to: std::net::SocketAddr, connected: mpsc::Sender<()>) {
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        if let Ok(mut stream) = socket.connect(to).await {
            // Whoever counted has counted enough.
            let _ = connected.send(()).await;
            for byte in b"\x13/multistream/1.0.0\n" {
                if stream.write_all(&[*byte]).await.is_err() {
                    break;
                }
                let (second, mut answer) = (Duration::from_secs(1), [0; 64]);
                let read = tokio::time::timeout(second, stream.read(&mut answer)).await;
                if matches!(read, Ok(Ok(0) | Err(_))) {
                    break;
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Connects until the server knows who it is: an honest handshake too may be the
/// oldest of those that give way when the machine is slow.
async fn let_in(honest: &Node, address: &Multiaddr) -> Connection {
    let options = DialOptions { force: true, ..DialOptions::default() };
    loop {
        if let Ok(connection) = honest.dial_with(None, vec![address.clone()], options).await
            && connection.ping().await.is_ok()
        {
            return connection;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_slow_handshakes_keep_no_honest_peer_out() {
    raise_descriptor_limit();
    let server = node(|config| config.arrivals.loopback = true);
    let address: Multiaddr = server.listen(common::address("/ip4/127.0.0.1/tcp/0")).await.unwrap()
        [0]
    .with_peer(*server.peer_id());
    let port = address.to_string().split('/').nth(4).unwrap().parse().unwrap();
    let (connected, mut count) = mpsc::channel(SOCKETS);
    let flood: Vec<_> = (0..SOCKETS)
        .map(|n| {
            let from = Ipv4Addr::new(127, 0, 1, (n % ADDRESSES) as u8 + 1);
            let to = (Ipv4Addr::LOCALHOST, port).into();
            tokio::spawn(linger(from, to, connected.clone()))
        })
        .collect();
    for _ in 0..SOCKETS {
        count.recv().await.unwrap();
    }
    count.close();

    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let honest = node(|_| {});
        let start = Instant::now();
        let let_in = tokio::time::timeout(PATIENCE, let_in(&honest, &address));
        let connection = let_in.await.expect("it is let in");
        slowest = slowest.max(start.elapsed());
        assert!(connection.traffic().await.unwrap().bytes_in > 0);
        honest.close().await;
    }
    println!("the slowest of 10 dials beside {SOCKETS} slow handshakes took {slowest:?}");
    let stats = server.stats().await.unwrap();
    assert!(stats.connections.handshaking <= 64, "{stats}");
    let refused = stats.refused;
    assert!(refused.handshakes + refused.too_fast + refused.address_full > SOCKETS as u64 / 2);
    assert!(stats.memory < 16 << 20, "{stats}");
    flood.iter().for_each(|task| task.abort());
    server.close().await;
}
