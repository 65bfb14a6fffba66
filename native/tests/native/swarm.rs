//! Whom a node keeps and how it reaches them, over real tasks and the linear face.

use std::sync::Arc;

use crate::common::{address, host};
use futures::StreamExt;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use polypeer::facade::{Node, OpenError};
use polypeer::node::{Config, DialError, Event};
use polypeer::{Keypair, Rng};
use polypeer_native::Native;

const ECHO: &str = "/echo/1.0.0";

/// Nodes that share a host reach each other in its memory.
fn node(host: &Native, seed: u64) -> Node {
    let keypair = Keypair::generate_ed25519(&mut Rng::from_number(seed));
    let node = Node::start(Arc::new(host.clone()), Config::new(keypair));
    node.handle(ECHO, |stream| async move {
        let (from, mut to) = stream.split();
        let _ = futures::io::copy(from, &mut to).await;
        let _ = to.close().await;
    });
    node
}

#[tokio::test]
async fn a_stream_is_opened_by_the_name_of_its_peer() {
    let host = host();
    let (alice, bob) = (node(&host, 1), node(&host, 2));
    let unknown = alice.open_stream(bob.peer_id(), &[ECHO]).await;
    assert!(matches!(unknown, Err(OpenError::Dial(DialError::NoAddress))));
    let addresses = bob.listen(address("/memory/0")).await.unwrap();
    alice.dial_peer(Some(*bob.peer_id()), addresses).await.unwrap();
    let mut stream = alice.open_stream(bob.peer_id(), &[ECHO]).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.close().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"hello");
    let refused = alice.open_stream(bob.peer_id(), &["/nobody/1"]).await;
    assert!(matches!(refused, Err(OpenError::Stream(_))));
}

#[tokio::test]
async fn a_kept_peer_is_dialed_whenever_it_is_gone() {
    let host = host();
    let (alice, bob) = (node(&host, 1), node(&host, 2));
    let addresses = bob.listen(address("/memory/0")).await.unwrap();
    let mut events = alice.events();
    alice.keep(bob.peer_id(), addresses);
    for round in 0..2 {
        loop {
            match events.next().await.unwrap() {
                Event::Connected { peer, .. } if peer == *bob.peer_id() => break,
                Event::Dialed { .. } => panic!("nobody asked for a dial"),
                _ => {}
            }
        }
        if round == 0 {
            bob.hang_up(alice.peer_id());
        }
    }
    assert_eq!(alice.kept().await.unwrap(), [*bob.peer_id()]);
    alice.resumed();
    alice.release(bob.peer_id());
    assert!(alice.kept().await.unwrap().is_empty());
    let latency = loop {
        // Measured as soon as the connection is there; every question is a turn.
        if let Some(latency) = alice.latency(bob.peer_id()).await.unwrap() {
            break latency;
        }
        tokio::task::yield_now().await;
    };
    assert!(!latency.is_zero());
}
