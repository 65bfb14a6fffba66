//! Sequences of frames gone wrong: a typed error or nothing, never a panic, and
//! memory stays bounded.

use super::super::*;
use crate::{Instant, Rng};

/// A random frame, near what a remote might send: small stream numbers, all
/// kinds and flags, lengths of all sizes.
fn frame(rng: &mut Rng, out: &mut Vec<u8>) {
    let kinds = [Kind::Data, Kind::Data, Kind::WindowUpdate, Kind::Ping, Kind::GoAway];
    let rare = rng.below(20) == 0;
    let kind = kinds[rng.below(if rare { 5 } else { 3 }) as usize];
    let flags = [Flags::NONE, Flags::SYN, Flags::ACK, Flags::FIN, Flags::RST];
    let mut flag = flags[rng.below(5) as usize];
    if rng.below(8) == 0 {
        flag = flag | flags[rng.below(5) as usize];
    }
    let stream = if matches!(kind, Kind::Ping | Kind::GoAway) { 0 } else { rng.below(40) as u32 };
    let huge = rng.below(30) == 0;
    let bits = rng.below(if huge { 33 } else { 14 });
    let length = rng.below(1 << bits) as u32;
    out.extend_from_slice(&Header { kind, flags: flag, stream, length }.encode());
    if kind == Kind::Data {
        out.resize(out.len() + length.min(300_000) as usize, 5);
    }
}

#[test]
fn mutated_frames_end_in_typed_errors_and_bounded_memory() {
    let config = Config { max_unread: 200_000, window_budget: 0, ..Config::default() };
    let (mut failures, mut out) = (0, Vec::new());
    for seed in 0..10_000 {
        let mut rng = Rng::from_number(seed);
        let mut end = Yamux::new(config.clone(), Role::Server, Instant::ZERO);
        let ours = end.open().unwrap();
        let mut bytes = Vec::new();
        for id in [1, 3, 5] {
            let header =
                Header { kind: Kind::WindowUpdate, flags: Flags::SYN, stream: id, length: 0 };
            bytes.extend_from_slice(&header.encode());
        }
        for _ in 0..rng.below(20) {
            frame(&mut rng, &mut bytes);
        }
        for _ in 0..rng.below(3) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << rng.below(8);
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let size = (1 + rng.below(30_000) as usize).min(rest.len());
            let (piece, after) = rest.split_at(size);
            rest = after;
            if let Err(error) = end.receive(Instant::ZERO, piece) {
                assert_eq!(end.receive(Instant::ZERO, rest), Err(error));
                failures += 1;
                break;
            }
            if rng.below(2) == 0 {
                while let Some(event) = end.poll_event() {
                    if let (Event::Readable(id), 0) = (event, rng.below(2)) {
                        end.stream(id).unwrap().consume(1000);
                    }
                }
            }
            if let (Some(mut stream), 0) = (end.stream(ours), rng.below(3)) {
                let _ = stream.write(&[3; 500]);
            }
            out.clear();
            end.transmit(Instant::ZERO, &mut out, rng.below(2000) as usize);
            // Unread bytes at up to eight times their number (see `Fifo`), the
            // pool's, and some hundred bytes for each of at most 40 streams.
            assert!(end.unread() <= config.max_unread);
            assert!(end.memory() <= 8 * config.max_unread + 4 * 1024 * 1024, "{}", end.memory());
        }
    }
    assert!((2_000..9_900).contains(&failures), "{failures}: both outcomes must be common");
}
