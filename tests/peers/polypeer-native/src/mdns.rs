//! The command `mdns`: a neighbour on this machine alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use polypeer::discovery::mdns::MdnsEvent;
use polypeer::facade::{Node, Platform};
use polypeer::node::Config;
use polypeer::{Keypair, Multiaddr, PeerId, Rng};
use polypeer_native::Native;
use polypeer_native::mdns::{Mdns, MdnsOptions};
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;

use crate::{Outcome, answers};

/// Says who is found at that port, and dials them, until the input ends.
pub(crate) async fn serve(port: u16) -> Outcome<()> {
    let platform = Arc::new(Native::default());
    let keypair = Keypair::generate_ed25519(&mut Rng::from_seed(platform.seed()));
    let node = Node::start(platform.clone(), Config::new(keypair));
    node.listen(crate::LOOPBACK.parse()?).await?;
    let mut options = MdnsOptions::default();
    options.config.loopback = true;
    options.port = port;
    let mut neighbours = Neighbours {
        mdns: Mdns::start(node.clone(), platform.seed(), options)?,
        heard: BTreeMap::new(),
    };
    let addresses: Vec<String> = node.addresses().await?.iter().map(ToString::to_string).collect();
    println!("{}", json!({ "peerId": node.peer_id().to_string(), "addresses": addresses }));
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        answers::print(answer(&node, &mut neighbours, &serde_json::from_str(&line)?).await);
    }
    neighbours.mdns.close().await;
    node.close().await;
    Ok(())
}

struct Neighbours {
    mdns: Mdns,
    heard: BTreeMap<PeerId, Vec<Multiaddr>>,
}

impl Neighbours {
    /// Where it listens, once it was heard of.
    async fn find(&mut self, peer: &PeerId) -> Outcome<&[Multiaddr]> {
        while !self.heard.contains_key(peer) {
            match self.mdns.next().await.ok_or("the node has ended")? {
                MdnsEvent::Seen { peer, addresses, .. } => self.heard.insert(peer, addresses),
                MdnsEvent::Gone(peer) => self.heard.remove(&peer),
                _ => None,
            };
        }
        Ok(&self.heard[peer])
    }
}

async fn answer(node: &Node, neighbours: &mut Neighbours, request: &Value) -> Outcome<Value> {
    let peer: PeerId = request["peer"].as_str().unwrap_or_default().parse()?;
    Ok(match request["op"].as_str().unwrap_or_default() {
        "find" => {
            let addresses = neighbours.find(&peer).await?;
            json!({ "addresses": addresses.iter().map(ToString::to_string).collect::<Vec<_>>() })
        }
        "dial" => {
            node.dial_peer(Some(peer), Vec::new()).await?;
            json!({})
        }
        other => return Err(format!("no such request: {other}").into()),
    })
}
