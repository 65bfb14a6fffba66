//! The identify message.
//!
//! Source: libp2p specs "identify", The Identify Message; field 8 is not in its
//! text, but all implementations send and read it.

use crate::address::Multiaddr;
use crate::identity::{PeerId, PeerRecord, PublicKey};
use crate::negotiate::Name;
use crate::protocols::Local;
use crate::wire::protobuf::{Malformed, Reader, Writer};

/// Addresses and protocols that are kept of a remote's message; the rest is
/// ignored before memory is spent on it.
pub(super) const MAX_ENTRIES: usize = 256;

/// The message, borrowed from the bytes that it came in.
#[derive(Default)]
pub(super) struct Identify<'a> {
    public_key: Option<&'a [u8]>,
    listen_addrs: Vec<&'a [u8]>,
    protocols: Vec<&'a str>,
    observed_addr: Option<&'a [u8]>,
    protocol_version: Option<&'a str>,
    agent_version: Option<&'a str>,
    signed_peer_record: Option<&'a [u8]>,
}

impl<'a> Identify<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut message = Self::default();
        for field in Reader(bytes) {
            match field? {
                (1, value) => message.public_key = Some(value.bytes()?),
                (2, value) if message.listen_addrs.len() < MAX_ENTRIES => {
                    message.listen_addrs.push(value.bytes()?);
                }
                (3, value) if message.protocols.len() < MAX_ENTRIES => {
                    message.protocols.push(value.text()?);
                }
                (4, value) => message.observed_addr = Some(value.bytes()?),
                (5, value) => message.protocol_version = Some(value.text()?),
                (6, value) => message.agent_version = Some(value.text()?),
                (8, value) => message.signed_peer_record = Some(value.bytes()?),
                _ => {}
            }
        }
        Ok(message)
    }
}

/// What `local` tells a remote that it sees at `remote`, but for the signed record.
pub(super) fn encode(
    local: &Local,
    remote: &Multiaddr,
    protocols: &[&Name],
    addresses: &[Multiaddr],
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut message = Writer(&mut out);
    message.bytes(1, &local.keypair.public().to_protobuf());
    for address in addresses {
        message.bytes(2, address.as_bytes());
    }
    for name in protocols {
        message.bytes(3, name.as_bytes());
    }
    message
        .bytes(4, remote.as_bytes())
        .bytes(5, local.protocol_version.as_bytes())
        .bytes(6, local.agent.as_bytes());
    out
}

/// Adds the signed record to a message.
pub(super) fn add_record(message: &mut Vec<u8>, record: &[u8]) {
    Writer(message).bytes(8, record);
}

/// What a peer says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Info {
    /// Name and version of its program.
    pub agent: String,
    /// Its family of protocols.
    pub protocol_version: String,
    /// The protocols that it answers to, at most 256.
    pub protocols: Vec<Name>,
    /// Where it says that it can be reached, at most 256 addresses.
    pub addresses: Vec<Multiaddr>,
    /// The same with the peer's signature, when it sent a valid one.
    pub record: Option<PeerRecord>,
    /// The address under which it sees us.
    pub observed: Option<Multiaddr>,
    /// Its key, which its PeerId was made of.
    #[cfg(feature = "store")]
    pub public_key: Option<PublicKey>,
}

impl Info {
    /// Takes over what `message` says; fields that are missing stay.
    ///
    /// A key or record of another peer than `peer` is ignored: only what the
    /// secure channel proved counts.
    pub(super) fn merge(&mut self, peer: &PeerId, message: &Identify<'_>) {
        if let Some(key) = message.public_key {
            match PublicKey::from_protobuf(key) {
                #[cfg(feature = "store")]
                Ok(key) if key.peer_id() == *peer => self.public_key = Some(key),
                #[cfg(not(feature = "store"))]
                Ok(key) if key.peer_id() == *peer => {}
                _ => return,
            }
        }
        if let Some(agent) = message.agent_version {
            self.agent = agent.into();
        }
        if let Some(version) = message.protocol_version {
            self.protocol_version = version.into();
        }
        if !message.protocols.is_empty() {
            self.protocols = message.protocols.iter().map(|name| (*name).into()).collect();
        }
        if !message.listen_addrs.is_empty() {
            let well_formed = |bytes: &&[u8]| Multiaddr::from_bytes(bytes).ok();
            self.addresses = message.listen_addrs.iter().filter_map(well_formed).collect();
        }
        if let Some(observed) = message.observed_addr {
            self.observed = Multiaddr::from_bytes(observed).ok();
        }
        if let Some(record) = message.signed_peer_record
            && let Ok(record) = PeerRecord::open(record)
            && record.peer_id() == *peer
        {
            self.record = Some(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_entries_are_kept_than_the_limit() {
        let mut bytes = Vec::new();
        for _ in 0..4 * MAX_ENTRIES {
            Writer(&mut bytes).bytes(2, b"").bytes(3, b"");
        }
        Writer(&mut bytes).bytes(6, b"behind them");
        let decoded = Identify::decode(&bytes).unwrap();
        assert_eq!(decoded.listen_addrs.len(), MAX_ENTRIES);
        assert_eq!(decoded.protocols.len(), MAX_ENTRIES);
        assert!(decoded.protocols.capacity() <= 2 * MAX_ENTRIES);
        assert_eq!(decoded.agent_version, Some("behind them"));
    }
}
