//! Channels that close, so that others can open: ids are used again.

use std::time::Duration;

use super::wire::{DIALER, LISTENER, Wire, record, start};
use crate::channels::Channels;
use crate::records::{self, CLOSE, MESSAGE, OPEN, REMOTE};
use crate::session::Session;
use crate::ufrag::Version;

/// The type of the chunk that asks for streams to be reset (RFC 6525 section 3.1).
const RECONFIG: u8 = 130;

#[test]
fn a_thousand_channels_one_after_another_use_few_ids() {
    let mut wire = Wire::open(Version::V2);
    for number in 1..=1000 {
        let end = number as usize % 2;
        wire.write(end, OPEN, number, &[]);
        wire.write(end, MESSAGE, number, b"question");
        assert!(wire.run(|wire| wire.got[1 - end].len() == 2));
        let theirs = REMOTE + (number - 1) / 2;
        let (opened, question) = (record(OPEN, theirs, &[]), record(MESSAGE, theirs, b"question"));
        assert_eq!(wire.got[1 - end], [opened, question]);
        wire.write(1 - end, MESSAGE, theirs, b"answer");
        wire.write(1 - end, CLOSE, theirs, &[]);
        assert!(wire.run(|wire| wire.got[end].len() == 1));
        assert_eq!(wire.got[end], [record(MESSAGE, number, b"answer")]);
        wire.write(end, CLOSE, number, &[]);
        wire.got = Default::default();
    }
    assert!(wire.ends.iter().all(|end| end.ids_used() < 20));
}

#[test]
fn hundreds_of_channels_at_a_time_are_not_refused_on_a_long_path() {
    const AT_ONCE: u32 = 200;
    // Where something is lost, what closes waits until it is sent again, and what opens
    // waits for that.
    for lossy in [None, Some(200), Some(20), Some(10)] {
        let mut wire = Wire::open(Version::V2);
        (wire.delay, wire.lossy) = (Duration::from_millis(50), lossy);
        for round in 0..10 {
            let numbers = round * AT_ONCE..(round + 1) * AT_ONCE;
            for number in numbers.clone() {
                wire.write(DIALER, OPEN, 1 + number, &[]);
                wire.write(DIALER, MESSAGE, 1 + number, b"question");
            }
            assert!(wire.run(|wire| wire.got[LISTENER].len() == 2 * AT_ONCE as usize), "{round}");
            for number in numbers.clone() {
                wire.write(LISTENER, MESSAGE, REMOTE + number, b"answer");
                wire.write(LISTENER, CLOSE, REMOTE + number, &[]);
            }
            assert!(wire.run(|wire| wire.got[DIALER].len() == AT_ONCE as usize));
            assert_eq!(wire.bytes(DIALER), AT_ONCE as usize * b"answer".len(), "{round}");
            for number in numbers {
                wire.write(DIALER, CLOSE, 1 + number, &[]);
            }
            wire.got = Default::default();
        }
        assert!(wire.ends[DIALER].ids_used() <= 512);
    }
}

#[test]
fn a_channel_that_closes_before_it_could_open_was_never_there() {
    let mut wire = Wire::open(Version::V2);
    for number in 1..=511 {
        wire.write(DIALER, OPEN, number, &[]);
    }
    assert!(wire.run(|wire| wire.got[LISTENER].len() == 511));
    wire.got = Default::default();
    wire.write(DIALER, CLOSE, 1, &[]);
    for number in [512, 513] {
        wire.write(DIALER, OPEN, number, &[]);
        wire.write(DIALER, MESSAGE, number, b"hello");
    }
    wire.write(DIALER, CLOSE, 512, &[]);
    assert!(wire.run(|wire| wire.got[LISTENER].len() == 3));
    let (closed, opened) = (record(CLOSE, REMOTE, &[]), record(OPEN, REMOTE + 511, &[]));
    assert_eq!(wire.got[LISTENER], [closed, opened, record(MESSAGE, REMOTE + 511, b"hello")]);
    assert_eq!(wire.got[DIALER], []);
}

#[test]
fn ids_are_used_again_and_again_where_datagrams_are_lost() {
    for of in [20, 10, 5] {
        let mut wire = losing(of, 0);
        one_after_another(&mut wire, 3000);
        // What closes takes longer than what opens meanwhile.
        assert!(wire.ends[DIALER].ids_used() < 100, "{of}");
    }
}

/// A wire that loses one of so many datagrams.
fn losing(of: u64, luck: u64) -> Wire {
    let mut wire = Wire::open(Version::V2);
    (wire.lossy, wire.luck) = (Some(of), luck);
    wire
}

fn one_after_another(wire: &mut Wire, count: u32) {
    for number in 1..=count {
        wire.write(DIALER, OPEN, number, &[]);
        wire.write(DIALER, MESSAGE, number, b"question");
        assert!(wire.run(|wire| wire.got[LISTENER].len() == 2), "{number}");
        wire.write(LISTENER, MESSAGE, REMOTE + number - 1, b"answer");
        wire.write(LISTENER, CLOSE, REMOTE + number - 1, &[]);
        assert!(wire.run(|wire| wire.got[DIALER].len() == 1), "{number}");
        assert_eq!(wire.got[DIALER], [record(MESSAGE, number, b"answer")]);
        wire.write(DIALER, CLOSE, number, &[]);
        wire.got = Default::default();
    }
}

#[test]
fn channels_of_both_sides_open_and_close_where_datagrams_are_lost_and_overtake_each_other() {
    for (of, luck) in [(50, 0), (20, 1), (10, 2)] {
        let mut wire = losing(of, luck);
        wire.jitter = Duration::from_millis(20);
        churn(&mut wire, 1000, 50);
    }
}

/// Both ends open `count` channels each, so many at a time; each has a question and its answer.
fn churn(wire: &mut Wire, count: u32, at_once: u32) {
    let question = |end: usize, number: u32| {
        let mut question = vec![end as u8; 4 + number as usize % 7 * 400];
        question[..4].copy_from_slice(&number.to_le_bytes());
        question
    };
    let (mut opened, mut answered) = ([0; 2], [0; 2]);
    while answered != [count; 2] {
        for end in [DIALER, LISTENER] {
            for number in opened[end]..count.min(answered[end] + at_once) {
                wire.write(end, OPEN, number, &[]);
                wire.write(end, MESSAGE, number, &question(end, number));
                opened[end] = number + 1;
            }
        }
        let came = wire.run(|wire| wire.got.iter().any(|got| !got.is_empty()));
        assert!(came, "{answered:?} {:?}", wire.ends.each_ref().map(Session::end));
        for end in [DIALER, LISTENER] {
            for (kind, number, payload) in std::mem::take(&mut wire.got[end]) {
                match (kind, number >= REMOTE) {
                    (MESSAGE, true) => {
                        wire.write(end, MESSAGE, number, &payload);
                        wire.write(end, CLOSE, number, &[]);
                    }
                    (MESSAGE, false) => {
                        assert_eq!(payload, question(end, number));
                        wire.write(end, CLOSE, number, &[]);
                        answered[end] += 1;
                    }
                    // None closes before its answer has come.
                    (kind, remote) => assert_eq!((kind, remote), (OPEN, true), "{number}"),
                }
            }
        }
    }
}

#[test]
fn a_remote_that_closes_nothing_is_waited_for_in_vain() {
    let mut wire = Wire::open(Version::V2);
    wire.write(DIALER, OPEN, 1, &[]);
    assert!(wire.run(|wire| wire.got[LISTENER].len() == 1));
    wire.write(LISTENER, CLOSE, REMOTE, &[]);
    // Some minutes.
    assert!((0..3).any(|_| wire.run(|wire| wire.got[DIALER].len() == 1)));
    assert_eq!(wire.got[DIALER], [record(CLOSE, 1, &[])]);
}

#[test]
fn a_channel_on_an_id_that_is_not_free_yet_is_held_until_it_is() {
    let begun = start();
    let mut now = begun;
    let mut ends = [Channels::new(true), Channels::new(false)];
    // Two seconds, in which so many of the dialer's resets and answers arrive.
    let mut pass = |ends: &mut [Channels; 2], mut arrive: usize| {
        let mut read = Vec::new();
        for _ in 0..100 {
            for end in [DIALER, LISTENER] {
                while let Some(packet) = ends[end].poll_packet(now) {
                    let counts = end == DIALER && packet[12] == RECONFIG;
                    if !counts || arrive > 0 {
                        arrive -= usize::from(counts);
                        ends[1 - end].handle(now, packet);
                    }
                }
            }
            ends[LISTENER].read(now, &mut read, 1 << 16);
            ends[DIALER].read(now, &mut Vec::new(), 1 << 16);
            now += Duration::from_millis(20);
            ends.iter_mut().for_each(|end| end.handle_timeout(now));
        }
        read
    };
    let opened = |nth: u32| {
        let mut record = Vec::new();
        records::write(&mut record, OPEN, REMOTE + nth, &[]);
        record
    };
    pass(&mut ends, usize::MAX);
    ends[DIALER].open(1);
    assert_eq!(pass(&mut ends, usize::MAX), opened(0));

    // The dialer does not close it, so the listener does in the end, and asks twice;
    // the answer to the second question is lost.
    ends[LISTENER].close(begun, REMOTE);
    (0..58).for_each(|_| assert!(pass(&mut ends, usize::MAX).is_empty()));
    assert!(pass(&mut ends, 2).is_empty());
    let ids = ends[DIALER].ids_used();
    ends[DIALER].open(2);
    assert_eq!(ends[DIALER].ids_used(), ids, "the id is used again");
    assert!(pass(&mut ends, 0).is_empty());
    assert_eq!(pass(&mut ends, usize::MAX), opened(1));
}

#[test]
fn a_lost_request_to_close_is_repeated_by_a_host_that_is_late() {
    let mut now = start();
    let mut ends = [Channels::new(true), Channels::new(false)];
    let (mut closed, mut requests) = (false, 0);
    for turn in 0..500 {
        // What there is to send is asked for before the time is told, as by a busy host.
        for end in [DIALER, LISTENER] {
            while let Some(packet) = ends[end].poll_packet(now) {
                let is_request = end == DIALER && packet[12] == RECONFIG;
                requests += usize::from(is_request);
                if !is_request || requests > 1 {
                    ends[1 - end].handle(now, packet);
                }
            }
            ends[end].handle_timeout(now);
        }
        match turn {
            100 => ends[DIALER].open(1),
            150 => ends[DIALER].close(now, 1),
            _ => {}
        }
        let mut read = Vec::new();
        ends[LISTENER].read(now, &mut read, 1 << 16);
        closed |= read.first() == Some(&CLOSE);
        // Never just when something is due.
        now += Duration::from_micros(20_300);
    }
    assert!(closed, "{requests}");
}
