//! What `polypeer serve` tells of where it can be reached.

use polypeer::address::Multiaddr;
use polypeer::facade::Node;
use polypeer::swarm::addresses::Source;
use serde_json::json;

use super::output::Output;

/// The addresses that were told last.
pub(super) struct Reach {
    told: Vec<Multiaddr>,
    output: Output,
}

impl Reach {
    /// Those that the server begins with are told when it listens; if it announces
    /// others, they are told now.
    pub(super) async fn new(node: &Node, output: Output) -> Self {
        let own = node.own_addresses().await.unwrap_or_default();
        let listening = own.iter().filter(|own| own.source == Source::Listening);
        let peer = *node.peer_id();
        let told = listening.map(|own| own.address.with_peer(peer)).collect();
        let mut reach = Self { told, output };
        reach.changed(node).await;
        reach
    }

    /// The addresses may be others than before.
    pub(super) async fn changed(&mut self, node: &Node) {
        // A node that has ended announces nothing.
        let Ok(addresses) = node.addresses().await else { return };
        if addresses == self.told {
            return;
        }
        self.told = addresses;
        let list: Vec<String> = self.told.iter().map(ToString::to_string).collect();
        let value = json!({ "event": "addresses", "addresses": list });
        self.output.print(value, || format!("Announcing\n  {}", list.join("\n  ")));
    }
}
