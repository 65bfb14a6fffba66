//! The public keys of peers.
//!
//! Source: libp2p specs, `kad-dht/README.md`, "Entry validation", and the DHT's custom
//! that a PeerId which does not hold its key finds it under `/pk/<PeerId>`.

use crate::identity::{PeerId, PublicKey};

use super::{Invalid, Validator};

/// The namespace `/pk`: behind it the bytes of a PeerId, and its public key as value.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublicKeys;

impl Validator for PublicKeys {
    fn validate(&self, key: &[u8], value: &[u8], _: u64) -> Result<(), Invalid> {
        let peer = key.strip_prefix(b"/pk/").and_then(|id| PeerId::from_bytes(id).ok());
        let peer = peer.ok_or(Invalid::Key)?;
        let found = PublicKey::from_protobuf(value)
            .map_err(|error| Invalid::Value(error.to_string()))?
            .peer_id();
        if found == peer {
            Ok(())
        } else {
            Err(Invalid::Value("the public key is that of another peer".into()))
        }
    }

    fn is_better(&self, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        // A peer has one key.
        false
    }
}
