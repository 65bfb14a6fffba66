use core::time::Duration;

use super::announcing::{
    Announcement, Announcing, MAX_ADDRESSES, MAX_ANNOUNCEMENT, MAX_KNOWN, MAX_OF_SENDER, TOPIC,
};
use super::*;
use crate::Multiaddr;
use crate::identity::Keypair;
use crate::protocols::pubsub::{Message, TopicName};
use crate::rng::Rng;
use crate::time::Instant;

fn keypair(number: u64) -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_number(number))
}

fn peer(number: u64) -> PeerId {
    keypair(number).peer_id()
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn address(number: u64) -> Multiaddr {
    let [a, b, ..] = number.to_le_bytes();
    format!("/ip4/198.51.{b}.{a}/tcp/4001").parse().unwrap()
}

/// A node's side of a seeker: topics, each with how many peers it lacks.
struct Bench {
    seeker: Seeker,
    wanted: Vec<(TopicName, usize)>,
    ways: Vec<Way>,
    connected: Vec<PeerId>,
}

impl Bench {
    fn new(topics: &[(&str, usize)]) -> Self {
        Self {
            seeker: Seeker::new(Rng::from_number(1)),
            wanted: topics.iter().map(|(name, lacks)| ((*name).into(), *lacks)).collect(),
            ways: vec![Way::Dht],
            connected: Vec::new(),
        }
    }

    fn advance(&mut self, seconds: u64) -> Vec<Order> {
        let (ways, connected) = ((self.ways.as_slice(), true), &self.connected);
        self.seeker.advance(at(seconds), &self.wanted, ways, |peer| connected.contains(peer));
        core::iter::from_fn(|| self.seeker.poll()).collect()
    }

    fn dials(&mut self, seconds: u64) -> Vec<PeerId> {
        let orders = self.advance(seconds).into_iter();
        orders
            .filter_map(|it| if let Order::Dial(_, peer, _) = it { Some(peer) } else { None })
            .collect()
    }

    fn found(&mut self, seconds: u64, number: u64) -> bool {
        self.seeker.found(at(seconds), "news", peer(number), &[address(number)])
    }

    fn searched(&mut self, seconds: u64) {
        let (way, topic) = (Way::Dht, "news".into());
        self.seeker.note(at(seconds), News::Searched { way, topic });
    }
}

/// The bytes behind CIDv1 raw `bafkreihdtix6h6xusawhdoiry2rnk2xknzralxq2xz6ks37jjoq6q466sm`.
#[test]
fn topics_have_the_keys_of_go_libp2p() {
    assert_eq!(namespace("news"), "floodsub:news");
    assert_eq!(
        hex::encode(key("news")),
        "1220e39a2fe3faf4902c71b911c6a2d56aea6e6205de1abe7ca96fe94ba1e873de93"
    );
}

#[test]
fn who_lacks_peers_searches_with_growing_pauses_and_announces_itself_once() {
    let mut bench = Bench::new(&[("news", 3)]);
    let news: TopicName = "news".into();
    let both = [Order::Announce(Way::Dht, news.clone()), Order::Search(Way::Dht, news.clone())];
    assert_eq!(bench.advance(0), both);
    let (way, topic) = (Way::Dht, news.clone());
    bench.seeker.note(at(1), News::Announced { way, topic, done: true });
    bench.searched(1);
    let mut searches = Vec::new();
    for second in 1..2000 {
        for order in bench.advance(second) {
            assert_eq!(order, Order::Search(Way::Dht, news.clone()));
            searches.push(second);
            bench.searched(second);
        }
    }
    assert_eq!(&searches[..6], [3, 7, 15, 31, 63, 127]);
    assert_eq!(searches.windows(2).map(|pair| pair[1] - pair[0]).max(), Some(300));
}

#[test]
fn who_has_enough_is_looked_for_no_more_and_at_once_when_it_lacks_some_again() {
    let mut bench = Bench::new(&[("news", 3)]);
    bench.advance(0);
    bench.searched(1);
    bench.wanted[0].1 = 0;
    assert!((2..400).all(|second| bench.advance(second).is_empty()));
    bench.wanted[0].1 = 1;
    assert_eq!(bench.advance(400), [Order::Search(Way::Dht, "news".into())]);
}

#[test]
fn who_leaves_a_topic_or_a_way_is_withdrawn_there() {
    let mut bench = Bench::new(&[("a", 0), ("b", 0)]);
    let point = Way::Point(peer(1));
    bench.ways.push(point);
    assert_eq!(bench.advance(0).len(), 4);
    bench.wanted.remove(0);
    let gone = |way| Order::Withdraw(way, "a".into());
    assert_eq!(bench.advance(1), [gone(Way::Dht), gone(point)]);
    bench.ways.remove(0);
    assert_eq!(bench.advance(2), [Order::Withdraw(Way::Dht, "b".into())]);
    bench.wanted.clear();
    assert_eq!(bench.advance(3), [Order::Withdraw(point, "b".into())]);
    assert_eq!(bench.seeker.poll_timeout(), None);
}

#[test]
fn too_few_who_heard_of_us_are_told_again() {
    let mut bench = Bench::new(&[("news", 0)]);
    assert_eq!(bench.advance(0).len(), 1);
    let (way, topic) = (Way::Dht, TopicName::from("news"));
    bench.seeker.note(at(0), News::Announced { way, topic: topic.clone(), done: false });
    assert!(bench.advance(1).is_empty());
    assert_eq!(bench.advance(2), [Order::Announce(Way::Dht, topic)]);
}

#[test]
fn only_as_many_are_dialed_as_are_lacked_and_not_those_who_are_connected() {
    let mut bench = Bench::new(&[("news", 3)]);
    bench.advance(0);
    bench.connected = (0..5).map(peer).collect();
    assert!((0..20).all(|number| bench.found(1, number)));
    assert!(!bench.found(1, 7), "it is known");
    let first = bench.dials(1);
    assert_eq!(first.len(), 3);
    assert!(first.iter().all(|peer| !bench.connected.contains(peer)));
    assert!(bench.dials(2).is_empty(), "three are under way");
    for peer in first {
        let topic = "news".into();
        bench.seeker.note(at(3), News::Dialed { topic, peer });
    }
    assert!(bench.dials(4).is_empty(), "they may be grafted yet");
    assert_eq!(bench.dials(9).len(), 3);
}

#[test]
fn dials_of_all_topics_are_bounded() {
    let names: Vec<String> = (10..30).map(|number| number.to_string()).collect();
    let topics: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 6)).collect();
    let mut bench = Bench::new(&topics);
    bench.advance(0);
    for (number, name) in names.iter().enumerate() {
        bench.seeker.found(at(1), name, peer(number as u64), &[address(1)]);
    }
    assert_eq!(bench.dials(1).len(), MAX_DIALS);
}

#[test]
fn those_who_were_dialed_are_left_alone_for_longer_and_longer() {
    let mut bench = Bench::new(&[("news", 6)]);
    bench.advance(0);
    let mut dialed = Vec::new();
    for second in 1..200 {
        bench.found(second, 7);
        for peer in bench.dials(second) {
            dialed.push(second);
            bench.seeker.note(at(second), News::Dialed { topic: "news".into(), peer });
        }
    }
    assert_eq!(dialed, [1, 11, 31, 71, 151]);
}

#[test]
fn candidates_and_memories_of_dials_are_bounded() {
    let mut bench = Bench::new(&[("news", 1)]);
    bench.advance(0);
    let kept = (0..1000).filter(|number| bench.found(1, *number)).count();
    assert_eq!(kept, MAX_CANDIDATES);
    let mut second = 1;
    for number in 1000..1000 + 2 * MAX_TRIED as u64 {
        bench.found(second, number);
        for peer in bench.dials(second) {
            bench.seeker.note(at(second), News::Dialed { topic: "news".into(), peer });
        }
        second += 6;
    }
    assert!(bench.seeker.remembered() <= MAX_TRIED);
}

/// The message as `@libp2p/pubsub-peer-discovery` defines it.
#[derive(Clone, PartialEq, prost::Message)]
struct Peer {
    #[prost(bytes, tag = "1")]
    public_key: Vec<u8>,
    #[prost(bytes, repeated, tag = "2")]
    addrs: Vec<Vec<u8>>,
}

fn announcement(number: u64) -> Announcement {
    Announcement { key: keypair(number).public(), addresses: vec![address(number)] }
}

fn signed(number: u64, announcement: &Announcement) -> Message {
    Message::signed(&keypair(number), 1, TOPIC.into(), &announcement.to_bytes()).unwrap()
}

#[test]
fn announcements_are_read_as_they_are_defined() {
    use prost::Message as _;

    let ours = announcement(1);
    let theirs = Peer {
        public_key: keypair(1).public().to_protobuf(),
        addrs: vec![address(1).as_bytes().to_vec()],
    };
    assert_eq!(ours.to_bytes(), theirs.encode_to_vec());
    assert_eq!(Announcement::read(&theirs.encode_to_vec()), Ok(ours));
    let odd = ["/ip4/0.0.0.0/tcp/1", "/ip4/1.2.3.4/tcp/0"].map(|text| {
        let address: Multiaddr = text.parse().unwrap();
        address.as_bytes().to_vec()
    });
    let addrs = odd.into_iter().chain([vec![0xff; 40]]).collect();
    let places = Peer { addrs, ..theirs.clone() };
    assert_eq!(Announcement::read(&places.encode_to_vec()).unwrap().addresses, []);
    for key in [vec![], vec![1; 40]] {
        let nobody = Peer { public_key: key, ..theirs.clone() };
        assert!(Announcement::read(&nobody.encode_to_vec()).is_err());
    }
    assert!(Announcement::read(&[]).is_err());
}

#[test]
fn announcements_beyond_the_limits_are_cut_or_refused() {
    let many = Announcement { addresses: (0..100).map(address).collect(), ..announcement(1) };
    let bytes = many.to_bytes();
    let read = Announcement::read(&bytes).unwrap();
    assert_eq!(read.addresses.len(), MAX_ADDRESSES);
    let mut repeated = bytes.clone();
    while repeated.len() < MAX_ANNOUNCEMENT - 20 {
        repeated.extend([0x12, 0]);
    }
    assert_eq!(Announcement::read(&repeated).unwrap().addresses.len(), MAX_ADDRESSES);
    repeated.resize(MAX_ANNOUNCEMENT + 2, 0);
    assert!(Announcement::read(&repeated).is_err());
    assert_eq!(Announcing::topic_config().max_data, Some(MAX_ANNOUNCEMENT));
}

fn listener() -> Announcing {
    Announcing::new(at(0), announcing::Config { listen_only: true, ..Default::default() })
}

#[test]
fn who_signs_announces_itself_alone() {
    let mut announcing = listener();
    let message = signed(1, &announcement(1));
    let heard = announcing.heard(at(1), &message, peer(9), false);
    assert_eq!(heard, Some((peer(1), vec![address(1)])));
    assert_eq!(announcing.heard(at(1), &signed(2, &announcement(1)), peer(9), false), None);
    // Nor does anybody who signs nothing say otherwise of it.
    let other = Announcement { addresses: vec![address(5)], ..announcement(1) };
    let unsigned = Message::unsigned(TOPIC.into(), &other.to_bytes());
    assert_eq!(announcing.heard(at(1), &unsigned, peer(9), false), None);
    assert!(announcing.known().all(|(_, addresses)| addresses == [address(1)]));
}

#[test]
fn addresses_of_others_and_private_ones_from_afar_are_not_heeded() {
    let named = |text: &str| text.parse::<Multiaddr>().unwrap();
    let home = named("/ip4/192.168.1.7/tcp/1");
    let stolen = address(3).with_peer(peer(3));
    let said =
        Announcement { addresses: vec![home.clone(), stolen, address(1)], ..announcement(1) };
    let mut announcing = listener();
    let message = signed(1, &said);
    let far = announcing.heard(at(1), &message, peer(9), false).unwrap();
    assert_eq!(far.1, [address(1)]);
    let near = announcing.heard(at(1), &message, peer(9), true).unwrap();
    assert_eq!(near.1, [home.clone(), address(1)]);
    let only = Announcement { addresses: vec![home], ..announcement(1) };
    assert_eq!(announcing.heard(at(1), &signed(1, &only), peer(9), false), None);
}

#[test]
fn those_who_are_known_are_bounded_and_forgotten_when_they_are_silent() {
    let mut announcing = listener();
    let mut tell = |seconds, number, sender| {
        let message = Message::unsigned(TOPIC.into(), &announcement(number).to_bytes());
        announcing.heard(at(seconds), &message, peer(sender), false).is_some()
    };
    let of_one = (0..200).filter(|number| tell(1, *number, 7)).count();
    assert_eq!(of_one, MAX_OF_SENDER);
    let of_many = (1000..3000).filter(|number| tell(2, *number, *number / 50)).count();
    assert_eq!(of_one + of_many, MAX_KNOWN);
    assert!(!tell(60, 5000, 5001));
    assert!(tell(62, 5000, 5001), "the others are silent for a minute");
    assert_eq!(announcing.known().count(), 1);
}

#[test]
fn we_are_heard_at_each_interval_unless_we_only_listen() {
    let mut announcing = Announcing::new(at(5), announcing::Config::default());
    assert!(announcing.is_due(at(5)) && !announcing.is_due(at(14)) && announcing.is_due(at(15)));
    assert_eq!(announcing.poll_timeout(), Some(at(25)));
    assert_eq!(listener().poll_timeout(), None);
}
