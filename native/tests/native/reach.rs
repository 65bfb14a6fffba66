//! Where a node says that it can be reached.

use std::sync::Arc;

use crate::common::{address, host};
use futures::StreamExt;
use polypeer::facade::Node;
use polypeer::node::{Config, Direction, Event};
use polypeer::protocols::autonat::ServerConfig;
use polypeer::swarm::addresses::{Config as Announcing, Reachability, Source};
use polypeer::{Keypair, Rng};

fn node(number: u64, change: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config::new(Keypair::generate_ed25519(&mut Rng::from_number(number)));
    change(&mut config);
    Node::start(Arc::new(host()), config)
}

#[tokio::test]
async fn peers_are_told_what_is_announced_and_of_every_change() {
    let server = node(1, |config| {
        config.addresses.append_announce = vec![address("/dns4/a.example/tcp/443/wss")];
        config.addresses.no_announce = vec!["/ip4/127.0.0.0/ipcidr/8".parse().unwrap()];
    });
    let listening = server.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    let client = node(2, |_| {});
    let target = listening[0].with_peer(*server.peer_id());
    let connection = client.dial(target).await.unwrap();
    let told = connection.identify().await.unwrap();
    assert_eq!(told.addresses, [address("/dns4/a.example/tcp/443/wss")]);

    let mut events = client.events();
    let mut config = Announcing::default();
    config.announce = vec![address("/ip4/50.1.1.1/tcp/4001")];
    server.set_announcing(config).await.unwrap();
    let told = loop {
        let event = events.next().await.unwrap();
        if let Event::Identified { info, .. } = event
            && info.addresses != told.addresses
        {
            break info;
        }
    };
    assert_eq!(told.addresses, [address("/ip4/50.1.1.1/tcp/4001")]);
    let own = server.own_addresses().await.unwrap();
    let listened: Vec<_> = own.iter().filter(|own| own.source == Source::Listening).collect();
    assert_eq!(listened.len(), 1);
    assert!(!listened[0].announced);
}

#[tokio::test]
async fn a_node_learns_that_it_can_be_dialed_and_what_it_is_dialed_from() {
    let server = node(3, |config| {
        config.addresses.private = true;
        config.autonat.server = Some(ServerConfig::default());
    });
    let listening = server.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    let client = node(4, |config| {
        config.addresses.private = true;
        config.autonat.confidence = 1;
    });
    let own = client.listen(address("/ip4/127.0.0.1/tcp/0/ws")).await.unwrap();
    let mut events = client.events();
    client.dial(listening[0].with_peer(*server.peer_id())).await.unwrap();
    let mut dialed_back = None;
    loop {
        match events.next().await.unwrap() {
            Event::Connected { peer, direction: Direction::Inbound, remote, .. } => {
                dialed_back = Some((peer, remote));
            }
            Event::Reachability { address: Some(address), reachability } => {
                assert_eq!((address, reachability), (own[0].clone(), Reachability::Public));
                break;
            }
            _ => {}
        }
    }
    assert_eq!(client.reachability().await.unwrap(), Reachability::Public);
    // As somebody else, and from a port that is not listened on.
    let (peer, remote) = dialed_back.unwrap();
    assert_ne!(peer, *server.peer_id());
    assert!(!remote.to_string().starts_with(&listening[0].to_string()));
    server.close().await;
    client.close().await;
}
