//! Flow control: windows, their growth and its budget, round-trip times.

use core::time::Duration;

use super::super::*;
use super::pair::{CLIENT, Pair, SERVER};

/// Sends without end from the client for `ticks`, reading all at once; returns
/// the bytes read.
fn bulk(pair: &mut Pair, ids: &[StreamId], ticks: usize) -> usize {
    let (chunk, mut read) = (vec![7; 64 * 1024], 0);
    for _ in 0..ticks {
        for &id in ids {
            while pair.stream(CLIENT, id).write(&chunk).unwrap() > 0 {}
        }
        pair.step();
        pair.events(SERVER);
        pair.events(CLIENT);
        for &id in ids {
            let mut stream = pair.stream(SERVER, id);
            let count = stream.readable().len();
            stream.consume(count);
            read += count;
        }
    }
    read
}

#[test]
fn the_window_grows_until_the_sender_is_not_held_back() {
    let run = |max_stream_window| {
        let mut pair = Pair::new(Config { max_stream_window, ..Config::default() }, 1);
        pair.delay = Duration::from_millis(50);
        pair.budget = 65_519;
        let id = pair.open();
        (bulk(&mut pair, &[id], 4000), pair.stream(SERVER, id).receive_window())
    };
    // 65,519 bytes a millisecond over 100 ms: the pipe holds 6.5 MB.
    let (fixed, window) = run(INITIAL_WINDOW);
    assert_eq!(window, INITIAL_WINDOW);
    let (grown, window) = run(16 * 1024 * 1024);
    assert!(window >= 8 * 1024 * 1024, "{window}");
    assert!(fixed < 4000 * 65_519 / 20);
    assert!(grown > 4000 * 65_519 * 8 / 10, "{grown}");
}

#[test]
fn the_window_does_not_grow_for_a_slow_reader_or_sender() {
    let mut pair = Pair::new(Config::default(), 1);
    pair.delay = Duration::from_millis(5);
    pair.budget = 5_000;
    let id = pair.open();
    bulk(&mut pair, &[id], 3000);
    assert_eq!(pair.stream(SERVER, id).receive_window(), INITIAL_WINDOW);
}

#[test]
fn the_window_fits_the_least_round_trip_that_the_host_knows_of() {
    let min_round_trip = Duration::from_millis(50);
    let mut pair = Pair::new(Config { min_round_trip, ..Config::default() }, 1);
    pair.delay = Duration::from_millis(5);
    pair.budget = 5_000;
    let id = pair.open();
    bulk(&mut pair, &[id], 3000);
    // Half of it lasts two such round trips at 5,000 bytes a millisecond.
    assert_eq!(pair.stream(SERVER, id).receive_window(), 1 << 20);
}

#[test]
fn all_windows_share_one_budget() {
    let budget = 1024 * 1024;
    let mut pair = Pair::new(Config { window_budget: budget, ..Config::default() }, 1);
    pair.delay = Duration::from_millis(50);
    let ids: Vec<_> = (0..10).map(|_| pair.open()).collect();
    for _ in 0..20 {
        bulk(&mut pair, &ids, 100);
        let windows = ids.iter().map(|id| pair.stream(SERVER, *id).receive_window());
        let lent: usize = windows.map(|window| (window - INITIAL_WINDOW) as usize).sum();
        assert!(lent <= budget);
        assert_eq!(lent, pair.ends[SERVER].session.lent.bytes());
    }
    assert!(pair.ends[SERVER].session.lent.bytes() > budget / 2);
    for id in ids {
        pair.stream(SERVER, id).reset();
    }
    assert_eq!(pair.ends[SERVER].session.lent.bytes(), 0);
}

#[test]
fn a_stream_gives_window_up_for_those_that_lack_their_share() {
    let budget = 8 * 1024 * 1024;
    let mut pair = Pair::new(Config { window_budget: budget, ..Config::default() }, 1);
    pair.delay = Duration::from_millis(50);
    let ids: Vec<_> = (0..4).map(|_| pair.open()).collect();
    bulk(&mut pair, &ids[..1], 1500);
    assert!(pair.stream(SERVER, ids[0]).receive_window() >= 8 * 1024 * 1024);
    bulk(&mut pair, &ids, 6000);
    for _ in 0..10 {
        // And so it stays.
        bulk(&mut pair, &ids, 300);
        let windows = ids.iter().map(|id| pair.stream(SERVER, *id).receive_window());
        let windows: Vec<_> = windows.collect();
        assert!(windows.iter().all(|window| *window >= 1024 * 1024), "{windows:?}");
        assert!(pair.ends[SERVER].session.lent.bytes() <= budget);
    }
}

#[test]
fn writers_share_one_budget_too() {
    let config = Config { send_budget: 500_000, ..Config::default() };
    let mut pair = Pair::new(config, 1);
    let ids: Vec<_> = (0..10).map(|_| pair.ends[CLIENT].open().unwrap()).collect();
    let chunk = vec![1; 1 << 20];
    let taken: Vec<_> =
        ids.iter().map(|id| pair.stream(CLIENT, *id).write(&chunk).unwrap()).collect();
    let (full, turns) = (256 * 1024, 32 * 1024);
    assert_eq!(taken[..3], [full, full, turns], "what came before stays");
    assert!(taken[3..].iter().all(|count| *count == turns));
    assert_eq!(pair.ends[CLIENT].unsent(), 2 * full + 8 * turns);
}

#[test]
fn window_updates_are_few() {
    let mut pair = Pair::new(Config::default(), 1);
    pair.budget = 65_519;
    let id = pair.open();
    let sent = bulk(&mut pair, &[id], 1000);
    let updates = pair.ends[SERVER].stats().frames_out as usize;
    assert!(updates <= sent / (INITIAL_WINDOW as usize / 2) + 3, "{updates} for {sent} bytes");
}

#[test]
fn nothing_is_sent_beyond_the_window() {
    let mut pair = Pair::new(Config::default(), 1);
    let id = pair.open();
    for _ in 0..5 {
        pair.stream(CLIENT, id).write(&[1; 200_000]).unwrap();
        pair.settle();
    }
    assert_eq!(pair.stream(SERVER, id).unread(), INITIAL_WINDOW as usize);
    assert!(pair.stream(CLIENT, id).unsent() > 0);
    pair.stream(SERVER, id).consume(INITIAL_WINDOW as usize / 2 - 1);
    assert!(!pair.ends[SERVER].wants_transmit(), "less than half a window is not given back");
    pair.stream(SERVER, id).consume(1);
    pair.settle();
    assert_eq!(pair.stream(SERVER, id).unread(), INITIAL_WINDOW as usize);
}

#[test]
fn a_full_writer_is_told_of_room() {
    let mut pair = Pair::new(Config::default(), 1);
    let id = pair.open();
    pair.events(CLIENT);
    let size = Config::default().send_buffer;
    assert_eq!(pair.stream(CLIENT, id).write(&vec![1; size]), Ok(size));
    assert_eq!(pair.stream(CLIENT, id).write(&[1]), Ok(0));
    let mut out = Vec::new();
    let now = pair.now;
    pair.ends[CLIENT].transmit(now, &mut out, size / 2 - 20);
    assert_eq!(pair.events(CLIENT), []);
    pair.ends[CLIENT].transmit(now, &mut out, 100);
    assert_eq!(pair.events(CLIENT), [Event::Writable(id)]);
    pair.ends[CLIENT].transmit(now, &mut out, usize::MAX);
    assert_eq!(pair.events(CLIENT), [], "nobody waits any more");
}

#[test]
fn measures_round_trips_and_only_with_traffic() {
    let mut pair = Pair::new(Config::default(), 1);
    pair.delay = Duration::from_millis(20);
    let id = pair.open();
    assert_eq!(pair.ends[SERVER].rtt(), None);
    bulk(&mut pair, &[id], 200);
    let rtt = pair.ends[SERVER].rtt().unwrap();
    assert!((40..=43).contains(&rtt.as_millis()), "{rtt:?}");
    assert_eq!(pair.ends[CLIENT].rtt(), None, "nothing comes in there");
}

#[test]
fn a_ping_is_answered_or_the_session_fails() {
    let mut pair = Pair::new(Config::default(), 1);
    pair.delay = Duration::from_millis(20);
    let now = pair.now;
    pair.ends[CLIENT].ping(now);
    pair.ends[CLIENT].ping(now);
    pair.settle();
    let events = pair.events(CLIENT);
    assert!(matches!(events[..], [Event::Pong(rtt)] if rtt.as_millis() >= 40), "{events:?}");

    let now = pair.now;
    let end = &mut pair.ends[CLIENT];
    end.ping(now);
    let limit = Config::default().ping_timeout;
    let sent = now + Duration::from_secs(1);
    assert!(end.transmit(sent, &mut Vec::new(), 1024) > 0);
    let deadline = sent + limit;
    assert!(end.poll_timeout().is_some_and(|at| at <= deadline));
    // A look that comes late says nothing of the remote: it is asked again.
    let late = deadline + Duration::from_secs(600);
    end.handle_timeout(late).unwrap();
    assert!(end.transmit(late, &mut Vec::new(), 1024) > 0);
    let deadline = late + limit;
    let just_before = deadline.since(crate::Instant::from_micros(1));
    end.handle_timeout(crate::Instant::ZERO + just_before).unwrap();
    assert_eq!(end.handle_timeout(deadline), Err(Error::PingTimeout));
    assert_eq!(end.receive(deadline, &[]), Err(Error::PingTimeout));
    assert_eq!(end.open(), Err(OpenError::GoneAway));
}
