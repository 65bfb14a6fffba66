//! Neighbours on this machine find each other by multicast and connect.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{address, host};
use polypeer::discovery::mdns::{MdnsEvent, ServiceName};
use polypeer::facade::Node;
use polypeer::node::Config;
use polypeer::{Keypair, PeerId, Rng};
use polypeer_native::mdns::{Mdns, MdnsOptions};

const LIMIT: Duration = Duration::from_secs(60);

async fn start(seed: u64) -> Node {
    let keypair = Keypair::generate_ed25519(&mut Rng::from_number(seed));
    let node = Node::start(Arc::new(host()), Config::new(keypair));
    node.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    node
}

/// On this machine alone, and not at the port that its other programs hear on.
fn look(node: &Node, name: &str, port: u16) -> Mdns {
    let mut options = MdnsOptions::default();
    options.config.service = ServiceName::new(name).unwrap();
    options.config.loopback = true;
    options.port = port;
    let mut seed = [0; 32];
    Rng::from_number(u64::from(port)).fill(&mut seed);
    Mdns::start(node.clone(), seed, options).unwrap()
}

async fn next(mdns: &mut Mdns) -> MdnsEvent {
    tokio::time::timeout(LIMIT, mdns.next()).await.unwrap().unwrap()
}

async fn seen(mdns: &mut Mdns) -> PeerId {
    loop {
        if let MdnsEvent::Seen { peer, .. } = next(mdns).await {
            return peer;
        }
    }
}

#[tokio::test]
async fn neighbours_are_found_dialed_by_name_and_seen_to_go() {
    let (ours, theirs, stranger) = (start(1).await, start(2).await, start(3).await);
    let mut first = look(&ours, "neighbours", 0);
    let mut second = look(&theirs, "neighbours", first.port());
    let strange = look(&stranger, "others", first.port());
    assert_eq!(seen(&mut second).await, *ours.peer_id());
    assert_eq!(seen(&mut first).await, *theirs.peer_id());

    let connection = ours.dial_peer(Some(*theirs.peer_id()), Vec::new()).await.unwrap();
    assert_eq!(connection.peer_id(), theirs.peer_id());

    second.close().await;
    let gone = loop {
        match next(&mut first).await {
            MdnsEvent::Gone(peer) => break peer,
            MdnsEvent::Seen { peer, .. } => assert_eq!(peer, *theirs.peer_id()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(gone, *theirs.peer_id());
    drop(strange);
    for node in [ours, theirs, stranger] {
        node.close().await;
    }
    // With the node ends the search.
    while tokio::time::timeout(LIMIT, first.next()).await.unwrap().is_some() {}
}
