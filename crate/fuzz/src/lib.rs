//! What several targets share: pieces of any size, and a peer with its host.

use polypeer::connection::{Carrier, Security, StreamEvent};
use polypeer::node::{Config, ConnectionId};
use polypeer::peer::{Output, Peer};
use polypeer::{Instant, PeerId, Rng};
pub use polypeer_fuzz_seeds::{keypair, noise_config, upgrade};
use sha2::{Digest, Sha256};

/// Takes the first byte as the size of the pieces that the rest comes in.
pub fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let size = match first {
        0 => rest.len().max(1),
        size => usize::from(*size),
    };
    rest.chunks(size)
}

/// A peer that accepted a connection which is to be of plaintext and Yamux.
pub fn accepting() -> (Peer, ConnectionId) {
    accepting_over(Carrier::Bytes)
}

/// As [`accepting`], over something else than bytes.
pub fn accepting_over(carrier: Carrier) -> (Peer, ConnectionId) {
    let mut config = Config::new(keypair(1));
    config.connection.security = vec![Security::Plaintext];
    let mut peer = Peer::new(config, Rng::from_number(1));
    peer.handle(Instant::ZERO, "/echo/1.0.0".into());
    let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
    let id = peer.accepted_over(Instant::ZERO, remote, carrier).unwrap();
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
                if let StreamEvent::Readable(stream) = event
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

/// The protobuf of an entry of the peer store as it is stored.
pub fn stored(peer: &PeerId, body: &[u8]) -> Vec<u8> {
    let sum = Sha256::new().chain_update(peer.as_bytes()).chain_update(body).finalize();
    [&[1], &sum[..4], body].concat()
}
