//! What a server does and holds, printed now and then.

use std::time::Duration;

use polypeer::facade::Node;
use polypeer::node::{ScopeUse, Stats};
use polypeer::swarm::meter::Traffic;
use serde_json::{Value, json};

use super::output::Output;

/// Prints figures every `interval` until the node ends.
pub(super) async fn print(node: Node, interval: Duration, output: Output) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first comes at once, when there is nothing to tell.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let Ok(stats) = node.stats().await else { return };
        output.print(value(&stats), || stats.to_string());
    }
}

fn value(stats: &Stats) -> Value {
    let protocols = stats.protocols.iter().map(|protocol| {
        let traffic = traffic(&protocol.traffic);
        let (streams_in, streams_out) = (protocol.streams_in, protocol.streams_out);
        json!({
            "name": &*protocol.name, "streamsIn": streams_in, "streamsOut": streams_out,
            "traffic": traffic,
        })
    });
    let scopes = stats.scopes.iter().map(|ScopeUse { scope, resource, used, limit, refused }| {
        json!({
            "scope": scope.name(), "resource": resource.name(),
            "used": used, "limit": limit, "refused": refused,
        })
    });
    let (connections, refused) = (&stats.connections, &stats.refused);
    json!({
        "event": "stats",
        "connections": {
            "inbound": connections.inbound, "outbound": connections.outbound,
            "handshaking": connections.handshaking, "dialing": connections.dialing,
        },
        "peers": stats.peers,
        "streamsIn": stats.streams_in,
        "streamsOut": stats.streams_out,
        "memory": stats.memory,
        "traffic": traffic(&stats.traffic),
        "refused": {
            "full": refused.full, "handshakes": refused.handshakes, "denied": refused.denied,
            "addressFull": refused.address_full, "tooFast": refused.too_fast,
        },
        "protocols": protocols.collect::<Vec<_>>(),
        "scopes": scopes.collect::<Vec<_>>(),
    })
}

fn traffic(traffic: &Traffic) -> Value {
    let Traffic { bytes_in, bytes_out, rate_in, rate_out } = traffic;
    json!({
        "bytesIn": bytes_in, "bytesOut": bytes_out, "rateIn": rate_in, "rateOut": rate_out,
    })
}
