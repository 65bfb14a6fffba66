//! Each limit is reached, and holds.

use std::sync::Arc;

use super::*;
use crate::protocols::pubsub::backoff::Backoffs;
use crate::protocols::pubsub::cache::Cache;
use crate::protocols::pubsub::seen::{Fate, Seen};
use crate::protocols::pubsub::validation::{MAX_PENDING, MAX_WAIT};
use wire::Item;

fn router(validation: Validation) -> Router {
    let mut router = Router::new(Config::default(), keypair(0), 0, Rng::from_number(0));
    let config = TopicConfig { validation, ..TopicConfig::default() };
    router.subscribe(at(1), "news", config).unwrap();
    router.connected(at(1), peer(1), Version::V1_2, (false, None));
    router
}

fn drain(router: &mut Router) -> usize {
    core::iter::from_fn(|| router.poll()).count()
}

#[test]
fn a_peer_is_in_so_many_topics_and_no_more() {
    let mut router = router(Validation::None);
    for number in 0..2 * MAX_TOPICS_PER_PEER {
        let topic: TopicName = number.to_string().as_str().into();
        router.receive(at(1), &peer(1), Item::Subscribe(topic));
    }
    assert_eq!(router.peers[&peer(1)].topics.len(), MAX_TOPICS_PER_PEER);
    assert_eq!(router.topics.len(), MAX_TOPICS_PER_PEER + 1);
    // It costs its sender, and is all forgotten with it.
    assert!(router.score(at(1), &peer(1)) < router.config().thresholds.graylist);
    assert!(!router.listens_to(at(1), &peer(1)));
    router.disconnected(at(1), &peer(1));
    assert_eq!(router.topics.len(), 1);
}

#[test]
fn all_peers_together_are_in_so_many_topics_and_no_more() {
    let mut router = router(Validation::None);
    for other in 1..=40 {
        router.connected(at(1), peer(other), Version::V1_2, (false, None));
        for number in 0..MAX_TOPICS_PER_PEER {
            let topic: TopicName =
                [other, number as u64].map(|n| n.to_string()).join("/").as_str().into();
            router.receive(at(1), &peer(other), Item::Subscribe(topic));
        }
        drain(&mut router);
    }
    assert_eq!(router.topics.len(), MAX_TOPICS);
}

#[test]
fn so_many_ids_are_refused_and_so_many_promises_taken_a_heartbeat() {
    let mut router = router(Validation::None);
    for round in 0..10 {
        let ids = (0..500).map(|number| id(round * 1000 + number)).collect();
        router.receive(at(1), &peer(1), Item::IDontWant(ids));
    }
    assert_eq!(router.peers[&peer(1)].unwanted.len(), MAX_UNWANTED);
    for round in 0..2 * MAX_IHAVES as u64 {
        let ids = (0..100).map(|number| id(round * 1000 + number)).collect();
        router.receive(at(1), &peer(1), Item::IHave("news".into(), ids));
    }
    assert_eq!(router.stats().asked, 100 * MAX_IHAVES as u64);
    drain(&mut router);
    for second in 2..6 {
        router.handle_timeout(at(second));
    }
    assert!(router.peers[&peer(1)].unwanted.is_empty());
    let ids = (0..2 * wire::MAX_IDS as u64).map(id).collect();
    // The one that promised so much and sent nothing is not listened to any more.
    router.receive(at(6), &peer(1), Item::IHave("news".into(), vec![id(1 << 32)]));
    router.connected(at(6), peer(2), Version::V1_2, (false, None));
    router.receive(at(6), &peer(2), Item::IHave("news".into(), ids));
    assert_eq!(router.stats().asked, (100 * MAX_IHAVES + wire::MAX_IDS) as u64);
}

#[test]
fn all_promises_together_have_room_for_so_many_messages() {
    let mut router = router(Validation::None);
    for other in 1..20u64 {
        router.connected(at(1), peer(other), Version::V1_2, (false, None));
        let ids = (0..wire::MAX_IDS as u64).map(|number| id(other << 32 | number)).collect();
        router.receive(at(1), &peer(other), Item::IHave("news".into(), ids));
        drain(&mut router);
    }
    assert_eq!(router.stats().asked, MAX_WANTED as u64);
}

#[test]
fn so_many_messages_wait_for_the_application_and_not_for_ever() {
    let mut router = router(Validation::Async);
    let config = TopicConfig {
        validation: Validation::Async,
        signing: Some(Signing::Without),
        ..TopicConfig::default()
    };
    router.subscribe(at(1), "news", config).unwrap();
    for number in 0..2 * MAX_PENDING as u64 {
        let message = Message::unsigned("news".into(), &number.to_be_bytes());
        router.receive(at(1), &peer(1), Item::Message(Arc::new(message)));
    }
    assert_eq!(router.stats().ignored, MAX_PENDING as u64);
    assert_eq!(drain(&mut router), MAX_PENDING);
    router.handle_timeout(at(3) + MAX_WAIT);
    assert_eq!(router.stats().ignored, 2 * MAX_PENDING as u64);
    // Nor do those that are large.
    for number in 0..40 {
        let data = [vec![number], vec![0; 900_000]].concat();
        let message = Message::unsigned("news".into(), &data);
        router.receive(at(60), &peer(1), Item::Message(Arc::new(message)));
    }
    let waiting = core::iter::from_fn(|| router.poll())
        .filter(|out| matches!(out, Out::Event(PubsubEvent::Validate { .. })));
    assert_eq!(waiting.count(), validation::MAX_PENDING_BYTES / 900_032);
}

#[test]
fn what_was_seen_and_what_is_kept_has_an_end() {
    let mut seen = Seen::default();
    for number in 0..MAX_SEEN as u64 + 10 {
        seen.insert(at(1), id(number), Fate::Ignored);
    }
    assert_eq!(seen.len(), MAX_SEEN);
    assert!(seen.get(&id(9)).is_none() && seen.get(&id(10)).is_some());
    let mut cache = Cache::new(5);
    let message = Arc::new(Message::unsigned("news".into(), &vec![0; 1 << 20]));
    (0..64).for_each(|number| cache.put(id(number), message.clone()));
    let kept = cache.ids(&"news".into(), 5);
    assert_eq!(kept.len(), 31);
    assert!(kept.contains(&id(63)) && !kept.contains(&id(32)));
}

#[test]
fn backoffs_have_room_for_so_many_and_last_an_hour_at_most() {
    let mut backoffs = Backoffs::default();
    let topics: Vec<TopicName> =
        (0..MAX_BACKOFFS + 10).map(|number| number.to_string().as_str().into()).collect();
    for topic in &topics {
        backoffs.add(at(1), topic, peer(1), Duration::from_secs(u64::MAX));
    }
    let held = topics.iter().filter(|topic| backoffs.until(topic, &peer(1)).is_some());
    assert_eq!(held.count(), MAX_BACKOFFS);
    assert_eq!(backoffs.until(&topics[0], &peer(1)), Some(at(1) + MAX_BACKOFF));
    backoffs.expire(at(3) + MAX_BACKOFF);
    assert!(backoffs.until(&topics[0], &peer(1)).is_none());
}

#[test]
fn so_many_topics_are_published_in_without_a_subscription() {
    let mut router = Router::new(
        Config { flood_publish: false, ..Config::default() },
        keypair(0),
        0,
        Rng::from_number(0),
    );
    for number in 0..MAX_FANOUT + 100 {
        router.publish(at(1), &number.to_string(), b"x").unwrap();
    }
    assert_eq!(router.topics.len(), MAX_FANOUT);
    for second in 1..70 {
        router.handle_timeout(at(second));
    }
    assert_eq!(router.topics.len(), 0);
}
