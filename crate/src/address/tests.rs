//! Tests of the room as a whole; public vectors are in `tests/vectors_multiaddr.rs`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::{Multiaddr, ParseErrorKind, Protocol};
use crate::wire::mutate::mutations;
use crate::{PeerId, Rng};

fn parse(text: &str) -> Multiaddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn peer(number: u64) -> PeerId {
    PeerId::random(&mut Rng::from_number(number))
}

#[test]
fn errors_say_where_and_why() {
    for (text, expected) in [
        ("", "at byte 0: the address is empty"),
        ("//", "at byte 0: the address is empty"),
        ("ip4/1.2.3.4", "at byte 0: an address starts with a slash, as in /ip4/192.0.2.1/tcp/4001"),
        ("/ip4/1.2.3.4//tcp/1", "at byte 13: a protocol's name is missing between two slashes"),
        ("/tpc/80", "at byte 1: no protocol is called `tpc`"),
        ("/dns4//tcp/1", "at byte 6: `dns4` needs a name of visible characters without a slash"),
        ("/tcp", "at byte 4: `tcp` needs a port from 0 to 65535, but the address ends here"),
        ("/tcp/+80", "at byte 5: `tcp` needs a port from 0 to 65535"),
        ("/ip4/::1", "at byte 5: `ip4` needs an IPv4 address, as in 192.0.2.1"),
        ("/p2p-circuit/50", "at byte 13: no protocol is called `50`"),
        ("/unix/%2Fa%2", "at byte 6: `unix` needs an absolute path in UTF-8"),
    ] {
        assert_eq!(text.parse::<Multiaddr>().unwrap_err().to_string(), expected);
    }
    for (bytes, expected) in [
        (&[][..], "at byte 0: the address is empty"),
        (&[6, 0, 80, 0x80], "at byte 3: the address ends within a code or a length"),
        (
            &[6, 0, 80, 0x80, 0],
            "at byte 3: the code or length is not readable: the varint is not in its shortest form",
        ),
        (&[6, 0, 80, 5], "at byte 3: no protocol has the code 5"),
        (
            &[54, 9, b'a'],
            "at byte 3: `dns4` needs a name of visible characters without a slash, but the address ends here",
        ),
        (
            &[6, 0, 80, 54, 1, b'/'],
            "at byte 5: `dns4` needs a name of visible characters without a slash",
        ),
        (&[54, 1, 0x1b], "at byte 2: `dns4` needs a name of visible characters without a slash"),
        (&[6, 0], "at byte 2: `tcp` needs a port from 0 to 65535, but the address ends here"),
    ] {
        assert_eq!(Multiaddr::from_bytes(bytes).unwrap_err().to_string(), expected);
    }
}

#[test]
fn the_length_limit_is_reached() {
    let longest = "/tls".repeat(Multiaddr::MAX_LEN / 2);
    let mut address = parse(&longest);
    assert_eq!(address.as_bytes().len(), Multiaddr::MAX_LEN);
    assert_eq!(Multiaddr::from_bytes(address.as_bytes()).as_ref(), Ok(&address));
    let error = (longest + "/tls").parse::<Multiaddr>().unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::TooLong);
    address.push(Protocol::Tls).unwrap();
    let error = Multiaddr::from_bytes(address.as_bytes()).unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::TooLong);

    let error = ("/dns4/".to_owned() + &"a".repeat(1 << 20)).parse::<Multiaddr>().unwrap_err();
    assert_eq!(error.offset, 6);
    let error = ("/".to_owned() + &"é".repeat(1 << 20)).parse::<Multiaddr>().unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::UnknownName("é".repeat(32).into()));
}

#[test]
fn parts_are_put_on_and_taken_off() {
    let (relay, target) = (peer(1), peer(2));
    let direct = parse("/ip4/192.0.2.1/tcp/4001/ws");
    assert_eq!(direct.peer_id(), None);
    assert_eq!(direct.without_peer(), direct);
    assert_eq!(direct.with_peer(relay).with_peer(target), direct.with_peer(target));

    let relayed = direct.with_peer(relay).with_circuit().with_peer(target);
    assert_eq!(relayed.peer_id(), Some(target));
    assert!(relayed.is_circuit() && !direct.is_circuit());
    assert!(relayed.is_relayed() && !direct.is_relayed());
    assert_eq!(relayed.without_peer().peer_id(), None);
    let expected = format!("/ip4/192.0.2.1/tcp/4001/ws/p2p/{relay}/p2p-circuit/p2p/{target}");
    assert_eq!(relayed.to_string(), expected);
    #[cfg(feature = "webrtc")]
    {
        let met = direct.with_peer(relay).with_circuit().with(Protocol::Webrtc).unwrap();
        for address in [met.with_peer(target), met] {
            assert!(address.is_circuit() && address.is_signalled() && !address.is_relayed());
        }
        assert!(!parse("/ip4/192.0.2.1/udp/1/webrtc-direct").is_signalled());
    }
    let tail = parse(&format!("/p2p-circuit/p2p/{target}"));
    assert_eq!(direct.with_peer(relay).concat(&tail), relayed);

    let mut address = direct.clone();
    for left in ["/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.1", "", ""] {
        address.pop();
        assert_eq!(address.to_string(), left);
    }
    assert!(address.is_empty() && address == Multiaddr::default());
}

#[test]
fn values_that_would_break_the_text_are_not_pushed() {
    let mut address = parse("/tcp/1");
    for protocol in [
        Protocol::Dns4(""),
        Protocol::Dns("a/b"),
        Protocol::Sni("a\n"),
        Protocol::Unix("relative"),
        Protocol::Certhash(b"\x12\x20short"),
        Protocol::HttpPath(b""),
        Protocol::Onion(&[0; 10], 0),
        Protocol::Garlic32(&[0; 33]),
        Protocol::Garlic64(&[0; 386]),
    ] {
        assert!(address.push(protocol).is_err(), "{protocol:?}");
    }
    assert_eq!(address.to_string(), "/tcp/1");
}

#[test]
fn socket_addresses() {
    let v4 = "192.0.2.1:80".parse().unwrap();
    let v6 = "[2001:db8::1]:443".parse().unwrap();
    assert_eq!(Multiaddr::tcp(v4).to_string(), "/ip4/192.0.2.1/tcp/80");
    assert_eq!(Multiaddr::udp(v6).to_string(), "/ip6/2001:db8::1/udp/443");
}

/// A path takes all that follows, as in go-libp2p, unless it is written with
/// escaped slashes: then other parts can follow.
#[test]
fn unix_paths() {
    let plain = parse("/unix/run/peer.sock");
    assert_eq!(plain.iter().next(), Some(Protocol::Unix("/run/peer.sock")));
    assert_eq!(parse("/unix/%2Frun%2Fpeer.sock"), plain);
    assert_eq!(plain.to_string(), "/unix/run/peer.sock");

    let named = plain.with_peer(peer(1));
    assert_eq!(named.to_string(), format!("/unix/%2Frun%2Fpeer.sock/p2p/{}", peer(1)));
    assert_eq!(parse(&named.to_string()), named);

    for path in ["/", "/a/", "/%2F", "/a\n", "/a%b", "//a", "/ü"] {
        let address = Multiaddr::empty().with(Protocol::Unix(path)).unwrap();
        assert_eq!(parse(&address.to_string()), address, "{path}");
    }
}

#[test]
fn bent_bytes_are_refused_or_addresses() {
    let seeds: Vec<Vec<u8>> = SEEDS.map(|text| parse(text).as_bytes().to_vec()).into();
    mutations(1, &seeds, 10_000, |bytes| {
        if let Ok(address) = Multiaddr::from_bytes(bytes) {
            assert_eq!(address.as_bytes(), bytes);
            assert_eq!(parse(&address.to_string()), address);
        }
    });
}

#[test]
fn bent_text_is_refused_or_an_address() {
    let seeds: Vec<Vec<u8>> = SEEDS.map(|text| text.as_bytes().to_vec()).into();
    mutations(2, &seeds, 10_000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match text.parse::<Multiaddr>() {
            Ok(address) => {
                assert_eq!(Multiaddr::from_bytes(address.as_bytes()).as_ref(), Ok(&address));
                assert_eq!(parse(&address.to_string()), address);
            }
            Err(error) => assert!(text.get(error.offset..).is_some(), "{text}: {error}"),
        }
    });
}

const SEEDS: [&str; 8] = [
    "/ip4/192.0.2.1/tcp/4001/ws/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
    "/ip6/2001:db8::1/ip6zone/eth0/udp/1/quic-v1/webtransport/certhash/b2uaraocy6yrdblb4sfptaddgimjmmpy",
    "/dns4/example.com/tcp/443/tls/sni/example.com/http/http-path/a%2Fb%ff",
    "/unix/%2Frun%2Fpeer.sock/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
    "/memory/18446744073709551615/unix/run/peer.sock",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234/p2p-circuit",
    "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq/onion/aaimaq4ygg2iegci:80",
    "/ip4/192.0.2.0/ipcidr/24/sctp/0/dccp/65535/udt/utp/noise/webrtc-direct",
];

/// The values of a part that owns what [`Protocol`] borrows.
#[derive(Clone, Debug)]
enum Part {
    Plain(Protocol<'static>),
    Name(u8, String),
    Unix(String),
    Bytes(u8, Vec<u8>),
    Onion([u8; 10], u16),
    Onion3(Vec<u8>, u16),
}

impl Part {
    fn push_to(&self, address: &mut Multiaddr) {
        let protocol = match self {
            Self::Plain(protocol) => *protocol,
            Self::Name(0, name) => Protocol::Dns(name),
            Self::Name(1, name) => Protocol::Dns4(name),
            Self::Name(2, name) => Protocol::Dns6(name),
            Self::Name(3, name) => Protocol::Dnsaddr(name),
            Self::Name(4, name) => Protocol::Sni(name),
            Self::Name(_, name) => Protocol::Ip6zone(name),
            Self::Unix(path) => Protocol::Unix(path),
            Self::Bytes(0, bytes) => Protocol::HttpPath(bytes),
            Self::Bytes(1, bytes) => Protocol::Garlic32(bytes),
            Self::Bytes(_, bytes) => {
                let hash = [&[0x12, bytes.len() as u8], &bytes[..]].concat();
                return address.push(Protocol::Certhash(&hash)).unwrap();
            }
            Self::Onion(host, port) => Protocol::Onion(host, *port),
            Self::Onion3(host, port) => Protocol::Onion3(host.first_chunk().unwrap(), *port),
        };
        address.push(protocol).unwrap();
    }
}

fn part() -> impl Strategy<Value = Part> {
    let flags = prop::sample::select(vec![
        Protocol::Tls,
        Protocol::Noise,
        Protocol::Quic,
        Protocol::QuicV1,
        Protocol::WebTransport,
        Protocol::Webrtc,
        Protocol::WebrtcDirect,
        Protocol::P2pCircuit,
        Protocol::Http,
        Protocol::Https,
        Protocol::Ws,
        Protocol::Wss,
    ]);
    prop_oneof![
        flags.prop_map(Part::Plain),
        any::<IpAddr>().prop_map(|ip| Part::Plain(ip.into())),
        any::<u128>().prop_map(|ip| Part::Plain(Protocol::Ip6(Ipv6Addr::from_bits(ip)))),
        any::<u16>().prop_map(|port| Part::Plain(Protocol::Tcp(port))),
        any::<u16>().prop_map(|port| Part::Plain(Protocol::Udp(port))),
        any::<u8>().prop_map(|bits| Part::Plain(Protocol::Ipcidr(bits))),
        any::<u64>().prop_map(|number| Part::Plain(Protocol::Memory(number))),
        any::<u64>().prop_map(|number| Part::Plain(Protocol::P2p(peer(number)))),
        (0..6u8, "[^/\\p{Cc}]{1,20}").prop_map(|(which, name)| Part::Name(which, name)),
        "/\\PC{0,20}".prop_map(Part::Unix),
        (0..3u8, prop::collection::vec(any::<u8>(), 32))
            .prop_map(|(which, b)| Part::Bytes(which, b)),
        (any::<[u8; 10]>(), 1..=u16::MAX).prop_map(|(host, port)| Part::Onion(host, port)),
        (prop::collection::vec(any::<u8>(), 35), 1..=u16::MAX)
            .prop_map(|(host, port)| Part::Onion3(host, port)),
    ]
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(parts in prop::collection::vec(part(), 1..8)) {
        let mut address = Multiaddr::empty();
        for part in &parts {
            part.push_to(&mut address);
        }
        prop_assert_eq!(address.iter().count(), parts.len());
        prop_assert_eq!(&Multiaddr::from_bytes(address.as_bytes()).unwrap(), &address);
        let text = address.to_string();
        prop_assert_eq!(&text.parse::<Multiaddr>().expect(&text), &address);

        let mut shorter = address.clone();
        shorter.pop();
        parts.last().unwrap().push_to(&mut shorter);
        prop_assert_eq!(shorter, address);
    }
}

#[test]
fn ip_addresses_are_written_as_the_standard_library_does() {
    let mut rng = Rng::from_number(1);
    let check = |ip: Ipv6Addr| {
        let mut address = Multiaddr::empty();
        address.push(Protocol::Ip6(ip)).unwrap();
        assert_eq!(address.to_string(), format!("/ip6/{ip}"));
    };
    for text in ["::", "::1", "1::", "::ffff:192.0.2.1", "1:0:0:2::3", "0:1::", "a:0:b:0:c:0:d:0"] {
        check(text.parse().unwrap());
    }
    for _ in 0..5_000 {
        let segments =
            [(); 8].map(|()| if rng.below(2) == 0 { 0 } else { rng.below(65_536) as u16 });
        check(Ipv6Addr::from(segments));
    }
    let ip = Ipv4Addr::new(192, 0, 2, 255);
    let mut address = Multiaddr::empty();
    address.push(Protocol::Ip4(ip)).unwrap();
    assert_eq!(address.to_string(), format!("/ip4/{ip}"));
}
