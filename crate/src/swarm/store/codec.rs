//! An entry as it is written down.
//!
//! `<version: 1 byte><checksum: 4 bytes><protobuf>`; the checksum is the start of
//! the SHA-256 of the key and the protobuf, so that neither a torn write nor a
//! value under another's key is taken for an entry.

use prost::Message;
use sha2::{Digest, Sha256};

use crate::address::Multiaddr;
use crate::identity::{PeerId, PublicKey};

use super::entry::{Address, Entry, MAX_AGENT, MAX_PROTOCOLS, Source, Tag};
use super::error::RestoreError;

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;
const CHECKSUM: usize = 4;

#[derive(Clone, PartialEq, Message)]
struct EntryMessage {
    #[prost(message, repeated, tag = "1")]
    addresses: Vec<AddressMessage>,
    #[prost(bytes = "vec", optional, tag = "2")]
    record: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "3")]
    sequence: Option<u64>,
    #[prost(string, repeated, tag = "4")]
    protocols: Vec<String>,
    #[prost(string, tag = "5")]
    agent: String,
    #[prost(bytes = "vec", optional, tag = "6")]
    key: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "7")]
    metadata: Vec<MetadataMessage>,
    #[prost(message, repeated, tag = "8")]
    tags: Vec<TagMessage>,
    #[prost(uint64, tag = "9")]
    last_seen: u64,
    #[prost(uint32, tag = "10")]
    successes: u32,
    #[prost(uint32, tag = "11")]
    failures: u32,
    #[prost(uint32, tag = "12")]
    stable_sessions: u32,
    #[prost(uint64, tag = "13")]
    connected_millis: u64,
}

#[derive(Clone, PartialEq, Message)]
struct AddressMessage {
    #[prost(bytes = "vec", tag = "1")]
    address: Vec<u8>,
    #[prost(uint32, tag = "2")]
    source: u32,
    /// Absent for never.
    #[prost(uint64, optional, tag = "3")]
    expires: Option<u64>,
    #[prost(uint64, tag = "4")]
    succeeded: u64,
    #[prost(uint32, tag = "5")]
    failures: u32,
}

#[derive(Clone, PartialEq, Message)]
struct MetadataMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct TagMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    value: u32,
    /// Absent for never.
    #[prost(uint64, optional, tag = "3")]
    expires: Option<u64>,
}

/// The bytes of an entry, to be stored under the PeerId's bytes.
pub(super) fn encode(peer: &PeerId, entry: &Entry) -> Vec<u8> {
    let finite = |expires: u64| (expires != u64::MAX).then_some(expires);
    let message = EntryMessage {
        addresses: entry
            .addresses
            .iter()
            .map(|known| AddressMessage {
                address: known.address.as_bytes().to_vec(),
                source: source_number(known.source),
                expires: finite(known.expires),
                succeeded: known.succeeded,
                failures: known.failures,
            })
            .collect(),
        record: entry.record.clone(),
        sequence: entry.sequence,
        protocols: entry.protocols.iter().map(|name| name.to_string()).collect(),
        agent: entry.agent.clone(),
        key: entry.key.as_ref().map(PublicKey::to_protobuf),
        metadata: entry
            .metadata
            .iter()
            .map(|(name, value)| MetadataMessage { name: name.clone(), value: value.clone() })
            .collect(),
        tags: entry
            .tags
            .iter()
            .map(|(name, tag)| TagMessage {
                name: name.clone(),
                value: tag.value,
                expires: finite(tag.expires),
            })
            .collect(),
        last_seen: entry.last_seen,
        successes: entry.successes,
        failures: entry.failures,
        stable_sessions: entry.stable_sessions,
        connected_millis: entry.connected_millis,
    };
    let body = message.encode_to_vec();
    let mut out = Vec::with_capacity(1 + CHECKSUM + body.len());
    out.push(VERSION);
    out.extend_from_slice(&checksum(peer, &body));
    out.extend_from_slice(&body);
    out
}

/// Reads the entry of `peer`. Parts that this version cannot read are left out.
pub(super) fn decode(peer: &PeerId, bytes: &[u8]) -> Result<Entry, RestoreError> {
    let (version, rest) = bytes.split_first().ok_or(RestoreError::Damaged)?;
    if *version != VERSION {
        return Err(RestoreError::Version(*version));
    }
    let (sum, body) = rest.split_at_checked(CHECKSUM).ok_or(RestoreError::Damaged)?;
    if sum != checksum(peer, body) {
        return Err(RestoreError::Damaged);
    }
    let message = EntryMessage::decode(body).map_err(|_| RestoreError::Damaged)?;
    let addresses = message.addresses.into_iter().filter_map(|known| {
        Some(Address {
            address: Multiaddr::from_bytes(&known.address).ok()?,
            source: source(known.source)?,
            expires: known.expires.unwrap_or(u64::MAX),
            succeeded: known.succeeded,
            failures: known.failures,
        })
    });
    let key = message.key.and_then(|key| PublicKey::from_protobuf(&key).ok());
    let mut agent = message.agent;
    truncate(&mut agent, MAX_AGENT);
    Ok(Entry {
        addresses: addresses.collect(),
        record: message.record,
        sequence: message.sequence,
        protocols: message
            .protocols
            .iter()
            .take(MAX_PROTOCOLS)
            .map(|name| name.as_str().into())
            .collect(),
        agent,
        key: key.filter(|key| key.peer_id() == *peer),
        metadata: message.metadata.into_iter().map(|entry| (entry.name, entry.value)).collect(),
        tags: message
            .tags
            .into_iter()
            .map(|tag| {
                let expires = tag.expires.unwrap_or(u64::MAX);
                (tag.name, Tag { value: tag.value, expires })
            })
            .collect(),
        last_seen: message.last_seen,
        successes: message.successes,
        failures: message.failures,
        stable_sessions: message.stable_sessions,
        connected_millis: message.connected_millis,
    })
}

/// Cuts text to at most `max` bytes, between characters.
pub(super) fn truncate(text: &mut String, max: usize) {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
}

pub(super) fn checksum(peer: &PeerId, body: &[u8]) -> [u8; CHECKSUM] {
    let digest = Sha256::new().chain_update(peer.as_bytes()).chain_update(body).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The numbers are written down: they never change their meaning.
fn source_number(source: Source) -> u32 {
    match source {
        Source::Discovery => 1,
        Source::Identify => 2,
        Source::Dialed => 3,
        Source::Certified => 4,
        Source::Application => 5,
    }
}

fn source(number: u32) -> Option<Source> {
    Some(match number {
        1 => Source::Discovery,
        2 => Source::Identify,
        3 => Source::Dialed,
        4 => Source::Certified,
        5 => Source::Application,
        _ => return None,
    })
}
