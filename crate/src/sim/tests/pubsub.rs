//! Topics of whole peers: what a user counts on when connections come and go.

use super::*;
use crate::protocols::pubsub::{self, PubsubEvent, TopicConfig};

/// Keeps what it is told of a topic.
#[derive(Default)]
struct Listener {
    heard: Vec<Vec<u8>>,
}

impl Application for Listener {
    fn handle(&mut self, _: &mut Peer, _: Instant, news: News) {
        if let News::Node(Event::Pubsub(PubsubEvent::Message { message, .. })) = news {
            self.heard.push(message.data().to_vec());
        }
    }
}

fn subscribed(world: &mut World<Listener>, configure: impl Fn(&mut pubsub::Config)) -> PeerIndex {
    let mut config = pubsub::Config::default();
    configure(&mut config);
    let index = world.add_with(Listener::default(), |node| node.pubsub = Some(config));
    world.with(index, |peer, _, now| {
        peer.subscribe(now, "news", TopicConfig::default()).unwrap();
    });
    index
}

fn dial(world: &mut World<Listener>, from: PeerIndex, to: PeerIndex) {
    let address = world.address(to);
    world.with(from, |peer, _, now| peer.dial(now, None, vec![address]));
}

fn publish(world: &mut World<Listener>, index: PeerIndex, number: u32) {
    let data = number.to_be_bytes();
    world.with(index, |peer, _, now| peer.publish(now, "news", &data).unwrap());
}

fn heard(world: &World<Listener>, index: PeerIndex) -> Vec<u32> {
    let mut heard: Vec<u32> = world
        .app(index)
        .heard
        .iter()
        .map(|data| u32::from_be_bytes(data[..].try_into().unwrap()))
        .collect();
    heard.sort_unstable();
    heard
}

/// Two connections lead to a peer, and the one under its streams goes in the midst of
/// messages: they go on over the other, and none is lost or told of twice.
#[test]
fn when_one_of_two_connections_goes_no_message_is_lost() {
    let mut cut = 0;
    for seed in 0..12 {
        let mut world = World::new(seed);
        world.set_conditions(Conditions {
            delay: Duration::from_millis(40),
            jitter: Duration::from_millis(20),
            ..Conditions::default()
        });
        let ends = [subscribed(&mut world, |_| {}), subscribed(&mut world, |_| {})];
        dial(&mut world, ends[0], ends[1]);
        dial(&mut world, ends[1], ends[0]);
        world.run_for(Duration::from_millis(1500));
        for number in 0..200 {
            publish(&mut world, ends[0], number);
            publish(&mut world, ends[1], 1000 + number);
            world.run_for(Duration::from_millis(10));
            let links = world.peer(ends[0]).node().peers().next().unwrap().1.clone();
            if number == 60 && links.len() == 2 {
                let doomed = links.iter().copied().nth((seed % 2) as usize).unwrap();
                world.cut(ends[0], doomed);
                cut += 1;
            }
        }
        // Two heartbeats.
        world.run_for(Duration::from_secs(2));
        assert_eq!(heard(&world, ends[1]), (0..200).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(heard(&world, ends[0]), (1000..1200).collect::<Vec<_>>(), "seed {seed}");
    }
    assert!(cut >= 6, "only {cut} had two connections");
}

/// The only connection goes and comes back: what was published meanwhile is made up for.
#[test]
fn what_was_published_while_there_was_no_connection_is_told_of_when_there_is() {
    let mut world = World::new(5);
    world.set_conditions(Conditions { delay: Duration::from_millis(30), ..Conditions::default() });
    let ends = [subscribed(&mut world, |_| {}), subscribed(&mut world, |_| {})];
    dial(&mut world, ends[0], ends[1]);
    world.run_for(Duration::from_secs(5));
    publish(&mut world, ends[0], 0);
    world.run_for(Duration::from_secs(1));
    let link = *world.peer(ends[0]).node().peers().next().unwrap().1.first().unwrap();
    world.cut(ends[0], link);
    for number in 1..10 {
        world.run_for(Duration::from_millis(50));
        publish(&mut world, ends[0], number);
    }
    dial(&mut world, ends[0], ends[1]);
    world.run_for(Duration::from_secs(4));
    assert_eq!(heard(&world, ends[1]), (0..10).collect::<Vec<_>>());
}

/// A peer that does not read keeps nobody else from reading, and what waits for it is
/// bounded.
#[test]
fn a_peer_that_does_not_read_costs_the_others_nothing() {
    let mut world = World::new(6);
    let ends: Vec<PeerIndex> = (0..3).map(|_| subscribed(&mut world, |_| {})).collect();
    dial(&mut world, ends[1], ends[0]);
    dial(&mut world, ends[2], ends[0]);
    world.run_for(Duration::from_secs(3));
    world.deafen(ends[2]);
    for _ in 0..100 {
        world.with(ends[0], |peer, _, now| peer.publish(now, "news", &[7; 100_000]).unwrap());
        world.run_for(Duration::from_millis(50));
    }
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.app(ends[1]).heard.len(), 100);
    let stats = world.peer(ends[0]).node().pubsub().unwrap().stats();
    assert!(stats.dropped > 50, "{stats:?}");
}

/// Whom nobody meshes with tells of others when it prunes, and these are dialed.
#[cfg(feature = "store")]
#[test]
fn who_is_pruned_is_told_of_others_and_dials_them() {
    let mut world = World::new(7);
    let center = subscribed(&mut world, |config| {
        // It has no mesh, but for those that all begin with.
        config.mesh =
            pubsub::MeshSize { wanted: 0, low: 0, high: 0, by_score: 0, outbound: 0, lazy: 6 };
        config.peer_exchange = true;
    });
    let trusted = world.peer(center).node().peer_id();
    let others: Vec<PeerIndex> = (0..8)
        .map(|_| {
            subscribed(&mut world, |config| {
                config.score.application =
                    Some(std::sync::Arc::new(
                        move |peer| {
                            if *peer == trusted { 100.0 } else { 0.0 }
                        },
                    ));
            })
        })
        .collect();
    for other in &others {
        dial(&mut world, *other, center);
        world.run_for(Duration::from_millis(300));
    }
    world.run_for(Duration::from_secs(20));
    for other in &others {
        let mesh = world.peer(*other).node().pubsub().unwrap().mesh("news");
        assert!(mesh.len() >= 3, "a mesh of {}", mesh.len());
        assert!(!mesh.contains(&trusted));
    }
    publish(&mut world, others[0], 1);
    world.run_for(Duration::from_secs(3));
    assert!(others[1..].iter().all(|other| heard(&world, *other) == [1]));
}
