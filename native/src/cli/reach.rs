//! What `polypeer serve` tells of where it can be reached.

use polypeer::address::Multiaddr;
use polypeer::facade::Node;
use polypeer::swarm::addresses::{Reachability, Source};
use polypeer_native::mapping::{MappingEvent, PortMapping};
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

/// It is known now, or doubtful again, whether others can dial the server.
pub(super) fn tell(address: Option<&Multiaddr>, reachability: Reachability, output: Output) {
    let (name, text) = match reachability {
        Reachability::Unknown => ("unknown", "may be out of reach again"),
        Reachability::Public => ("public", "can be dialed by everyone"),
        Reachability::Private => ("private", "cannot be dialed from elsewhere"),
    };
    let address = address.map(ToString::to_string);
    let value = json!({ "event": "reachability", "address": address, "reachability": name });
    output.print(value, || match &address {
        Some(address) => format!("{address} {text}"),
        None => format!("This server {text}"),
    });
}

/// What happens to port mappings, if there are any.
pub(super) async fn mapped(mapping: &mut Option<PortMapping>) -> MappingEvent {
    if let Some(one) = mapping
        && let Some(event) = one.next().await
    {
        return event;
    }
    // There is no news, nor will there be.
    std::future::pending().await
}

/// What has happened to a port mapping.
pub(super) fn tell_mapping(event: &MappingEvent, output: Output) {
    match event {
        MappingEvent::Mapped { port, external, .. } => {
            let external = external.to_string();
            let value = json!({ "event": "mapped", "port": port, "external": external });
            output.print(value, || format!("The gateway sends {external} on to port {port}"));
        }
        MappingEvent::Failed { port, error, .. } => {
            let reason = error.to_string();
            let value = json!({ "event": "unmapped", "port": port, "reason": reason });
            output.print(value, || format!("Port {port} is not mapped: {reason}"));
        }
        _ => {}
    }
}
