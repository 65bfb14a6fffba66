//! Circuits through a relay over real sockets.

use std::time::Duration;

use crate::common::host;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use polypeer::connection::{Error, StreamError};
use polypeer::facade::{Connection, Node, Stream};
use polypeer::node::{Config, Direction, Event};
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
    assert!(connection.limited() && !connection.direct());
    let refused = connection.open_stream(&[echo::NAME]).await;
    assert_eq!(refused.err(), Some(StreamError::Limited));
    let mut stream = connection.open_limited_stream(&[echo::NAME]).await.unwrap();
    // It may fail at once or when the circuit's end is known.
    let _ = stream.write_all(&[7; 200_000]).await;
    let error = timeout(PATIENCE, connection.closed()).await.expect("the circuit ends");
    let Error::RelayLimit(used) = error else { panic!("{error}") };
    assert_eq!((used.limit.data, used.send_left()), (Some(64 * 1024), Some(0)));
    // Who uses a stream learns the same.
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::QuotaExceeded);
    // Another one can be had at once.
    let again = timeout(PATIENCE, visitor.dial(circuit)).await.unwrap().unwrap();
    assert!(again.ping().await.is_ok());
    assert_eq!(relay.peers().await.unwrap().len(), 2);
}

const MUCH: usize = 3 << 20;
const SINK: &str = "/sink/1.0.0";

async fn send_all(mut stream: Stream) {
    for _ in 0..MUCH / 65536 {
        stream.write_all(&[7; 65536]).await.unwrap();
    }
    stream.close().await.unwrap();
}

async fn inbound(node: &Node) -> Connection {
    let is = |one: &Connection| one.direction() == Direction::Inbound;
    loop {
        if let Some(one) = node.connections().await.unwrap().into_iter().find(is) {
            return one;
        }
        tokio::task::yield_now().await;
    }
}

/// Whoever closes its node as soon as its last byte is on its way loses none, and a
/// reader that is slower than the wire none either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_closes_after_its_last_byte_over_a_circuit_loses_none() {
    for dialer_sends in [true, false] {
        let mut service = ServiceConfig::default();
        service.limit = Limit::default();
        let (_relay, hidden, circuit) = reserved(service).await;
        let visitor = start(3, None);
        let (sender, receiver) =
            if dialer_sends { (&visitor, &hidden) } else { (&hidden, &visitor) };
        let (done, end) = tokio::sync::oneshot::channel();
        let done = std::sync::Mutex::new(Some(done));
        receiver.handle(SINK, move |mut stream| {
            let done = done.lock().unwrap().take().expect("one stream");
            async move {
                let (mut count, mut buffer) = (0, vec![0; 4096]);
                let result = loop {
                    match stream.read(&mut buffer).await {
                        Ok(0) => break Ok(count),
                        Ok(more) => count += more,
                        Err(error) => break Err((count, error)),
                    }
                    tokio::task::yield_now().await;
                };
                let _ = done.send(result);
            }
        });
        let dialed = timeout(PATIENCE, visitor.dial(circuit)).await.unwrap().unwrap();
        let connection = if dialer_sends { dialed } else { inbound(&hidden).await };
        let stream = connection.open_stream(&[SINK]).await.unwrap();
        timeout(PATIENCE, send_all(stream)).await.unwrap();
        timeout(PATIENCE, sender.close()).await.expect("closes");
        let received = timeout(PATIENCE, end).await.unwrap().unwrap();
        assert_eq!(received.map_err(|(count, error)| format!("{count}: {error}")), Ok(MUCH));
    }
}
