//! A DHT of nodes on TCP, over the linear face.

use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::time::Duration;

use crate::common::{address, host};
use futures::StreamExt;
use polypeer::facade::{DhtError, Node, Query};
use polypeer::node::Config;
use polypeer::protocols::kad::{self, Contact, Mode, QueryError, QueryEvent, Summary};
use polypeer::{Keypair, Rng};
use polypeer_native::Native;

const LIMIT: Duration = Duration::from_secs(60);

fn start(host: &Native, seed: u64, kad: Option<kad::Config>) -> Node {
    let keypair = Keypair::generate_ed25519(&mut Rng::from_number(seed));
    let mut config = Config::new(keypair);
    config.kad = kad;
    Node::start(Arc::new(host.clone()), config)
}

async fn servers(host: &Native, count: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut first = Vec::new();
    for seed in 0..count {
        let kad = kad::Config { mode: Mode::Server, ..kad::Config::default() };
        let node = start(host, seed, Some(kad));
        let addresses = node.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
        if first.is_empty() {
            first = addresses;
        } else {
            node.dial(first[0].clone()).await.unwrap();
        }
        nodes.push(node);
    }
    nodes
}

/// The events of a query, the last apart.
async fn run(query: Query) -> (Vec<QueryEvent>, Summary) {
    let mut events: Vec<_> = tokio::time::timeout(LIMIT, query.collect()).await.unwrap();
    match events.pop() {
        Some(QueryEvent::Done(summary)) => (events, summary),
        other => panic!("{other:?}"),
    }
}

/// Asks until all others are found: identify takes its time.
async fn all_met(node: &Node, others: usize) {
    let met = async {
        while run(node.dht().closest_peers(b"anything").await.unwrap()).await.1.closest.len()
            < others
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, met).await.unwrap();
}

#[tokio::test]
async fn nodes_keep_values_and_providers_for_each_other() {
    let host = host();
    let nodes = servers(&host, 6).await;
    for node in &nodes {
        all_met(node, 5).await;
    }
    let pair = Keypair::generate_ed25519(&mut Rng::from_number(99));
    let key = [b"/pk/", pair.peer_id().as_bytes()].concat();
    let value = pair.public().to_protobuf();
    let (_, summary) = run(nodes[1].dht().put(&key, &value).await.unwrap()).await;
    assert_eq!(summary.successes, 5);
    let (events, _) = run(nodes[4].dht().get(&key, 1).await.unwrap()).await;
    let found = |event: &QueryEvent| matches!(event, QueryEvent::Value(one) if one.value == value);
    assert!(events.iter().any(found), "{events:?}");

    run(nodes[2].dht().provide(b"a multihash").await.unwrap()).await;
    let (events, _) = run(nodes[5].dht().find_providers(b"a multihash", 3).await.unwrap()).await;
    let providers = events.iter().filter_map(|event| match event {
        QueryEvent::Provider(Contact { peer, addresses, .. }) => Some((*peer, addresses.len())),
        _ => None,
    });
    assert_eq!(providers.collect::<Vec<_>>(), [(*nodes[2].peer_id(), 1)]);
}

#[tokio::test]
async fn a_client_finds_a_peer_and_reaches_it_by_what_it_found() {
    let host = host();
    let nodes = servers(&host, 5).await;
    all_met(&nodes[0], 4).await;
    let client = start(&host, 50, Some(kad::Config::default()));
    let known = nodes[0].addresses().await.unwrap();
    client.dial(known[0].clone()).await.unwrap();
    let wanted = *nodes[3].peer_id();
    let find = async {
        loop {
            let (events, _) = run(client.dht().find_peer(wanted).await.unwrap()).await;
            let contact = events.into_iter().find_map(|event| match event {
                QueryEvent::Peer(contact) if contact.peer == wanted => Some(contact),
                _ => None,
            });
            match contact {
                Some(contact) => return contact,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let contact = tokio::time::timeout(LIMIT, find).await.unwrap();
    client.dial_peer(Some(wanted), contact.addresses).await.unwrap();
}

/// `polypeer serve` in a process of its own, ended when dropped.
struct Program(std::process::Child, String);

impl Program {
    fn start(home: &std::path::Path, arguments: &[&str]) -> Self {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_polypeer"));
        command.args(["--json", "serve", "--no-store", "--listen", "/ip4/127.0.0.1/tcp/0"]);
        command.args(arguments).env("HOME", home).env_remove("POLYPEER_KEY");
        command.env_remove("XDG_CONFIG_HOME").stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the server does not start").unwrap();
        let listening: serde_json::Value = serde_json::from_str(&first).unwrap();
        let address = listening["addresses"][0].as_str().unwrap().to_owned();
        // Whatever else it prints must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, address)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn servers_keep_what_clients_put_and_tell_others() {
    let homes: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = Program::start(homes[0].path(), &[]);
    let begin = ["--bootstrap", &first.1];
    let others: Vec<_> =
        homes[1..].iter().map(|home| Program::start(home.path(), &begin)).collect();
    // One that takes part in another DHT, and knows the same peers.
    let elsewhere = tempfile::tempdir().unwrap();
    let apart = ["--dht", "/apart/kad/1.0.0", "--bootstrap", &first.1];
    let apart = Program::start(elsewhere.path(), &apart);

    let host = host();
    let writer = start(&host, 60, Some(kad::Config::default()));
    writer.dial(address(&others[1].1)).await.unwrap();
    all_met(&writer, 4).await;
    let pair = Keypair::generate_ed25519(&mut Rng::from_number(98));
    let key = [b"/pk/", pair.peer_id().as_bytes()].concat();
    let value = pair.public().to_protobuf();
    let (_, summary) = run(writer.dht().put(&key, &value).await.unwrap()).await;
    assert_eq!(summary.successes, 4, "all servers of this DHT, and nobody else");
    run(writer.dht().provide(b"some multihash").await.unwrap()).await;
    drop(apart);

    let reader = start(&host, 61, Some(kad::Config::default()));
    reader.dial(address(&others[0].1)).await.unwrap();
    all_met(&reader, 4).await;
    let (events, _) = run(reader.dht().get(&key, 3).await.unwrap()).await;
    let found = |event: &QueryEvent| matches!(event, QueryEvent::Value(one) if one.value == value);
    assert!(events.iter().any(found), "{events:?}");
    let (events, _) = run(reader.dht().find_providers(b"some multihash", 1).await.unwrap()).await;
    let provider = |event: &QueryEvent| matches!(event, QueryEvent::Provider(one) if one.peer == *writer.peer_id());
    assert!(events.iter().any(provider), "{events:?}");
}

#[tokio::test]
async fn without_a_dht_there_are_no_queries() {
    let node = start(&host(), 1, None);
    let refused = node.dht().closest_peers(b"key").await;
    assert_eq!(refused.err(), Some(DhtError::Query(QueryError::Off)));
}
