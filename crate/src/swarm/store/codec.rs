//! An entry as it is written down.
//!
//! `<version: 1 byte><checksum: 4 bytes><protobuf>`; the checksum is the start of
//! the SHA-256 of the key and the protobuf, so that neither a torn write nor a
//! value under another's key is taken for an entry.

use sha2::{Digest, Sha256};

use crate::address::Multiaddr;
use crate::identity::{PeerId, PublicKey};
use crate::wire::protobuf::{Malformed, Reader, Writer};

use super::entry::{Address, Entry, MAX_AGENT, MAX_PROTOCOLS, Source, Tag};
use super::error::RestoreError;

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;
const CHECKSUM: usize = 4;

/// The bytes of an entry, to be stored under the PeerId's bytes.
pub(super) fn encode(peer: &PeerId, entry: &Entry) -> Vec<u8> {
    let mut out = vec![VERSION, 0, 0, 0, 0];
    write(&mut Writer(&mut out), entry);
    let sum = checksum(peer, out.get(1 + CHECKSUM..).unwrap_or_default());
    if let Some(place) = out.get_mut(1..1 + CHECKSUM) {
        place.copy_from_slice(&sum);
    }
    out
}

fn write(out: &mut Writer<'_>, entry: &Entry) {
    for known in &entry.addresses {
        out.message(1, |out| {
            out.some_bytes(1, known.address.as_bytes()).number(2, source_number(known.source));
            write_end(out, known.expires)
                .some_number(4, known.succeeded)
                .some_number(5, known.failures.into());
        });
    }
    if let Some(record) = &entry.record {
        out.bytes(2, record);
    }
    if let Some(sequence) = entry.sequence {
        out.number(3, sequence);
    }
    for name in &entry.protocols {
        out.bytes(4, name.as_bytes());
    }
    out.some_bytes(5, entry.agent.as_bytes());
    if let Some(key) = &entry.key {
        out.bytes(6, &key.to_protobuf());
    }
    for (name, value) in entry.metadata.iter() {
        out.message(7, |out| _ = out.some_bytes(1, name.as_bytes()).some_bytes(2, value));
    }
    for (name, tag) in entry.tags.iter() {
        out.message(8, |out| {
            out.some_bytes(1, name.as_bytes()).some_number(2, tag.value.into());
            write_end(out, tag.expires);
        });
    }
    out.some_number(9, entry.last_seen)
        .some_number(10, entry.successes.into())
        .some_number(11, entry.failures.into())
        .some_number(12, entry.stable_sessions.into())
        .some_number(13, entry.connected_millis);
}

/// Nothing stands for never.
fn write_end<'a, 'b>(out: &'a mut Writer<'b>, expires: u64) -> &'a mut Writer<'b> {
    if expires == u64::MAX { out } else { out.number(3, expires) }
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
    read(peer, body).map_err(|_| RestoreError::Damaged)
}

fn read(peer: &PeerId, body: &[u8]) -> Result<Entry, Malformed> {
    let mut entry = Entry::default();
    for field in Reader(body) {
        let (number, value) = field?;
        match number {
            1 => entry.addresses.extend(read_address(value.bytes()?)?),
            2 => entry.record = Some(value.bytes()?.to_vec()),
            3 => entry.sequence = Some(value.number()?),
            4 if entry.protocols.len() < MAX_PROTOCOLS => {
                entry.protocols.push(value.text()?.into());
            }
            5 => entry.agent = value.text()?.into(),
            6 => {
                let key = PublicKey::from_protobuf(value.bytes()?).ok();
                entry.key = key.filter(|key| key.peer_id() == *peer);
            }
            7 => {
                let (mut name, mut bytes) = ("", &[][..]);
                for field in Reader(value.bytes()?) {
                    match field? {
                        (1, value) => name = value.text()?,
                        (2, value) => bytes = value.bytes()?,
                        _ => {}
                    }
                }
                entry.metadata.insert(name.into(), bytes.into());
            }
            8 => {
                let (mut name, mut tag) = ("", Tag { value: 0, expires: u64::MAX });
                for field in Reader(value.bytes()?) {
                    match field? {
                        (1, value) => name = value.text()?,
                        (2, value) => tag.value = value.number()? as u32,
                        (3, value) => tag.expires = value.number()?,
                        _ => {}
                    }
                }
                entry.tags.insert(name.into(), tag);
            }
            9 => entry.last_seen = value.number()?,
            10 => entry.successes = value.number()? as u32,
            11 => entry.failures = value.number()? as u32,
            12 => entry.stable_sessions = value.number()? as u32,
            13 => entry.connected_millis = value.number()?,
            _ => {}
        }
    }
    truncate(&mut entry.agent, MAX_AGENT);
    Ok(entry)
}

fn read_address(bytes: &[u8]) -> Result<Option<Address>, Malformed> {
    let (mut address, mut from) = (&[][..], None);
    let (mut expires, mut succeeded, mut failures) = (u64::MAX, 0, 0);
    for field in Reader(bytes) {
        match field? {
            (1, value) => address = value.bytes()?,
            (2, value) => from = source(value.number()?),
            (3, value) => expires = value.number()?,
            (4, value) => succeeded = value.number()?,
            (5, value) => failures = value.number()? as u32,
            _ => {}
        }
    }
    let (Some(source), Ok(address)) = (from, Multiaddr::from_bytes(address)) else {
        return Ok(None);
    };
    Ok(Some(Address { address, source, expires, succeeded, failures }))
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
fn source_number(source: Source) -> u64 {
    match source {
        Source::Discovery => 1,
        Source::Identify => 2,
        Source::Dialed => 3,
        Source::Certified => 4,
        Source::Application => 5,
    }
}

fn source(number: u64) -> Option<Source> {
    Some(match number {
        1 => Source::Discovery,
        2 => Source::Identify,
        3 => Source::Dialed,
        4 => Source::Certified,
        5 => Source::Application,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::swarm::store::tests::{any_entry, peer};

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
        #[prost(uint64, optional, tag = "3")]
        expires: Option<u64>,
    }

    proptest::proptest! {
        #[test]
        fn is_the_protobuf_that_earlier_versions_wrote(entry in any_entry()) {
            let bytes = encode(&peer(1), &entry);
            let body = &bytes[1 + CHECKSUM..];
            let message = EntryMessage::decode(body).unwrap();
            proptest::prop_assert_eq!(message.encode_to_vec(), body);
            proptest::prop_assert_eq!(message.addresses.len(), entry.addresses.len());
            proptest::prop_assert_eq!(message.tags.len(), entry.tags.len());
            proptest::prop_assert_eq!(message.connected_millis, entry.connected_millis);
        }
    }
}
