//! What waits for a peer.

use std::sync::Arc;

use super::*;
use crate::connection::StreamId;
use crate::negotiate::Name;
use crate::node::{ConnectionId, Direction};
use crate::protocols::pubsub::queue::Queue;
use crate::protocols::{Action, Input, Local, Protocol};
use wire::{Item, read};

const MIB: usize = 1 << 20;

fn message(size: usize) -> Arc<Message> {
    Arc::new(Message::unsigned("news".into(), &vec![7; size]))
}

fn next(queue: &mut Queue) -> Vec<Item> {
    let mut items = Vec::new();
    if let Some((bytes, _)) = queue.next(MIB) {
        assert!(bytes.len() <= MIB);
        read(&bytes, |item| items.push(item)).unwrap();
    }
    items
}

#[test]
fn control_goes_before_data_that_waits_longer() {
    let mut queue = Queue::default();
    queue.push_message(id(1), message(100));
    queue.push(Item::IWant(vec![id(2)]));
    queue.push(Item::Graft("news".into()));
    let mut kinds = Vec::new();
    let mut seen = |items: Vec<Item>| kinds.extend(items);
    seen(next(&mut queue));
    assert_eq!(kinds.len(), 3);
    assert!(next(&mut queue).is_empty());
    // With much data before it, it is in the next RPC all the same.
    (0..40).for_each(|number| {
        queue.push_message(id(number), message(20_000));
    });
    assert!(next(&mut queue).len() < 10);
    queue.push(Item::Graft("news".into()));
    assert!(next(&mut queue).contains(&Item::Graft("news".into())));
}

#[test]
fn large_rpcs_are_sent_in_parts() {
    let mut queue = Queue::default();
    (0..10).for_each(|number| {
        queue.push_message(id(number), message(50_000));
    });
    let ids: Vec<MessageId> = (0..1000).map(id).collect();
    (0..100).for_each(|_| queue.push(Item::IHave("news".into(), ids.clone())));
    let (mut parts, mut messages, mut ihaves) = (0, 0, 0);
    loop {
        let items = next(&mut queue);
        if items.is_empty() {
            break;
        }
        parts += 1;
        messages += items.iter().filter(|item| matches!(item, Item::Message(_))).count();
        ihaves += items.iter().filter(|item| matches!(item, Item::IHave(..))).count();
    }
    assert_eq!((messages, ihaves), (10, 100));
    assert!(parts >= 10, "{parts}");
}

#[test]
fn when_a_peer_does_not_read_the_oldest_data_goes_and_is_counted() {
    let mut queue = Queue::default();
    for number in 0..100 {
        queue.push_message(id(number), message(100_000));
        assert!(queue.bytes() <= MAX_QUEUED);
    }
    assert_eq!(queue.dropped, 80);
    (0..1000).for_each(|_| queue.push(Item::IWant(vec![id(1)])));
    (0..1000).for_each(|_| queue.push(Item::Graft("news".into())));
    let mut items = Vec::new();
    while let found @ [_, ..] = &*next(&mut queue) {
        items.extend(found.to_vec());
    }
    let count = |kind: fn(&Item) -> bool| items.iter().filter(|item| kind(item)).count();
    assert_eq!(count(|item| matches!(item, Item::IWant(_))), MAX_GOSSIP);
    assert_eq!(count(|item| matches!(item, Item::Graft(_))), 1);
    assert_eq!(count(|item| matches!(item, Item::Message(_))), 20);
}

#[test]
fn what_may_be_lost_is_sent_again_unless_something_newer_holds() {
    let mut queue = Queue::default();
    queue.push_message(id(1), message(10));
    queue.push(Item::Graft("news".into()));
    queue.push(Item::Subscribe("news".into()));
    let (_, unsure) = queue.next(MIB).unwrap();
    queue.push(Item::Prune { topic: "news".into(), peers: Vec::new(), backoff: None });
    queue.push_message(id(2), message(20));
    queue.restore(unsure);
    let items = next(&mut queue);
    assert!(items.contains(&Item::Subscribe("news".into())));
    assert!(!items.contains(&Item::Graft("news".into())));
    let sizes: Vec<usize> = items
        .iter()
        .filter_map(|item| match item {
            Item::Message(message) => Some(message.data().len()),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [10, 20]);
    queue.push_message(id(3), message(30));
    queue.cancel(&[id(3)]);
    assert_eq!((next(&mut queue).len(), queue.bytes()), (0, 0));
}

#[test]
fn refusals_are_joined_and_many_are_not() {
    let mut queue = Queue::default();
    (0..200).for_each(|number| queue.push(Item::IDontWant(vec![id(number)])));
    let items = next(&mut queue);
    let ids = |item: &Item| match item {
        Item::IDontWant(ids) => ids.clone(),
        _ => Vec::new(),
    };
    assert_eq!(items.iter().map(|item| ids(item).len()).collect::<Vec<_>>(), [64, 64, 64, 8]);
    let all: Vec<MessageId> = items.iter().flat_map(ids).collect();
    assert_eq!(all, (0..200).map(id).collect::<Vec<_>>());
    // What stands between them stays there.
    queue.push(Item::IDontWant(vec![id(1)]));
    queue.push(Item::IWant(vec![id(2)]));
    queue.push(Item::IDontWant(vec![id(3)]));
    assert_eq!(next(&mut queue).len(), 3);
}

#[test]
fn only_the_last_that_wait_are_looked_through_for_one_that_is_refused() {
    let mut queue = Queue::default();
    (0..300).for_each(|number| {
        queue.push_message(id(number), message(10));
    });
    let full = queue.bytes();
    queue.cancel(&[id(10)]);
    assert_eq!(queue.bytes(), full);
    queue.cancel(&[id(299), id(44), id(100)]);
    assert_eq!(queue.bytes(), full / 300 * 297);
    let sent = core::iter::from_fn(|| Some(next(&mut queue)).filter(|items| !items.is_empty()));
    assert_eq!(sent.flatten().count(), 297);
}

/// A protocol that speaks with one peer, and where it writes.
fn speaking() -> (Pubsub, PeerId, Local) {
    let mut pubsub = Pubsub::new(Config::default(), keypair(0), 0, Rng::from_number(0));
    let (connection, stream) = (ConnectionId(1), StreamId::from_number(1));
    let (other, remote) = (peer(1), "/memory/1".parse().unwrap());
    let local = Local {
        keypair: keypair(0),
        addresses: Vec::new(),
        protocols: Vec::new(),
        agent: String::new(),
        protocol_version: String::new(),
        sequence: 0,
    };
    let direction = Direction::Outbound;
    let input = Input::Connected { connection, peer: &other, direction, remote: &remote };
    pubsub.handle(at(1), &local, input);
    let names: Vec<Name> = pubsub.names().into_iter().map(|(name, _)| name).collect();
    pubsub.identified(at(1), connection, (&names, false));
    let protocol = &names[0];
    let opened = Input::Opened { connection, request: 1, stream, protocol };
    pubsub.handle(at(1), &local, opened);
    let inbound = StreamId::from_number(2);
    pubsub.handle(at(1), &local, Input::Inbound { connection, stream: inbound, protocol });
    (pubsub, other, local)
}

fn rpcs(pubsub: &mut Pubsub) -> Vec<Vec<u8>> {
    let actions = core::iter::from_fn(|| pubsub.poll());
    let sent = actions.filter_map(|action| match action {
        Action::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    sent.collect()
}

fn read_all(bytes: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    read(bytes, |item| items.push(item)).unwrap();
    items
}

#[test]
fn what_comes_of_the_news_at_hand_goes_out_together() {
    let (mut pubsub, _, local) = speaking();
    pubsub.with(|router| router.subscribe(at(1), "news", TopicConfig::default())).unwrap();
    assert!(rpcs(&mut pubsub).is_empty());
    assert!(pubsub.holds());
    pubsub.flush();
    assert!(!pubsub.holds());
    assert_eq!(rpcs(&mut pubsub).len(), 1);
    let (connection, stream) = (ConnectionId(1), StreamId::from_number(1));
    pubsub.handle(at(1), &local, Input::Flushed { connection, stream });
    let hear = |pubsub: &mut Pubsub, item: Item| {
        let mut rpc = wire::RpcWriter::default();
        rpc.push(&item);
        let (bytes, stream) = (rpc.finish(), StreamId::from_number(2));
        pubsub.handle(at(1), &local, Input::Message { connection, stream, bytes });
    };
    hear(&mut pubsub, Item::Subscribe("news".into()));
    for data in [b"one", b"two"] {
        pubsub.with(|router| router.publish(at(1), "news", data)).unwrap();
    }
    assert!(rpcs(&mut pubsub).is_empty());
    pubsub.flush();
    let [rpc] = &rpcs(&mut pubsub)[..] else { panic!("one RPC") };
    let messages = read_all(rpc).into_iter().filter(|item| matches!(item, Item::Message(_)));
    assert_eq!(messages.count(), 2);
}

#[test]
fn who_sends_a_message_is_not_sent_a_copy_that_still_waits() {
    let (mut pubsub, other, local) = speaking();
    pubsub.with(|router| router.subscribe(at(1), "news", TopicConfig::default())).unwrap();
    let third = peer(2);
    let item = Item::Subscribe("news".into());
    pubsub.with(|router| {
        router.receive(at(1), &other, item.clone());
        router.receive(at(1), &other, Item::Graft("news".into()));
        router.connected(at(1), third, Version::V1_2, (false, None));
    });
    let message = Arc::new(signed(5, 1, "news", b"hello"));
    pubsub.with(|router| router.receive(at(1), &third, Item::Message(message.clone())));
    assert!(pubsub.waiting(&other) > 0);
    let mut rpc = wire::RpcWriter::default();
    rpc.push(&Item::Message(message));
    let (connection, stream) = (ConnectionId(1), StreamId::from_number(2));
    pubsub.handle(at(1), &local, Input::Message { connection, stream, bytes: rpc.finish() });
    assert_eq!(pubsub.waiting(&other), 0);
}
