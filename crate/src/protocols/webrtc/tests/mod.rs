//! What the simulated peers in `sim/tests/webrtc.rs` do not reach.

mod restart;

use super::*;
use crate::identity::{Keypair, PeerId};
use crate::node::Direction;
use crate::protocols::{Action, Input, Local, Protocol};
use crate::rng::Rng;
use crate::time::Instant;

fn peer(number: u64) -> PeerId {
    Keypair::generate_ed25519(&mut Rng::from_number(number)).peer_id()
}

fn local() -> Local {
    Local {
        keypair: Keypair::generate_ed25519(&mut Rng::from_number(0)),
        addresses: Vec::new(),
        protocols: Vec::new(),
        agent: String::new(),
        protocol_version: String::new(),
        sequence: 0,
    }
}

struct Machine(Signalling, Local);

impl Machine {
    fn new() -> Self {
        let mut signalling = Signalling::new();
        signalling.listen();
        Self(signalling, local())
    }

    fn connect(&mut self, connection: u64) -> ConnectionId {
        let connection = ConnectionId(connection);
        let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let (peer, direction) = (&peer(connection.0), Direction::Inbound);
        self.handle(Input::Connected { connection, peer, direction, remote: &remote });
        connection
    }

    fn handle(&mut self, input: Input<'_>) -> Vec<Action> {
        self.0.handle(Instant::ZERO, &self.1, input);
        self.actions()
    }

    fn timeout(&mut self, after: Duration) -> Vec<Order> {
        self.0.handle(Instant::ZERO + after, &self.1, Input::Timeout);
        orders(self.actions())
    }

    fn failed(&mut self, connection: ConnectionId) -> Vec<Order> {
        self.0.host_failed(Instant::ZERO, connection, "no way".into());
        orders(self.actions())
    }

    /// A peer has offered a connection and been answered.
    fn answered(&mut self) -> (ConnectionId, ConnectionId, StreamId) {
        let (via, connection) = (self.connect(1), ConnectionId(1000));
        let stream = StreamId::from_number(1);
        assert!(self.inbound(via, 1, Some("offer")));
        self.0.answer(Instant::ZERO, connection, (via, stream), "offer".into());
        self.0.described(connection, "answer".into());
        self.actions();
        (via, connection, stream)
    }

    /// A peer was offered a connection and has answered.
    fn offered(&mut self) -> (ConnectionId, ConnectionId, StreamId) {
        let via = self.connect(1);
        let (connection, stream) = self.offer(via, 0);
        self.0.described(connection, "offer".into());
        self.actions();
        self.hear(via, stream, Kind::Answer, "answer");
        (via, connection, stream)
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.0.poll()).collect()
    }

    /// The remote opens a stream and says this; whether the stream stands.
    fn inbound(&mut self, connection: ConnectionId, number: u32, offer: Option<&str>) -> bool {
        let stream = StreamId::from_number(number);
        let mut actions =
            self.handle(Input::Inbound { connection, stream, protocol: &NAME.into() });
        if let Some(offer) = offer {
            let bytes = Signal { kind: Kind::Offer, data: offer.into() }.encode();
            actions.extend(self.handle(Input::Message { connection, stream, bytes }));
        }
        !actions.iter().any(|action| matches!(action, Action::Reset { .. }))
    }

    fn offer(&mut self, via: ConnectionId, retries: u8) -> (ConnectionId, StreamId) {
        let (connection, stream) = (ConnectionId(1000), StreamId::from_number(1));
        self.0.offer(Instant::ZERO, connection, via, retries);
        let actions = self.actions();
        let [Action::Open { request, .. }, _] = actions[..] else { panic!("{actions:?}") };
        let protocol = &NAME.into();
        self.handle(Input::Opened { connection: via, request, stream, protocol });
        (connection, stream)
    }

    fn hear(&mut self, via: ConnectionId, stream: StreamId, kind: Kind, data: &str) -> Vec<Order> {
        let bytes = Signal { kind, data: data.into() }.encode();
        let actions = self.handle(Input::Message { connection: via, stream, bytes });
        orders(actions)
    }
}

fn orders(actions: Vec<Action>) -> Vec<Order> {
    let order = |action| match action {
        Action::Signal(order) => Some(order),
        _ => None,
    };
    actions.into_iter().filter_map(order).collect()
}

fn sent(actions: &[Action]) -> Vec<Signal> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::Send { bytes, .. } => Signal::decode(bytes).ok(),
        _ => None,
    });
    sent.collect()
}

#[test]
fn the_limit_of_all_peers_together_is_reached() {
    let mut machine = Machine::new();
    for number in 0..MAX_INBOUND as u64 {
        let connection = machine.connect(number);
        assert!(machine.inbound(connection, 1, None));
    }
    let late = machine.connect(MAX_INBOUND as u64);
    assert!(!machine.inbound(late, 1, None));
    // One that ends makes room.
    let (connection, stream) = (ConnectionId(0), StreamId::from_number(1));
    machine.handle(Input::Reset { connection, stream });
    assert!(machine.inbound(late, 2, Some("v=0")));
}

#[test]
fn the_description_goes_first_and_candidates_wait_for_it() {
    let mut machine = Machine::new();
    let via = machine.connect(1);
    let (connection, stream) = machine.offer(via, 0);
    machine.0.found(connection, "{}".into());
    assert!(machine.actions().is_empty());
    machine.0.described(connection, "offer".into());
    machine.0.found(connection, "null".into());
    let all = sent(&machine.actions());
    let kinds: Vec<Kind> = all.iter().map(|signal| signal.kind).collect();
    assert_eq!(kinds, [Kind::Offer, Kind::Candidate, Kind::Candidate]);
    // What the remote sends before its answer is kept for after it.
    assert_eq!(machine.hear(via, stream, Kind::Candidate, "early"), []);
    let orders = machine.hear(via, stream, Kind::Answer, "answer");
    let host = |order| Order::Host { connection, order };
    let accept = host(HostOrder::Accept { answer: "answer".into() });
    let early = host(HostOrder::Candidate { candidate: "early".into() });
    assert_eq!(orders, [accept, early]);
    assert_eq!(machine.0.connected(Instant::ZERO, connection), Some(peer(1)));
    assert!(machine.0.is_empty());
}

#[test]
fn the_relay_may_go_once_both_have_heard_each_other() {
    for heard in [false, true] {
        let mut machine = Machine::new();
        let via = machine.connect(1);
        let (connection, stream) = machine.offer(via, 1);
        machine.0.described(connection, "offer".into());
        if heard {
            machine.hear(via, stream, Kind::Answer, "answer");
        }
        let orders = orders(machine.handle(Input::Disconnected { connection: via }));
        let error = SignalError::Disconnected;
        let failed = Order::Failed { connection, error };
        assert_eq!(orders, if heard { vec![] } else { vec![failed] });
        let connected = machine.0.connected(Instant::ZERO, connection);
        assert_eq!(connected.is_some(), heard);
    }
}

#[test]
fn a_connection_that_is_up_before_any_answer_is_nobodys() {
    let mut machine = Machine::new();
    let via = machine.connect(1);
    let (connection, _) = machine.offer(via, 0);
    machine.0.described(connection, "offer".into());
    assert_eq!(machine.0.connected(Instant::ZERO, connection), None);
}

#[test]
fn an_own_description_that_nobody_would_take_is_not_sent() {
    let mut machine = Machine::new();
    let via = machine.connect(1);
    let (connection, _) = machine.offer(via, 1);
    machine.0.described(connection, "x".repeat(MAX_DESCRIPTION_BYTES + 1));
    let orders = orders(machine.actions());
    assert!(matches!(orders[..], [Order::Failed { error: SignalError::Host(_), .. }]));
    // Candidates beyond those that fit are left out.
    let (connection, _) = machine.offer(via, 0);
    machine.0.described(connection, "offer".into());
    for _ in 0..MAX_CANDIDATES + 1 {
        machine.0.found(connection, "{}".into());
    }
    assert_eq!(sent(&machine.actions()).len(), 1 + MAX_CANDIDATES);
}

#[test]
fn streams_of_a_session_that_is_over_are_not_kept() {
    let mut machine = Machine::new();
    let via = machine.connect(1);
    let (connection, stream) = machine.offer(via, 0);
    machine.0.described(connection, "offer".into());
    machine.hear(via, stream, Kind::Answer, "answer");
    machine.0.connected(Instant::ZERO, connection);
    machine.actions();
    assert_eq!(machine.hear(via, stream, Kind::Candidate, "late"), []);
    assert_eq!(machine.0.poll_timeout(), Some(Instant::ZERO + LINGER));
    machine.0.handle(Instant::ZERO + LINGER, &machine.1, Input::Timeout);
    let actions = machine.actions();
    assert!(matches!(actions[..], [Action::Reset { .. }]), "{actions:?}");
    assert_eq!(machine.0.poll_timeout(), None);
}
