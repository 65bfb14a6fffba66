//! What `polypeer serve` says when it listens.

use std::net::IpAddr;

use polypeer::address::{Multiaddr, Protocol};
use polypeer::facade::Node;
use polypeer::swarm::addresses::Waist;
use serde_json::json;

use super::output::Output;

/// Tells the address to give to pages, and all others.
pub(super) async fn print(node: &Node, listening: &[Multiaddr], output: Output) {
    let peer = *node.peer_id();
    let text = |address: &Multiaddr| address.with_peer(peer).to_string();
    let full: Vec<String> = listening.iter().map(text).collect();
    // What the server is told to announce is known to lead here.
    let announced = node.addresses().await.unwrap_or_default();
    let announced: Vec<_> = announced.iter().map(Multiaddr::without_peer).collect();
    let browser = for_browsers(announced.iter().chain(listening)).map(text);
    let value = json!({
        "event": "listening", "peer": peer.to_string(), "browser": browser, "addresses": full,
    });
    output.print(value, || {
        let mut text = format!("I am {peer}");
        if let Some(browser) = &browser {
            text.push_str(&format!("\nFor browsers\n  {browser}"));
        }
        text.push_str("\nListening on");
        for address in &full {
            text.push_str("\n  ");
            text.push_str(address);
        }
        text
    });
}

/// The address that most pages elsewhere can use, the first of several.
fn for_browsers<'a>(addresses: impl Iterator<Item = &'a Multiaddr>) -> Option<&'a Multiaddr> {
    addresses
        .filter_map(|address| Some((drawbacks(address)?, address)))
        .min_by_key(|it| it.0)
        .map(|it| it.1)
}

/// What speaks against an address, the gravest first; none if pages do not dial it at all.
fn drawbacks(address: &Multiaddr) -> Option<[bool; 5]> {
    let has = |wanted: fn(&Protocol<'_>) -> bool| address.iter().any(|part| wanted(&part));
    let direct = has(|part| matches!(part, Protocol::Certhash(_)));
    let secure = has(|part| matches!(part, Protocol::Tls | Protocol::Wss));
    if !(direct || secure) || address.is_circuit() {
        return None;
    }
    // What has a name is best, and certificates are for names as a rule.
    let Some(waist) = Waist::of(address) else { return Some([false; 5]) };
    let ip: IpAddr = waist.socket.ip();
    Some([secure, true, ip.is_loopback(), ip.is_ipv6(), !waist.is_public()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_given_what_most_of_them_can_use() {
        const HASH: &str = "certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g";
        let direct = |at: &str| format!("/{at}/udp/4001/webrtc-direct/{HASH}");
        // The best first.
        let best = [
            "/dns4/relay.example/tcp/443/tls/ws".to_owned(),
            direct("ip4/50.1.1.1"),
            direct("ip4/192.168.1.2"),
            direct("ip6/2001:db8::7"),
            direct("ip4/127.0.0.1"),
            "/ip4/50.1.1.1/tcp/4001/tls/ws".to_owned(),
        ];
        let of_no_use = ["/ip4/50.1.1.1/tcp/4001", "/ip4/50.1.1.1/tcp/4001/ws"];
        let mut all: Vec<Multiaddr> = of_no_use
            .into_iter()
            .chain(best.iter().rev().map(|text| &**text))
            .map(|text| text.parse().unwrap())
            .collect();
        for wanted in best {
            assert_eq!(for_browsers(all.iter()).unwrap().to_string(), wanted);
            all.pop();
        }
        assert_eq!(for_browsers(all.iter()), None);
    }
}
