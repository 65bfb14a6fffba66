//! Bytes that no honest peer sends: a typed error, no panic, bounded memory.

use super::*;
use crate::security::TAG;

const CASES: u64 = 10_000;

/// Changes `bytes` in one of the ways that a bad wire or a bad peer does.
fn damage(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let length = bytes.len() as u64;
    match rng.below(5) {
        0 => bytes.truncate(rng.below(length) as usize),
        1 => bytes[rng.below(length) as usize] ^= 1 << rng.below(8),
        2 => bytes.insert(rng.below(length) as usize, rng.next_u64() as u8),
        3 => {
            let (from, to) = (rng.below(length) as usize, rng.below(length) as usize);
            bytes.swap(from, to);
        }
        _ => {
            let announced = (rng.next_u64() as u16).to_be_bytes();
            bytes.splice(..2.min(bytes.len()), announced);
        }
    }
}

#[test]
fn damaged_handshakes_end_in_an_error_or_wait() {
    let mut rng = Rng::from_number(77);
    let mut to_b = Vec::new();
    Handshake::new(initiator(), &mut to_b).unwrap();
    let first = to_b;
    for case in 0..CASES {
        // Every 50th case reaches the third message: three key exchanges are slow.
        let third = case % 50 == 0;
        let mut out = Vec::new();
        let (mut victim, mut hostile) = if third {
            let mut b = Handshake::new(responder(), &mut out).unwrap();
            let mut a = Handshake::new(initiator(), &mut Vec::new()).unwrap();
            b.receive(&first, &mut out).unwrap();
            let mut last = Vec::new();
            a.receive(&out, &mut last).unwrap();
            (b, last)
        } else if case % 2 == 0 {
            (Handshake::new(responder(), &mut out).unwrap(), first.clone())
        } else {
            // The initiator gets nonsense of the length of an answer.
            let mut hostile = vec![0; 2 + 300];
            rng.fill(&mut hostile[2..]);
            hostile[..2].copy_from_slice(&300u16.to_be_bytes());
            (Handshake::new(initiator(), &mut out).unwrap(), hostile)
        };
        let genuine = hostile.clone();
        damage(&mut rng, &mut hostile);
        if hostile == genuine {
            continue;
        }
        let chunk = rng.below(64) as usize + 1;
        for piece in hostile.chunks(chunk) {
            match victim.receive(piece, &mut out) {
                Ok((_, Step::Done(_) | Step::Verify(_))) => panic!("case {case} passed"),
                Ok((count, Step::Pending)) => assert_eq!(count, piece.len()),
                Err(_) => break,
            }
        }
        assert!(victim.held_capacity() <= 2 * (MAX_HANDSHAKE_MESSAGE + LENGTH));
    }
}

#[test]
fn messages_out_of_order_are_refused() {
    let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::new());
    let mut a = Handshake::new(initiator(), &mut first).unwrap();
    let mut b = Handshake::new(responder(), &mut second).unwrap();
    b.receive(&first, &mut second).unwrap();
    a.receive(&second, &mut third).unwrap();
    let messages = [&first, &second, &third];
    for order in [[2, 0], [0, 0], [1, 2], [0, 1]] {
        let mut out = Vec::new();
        let mut b = Handshake::new(responder(), &mut out).unwrap();
        let input: Vec<u8> = order.iter().flat_map(|at| messages[*at].clone()).collect();
        assert!(b.receive(&input, &mut out).is_err(), "{order:?}");
    }
    let mut out = Vec::new();
    let mut a = Handshake::new(initiator(), &mut out).unwrap();
    assert!(a.receive(&first, &mut out).is_err(), "an echo of our own message");
}

#[test]
fn damaged_frames_do_not_open() {
    let (mut a, mut b) = shake(initiator(), responder(), usize::MAX).unwrap();
    let mut rng = Rng::from_number(78);
    for case in 0..CASES {
        let data = vec![case as u8; rng.below(200) as usize];
        let mut wire = [&[0; LENGTH], &*data].concat();
        a.sealer.seal(&mut wire, 0).unwrap();
        let mut bad = wire.clone();
        damage(&mut rng, &mut bad);
        if bad != wire
            && let Some((frame, _)) = split_frame(&mut bad)
        {
            let expected = frame.len() < TAG;
            match b.opener.open(frame) {
                Err(Error::FrameTooShort) => assert!(expected),
                Err(Error::Decrypt) => assert!(!expected),
                // Damage behind the frame leaves it whole.
                Ok(plain) => {
                    assert_eq!(plain, data);
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let (frame, _) = split_frame(&mut wire).unwrap();
        assert_eq!(b.opener.open(frame).unwrap(), data, "the nonce stayed");
    }
}

#[test]
fn frames_out_of_order_do_not_open() {
    let (mut a, mut b) = shake(initiator(), responder(), usize::MAX).unwrap();
    let mut frames = Vec::new();
    for number in 0..2u8 {
        let mut wire = vec![0, 0, number];
        a.sealer.seal(&mut wire, 0).unwrap();
        frames.push(wire.split_off(LENGTH));
    }
    assert!(matches!(b.opener.open(&mut frames[1].clone()), Err(Error::Decrypt)));
    assert_eq!(b.opener.open(&mut frames[0].clone()).unwrap(), [0]);
    assert!(matches!(b.opener.open(&mut frames[0]), Err(Error::Decrypt)));
    assert_eq!(b.opener.open(&mut frames[1]).unwrap(), [1]);
}
