//! Namespaces of signed records: whose records they are.

use core::time::Duration;

use thiserror::Error;

use crate::identity::{Keypair, PeerId};

use super::signed::{Form, rank};
use super::{Content, Invalid, RecordError, SignedRecord, Validator};

/// The namespace of IPNS.
pub(super) const IPNS: &str = "ipns";

/// Who may sign the records of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authority {
    /// The peer that the key names: keys are `/namespace/<PeerId>` and
    /// `/namespace/<PeerId>/<name>`, the PeerId in bytes.
    Named,
    /// One of these: keys are `/namespace/<name>`.
    OneOf(Vec<PeerId>),
}

/// Why a namespace cannot have this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not a name for a namespace of one's own: 1 to {} of a-z, 0-9, - and .",
    Namespace::MAX_NAME
)]
pub struct NamespaceError;

/// A namespace of signed records, which is the validator of its records too.
///
/// ```
/// use core::time::Duration;
/// use polypeer::records::{Content, Lifetime, Namespace};
/// use polypeer::{Keypair, Rng};
///
/// let keypair = Keypair::generate_ed25519(&mut Rng::from_number(1));
/// let profiles = Namespace::new("example-profiles")?;
/// let record = profiles.sign(&keypair, b"avatar", Content {
///     value: b"a cat".to_vec(),
///     sequence: 1,
///     lifetime: Lifetime::Until(Duration::from_secs(2_000_000_000)),
///     ttl: Duration::from_secs(60),
/// })?;
/// let key = profiles.key(&keypair.peer_id(), b"avatar");
/// let read = profiles.verify(&key, record.as_bytes())?;
/// read.check_time(Duration::from_secs(1_800_000_000))?;
/// assert_eq!(read.content().value, b"a cat");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    name: Box<str>,
    authority: Authority,
}

impl Namespace {
    /// The longest name in bytes.
    pub const MAX_NAME: usize = 64;

    /// `/ipns`: a path under each PeerId, signed by its key (IPFS specs, "IPNS Record and
    /// Protocol"). What is signed here can be read by those who know version 1 alone.
    ///
    /// ```
    /// # use polypeer::records::Namespace;
    /// # let peer = polypeer::PeerId::random(&mut polypeer::Rng::from_number(1));
    /// let key = Namespace::ipns().key(&peer, b"");
    /// assert_eq!(key, [b"/ipns/", peer.as_bytes()].concat());
    /// ```
    pub fn ipns() -> Self {
        Self { name: IPNS.into(), authority: Authority::Named }
    }

    /// A namespace of one's own, in which each peer signs what is under its name.
    ///
    /// # Errors
    /// [`NamespaceError`]; `pk` and `ipns` are taken.
    pub fn new(name: &str) -> Result<Self, NamespaceError> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        let long = !(1..=Self::MAX_NAME).contains(&name.len());
        if long || !name.bytes().all(plain) || matches!(name, IPNS | "pk") {
            return Err(NamespaceError);
        }
        Ok(Self { name: name.into(), authority: Authority::Named })
    }

    /// The same, but these peers sign all of it.
    #[must_use]
    pub fn signed_by(mut self, peers: Vec<PeerId>) -> Self {
        self.authority = Authority::OneOf(peers);
        self
    }

    /// What stands between the first two slashes of its keys.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who may sign.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The key of what `peer` signs under `name`, which may be empty.
    pub fn key(&self, peer: &PeerId, name: &[u8]) -> Vec<u8> {
        let mut key = [b"/", self.name.as_bytes(), b"/"].concat();
        if self.authority == Authority::Named {
            key.extend(peer.as_bytes());
            if !name.is_empty() {
                key.push(b'/');
            }
        }
        key.extend(name);
        key
    }

    /// Signs what is to be under [`Namespace::key`].
    ///
    /// # Errors
    /// [`RecordError`]: the key may not sign here, or the record gets too long.
    pub fn sign(
        &self,
        keypair: &Keypair,
        name: &[u8],
        content: Content,
    ) -> Result<SignedRecord, RecordError> {
        let key = self.key(&keypair.peer_id(), name);
        let form = self.form(&key)?;
        self.admit(keypair.peer_id())?;
        SignedRecord::sign(keypair, &form, content)
    }

    /// Reads what is under a key, and verifies that who signed it may, and has.
    ///
    /// # Errors
    /// [`RecordError`]; nothing is said of its time.
    pub fn verify(&self, key: &[u8], bytes: &[u8]) -> Result<SignedRecord, RecordError> {
        let record = SignedRecord::verify(bytes, &self.form(key)?)?;
        self.admit(record.signer())?;
        Ok(record)
    }

    fn admit(&self, signer: PeerId) -> Result<(), RecordError> {
        match &self.authority {
            Authority::OneOf(peers) if !peers.contains(&signer) => Err(RecordError::Signer(signer)),
            _ => Ok(()),
        }
    }

    /// What a key demands of its record.
    fn form<'a>(&'a self, key: &'a [u8]) -> Result<Form<'a>, RecordError> {
        let rest = key.strip_prefix(b"/").and_then(|key| key.strip_prefix(self.name.as_bytes()));
        let rest = rest.and_then(|key| key.strip_prefix(b"/")).ok_or(RecordError::Key)?;
        let (signer, name) = match self.authority {
            Authority::Named => {
                let (signer, rest) = named(rest).ok_or(RecordError::Key)?;
                (Some(signer), rest)
            }
            Authority::OneOf(_) => (None, rest),
        };
        if &*self.name == IPNS && !name.is_empty() {
            return Err(RecordError::Key);
        }
        let name = (!name.is_empty()).then_some(name);
        Ok(Form { namespace: &self.name, signer, name })
    }
}

/// The PeerId at the beginning, which says itself how long it is, and the name behind it.
fn named(key: &[u8]) -> Option<(PeerId, &[u8])> {
    let length = usize::from(*key.get(1)?).checked_add(2)?;
    let (peer, rest) = key.split_at_checked(length)?;
    let name = match rest {
        [] => rest,
        [b'/', name @ ..] if !name.is_empty() => name,
        _ => return None,
    };
    Some((PeerId::from_bytes(peer).ok()?, name))
}

impl Validator for Namespace {
    fn validate(&self, key: &[u8], value: &[u8], unix_millis: u64) -> Result<(), Invalid> {
        let good = |record: SignedRecord| record.check_time(Duration::from_millis(unix_millis));
        self.verify(key, value).and_then(good).map_err(|error| match error {
            RecordError::Key => Invalid::Key,
            error => Invalid::Value(error.to_string()),
        })
    }

    fn is_better(&self, key: &[u8], new: &[u8], old: &[u8]) -> bool {
        self.form(key).is_ok_and(|form| rank(new, &form) > rank(old, &form))
    }
}
