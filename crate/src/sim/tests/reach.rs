//! Where peers can be reached, and how they find out: behind translators, over bad
//! networks, and among those who lie.

use super::*;
use crate::node::Direction;
use crate::protocols::autonat::{
    DIAL_BACK_NAME, REQUEST_NAME, ServerConfig, V1_NAME,
    message::{DialStatus, Message, ResponseStatus},
    v1,
};
use crate::swarm::addresses::{OwnAddress, Reachability, Source};
use crate::swarm::gate::{Subject, Verdict};
use crate::wire::varint;

const SECOND: Duration = Duration::from_secs(1);

/// Keeps what it hears, and says what it is told to, byte for byte.
#[derive(Default)]
struct Actor {
    log: Vec<News>,
    /// The answer to every question, and at once.
    lie: Option<Vec<u8>>,
    /// Says the number of every question where it was asked, and that it has dialed.
    parrot: bool,
    unsent: BTreeMap<(ConnectionId, StreamId), Vec<u8>>,
    received: Vec<u8>,
}

impl Actor {
    fn say(&mut self, peer: &mut Peer, now: Instant, at: (ConnectionId, StreamId), bytes: Vec<u8>) {
        self.unsent.entry(at).or_default().extend(bytes);
        self.write(peer, now, at);
    }

    fn write(&mut self, peer: &mut Peer, now: Instant, at: (ConnectionId, StreamId)) {
        let Some(mut stream) = peer.stream(at.0, at.1) else { return };
        if let Some(bytes) = self.unsent.get_mut(&at) {
            while let Ok(count) = stream.write(bytes) {
                bytes.drain(..count);
                if count == 0 {
                    break;
                }
            }
        }
        peer.touched(now, at.0);
    }

    fn read(&mut self, peer: &mut Peer, now: Instant, at: (ConnectionId, StreamId)) {
        let Some(mut stream) = peer.stream(at.0, at.1) else { return };
        let bytes = stream.readable().to_vec();
        stream.consume(bytes.len());
        peer.touched(now, at.0);
        self.received.extend_from_slice(&bytes);
        let Some(Ok(Message::Request { nonce, .. })) =
            bytes.get(1..).filter(|_| self.parrot).map(Message::decode)
        else {
            return;
        };
        let back = peer.open_stream(now, at.0, vec![DIAL_BACK_NAME.into()]).unwrap();
        let mut number = vec![9];
        number.extend(nonce.to_le_bytes());
        self.say(peer, now, (at.0, back), framed(&number));
        self.say(peer, now, at, framed(&says(ResponseStatus::Ok, DialStatus::Ok)));
    }
}

impl Application for Actor {
    fn handle(&mut self, peer: &mut Peer, now: Instant, news: News) {
        match &news {
            News::Node(Event::InboundStream { connection, stream, .. }) => {
                if let Some(lie) = self.lie.clone() {
                    self.say(peer, now, (*connection, *stream), framed(&lie));
                }
                self.read(peer, now, (*connection, *stream));
            }
            News::Stream(connection, StreamEvent::Opened { stream, .. }) => {
                self.write(peer, now, (*connection, *stream));
            }
            News::Stream(connection, StreamEvent::Writable(stream)) => {
                self.write(peer, now, (*connection, *stream));
            }
            News::Stream(connection, StreamEvent::Readable(stream)) => {
                self.read(peer, now, (*connection, *stream));
            }
            _ => {}
        }
        self.log.push(news);
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint::encode(message.len() as u64, &mut bytes);
    bytes.extend_from_slice(message);
    bytes
}

fn says(status: ResponseStatus, dial: DialStatus) -> Vec<u8> {
    Message::Response { status, index: 0, dial }.encode()
}

/// A peer that asks, and those that dial for it.
struct Street {
    world: World<Actor>,
    asker: PeerIndex,
    servers: Vec<PeerIndex>,
}

impl Street {
    fn new(seed: u64, nat: Option<NatKind>, servers: usize) -> Self {
        let mut world = World::new(seed);
        let asker = world.add(Actor::default());
        let nat = nat.map(|kind| world.add_nat(Nat::new(kind)));
        world.place(asker, nat);
        let mut street = Self { world, asker, servers: Vec::new() };
        for _ in 0..servers {
            let server = street.add(|config| {
                config.autonat.server = Some(ServerConfig::default());
            });
            street.servers.push(server);
        }
        street
    }

    /// A public peer, whose dials leave from ports that it does not listen on.
    fn add(&mut self, change: impl FnOnce(&mut Config)) -> PeerIndex {
        let index = self.world.add_with(Actor::default(), change);
        self.world.place_with(index, None, false);
        index
    }

    /// The asker dials all these.
    fn meet(&mut self, others: &[PeerIndex]) {
        for other in others {
            let address = self.world.address(*other);
            self.world.with(self.asker, |peer, _, now| peer.dial(now, None, vec![address]));
        }
    }

    fn own(&self) -> Vec<OwnAddress> {
        self.world.peer(self.asker).node().own_addresses()
    }

    fn reachability(&self) -> Reachability {
        self.world.peer(self.asker).node().reachability()
    }

    fn observed(&self) -> Vec<OwnAddress> {
        self.own().into_iter().filter(|own| own.source == Source::Observed).collect()
    }

    fn settled(&mut self, limit: Duration) -> Reachability {
        let asker = self.asker;
        let known =
            |world: &World<Actor>| world.peer(asker).node().reachability() != Reachability::Unknown;
        self.world.run_until(limit, known);
        self.reachability()
    }
}

#[test]
fn a_peer_behind_a_translator_learns_its_address_and_whether_it_can_be_dialed() {
    for (kind, expected) in [
        (NatKind::FullCone, Reachability::Public),
        (NatKind::AddressRestricted, Reachability::Private),
        (NatKind::PortRestricted, Reachability::Private),
    ] {
        let mut street = Street::new(1, Some(kind), 8);
        // Strangers dial from elsewhere than where the asker has sent something.
        let others = street.servers.clone();
        street.meet(&others[..3]);
        street.world.run_for(SECOND * 2);
        assert_eq!(street.observed(), [], "three are too few");
        street.meet(&others[3..]);
        let found = street.settled(SECOND * 600);
        if kind == NatKind::AddressRestricted {
            // It lets those in that it has sent to, which all servers are: this is
            // what the specification's servers should have other addresses for.
            assert_eq!(found, Reachability::Public);
            continue;
        }
        assert_eq!(found, expected, "{kind:?}");
        let observed = street.observed();
        assert_eq!(observed.len(), 1, "{kind:?}");
        assert!(observed[0].address.to_string().starts_with("/ip4/30.0."), "{observed:?}");
        assert_eq!(observed[0].reachability, expected);
        assert_eq!(observed[0].announced, expected == Reachability::Public);
        let announced = street.world.peer(street.asker).node().addresses().to_vec();
        assert_eq!(announced.contains(&observed[0].address), observed[0].announced);
        // All who are connected have been told.
        street.world.run_for(SECOND * 2);
        for server in &street.servers {
            let node = street.world.peer(*server).node();
            let id = street.world.peer(street.asker).node().peer_id();
            let connection = node.best_connection(&id).unwrap();
            assert_eq!(node.info(connection).unwrap().addresses, announced);
        }
    }
}

#[test]
fn each_destination_sees_another_port_of_a_symmetric_translator_and_none_is_believed() {
    let mut street = Street::new(2, Some(NatKind::Symmetric), 8);
    street.meet(&street.servers.clone());
    street.world.run_for(SECOND * 120);
    assert_eq!(street.observed(), []);
}

#[test]
fn a_public_peer_is_found_to_be_one_over_a_bad_network() {
    for seed in 0..10 {
        let mut street = Street::new(seed, None, 5);
        street.world.set_conditions(Conditions {
            delay: Duration::from_millis(150),
            jitter: Duration::from_millis(100),
            loss: 100,
            ..Conditions::default()
        });
        street.meet(&street.servers.clone());
        assert_eq!(street.settled(SECOND * 300), Reachability::Public, "seed {seed}");
        let listening = &street.own()[0];
        assert_eq!(
            (listening.source, listening.reachability),
            (Source::Listening, Reachability::Public)
        );
        street.world.run_for(SECOND * 60);
        for server in &street.servers {
            assert_eq!(street.world.peer(*server).node().autonat_server().jobs(), 0);
            // The dials back are not taken for connections of the application.
            let node = street.world.peer(*server).node();
            assert!(node.peers().count() <= 1);
        }
    }
}

#[test]
fn an_address_that_stops_being_reachable_is_announced_no_more() {
    let mut street = Street::new(4, None, 6);
    street.meet(&street.servers.clone());
    assert_eq!(street.settled(SECOND * 100), Reachability::Public);
    let address = street.own()[0].address.clone();
    // A firewall: nobody new comes through. What is connected stays.
    let asker = street.asker;
    street.world.with(asker, |peer, _, _| assert!(peer.node().addresses().contains(&address)));
    let everyone: Subject = "/ip4/20.0.0.0/ipcidr/8".parse().unwrap();
    let inbound = Some(Direction::Inbound);
    street.world.with(asker, |peer, _, now| {
        peer.set_filter(now, everyone.clone(), inbound, Verdict::Deny);
    });
    street.world.run_for(SECOND * 60 * 60 * 6);
    assert_eq!(street.reachability(), Reachability::Private);
    assert!(!street.world.peer(asker).node().addresses().contains(&address));
    street.world.with(asker, |peer, _, now| peer.remove_filter(now, &everyone, inbound));
    street.world.run_for(SECOND * 60 * 60 * 4);
    assert_eq!(street.reachability(), Reachability::Public);
}

impl Street {
    /// A peer that answers all questions of `protocol` with `answer`.
    fn add_liar(&mut self, protocol: &'static str, answer: Vec<u8>) -> PeerIndex {
        let liar = self.add(|_| {});
        self.world.with(liar, |peer, app, now| {
            peer.handle(now, protocol.into());
            app.lie = Some(answer);
        });
        liar
    }
}

#[test]
fn a_server_that_says_it_has_dialed_and_has_not_is_not_believed() {
    let mut street = Street::new(5, Some(NatKind::PortRestricted), 0);
    let lie = says(ResponseStatus::Ok, DialStatus::Ok);
    let liars: Vec<PeerIndex> =
        (0..8).map(|_| street.add_liar(REQUEST_NAME, lie.clone())).collect();
    street.meet(&liars);
    street.world.run_for(SECOND * 60 * 60);
    assert_eq!(street.observed().len(), 1, "it is a candidate");
    assert_eq!(street.reachability(), Reachability::Unknown);
    let asked = |index: &PeerIndex| {
        let opened = |news: &&News| matches!(news, News::Node(Event::InboundStream { .. }));
        street.world.app(*index).log.iter().filter(opened).count()
    };
    assert!(liars.iter().map(asked).sum::<usize>() >= 8, "all were asked");
    assert!(liars.iter().map(asked).all(|asked| asked <= 2), "liars are left alone");
}

#[test]
fn servers_that_say_that_nothing_works_are_outvoted_by_proof() {
    let mut street = Street::new(6, None, 3);
    let lie = says(ResponseStatus::Ok, DialStatus::DialError);
    let liars: Vec<PeerIndex> =
        (0..3).map(|_| street.add_liar(REQUEST_NAME, lie.clone())).collect();
    street.meet(&liars);
    street.meet(&street.servers.clone());
    street.world.run_for(SECOND * 600);
    assert_eq!(street.reachability(), Reachability::Public);
}

#[test]
fn answers_that_make_no_sense_lead_to_nothing() {
    let answers: [Vec<u8>; 6] = [
        Vec::new(),
        vec![0xff; 30],
        Message::Response { status: ResponseStatus::Ok, index: 7, dial: DialStatus::Ok }.encode(),
        Message::DataRequest { index: 0, bytes: u64::MAX }.encode(),
        Message::Request { addresses: Vec::new(), nonce: 1 }.encode(),
        says(ResponseStatus::Other(77), DialStatus::Other(1)),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let mut street = Street::new(number as u64, None, 0);
        let liars: Vec<PeerIndex> =
            (0..5).map(|_| street.add_liar(REQUEST_NAME, answer.clone())).collect();
        street.meet(&liars);
        street.world.run_for(SECOND * 600);
        assert_eq!(street.reachability(), Reachability::Unknown);
    }
}

#[test]
fn without_proof_version_1_believes_the_majority() {
    let mut street = Street::new(9, None, 0);
    let (yes, no) = (v1::Status::Ok, v1::Status::DialError);
    let says = |status| v1::Message::Response { status, address: None }.encode();
    let liars: Vec<PeerIndex> =
        [yes, yes, yes, yes, no].map(|status| street.add_liar(V1_NAME, says(status))).into();
    street.meet(&liars);
    assert_eq!(street.settled(SECOND * 300), Reachability::Public);
}

/// What a client says to a server, byte for byte.
struct Client {
    street: Street,
    server: PeerIndex,
    victim: PeerIndex,
    connection: ConnectionId,
}

impl Client {
    fn new(seed: u64) -> Self {
        let mut street = Street::new(seed, None, 1);
        let victim = street.add(|_| {});
        let server = street.servers[0];
        street.meet(&[server]);
        street.world.run_for(SECOND * 30);
        let id = street.world.peer(server).node().peer_id();
        let connection = street.world.peer(street.asker).node().best_connection(&id).unwrap();
        Self { street, server, victim, connection }
    }

    /// Asks for a dial to the victim, then sends `data` messages of `size` bytes;
    /// what the server answers in the end.
    fn attack(&mut self, data: usize, size: usize) -> Vec<Message> {
        let target = self.street.world.address(self.victim).without_peer();
        let request = Message::Request { addresses: vec![Some(target)], nonce: 7 }.encode();
        let mut bytes = framed(&request);
        for _ in 0..data {
            bytes.extend(framed(&Message::Data(size).encode()));
        }
        let answers = self.ask(REQUEST_NAME, bytes);
        answers.iter().map(|bytes| Message::decode(bytes).unwrap()).collect()
    }

    /// Opens a stream and says this; what is answered.
    fn ask(&mut self, protocol: &str, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let (asker, connection) = (self.street.asker, self.connection);
        self.street.world.with(asker, |peer, app, now| {
            app.received.clear();
            let stream = peer.open_stream(now, connection, vec![protocol.into()]).unwrap();
            app.say(peer, now, (connection, stream), bytes);
        });
        self.street.world.run_for(SECOND * 40);
        let mut received = self.street.world.app(asker).received.clone();
        let mut answers = Vec::new();
        while !received.is_empty() {
            let length = usize::from(received[0]);
            answers.push(received[1..=length].to_vec());
            received.drain(..=length);
        }
        answers
    }

    fn knocks(&self) -> usize {
        let tried = |news: &&News| {
            matches!(news, News::Node(Event::InboundFailed { .. } | Event::Connected { .. }))
        };
        self.street.world.app(self.victim).log.iter().filter(tried).count()
    }
}

#[test]
fn nobody_else_is_dialed_for_a_client_that_does_not_send_more_than_the_dial_costs() {
    let mut client = Client::new(10);
    for (data, size) in [(0, 0), (5, 4096), (300, 99), (4000, 1)] {
        let messages = client.attack(data, size);
        for message in messages {
            assert!(matches!(message, Message::DataRequest { bytes: 30_000.., .. }), "{message:?}");
        }
        assert_eq!(client.knocks(), 0, "{data} messages of {size}");
    }
    let messages = client.attack(25, 4096);
    let [Message::DataRequest { .. }, Message::Response { status, dial, .. }] = messages[..] else {
        panic!("{messages:?}");
    };
    assert_eq!((status, dial), (ResponseStatus::Ok, DialStatus::DialError), "it is somebody else");
    assert_eq!(client.knocks(), 1);
    assert_eq!(client.street.world.peer(client.server).node().autonat_server().jobs(), 0);
}

#[test]
fn a_peer_gets_so_many_dials_a_minute() {
    let mut client = Client::new(11);
    let rejected = |messages: &[Message]| {
        matches!(messages, [Message::Response { status: ResponseStatus::Rejected, .. }])
    };
    let server = client.server;
    let config = ServerConfig { per_minute_of_peer: 1, ..ServerConfig::default() };
    client.street.world.with(server, |peer, _, now| peer.serve_autonat(now, config));
    client.street.world.run_for(SECOND * 60);
    assert!(!rejected(&client.attack(0, 0)));
    assert!(rejected(&client.attack(0, 0)));
    client.street.world.run_for(SECOND * 60);
    assert!(!rejected(&client.attack(0, 0)));
}

#[test]
fn a_number_on_a_connection_that_was_there_before_proves_nothing() {
    // A server behind whose back nobody dials: it says the number where it was asked.
    let mut street = Street::new(12, Some(NatKind::PortRestricted), 0);
    let servers: Vec<PeerIndex> = (0..5).map(|_| street.add(|_| {})).collect();
    for server in &servers {
        street.world.with(*server, |peer, app, now| {
            peer.handle(now, REQUEST_NAME.into());
            app.parrot = true;
        });
    }
    street.meet(&servers);
    street.world.run_for(SECOND * 600);
    assert_eq!(street.reachability(), Reachability::Unknown);
    let opened = servers.iter().any(|server| {
        // Theirs are the streams that they did not get from us.
        let mine = |(_, stream): &(ConnectionId, StreamId)| stream.number() % 2 == 0;
        street.world.app(*server).unsent.keys().any(mine)
    });
    assert!(opened, "they did say it");
}

#[test]
fn version_1_dials_only_where_the_question_comes_from() {
    let mut client = Client::new(13);
    let asker = client.street.world.address(client.street.asker).without_peer();
    let victim = client.street.world.address(client.victim).without_peer();
    let peer = client.street.world.peer(client.street.asker).node().peer_id();
    let mut ask = |peer: Option<PeerId>, addresses: &[&Multiaddr]| {
        let addresses = addresses.iter().map(|address| (*address).clone()).collect();
        let bytes = framed(&v1::Message::Dial { peer, addresses }.encode());
        let answers = client.ask(V1_NAME, bytes);
        let v1::Message::Response { status, address } = v1::Message::decode(&answers[0]).unwrap()
        else {
            panic!("no answer");
        };
        // One a minute of those that were there before it.
        client.street.world.run_for(SECOND * 60);
        (status, address)
    };
    assert_eq!(ask(Some(peer), &[&asker]), (v1::Status::Ok, Some(asker.clone())));
    // The victim's port, at the address that asks.
    assert_eq!(ask(None, &[&victim]), (v1::Status::Ok, Some(asker.clone())));
    let closed: Multiaddr = "/ip4/20.0.0.1/tcp/5".parse().unwrap();
    assert_eq!(ask(None, &[&closed]), (v1::Status::DialError, None));
    assert_eq!(ask(None, &[]), (v1::Status::DialRefused, None));
    let quic: Multiaddr = "/ip4/20.0.0.1/udp/4001/quic-v1".parse().unwrap();
    assert_eq!(ask(None, &[&quic]), (v1::Status::DialRefused, None));
    let other = PeerId::random(&mut Rng::from_number(1));
    assert_eq!(ask(Some(other), &[&asker]), (v1::Status::BadRequest, None));
    assert_eq!(client.knocks(), 0);
}
