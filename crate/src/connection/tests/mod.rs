//! Two connections joined in memory, and hostile bytes against one.

#[cfg(feature = "limits")]
mod booked;
mod hostile;
#[cfg(feature = "muxed")]
mod muxed;
mod pair;

use std::sync::Arc;

use super::*;
use crate::identity::Keypair;
use crate::negotiate::Name;
use crate::security::pnet::PreSharedKey;
use pair::Pair;

const ECHO: &str = "/echo/1.0.0";
const NOTE: &str = "/note/1.0.0";
const ONCE: &str = "/once/1.0.0";

fn config(seed: u64) -> Config {
    let mut config = Config::new(Keypair::generate_ed25519(&mut Rng::from_number(seed)));
    config.security = vec![Security::Noise];
    config
}

fn handlers() -> Arc<Handlers> {
    let note = Owner::Node(Framing::LengthPrefixed { max: 1000 });
    let handler = |owner| Handler { owner, weight: yamux::DEFAULT_WEIGHT };
    let once = Owner::Node(Framing::Once { max: 100 });
    let list = [(ECHO, Owner::Application), (NOTE, note), (ONCE, once)];
    Arc::new(list.into_iter().map(|(name, owner)| (name.into(), handler(owner))).collect())
}

#[test]
fn both_learn_who_the_other_is() {
    let pair = Pair::connected();
    assert_eq!(pair.a.peer(), Some(pair.b.id));
    assert_eq!(pair.b.peer(), Some(pair.a.id));
}

#[test]
fn every_security_and_private_networks_agree() {
    let key = PreSharedKey::new([7; 32]);
    for security in [vec![Security::Plaintext], vec![Security::Plaintext, Security::Noise]] {
        for key in [None, Some(key.clone())] {
            let mut pair = Pair::new(|config| {
                config.security = security.clone();
                config.pre_shared_key = key.clone();
            });
            pair.drive();
            assert_eq!(pair.a.peer(), Some(pair.b.id));
        }
    }
}

#[test]
fn another_private_network_is_refused() {
    let mut number = 0;
    let mut pair = Pair::new(|config| {
        number += 1;
        config.pre_shared_key = Some(PreSharedKey::new([number; 32]));
    });
    pair.drive();
    pair.pass(Duration::from_secs(11));
    assert_eq!(pair.a.peer(), None);
    assert!(pair.a.error().is_some() && pair.b.error().is_some());
}

#[test]
fn plaintext_is_refused_unless_asked_for() {
    let mut side = 0;
    let mut pair = Pair::new(|config| {
        side += 1;
        config.security = vec![if side == 1 { Security::Plaintext } else { Security::Noise }];
    });
    pair.drive();
    assert!(matches!(pair.a.error(), Some(Error::Negotiate(_))), "{:?}", pair.a.error());
    assert_eq!(pair.b.peer(), None);
}

#[test]
fn the_wrong_peer_is_refused_by_the_dialer() {
    let other = Keypair::generate_ed25519(&mut Rng::from_number(99)).peer_id();
    let mut pair = Pair::expecting(Some(other), |_| {});
    pair.drive();
    let expected = matches!(
        pair.a.error(),
        Some(Error::Security(crate::security::Error::WrongPeer { expected, actual }))
            if *expected == other && *actual == pair.b.id
    );
    assert!(expected, "{:?}", pair.a.error());
    assert_eq!(pair.b.peer(), None);
}

#[test]
fn early_data_travels_with_the_proposal() {
    let mut pair = Pair::connected();
    let now = pair.now;
    let id = pair.a.connection.open(now, vec![ECHO.into()]).unwrap();
    assert_eq!(pair.a.connection.stream(id).unwrap().write(b"early"), Ok(5));
    pair.carry_once();
    let inbound = pair.b.inbound(ECHO).expect("agreed in one flight");
    assert_eq!(pair.b.connection.stream(inbound).unwrap().readable(), b"early");
}

#[test]
fn much_early_data_may_come_with_the_last_handshake_message() {
    let mut pair = Pair::new(|_| {});
    let (now, mut wire) = (pair.now, Vec::new());
    pair.a.connection.transmit(now, &mut wire, usize::MAX);
    pair.b.connection.receive(now, &mut wire);
    wire.clear();
    pair.b.connection.transmit(now, &mut wire, usize::MAX);
    pair.a.connection.receive(now, &mut wire);
    for _ in 0..3 {
        let id = pair.a.connection.open(now, vec![ECHO.into()]).unwrap();
        assert_eq!(pair.a.connection.stream(id).unwrap().write(&[7; 200_000]), Ok(200_000));
    }
    wire.clear();
    pair.a.connection.transmit(now, &mut wire, usize::MAX);
    assert!(wire.len() > 2 * MAX_HANDSHAKE_BYTES);
    pair.b.connection.receive(now, &mut wire);
    pair.b.collect();
    assert!(pair.b.error().is_none(), "{:?}", pair.b.error());
    let inbound = pair.b.inbound(ECHO).expect("inbound");
    assert_eq!(pair.b.connection.stream(inbound).unwrap().readable().len(), 200_000);
}

#[test]
fn a_stream_of_one_message_each_way_becomes_bytes() {
    let mut pair = Pair::connected();
    let (now, framing) = (pair.now, Framing::Once { max: 100 });
    let open = ToConnection::Open { request: 7, protocols: vec![ONCE.into()], framing };
    pair.a.connection.handle_node(now, open);
    pair.drive();
    let (ours, theirs) = (pair.a.opened(7).unwrap(), pair.b.inbound(ONCE).unwrap());
    pair.a.connection.handle_node(now, ToConnection::Send(ours, b"question".to_vec()));
    pair.drive();
    assert_eq!(pair.b.messages(theirs), [b"question"]);
    // The answer and the bytes behind it come together: these are no message.
    pair.b.connection.handle_node(now, ToConnection::Send(theirs, b"answer".to_vec()));
    assert!(pair.b.connection.detach(theirs));
    let bytes = [9; 50];
    assert_eq!(pair.b.connection.stream(theirs).unwrap().write(&bytes), Ok(50));
    pair.b.connection.stream(theirs).unwrap().finish();
    pair.drive();
    assert_eq!(pair.a.messages(ours), [b"answer"]);
    assert!(pair.a.connection.stream(ours).is_none(), "it is the node's until it is detached");
    assert!(pair.a.connection.detach(ours));
    pair.a.collect();
    assert!(pair.a.events.contains(&StreamEvent::Readable(ours)));
    let mut stream = pair.a.connection.stream(ours).unwrap();
    assert_eq!(stream.readable(), bytes);
    stream.consume(50);
    assert_eq!(stream.write(b"back"), Ok(4));
    pair.drive();
    assert_eq!(pair.b.connection.stream(theirs).unwrap().readable(), b"back");
}

#[test]
fn a_stream_without_its_message_is_not_detached() {
    let mut pair = Pair::connected();
    let (now, framing) = (pair.now, Framing::Once { max: 100 });
    let open = ToConnection::Open { request: 7, protocols: vec![ONCE.into()], framing };
    pair.a.connection.handle_node(now, open);
    pair.drive();
    let ours = pair.a.opened(7).unwrap();
    assert!(!pair.a.connection.detach(ours));
    pair.drive();
    let lost = |news: &ToNode| matches!(news, ToNode::Reset { .. });
    assert!(pair.b.news.iter().any(lost), "{:?}", pair.b.news);
}

#[test]
fn the_second_proposal_is_taken_when_the_first_is_not_known() {
    let mut pair = Pair::connected();
    let names: Vec<Name> = vec!["/none/1".into(), ECHO.into()];
    let id = pair.a.connection.open(pair.now, names).unwrap();
    assert_eq!(pair.a.connection.stream(id).unwrap().write(b"x"), Ok(0));
    pair.drive();
    let opened = StreamEvent::Opened { stream: id, protocol: ECHO.into() };
    assert!(pair.a.events.contains(&opened), "{:?}", pair.a.events);
    assert!(pair.a.events.contains(&StreamEvent::Writable(id)));
    assert_eq!(pair.a.connection.stream(id).unwrap().write(b"x"), Ok(1));
}

#[test]
fn an_unknown_protocol_fails_the_stream_alone() {
    let mut pair = Pair::connected();
    let names: Vec<Name> = vec!["/none/1".into()];
    let id = pair.a.connection.open(pair.now, names.clone()).unwrap();
    pair.drive();
    let failed =
        StreamEvent::Failed { stream: id, error: StreamError::ProtocolNotSupported(names) };
    assert!(pair.a.events.contains(&failed), "{:?}", pair.a.events);
    assert!(pair.a.error().is_none());
    assert_eq!(pair.a.connection.stream_count(), 0);
    assert_eq!(pair.b.connection.stream_count(), 0);
}

#[test]
fn messages_of_the_node_arrive_whole_and_streams_leave_nothing_behind() {
    let mut pair = Pair::connected();
    let framing = Framing::LengthPrefixed { max: 1000 };
    let open = ToConnection::Open { request: 5, protocols: vec![NOTE.into()], framing };
    pair.a.connection.handle_node(pair.now, open);
    pair.drive();
    let stream = pair.a.opened(5).expect("opened");
    for length in [0, 1, 127, 128, 1000] {
        let message = ToConnection::Send(stream, vec![length as u8; length]);
        pair.a.connection.handle_node(pair.now, message);
    }
    pair.a.connection.handle_node(pair.now, ToConnection::Finish(stream));
    pair.drive();
    let remote = pair.b.inbound(NOTE).expect("inbound");
    let lengths: Vec<usize> = pair.b.messages(remote).iter().map(|message| message.len()).collect();
    assert_eq!(lengths, [0, 1, 127, 128, 1000]);
    pair.b.connection.handle_node(pair.now, ToConnection::Finish(remote));
    pair.drive();
    assert!(pair.b.news.iter().any(|news| matches!(news, ToNode::Finished { .. })));
    assert!(pair.a.news.iter().any(|news| matches!(news, ToNode::Gone { .. })));
    assert_eq!((pair.a.connection.stream_count(), pair.b.connection.stream_count()), (0, 0));
}

#[test]
fn a_message_over_its_limit_resets_its_stream_alone() {
    let mut pair = Pair::connected();
    let framing = Framing::LengthPrefixed { max: 1 << 20 };
    let open = ToConnection::Open { request: 5, protocols: vec![NOTE.into()], framing };
    pair.a.connection.handle_node(pair.now, open);
    pair.drive();
    let stream = pair.a.opened(5).expect("opened");
    pair.a.connection.handle_node(pair.now, ToConnection::Send(stream, vec![0; 1001]));
    pair.drive();
    assert!(pair.b.news.iter().any(|news| matches!(news, ToNode::Reset { .. })));
    assert!(pair.a.news.iter().any(|news| matches!(news, ToNode::Reset { .. })));
    assert!(pair.a.error().is_none() && pair.b.error().is_none());
}

#[test]
fn a_remote_that_does_not_read_messages_loses_the_stream() {
    let mut pair = Pair::connected();
    let framing = Framing::LengthPrefixed { max: 1 << 20 };
    let open = ToConnection::Open { request: 5, protocols: vec![NOTE.into()], framing };
    pair.a.connection.handle_node(pair.now, open);
    pair.drive();
    let stream = pair.a.opened(5).expect("opened");
    for _ in 0..=MAX_OUTBOX / 500_000 + 1 {
        pair.a.connection.handle_node(pair.now, ToConnection::Send(stream, vec![0; 500_000]));
    }
    pair.a.collect();
    assert!(pair.a.news.iter().any(|news| matches!(news, ToNode::Reset { .. })));
}

#[test]
fn at_most_so_many_streams_negotiate() {
    let mut pair = Pair::connected();
    let before = pair.b.connection.stream_count();
    for _ in 0..MAX_NEGOTIATING + 50 {
        // The muxer alone opens them: a remote that never proposes anything.
        pair.a.raw_stream();
    }
    pair.drive();
    assert_eq!(pair.b.connection.stream_count(), before + MAX_NEGOTIATING);
    pair.pass(Duration::from_secs(11));
    assert_eq!(pair.b.connection.stream_count(), before);
    assert!(pair.b.error().is_none());
}

#[test]
fn news_that_nobody_fetches_stop_the_reading() {
    let mut pair = Pair::connected();
    pair.b.deaf = true;
    let mut opened = 0;
    while pair.b.connection.wants_read() && opened < 3 * MAX_NEWS {
        opened += 1;
        let id = pair.a.connection.open(pair.now, vec![ECHO.into()]);
        pair.carry_once();
        if let Ok(id) = id {
            pair.a.connection.reset(id);
        }
    }
    assert!(!pair.b.connection.wants_read());
    pair.b.deaf = false;
    pair.drive();
    assert!(pair.b.connection.wants_read());
}

#[test]
fn a_silent_dialer_is_dropped_in_time() {
    let now = Instant::ZERO;
    let mut connection = Connection::new(
        Arc::new(config(1)),
        handlers(),
        Role::Responder,
        None,
        Rng::from_number(1),
        now,
    );
    let at = connection.poll_timeout().unwrap();
    assert_eq!(at - now, Duration::from_secs(10));
    connection.handle_timeout(at);
    let closed = connection.poll_node();
    assert!(matches!(closed, Some(ToNode::Closed { error: Error::HandshakeTimedOut })));
}

#[test]
fn a_silent_remote_is_pinged_and_then_given_up() {
    let mut pair = Pair::connected();
    pair.pass(Duration::from_secs(120));
    assert!(pair.a.error().is_none(), "its answers keep it alive");
    pair.cut = true;
    pair.pass(Duration::from_secs(120));
    assert!(matches!(pair.a.error(), Some(Error::Muxer(yamux::Error::PingTimeout))));
}

#[test]
fn closing_says_goodbye_and_is_understood() {
    let mut pair = Pair::connected();
    pair.a.connection.handle_node(pair.now, ToConnection::Close);
    assert!(!pair.a.connection.is_finished(), "the goodbye is still to be sent");
    pair.drive();
    assert!(pair.a.connection.is_finished());
    pair.a.connection.transport_closed("ended".into());
    pair.b.connection.transport_closed("ended".into());
    pair.drive();
    assert_eq!(pair.a.error(), Some(&Error::ClosedHere));
    assert_eq!(pair.b.error(), Some(&Error::ClosedByRemote(0)));
}

#[test]
fn a_released_stream_delivers_its_last_words() {
    let mut pair = Pair::connected();
    let id = pair.a.connection.open(pair.now, vec![ECHO.into()]).unwrap();
    let mut stream = pair.a.connection.stream(id).unwrap();
    stream.write(b"last words").unwrap();
    stream.finish();
    pair.a.connection.release(pair.now, id);
    pair.drive();
    let inbound = pair.b.inbound(ECHO).expect("inbound");
    assert_eq!(pair.b.connection.stream(inbound).unwrap().readable(), b"last words");
    // What the remote answers is thrown away, up to a limit.
    let mut sent = 0;
    while sent <= MAX_DISCARDED + (1 << 20) {
        let Some(mut stream) = pair.b.connection.stream(inbound) else { break };
        sent += stream.write(&[1; 65_536]).unwrap_or(0);
        pair.drive();
    }
    assert!(pair.b.events.contains(&StreamEvent::Reset(inbound)));
    assert_eq!(pair.a.connection.stream_count(), 0);
}

#[test]
fn one_byte_at_a_time_is_enough() {
    let mut pair = Pair::new(|_| {});
    pair.chunk = 1;
    pair.drive();
    assert_eq!(pair.a.peer(), Some(pair.b.id));
    let id = pair.a.connection.open(pair.now, vec![ECHO.into()]).unwrap();
    pair.a.connection.stream(id).unwrap().write(&[5; 10_000]).unwrap();
    pair.drive();
    let inbound = pair.b.inbound(ECHO).expect("inbound");
    assert_eq!(pair.b.connection.stream(inbound).unwrap().readable(), [5; 10_000]);
}
