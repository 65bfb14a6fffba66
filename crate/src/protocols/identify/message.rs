//! The identify message.
//!
//! Source: libp2p specs "identify", The Identify Message; field 8 is not in its
//! text, but all implementations send and read it.

use prost::Message;

use crate::address::Multiaddr;
use crate::identity::{PeerId, PeerRecord, PublicKey};
use crate::negotiate::Name;
use crate::wire::varint;

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

impl Identify {
    /// Decodes a remote's message without the entries over [`MAX_ENTRIES`] of each
    /// list: empty ones take two bytes there and a dozen times as much here.
    pub(super) fn decode_capped(mut bytes: &[u8]) -> Option<Self> {
        let mut kept = Vec::with_capacity(bytes.len());
        let mut counts = [0; 2];
        while !bytes.is_empty() {
            let (key, length) = field(bytes)?;
            let (field, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            let count = match key >> 3 {
                2 => &mut counts[0],
                3 => &mut counts[1],
                _ => &mut 0,
            };
            *count += 1;
            if *count <= MAX_ENTRIES {
                kept.extend_from_slice(field);
            }
        }
        Self::decode(&*kept).ok()
    }
}

/// The key of the first field in `bytes`, and the field's length.
fn field(bytes: &[u8]) -> Option<(u64, usize)> {
    let (key, start) = varint::decode(bytes).ok()??;
    let value = bytes.get(start..)?;
    let length = match key & 7 {
        0 => value.iter().position(|byte| *byte < 0x80)? + 1,
        1 => 8,
        2 => {
            let (length, start) = varint::decode(value).ok()??;
            usize::try_from(length).ok()?.checked_add(start)?
        }
        5 => 4,
        _ => return None,
    };
    Some((key, start.checked_add(length)?))
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
    pub(super) fn merge(&mut self, peer: &PeerId, message: Identify) {
        if let Some(key) = &message.public_key {
            match PublicKey::from_protobuf(key) {
                #[cfg(feature = "store")]
                Ok(key) if key.peer_id() == *peer => self.public_key = Some(key),
                #[cfg(not(feature = "store"))]
                Ok(key) if key.peer_id() == *peer => {}
                _ => return,
            }
        }
        if let Some(agent) = message.agent_version {
            self.agent = agent;
        }
        if let Some(version) = message.protocol_version {
            self.protocol_version = version;
        }
        if !message.protocols.is_empty() {
            self.protocols = message.protocols.iter().map(|name| name.as_str().into()).collect();
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
    list.iter().filter_map(|bytes| Multiaddr::from_bytes(bytes).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_entries_are_decoded_than_are_kept() {
        let message = Identify {
            listen_addrs: vec![Vec::new(); 4 * MAX_ENTRIES],
            protocols: vec![String::new(); 4 * MAX_ENTRIES],
            agent_version: Some("behind them".into()),
            ..Identify::default()
        };
        let decoded = Identify::decode_capped(&message.encode_to_vec()).unwrap();
        assert_eq!(decoded.listen_addrs.len(), MAX_ENTRIES);
        assert_eq!(decoded.protocols.len(), MAX_ENTRIES);
        assert!(decoded.protocols.capacity() <= 2 * MAX_ENTRIES);
        assert_eq!(decoded.agent_version, message.agent_version);
        let few = Identify { protocols: vec!["/a".into()], ..Identify::default() };
        assert_eq!(Identify::decode_capped(&few.encode_to_vec()), Some(few));
    }
}
