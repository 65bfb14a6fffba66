//! Connections over channels that are joined in memory, and remotes that are no
//! Polypeers.

mod foreign;
mod joined;
mod pair;

use std::sync::Arc;

use crate::connection::{
    Carrier, Config, Connection, Handler, Handlers, Owner, Read, StreamEvent, StreamId, ToNode,
};
use crate::identity::{Keypair, PeerId};
use crate::muxer::yamux;
use crate::rng::Rng;
use crate::security::Role;
use crate::time::Instant;

const ECHO: &str = "/echo/1.0.0";

fn keypair(seed: u64) -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_number(seed))
}

fn config(seed: u64) -> Arc<Config> {
    Arc::new(Config::new(keypair(seed)))
}

fn handlers() -> Arc<Handlers> {
    let handler = Handler { owner: Owner::Application, weight: yamux::DEFAULT_WEIGHT };
    Arc::new([(ECHO.into(), handler)].into_iter().collect())
}

fn connection(seed: u64, role: Role, carrier: &Carrier, expected: Option<PeerId>) -> Connection {
    let (rng, now) = (Rng::from_number(seed + 100), Instant::ZERO);
    let shared = (config(seed), handlers());
    let mut connection = Connection::over(shared, (role, carrier), expected, rng, now);
    connection.begin(now, carrier);
    connection
}

/// The streams of the application that the remote opened.
fn inbound(connection: &mut Connection) -> Vec<StreamId> {
    let news = core::iter::from_fn(|| connection.poll_node());
    news.filter_map(|news| match news {
        ToNode::Inbound { stream, .. } => Some(stream),
        _ => None,
    })
    .collect()
}

/// Reads up to `limit` bytes; `None` in the second place while more may come.
fn read(connection: &mut Connection, id: StreamId, limit: usize) -> (Vec<u8>, Option<Read>) {
    let mut all = Vec::new();
    let mut part = [0; 4096];
    while all.len() < limit {
        let Some(mut stream) = connection.stream(id) else { return (all, Some(Read::Reset)) };
        match stream.read(&mut part[..(limit - all.len()).min(4096)]) {
            Read::Bytes(count) => all.extend_from_slice(&part[..count]),
            Read::Pending => break,
            end => return (all, Some(end)),
        }
    }
    (all, None)
}

fn was_reset(connection: &mut Connection, id: StreamId) -> bool {
    core::iter::from_fn(|| connection.poll_stream()).any(|event| event == StreamEvent::Reset(id))
}

#[test]
fn the_prologue_is_that_of_the_vector() {
    // libp2p specs, webrtc/webrtc-direct.md, "Connection Security".
    let hash = |hex: &str| {
        let digest = crate::wire::base::decode(&format!("f{hex}")).unwrap();
        [&[0x12, 0x20], &digest[..]].concat()
    };
    let client = hash("3e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870");
    let server = hash("30fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99");
    let expected = "f6c69627032702d7765627274632d6e6f6973653a12203e79af40d6059617a0d83b83a52ce7\
                    3b0c1f37a72c6043ad2969e2351bdca870122030fc9f469c207419dfdd0aab5f27a86c973c94\
                    e40548db9375cca2e915973b99";
    assert_eq!(super::prologue(&client, &server), crate::wire::base::decode(expected).unwrap());
}
