//! Neighbours on this machine find each other by multicast and connect.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{address, host};
use polypeer::discovery::mdns::{MdnsEvent, ServiceName};
use polypeer::facade::Node;
use polypeer::node::Config;
use polypeer::security::pnet::PreSharedKey;
use polypeer::{Keypair, PeerId, Rng};
use polypeer_native::mdns::{Mdns, MdnsOptions};

const LIMIT: Duration = Duration::from_secs(60);

async fn start(seed: u64) -> Node {
    member(seed, None).await
}

/// A node of the private network of this key.
async fn member(seed: u64, key: Option<u8>) -> Node {
    let keypair = Keypair::generate_ed25519(&mut Rng::from_number(seed));
    let mut config = Config::new(keypair);
    config.connection.pre_shared_key = key.map(|byte| PreSharedKey::new([byte; 32]));
    let node = Node::start(Arc::new(host()), config);
    node.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    node
}

fn look(node: &Node, name: &str, port: u16) -> Mdns {
    look_for(node, ServiceName::new(name).unwrap(), port)
}

/// On this machine alone, and not at the port that its other programs hear on.
fn look_for(node: &Node, service: ServiceName, port: u16) -> Mdns {
    let mut options = MdnsOptions::default();
    options.config.service = service;
    options.config.loopback = true;
    options.port = port;
    // Names of their own, which nobody else has.
    let mut seed = [0; 32];
    let bytes = node.peer_id().as_bytes();
    seed.copy_from_slice(&bytes[bytes.len() - 32..]);
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
async fn members_of_a_private_network_find_only_each_other() {
    let (public, ours) = (start(11).await, member(12, Some(7)).await);
    let (theirs, other) = (member(13, Some(7)).await, member(14, Some(8)).await);
    let mut heard = look_for(&public, ServiceName::default(), 0);
    let port = heard.port();
    let _other = look_for(&other, ServiceName::default(), port);
    let mut first = look_for(&ours, ServiceName::default(), port);
    let mut second = look_for(&theirs, ServiceName::default(), port);
    assert_eq!(seen(&mut first).await, *theirs.peer_id());
    assert_eq!(seen(&mut second).await, *ours.peer_id());
    // One who came last is heard by whom it is for, and everything before it was heard.
    let last = start(15).await;
    let _last = look_for(&last, ServiceName::default(), port);
    assert_eq!(seen(&mut heard).await, *last.peer_id());
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
