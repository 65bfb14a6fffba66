//! Routers that speak with each other at once, and one whose peers say what a test wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use wire::Item;

/// Routers without anything between them.
struct Net {
    now: Instant,
    routers: BTreeMap<PeerId, Router>,
    links: Vec<(PeerId, PeerId)>,
    /// What each was told.
    events: BTreeMap<PeerId, Vec<PubsubEvent>>,
    sent: usize,
}

impl Net {
    /// So many, all subscribed to a topic and each connected to all before it.
    fn all(count: u64, config: &Config) -> Self {
        let mut net = Self {
            now: at(1),
            routers: BTreeMap::new(),
            links: Vec::new(),
            events: BTreeMap::new(),
            sent: 0,
        };
        for number in 0..count {
            net.add(number, config.clone());
            (0..number).for_each(|other| net.link(peer(number), peer(other)));
        }
        net
    }

    fn add(&mut self, number: u64, config: Config) -> PeerId {
        let mut router = Router::new(config, keypair(number), 0, Rng::from_number(number));
        router.subscribe(self.now, "news", TopicConfig::default()).unwrap();
        self.routers.insert(peer(number), router);
        peer(number)
    }

    fn link(&mut self, from: PeerId, to: PeerId) {
        for (one, other, outbound) in [(from, to, true), (to, from, false)] {
            let floods = self.routers[&other].config().mode == Mode::Floodsub;
            let version = if floods { Version::Floodsub } else { Version::V1_2 };
            let router = self.routers.get_mut(&one).unwrap();
            router.connected(self.now, other, version, (outbound, None));
            for item in router.greeting(&other, false) {
                self.routers.get_mut(&other).unwrap().connected(
                    self.now,
                    one,
                    Version::V1_2,
                    (!outbound, None),
                );
                self.routers.get_mut(&other).unwrap().receive(self.now, &one, item);
            }
        }
        self.links.push((from, to));
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let mut all = Vec::new();
            for (me, router) in &mut self.routers {
                while let Some(out) = router.poll() {
                    all.push((*me, out));
                }
            }
            if all.is_empty() {
                return;
            }
            for (from, out) in all {
                let (to, item) = match out {
                    Out::Send(to, item) => (to, item),
                    Out::Message(to, _, message) => {
                        self.sent += 1;
                        (to, Item::Message(message))
                    }
                    Out::Event(event) => {
                        self.events.entry(from).or_default().push(event);
                        continue;
                    }
                    _ => continue,
                };
                if let Some(router) = self.routers.get_mut(&to) {
                    router.receive(self.now, &from, item);
                }
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.now = self.now + Duration::from_millis(100);
            for router in self.routers.values_mut() {
                router.handle_timeout(self.now);
            }
            self.settle();
        }
    }

    fn publish(&mut self, number: u64, data: &[u8]) -> Published {
        let now = self.now;
        let published = self.routers.get_mut(&peer(number)).unwrap().publish(now, "news", data);
        self.settle();
        published.unwrap()
    }

    /// How often each was told of a message that says this.
    fn told(&self, data: &[u8]) -> Vec<usize> {
        let says = |event: &&PubsubEvent| matches!(event, PubsubEvent::Message { message, .. } if message.data() == data);
        let count = |me| self.events.get(me).map_or(0, |list| list.iter().filter(says).count());
        self.routers.keys().map(count).collect()
    }
}

#[test]
fn meshes_come_to_the_size_they_are_to_have_and_stay_there() {
    let config = Config::default();
    let mut net = Net::all(30, &config);
    net.run(90);
    for router in net.routers.values() {
        let mesh = router.mesh("news");
        assert!((config.mesh.low..=config.mesh.high).contains(&mesh.len()), "{}", mesh.len());
        let outbound = mesh.iter().filter(|other| net.links.contains(&(router.me, **other)));
        let dialed = net.links.iter().filter(|(from, _)| *from == router.me).count();
        assert!(outbound.count() >= config.mesh.outbound.min(dialed));
        // Both sides see it alike.
        for other in &mesh {
            assert!(net.routers[other].mesh("news").contains(&router.me));
        }
    }
}

#[test]
fn a_message_comes_once_to_everyone_and_not_over_every_link() {
    let config = Config { flood_publish: false, ..Config::default() };
    let mut net = Net::all(30, &config);
    net.run(30);
    net.sent = 0;
    net.publish(3, b"hello");
    let mut told = net.told(b"hello");
    told.sort_unstable();
    // All but its author.
    assert_eq!(told, [vec![0], vec![1; 29]].concat());
    assert!(net.sent < 30 * config.mesh.high, "{}", net.sent);
    net.run(10);
    assert_eq!(net.told(b"hello").iter().sum::<usize>(), 29);
}

#[test]
fn who_is_in_no_mesh_learns_of_messages_by_gossip() {
    // Meshes of one peer each do not reach everyone.
    let mesh = MeshSize { wanted: 1, low: 1, high: 1, by_score: 1, outbound: 0, lazy: 6 };
    let mut net = Net::all(12, &Config { mesh, flood_publish: false, ..Config::default() });
    net.run(10);
    net.publish(0, b"whispered");
    let at_once: usize = net.told(b"whispered").iter().sum();
    net.run(4);
    let later: usize = net.told(b"whispered").iter().sum();
    assert!(at_once < later, "{at_once}");
    assert_eq!(later, 11);
}

#[test]
fn who_is_not_subscribed_publishes_to_a_few_and_remembers_them_for_a_minute() {
    let config = Config { flood_publish: false, ..Config::default() };
    let mut net = Net::all(20, &config);
    let now = net.now;
    net.routers.get_mut(&peer(0)).unwrap().unsubscribe(now, "news");
    net.settle();
    assert_eq!(net.publish(0, b"one").peers, config.mesh.wanted);
    let fanout = net.routers[&peer(0)].topics["news"].fanout.clone();
    net.publish(0, b"two");
    assert_eq!(net.routers[&peer(0)].topics["news"].fanout, fanout);
    net.run(5);
    assert_eq!(net.told(b"two").iter().sum::<usize>(), 19);
    net.run(60);
    assert!(net.routers[&peer(0)].topics["news"].fanout.is_empty());
}

#[test]
fn floodsub_sends_to_everyone_who_is_subscribed() {
    let mut net = Net::all(5, &Config { mode: Mode::Floodsub, ..Config::default() });
    assert_eq!(net.publish(0, b"hello").peers, 4);
    assert_eq!(net.told(b"hello").iter().sum::<usize>(), 4);
    // Among those that know meshes, one that does not is sent everything.
    let mut net = Net::all(20, &Config { flood_publish: false, ..Config::default() });
    let old = net.add(20, Config { mode: Mode::Floodsub, ..Config::default() });
    net.link(old, peer(3));
    net.run(5);
    net.publish(9, b"hello");
    assert_eq!(net.told(b"hello").iter().sum::<usize>(), 20);
    assert!(!net.routers[&peer(3)].mesh("news").contains(&old));
}

/// One router whose peers are the test.
pub(super) struct Alone {
    pub(super) router: Router,
    now: Instant,
}

impl Alone {
    pub(super) fn new(config: Config) -> Self {
        let mut router = Router::new(config, keypair(0), 0, Rng::from_number(0));
        router.subscribe(at(1), "news", TopicConfig::default()).unwrap();
        Self { router, now: at(1) }
    }

    pub(super) fn meet(&mut self, number: u64, outbound: bool) -> PeerId {
        let other = peer(number);
        self.router.connected(self.now, other, Version::V1_2, (outbound, None));
        self.hear(number, Item::Subscribe("news".into()));
        other
    }

    /// What comes of it when a peer says this.
    pub(super) fn hear(&mut self, number: u64, item: Item) -> Vec<Out> {
        self.router.receive(self.now, &peer(number), item);
        self.out()
    }

    fn out(&mut self) -> Vec<Out> {
        core::iter::from_fn(|| self.router.poll()).collect()
    }

    pub(super) fn wait(&mut self, seconds: u64) -> Vec<Out> {
        for _ in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            self.router.handle_timeout(self.now);
        }
        self.out()
    }
}

pub(super) fn prune(outs: &[Out]) -> Option<u64> {
    outs.iter().find_map(|out| match out {
        Out::Send(_, Item::Prune { backoff, .. }) => *backoff,
        _ => None,
    })
}

#[test]
fn who_is_pruned_is_left_alone_for_as_long_as_it_says() {
    let mut alone = Alone::new(Config::default());
    let other = alone.meet(1, true);
    alone.wait(2);
    assert_eq!(alone.router.mesh("news"), [other]);
    let topic: TopicName = "news".into();
    alone.hear(1, Item::Prune { topic: topic.clone(), peers: Vec::new(), backoff: Some(20) });
    assert!(alone.router.mesh("news").is_empty());
    alone.wait(20);
    assert!(alone.router.mesh("news").is_empty());
    alone.wait(3);
    assert_eq!(alone.router.mesh("news"), [other]);
    // We prune: a graft before its time is refused, and counts against its sender.
    alone.router.unsubscribe(alone.now, "news");
    assert_eq!(prune(&alone.out()), Some(10));
    alone.router.subscribe(alone.now, "news", TopicConfig::default()).unwrap();
    assert!(alone.router.mesh("news").is_empty());
    for _ in 0..10 {
        assert_eq!(prune(&alone.hear(1, Item::Graft(topic.clone()))), Some(60));
    }
    assert!(alone.router.score(alone.now, &other) < 0.0);
}

#[test]
fn a_full_mesh_takes_only_those_that_we_dialed() {
    let mut alone = Alone::new(Config::default());
    for number in 1..=12 {
        alone.meet(number, false);
        alone.hear(number, Item::Graft("news".into()));
    }
    assert_eq!(alone.router.mesh("news").len(), 12);
    alone.meet(13, false);
    assert_eq!(prune(&alone.hear(13, Item::Graft("news".into()))), Some(60));
    let dialed = alone.meet(14, true);
    alone.hear(14, Item::Graft("news".into()));
    assert!(alone.router.mesh("news").contains(&dialed));
    // Too large, it is made smaller, and the dialed one stays.
    alone.wait(1);
    assert_eq!(alone.router.mesh("news").len(), 6);
    assert!(alone.router.mesh("news").contains(&dialed));
}

#[test]
fn grafts_of_topics_that_we_are_not_in_are_not_answered() {
    let mut alone = Alone::new(Config::default());
    alone.meet(1, false);
    assert!(alone.hear(1, Item::Graft("other".into())).is_empty());
}

#[test]
fn who_asks_is_sent_a_message_three_times_at_most() {
    let mut alone = Alone::new(Config { flood_publish: false, ..Config::default() });
    alone.meet(1, false);
    let published = alone.router.publish(alone.now, "news", b"hello").unwrap();
    alone.out();
    let asks = |alone: &mut Alone| alone.hear(1, Item::IWant(vec![published.id.clone(), id(9)]));
    for _ in 0..3 {
        assert!(matches!(&*asks(&mut alone), [Out::Message(..)]));
    }
    assert!(asks(&mut alone).is_empty());
    // After five heartbeats it is not kept any more.
    alone.meet(2, false);
    alone.wait(5);
    assert!(alone.hear(2, Item::IWant(vec![published.id])).is_empty());
}

#[test]
fn gossip_is_asked_for_and_what_is_promised_must_come() {
    let mut alone = Alone::new(Config::default());
    let liar = alone.meet(1, false);
    alone.meet(2, false);
    let message = signed(5, 1, "news", b"hello");
    let real = MessageIds::Usual.of(&message);
    let told = Item::IHave("news".into(), vec![real.clone()]);
    let outs = alone.hear(2, told.clone());
    assert!(matches!(&*outs, [Out::Send(_, Item::IWant(ids))] if *ids == [real]));
    alone.hear(2, Item::Message(Arc::new(message)));
    // Now that it is there, it is not asked for.
    assert!(alone.hear(1, told).is_empty());
    for round in 0..10 {
        alone.hear(1, Item::IHave("news".into(), vec![id(round)]));
        alone.wait(1);
    }
    alone.wait(4);
    assert_eq!(alone.router.stats().broken, 10);
    assert!(alone.router.score(alone.now, &liar) < 0.0);
    assert!(alone.router.score(alone.now, &peer(2)) >= 0.0);
}

#[test]
fn what_one_tells_of_many_times_at_once_is_asked_for_once() {
    let mut alone = Alone::new(Config::default());
    alone.meet(1, false);
    let outs = alone.hear(1, Item::IHave("news".into(), vec![id(1); 300]));
    assert!(matches!(&*outs, [Out::Send(_, Item::IWant(ids))] if *ids == [id(1)]));
}

#[test]
fn copies_that_are_not_wanted_are_not_sent() {
    let mut alone = Alone::new(Config::default());
    for number in 1..=3 {
        alone.meet(number, false);
        alone.hear(number, Item::Graft("news".into()));
    }
    let message = Arc::new(signed(5, 1, "news", &[0; 5000]));
    let id = MessageIds::Usual.of(&message);
    let outs = alone.hear(2, Item::IDontWant(vec![id.clone()]));
    // What waits in a queue is taken back as well.
    assert!(matches!(&*outs, [Out::Cancel(to, ids)] if *to == peer(2) && *ids == [id.clone()]));
    let outs = alone.hear(1, Item::Message(message));
    let told = outs.iter().filter(|out| matches!(out, Out::Send(_, Item::IDontWant(_)))).count();
    assert_eq!(told, 2);
    let sent: Vec<&PeerId> = outs
        .iter()
        .filter_map(|out| match out {
            Out::Message(to, ..) => Some(to),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [&peer(3)]);
}

#[test]
fn a_message_is_known_for_two_minutes() {
    let mut alone = Alone::new(Config::default());
    alone.meet(1, false);
    let message = Arc::new(signed(5, 1, "news", b"hello"));
    alone.hear(1, Item::Message(message.clone()));
    alone.wait(100);
    alone.hear(1, Item::Message(message.clone()));
    assert_eq!(alone.router.stats().duplicates, 1);
    alone.wait(21);
    assert_eq!(alone.router.stats().seen, 0);
}

#[test]
fn what_is_ours_and_comes_back_is_no_news() {
    let mut alone = Alone::new(Config::default());
    alone.meet(1, false);
    alone.router.publish(alone.now, "news", b"mine").unwrap();
    let forged = signed(0, 99, "news", b"not mine");
    alone.out();
    assert!(alone.hear(1, Item::Message(Arc::new(forged))).is_empty());
}

#[test]
fn a_peer_that_is_reached_anew_is_told_what_it_may_have_missed() {
    let mut alone = Alone::new(Config::default());
    let other = alone.meet(1, true);
    alone.wait(1);
    let published = alone.router.publish(alone.now, "news", b"lost?").unwrap();
    let topic: TopicName = "news".into();
    assert_eq!(
        alone.router.greeting(&other, true),
        [
            Item::Subscribe(topic.clone()),
            Item::Graft(topic.clone()),
            Item::IHave(topic.clone(), vec![published.id])
        ]
    );
    assert_eq!(alone.router.greeting(&other, false), [Item::Subscribe(topic)]);
}

#[test]
fn explicit_peers_are_sent_everything_and_are_in_no_mesh() {
    let config = Config { explicit: vec![peer(1), peer(7)], ..Config::default() };
    let mut alone = Alone::new(config);
    alone.meet(1, false);
    alone.meet(2, false);
    // The one that is not there is wanted.
    let reaches = |outs: &[Out]| {
        let reach = |out: &&Out| matches!(out, Out::Reach(who, _) if *who == peer(7));
        outs.iter().filter(reach).count()
    };
    assert_eq!(reaches(&alone.wait(10)), 1);
    assert_eq!(reaches(&alone.wait(300)), 1);
    assert!(!alone.router.mesh("news").contains(&peer(1)));
    assert!(prune(&alone.hear(1, Item::Graft("news".into()))).is_some());
    for bad in 0..100 {
        alone.hear(1, Item::Message(Arc::new(Message::unsigned("news".into(), &[bad]))));
    }
    assert!(alone.router.score(alone.now, &peer(1)) < -1000.0);
    assert!(alone.router.listens_to(alone.now, &peer(1)));
    let outs = alone.hear(2, Item::Message(Arc::new(signed(5, 1, "news", b"hello"))));
    assert!(outs.iter().any(|out| matches!(out, Out::Message(to, ..) if *to == peer(1))));
}

#[test]
fn a_mesh_that_is_worth_little_takes_better_peers_in() {
    let application: AppScore = Arc::new(|who| if *who == peer(20) { 50.0 } else { 0.0 });
    let score = ScoreConfig { application: Some(application), ..ScoreConfig::default() };
    let mut alone = Alone::new(Config { score, ..Config::default() });
    (1..=6).for_each(|number| {
        alone.meet(number, true);
    });
    alone.wait(2);
    let good = alone.meet(20, true);
    alone.wait(50);
    assert!(!alone.router.mesh("news").contains(&good));
    alone.wait(10);
    assert!(alone.router.mesh("news").contains(&good));
}

#[test]
fn scores_below_the_thresholds_have_their_consequences() {
    let mut alone = Alone::new(Config::default());
    let bad = alone.meet(1, true);
    alone.meet(2, true);
    alone.wait(2);
    assert!(alone.router.mesh("news").contains(&bad));
    let spam = |alone: &mut Alone, count: u8| {
        for number in 0..count {
            let message = Message::unsigned("news".into(), &[number]);
            alone.hear(1, Item::Message(Arc::new(message)));
        }
    };
    // Below zero: out of the mesh. Below the others: no gossip, nothing of ours, no ear.
    spam(&mut alone, 1);
    alone.wait(1);
    assert!(!alone.router.mesh("news").contains(&bad));
    spam(&mut alone, 1);
    assert!(alone.hear(1, Item::IHave("news".into(), vec![id(1)])).is_empty());
    spam(&mut alone, 1);
    let published = alone.router.publish(alone.now, "news", b"ours").unwrap();
    assert_eq!(published.peers, 1);
    assert!(alone.router.listens_to(alone.now, &bad));
    spam(&mut alone, 1);
    assert!(!alone.router.listens_to(alone.now, &bad));
}

#[test]
fn the_test_extension_is_announced_first_and_answered_once() {
    let mut alone = Alone::new(Config { test_extension: true, ..Config::default() });
    let extensions = Item::Extensions(wire::Extensions { test: true, choking: false });
    alone.router.connected(alone.now, peer(1), Version::V1_3, (true, None));
    alone.router.connected(alone.now, peer(2), Version::V1_2, (true, None));
    assert_eq!(alone.router.greeting(&peer(1), false)[0], extensions);
    assert_eq!(alone.router.greeting(&peer(2), false), [Item::Subscribe("news".into())]);
    assert!(matches!(&*alone.hear(1, extensions.clone()), [Out::Send(_, Item::Test)]));
    assert!(alone.hear(1, extensions.clone()).is_empty());
    assert!(alone.hear(2, extensions).is_empty());
}
