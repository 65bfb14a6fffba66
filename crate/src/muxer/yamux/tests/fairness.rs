//! Whose bytes go next.

use super::super::*;
use super::pair::{CLIENT, Pair, SERVER};

/// Keeps every stream's send buffer full and counts what arrives in `rounds`
/// transmissions of `budget` bytes.
fn shares(pair: &mut Pair, ids: &[StreamId], rounds: usize, budget: usize) -> Vec<usize> {
    let chunk = vec![7; 256 * 1024];
    let mut shares = vec![0; ids.len()];
    pair.budget = budget;
    for _ in 0..rounds {
        for &id in ids {
            pair.stream(CLIENT, id).write(&chunk).unwrap();
        }
        pair.step();
        for (share, &id) in shares.iter_mut().zip(ids) {
            let mut stream = pair.stream(SERVER, id);
            let count = stream.readable().len();
            stream.consume(count);
            *share += count;
        }
        pair.events(SERVER);
        pair.events(CLIENT);
    }
    shares
}

#[test]
fn equal_streams_get_equal_shares() {
    for budget in [1000, 65_519, 250_000] {
        let mut pair = Pair::new(Config::default(), 1);
        let ids: Vec<_> = (0..7).map(|_| pair.open()).collect();
        let shares = shares(&mut pair, &ids, 50_000_000 / budget, budget);
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(most - least <= 64 * 1024 + budget / 4, "{shares:?} at {budget}");
    }
}

#[test]
fn weights_are_proportions() {
    let mut pair = Pair::new(Config::default(), 1);
    let ids: Vec<_> = (0..4).map(|_| pair.open()).collect();
    for (id, weight) in ids.iter().zip([4, 8, 16, 32]) {
        pair.stream(CLIENT, *id).set_weight(weight);
    }
    let shares = shares(&mut pair, &ids, 1000, 65_519);
    for (share, weight) in shares.iter().zip([4, 8, 16, 32]) {
        let expected = 1000 * 65_507 / 60 * weight;
        assert!(share.abs_diff(expected) < expected / 20, "{shares:?}");
    }
}

#[test]
fn a_short_message_passes_bulk() {
    let mut pair = Pair::new(Config::default(), 1);
    let bulk: Vec<_> = (0..99).map(|_| pair.open()).collect();
    let small = pair.open();
    shares(&mut pair, &bulk, 50, 65_519);
    for _ in 0..20 {
        pair.stream(CLIENT, small).write(b"ping").unwrap();
        shares(&mut pair, &bulk, 1, 65_519);
        assert_eq!(pair.stream(SERVER, small).readable(), b"ping");
        pair.stream(SERVER, small).consume(4);
        // A round of all others: 99 turns of 16 KiB.
        shares(&mut pair, &bulk, 26, 65_519);
    }
}

#[test]
fn many_short_messages_do_not_starve_bulk() {
    let mut pair = Pair::new(Config::default(), 1);
    let (bulk, chatty) = (pair.open(), pair.open());
    pair.budget = 20_000;
    let mut read = [0, 0];
    for _ in 0..1000 {
        pair.stream(CLIENT, bulk).write(&[1; 100_000]).unwrap();
        // Never more than a turn at once, but again and again.
        pair.stream(CLIENT, chatty).write(&[2; 16_000]).unwrap();
        pair.step();
        for (id, read) in [bulk, chatty].into_iter().zip(&mut read) {
            let mut stream = pair.stream(SERVER, id);
            let count = stream.readable().len();
            stream.consume(count);
            *read += count;
        }
        pair.events(SERVER);
        pair.events(CLIENT);
    }
    assert!(read[0] * 2 > read[1] && read[1] * 2 > read[0], "{read:?}");
}

#[test]
fn a_flood_of_new_streams_does_not_starve_bulk() {
    let mut pair = Pair::new(Config::default(), 1);
    let bulk = pair.open();
    pair.budget = 65_519;
    let (mut read, rounds) = (0, 500);
    for _ in 0..rounds {
        pair.stream(CLIENT, bulk).write(&[1; 100_000]).unwrap();
        while pair.ends[CLIENT].streams().1 < 20 {
            let id = pair.ends[CLIENT].open().unwrap();
            let mut stream = pair.stream(CLIENT, id);
            stream.write(&[2; 16_000]).unwrap();
            stream.finish();
        }
        pair.step();
        let mut stream = pair.stream(SERVER, bulk);
        let count = stream.readable().len();
        stream.consume(count);
        read += count;
        for event in pair.events(SERVER) {
            if let Event::Opened(id) = event
                && id != bulk
            {
                pair.stream(SERVER, id).reset();
            }
        }
        pair.events(CLIENT);
    }
    assert!(read > rounds * 65_519 * 4 / 10, "{read}");
}

#[test]
fn control_frames_pass_data() {
    let mut pair = Pair::new(Config::default(), 1);
    let id = pair.open();
    pair.stream(CLIENT, id).write(&[1; 100_000]).unwrap();
    let now = pair.now;
    let end = &mut pair.ends[CLIENT];
    end.ping(now);
    let mut out = Vec::new();
    end.transmit(now, &mut out, 1000);
    let header = Header::decode(out.first_chunk().unwrap()).unwrap();
    assert_eq!(header.kind, Kind::Ping);
}

#[test]
fn frames_use_the_budget_up() {
    let mut pair = Pair::new(Config { send_buffer: 1 << 20, ..Config::default() }, 1);
    let id = pair.open();
    pair.stream(CLIENT, id).write(&[1; 200_000]).unwrap();
    let now = pair.now;
    let mut out = Vec::new();
    // A full Noise message is one frame, and any budget is used to its end.
    for budget in [65_519, 65_519, 13, 500, 20_000] {
        assert_eq!(pair.ends[CLIENT].transmit(now, &mut out, budget), budget);
    }
    assert_eq!(pair.ends[CLIENT].transmit(now, &mut out, 12), 0);
    assert_eq!(pair.ends[CLIENT].transmit(now, &mut out, 0), 0);
}
