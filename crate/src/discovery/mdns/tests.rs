use super::*;
use crate::identity::Keypair;

const LAN: [&str; 2] = ["/ip4/192.168.1.7/tcp/4001", "/ip6/fd00::7/tcp/4001/ws"];

fn peer(number: u64) -> PeerId {
    Keypair::generate_ed25519(&mut Rng::from_number(number)).public().peer_id()
}

fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Peers on one network, where a datagram reaches everybody, its sender too.
struct Network {
    now: Instant,
    peers: Vec<(Mdns, Vec<Multiaddr>)>,
    /// Of so many datagrams to one peer, one is lost.
    lossy: u64,
    rng: Rng,
    sent: usize,
}

impl Network {
    fn new() -> Self {
        let now = Instant::ZERO;
        Self { now, peers: Vec::new(), lossy: u64::MAX, rng: Rng::from_number(9), sent: 0 }
    }

    fn join(&mut self, number: u64, config: Config, texts: &[&str]) -> PeerId {
        let id = peer(number);
        let mdns = Mdns::new(self.now, config, id, &mut Rng::from_number(number));
        self.peers.push((mdns, addresses(texts)));
        id
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let mut flying = Vec::new();
            for (mdns, own) in &mut self.peers {
                mdns.handle_timeout(self.now, own);
                flying.extend(std::iter::from_fn(|| mdns.poll_packet()));
            }
            self.sent += flying.len();
            for packet in &flying {
                assert!(packet.len() < 1280, "{}", packet.len());
                for (mdns, _) in &mut self.peers {
                    if self.rng.below(self.lossy) != 0 || self.lossy == u64::MAX {
                        mdns.receive(self.now, packet);
                    }
                }
            }
            let next = self.peers.iter().map(|(mdns, _)| mdns.poll_timeout()).min().unwrap();
            if next > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
        }
    }

    fn events(&mut self, index: usize) -> Vec<MdnsEvent> {
        std::iter::from_fn(|| self.peers[index].0.poll_event()).collect()
    }
}

fn seen(events: &[MdnsEvent]) -> Vec<PeerId> {
    events
        .iter()
        .filter_map(|event| match event {
            MdnsEvent::Seen { peer, new: true, .. } => Some(*peer),
            _ => None,
        })
        .collect()
}

#[test]
fn neighbours_find_each_other_and_see_each_other_go() {
    let mut network = Network::new();
    let first = network.join(1, Config::default(), &LAN);
    let second = network.join(2, Config::default(), &["/ip4/192.168.1.8/udp/4001/webrtc-direct"]);
    network.run(Duration::from_secs(3));
    let events = network.events(1);
    assert_eq!(seen(&events), [first]);
    assert!(events.contains(&MdnsEvent::Seen {
        peer: first,
        addresses: addresses(&LAN),
        ttl: TTL,
        new: true
    }));
    assert_eq!(seen(&network.events(0)), [second]);

    let (leaving, own) = &mut network.peers[0];
    leaving.farewell(own);
    let packet = leaving.poll_packet().unwrap();
    network.peers[1].0.receive(network.now, &packet);
    assert_eq!(network.events(1).last(), Some(&MdnsEvent::Gone(first)));
    // The other goes without a word.
    let left = network.peers.pop();
    network.events(0);
    network.run(TTL + Duration::from_secs(1));
    assert_eq!(network.events(0), [MdnsEvent::Gone(second)]);
    drop(left);
}

#[test]
fn all_find_all_though_datagrams_are_lost_and_the_network_is_quiet() {
    let mut network = Network::new();
    network.lossy = 8;
    for number in 0..20 {
        network.join(number, Config::default(), &LAN);
    }
    network.run(Duration::from_secs(60));
    for index in 0..20 {
        let mut found = seen(&network.events(index));
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 19, "{index}");
    }
    // Six questions each in a minute, and an answer a second and peer at most.
    assert!(network.sent <= 20 * (6 + 60), "{}", network.sent);
    network.sent = 0;
    network.run(Duration::from_secs(600));
    assert!(network.sent < 20 * 80, "{}", network.sent);
}

#[test]
fn services_and_private_networks_keep_apart() {
    let mut network = Network::new();
    let chat = || Config { service: ServiceName::new("Chat").unwrap(), ..Config::default() };
    let private = |byte| Config { service: ServiceName::private(&[byte; 16]), ..Config::default() };
    network.join(1, Config::default(), &LAN);
    let chatting = network.join(2, chat(), &LAN);
    network.join(3, chat(), &LAN);
    network.join(4, private(1), &LAN);
    network.join(5, private(2), &LAN);
    network.run(Duration::from_secs(5));
    let found: Vec<usize> = (0..5).map(|index| seen(&network.events(index)).len()).collect();
    assert_eq!(found, [0, 1, 1, 0, 0]);
    let within = |name: ServiceName| name.within(Some(&[1; 16]));
    assert_eq!(within(ServiceName::default()), ServiceName::private(&[1; 16]));
    let own = ServiceName::new("own").unwrap();
    assert_eq!(
        (within(own.clone()), ServiceName::default().within(None)),
        (own, ServiceName::default())
    );
    assert_eq!(ServiceName::private(&[0xab; 16]).as_str().len(), "_p2p-._udp.local".len() + 32);
    assert!(network.peers[1].0.known.keys().all(|peer| *peer != chatting));
}

#[test]
fn what_is_not_for_neighbours_is_neither_told_nor_heeded() {
    let relayed = format!("/ip4/192.0.2.1/tcp/1/p2p/{}/p2p-circuit", peer(7));
    let not_told = ["/ip4/127.0.0.1/tcp/4001", "/ip4/0.0.0.0/tcp/4001", &relayed];
    let mut network = Network::new();
    network.join(1, Config::default(), &not_told);
    network.join(2, Config { loopback: true, ..Config::default() }, &not_told);
    network.join(3, Config { loopback: true, ..Config::default() }, &LAN);
    network.run(Duration::from_secs(3));
    assert_eq!(seen(&network.events(0)), [peer(3)]);
    let events = network.events(2);
    assert_eq!(seen(&events), [peer(2)]);
    let MdnsEvent::Seen { addresses: told, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(*told, addresses(&["/ip4/127.0.0.1/tcp/4001"]));
}

#[test]
fn an_administrator_sees_the_service() {
    let mut mdns = Mdns::new(Instant::ZERO, Config::default(), peer(1), &mut Rng::from_number(1));
    let questions = vec![(SERVICES.to_owned(), PTR)];
    mdns.receive(Instant::ZERO, &Message { questions, ..Message::default() }.write());
    let answer = Message::read(&mdns.poll_packet().unwrap()).unwrap();
    assert_eq!(answer.records[0].data, Data::Ptr("_p2p._udp.local".into()));
}

#[test]
fn many_addresses_take_several_messages() {
    let texts: Vec<String> =
        (0..40).map(|port| format!("/ip4/192.168.1.7/tcp/{}", 4000 + port)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut network = Network::new();
    let many = network.join(1, Config::default(), &texts);
    network.join(2, Config::default(), &LAN);
    network.run(Duration::from_secs(1));
    let told: usize = network
        .events(1)
        .iter()
        .filter_map(|event| match event {
            MdnsEvent::Seen { peer, addresses, .. } if *peer == many => Some(addresses.len()),
            _ => None,
        })
        .sum();
    assert_eq!(told % MAX_ADDRESSES, 0);
    assert!(told > 0);
}

#[test]
fn a_flood_of_names_fills_no_more_than_there_is_room_for() {
    let now = Instant::ZERO;
    let mut mdns = Mdns::new(now, Config::default(), peer(0), &mut Rng::from_number(0));
    let announce = |number: u64, ttl: u32, count: usize| {
        let id = peer(number);
        let line = |port| format!("dnsaddr=/ip4/192.168.1.9/tcp/{port}/p2p/{id}").into_bytes();
        let name = format!("n{number}._p2p._udp.local");
        let data = Data::Txt((1..=count).map(line).collect());
        let records = vec![Record { name, ttl, data }];
        Message { is_answer: true, questions: Vec::new(), records }.write()
    };
    for number in 1..=(MAX_PEERS as u64 + 50) {
        mdns.receive(now, &announce(number, u32::MAX, 1));
    }
    assert_eq!(mdns.known.len(), MAX_PEERS);
    assert_eq!(mdns.events.len(), MAX_PEERS);
    for _ in 0..3 * MAX_PEERS {
        mdns.receive(now, &announce(1, 60, 50));
    }
    assert_eq!(mdns.events.len(), MAX_EVENTS);
    let last = mdns.events.back().unwrap();
    assert!(matches!(last, MdnsEvent::Seen { addresses, .. } if addresses.len() == MAX_ADDRESSES));
    // Whatever they said, all are forgotten after an hour.
    while mdns.poll_event().is_some() {}
    mdns.handle_timeout(now + MAX_TTL, &[]);
    assert!(mdns.known.is_empty());
    assert_eq!(mdns.events.len(), MAX_PEERS);
    // Questions without end are answered once a second.
    let questions = vec![("_p2p._udp.local".to_owned(), PTR)];
    let question = Message { questions, ..Message::default() }.write();
    while mdns.poll_packet().is_some() {}
    for _ in 0..1000 {
        mdns.receive(now, &question);
        mdns.handle_timeout(now, &addresses(&LAN));
    }
    assert_eq!(mdns.packets.len(), 1);
}
