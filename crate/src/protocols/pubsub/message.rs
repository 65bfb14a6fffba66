//! Messages, what names them, and their signatures.
//!
//! Source: pubsub README, "The Message", "Message Identification", "Message Signing".
//! A message is kept in one encoding: the known fields in the order of their numbers, the
//! only one whose signature all implementations verify alike. Unknown fields are not
//! passed on, since some implementations sign them and some do not.

use core::fmt;
use core::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::identity::{Keypair, PeerId, PublicKey, SignError, VerifyError};
use crate::security::Ciphers;
use crate::wire::protobuf::Writer;
use crate::wire::varint;

use super::config::MessageIdFn;

/// The name of a topic.
pub type TopicName = Arc<str>;

const PREFIX: &[u8] = b"libp2p-pubsub:";

/// Names a message, for all peers alike.
///
/// The order of ids is not that of their bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// A sum of the bytes, first in the order: ids that stand beside each other in a table
    /// mostly begin alike, and are found without looking at their bytes.
    sum: u64,
    bytes: Arc<[u8]>,
}

impl MessageId {
    /// The id of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self { sum: sum(bytes), bytes: bytes.into() }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Mixes bytes, eight at a time (FNV-1a with words in place of bytes, and a turn). Whoever
/// finds others with the same sum wins nothing but a comparison of bytes.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
    words.fold(0xcbf2_9ce4_8422_2325, |sum, word| {
        ((sum ^ word).rotate_left(29)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What names messages.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum MessageIds {
    /// Author and number of signed messages, the SHA-256 of the data of others.
    #[default]
    Usual,
    /// The SHA-256 of the data: what says the same is the same.
    Content,
    /// What a function says; an empty id stands for the usual one.
    Custom(MessageIdFn),
}

impl MessageIds {
    /// The id of a message that has these fields, where no more is needed to tell.
    pub(super) fn of_parts(&self, parts: &Parts<'_>) -> Option<MessageId> {
        match self {
            Self::Usual => Some(usual(parts.from?, parts.seqno?)),
            _ => None,
        }
    }

    pub(super) fn of(&self, message: &Message) -> MessageId {
        let parts = message.parts();
        let content = || MessageId::new(&Sha256::digest(message.data()));
        let usual = || match (parts.from, parts.seqno) {
            (Some(from), Some(seqno)) => usual(from, seqno),
            _ => content(),
        };
        match self {
            Self::Usual => usual(),
            Self::Content => content(),
            Self::Custom(name) => match &*name(message) {
                [] => usual(),
                bytes => MessageId::new(bytes),
            },
        }
    }
}

fn usual(from: &[u8], seqno: &[u8]) -> MessageId {
    MessageId::new(&[from, seqno].concat())
}

impl fmt::Debug for MessageIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usual => "Usual",
            Self::Content => "Content",
            Self::Custom(_) => "Custom",
        })
    }
}

/// Whether messages are signed. Source: pubsub README, "Signature Policy Options".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signing {
    /// Messages have an author, a number and a signature, or are refused (StrictSign).
    #[default]
    Strict,
    /// Messages have none of these, or are refused (StrictNoSign).
    Without,
}

/// Why a message breaks the policy of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Author, number or signature are missing.
    #[error("the message is not signed")]
    Missing,
    /// It has an author, a number, a signature or a key where there are to be none.
    #[error("the message names an author where none may be named")]
    Unexpected,
    /// The author is no peer, the number no eight bytes, or the key is not the author's.
    #[error("the message's author, number or key is none")]
    Malformed,
    /// The signature is not the author's.
    #[error("the message's signature was not accepted: {0}")]
    Signature(#[from] VerifyError),
}

/// A message of a topic.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// [`PREFIX`], as it is signed, and the encoded message.
    raw: Box<[u8]>,
    topic: TopicName,
    from: Field,
    data: Field,
    seqno: Field,
    signature: Field,
    key: Field,
    /// What is signed of `raw`.
    signed: usize,
}

/// Where a field is in what is signed.
type Field = Option<Range<usize>>;

/// The fields of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts<'a> {
    pub(super) from: Option<&'a [u8]>,
    pub(super) data: Option<&'a [u8]>,
    pub(super) seqno: Option<&'a [u8]>,
    pub(super) signature: Option<&'a [u8]>,
    pub(super) key: Option<&'a [u8]>,
}

impl Parts<'_> {
    /// How long the message is that has these fields, in bytes.
    pub(super) fn encoded_len(&self, topic: &str) -> usize {
        [self.from, self.data, self.seqno, Some(topic.as_bytes()), self.signature, self.key]
            .into_iter()
            .flatten()
            .map(|value| 1 + varint::len(value.len() as u64) + value.len())
            .sum()
    }

    /// Whether it has the fields that the policy wants; its signature is not looked at.
    pub(super) fn check(&self, policy: Signing) -> Result<(), SignatureError> {
        match (policy, self.from, self.seqno, self.signature) {
            (Signing::Without, None, None, None) if self.key.is_none() => Ok(()),
            (Signing::Without, ..) => Err(SignatureError::Unexpected),
            (Signing::Strict, Some(from), Some(seqno), Some(_)) => {
                let sound = PeerId::from_bytes(from).is_ok() && seqno.len() == size_of::<u64>();
                if sound { Ok(()) } else { Err(SignatureError::Malformed) }
            }
            (Signing::Strict, ..) => Err(SignatureError::Missing),
        }
    }
}

impl Message {
    pub(super) fn new(parts: Parts<'_>, topic: TopicName) -> Self {
        let mut raw = Vec::with_capacity(PREFIX.len() + parts.encoded_len(&topic));
        raw.extend_from_slice(PREFIX);
        let mut add = |number, value: Option<&[u8]>| {
            let value = value?;
            Writer(&mut raw).bytes(number, value);
            Some(raw.len() - value.len()..raw.len())
        };
        let from = add(1, parts.from);
        let data = add(2, parts.data);
        let seqno = add(3, parts.seqno);
        let signed = add(4, Some(topic.as_bytes())).map_or(0, |topic| topic.end);
        let signature = add(5, parts.signature);
        let key = add(6, parts.key);
        Self { raw: raw.into(), topic, from, data, seqno, signature, key, signed }
    }

    /// A message of our own, with an author, a number and a signature.
    pub(crate) fn signed(
        keypair: &Keypair,
        seqno: u64,
        topic: TopicName,
        data: &[u8],
    ) -> Result<Self, SignError> {
        let (me, public) = (keypair.peer_id(), keypair.public());
        let seqno = seqno.to_be_bytes();
        let parts = Parts {
            from: Some(me.as_bytes()),
            data: Some(data),
            seqno: Some(&seqno),
            ..Parts::default()
        };
        let unsigned = Self::new(parts, topic.clone());
        let signature = keypair.sign(&unsigned.raw)?;
        let key = me.public_key().is_none().then(|| public.to_protobuf());
        let parts = Parts { signature: Some(&signature), key: key.as_deref(), ..parts };
        Ok(Self::new(parts, topic))
    }

    /// A message of nobody in particular.
    pub(crate) fn unsigned(topic: TopicName, data: &[u8]) -> Self {
        let parts = Parts { data: Some(data), ..Parts::default() };
        Self::new(parts, topic)
    }

    /// Which topic it is of.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// What it says.
    pub fn data(&self) -> &[u8] {
        self.field(&self.data).unwrap_or_default()
    }

    /// Who wrote it, if it is signed.
    pub fn from(&self) -> Option<PeerId> {
        PeerId::from_bytes(self.field(&self.from)?).ok()
    }

    /// Its number among those of its author, if it is signed.
    pub fn seqno(&self) -> Option<u64> {
        Some(u64::from_be_bytes(self.field(&self.seqno)?.try_into().ok()?))
    }

    /// The signature, if it has one.
    pub fn signature(&self) -> Option<&[u8]> {
        self.field(&self.signature)
    }

    /// The author's key, if the message carries it: keys that do not fit into a peer id.
    pub fn key(&self) -> Option<&[u8]> {
        self.field(&self.key)
    }

    /// The message as it goes over the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.raw.get(PREFIX.len()..).unwrap_or_default()
    }

    fn field(&self, field: &Field) -> Option<&[u8]> {
        self.raw.get(field.clone()?)
    }

    /// Its fields.
    pub(super) fn parts(&self) -> Parts<'_> {
        Parts {
            from: self.field(&self.from),
            data: self.field(&self.data),
            seqno: self.field(&self.seqno),
            signature: self.field(&self.signature),
            key: self.field(&self.key),
        }
    }

    /// Verifies the signature of a message that has the fields for it.
    pub(super) fn verify(&self, ciphers: &dyn Ciphers) -> Result<(), SignatureError> {
        let from = self.from().ok_or(SignatureError::Malformed)?;
        let key = match self.key() {
            Some(key) => {
                let key = PublicKey::from_protobuf(key).map_err(|_| SignatureError::Malformed)?;
                Some(key).filter(|key| key.peer_id() == from)
            }
            None => from.public_key(),
        };
        let key = key.ok_or(SignatureError::Malformed)?;
        let signed = self.raw.get(..self.signed).unwrap_or_default();
        key.verify_by(ciphers, signed, self.signature().unwrap_or_default())?;
        Ok(())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} bytes in {})", self.data().len(), self.topic)
    }
}
