//! The identify message.
//!
//! Source: libp2p specs "identify", The Identify Message; field 8 is not in its
//! text, but all implementations send and read it.

use prost::Message;

use crate::address::Multiaddr;
use crate::identity::{PeerId, PeerRecord, PublicKey};
use crate::negotiate::Name;

/// Addresses and protocols that are kept of a remote's message; the rest is
/// ignored, so a message of 64 KiB costs no more memory than one of 8.
pub(super) const MAX_ENTRIES: usize = 256;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Identify {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) public_key: Option<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) listen_addrs: Vec<Vec<u8>>,
    #[prost(string, repeated, tag = "3")]
    pub(super) protocols: Vec<String>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) observed_addr: Option<Vec<u8>>,
    #[prost(string, optional, tag = "5")]
    pub(super) protocol_version: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub(super) agent_version: Option<String>,
    #[prost(bytes = "vec", optional, tag = "8")]
    pub(super) signed_peer_record: Option<Vec<u8>>,
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
}

impl Info {
    /// Takes over what `message` says; fields that are missing stay.
    ///
    /// A key or record of another peer than `peer` is ignored: only what the
    /// secure channel proved counts.
    pub(super) fn merge(&mut self, peer: &PeerId, message: Identify) {
        if let Some(key) = &message.public_key
            && PublicKey::from_protobuf(key).map(|key| key.peer_id()).as_ref() != Ok(peer)
        {
            return;
        }
        if let Some(agent) = message.agent_version {
            self.agent = agent;
        }
        if let Some(version) = message.protocol_version {
            self.protocol_version = version;
        }
        if !message.protocols.is_empty() {
            self.protocols = message
                .protocols
                .iter()
                .take(MAX_ENTRIES)
                .map(|name| name.as_str().into())
                .collect();
        }
        if !message.listen_addrs.is_empty() {
            self.addresses = addresses(&message.listen_addrs);
        }
        if let Some(observed) = message.observed_addr {
            self.observed = Multiaddr::from_bytes(&observed).ok();
        }
        if let Some(record) = message.signed_peer_record
            && let Ok(record) = PeerRecord::open(&record)
            && record.peer_id() == *peer
        {
            self.record = Some(record);
        }
    }
}

/// The addresses that are well-formed.
fn addresses(list: &[Vec<u8>]) -> Vec<Multiaddr> {
    list.iter().take(MAX_ENTRIES).filter_map(|bytes| Multiaddr::from_bytes(bytes).ok()).collect()
}
