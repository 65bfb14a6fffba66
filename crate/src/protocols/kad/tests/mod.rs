//! The parts of Kademlia, each for itself and against a model.

mod asking;
mod behind;
mod keeping;
mod limits;
mod lookup;
mod message;
mod server;
mod store;
mod table;

use crate::identity::{Keypair, PeerId};
use crate::rng::Rng;

pub(super) fn peer(number: u64) -> PeerId {
    Keypair::generate_ed25519(&mut Rng::from_number(number)).peer_id()
}
