//! What several targets share: pieces of any size, identities, a connected peer.

use std::sync::Arc;

use polypeer::connection::Security;
use polypeer::muxer::yamux;
use polypeer::negotiate::{Dialer, Name};
use polypeer::node::{Config, ConnectionId};
use polypeer::peer::{Output, Peer};
use polypeer::security::{Role, RustCrypto, noise, plaintext};
use polypeer::{Instant, Keypair, Rng};

/// Takes the first byte as the size of the pieces that the rest comes in.
pub fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let size = match first {
        0 => rest.len().max(1),
        size => usize::from(*size),
    };
    rest.chunks(size)
}

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

/// A peer that accepted a connection which is to be of plaintext and Yamux.
pub fn accepting() -> (Peer, ConnectionId) {
    let mut config = Config::new(keypair(1));
    config.connection.security = vec![Security::Plaintext];
    let mut peer = Peer::new(config, Rng::from_number(1));
    peer.handle(Instant::ZERO, "/echo/1.0.0".into());
    let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
    let id = peer.accepted(Instant::ZERO, remote).unwrap();
    (peer, id)
}

/// Gives `bytes` to a peer, then does what a host does.
pub fn drive(peer: &mut Peer, id: ConnectionId, now: Instant, bytes: &[u8]) {
    peer.receive(now, id, &mut bytes.to_vec());
    let mut wire = Vec::new();
    while let Some(output) = peer.poll_output() {
        match output {
            Output::Transmit(id) => while peer.transmit(now, id, &mut wire, 1 << 16) > 0 {},
            Output::Stream(id, event) => {
                // An application that reads half of what is there.
                if let polypeer::connection::StreamEvent::Readable(stream) = event
                    && let Some(mut stream) = peer.stream(id, stream)
                {
                    let half = stream.readable().len() / 2;
                    stream.consume(half);
                }
            }
            _ => {}
        }
    }
    if peer.poll_timeout().is_some_and(|at| at <= now) {
        peer.handle_timeout(now);
    }
}
