//! Which records are good, and which of two is better.
//!
//! Source: libp2p specs, `kad-dht/README.md`, "Entry validation". A key's namespace
//! is what stands between its first two slashes; a key in a namespace without a
//! validator is refused.

use thiserror::Error;

/// Why a record is not good.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Invalid {
    /// Nobody here can judge records of this namespace.
    #[error("there is no validator for this key's namespace")]
    Namespace,
    /// The key is not of its namespace's form.
    #[error("the key is not of its namespace's form")]
    Key,
    /// The value is not what the key demands.
    #[error("{0}")]
    Value(String),
}

/// Judges the records of a namespace. Both functions depend on nothing but what
/// they are given.
pub trait Validator: Send {
    /// Whether a record is good at this time.
    ///
    /// # Errors
    /// What is wrong with it.
    fn validate(&self, key: &[u8], value: &[u8], unix_millis: u64) -> Result<(), Invalid>;

    /// Whether `new` is better than `old`; both are good.
    fn is_better(&self, key: &[u8], new: &[u8], old: &[u8]) -> bool;
}

/// Validators by namespace. By default those of `/pk` and, with the feature `ipns`,
/// `/ipns`.
pub struct Validators(Vec<(Box<str>, Box<dyn Validator>)>);

impl Default for Validators {
    fn default() -> Self {
        let mut known = Self(Vec::new());
        known.set("pk", Box::new(super::PublicKeys));
        #[cfg(feature = "ipns")]
        known.set("ipns", Box::new(super::Namespace::ipns()));
        known
    }
}

impl Validators {
    /// Has records of `/namespace/…` judged by `validator`, in place of another.
    pub fn set(&mut self, namespace: &str, validator: Box<dyn Validator>) {
        self.0.retain(|(known, _)| **known != *namespace);
        self.0.push((namespace.into(), validator));
    }

    fn of(&self, key: &[u8]) -> Result<&dyn Validator, Invalid> {
        let mut parts = key.splitn(3, |byte| *byte == b'/');
        let (Some(b""), Some(namespace), Some(_)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(Invalid::Namespace);
        };
        let found = self.0.iter().find(|(known, _)| known.as_bytes() == namespace);
        found.map(|(_, validator)| &**validator).ok_or(Invalid::Namespace)
    }

    /// Whether a record is good.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn validate(&self, key: &[u8], value: &[u8], unix_millis: u64) -> Result<(), Invalid> {
        self.of(key)?.validate(key, value, unix_millis)
    }

    /// Whether `new` is better than `old`.
    pub fn is_better(&self, key: &[u8], new: &[u8], old: &[u8]) -> bool {
        self.of(key).is_ok_and(|validator| validator.is_better(key, new, old))
    }
}
