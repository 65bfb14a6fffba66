//! Public vectors for addresses.

use std::collections::BTreeMap;

use polypeer::Multiaddr;
use serde_json::Value;

fn load(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// What every address must be able to do.
fn check(address: &Multiaddr) {
    let text = address.to_string();
    assert_eq!(text.parse().as_ref(), Ok(address), "{text}");
    assert_eq!(Multiaddr::from_bytes(address.as_bytes()).as_ref(), Ok(address), "{text}");
    let mut rebuilt = Multiaddr::empty();
    for protocol in address {
        rebuilt.push(protocol).unwrap();
    }
    assert_eq!(&rebuilt, address);
}

#[test]
fn pairs() {
    let go = load(include_str!("vectors/multiaddr/go.json"));
    let rust = load(include_str!("vectors/multiaddr/valid-rust.json"));
    for case in list(&go["pairs"]).iter().chain(list(&rust["pairs"])) {
        let text = case["string"].as_str().unwrap();
        let bytes = hex::decode(case["hex"].as_str().unwrap()).unwrap();
        let address: Multiaddr = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(hex::encode(address.as_bytes()), hex::encode(&bytes), "{text}");
        assert_eq!(address.to_string(), text);
        check(&address);
    }
}

#[test]
fn valid_texts() {
    let go = load(include_str!("vectors/multiaddr/go.json"));
    for text in list(&go["valid_strings"]) {
        let text = text.as_str().unwrap();
        check(&text.parse().unwrap_or_else(|error| panic!("{text}: {error}")));
    }
}

#[test]
fn invalid_texts() {
    let go = load(include_str!("vectors/multiaddr/go.json"));
    let rust = load(include_str!("vectors/multiaddr/invalid-rust.json"));
    for text in list(&go["invalid_strings"]).iter().chain(list(&rust["invalid_strings"])) {
        let text = text.as_str().unwrap();
        let error = text.parse::<Multiaddr>().expect_err(text);
        assert!(error.offset <= text.len(), "{text}: {error}");
    }
}

/// The seeds say nothing of what is right, only that it once went wrong: an input
/// is refused, or it is an address in every way.
#[test]
fn fuzz_seeds() {
    let seeds = load(include_str!("vectors/multiaddr/fuzz-seeds.json"));
    for seed in list(&seeds["bytes_hex"]) {
        let bytes = hex::decode(seed.as_str().unwrap()).unwrap();
        if let Ok(address) = Multiaddr::from_bytes(&bytes) {
            assert_eq!(address.as_bytes(), bytes);
            check(&address);
        }
    }
    for seed in list(&seeds["strings"]) {
        let text = hex::decode(seed["string_hex"].as_str().unwrap()).unwrap();
        if let Ok(address) = String::from_utf8_lossy(&text).parse() {
            check(&address);
        }
    }
}

/// An example of each protocol, so that the table is covered whole.
const EXAMPLES: [&str; 40] = [
    "/ip4/192.0.2.1",
    "/ip6/2001:db8::1",
    "/ip6zone/eth0",
    "/ipcidr/24",
    "/dns/example.com",
    "/dns4/example.com",
    "/dns6/example.com",
    "/dnsaddr/example.com",
    "/tcp/1",
    "/udp/1",
    "/dccp/1",
    "/sctp/1",
    "/udt",
    "/utp",
    "/unix/run/peer.sock",
    "/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
    "/onion/aaimaq4ygg2iegci:80",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
    "/garlic64/",
    "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq",
    "/tls",
    "/sni/example.com",
    "/noise",
    "/quic",
    "/quic-v1",
    "/webtransport",
    "/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g",
    "/http",
    "/http-path/a%2Fb",
    "/https",
    "/ws",
    "/wss",
    "/p2p-websocket-star",
    "/p2p-stardust",
    "/p2p-webrtc-star",
    "/p2p-webrtc-direct",
    "/webrtc-direct",
    "/webrtc",
    "/p2p-circuit",
    "/memory/4",
];

#[test]
fn table_of_protocols() {
    let mut examples: BTreeMap<String, Multiaddr> = BTreeMap::new();
    for text in EXAMPLES {
        let name = text[1..].split('/').next().unwrap().to_owned();
        // I2P's destinations are too long to read well; this one is all zeros.
        let text =
            if name == "garlic64" { text.to_owned() + &"AAAA".repeat(129) } else { text.into() };
        let address = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        examples.insert(name, address);
    }
    let table = include_str!("vectors/multiaddr/protocols.csv");
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let mut cells = line.split(',').map(str::trim);
        let code: u64 = cells.next().unwrap().parse().unwrap();
        let size = cells.next().unwrap();
        let name = cells.next().unwrap();
        rows += 1;
        if name == "ipfs" {
            let p2p = &examples["p2p"];
            assert_eq!(p2p.to_string().replace("/p2p/", "/ipfs/").parse().as_ref(), Ok(p2p));
            continue;
        }
        let address = &examples[name];
        check(address);
        let mut protocols = address.iter();
        let protocol = protocols.next().unwrap();
        assert_eq!((protocol.code(), protocol.name()), (code, name));
        assert!(protocols.next().is_none());
        let mut prefix = Vec::new();
        polypeer::wire::varint::encode(code, &mut prefix);
        let value = address.as_bytes().strip_prefix(&prefix[..]).unwrap();
        match (name, size) {
            // The table leaves the form open ("arbitrary"); go and rust
            // implementations have 64 bits without a length, so has ours.
            ("memory", _) => assert_eq!(value.len(), 8),
            (_, "V") => {
                let (length, taken) = polypeer::wire::varint::decode(value).unwrap().unwrap();
                assert_eq!(length, (value.len() - taken) as u64, "{name}");
            }
            (_, bits) => assert_eq!(value.len() * 8, bits.parse::<usize>().unwrap(), "{name}"),
        }
    }
    assert_eq!(rows, 41);
    assert_eq!(examples.len(), 40);
}
