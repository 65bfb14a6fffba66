//! The point's limits and the client's patience; messages against prost, whose
//! definitions are those of the specification.

use core::time::Duration;

use proptest::prelude::*;
use prost::Message as _;

use super::message::Register;
use super::*;
use crate::connection::StreamId;
use crate::identity::Keypair;
use crate::node::{ConnectionId, Direction, Event};
use crate::protocols::{Action, Input, Local, Protocol};
use crate::time::Instant;

mod client;

mod oracle {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Message {
        #[prost(int32, optional, tag = "1")]
        pub(super) kind: Option<i32>,
        #[prost(message, optional, tag = "2")]
        pub(super) register: Option<Register>,
        #[prost(message, optional, tag = "3")]
        pub(super) registered: Option<Registered>,
        #[prost(message, optional, tag = "4")]
        pub(super) unregister: Option<Unregister>,
        #[prost(message, optional, tag = "5")]
        pub(super) discover: Option<Discover>,
        #[prost(message, optional, tag = "6")]
        pub(super) discovered: Option<Discovered>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Register {
        #[prost(string, optional, tag = "1")]
        pub(super) ns: Option<String>,
        #[prost(bytes = "vec", optional, tag = "2")]
        pub(super) record: Option<Vec<u8>>,
        #[prost(uint64, optional, tag = "3")]
        pub(super) ttl: Option<u64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Registered {
        #[prost(int32, optional, tag = "1")]
        pub(super) status: Option<i32>,
        #[prost(string, optional, tag = "2")]
        pub(super) text: Option<String>,
        #[prost(uint64, optional, tag = "3")]
        pub(super) ttl: Option<u64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Unregister {
        #[prost(string, optional, tag = "1")]
        pub(super) ns: Option<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Discover {
        #[prost(string, optional, tag = "1")]
        pub(super) ns: Option<String>,
        #[prost(uint64, optional, tag = "2")]
        pub(super) limit: Option<u64>,
        #[prost(bytes = "vec", optional, tag = "3")]
        pub(super) cookie: Option<Vec<u8>>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Discovered {
        #[prost(message, repeated, tag = "1")]
        pub(super) registrations: Vec<Register>,
        #[prost(bytes = "vec", optional, tag = "2")]
        pub(super) cookie: Option<Vec<u8>>,
        #[prost(int32, optional, tag = "3")]
        pub(super) status: Option<i32>,
        #[prost(string, optional, tag = "4")]
        pub(super) text: Option<String>,
    }
}

fn sample() -> Register {
    Register { namespace: "chat".into(), record: vec![1, 2, 3], ttl: Some(7200) }
}

fn same(message: &Message, oracle: &oracle::Message) {
    assert_eq!(oracle::Message::decode(&*message.encode()).as_ref(), Ok(oracle));
    assert_eq!(Message::decode(&oracle.encode_to_vec()).as_ref(), Ok(message));
}

#[test]
fn messages_are_those_of_the_specification() {
    let register =
        oracle::Register { ns: Some("chat".into()), record: Some(vec![1, 2, 3]), ttl: Some(7200) };
    same(
        &Message::Register(sample()),
        &oracle::Message {
            kind: Some(0),
            register: Some(register.clone()),
            ..oracle::Message::default()
        },
    );
    for (status, number) in [
        (Status::Ok, 0),
        (Status::InvalidNamespace, 100),
        (Status::InvalidSignedPeerRecord, 101),
        (Status::InvalidTtl, 102),
        (Status::InvalidCookie, 103),
        (Status::NotAuthorized, 200),
        (Status::InternalError, 300),
        (Status::Unavailable, 400),
        (Status::Other(7), 7),
    ] {
        let registered =
            oracle::Registered { status: Some(number), text: Some("why".into()), ttl: Some(1) };
        same(
            &Message::Registered { status, text: "why".into(), ttl: Some(1) },
            &oracle::Message {
                kind: Some(1),
                registered: Some(registered),
                ..oracle::Message::default()
            },
        );
    }
    same(
        &Message::Unregister { namespace: "chat".into() },
        &oracle::Message {
            kind: Some(2),
            unregister: Some(oracle::Unregister { ns: Some("chat".into()) }),
            ..oracle::Message::default()
        },
    );
    let discover =
        oracle::Discover { ns: Some("chat".into()), limit: Some(9), cookie: Some(vec![4]) };
    same(
        &Message::Discover {
            namespace: Some("chat".into()),
            limit: Some(9),
            cookie: Some(vec![4]),
        },
        &oracle::Message { kind: Some(3), discover: Some(discover), ..oracle::Message::default() },
    );
    let discovered = oracle::Discovered {
        registrations: vec![register.clone(), register],
        cookie: Some(vec![4]),
        status: Some(0),
        text: Some("why".into()),
    };
    same(
        &Message::Discovered {
            status: Status::Ok,
            text: "why".into(),
            registrations: vec![sample(), sample()],
            cookie: vec![4],
        },
        &oracle::Message {
            kind: Some(4),
            discovered: Some(discovered),
            ..oracle::Message::default()
        },
    );
}

#[test]
fn an_answer_brings_no_more_than_it_may() {
    let discovered = |registrations: Vec<Register>, cookie| Message::Discovered {
        status: Status::Ok,
        text: String::new(),
        registrations,
        cookie,
    };
    let long = Register { record: vec![0; MAX_RECORD + 1], ..sample() };
    let many = [vec![long], vec![sample(); MAX_FOUND + 5]].concat();
    let Ok(Message::Discovered { registrations, .. }) =
        Message::decode(&discovered(many, vec![]).encode())
    else {
        panic!("it is an answer")
    };
    assert_eq!(registrations, vec![sample(); MAX_FOUND]);
    assert!(Message::decode(&discovered(vec![], vec![0; MAX_COOKIE]).encode()).is_ok());
    assert!(Message::decode(&discovered(vec![], vec![0; MAX_COOKIE + 1]).encode()).is_err());
    let text = "ä".repeat(200);
    let refusal = Message::Registered { status: Status::Unavailable, text, ttl: None };
    let Ok(Message::Registered { text, .. }) = Message::decode(&refusal.encode()) else {
        panic!("it is an answer")
    };
    assert_eq!(text, "ä".repeat(128));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }
}

// The point.

struct World {
    server: Server,
    now: Instant,
    local: Local,
    streams: u32,
}

fn keypair(number: u8) -> Keypair {
    Keypair::ed25519_from_seed([number; 32])
}

fn local(number: u8) -> Local {
    Local {
        keypair: keypair(number),
        addresses: vec![format!("/ip4/192.0.2.{number}/tcp/4001").parse().unwrap()],
        protocols: Vec::new(),
        agent: String::new(),
        protocol_version: String::new(),
        sequence: 1,
    }
}

fn connection(number: u8) -> ConnectionId {
    ConnectionId(number.into())
}

impl World {
    fn new(config: ServerConfig) -> Self {
        let server = Server::new(Some(config), 77);
        Self { server, now: Instant::from_micros(5), local: local(200), streams: 0 }
    }

    /// Peers of these numbers are connected, each from a network of its own.
    fn connect(&mut self, numbers: core::ops::Range<u8>) {
        for number in numbers {
            let peer = keypair(number).peer_id();
            let remote = format!("/ip4/8.{number}.2.2/tcp/1").parse().unwrap();
            self.connect_from(number, peer, &remote);
        }
    }

    fn connect_from(&mut self, number: u8, peer: PeerId, remote: &Multiaddr) {
        let direction = Direction::Inbound;
        let connection = connection(number);
        let input = Input::Connected { connection, peer: &peer, direction, remote };
        self.server.handle(self.now, &self.local, input);
    }

    fn inbound(&mut self, from: u8) -> StreamId {
        self.streams += 1;
        let stream = StreamId::from_number(self.streams);
        let input = Input::Inbound { connection: connection(from), stream, protocol: &NAME.into() };
        self.server.handle(self.now, &self.local, input);
        stream
    }

    /// What the point answers, if it does.
    fn ask(&mut self, from: u8, message: &Message) -> Option<Message> {
        let stream = self.inbound(from);
        let bytes = message.encode();
        let input = Input::Message { connection: connection(from), stream, bytes };
        self.server.handle(self.now, &self.local, input);
        let mut answer = None;
        while let Some(action) = self.server.poll() {
            match action {
                Action::Send { bytes, .. } => answer = Some(Message::decode(&bytes).unwrap()),
                Action::Finish { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        answer
    }

    fn register(&mut self, from: u8, namespace: &str, ttl: Option<u64>) -> (Status, Option<u64>) {
        let record = local(from).seal().unwrap().to_bytes();
        self.register_as(from, Register { namespace: namespace.into(), record, ttl })
    }

    fn register_as(&mut self, from: u8, register: Register) -> (Status, Option<u64>) {
        match self.ask(from, &Message::Register(register)) {
            Some(Message::Registered { status, ttl, .. }) => (status, ttl),
            other => panic!("{other:?}"),
        }
    }

    /// Who is there, and the cookie.
    fn discover(
        &mut self,
        namespace: Option<&str>,
        limit: Option<u64>,
        cookie: Option<Vec<u8>>,
    ) -> Result<(Vec<u8>, Vec<u8>), Status> {
        let namespace = namespace.map(String::from);
        match self.ask(1, &Message::Discover { namespace, limit, cookie }) {
            Some(Message::Discovered { status: Status::Ok, registrations, cookie, .. }) => {
                let number = |register: &Register| {
                    let peer = PeerRecord::open(&register.record).unwrap().peer_id();
                    (0..=255).find(|number| keypair(*number).peer_id() == peer).unwrap()
                };
                Ok((registrations.iter().map(number).collect(), cookie))
            }
            Some(Message::Discovered { status, .. }) => Err(status),
            other => panic!("{other:?}"),
        }
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
        if self.server.poll_timeout().is_some_and(|at| at <= self.now) {
            self.server.handle(self.now, &self.local, Input::Timeout);
        }
    }
}

const OK: Status = Status::Ok;
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn those_who_register_are_found_until_their_time_is_over() {
    let mut world = World::new(ServerConfig::default());
    world.connect(1..5);
    assert_eq!(world.register(2, "chat", None), (OK, Some(7200)));
    assert_eq!(world.register(3, "chat", Some(3 * 3600)), (OK, Some(3 * 3600)));
    assert_eq!(world.register(4, "other", None), (OK, Some(7200)));
    assert_eq!(world.discover(Some("chat"), None, None).unwrap().0, [2, 3]);
    assert_eq!(world.discover(None, None, None).unwrap().0, [2, 3, 4]);
    assert!(world.discover(Some("nobody"), None, None).unwrap().0.is_empty());
    world.pass(2 * HOUR);
    assert_eq!(world.discover(None, None, None).unwrap().0, [3]);
    // Going is not answered, nor is going again.
    for _ in 0..2 {
        assert_eq!(world.ask(3, &Message::Unregister { namespace: "chat".into() }), None);
    }
    assert_eq!(world.server.len(), (0, 0, 0));
    assert_eq!((world.server.bytes(), world.server.poll_timeout()), (0, None));
}

#[test]
fn what_is_wrong_is_refused_with_the_reason() {
    let mut world = World::new(ServerConfig::default());
    world.connect(1..4);
    let long = "x".repeat(MAX_NAMESPACE);
    assert_eq!(world.register(2, &long, None).0, OK);
    assert_eq!(world.register(2, &format!("{long}x"), None).0, Status::InvalidNamespace);
    assert_eq!(world.register(2, "", None).0, Status::InvalidNamespace);
    let refused = world.discover(Some(&format!("{long}x")), None, None);
    assert_eq!(refused, Err(Status::InvalidNamespace));
    for ttl in [0, 7199, 72 * 3600 + 1, u64::MAX] {
        assert_eq!(world.register(2, "chat", Some(ttl)).0, Status::InvalidTtl, "{ttl}");
    }
    assert_eq!(world.register(2, "chat", Some(72 * 3600)).0, OK);
    let mut wrong = |record: Vec<u8>| {
        world.register_as(2, Register { namespace: "chat".into(), record, ttl: None }).0
    };
    assert_eq!(wrong(local(3).seal().unwrap().to_bytes()), Status::NotAuthorized);
    let mut forged = local(2).seal().unwrap().to_bytes();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(wrong(forged), Status::InvalidSignedPeerRecord);
    assert_eq!(wrong(Vec::new()), Status::InvalidSignedPeerRecord);
    let mut many = local(2);
    many.addresses = (0..128)
        .map(|at| format!("/dns4/{}.example/tcp/{at}/ws", "x".repeat(60)).parse().unwrap())
        .collect();
    let record = PeerRecord::seal(&many.keypair, 1, many.addresses).unwrap().to_bytes();
    assert!(record.len() > MAX_RECORD);
    assert_eq!(wrong(record), Status::InvalidSignedPeerRecord);
    assert_eq!(world.server.len(), (2, 1, 2));
}

#[test]
fn pages_follow_each_other_and_cookies_tell_of_those_who_came_since() {
    let mut world = World::new(ServerConfig::default());
    world.connect(1..10);
    for number in 2..8 {
        world.register(number, "chat", None);
    }
    let (mut cookie, mut seen) = (None, Vec::new());
    loop {
        let (page, next) = world.discover(Some("chat"), Some(4), cookie).unwrap();
        if page.is_empty() {
            cookie = Some(next);
            break;
        }
        assert!(page.len() <= 4);
        seen.extend(page);
        cookie = Some(next);
    }
    assert_eq!(seen, [2, 3, 4, 5, 6, 7]);
    world.register(8, "chat", None);
    world.register(9, "other", None);
    // Who registers again is told again: what was known of it would end.
    world.register(3, "chat", None);
    let (news, _) = world.discover(Some("chat"), None, cookie.clone()).unwrap();
    assert_eq!(news, [8, 3]);
    // A cookie is good for its name at its point.
    for name in [Some("other"), None] {
        let refused = world.discover(name, None, cookie.clone());
        assert_eq!(refused, Err(Status::InvalidCookie));
    }
    for bad in [vec![1], vec![0xff; 12], b"\0\0\0\0\0\0\0\0chat".to_vec()] {
        assert_eq!(world.discover(Some("chat"), None, Some(bad)), Err(Status::InvalidCookie));
    }
    // No cookie, and no limit, are what some send as empty ones.
    assert_eq!(world.discover(Some("chat"), Some(0), Some(vec![])).unwrap().0.len(), 7);
}

#[test]
fn a_cookie_of_an_earlier_run_is_refused() {
    let (mut old, mut new) =
        (World::new(ServerConfig::default()), World::new(ServerConfig::default()));
    new.server = Server::new(Some(ServerConfig::default()), 78);
    for world in [&mut old, &mut new] {
        world.connect(1..3);
        world.register(2, "chat", None);
    }
    let (_, cookie) = old.discover(Some("chat"), None, None).unwrap();
    assert_eq!(new.discover(Some("chat"), None, Some(cookie)), Err(Status::InvalidCookie));
}

#[test]
fn room_is_shared_and_has_an_end() {
    let config = ServerConfig {
        max_registrations: 6,
        max_of_peer: 3,
        max_of_namespace: 4,
        ..ServerConfig::default()
    };
    let mut world = World::new(config);
    world.connect(1..12);
    let full = (Status::Unavailable, None);
    for name in ["a", "b", "c"] {
        assert_eq!(world.register(2, name, None).0, OK);
    }
    assert_eq!(world.register(2, "d", None), full, "of a peer");
    assert_eq!(world.register(2, "c", None).0, OK, "again is no more");
    for number in 3..6 {
        assert_eq!(world.register(number, "c", None).0, OK);
    }
    assert_eq!(world.register(6, "c", None), full, "of a name");
    assert_eq!(world.register(6, "z", None), full, "in all");
    assert_eq!(world.server.len(), (6, 4, 3));
    // What was there is there still, and room comes back.
    assert_eq!(world.discover(Some("c"), None, None).unwrap().0, [2, 3, 4, 5]);
    world.ask(3, &Message::Unregister { namespace: "c".into() });
    assert_eq!(world.register(6, "c", None).0, OK);
}

#[test]
fn bytes_have_an_end() {
    let config = ServerConfig { max_bytes: 3000, ..ServerConfig::default() };
    let mut world = World::new(config);
    world.connect(1..30);
    let taken = (2..30).filter(|number| world.register(*number, "chat", None).0 == OK).count();
    assert!((3..6).contains(&taken), "{taken}");
    assert!(world.server.bytes() <= 3000);
}

#[test]
fn one_network_does_not_take_the_room_of_all() {
    let config = ServerConfig { max_of_network: 5, ..ServerConfig::default() };
    let mut world = World::new(config);
    world.connect(1..2);
    for number in 10..30 {
        let remote = format!("/ip4/9.9.9.{number}/tcp/1").parse().unwrap();
        world.connect_from(number, keypair(number).peer_id(), &remote);
    }
    let taken = (10..30).filter(|number| world.register(*number, "chat", None).0 == OK).count();
    assert_eq!(taken, 5);
    assert_eq!(world.register(1, "chat", None).0, OK, "from elsewhere");
    assert_eq!(world.register(10, "chat", None).0, OK, "again");
    world.ask(10, &Message::Unregister { namespace: "chat".into() });
    assert_eq!(world.register(29, "chat", None).0, OK);
}

#[test]
fn an_answer_has_so_many_and_so_many_bytes() {
    let config = ServerConfig { max_requests: 100_000, ..ServerConfig::default() };
    let mut world = World::new(config);
    world.connect(1..3);
    for at in 0..=255 {
        for _ in 0..5 {
            world.register(2, &format!("{at}{}", world.streams), None);
        }
        world.server.handle(
            world.now,
            &world.local,
            Input::Disconnected { connection: connection(2) },
        );
        // Another peer each time: each has its share.
        let remote = format!("/ip4/10.0.0.{at}/tcp/1").parse().unwrap();
        world.connect_from(2, keypair(2).peer_id(), &remote);
    }
    // One peer has 1,000 names at most.
    assert_eq!(world.server.len().0, 1000);
    let (all, _) = world.discover(None, None, None).unwrap();
    assert_eq!(all.len(), 1000);
    let (some, _) = world.discover(None, Some(7), None).unwrap();
    assert_eq!(some.len(), 7);
}

#[test]
fn answers_stay_below_what_others_read() {
    let config = ServerConfig { max_requests: 100_000, ..ServerConfig::default() };
    let mut world = World::new(config);
    world.connect(1..3);
    let mut big = local(2);
    big.addresses = (0..60)
        .map(|at| format!("/dns4/{}.example/tcp/{at}/ws", "x".repeat(60)).parse().unwrap())
        .collect();
    let record = PeerRecord::seal(&big.keypair, 1, big.addresses).unwrap().to_bytes();
    for at in 0..300 {
        let register = Register { namespace: format!("{at}"), record: record.clone(), ttl: None };
        assert_eq!(world.register_as(2, register).0, OK);
    }
    let (mut cookie, mut seen) = (None, 0);
    loop {
        let ask = Message::Discover { namespace: None, limit: None, cookie };
        let answer = world.ask(1, &ask).unwrap();
        assert!(answer.encode().len() < MAX_ANSWER_BYTES * 3 / 4);
        let Message::Discovered { registrations, cookie: next, .. } = answer else { panic!() };
        if registrations.is_empty() {
            break;
        }
        (seen, cookie) = (seen + registrations.len(), Some(next));
    }
    assert_eq!(seen, 300);
}

#[test]
fn whoever_asks_too_often_waits() {
    let mut world = World::new(ServerConfig { max_requests: 10, ..ServerConfig::default() });
    world.connect(1..3);
    let asked = (0..30).filter(|_| world.discover(None, None, None).is_ok()).count();
    assert_eq!(asked, 10);
    assert_eq!(world.discover(None, None, None), Err(Status::Unavailable));
    assert_eq!(world.register(2, "chat", None).0, OK, "another has its own share");
    world.pass(Duration::from_secs(6));
    assert!(world.discover(None, None, None).is_ok());
    assert!(world.discover(None, None, None).is_err());
}

#[test]
fn streams_without_a_request_are_few_and_end() {
    let mut world = World::new(ServerConfig::default());
    world.connect(1..3);
    let streams: Vec<_> = (0..MAX_WAITING).map(|_| world.inbound(1)).collect();
    assert!(world.server.poll().is_none());
    let resets = |world: &mut World| {
        std::iter::from_fn(|| world.server.poll())
            .map(|action| match action {
                Action::Reset { stream, .. } => stream,
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    let further = world.inbound(1);
    assert_eq!(resets(&mut world), [further]);
    world.inbound(2);
    assert_eq!(resets(&mut world), [], "another has its own");
    world.pass(REQUEST_TIMEOUT);
    assert_eq!(resets(&mut world).len(), streams.len() + 1);
    assert_eq!(world.server.poll_timeout(), None);
    // What is no request ends the stream, and so does an answer.
    for bytes in
        [vec![0xff], Message::Registered { status: OK, text: String::new(), ttl: None }.encode()]
    {
        let stream = world.inbound(1);
        let input = Input::Message { connection: connection(1), stream, bytes };
        world.server.handle(world.now, &world.local, input);
        assert_eq!(resets(&mut world), [stream]);
    }
    world.inbound(1);
    let input = Input::Disconnected { connection: connection(1) };
    world.server.handle(world.now, &world.local, input);
    assert_eq!(world.server.poll_timeout(), None);
}
