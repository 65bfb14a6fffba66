//! Nodes on TCP meet at a rendezvous point, over the linear face.

use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::time::Duration;

use crate::common::{address, host};
use polypeer::facade::{Node, RendezvousFailed};
use polypeer::node::Config;
use polypeer::protocols::rendezvous::{Point, RendezvousError, Search, ServerConfig, Status};
use polypeer::{Keypair, Rng};

const HOUR: Duration = Duration::from_secs(3600);

async fn start(seed: u64, point: Option<ServerConfig>) -> Node {
    let keypair = Keypair::generate_ed25519(&mut Rng::from_number(seed));
    let mut config = Config::new(keypair);
    config.rendezvous = point;
    let node = Node::start(Arc::new(host()), config);
    node.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    node
}

fn named(namespace: &str) -> Search {
    Search { namespace: Some(namespace.into()), ..Search::default() }
}

#[tokio::test]
async fn nodes_meet_and_connect() {
    let point = start(1, Some(ServerConfig::default())).await;
    let at = Point::try_from(point.addresses().await.unwrap().remove(0)).unwrap();
    let (alice, bob) = (start(2, None).await, start(3, None).await);
    assert_eq!(alice.rendezvous().register(at.clone(), "chat", None).await, Ok(2 * HOUR));
    assert_eq!(alice.rendezvous().registered().await.unwrap().len(), 1);

    let found = bob.rendezvous().discover(at.clone(), named("chat")).await.unwrap();
    assert_eq!(found.registrations.len(), 1);
    assert_eq!(found.registrations[0].record.peer_id(), *alice.peer_id());
    bob.dial_peer(Some(*alice.peer_id()), Vec::new()).await.unwrap();
    // The record is handed on whole, to whoever trusts neither Bob nor the point.
    let record = bob.peer_store().signed_record(alice.peer_id()).await.unwrap().unwrap();
    let carol = start(4, None).await;
    assert_eq!(carol.peer_store().accept_record(record, HOUR).await, Ok(*alice.peer_id()));
    carol.dial_peer(Some(*alice.peer_id()), Vec::new()).await.unwrap();

    // Whom the point knows by now it is connected to.
    let point = Point::from(at.peer);
    alice.rendezvous().unregister(point.clone(), "chat").await.unwrap();
    while !bob
        .rendezvous()
        .discover(point.clone(), named("chat"))
        .await
        .unwrap()
        .registrations
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
    let short = alice.rendezvous().register(point, "chat", Some(Duration::from_secs(1))).await;
    let status = Status::InvalidTtl;
    let refused = RendezvousError::Refused { status, text: String::new() };
    assert_eq!(short, Err(RendezvousFailed::Request(refused)));
    let error = carol.rendezvous().discover(Point::from(*bob.peer_id()), named("chat")).await;
    assert_eq!(error, Err(RendezvousError::Unreachable.into()));
}

#[tokio::test]
async fn the_program_is_a_point_if_it_is_told_to_be() {
    let home = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_polypeer"));
    command.args(["--json", "serve", "--no-store", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    command.args(["--rendezvous", "--no-dht"]).env("HOME", home.path());
    command.env_remove("POLYPEER_KEY").env_remove("XDG_CONFIG_HOME");
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let listening: serde_json::Value = serde_json::from_str(&line).unwrap();
    let at = address(listening["addresses"][0].as_str().unwrap());
    let (alice, bob) = (start(5, None).await, start(6, None).await);
    let point = Point::try_from(at).unwrap();
    let registered = alice.rendezvous().register(point.clone(), "chat", Some(3 * HOUR)).await;
    let found = bob.rendezvous().discover(point, named("chat")).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(registered, Ok(3 * HOUR));
    assert_eq!(found.unwrap().registrations[0].record.peer_id(), *alice.peer_id());
}
