//! What a server does and holds, printed now and then.

use std::time::Duration;

use polypeer::facade::Node;
use polypeer::node::{ScopeUse, Stats};
use polypeer::protocols::relay::RelayStats;
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
        let relay = node.relay_stats().await.unwrap_or_default();
        output.print(value(&stats, &relay), || format!("{stats}\n{}", said(&relay)));
    }
}

/// What the relay does, in a line.
fn said(relay: &RelayStats) -> String {
    let RelayStats { reservations, circuits, refused, pairs, .. } = relay;
    let bytes: u64 = pairs.iter().flat_map(|pair| pair.bytes).sum();
    let mut line =
        format!("relay        {reservations} places, {circuits} circuits, {bytes} B carried");
    for (rule, count) in refused {
        line.push_str(&format!("; {count} refused: {}", rule.name()));
    }
    line
}

fn relayed(relay: &RelayStats) -> Value {
    let pairs = relay.pairs.iter().map(|pair| {
        json!({
            "source": pair.source.to_string(), "target": pair.target.to_string(),
            "circuits": pair.circuits, "bytesThere": pair.bytes[0], "bytesBack": pair.bytes[1],
        })
    });
    let refused = relay.refused.iter().map(|(rule, count)| (rule.name().into(), json!(count)));
    json!({
        "reservations": relay.reservations, "circuits": relay.circuits,
        "refused": refused.collect::<serde_json::Map<_, _>>(),
        "pairs": pairs.collect::<Vec<_>>(),
    })
}

fn value(stats: &Stats, relay: &RelayStats) -> Value {
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
        "relay": relayed(relay),
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
