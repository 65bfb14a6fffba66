//! What waits for a peer.

use std::sync::Arc;

use super::*;
use crate::protocols::pubsub::queue::Queue;
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
