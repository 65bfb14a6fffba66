//! The router by itself, its wire format against prost, and its limits.

mod choking;
mod format;
mod limits;
mod signatures;
mod speaking;
mod usefulness;
mod waiting;

use core::time::Duration;

use super::*;
use crate::identity::Keypair;
use crate::rng::Rng;
use crate::time::Instant;

fn keypair(number: u64) -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_number(number))
}

fn peer(number: u64) -> PeerId {
    keypair(number).peer_id()
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn id(number: u64) -> MessageId {
    MessageId::new(&number.to_be_bytes())
}

/// A message as peer `number` signs it.
fn signed(number: u64, seqno: u64, topic: &str, data: &[u8]) -> Message {
    Message::signed(&keypair(number), seqno, topic.into(), data).unwrap()
}
