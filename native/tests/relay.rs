//! Circuits through a relay over real sockets.

mod common;

use std::time::Duration;

use common::host;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use polypeer::facade::Node;
use polypeer::node::{Config, Event};
use polypeer::protocols::relay::{Limit, ServiceConfig};
use polypeer::{Keypair, Multiaddr, Rng};
use polypeer_native::service::echo;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

fn start(seed: u64, service: Option<ServiceConfig>) -> Node {
    let mut config = Config::new(Keypair::generate_ed25519(&mut Rng::from_number(seed)));
    config.relay.service = service;
    Node::start(std::sync::Arc::new(host()), config)
}

/// A relay, a peer that has a place there, and where that peer can be reached.
async fn reserved(service: ServiceConfig) -> (Node, Node, Multiaddr) {
    let (relay, hidden) = (start(1, Some(service)), start(2, None));
    let listens = relay.listen("/ip4/127.0.0.1/tcp/0".parse().unwrap()).await.unwrap();
    echo::serve(&hidden);
    hidden.handle_limited(echo::NAME, true).await.unwrap();
    let mut events = hidden.events();
    let address = listens[0].with_peer(*relay.peer_id());
    hidden.listen_on_relay(Some(address)).await.unwrap().unwrap();
    let reserved = async {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Reserved { .. }) {
                break;
            }
        }
    };
    timeout(PATIENCE, reserved).await.expect("a reservation");
    let addresses = hidden.addresses().await.unwrap();
    let circuit = addresses.into_iter().find(Multiaddr::is_circuit).expect("a circuit's address");
    (relay, hidden, circuit)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_come_back_through_a_relay() {
    let mut service = ServiceConfig::default();
    service.limit = Limit::default();
    let (relay, hidden, circuit) = reserved(service).await;
    let visitor = start(3, None);
    let mut events = relay.events();
    let connection = timeout(PATIENCE, visitor.dial(circuit)).await.unwrap().unwrap();
    assert_eq!(connection.peer_id(), hidden.peer_id());
    assert!(connection.remote_address().is_circuit());
    let mut stream = connection.open_stream(&[echo::NAME]).await.unwrap();
    let sent: Vec<u8> = (0..4 << 20).map(|at: u32| (at % 251) as u8).collect();
    let (mut reader, mut writer) = (&mut stream).split();
    let write = async {
        writer.write_all(&sent).await.unwrap();
        writer.close().await.unwrap();
    };
    let mut received = Vec::new();
    let both = futures::future::join(write, reader.read_to_end(&mut received));
    timeout(PATIENCE, both).await.unwrap().1.unwrap();
    assert!(received == sent);
    visitor.close().await;
    let ended = async {
        while let Some(event) = events.next().await {
            if let Event::CircuitEnded { summary } = event {
                return summary;
            }
        }
        panic!("the relay ended");
    };
    let summary = timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(summary.target, *hidden.peer_id());
    assert!(summary.bytes.iter().all(|bytes| *bytes > 4 << 20), "{:?}", summary.bytes);
}

#[tokio::test]
async fn the_limit_of_bytes_ends_the_connection_and_not_the_relay() {
    let mut service = ServiceConfig::default();
    service.limit = Limit { duration: None, data: Some(64 * 1024) };
    let (relay, _hidden, circuit) = reserved(service).await;
    let visitor = start(3, None);
    let connection = timeout(PATIENCE, visitor.dial(circuit.clone())).await.unwrap().unwrap();
    let mut stream = connection.open_stream(&[echo::NAME]).await.unwrap();
    // It may fail at once or when the circuit's end is known.
    let _ = stream.write_all(&[7; 200_000]).await;
    timeout(PATIENCE, connection.closed()).await.expect("the circuit ends");
    // Another one can be had at once.
    let again = timeout(PATIENCE, visitor.dial(circuit)).await.unwrap().unwrap();
    assert!(again.ping().await.is_ok());
    assert_eq!(relay.peers().await.unwrap().len(), 2);
}
