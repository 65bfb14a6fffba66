//! A frame of many tiny fields costs its sender, and hardly any memory: the frame of
//! CVE-2026-46679, in each field that can be repeated.

use polypeer::protocols::pubsub::wire;
use polypeer::protocols::pubsub::{Config, Router, TopicConfig, Version};
use polypeer::wire::protobuf::Writer;
use polypeer::{Instant, Keypair, PeerId, Rng};

use crate::counting;

const MIB: usize = 1 << 20;

/// So many bytes of what `one` writes when it is told its number, or a few less.
fn full(limit: usize, mut one: impl FnMut(u32, &mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0.. {
        let before = bytes.len();
        one(number, &mut Writer(&mut bytes));
        if bytes.len() > limit {
            bytes.truncate(before);
            break;
        }
    }
    bytes
}

/// The longest frame that is read.
fn frame(one: impl FnMut(u32, &mut Writer<'_>)) -> Vec<u8> {
    full(Config::default().max_rpc, one)
}

/// The same within one message of `control`, that is long.
fn nested(field: u32, one: impl FnMut(u32, &mut Writer<'_>)) -> Vec<u8> {
    let inner = full(Config::default().max_rpc - 32, one);
    let mut bytes = Vec::new();
    Writer(&mut bytes).message(3, |out| {
        out.message(field, |out| {
            out.bytes(1, b"news");
            out.0.extend_from_slice(&inner);
        });
    });
    bytes
}

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let name = |number: u32| format!("{number:x}").into_bytes();
    vec![
        ("empty subscriptions", frame(|_, out| _ = out.bytes(1, &[]))),
        ("the same subscription", frame(|_, out| _ = out.bytes(1, b"\x08\x01\x12\x01a"))),
        (
            "subscriptions",
            frame(|number, out| {
                out.message(1, |out| _ = out.number(1, 1).bytes(2, &name(number)));
            }),
        ),
        ("empty messages", frame(|_, out| _ = out.bytes(2, &[]))),
        ("messages", frame(|_, out| _ = out.message(2, |out| _ = out.bytes(4, b"news")))),
        ("empty control messages", frame(|_, out| _ = out.bytes(3, &[]))),
        ("messages of control", frame(|_, out| _ = out.bytes(3, &[0x0a, 0]))),
        (
            "IHAVEs",
            frame(|number, out| {
                let ihave =
                    |out: &mut Writer<'_>| _ = out.bytes(1, b"news").bytes(2, &name(number));
                out.message(3, |out| _ = out.message(1, ihave));
            }),
        ),
        ("ids of an IHAVE", nested(1, |number, out| _ = out.bytes(2, &name(number)))),
        ("empty ids of an IHAVE", nested(1, |_, out| _ = out.bytes(2, &[]))),
        ("ids of an IWANT", nested(2, |number, out| _ = out.bytes(1, &name(number)))),
        ("ids of an IDONTWANT", nested(5, |number, out| _ = out.bytes(1, &name(number)))),
        ("GRAFTs", frame(|_, out| _ = out.bytes(3, b"\x1a\x03\x0a\x01a"))),
        ("PRUNEs", frame(|_, out| _ = out.bytes(3, b"\x22\x06\x0a\x04news"))),
        ("peers of a PRUNE", nested(4, |_, out| _ = out.bytes(2, &[]))),
        ("unknown fields", frame(|_, out| _ = out.number(9, 1))),
        ("extensions", frame(|_, out| _ = out.bytes(3, &[0x32, 0]))),
    ]
}

fn peer(number: u8) -> PeerId {
    Keypair::ed25519_from_seed([number; 32]).peer_id()
}

#[test]
fn a_frame_of_tiny_fields_grows_the_heap_by_less_than_a_mebibyte_and_costs_its_sender() {
    for (what, bytes) in frames() {
        assert!((MIB - 64..=MIB).contains(&bytes.len()), "{what}: {} bytes", bytes.len());
        let (now, keypair) = (Instant::ZERO, Keypair::ed25519_from_seed([0; 32]));
        let mut router = Router::new(Config::default(), keypair, 1, Rng::from_number(1));
        router.subscribe(now, "news", TopicConfig::default()).unwrap();
        router.connected(now, peer(1), Version::V1_3, (false, None));
        while router.poll().is_some() {}
        let mut excess = 0;
        let growth = counting::growth(|| {
            let read = wire::read(&bytes, |item| router.receive(now, &peer(1), item));
            excess = read.unwrap_or(1);
            router.exceeded(&peer(1), excess);
            while router.poll().is_some() {}
        });
        println!("{what}: {growth} bytes, {excess} too many");
        assert!(growth < MIB.cast_signed(), "{what}: {growth} bytes");
        let harmless = matches!(what, "unknown fields" | "empty control messages");
        assert_eq!(excess == 0, harmless, "{what}");
        assert!(router.score(now, &peer(1)) < 0.0 || harmless, "{what}");
    }
}
