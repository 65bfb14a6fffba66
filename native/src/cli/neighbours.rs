//! The neighbours of `polypeer serve`: peers on the local network.

use polypeer::discovery::mdns::{MdnsEvent, ServiceName};
use polypeer::facade::Node;
use polypeer::facade::platform::Platform;
use polypeer_native::Native;
use polypeer_native::mdns::{Mdns, MdnsOptions};
use serde_json::json;

use super::Failure;
use super::output::Output;

/// Looks for those of `name`, if there is one.
pub(super) fn look(node: &Node, name: Option<ServiceName>) -> Result<Option<Mdns>, Failure> {
    let Some(name) = name else { return Ok(None) };
    let mut options = MdnsOptions::default();
    options.config.service = name;
    let seed = Native::default().seed();
    Mdns::start(node.clone(), seed, options).map(Some).map_err(Failure::Mdns)
}

/// What is heard of them, if they are looked for.
pub(super) async fn heard(mdns: &mut Option<Mdns>) -> MdnsEvent {
    if let Some(one) = mdns
        && let Some(event) = one.next().await
    {
        return event;
    }
    // There is no news, nor will there be.
    std::future::pending().await
}

/// Connects to one that is new.
pub(super) fn meet(node: &Node, event: &MdnsEvent, output: Output) {
    if let MdnsEvent::Seen { peer, addresses, new: true, .. } = event {
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let value = json!({ "event": "neighbour", "peer": peer.to_string(), "addresses": list });
        output.print(value, || format!("Neighbour {peer} at {}", list.join(", ")));
        let (node, peer) = (node.clone(), *peer);
        tokio::spawn(async move {
            if let Err(error) = node.dial_peer(Some(peer), Vec::new()).await {
                output.warn(&format!("the neighbour {peer} cannot be reached: {error}"));
            }
        });
    }
}
