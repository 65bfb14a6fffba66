//! What a node keeps for others, as it stands in a store behind its memory: a database,
//! a folder, object storage that a fleet shares.
//!
//! The core does no I/O: it says what to write and what it wants to know ([`Order`]),
//! and its host answers. Stores know nothing of records; an [`Entry`] is bytes under a
//! [`Place`] and a name, with an end.

use sha2::{Digest, Sha256};

/// Where entries of one key are: what they are, and the SHA-256 of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place([u8; Self::LEN]);

/// What is kept of a record's key.
const RECORD: u8 = b'r';
/// What is kept of a provided key.
const PROVIDERS: u8 = b'p';

impl Place {
    /// Its bytes.
    pub const LEN: usize = 33;

    /// Where the record of a key is.
    pub fn of_record(key: &[u8]) -> Self {
        Self::new(RECORD, key)
    }

    /// Where the providers of a key are.
    pub fn of_providers(key: &[u8]) -> Self {
        Self::new(PROVIDERS, key)
    }

    fn new(kind: u8, key: &[u8]) -> Self {
        let mut bytes = [kind; Self::LEN];
        for (byte, digest) in bytes.iter_mut().skip(1).zip(Sha256::digest(key)) {
            *byte = digest;
        }
        Self(bytes)
    }

    /// Whether records are there, and no providers.
    pub fn is_of_record(&self) -> bool {
        self.0.first() == Some(&RECORD)
    }

    /// The bytes that name it in a store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the bytes of [`Place::as_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let place = Self(bytes.try_into().ok()?);
        matches!(place.0.first(), Some(&(RECORD | PROVIDERS))).then_some(place)
    }
}

/// What is kept under a place and a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub place: Place,
    /// Its name there: one entry a name. Empty for records, a PeerId for providers.
    pub name: Vec<u8>,
    /// What it is; [`Entry::MAX_VALUE`] bytes at most.
    pub value: Vec<u8>,
    /// When it is of no use any more, in milliseconds of Unix time.
    pub expires: u64,
}

impl Entry {
    /// The longest name in bytes.
    pub const MAX_NAME: usize = crate::PeerId::MAX_LEN;
    /// The longest value in bytes.
    pub const MAX_VALUE: usize = 128 * 1024;
    /// Entries under one place that are asked for.
    pub const MAX_FOUND: usize = 64;
}

/// What a node wants of the store behind its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// Look what is at a place, [`Entry::MAX_FOUND`] at most, those that expire last
    /// before others; answered by
    /// [`Node::records_found`](crate::node::Node::records_found).
    Find(Place),
    /// Write these in place of those of the same place and name; answered by
    /// [`Node::records_written`](crate::node::Node::records_written). The next one comes
    /// after that.
    Write(Vec<Entry>),
}
