//! Damaged, cut, reordered and invented bytes, from a seeded generator, against
//! both roles and in every stage: a typed error or a closed connection, no panic,
//! bounded memory.

use super::*;

const CASES: u64 = 10_000;

/// What a hostile transport does to the bytes of one direction.
fn damage(rng: &mut Rng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.below(bytes.len() as u64) as usize;
    match rng.below(6) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes.truncate(at),
        2 => bytes.rotate_left(at),
        3 => {
            let copy = bytes[at..].to_vec();
            bytes.extend(copy);
        }
        4 => {
            let mut noise = vec![0; rng.below(2000) as usize];
            rng.fill(&mut noise);
            bytes.splice(at..at, noise);
        }
        _ => bytes[at..].fill(0xff),
    }
}

#[test]
fn damaged_connections_end_and_nothing_else() {
    let mut outcomes = [0u32; 2];
    for case in 0..CASES {
        let mut rng = Rng::from_number(case);
        // Plaintext leaves the muxer and the streams' negotiation open to damage.
        let plaintext = rng.below(2) == 0;
        let mut pair = Pair::new(|config| {
            if plaintext {
                config.security = vec![Security::Plaintext];
            }
        });
        let flights = rng.below(7);
        for _ in 0..flights {
            pair.carry_once();
        }
        if let Ok(id) = pair.a.connection.open(pair.now, vec![ECHO.into()]) {
            pair.a.connection.stream(id).map(|mut stream| stream.write(&[1; 500]));
        }
        for _ in 0..8 {
            for turn in 0..2 {
                let (from, to) =
                    if turn == 0 { (&mut pair.a, &mut pair.b) } else { (&mut pair.b, &mut pair.a) };
                let mut bytes = Vec::new();
                while from.connection.transmit(pair.now, &mut bytes, 100_000) > 0 {}
                if rng.below(2) == 0 {
                    damage(&mut rng, &mut bytes);
                }
                to.connection.receive(pair.now, &mut bytes);
                from.collect();
                to.collect();
            }
        }
        // Whatever is left undecided, time decides.
        pair.cut = true;
        pair.pass(Duration::from_secs(90));
        for side in [&pair.a, &pair.b] {
            assert!(side.error().is_some(), "case {case} goes on without a remote");
            outcomes[usize::from(side.peer().is_some())] += 1;
        }
    }
    // The generator reaches both the handshake and what comes after it.
    assert!(outcomes.iter().all(|count| *count > CASES as u32 / 10), "{outcomes:?}");
}

#[test]
fn an_endless_handshake_is_cut_off() {
    for role in [Role::Initiator, Role::Responder] {
        let mut connection = Connection::new(
            Arc::new(config(1)),
            handlers(),
            role,
            None,
            Rng::from_number(3),
            Instant::ZERO,
        );
        // A line that announces more than may come.
        let mut sent = 0;
        while !matches!(connection.state, State::Closed) {
            connection.receive(Instant::ZERO, &mut [0xff; 4096]);
            sent += 4096;
            assert!(sent <= MAX_HANDSHAKE_BYTES + 4096);
        }
    }
}
