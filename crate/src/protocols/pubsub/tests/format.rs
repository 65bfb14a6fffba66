//! What goes over the wire, with prost as the oracle.

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::rng::Rng;
use crate::wire::protobuf::{Malformed, Writer};
use wire::{Exchanged, Extensions, Item, RpcWriter, read};

#[derive(Clone, PartialEq, prost::Message)]
struct Rpc {
    #[prost(message, repeated, tag = "1")]
    subscriptions: Vec<SubOpts>,
    #[prost(message, repeated, tag = "2")]
    publish: Vec<Published>,
    #[prost(message, optional, tag = "3")]
    control: Option<Control>,
    #[prost(message, optional, tag = "7038551")]
    choking: Option<Chokes>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SubOpts {
    #[prost(bool, optional, tag = "1")]
    subscribe: Option<bool>,
    #[prost(string, optional, tag = "2")]
    topic: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Published {
    #[prost(bytes = "vec", optional, tag = "1")]
    from: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    data: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    seqno: Option<Vec<u8>>,
    #[prost(string, required, tag = "4")]
    topic: String,
    #[prost(bytes = "vec", optional, tag = "5")]
    signature: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "6")]
    key: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Control {
    #[prost(message, repeated, tag = "1")]
    ihave: Vec<IHave>,
    #[prost(message, repeated, tag = "2")]
    iwant: Vec<Ids>,
    #[prost(message, repeated, tag = "3")]
    graft: Vec<Graft>,
    #[prost(message, repeated, tag = "4")]
    prune: Vec<Prune>,
    #[prost(message, repeated, tag = "5")]
    idontwant: Vec<Ids>,
    #[prost(message, optional, tag = "6")]
    extensions: Option<Ext>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct IHave {
    #[prost(string, optional, tag = "1")]
    topic: Option<String>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    ids: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Ids {
    #[prost(bytes = "vec", repeated, tag = "1")]
    ids: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Graft {
    #[prost(string, optional, tag = "1")]
    topic: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Prune {
    #[prost(string, optional, tag = "1")]
    topic: Option<String>,
    #[prost(message, repeated, tag = "2")]
    peers: Vec<Info>,
    #[prost(uint64, optional, tag = "3")]
    backoff: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Info {
    #[prost(bytes = "vec", optional, tag = "1")]
    peer: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    record: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Chokes {
    #[prost(string, repeated, tag = "1")]
    choke: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    unchoke: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Ext {
    #[prost(bool, optional, tag = "6492434")]
    test: Option<bool>,
    #[prost(bool, optional, tag = "7038551")]
    choking: Option<bool>,
}

fn bytes(ids: &[MessageId]) -> Vec<Vec<u8>> {
    ids.iter().map(|id| id.as_bytes().to_vec()).collect()
}

/// Items as prost would have them.
fn oracle(items: &[Item]) -> Rpc {
    let mut rpc = Rpc::default();
    let some = |topic: &TopicName| Some(topic.to_string());
    for item in items {
        let mut control = rpc.control.take().unwrap_or_default();
        match item {
            Item::Extensions(Extensions { test, choking }) => {
                let ext = control.extensions.get_or_insert_default();
                ext.test = test.then_some(true).or(ext.test);
                ext.choking = choking.then_some(true).or(ext.choking);
            }
            Item::Subscribe(topic) | Item::Unsubscribe(topic) => {
                let subscribe = Some(matches!(item, Item::Subscribe(_)));
                rpc.subscriptions.push(SubOpts { subscribe, topic: some(topic) });
            }
            Item::Message(message) => {
                rpc.publish.push(Published::decode(message.as_bytes()).unwrap());
            }
            Item::IHave(topic, ids) => {
                control.ihave.push(IHave { topic: some(topic), ids: bytes(ids) });
            }
            Item::IWant(ids) => control.iwant.push(Ids { ids: bytes(ids) }),
            Item::Graft(topic) => control.graft.push(Graft { topic: some(topic) }),
            Item::Prune { topic, peers, backoff } => control.prune.push(Prune {
                topic: some(topic),
                peers: peers
                    .iter()
                    .map(|peer| Info {
                        peer: Some(peer.peer.as_bytes().to_vec()),
                        record: (!peer.record.is_empty()).then(|| peer.record.clone()),
                    })
                    .collect(),
                backoff: *backoff,
            }),
            Item::IDontWant(ids) => control.idontwant.push(Ids { ids: bytes(ids) }),
            Item::Test => {}
            Item::Choke(topic) => {
                let chokes = rpc.choking.get_or_insert_default();
                chokes.choke.push(topic.to_string());
            }
            Item::Unchoke(topic) => {
                let chokes = rpc.choking.get_or_insert_default();
                chokes.unchoke.push(topic.to_string());
            }
        }
        rpc.control = (control != Control::default()).then_some(control);
    }
    rpc
}

fn topics() -> impl Strategy<Value = TopicName> {
    "[a-zé/]{1,12}".prop_map(|name: String| name.as_str().into())
}

fn ids() -> impl Strategy<Value = Vec<MessageId>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..5)
        .prop_map(|ids| ids.iter().map(|id| MessageId::new(id)).collect())
}

fn items() -> impl Strategy<Value = Item> {
    let exchanged = (0u64..50, prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(peer, record)| Exchanged { peer: super::peer(peer), record });
    prop_oneof![
        Just(Item::Extensions(Extensions { test: true, choking: false })),
        Just(Item::Extensions(Extensions { test: true, choking: true })),
        topics().prop_map(Item::Choke),
        topics().prop_map(Item::Unchoke),
        topics().prop_map(Item::Subscribe),
        topics().prop_map(Item::Unsubscribe),
        (0u64..9, any::<u64>(), topics(), prop::collection::vec(any::<u8>(), 0..99)).prop_map(
            |(from, seqno, topic, data)| Item::Message(Arc::new(signed(
                from, seqno, &topic, &data
            )))
        ),
        (topics(), ids()).prop_map(|(topic, ids)| Item::IHave(topic, ids)),
        ids().prop_map(Item::IWant),
        topics().prop_map(Item::Graft),
        (topics(), prop::collection::vec(exchanged, 0..3), any::<Option<u64>>())
            .prop_map(|(topic, peers, backoff)| Item::Prune { topic, peers, backoff }),
        ids().prop_map(Item::IDontWant),
    ]
}

fn written(items: &[Item]) -> Vec<u8> {
    let mut writer = RpcWriter::default();
    items.iter().for_each(|item| writer.push(item));
    writer.finish()
}

/// All items that are read, and how many were left out.
fn all(bytes: &[u8]) -> Result<(Vec<Item>, usize), Malformed> {
    let mut items = Vec::new();
    let excess = read(bytes, |item| items.push(item))?;
    Ok((items, excess))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn writes_what_prost_reads_and_reads_what_prost_writes(
        items in prop::collection::vec(items(), 0..12)
    ) {
        let rpc = oracle(&items);
        prop_assert_eq!(Rpc::decode(&*written(&items)).unwrap(), rpc.clone());
        let (read, excess) = all(&rpc.encode_to_vec()).unwrap();
        prop_assert_eq!(excess, 0);
        prop_assert_eq!(oracle(&read), rpc);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        if let Ok((items, _)) = all(&bytes) {
            let again = all(&written(&items)).unwrap();
            prop_assert_eq!(oracle(&items), oracle(&again.0));
        }
    }
}

#[test]
fn integers_at_their_extremes_neither_panic_nor_wrap() {
    for value in [0, 1, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
        let mut prune = Vec::new();
        Writer(&mut prune).bytes(1, b"news").number(3, value);
        let mut control = Vec::new();
        Writer(&mut control).bytes(4, &prune);
        let mut rpc = Vec::new();
        Writer(&mut rpc)
            .message(1, |out| {
                out.number(1, value).bytes(2, b"news");
            })
            .bytes(3, &control);
        let (items, excess) = all(&rpc).unwrap();
        assert_eq!((items.len(), excess), (2, 0));
        let mut router = Router::new(Config::default(), keypair(1), u64::MAX, Rng::from_number(1));
        let now = Instant::from_micros(u64::MAX - 5);
        router.subscribe(now, "news", TopicConfig::default()).unwrap();
        router.connected(now, peer(2), Version::V1_3, (true, None));
        for item in items {
            router.receive(now, &peer(2), item);
        }
        // Messages of the highest number, and of a number that is none.
        for seqno in [&value.to_be_bytes()[..], &[0xff; 9], &[]] {
            let mut message = Vec::new();
            Writer(&mut message).bytes(1, peer(3).as_bytes()).bytes(3, seqno).bytes(4, b"news");
            let mut rpc = Vec::new();
            Writer(&mut rpc).bytes(2, &message);
            let (items, excess) = all(&rpc).unwrap();
            assert_eq!((items.len(), excess), (1, 0));
            let signed = signed(3, value, "news", b"x");
            for item in items.into_iter().chain([Item::Message(Arc::new(signed))]) {
                router.receive(now, &peer(2), item);
            }
        }
        // The number of our next message comes after the highest.
        router.publish(now, "news", b"first").unwrap();
        assert!(router.backoffs.until(&"news".into(), &peer(2)).unwrap() > now);
        router.handle_timeout(Instant::from_micros(u64::MAX));
    }
}

/// Numbers of fields, lengths and bools that no message has.
#[test]
fn lengths_and_numbers_of_fields_at_their_extremes_are_refused_or_passed_over() {
    let varint = |value: u64| {
        let mut bytes = Vec::new();
        Writer(&mut bytes).number(1, value);
        bytes[1..].to_vec()
    };
    for value in [127, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX >> 3, u64::MAX] {
        for kind in 0..8 {
            let key = varint((value << 3) | kind);
            for body in [varint(value), vec![], vec![0xff; 10], vec![0; 8]] {
                let field = [key.as_slice(), &body].concat();
                // In the RPC, in each message of it, and in each of its control.
                let _ = all(&field);
                for within in 1..=6 {
                    let mut rpc = Vec::new();
                    Writer(&mut rpc).bytes(within.min(3), &field).message(3, |out| {
                        out.bytes(within, &field);
                    });
                    let _ = all(&rpc);
                }
            }
        }
        for number in 1..=6 {
            // A length beyond the end.
            let field = [vec![(number << 3) | 2], varint(value)].concat();
            assert!(all(&field).is_err());
        }
    }
}

/// The frame of CVE-2026-46679: 4 MiB of subscriptions to as many topics, or of any other
/// field of a few bytes.
#[test]
fn of_a_frame_of_tiny_fields_only_so_much_is_kept() {
    let mut inner = Vec::new();
    Writer(&mut inner).number(1, 1).bytes(2, b"aaaaaa");
    let mut id = Vec::new();
    Writer(&mut id).bytes(1, b"x");
    let mut topic = Vec::new();
    Writer(&mut topic).bytes(1, b"t").bytes(2, b"x");
    for (field, within, body, kept) in [
        (1, 0, &inner, wire::MAX_SUBSCRIPTIONS),
        (2, 0, &topic, 0),
        (3, 1, &topic, wire::MAX_CONTROL),
        (3, 2, &id, wire::MAX_CONTROL),
        (3, 3, &topic, wire::MAX_CONTROL),
        (3, 4, &id, wire::MAX_CONTROL),
        (3, 5, &id, wire::MAX_CONTROL),
    ] {
        let mut frame = Vec::new();
        while frame.len() < 4 << 20 {
            match within {
                0 => Writer(&mut frame).bytes(field, body),
                _ => Writer(&mut frame).message(field, |out| {
                    out.bytes(within, body);
                }),
            };
        }
        let (items, excess) = all(&frame).unwrap();
        assert_eq!(items.len(), kept);
        assert!(excess > 200_000);
    }
    let mut many = Vec::new();
    while many.len() < 1 << 20 {
        Writer(&mut many).bytes(1, b"x");
    }
    let mut rpc = Vec::new();
    Writer(&mut rpc).message(3, |out| {
        out.bytes(2, &many);
    });
    let (items, excess) = all(&rpc).unwrap();
    let [Item::IWant(ids)] = &*items else { panic!() };
    assert_eq!((ids.len(), excess), (wire::MAX_IDS, many.len() / 3 - wire::MAX_IDS));
}
