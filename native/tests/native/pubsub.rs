//! Topics between nodes over TCP.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{address, host};
use futures::StreamExt;
use polypeer::facade::{Node, PubsubError, Topic};
use polypeer::node::Config;
use polypeer::protocols::pubsub::{
    self, Mode, PublishError, Signing, TopicConfig, Validation, Verdict,
};
use polypeer::{Keypair, Rng};

async fn node(number: u64, pubsub: pubsub::Config) -> Node {
    let mut config = Config::new(Keypair::generate_ed25519(&mut Rng::from_number(number)));
    config.pubsub = Some(pubsub);
    config.first_sequence = 1_700_000_000_000;
    let node = Node::start(Arc::new(host()), config);
    node.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    node
}

async fn connect(from: &Node, to: &Node) {
    from.dial(to.addresses().await.unwrap().remove(0)).await.unwrap();
}

/// Waits until a topic has so many peers.
async fn meet(topic: &Topic, peers: usize) {
    while topic.peers().await.unwrap().len() < peers {
        tokio::task::yield_now().await;
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap()
}

#[tokio::test]
async fn messages_go_both_ways_signed_and_with_their_authors() {
    within(async {
        let (one, two) = (node(1, <_>::default()).await, node(2, <_>::default()).await);
        let mut at_one = one.pubsub().subscribe("news").await.unwrap();
        let mut at_two = two.pubsub().subscribe("news").await.unwrap();
        connect(&one, &two).await;
        meet(&at_one, 1).await;
        meet(&at_two, 1).await;
        assert_eq!(at_two.publish(b"hello").await.unwrap().peers, 1);
        let received = at_one.next().await.unwrap();
        assert_eq!(received.message.data(), b"hello");
        assert_eq!(received.message.from(), Some(*two.peer_id()));
        assert_eq!(received.received_from, *two.peer_id());
        assert!(received.message.seqno().unwrap() >= 1_700_000_000_000_000_000);
        for number in 0..100u8 {
            at_one.publish(&[number; 2000]).await.unwrap();
        }
        for number in 0..100u8 {
            assert_eq!(at_two.next().await.unwrap().message.data(), [number; 2000]);
        }
        // The one who leaves is told of no more, and is no peer of the topic.
        at_two.close();
        while !at_one.peers().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(at_one.publish(b"anyone?").await.unwrap().peers, 0);
    })
    .await;
}

#[tokio::test]
async fn messages_are_passed_on_through_the_mesh() {
    within(async {
        // What is published goes to the mesh alone, and only the middle one knows both.
        let config = pubsub::Config { flood_publish: false, ..<_>::default() };
        let nodes =
            [node(3, config.clone()).await, node(4, config.clone()).await, node(5, config).await];
        let mut topics = Vec::new();
        for node in &nodes {
            topics.push(node.pubsub().subscribe("chain").await.unwrap());
        }
        connect(&nodes[0], &nodes[1]).await;
        connect(&nodes[2], &nodes[1]).await;
        while nodes[1].pubsub().mesh("chain").await.unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        topics[0].publish(b"through the middle").await.unwrap();
        let received = topics[2].next().await.unwrap();
        assert_eq!(received.message.from(), Some(*nodes[0].peer_id()));
        assert_eq!(received.received_from, *nodes[1].peer_id());
        let stats = nodes[1].pubsub().stats().await.unwrap();
        assert_eq!((stats.delivered, stats.rejected, stats.mesh), (1, 0, 2));
    })
    .await;
}

#[tokio::test]
async fn floodsub_and_gossipsub_speak_with_each_other() {
    within(async {
        let flood = pubsub::Config { mode: Mode::Floodsub, ..<_>::default() };
        let nodes =
            [node(6, flood.clone()).await, node(7, <_>::default()).await, node(8, flood).await];
        let mut topics = Vec::new();
        for node in &nodes {
            topics.push(node.pubsub().subscribe("old").await.unwrap());
        }
        connect(&nodes[0], &nodes[1]).await;
        connect(&nodes[1], &nodes[2]).await;
        meet(&topics[1], 2).await;
        meet(&topics[0], 1).await;
        topics[0].publish(b"flooded").await.unwrap();
        assert_eq!(topics[1].next().await.unwrap().message.data(), b"flooded");
        assert_eq!(topics[2].next().await.unwrap().message.data(), b"flooded");
    })
    .await;
}

#[tokio::test]
async fn what_the_application_does_not_accept_goes_no_further() {
    within(async {
        let nodes = [
            node(9, <_>::default()).await,
            node(10, <_>::default()).await,
            node(11, <_>::default()).await,
        ];
        let at_first = nodes[0].pubsub().subscribe("judged").await.unwrap();
        // The middle judges in its own time, the last at once.
        let mut at_middle = nodes[1]
            .pubsub()
            .subscribe_validated("judged", TopicConfig::default(), |message, _| async move {
                tokio::task::yield_now().await;
                if message.data() == b"bad" { Verdict::Reject } else { Verdict::Accept }
            })
            .await
            .unwrap();
        let validation = Validation::Sync(Arc::new(|message, _| match message.data() {
            b"dull" => Verdict::Ignore,
            _ => Verdict::Accept,
        }));
        let config = TopicConfig { validation, ..TopicConfig::default() };
        let mut at_last = nodes[2].pubsub().subscribe_with("judged", config).await.unwrap();
        connect(&nodes[0], &nodes[1]).await;
        connect(&nodes[1], &nodes[2]).await;
        meet(&at_first, 1).await;
        while nodes[1].pubsub().mesh("judged").await.unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        for data in [&b"bad"[..], b"dull", b"good"] {
            at_first.publish(data).await.unwrap();
        }
        assert_eq!(at_middle.next().await.unwrap().message.data(), b"dull");
        assert_eq!(at_middle.next().await.unwrap().message.data(), b"good");
        assert_eq!(at_last.next().await.unwrap().message.data(), b"good");
        assert!(nodes[1].pubsub().score(nodes[0].peer_id()).await.unwrap() < 0.0);
        assert_eq!(nodes[2].pubsub().stats().await.unwrap().ignored, 1);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_published_says_why() {
    within(async {
        let node = node(12, <_>::default()).await;
        let pubsub = node.pubsub();
        let error = pubsub.publish("", b"").await.unwrap_err();
        assert_eq!(error.to_string(), "the name of a topic has 1 to 256 bytes");
        let error = pubsub.publish("long", &vec![0; 1 << 20]).await.unwrap_err();
        assert_eq!(error, PubsubError::Publish(PublishError::TooLong { limit: (1 << 20) - 16 }));
        let nameless = TopicConfig { signing: Some(Signing::Without), ..TopicConfig::default() };
        let topic = pubsub.subscribe_with("nameless", nameless).await.unwrap();
        topic.publish(b"once").await.unwrap();
        let error = topic.publish(b"once").await.unwrap_err();
        assert_eq!(error, PubsubError::Publish(PublishError::Duplicate));
    })
    .await;
}
