//! The exchange, message by message: every limit, and remotes that lie or stall.

use super::*;
use crate::node::Direction;
use crate::{Keypair, Rng};

const VIA: ConnectionId = ConnectionId(1);
const NOW: Instant = Instant::ZERO;

fn at(millis: u64) -> Instant {
    NOW + Duration::from_millis(millis)
}

fn address(number: usize) -> Multiaddr {
    format!("/ip4/20.0.0.1/tcp/{number}").parse().unwrap()
}

struct End {
    dcutr: Dcutr,
    local: Local,
}

impl End {
    /// A peer with one address, connected through a relay to another one.
    fn new(me: u64, other: u64) -> Self {
        let keypair = |number| Keypair::generate_ed25519(&mut Rng::from_number(number));
        let local = Local {
            keypair: keypair(me),
            addresses: Vec::new(),
            protocols: Vec::new(),
            agent: String::new(),
            protocol_version: String::new(),
            sequence: 1,
        };
        let mut end = Self { dcutr: Dcutr::new(&Config::default()), local };
        end.dcutr.set_addresses([address(me as usize)], false);
        end.connect(VIA, &keypair(other).peer_id(), "/ip4/20.0.0.9/tcp/1/p2p-circuit");
        end
    }

    fn connect(&mut self, connection: ConnectionId, peer: &PeerId, remote: &str) {
        let (direction, remote) = (Direction::Inbound, remote.parse().unwrap());
        self.handle(0, Input::Connected { connection, peer, direction, remote: &remote });
    }

    fn handle(&mut self, millis: u64, input: Input<'_>) {
        self.dcutr.handle(at(millis), &self.local, input);
    }

    fn inbound(&mut self, stream: u32) {
        let stream = StreamId::from_number(stream);
        self.handle(0, Input::Inbound { connection: VIA, stream, protocol: &NAME.into() });
    }

    fn opened(&mut self, millis: u64, stream: u32) {
        let (request, stream) = (0, StreamId::from_number(stream));
        let protocol = NAME.into();
        self.handle(
            millis,
            Input::Opened { connection: VIA, request, stream, protocol: &protocol },
        );
    }

    fn message(&mut self, millis: u64, stream: u32, message: &Message) {
        let (stream, bytes) = (StreamId::from_number(stream), message.encode());
        self.handle(millis, Input::Message { connection: VIA, stream, bytes });
    }

    /// What it has sent, and whether it has reset the stream.
    fn said(&mut self) -> (Vec<Message>, bool) {
        let (mut messages, mut reset) = (Vec::new(), false);
        while let Some(action) = self.dcutr.poll() {
            match action {
                Action::Send { bytes, .. } => messages.push(Message::decode(&bytes).unwrap()),
                Action::Reset { .. } => reset = true,
                _ => {}
            }
        }
        (messages, reset)
    }
}

fn connect(number: usize) -> Message {
    Message::Connect(vec![address(number)])
}

#[test]
fn both_dial_half_a_round_trip_after_the_word() {
    let mut end = End::new(1, 2);
    end.dcutr.begin(NOW, VIA);
    end.opened(100, 1);
    assert_eq!(end.said(), (vec![connect(1)], false));
    end.message(180, 1, &connect(2));
    assert_eq!(end.said(), (vec![Message::Sync], false));
    assert_eq!(end.dcutr.poll_timeout(), Some(at(220)));
    end.handle(219, Input::Timeout);
    assert_eq!(end.dcutr.poll_order(), None);
    end.handle(220, Input::Timeout);
    let order = Order::Punch {
        via: VIA,
        role: Role::Responder,
        rtt: Some(Duration::from_millis(80)),
        ours: vec![address(1)],
        theirs: vec![address(2)],
    };
    assert_eq!(end.dcutr.poll_order(), Some(order));

    let mut other = End::new(2, 1);
    other.inbound(1);
    other.message(0, 1, &connect(1));
    assert_eq!(other.said(), (vec![connect(2)], false));
    assert_eq!(other.dcutr.poll_order(), None, "not before the word");
    other.message(5, 1, &Message::Sync);
    let (role, rtt) = (Role::Initiator, None);
    let (ours, theirs) = (vec![address(2)], vec![address(1)]);
    let order = Order::Punch { via: VIA, role, rtt, ours, theirs };
    assert_eq!(other.dcutr.poll_order(), Some(order));
    assert_eq!(other.dcutr.poll_timeout(), None);
}

#[test]
fn of_what_is_told_and_heard_only_what_can_be_dialed_counts() {
    let listed = [
        "/ip4/10.0.0.1/tcp/1",
        "/ip4/20.0.0.1/tcp/0",
        "/ip4/20.0.0.1/udp/0/quic-v1",
        "/ip4/20.0.0.1/udp/1/quic-v1/webtransport",
        "/ip4/20.0.0.1/tcp/1/ws",
        "/ip4/20.0.0.9/tcp/1/p2p-circuit",
        "/dns4/peer.example/tcp/1",
        "/ip4/20.0.0.1/tcp/7",
    ];
    let addresses: Vec<Multiaddr> = listed.iter().map(|text| text.parse().unwrap()).collect();
    let mut end = End::new(1, 2);
    end.dcutr.set_addresses(addresses.clone(), false);
    end.inbound(1);
    end.message(0, 1, &Message::Connect(addresses.clone()));
    assert_eq!(end.said(), (vec![connect(7)], false));
    end.message(0, 1, &Message::Sync);
    let punch = end.dcutr.poll_order().unwrap();
    assert!(matches!(punch, Order::Punch { theirs, .. } if theirs == [address(7)]));

    // In a closed network, private ones count too.
    end.dcutr.set_addresses(addresses.clone(), true);
    end.dcutr.begin(NOW, VIA);
    end.opened(0, 3);
    let told = Message::Connect(vec![addresses[0].clone(), address(7)]);
    assert_eq!(end.said(), (vec![told], false));

    let mut many = End::new(1, 2);
    many.dcutr.set_addresses((1..=100).map(address), false);
    many.dcutr.begin(NOW, VIA);
    many.opened(0, 1);
    let told = Message::Connect((1..=MAX_ADDRESSES).map(address).collect());
    assert_eq!(many.said().0, [told]);
}

#[test]
fn who_has_nothing_to_tell_does_not_begin_and_breaks_off() {
    let mut end = End::new(1, 2);
    end.dcutr.set_addresses([], false);
    end.dcutr.begin(NOW, VIA);
    let error = DcutrError::NoAddress;
    assert_eq!(end.dcutr.poll_order(), Some(Order::Failed { via: VIA, error }));
    end.inbound(1);
    end.message(0, 1, &connect(2));
    assert_eq!(end.said(), (vec![], true));
}

#[test]
fn remotes_that_stall_lie_or_leave_end_an_exchange_with_its_reason() {
    let stream = StreamId::from_number(1);
    type Deed = fn(&mut End, StreamId);
    let deeds: [(Deed, DcutrError); 6] = [
        (|end, _| end.handle(10_000, Input::Timeout), DcutrError::TimedOut),
        (|end, _| end.message(1, 1, &Message::Sync), DcutrError::Refused),
        (|end, _| end.message(1, 1, &Message::Connect(vec![])), DcutrError::NoRemoteAddress),
        (
            |end, stream| end.handle(1, Input::Reset { connection: VIA, stream }),
            DcutrError::Refused,
        ),
        (
            |end, stream| end.handle(1, Input::Finished { connection: VIA, stream }),
            DcutrError::Refused,
        ),
        (|end, _| end.handle(1, Input::Disconnected { connection: VIA }), DcutrError::Disconnected),
    ];
    for (deed, error) in deeds {
        let mut end = End::new(1, 2);
        end.dcutr.begin(NOW, VIA);
        end.opened(0, 1);
        deed(&mut end, stream);
        assert_eq!(end.dcutr.poll_order(), Some(Order::Failed { via: VIA, error }));
        assert_eq!(end.dcutr.poll_timeout(), None);
    }
    let mut end = End::new(1, 2);
    end.dcutr.begin(NOW, VIA);
    let error = StreamError::ProtocolNotSupported(Vec::new());
    end.handle(0, Input::OpenFailed { connection: VIA, request: 0, error });
    let error = DcutrError::Unsupported;
    assert_eq!(end.dcutr.poll_order(), Some(Order::Failed { via: VIA, error }));
}

#[test]
fn a_remote_has_us_dial_so_often_one_at_a_time_and_not_for_ever() {
    let mut end = End::new(1, 2);
    end.inbound(1);
    end.inbound(3);
    assert_eq!(end.said(), (vec![], true), "one at a time");
    end.handle(10_000, Input::Timeout);
    assert_eq!(end.said(), (vec![], true), "it took too long");
    for number in 1..MAX_ANSWERS {
        end.inbound(number);
        end.message(0, number, &connect(2));
        end.message(0, number, &Message::Sync);
        assert!(end.dcutr.poll_order().is_some());
        assert_eq!(end.said(), (vec![connect(1)], false));
    }
    end.inbound(99);
    assert_eq!(end.said(), (vec![], true), "that was enough");
}

#[test]
fn answers_that_are_out_of_order_are_reset() {
    let nonsense: [&[Message]; 3] =
        [&[Message::Sync], &[connect(2), connect(2)], &[connect(2), Message::Sync, Message::Sync]];
    for messages in nonsense {
        let mut end = End::new(1, 2);
        end.inbound(1);
        messages.iter().for_each(|message| end.message(0, 1, message));
        let punched = end.dcutr.poll_order().is_some();
        assert_eq!((end.said().1, punched), (messages.len() < 3, messages.len() == 3));
        assert_eq!(end.dcutr.poll_order(), None);
    }
    // Over a direct connection there is nothing to upgrade.
    let mut end = End::new(1, 2);
    end.handle(0, Input::Disconnected { connection: VIA });
    let peer = end.local.keypair.peer_id();
    end.connect(VIA, &peer, "/ip4/20.0.0.9/tcp/1");
    end.inbound(1);
    assert_eq!(end.said(), (vec![], true));
}

#[test]
fn of_two_that_begin_the_one_with_the_smaller_name_goes_on() {
    let (mut a, mut b) = (End::new(1, 2), End::new(2, 1));
    if a.local.keypair.peer_id() > b.local.keypair.peer_id() {
        core::mem::swap(&mut a, &mut b);
    }
    for end in [&mut a, &mut b] {
        end.dcutr.begin(NOW, VIA);
        end.opened(0, 1);
        end.said();
        end.inbound(2);
    }
    assert_eq!((a.said(), a.dcutr.poll_order()), ((vec![], true), None));
    // The other one resets its own and answers.
    assert_eq!(b.said(), (vec![], true));
    assert_eq!(b.dcutr.poll_order(), Some(Order::Yielded { via: VIA }));
    b.message(0, 2, &connect(7));
    assert_eq!(b.said().0.len(), 1);
}
