use std::time::Duration;

use polypeer::muxer::yamux::{Event, Read, StreamId};

use super::network::{FINE, Network, Weather, keypair};
use crate::{End, MAX_UNSENT};

const MINUTE: Duration = Duration::from_secs(60);

fn connected(weather: Weather, seed: u8) -> Network {
    let mut network = Network::new(weather, seed);
    network.connect();
    network
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

/// Reads what has come of a stream; whether it has ended.
fn read(network: &mut Network, side: usize, id: StreamId, into: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    let Some(mut stream) = network.sides[side].muxer.stream(id) else { return false };
    loop {
        match stream.read(&mut buffer) {
            Read::Bytes(count) => into.extend_from_slice(&buffer[..count]),
            Read::Finished => return true,
            _ => return false,
        }
    }
}

/// Writes as much as there is room for, and the end behind all.
fn write(network: &mut Network, side: usize, id: StreamId, rest: &mut &[u8]) {
    let Some(mut stream) = network.sides[side].muxer.stream(id) else { return };
    let Ok(count) = stream.write(rest) else { return };
    *rest = &rest[count..];
    if rest.is_empty() {
        stream.finish();
    }
}

/// Sends `data` from the dialer to the listener on a new stream and back again.
fn echo(network: &mut Network, data: &[u8], within: Duration) {
    let id = network.sides[0].muxer.open().unwrap();
    let (mut there, mut back) = (data, Vec::new());
    let (mut came, mut echoed, mut ended) = (Vec::new(), 0, false);
    network.run(within, |network| {
        write(network, 0, id, &mut there);
        ended |= read(network, 1, id, &mut came);
        if let Some(mut stream) = network.sides[1].muxer.stream(id) {
            echoed += stream.write(&came[echoed..]).unwrap_or(0);
            if ended && echoed == came.len() {
                stream.finish();
            }
        }
        read(network, 0, id, &mut back)
    });
    assert!(back == data);
}

#[test]
fn both_learn_who_is_there() {
    let mut network = connected(FINE, 1);
    assert_eq!(network.sides[0].session().peer(), Some(keypair(2).peer_id()));
    assert_eq!(network.sides[1].session().peer(), Some(keypair(1).peer_id()));
}

#[test]
fn bytes_arrive_whole_whatever_the_weather() {
    let data = pattern(1 << 20);
    for (seed, lost) in [(1, 0), (2, 10), (3, 50)] {
        let jitter = Duration::from_millis(40);
        let weather = Weather { delay: Duration::from_millis(30), jitter, lost };
        echo(&mut connected(weather, seed), &data, 10 * MINUTE);
    }
}

#[test]
fn streams_one_after_another_leave_nothing_behind() {
    let mut network = connected(FINE, 1);
    for _ in 0..3000 {
        echo(&mut network, b"hello", 10 * MINUTE);
    }
    let left =
        |network: &mut Network| network.sides.iter_mut().all(|s| s.session().stream_count() == 0);
    network.run(10 * MINUTE, left);
}

#[test]
fn more_streams_than_the_remote_takes_at_a_time_wait_for_their_turn() {
    let mut network = connected(FINE, 1);
    let ids: Vec<_> = (0..200).map(|_| network.sides[0].muxer.open().unwrap()).collect();
    for id in &ids {
        let mut hello: &[u8] = b"hello";
        write(&mut network, 0, *id, &mut hello);
    }
    network.run(MINUTE, |network| {
        ids.iter().all(|id| network.sides[1].events.contains(&Event::Finished(*id)))
    });
}

#[test]
fn a_stream_that_nobody_reads_holds_up_no_other() {
    let mut network = connected(FINE, 1);
    let stuck = network.sides[0].muxer.open().unwrap();
    let much = pattern(8 << 20);
    let mut rest = &much[..];
    // Until nothing of it moves any more.
    while {
        write(&mut network, 0, stuck, &mut rest);
        network.step(MINUTE / 6)
    } {}
    assert!(!rest.is_empty());
    echo(&mut network, &pattern(2 << 20), 2 * MINUTE);
    // And nothing of it is lost.
    let mut came = Vec::new();
    network.run(4 * MINUTE, |network| {
        write(network, 0, stuck, &mut rest);
        read(network, 1, stuck, &mut came)
    });
    assert!(came == much);
}

#[test]
fn what_waits_for_quic_is_bounded() {
    let mut network = connected(FINE, 1);
    // Nothing is read of the pipe on the other side.
    network.sides[1].reads = false;
    let much = pattern(1 << 20);
    let mut writing: Vec<(StreamId, &[u8])> =
        (0..200).map(|_| (network.sides[0].muxer.open().unwrap(), &much[..])).collect();
    while {
        for (id, rest) in &mut writing {
            write(&mut network, 0, *id, rest);
        }
        network.step(MINUTE / 6)
    } {}
    // Taken from the muxer and not by QUIC: the limit and one piece of the pipe at most.
    assert!(network.sides[0].unsent() > 0, "the limit was reached");
    assert!(network.sides[0].session().unsent() >= MAX_UNSENT);
    assert!(network.sides[0].session().unsent() < MAX_UNSENT + 64 * 1024);
    // With a reader it goes on.
    network.sides[1].reads = true;
    let mut came = vec![Vec::new(); writing.len()];
    network.run(20 * MINUTE, |network| {
        let mut ended = 0;
        for (at, (id, rest)) in writing.iter_mut().enumerate() {
            write(network, 0, *id, rest);
            read(network, 1, *id, &mut came[at]);
            ended += usize::from(came[at].len() == much.len());
        }
        ended == came.len()
    });
}

#[test]
fn a_reset_is_heard_on_the_other_side() {
    let mut network = connected(FINE, 1);
    for resetting in [0, 1] {
        let id = network.sides[0].muxer.open().unwrap();
        network.sides[0].muxer.stream(id).unwrap().write(b"hello").unwrap();
        network.run(MINUTE, |network| network.sides[1].muxer.stream(id).is_some());
        network.sides[resetting].muxer.stream(id).unwrap().reset();
        let other = 1 - resetting;
        network.run(MINUTE, |network| network.sides[other].events.contains(&Event::Reset(id)));
    }
    network
        .run(MINUTE, |network| network.sides.iter_mut().all(|s| s.session().stream_count() == 0));
}

#[test]
fn what_was_written_before_the_end_arrives() {
    let mut network = connected(FINE, 1);
    let id = network.sides[0].muxer.open().unwrap();
    let data = pattern(100_000);
    let mut rest = &data[..];
    while !rest.is_empty() {
        write(&mut network, 0, id, &mut rest);
        network.settle();
    }
    let now = network.now;
    network.sides[0].session().close(now);
    let mut came = Vec::new();
    network.run(MINUTE, |network| {
        read(network, 1, id, &mut came);
        network.sides[1].session().end().is_some()
    });
    read(&mut network, 1, id, &mut came);
    assert!(came == data);
    assert_eq!(network.sides[1].session().end(), Some(&End::ByRemote(0)));
    assert_eq!(network.sides[0].session().end(), Some(&End::ByUs));
    network
        .run(MINUTE, |network| network.sides.iter_mut().all(|s| s.session().quic().is_drained()));
}

#[test]
fn a_ping_is_answered_when_the_remote_was_heard_and_after_a_round_trip() {
    let mut network = connected(FINE, 1);
    let now = network.polypeer_now();
    network.sides[0].muxer.ping(now);
    network.run(MINUTE, |network| network.sides[0].muxer.rtt().is_some());
    let rtt = network.sides[0].muxer.rtt().unwrap();
    assert!((Duration::from_millis(10)..Duration::from_millis(40)).contains(&rtt), "{rtt:?}");
}

#[test]
fn silence_is_an_end() {
    let mut network = connected(FINE, 1);
    network.cut();
    network.run(MINUTE, |network| network.sides[0].session().end().is_some());
    assert_eq!(network.sides[0].session().end(), Some(&End::Vanished));
}

#[test]
fn who_writes_to_nobody_is_told() {
    let mut network = connected(FINE, 1);
    let id = network.sides[0].muxer.open().unwrap();
    network.sides[0].muxer.stream(id).unwrap().write(b"hello").unwrap();
    network.run(MINUTE, |network| network.sides[1].muxer.stream(id).is_some());
    // As rust-libp2p lets go of a stream.
    let quic = network.sides[1].session().quic();
    let stream = quinn_proto::StreamId::new(quinn_proto::Side::Client, quinn_proto::Dir::Bi, 0);
    quic.recv_stream(stream).stop(0u32.into()).unwrap();
    quic.send_stream(stream).finish().unwrap();
    network.run(MINUTE, |network| network.sides[0].events.contains(&Event::Finished(id)));
    network.sides[0].muxer.stream(id).unwrap().write(b"who is there?").unwrap();
    network.run(MINUTE, |network| network.sides[0].events.contains(&Event::Reset(id)));
}
