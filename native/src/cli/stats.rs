//! What a server does and holds, printed now and then.

use std::time::Duration;

use polypeer::facade::{Node, Status};
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
        let dht = node.dht().status().await.ok().flatten();
        let value = value(&stats, &relay, dht.as_ref());
        output.print(value, || format!("{stats}\n{}{}", said(&relay), dht_said(dht.as_ref())));
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

/// How the server takes part in a DHT, in a line of its own; nothing if it does not.
fn dht_said(dht: Option<&Status>) -> String {
    let Some(Status { server, peers, kept: (records, provided), .. }) = dht else {
        return String::new();
    };
    let part = if *server { "server" } else { "client" };
    format!("\ndht          {part}, {peers} peers, {records} records, {provided} keys provided")
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

fn value(stats: &Stats, relay: &RelayStats, dht: Option<&Status>) -> Value {
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
        "dht": dht.map(|dht| json!({
            "server": dht.server, "peers": dht.peers, "network": dht.network,
            "records": dht.kept.0, "provided": dht.kept.1,
        })),
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
