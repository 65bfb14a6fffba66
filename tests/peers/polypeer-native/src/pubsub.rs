//! The command `pubsub`: topics, as the input says.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use polypeer::facade::{Node, Platform, Topic};
use polypeer::node::Config;
use polypeer::protocols::pubsub;
use polypeer::{Keypair, PeerId, Rng};
use polypeer_native::Native;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;

use crate::Outcome;

/// A topic with all that has come of it.
struct Room {
    topic: Topic,
    received: Vec<Value>,
}

/// Carries out what the input asks for until it ends.
pub(crate) async fn serve() -> Outcome<()> {
    let platform = Arc::new(Native::default());
    let mut config = Config::new(Keypair::generate_ed25519(&mut Rng::from_seed(platform.seed())));
    config.pubsub = Some(pubsub::Config::default());
    let node = Node::start(platform, config);
    node.listen(crate::LOOPBACK.parse()?).await?;
    let addresses: Vec<String> = node.addresses().await?.iter().map(ToString::to_string).collect();
    println!("{}", json!({ "peerId": node.peer_id().to_string(), "addresses": addresses }));
    let mut rooms = BTreeMap::new();
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match carry_out(&node, &mut rooms, &serde_json::from_str(&line)?).await {
            Ok(mut answer) => {
                answer["ok"] = true.into();
                println!("{answer}");
            }
            Err(error) => println!("{}", json!({ "ok": false, "error": error.to_string() })),
        }
    }
    node.close().await;
    Ok(())
}

async fn carry_out(
    node: &Node,
    rooms: &mut BTreeMap<String, Room>,
    request: &Value,
) -> Outcome<Value> {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    match text("op") {
        "connect" => {
            node.dial(text("address").parse()?).await?;
            return Ok(json!({}));
        }
        "subscribe" => {
            let topic = node.pubsub().subscribe(text("topic")).await?;
            rooms.insert(text("topic").to_owned(), Room { topic, received: Vec::new() });
            return Ok(json!({}));
        }
        _ => {}
    }
    let room = rooms.get_mut(text("topic")).ok_or("not subscribed")?;
    Ok(match text("op") {
        "publish" => {
            room.topic.publish(&BASE64_STANDARD.decode(text("data"))?).await?;
            json!({})
        }
        "peers" => {
            let names =
                |peers: Vec<PeerId>| peers.iter().map(ToString::to_string).collect::<Vec<_>>();
            json!({
                "peers": names(room.topic.peers().await?),
                "mesh": names(node.pubsub().mesh(text("topic")).await?),
            })
        }
        "received" => {
            let count = usize::try_from(request["count"].as_u64().unwrap_or_default())?;
            while room.received.len() < count {
                let one = room.topic.next().await.ok_or("the topic has ended")?;
                let from = one.message.from().map(|peer| peer.to_string());
                let data = BASE64_STANDARD.encode(one.message.data());
                room.received.push(json!({ "from": from, "data": data }));
            }
            json!({ "messages": room.received })
        }
        other => return Err(format!("no such request: {other}").into()),
    })
}
