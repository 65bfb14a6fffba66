//! A value that a key signed, and for how long it is good.
//!
//! Source: IPFS specs, "IPNS Record and Protocol": the form of a record is IPNS's.

use core::time::Duration;

use thiserror::Error;

use crate::identity::{DecodeError, Keypair, PeerId, PublicKey, SignError, VerifyError};
use crate::wire::protobuf::{self, Writer};

use super::cbor::{self, Entries, Item};
use super::date;

/// When a record is good. Times are counted from 1970 (Unix time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifetime {
    /// Until then ("EOL", the only one that IPNS has).
    Until(Duration),
    /// From the first until the second.
    Between(Duration, Duration),
}

impl Lifetime {
    fn end(&self) -> Duration {
        match self {
            Self::Until(end) | Self::Between(_, end) => *end,
        }
    }

    /// The number of the kind, and the text of the times.
    fn write(&self) -> (u64, String) {
        match self {
            Self::Until(end) => (UNTIL, date::write(*end)),
            Self::Between(from, end) => {
                (BETWEEN, [date::write(*from), date::write(*end)].join("/"))
            }
        }
    }

    fn read(kind: u64, text: &[u8]) -> Option<Self> {
        match kind {
            UNTIL => date::read(text).map(Self::Until),
            BETWEEN => {
                let slash = text.iter().position(|byte| *byte == b'/')?;
                let (from, end) = text.split_at_checked(slash)?;
                Some(Self::Between(date::read(from)?, date::read(end.get(1..)?)?))
            }
            _ => None,
        }
    }
}

const UNTIL: u64 = 0;
const BETWEEN: u64 = 1;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// What is under the key; for IPNS a path such as `/ipfs/bafy…`.
    pub value: Vec<u8>,
    /// The version: of two good records the one with the higher number is better.
    pub sequence: u64,
    /// When it is good.
    pub lifetime: Lifetime,
    /// How long it may be used before a newer one is looked for; of nanoseconds, 2⁶⁴ at
    /// most.
    pub ttl: Duration,
}

/// Why a record is not good.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The key is not of its namespace's form.
    #[error("the key is not of its namespace's form")]
    Key,
    /// More than [`SignedRecord::MAX_LEN`] bytes.
    #[error("a record of {0} bytes is too long")]
    TooLong(usize),
    /// No protobuf, or not of the specification's shape.
    #[error("the bytes are no record")]
    Malformed,
    /// It has no signature of version 2, which covers all that it says.
    #[error("the record has no signature of version 2")]
    Unsigned,
    /// What it says outside of what is signed is something else.
    #[error("the record says one thing, and another that is signed")]
    Differs,
    /// Its times cannot be read, or are of a kind that is unknown.
    #[error("the record's lifetime cannot be read")]
    Lifetime,
    /// It was signed for another key of the namespace.
    #[error("the record is another key's")]
    Name,
    /// The signer's public key is neither in the record nor in the key.
    #[error("the signer's public key is missing")]
    NoPublicKey,
    /// The signer's public key cannot be read.
    #[error("the signer's public key is unusable: {0}")]
    PublicKey(#[from] DecodeError),
    /// It was signed by somebody who has no say.
    #[error("{0} may not sign this record")]
    Signer(PeerId),
    /// The signature is wrong.
    #[error("the record's signature was not accepted: {0}")]
    Signature(#[from] VerifyError),
    /// The key could not make a signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Its time has not come.
    #[error("the record is not good yet")]
    Early,
    /// Its time is over.
    #[error("the record has expired")]
    Expired,
}

/// A record whose signature is right: there is no other way to this type than to sign
/// ([`Namespace::sign`](super::Namespace::sign)) or to verify
/// ([`Namespace::verify`](super::Namespace::verify)). Whether it is good now, is asked
/// with [`SignedRecord::check_time`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRecord {
    content: Content,
    signer: PeerId,
    bytes: Vec<u8>,
}

impl SignedRecord {
    /// The longest record in bytes ("Record Size Limit").
    pub const MAX_LEN: usize = 10 * 1024;

    /// What it says.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Who signed it.
    pub fn signer(&self) -> PeerId {
        self.signer
    }

    /// The record on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is good at a time since 1970.
    ///
    /// # Errors
    /// [`RecordError::Early`], [`RecordError::Expired`].
    pub fn check_time(&self, unix: Duration) -> Result<(), RecordError> {
        match self.content.lifetime {
            Lifetime::Between(from, _) if unix < from => Err(RecordError::Early),
            lifetime if unix >= lifetime.end() => Err(RecordError::Expired),
            _ => Ok(()),
        }
    }

    /// Signs what it says in `domain`, for `name` within the signer's keys.
    pub(super) fn sign(keypair: &Keypair, form: &Form<'_>, content: Content) -> Signed {
        let (kind, times) = content.lifetime.write();
        let ttl = u64::try_from(content.ttl.as_nanos()).unwrap_or(u64::MAX);
        let entries = 5 + u64::from(form.name.is_some());
        let mut data = cbor::Writer::map(entries).number("TTL", ttl);
        if let Some(name) = form.name {
            data = data.bytes("Name", name);
        }
        let data = data
            .bytes("Value", &content.value)
            .number("Sequence", content.sequence)
            .bytes("Validity", times.as_bytes())
            .number("ValidityType", kind)
            .finish();
        let signature = keypair.sign(&form.signed(&data))?;
        let mut bytes = Vec::new();
        let mut out = Writer(&mut bytes);
        if form.is_ipns() {
            // Those who know version 1 alone read these.
            let first = keypair.sign(&[&content.value, times.as_bytes(), b"EOL"].concat())?;
            out.bytes(1, &content.value)
                .bytes(2, &first)
                .number(3, kind)
                .bytes(4, times.as_bytes())
                .number(5, content.sequence)
                .number(6, ttl);
        }
        let public = keypair.public();
        let signer = public.peer_id();
        if form.signer != Some(signer) || signer.public_key().is_none() {
            out.bytes(7, &public.to_protobuf());
        }
        out.bytes(8, &signature).bytes(9, &data);
        if bytes.len() > Self::MAX_LEN {
            return Err(RecordError::TooLong(bytes.len()));
        }
        // What it says is what others read of it.
        let lifetime = Lifetime::read(kind, times.as_bytes()).ok_or(RecordError::Lifetime)?;
        let content = Content { ttl: Duration::from_nanos(ttl), lifetime, ..content };
        Ok(Self { content, signer, bytes })
    }

    /// Reads a record and verifies that its signature is right ("Record Verification").
    /// Whether the signer may sign, is the caller's to say.
    pub(super) fn verify(bytes: &[u8], form: &Form<'_>) -> Signed {
        let message = Message::read(bytes)?;
        let public = match message.public_key {
            Some(public) => PublicKey::from_protobuf(public)?,
            None => {
                let known = form.signer.and_then(|signer| signer.public_key());
                known.ok_or(RecordError::NoPublicKey)?
            }
        };
        let signer = public.peer_id();
        if form.signer.is_some_and(|named| named != signer) {
            return Err(RecordError::Signer(signer));
        }
        let data = Data::read(message.data)?;
        if !form.is_ipns() && data.name != form.name {
            return Err(RecordError::Name);
        }
        public.verify(&form.signed(message.data), message.signature)?;
        let content = data.content(form)?;
        if message.has_first && !message.agrees(&data) {
            return Err(RecordError::Differs);
        }
        Ok(Self { content, signer, bytes: bytes.to_vec() })
    }
}

type Signed = Result<SignedRecord, RecordError>;

/// Of two records of a key, what orders them: version, end, bytes. `None` for what is no
/// record.
pub(super) fn rank<'a>(bytes: &'a [u8], form: &Form<'_>) -> Option<(u64, Duration, &'a [u8])> {
    let data = Data::read(Message::read(bytes).ok()?.data).ok()?;
    let content = data.content(form).ok()?;
    Some((content.sequence, content.lifetime.end(), bytes))
}

/// What a record's key and namespace demand of it.
pub(super) struct Form<'a> {
    pub(super) namespace: &'a str,
    /// Who has to sign, if the key says it.
    pub(super) signer: Option<PeerId>,
    /// What stands in the key behind that.
    pub(super) name: Option<&'a [u8]>,
}

impl Form<'_> {
    fn is_ipns(&self) -> bool {
        self.namespace == super::namespace::IPNS
    }

    /// The bytes that are signed.
    fn signed(&self, data: &[u8]) -> Vec<u8> {
        [self.namespace.as_bytes(), b"-signature:", data].concat()
    }
}

/// The protobuf.
struct Message<'a> {
    value: &'a [u8],
    /// Whether it speaks to those, too, who know version 1 alone.
    has_first: bool,
    kind: u64,
    times: &'a [u8],
    sequence: u64,
    ttl: u64,
    public_key: Option<&'a [u8]>,
    signature: &'a [u8],
    data: &'a [u8],
}

impl<'a> Message<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, RecordError> {
        if bytes.len() > SignedRecord::MAX_LEN {
            return Err(RecordError::TooLong(bytes.len()));
        }
        let message = Self::fields(bytes).map_err(|_| RecordError::Malformed)?;
        if message.signature.is_empty() || message.data.is_empty() {
            return Err(RecordError::Unsigned);
        }
        Ok(message)
    }

    fn fields(bytes: &'a [u8]) -> Result<Self, protobuf::Malformed> {
        let mut message = Self {
            value: &[],
            has_first: false,
            kind: UNTIL,
            times: &[],
            sequence: 0,
            ttl: 0,
            public_key: None,
            signature: &[],
            data: &[],
        };
        for field in protobuf::Reader(bytes) {
            match field? {
                (1, value) => message.value = value.bytes()?,
                (2, first) => message.has_first = !first.bytes()?.is_empty(),
                (3, kind) => message.kind = kind.number()?,
                (4, times) => message.times = times.bytes()?,
                (5, sequence) => message.sequence = sequence.number()?,
                (6, ttl) => message.ttl = ttl.number()?,
                (7, key) => message.public_key = Some(key.bytes()?).filter(|key| !key.is_empty()),
                (8, signature) => message.signature = signature.bytes()?,
                (9, data) => message.data = data.bytes()?,
                _ => {}
            }
        }
        message.has_first |= !message.value.is_empty();
        Ok(message)
    }

    /// Whether it says the same as what is signed.
    fn agrees(&self, data: &Data<'_>) -> bool {
        (self.value, self.kind, self.times, self.sequence, self.ttl)
            == (data.value, data.kind, data.times, data.sequence, data.ttl)
    }
}

/// What is signed.
#[derive(Default)]
struct Data<'a> {
    value: &'a [u8],
    kind: u64,
    times: &'a [u8],
    sequence: u64,
    ttl: u64,
    name: Option<&'a [u8]>,
}

impl<'a> Data<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, RecordError> {
        Self::entries(bytes).map_err(|_| RecordError::Malformed)
    }

    fn entries(bytes: &'a [u8]) -> Result<Self, cbor::Malformed> {
        let mut data = Self::default();
        let mut seen = 0u8;
        for entry in Entries::of(bytes)? {
            let bit = match entry? {
                ("Value", Item::Bytes(value)) => {
                    data.value = value;
                    1
                }
                ("ValidityType", Item::Number(kind)) => {
                    data.kind = kind;
                    2
                }
                ("Validity", Item::Bytes(times)) => {
                    data.times = times;
                    4
                }
                ("Sequence", Item::Number(sequence)) => {
                    data.sequence = sequence;
                    8
                }
                ("TTL", Item::Number(ttl)) => {
                    data.ttl = ttl;
                    16
                }
                ("Name", Item::Bytes(name)) => {
                    data.name = Some(name);
                    32
                }
                ("Value" | "ValidityType" | "Validity" | "Sequence" | "TTL", _) => {
                    return Err(cbor::Malformed);
                }
                // Whatever applications add.
                _ => continue,
            };
            // Said twice is not said.
            if seen & bit != 0 {
                return Err(cbor::Malformed);
            }
            seen |= bit;
        }
        if seen & REQUIRED == REQUIRED { Ok(data) } else { Err(cbor::Malformed) }
    }

    fn content(&self, form: &Form<'_>) -> Result<Content, RecordError> {
        let known = self.kind == UNTIL || !form.is_ipns();
        let lifetime = known.then(|| Lifetime::read(self.kind, self.times)).flatten();
        Ok(Content {
            value: self.value.to_vec(),
            sequence: self.sequence,
            lifetime: lifetime.ok_or(RecordError::Lifetime)?,
            ttl: Duration::from_nanos(self.ttl),
        })
    }
}

/// All but how long it may be used, which was not there always.
const REQUIRED: u8 = 0b1111;
