//! Where a node says that it can be reached.

mod common;

use std::sync::Arc;

use common::{address, host};
use futures::StreamExt;
use polypeer::facade::Node;
use polypeer::node::{Config, Event};
use polypeer::swarm::addresses::{Config as Announcing, Source};
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
