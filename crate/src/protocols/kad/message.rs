//! Requests and answers.
//!
//! Source: libp2p specs, `kad-dht/README.md`, "RPC messages". Fields that a message
//! of its type has no use for are passed over, as other implementations do.

use thiserror::Error;

use crate::address::Multiaddr;
use crate::identity::PeerId;
use crate::wire::protobuf::{Malformed, Reader, Writer};

/// The longest message in bytes, either way.
pub const MAX_MESSAGE: usize = 128 * 1024;
/// The longest key in bytes.
pub const MAX_KEY: usize = 1024;
/// The longest value of a record in bytes.
pub const MAX_VALUE: usize = 64 * 1024;
/// Peers that are kept of each list of an answer: three times what a well-behaved
/// remote names.
pub const MAX_PEERS: usize = 60;
/// Addresses that are kept of each peer.
pub const MAX_ADDRESSES: usize = 16;
/// The longest time a record was received, as text, in bytes.
const MAX_TIME: usize = 64;

const PUT_VALUE: u64 = 0;
const GET_VALUE: u64 = 1;
const ADD_PROVIDER: u64 = 2;
const GET_PROVIDERS: u64 = 3;
const FIND_NODE: u64 = 4;
const PING: u64 = 5;

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// No protobuf, or not of the specification's shape.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A type that the specification does not have.
    #[error("message type {0} is unknown")]
    Type(u64),
    /// Longer than [`MAX_KEY`].
    #[error("a key of {0} bytes is too long")]
    Key(usize),
    /// Longer than [`MAX_VALUE`].
    #[error("a value of {0} bytes is too long")]
    Value(usize),
    /// A request to store a record that has none, or one of another key.
    #[error("the record is missing, or of another key")]
    Record,
    /// An answer of another type than the request, or to another key.
    #[error("the answer is not to this request")]
    Answer,
}

/// A value under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key, such as `/pk/…` or `/ipns/…`.
    pub key: Vec<u8>,
    /// What is kept under it.
    pub value: Vec<u8>,
    /// When the sender got it, as it says itself (RFC 3339); empty if it does not.
    pub received: String,
}

/// What the sender of a [`Contact`] knows of the way there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// It has no connection, and knows nothing more.
    #[default]
    NotConnected,
    /// It has a connection.
    Connected,
    /// It was connected not long ago.
    CanConnect,
    /// It tried hard, and could not connect.
    CannotConnect,
}

/// A peer as it stands in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who it is.
    pub peer: PeerId,
    /// Where it is said to be, without its PeerId; what cannot be read is left out.
    pub addresses: Vec<Multiaddr>,
    /// What the sender knows of the way there.
    pub link: Link,
}

/// What one peer asks another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Who is nearest to this key?
    FindNode {
        /// A PeerId, or any other bytes.
        key: Vec<u8>,
    },
    /// What is under this key, and who is nearest to it?
    GetValue {
        /// The record's key.
        key: Vec<u8>,
    },
    /// Keep this.
    PutValue {
        /// What to keep.
        record: Record,
    },
    /// Who provides this, and who is nearest to it?
    GetProviders {
        /// A multihash.
        key: Vec<u8>,
    },
    /// These provide this; the sender alone counts. There is no answer.
    AddProvider {
        /// A multihash.
        key: Vec<u8>,
        /// Who provides it.
        providers: Vec<Contact>,
    },
    /// Are you there? Deprecated: answered, not asked.
    Ping,
}

/// What the answer to a request holds; all of it may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The value under the key.
    pub record: Option<Record>,
    /// Who is nearest to the key, as far as the sender knows.
    pub closer: Vec<Contact>,
    /// Who provides it.
    pub providers: Vec<Contact>,
}

impl Request {
    fn kind(&self) -> u64 {
        match self {
            Self::PutValue { .. } => PUT_VALUE,
            Self::GetValue { .. } => GET_VALUE,
            Self::AddProvider { .. } => ADD_PROVIDER,
            Self::GetProviders { .. } => GET_PROVIDERS,
            Self::FindNode { .. } => FIND_NODE,
            Self::Ping => PING,
        }
    }

    /// The key that it is about; empty for a ping.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::FindNode { key }
            | Self::GetValue { key }
            | Self::GetProviders { key }
            | Self::AddProvider { key, .. } => key,
            Self::PutValue { record } => &record.key,
            Self::Ping => &[],
        }
    }

    /// Whether there is an answer to it.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Self::AddProvider { .. })
    }

    /// The message's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (record, providers) = match self {
            Self::PutValue { record } => (Some(record), &[][..]),
            Self::AddProvider { providers, .. } => (None, &providers[..]),
            _ => (None, &[][..]),
        };
        encode(self.kind(), self.key(), record, &[], providers)
    }

    /// Reads a request.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
        let Message { kind, key, record, providers, .. } = Message::decode(bytes)?;
        Ok(match kind {
            FIND_NODE => Self::FindNode { key },
            GET_VALUE => Self::GetValue { key },
            GET_PROVIDERS => Self::GetProviders { key },
            ADD_PROVIDER => Self::AddProvider { key, providers },
            PUT_VALUE => {
                let record = record.filter(|record| record.key == key);
                Self::PutValue { record: record.ok_or(MessageError::Record)? }
            }
            PING => Self::Ping,
            kind => return Err(MessageError::Type(kind)),
        })
    }

    /// The bytes of an answer to this request, within [`MAX_MESSAGE`]: contacts that
    /// find no room are left out.
    pub fn answer(&self, mut answer: Answer) -> Vec<u8> {
        loop {
            let Answer { record, closer, providers } = &answer;
            let bytes = encode(self.kind(), self.key(), record.as_ref(), closer, providers);
            if bytes.len() <= MAX_MESSAGE {
                return bytes;
            }
            if answer.closer.pop().is_none() && answer.providers.pop().is_none() {
                answer.record = None;
            }
        }
    }

    /// Reads the answer to this request.
    pub fn read_answer(&self, bytes: &[u8]) -> Result<Answer, MessageError> {
        let Message { kind, key, record, closer, providers } = Message::decode(bytes)?;
        // Some leave the key out of their answers.
        if kind != self.kind() || !(key.is_empty() || key == self.key()) {
            return Err(MessageError::Answer);
        }
        let record = record.filter(|record| !record.value.is_empty());
        if record.as_ref().is_some_and(|record| record.key != self.key()) {
            return Err(MessageError::Record);
        }
        Ok(Answer { record, closer, providers })
    }
}

#[derive(Default)]
struct Message {
    kind: u64,
    key: Vec<u8>,
    record: Option<Record>,
    closer: Vec<Contact>,
    providers: Vec<Contact>,
}

impl Message {
    fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let mut message = Self::default();
        for field in Reader(bytes) {
            match field? {
                (1, value) => message.kind = value.number()?,
                (2, value) => message.key = read_key(value.bytes()?)?,
                (3, value) => message.record = Some(read_record(value.bytes()?)?),
                (8, value) => read_contact(value.bytes()?, &mut message.closer)?,
                (9, value) => read_contact(value.bytes()?, &mut message.providers)?,
                _ => {}
            }
        }
        Ok(message)
    }
}

fn read_key(bytes: &[u8]) -> Result<Vec<u8>, MessageError> {
    if bytes.len() > MAX_KEY {
        return Err(MessageError::Key(bytes.len()));
    }
    Ok(bytes.to_vec())
}

pub(super) fn read_record(bytes: &[u8]) -> Result<Record, MessageError> {
    let (mut key, mut value, mut received) = (Vec::new(), Vec::new(), String::new());
    for field in Reader(bytes) {
        match field? {
            (1, bytes) => key = read_key(bytes.bytes()?)?,
            (2, bytes) => {
                let bytes = bytes.bytes()?;
                if bytes.len() > MAX_VALUE {
                    return Err(MessageError::Value(bytes.len()));
                }
                value = bytes.to_vec();
            }
            // It is only told on: what is no such text is left out.
            (5, text) => {
                let text = text.text().ok().filter(|text| text.len() <= MAX_TIME);
                received = text.unwrap_or_default().into();
            }
            _ => {}
        }
    }
    Ok(Record { key, value, received })
}

/// Reads a peer; one that cannot be, or is too much, is left out.
fn read_contact(bytes: &[u8], contacts: &mut Vec<Contact>) -> Result<(), MessageError> {
    let (mut peer, mut addresses, mut link) = (None, Vec::new(), Link::NotConnected);
    for field in Reader(bytes) {
        match field? {
            (1, value) => peer = PeerId::from_bytes(value.bytes()?).ok(),
            (2, value) => {
                let address = Multiaddr::from_bytes(value.bytes()?).ok();
                if let Some(address) = address.filter(|_| addresses.len() < MAX_ADDRESSES) {
                    addresses.push(address);
                }
            }
            (3, value) => {
                link = match value.number()? {
                    1 => Link::Connected,
                    2 => Link::CanConnect,
                    3 => Link::CannotConnect,
                    _ => Link::NotConnected,
                };
            }
            _ => {}
        }
    }
    if let Some(peer) = peer.filter(|_| contacts.len() < MAX_PEERS) {
        contacts.push(Contact { peer, addresses, link });
    }
    Ok(())
}

fn encode(
    kind: u64,
    key: &[u8],
    record: Option<&Record>,
    closer: &[Contact],
    providers: &[Contact],
) -> Vec<u8> {
    let mut out = Vec::new();
    Writer(&mut out).number(1, kind).bytes(2, key);
    if let Some(Record { key, value, received }) = record {
        let mut body = Vec::new();
        Writer(&mut body).bytes(1, key).bytes(2, value);
        if !received.is_empty() {
            Writer(&mut body).bytes(5, received.as_bytes());
        }
        Writer(&mut out).bytes(3, &body);
    }
    for (field, contacts) in [(8, closer), (9, providers)] {
        for Contact { peer, addresses, link } in contacts {
            let mut body = Vec::new();
            Writer(&mut body).bytes(1, peer.as_bytes());
            for address in addresses {
                Writer(&mut body).bytes(2, address.as_bytes());
            }
            if *link != Link::NotConnected {
                Writer(&mut body).number(3, *link as u64);
            }
            Writer(&mut out).bytes(field, &body);
        }
    }
    out
}
