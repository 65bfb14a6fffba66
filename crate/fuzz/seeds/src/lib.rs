//! What honest peers say, for seeds and for the beginning of a target's input.

use std::sync::Arc;

use polypeer::muxer::yamux;
use polypeer::negotiate::{Dialer, Name};
use polypeer::security::{Role, RustCrypto, noise, plaintext};
use polypeer::{Keypair, Rng};

/// The key pair of a peer.
pub fn keypair(number: u64) -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_number(number))
}

/// What a handshake of Noise needs; the same every time.
pub fn noise_config(role: Role) -> noise::Config {
    noise::Config {
        keypair: keypair(role as u64),
        role,
        expected: None,
        muxers: vec![Name::from(yamux::PROTOCOL)],
        certhashes: Vec::new(),
        prologue: Vec::new(),
        ciphers: Arc::new(RustCrypto),
        rng: Rng::from_number(role as u64),
    }
}

/// What a dialer sends to agree on plaintext and Yamux, in one flight.
pub fn upgrade() -> Vec<u8> {
    let mut out = Vec::new();
    let propose = |name: &str, out: &mut Vec<u8>| {
        Dialer::new(vec![name.into()], out).unwrap();
    };
    propose(plaintext::NAME, &mut out);
    plaintext::Handshake::new(&keypair(7).public(), None, &mut out);
    propose(yamux::PROTOCOL, &mut out);
    out
}
