//! Peers of topics that find each other without having been told of each other.

use super::store::Log;
use super::*;
use crate::discovery::topics::{self, FoundBy, announcing};
use crate::protocols::kad::{Config as KadConfig, Mode};
use crate::protocols::pubsub::{PubsubEvent, TopicConfig};
use crate::protocols::rendezvous::{Point, ServerConfig};

struct Room {
    world: World<Log>,
    /// Whom all know.
    known: PeerIndex,
    peers: Vec<PeerIndex>,
}

impl Room {
    fn new(seed: u64, known: impl FnOnce(&mut Config)) -> Self {
        let mut world = World::new(seed);
        world.set_conditions(Conditions {
            delay: Duration::from_millis(30),
            jitter: Duration::from_millis(10),
            ..Conditions::default()
        });
        let known = world.add_with(Log::default(), known);
        Self { world, known, peers: Vec::new() }
    }

    /// A peer that dials the one that all know, and is in the topic.
    fn join(&mut self, configure: impl FnOnce(&mut Config)) -> PeerIndex {
        let index = self.world.add_with(Log::default(), configure);
        let address = self.world.address(self.known);
        self.world.with(index, |peer, _, now| {
            peer.dial(now, None, vec![address]);
            peer.subscribe(now, "news", TopicConfig::default()).unwrap();
        });
        self.peers.push(index);
        self.world.run_for(Duration::from_millis(200));
        index
    }

    fn mesh(&self, index: PeerIndex) -> usize {
        self.world.peer(index).node().pubsub().unwrap().mesh("news").len()
    }

    fn found_by(&self, index: PeerIndex) -> Vec<FoundBy> {
        let news = self.world.app(index).0.iter();
        news.filter_map(|news| match news {
            News::Node(Event::Pubsub(PubsubEvent::Found { by, .. })) => Some(*by),
            _ => None,
        })
        .collect()
    }

    /// Whether all hear what one says.
    fn all_hear(&mut self, data: &[u8]) -> bool {
        let from = self.peers[0];
        self.world.with(from, |peer, _, now| peer.publish(now, "news", data).unwrap());
        self.world.run_for(Duration::from_secs(5));
        self.peers[1..].iter().all(|index| {
            self.world.app(*index).0.iter().any(|news| {
                matches!(news, News::Node(Event::Pubsub(PubsubEvent::Message { message, .. }))
                    if message.data() == data)
            })
        })
    }
}

fn in_dht(mode: Mode) -> impl Fn(&mut Config) {
    move |config| config.kad = Some(KadConfig { mode, ..KadConfig::default() })
}

#[test]
fn peers_of_a_topic_find_each_other_in_the_dht() {
    let mut room = Room::new(1, in_dht(Mode::Server));
    for number in 0..10 {
        room.join(in_dht(if number < 4 { Mode::Server } else { Mode::Client }));
    }
    room.world.run_for(Duration::from_secs(60));
    for index in room.peers.clone() {
        assert!(room.mesh(index) >= 4, "a mesh of {}", room.mesh(index));
        let node = room.world.peer(index).node();
        assert_eq!(node.dht().unwrap().provided().collect::<Vec<_>>(), [topics::key("news")]);
    }
    assert!(room.all_hear(b"hello"));
    assert!(room.peers.iter().any(|index| room.found_by(*index).contains(&FoundBy::Dht)));
    // What the node asks for itself the application is not told of.
    let dht = |news: &News| matches!(news, News::Node(Event::Dht { .. } | Event::Dialed { .. }));
    let told = room.peers.iter().flat_map(|index| &room.world.app(*index).0).filter(|it| dht(it));
    assert_eq!(told.count(), room.peers.len(), "each dialed one peer itself");
    // Who leaves is to be found no more.
    let leaver = room.peers[3];
    room.world.with(leaver, |peer, _, now| peer.unsubscribe(now, "news"));
    room.world.run_for(Duration::from_secs(1));
    assert_eq!(room.world.peer(leaver).node().dht().unwrap().provided().count(), 0);
}

#[test]
fn peers_of_a_topic_find_each_other_at_a_rendezvous_point() {
    let mut room = Room::new(2, |config| config.rendezvous = Some(ServerConfig::default()));
    let (peer, address) =
        (room.world.peer(room.known).node().peer_id(), room.world.address(room.known));
    let point = Point { peer, addresses: vec![address] };
    for _ in 0..8 {
        let points = vec![point.clone()];
        room.join(|config| config.topic_discovery.points = points);
    }
    room.world.run_for(Duration::from_secs(60));
    for index in room.peers.clone() {
        assert!(room.mesh(index) >= 4, "a mesh of {}", room.mesh(index));
    }
    assert!(room.all_hear(b"hello"));
    let registered = |room: &Room| room.world.peer(room.known).node().rendezvous_server().len().0;
    assert_eq!(registered(&room), 8);
    assert!(room.found_by(room.peers[7]).contains(&FoundBy::Rendezvous));
    for index in room.peers.clone() {
        room.world.with(index, |peer, _, now| peer.unsubscribe(now, "news"));
    }
    room.world.run_for(Duration::from_secs(2));
    assert_eq!(registered(&room), 0);
}

/// All know one peer, which passes announcements on.
#[test]
fn peers_that_announce_themselves_are_dialed() {
    let mut room = Room::new(3, |_| {});
    let announce = |room: &mut Room, index| {
        let config = announcing::Config::default();
        room.world.with(index, |peer, _, now| peer.start_peer_discovery(now, config).unwrap());
    };
    let known = room.known;
    announce(&mut room, known);
    for _ in 0..8 {
        let index = room.join(|_| {});
        announce(&mut room, index);
    }
    room.world.run_for(Duration::from_secs(60));
    for index in room.peers.clone() {
        let node = room.world.peer(index).node();
        assert!(node.peers().count() >= 5, "{} peers", node.peers().count());
        assert!(room.mesh(index) >= 4, "a mesh of {}", room.mesh(index));
        assert!(room.found_by(index).contains(&FoundBy::Announcement));
    }
    // The topic of announcements is the node's own.
    let of_node = |news: &News| {
        matches!(news, News::Node(Event::Pubsub(PubsubEvent::Message { message, .. }))
            if &**message.topic() == announcing::TOPIC)
    };
    assert!(!room.peers.iter().any(|index| room.world.app(*index).0.iter().any(of_node)));
    assert!(room.all_hear(b"hello"));
}

#[test]
fn who_is_to_look_for_nobody_does_not_and_is_not_found() {
    let mut room = Room::new(4, in_dht(Mode::Server));
    for _ in 0..4 {
        room.join(|config| {
            in_dht(Mode::Client)(config);
            config.topic_discovery = topics::Config::off();
        });
    }
    room.world.run_for(Duration::from_secs(60));
    for index in room.peers.clone() {
        assert_eq!(room.mesh(index), 0);
        assert_eq!(room.world.peer(index).node().dht().unwrap().provided().count(), 0);
    }
    // It begins when it is told to.
    for index in room.peers.clone() {
        room.world
            .with(index, |peer, _, now| peer.set_topic_discovery(now, topics::Config::default()));
    }
    room.world.run_for(Duration::from_secs(60));
    assert!(room.all_hear(b"hello"));
}

/// A point that names many who do not exist keeps nobody from dialing, and is not believed
/// again and again.
#[test]
fn those_who_do_not_exist_are_dialed_few_at_a_time() {
    let mut room = Room::new(5, |config| config.rendezvous = Some(ServerConfig::default()));
    let (peer, address) =
        (room.world.peer(room.known).node().peer_id(), room.world.address(room.known));
    let point = Point { peer, addresses: vec![address] };
    for _ in 0..100 {
        let ghost = room.world.add(Log::default());
        let at = point.clone();
        let name = topics::namespace("news");
        room.world.with(ghost, |peer, _, now| {
            peer.rendezvous_register(now, at, &name, None).unwrap();
        });
        room.world.run_for(Duration::from_millis(300));
        room.world.set_group(ghost, 7);
    }
    let index = room.join(|config| config.topic_discovery.points = vec![point]);
    for _ in 0..120 {
        room.world.run_for(Duration::from_secs(1));
        let dials = room.world.peer(index).node().dial_count();
        // Beside that of the point.
        assert!(dials <= topics::MAX_DIALS + 1, "{dials} at a time");
    }
    assert!(!room.found_by(index).is_empty());
}
