//! The secure channel against itself, against vectors and against hostile bytes.

mod handshake;
mod hostile;
mod vectors;

use std::sync::Arc;

use super::*;
use crate::Rng;
use crate::identity::Keypair;
use crate::negotiate::Name;
use crate::security::{Error, Role, RustCrypto};

fn keypair(number: u64) -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_number(number))
}

fn config(role: Role, number: u64) -> Config {
    Config {
        keypair: keypair(number),
        role,
        expected: None,
        muxers: vec![Name::from("/yamux/1.0.0")],
        certhashes: Vec::new(),
        prologue: Vec::new(),
        ciphers: Arc::new(RustCrypto),
        rng: Rng::from_number(number),
    }
}

fn initiator() -> Config {
    config(Role::Initiator, 1)
}

fn responder() -> Config {
    config(Role::Responder, 2)
}

/// Gives `input` to `handshake` in pieces; all must be taken.
fn feed(
    handshake: &mut Handshake,
    input: &[u8],
    chunk: usize,
    out: &mut Vec<u8>,
) -> Result<Step, Error> {
    let mut last = Step::Pending;
    for piece in input.chunks(chunk) {
        let (count, step) = handshake.receive(piece, out)?;
        assert_eq!(count, piece.len());
        last = step;
    }
    Ok(last)
}

/// Runs a whole handshake in pieces of `chunk` bytes.
fn shake(a: Config, b: Config, chunk: usize) -> Result<(Secured, Secured), Error> {
    let (mut to_b, mut to_a) = (Vec::new(), Vec::new());
    let mut a = Handshake::new(a, &mut to_b)?;
    let mut b = Handshake::new(b, &mut to_a)?;
    assert!(matches!(feed(&mut b, &to_b, chunk, &mut to_a)?, Step::Pending));
    to_b.clear();
    let Step::Done(a) = feed(&mut a, &to_a, chunk, &mut to_b)? else { panic!("not done") };
    let Step::Done(b) = feed(&mut b, &to_b, chunk, &mut to_a)? else { panic!("not done") };
    Ok((*a, *b))
}

/// Sends `data` through a pair of ciphers.
fn send(sealer: &mut Sealer, opener: &mut Opener, data: &[u8]) {
    let mut wire = [&[0; LENGTH], data].concat();
    sealer.seal(&mut wire, 0).unwrap();
    let (frame, rest) = split_frame(&mut wire).unwrap();
    assert!(rest.is_empty());
    assert_eq!(opener.open(frame).unwrap(), data);
}
