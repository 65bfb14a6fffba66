//! Two Polypeers.

use core::time::Duration;

use super::pair::Pair;
use super::*;
use crate::connection::{Error, MAX_HANDSHAKE_BYTES, StreamError};
use crate::webrtc::record::{self, Kind, REMOTE};
use crate::webrtc::{MAX_CHANNELS, MAX_LINGERING, MAX_MESSAGE};

/// A stream, agreed on by both sides.
fn open(pair: &mut Pair) -> (StreamId, StreamId) {
    let id = pair.a.connection.open(pair.now, vec![ECHO.into()]).unwrap();
    pair.drive();
    let theirs = inbound(&mut pair.b.connection);
    (id, theirs[0])
}

fn established(connection: &mut Connection) -> Option<PeerId> {
    match connection.poll_node() {
        Some(ToNode::Established { peer }) => Some(peer),
        _ => None,
    }
}

fn failure(connection: &mut Connection) -> Option<Error> {
    core::iter::from_fn(|| connection.poll_node()).find_map(|news| match news {
        ToNode::Closed { error } => Some(error),
        _ => None,
    })
}

#[test]
fn direct_ones_prove_who_they_are() {
    let mut pair = Pair::direct([b"same", b"same"], Some(keypair(2).peer_id()));
    pair.drive();
    assert_eq!(established(&mut pair.a.connection), Some(pair.b.peer));
    assert_eq!(established(&mut pair.b.connection), Some(pair.a.peer));
    let (ours, theirs) = open(&mut pair);
    pair.a.connection.stream(ours).unwrap().write(b"hello").unwrap();
    pair.drive();
    assert_eq!(read(&mut pair.b.connection, theirs, 9).0, b"hello");
}

#[test]
fn other_certificates_or_another_peer_are_refused() {
    let mut pair = Pair::direct([b"these certificates", b"and not these"], None);
    pair.drive();
    assert!(matches!(failure(&mut pair.b.connection), Some(Error::Security(_))));

    let mut pair = Pair::direct([b"same", b"same"], Some(keypair(3).peer_id()));
    pair.drive();
    let wrong = failure(&mut pair.a.connection);
    let wrong_peer = matches!(
        wrong,
        Some(Error::Security(crate::security::Error::WrongPeer { actual, .. }))
            if actual == pair.b.peer
    );
    assert!(wrong_peer, "{wrong:?}");
}

#[test]
fn what_comes_beside_the_handshake_waits_and_is_bounded() {
    let mut pair = Pair::direct([b"same", b"same"], None);
    let mut early = Vec::new();
    record::write(&mut early, Kind::Open, REMOTE, &[]);
    pair.b.connection.receive(pair.now, &mut early);
    pair.drive();
    assert_eq!(established(&mut pair.b.connection), Some(pair.a.peer));
    assert_eq!(pair.b.connection.stream_count(), 1);

    let mut pair = Pair::direct([b"same", b"same"], None);
    for _ in 0..=MAX_HANDSHAKE_BYTES / 60_000 {
        let mut junk = Vec::new();
        record::write(&mut junk, Kind::Message, REMOTE, &[7; 60_000]);
        pair.b.connection.receive(pair.now, &mut junk);
    }
    assert_eq!(failure(&mut pair.b.connection), Some(Error::HandshakeTooLarge));
}

#[test]
fn a_private_network_does_not_go_over_channels() {
    let mut config = Config::new(keypair(1));
    config.pre_shared_key = Some(crate::security::pnet::PreSharedKey::new([7; 32]));
    let carrier = Carrier::Signalled { peer: keypair(2).peer_id() };
    let shared = (Arc::new(config), handlers());
    let (rng, now) = (Rng::from_number(1), Instant::ZERO);
    let mut connection = Connection::over(shared, (Role::Initiator, &carrier), None, rng, now);
    connection.begin(now, &carrier);
    assert_eq!(failure(&mut connection), Some(Error::NotPrivate));
}

#[test]
fn bytes_go_both_ways_and_every_channel_is_closed() {
    for budget in [64, 1000, 5_000, 20_000, 65_536, 1 << 20] {
        let mut pair = Pair::signalled();
        (pair.a.budget, pair.b.budget) = (budget, budget);
        let (ours, theirs) = open(&mut pair);
        let sent: Vec<u8> = (0..3_000_000u32).map(|byte| (byte * 7) as u8).collect();
        let (mut written, mut echoed, mut back, mut over) = (0, 0, Vec::new(), false);
        let mut there = Vec::new();
        while !over {
            if let Some(mut stream) = pair.a.connection.stream(ours) {
                written += stream.write(&sent[written..]).unwrap_or(0);
                if written == sent.len() {
                    stream.finish();
                }
            }
            pair.drive();
            let (bytes, end) = read(&mut pair.b.connection, theirs, 1 << 20);
            there.extend_from_slice(&bytes);
            if let Some(mut stream) = pair.b.connection.stream(theirs) {
                echoed += stream.write(&there[echoed..]).unwrap_or(0);
                if end == Some(Read::Finished) && echoed == sent.len() {
                    stream.finish();
                }
            }
            pair.drive();
            let (bytes, end) = read(&mut pair.a.connection, ours, 1 << 20);
            back.extend_from_slice(&bytes);
            assert_ne!(end, Some(Read::Reset));
            over = end == Some(Read::Finished);
        }
        pair.drive();
        assert!(back == sent, "budget {budget}");
        // Among Polypeers a message is one, however long.
        assert!(budget < 65_536 || pair.b.longest > MAX_MESSAGE / 2, "{}", pair.b.longest);
        // One closes, which ends it for the other.
        assert_eq!((pair.a.opened, pair.b.opened), (1, 0));
        assert!(pair.a.closed + pair.b.closed >= 1);
        for side in [&mut pair.a, &mut pair.b] {
            while side.connection.poll_stream().is_some() {}
            assert_eq!(side.connection.stream_count(), 0, "budget {budget}");
        }
    }
}

#[test]
fn budgets_are_kept() {
    let mut pair = Pair::signalled();
    let (ours, _) = open(&mut pair);
    for _ in 0..50 {
        let id = pair.a.connection.open(pair.now, vec![ECHO.into()]).unwrap();
        pair.a.connection.stream(id).unwrap().write(&[1; 3]).unwrap();
    }
    pair.a.connection.stream(ours).unwrap().write(&[1; 100_000]).unwrap();
    for budget in [64, 100, 333, 5000, 20_000, 40_000].into_iter().cycle() {
        let mut out = Vec::new();
        let count = pair.a.connection.transmit(pair.now, &mut out, budget);
        assert!(count <= budget, "{count} of {budget}");
        if count == 0 {
            break;
        }
    }
}

#[test]
fn a_slow_reader_slows_its_writer_and_loses_nothing() {
    let mut pair = Pair::signalled();
    let (ours, theirs) = open(&mut pair);
    let sent: Vec<u8> = (0..2_000_000u32).map(|byte| (byte * 11) as u8).collect();
    let mut written = 0;
    for _ in 0..10 {
        written += pair.a.connection.stream(ours).unwrap().write(&sent[written..]).unwrap();
        pair.drive();
    }
    let window = yamux::INITIAL_WINDOW as usize;
    assert!(pair.a.sent < window + window / 10, "{} bytes were sent", pair.a.sent);
    let mut all = Vec::new();
    while all.len() < sent.len() {
        written += pair.a.connection.stream(ours).unwrap().write(&sent[written..]).unwrap();
        pair.drive();
        let (bytes, end) = read(&mut pair.b.connection, theirs, 100_000);
        assert_eq!(end, None);
        all.extend_from_slice(&bytes);
    }
    assert!(all == sent);
}

#[test]
fn a_reset_reaches_the_other_side_and_closes_the_channel() {
    let mut pair = Pair::signalled();
    let (ours, theirs) = open(&mut pair);
    pair.a.connection.reset(ours);
    pair.drive();
    assert!(was_reset(&mut pair.b.connection, theirs));
    assert!(pair.a.closed >= 1);
}

#[test]
fn thousands_of_streams_one_after_another_leave_nothing_open() {
    let mut pair = Pair::signalled();
    for _ in 0..3_000 {
        let (ours, theirs) = open(&mut pair);
        pair.a.connection.stream(ours).unwrap().finish();
        pair.drive();
        pair.b.connection.stream(theirs).unwrap().finish();
        pair.drive();
        assert!(!was_reset(&mut pair.a.connection, ours));
        assert!(!was_reset(&mut pair.b.connection, theirs));
    }
    assert!(pair.a.closed + pair.b.closed >= 3_000);
    assert_eq!((pair.a.connection.stream_count(), pair.b.connection.stream_count()), (0, 0));
}

#[test]
fn no_more_channels_are_opened_than_browsers_have() {
    let mut pair = Pair::signalled();
    for _ in 0..MAX_CHANNELS {
        pair.a.connection.open(pair.now, vec![ECHO.into()]).unwrap();
        pair.drive();
    }
    let more = pair.a.connection.open(pair.now, vec![ECHO.into()]);
    assert_eq!(more, Err(StreamError::Limit(yamux::OpenError::TooManyStreams)));
}

#[test]
fn few_finished_channels_wait_for_a_remote_that_does_not_answer() {
    let carrier = Carrier::Signalled { peer: keypair(2).peer_id() };
    let now = Instant::ZERO;
    for we_finish_first in [true, false] {
        let mut ours = connection(1, Role::Responder, &carrier, None);
        for nth in 0..MAX_LINGERING as u32 + 50 {
            let mut pipe = Vec::new();
            record::write(&mut pipe, Kind::Open, REMOTE + nth, &[]);
            // A proposal, and FIN behind it.
            let hello = b"\x13/multistream/1.0.0\n\x0c/echo/1.0.0\n";
            let message = [&[2 + hello.len() as u8, 0x12, hello.len() as u8], &hello[..]].concat();
            record::write(&mut pipe, Kind::Message, REMOTE + nth, &message);
            ours.receive(now, &mut pipe);
            let id = inbound(&mut ours)[0];
            let mut fin = Vec::new();
            record::write(&mut fin, Kind::Message, REMOTE + nth, &[2, 0x08, 0]);
            let mut out = Vec::new();
            if !we_finish_first {
                ours.receive(now, &mut fin);
                assert_eq!(read(&mut ours, id, 1).1, Some(Read::Finished));
            }
            ours.stream(id).unwrap().finish();
            ours.transmit(now, &mut out, 65_536);
            if we_finish_first {
                ours.receive(now, &mut fin);
                ours.transmit(now, &mut out, 65_536);
            }
            while ours.poll_stream().is_some() {}
            let mut rest = &out[..];
            let records = core::iter::from_fn(|| record::read(&mut rest));
            let closed = records.filter(|(kind, ..)| *kind == Kind::Close).count();
            assert_eq!(closed, usize::from(nth >= MAX_LINGERING as u32), "{nth}");
        }
    }
}

#[test]
fn the_round_trip_is_the_hosts() {
    let mut pair = Pair::signalled();
    let asleep = |pair: &mut Pair| {
        pair.now = pair.now + Duration::from_secs(31);
        pair.a.connection.handle_timeout(pair.now);
        pair.drive();
    };
    asleep(&mut pair);
    assert_eq!(pair.a.connection.rtt(), Some(Duration::from_micros(1500)));
    // An answer that never comes ends the connection.
    pair.now = pair.now + Duration::from_secs(31);
    pair.a.connection.handle_timeout(pair.now);
    let mut unanswered = Vec::new();
    pair.a.connection.transmit(pair.now, &mut unanswered, 65_536);
    pair.now = pair.now + Duration::from_secs(21);
    pair.a.connection.handle_timeout(pair.now);
    assert!(matches!(failure(&mut pair.a.connection), Some(Error::Muxer(_))));
}

#[test]
fn closing_ends_after_the_last_byte() {
    let mut pair = Pair::signalled();
    let (ours, theirs) = open(&mut pair);
    pair.a.connection.stream(ours).unwrap().write(&[5; 100_000]).unwrap();
    pair.a.connection.handle_node(pair.now, crate::connection::ToConnection::Close);
    assert!(!pair.a.connection.is_finished());
    pair.drive();
    assert!(pair.a.connection.is_finished());
    assert_eq!(read(&mut pair.b.connection, theirs, 200_000).0.len(), 100_000);
}
