//! The command `dht`: in a DHT, as the input says.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use polypeer::facade::{Node, Platform, Publish, Query};
use polypeer::node::Config;
use polypeer::protocols::kad::{self, Invalid, Mode, QueryEvent, Summary, Validator};
use polypeer::records::Namespace;
use polypeer::{Keypair, Rng};
use polypeer_native::Native;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;

use crate::{Outcome, answers};

/// The DHT's name unless told otherwise.
pub(crate) const NAME: &str = "/test/kad/1.0.0";

/// Values are `sequence:anything`; the highest sequence is the best.
pub(crate) struct Numbered;

fn sequence(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.split(':').next()?.parse().ok()
}

impl Validator for Numbered {
    fn validate(&self, _: &[u8], value: &[u8], _: u64) -> Result<(), Invalid> {
        sequence(value).map(|_| ()).ok_or_else(|| Invalid::Value("it has no number".into()))
    }

    fn is_better(&self, _: &[u8], new: &[u8], old: &[u8]) -> bool {
        sequence(new) > sequence(old)
    }
}

/// Serves, and carries out what the input asks for, until it ends.
pub(crate) async fn serve(name: &str) -> Outcome<()> {
    let platform = Arc::new(Native::default());
    let keypair = Keypair::generate_ed25519(&mut Rng::from_seed(platform.seed()));
    let mut config = Config::new(keypair.clone());
    let kad = kad::Config { protocol: name.into(), mode: Mode::Server, ..kad::Config::default() };
    config.kad = Some(kad);
    let node = Node::start(platform, config);
    node.dht().set_validator("test", Box::new(Numbered)).await?;
    node.listen(crate::LOOPBACK.parse()?).await?;
    let addresses: Vec<String> = node.addresses().await?.iter().map(ToString::to_string).collect();
    println!("{}", json!({ "peerId": node.peer_id().to_string(), "addresses": addresses }));
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        answers::print(answer(&node, &keypair, &serde_json::from_str(&line)?).await);
    }
    node.close().await;
    Ok(())
}

async fn answer(node: &Node, keypair: &Keypair, request: &Value) -> Outcome<Value> {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let bytes = |name: &str| BASE64_STANDARD.decode(text(name));
    let dht = node.dht();
    Ok(match text("op") {
        "connect" => {
            node.dial(text("address").parse()?).await?;
            json!({})
        }
        "put" => kept(run(dht.put(&bytes("key")?, &bytes("value")?).await?).await?.1)?,
        "get" => {
            let (events, _) = run(dht.get(&bytes("key")?, 3).await?).await?;
            let value = events.into_iter().rev().find_map(|event| match event {
                QueryEvent::Value(record) => Some(record.value),
                _ => None,
            });
            json!({ "value": BASE64_STANDARD.encode(value.ok_or("nobody has it")?) })
        }
        "provide" => kept(run(dht.provide(&bytes("key")?).await?).await?.1)?,
        "providers" => {
            let (events, _) = run(dht.find_providers(&bytes("key")?, 20).await?).await?;
            let peers = events.iter().filter_map(|event| match event {
                QueryEvent::Provider(contact) => Some(contact.peer.to_string()),
                _ => None,
            });
            json!({ "peers": peers.collect::<Vec<_>>() })
        }
        "findPeer" => {
            let (events, _) = run(dht.find_peer(text("peer").parse()?).await?).await?;
            let found = events.into_iter().find_map(|event| match event {
                QueryEvent::Peer(contact) => Some(contact.addresses),
                _ => None,
            });
            let found = found.unwrap_or_default();
            json!({ "addresses": found.iter().map(ToString::to_string).collect::<Vec<_>>() })
        }
        "closest" => {
            let (_, summary) = run(dht.closest_peers(&bytes("key")?).await?).await?;
            json!({ "peers": summary.closest.iter().map(ToString::to_string).collect::<Vec<_>>() })
        }
        "publish" => {
            let (ipns, value) = (Namespace::ipns(), text("value").as_bytes());
            dht.publish(&ipns, keypair, b"", value, Publish::default()).await?;
            json!({})
        }
        "resolve" => {
            let found = dht.resolve(&Namespace::ipns(), &text("peer").parse()?, b"").await?;
            let value = found.ok_or("nobody has it")?.content().value.clone();
            json!({ "value": String::from_utf8(value)? })
        }
        other => return Err(format!("no such request: {other}").into()),
    })
}

fn kept(summary: Summary) -> Outcome<Value> {
    if summary.successes == 0 { Err("nobody keeps it".into()) } else { Ok(json!({})) }
}

/// The events of a query, the last apart.
pub(crate) async fn run(query: Query) -> Outcome<(Vec<QueryEvent>, Summary)> {
    let mut events: Vec<_> = query.collect().await;
    match events.pop() {
        Some(QueryEvent::Done(summary)) => Ok((events, summary)),
        _ => Err("the query has no end".into()),
    }
}
