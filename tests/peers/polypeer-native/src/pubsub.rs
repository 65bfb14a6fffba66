//! The commands `pubsub`, topics as the input says, and `pubsub-bench`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use polypeer::discovery::topics::{self, announcing};
use polypeer::facade::{Events, Node, Platform, Topic};
use polypeer::node::{Config, Event};
use polypeer::protocols::kad;
use polypeer::protocols::pubsub::{self, PubsubEvent};
use polypeer::{Keypair, Multiaddr, PeerId, Rng};
use polypeer_native::Native;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;

use crate::gossip::{self, Deliveries};
use crate::{Outcome, answers};

/// A topic with all that has come of it.
struct Room {
    topic: Topic,
    received: Vec<Value>,
}

/// Whom the node has found by topics.
type Found = Arc<Mutex<Vec<String>>>;

async fn follow(mut events: Events, found: Found) {
    while let Some(event) = events.next().await {
        if let Event::Pubsub(PubsubEvent::Found { peer, .. }) = event
            && let Ok(mut found) = found.lock()
        {
            found.push(peer.to_string());
        }
    }
}

/// Carries out what the input asks for until it ends. With the discovery `dht` it looks for
/// the peers of its topics in a DHT and is not found there; with `provide` it is in one and
/// does not look; with `announce` it announces itself in a topic for that.
pub(crate) async fn serve(discovery: &str) -> Outcome<()> {
    let platform = Arc::new(Native::default());
    let mut config = Config::new(Keypair::generate_ed25519(&mut Rng::from_seed(platform.seed())));
    config.pubsub = Some(pubsub::Config::default());
    if discovery == "dht" || discovery == "provide" {
        let (protocol, mode) = (crate::dht::NAME.into(), kad::Mode::Client);
        config.kad = Some(kad::Config { protocol, mode, ..kad::Config::default() });
    }
    config.topic_discovery = topics::Config { dht: discovery == "dht", ..topics::Config::off() };
    let node = Node::start(platform, config);
    node.listen(crate::LOOPBACK.parse()?).await?;
    let found = Found::default();
    tokio::spawn(follow(node.events(), found.clone()));
    if discovery == "announce" {
        let interval = Duration::from_secs(1);
        let config = announcing::Config { interval, ..announcing::Config::default() };
        node.pubsub().start_peer_discovery(config).await?;
    }
    let addresses: Vec<String> = node.addresses().await?.iter().map(ToString::to_string).collect();
    println!("{}", json!({ "peerId": node.peer_id().to_string(), "addresses": addresses }));
    let mut rooms = BTreeMap::new();
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        answers::print(carry_out(&node, (&mut rooms, &found), &serde_json::from_str(&line)?).await);
    }
    node.close().await;
    Ok(())
}

async fn carry_out(
    node: &Node,
    (rooms, found): (&mut BTreeMap<String, Room>, &Found),
    request: &Value,
) -> Outcome<Value> {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    match text("op") {
        "connect" => {
            node.dial(text("address").parse()?).await?;
            return Ok(json!({}));
        }
        "provide" => {
            // At first it may not have found out whom it can ask.
            let key = topics::key(text("topic"));
            while crate::dht::run(node.dht().provide(&key).await?).await?.1.successes == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            return Ok(json!({}));
        }
        "found" => return Ok(json!({ "found": *found.lock().map_err(|_| "poisoned")? })),
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
                "mesh": names(room.topic.mesh().await?),
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

/// Many peers in this process: how many messages a second they hear, and what one costs.
pub(crate) async fn bench(peers: usize, messages: usize, window: usize) -> Outcome<()> {
    let deliveries = Arc::new(Deliveries::new(peers, messages));
    let mut nodes = Vec::new();
    let mut addresses: Vec<Multiaddr> = Vec::new();
    for peer in 0..peers {
        let node = crate::start();
        node.listen(crate::LOOPBACK.parse()?).await?;
        let mut topic = node.pubsub().subscribe(gossip::TOPIC).await?;
        let deliveries = deliveries.clone();
        tokio::spawn(async move {
            while let Some(one) = topic.next().await {
                deliveries.heard(one.message.data());
            }
        });
        for other in gossip::dials(peer) {
            node.dial(addresses[other].clone()).await?;
        }
        addresses.push(node.addresses().await?.remove(0));
        nodes.push(node);
    }
    let publish = async |peer: usize, data: Vec<u8>| -> Outcome<()> {
        nodes[peer].pubsub().publish(gossip::TOPIC, &data).await?;
        Ok(())
    };
    deliveries.measure(peers, (messages, window), publish).await
}
