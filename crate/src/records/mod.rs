//! Records: a value under a key, good for whoever finds it, wherever it was kept.
//!
//! A key begins with its namespace, `/namespace/…`, and each namespace has a
//! [`Validator`] that says which values are good under a key, now, and which of two is
//! better. `/pk` (public keys) is known always, `/ipns` with the feature `ipns`.
//!
//! Records that a key signed, good for a time, are [`SignedRecord`]s: IPNS is one
//! [`Namespace`] of them, and applications have their own. The idea is that of IPRS, the
//! InterPlanetary Record System, where a record's validity is a scheme of its own: by
//! key ([`Authority`]) and by time ([`Lifetime`]).
//!
//! What a remote can fill: nothing; a record has [`SignedRecord::MAX_LEN`] bytes at most
//! and is read in place.

#[cfg(feature = "ipns")]
mod cbor;
#[cfg_attr(not(feature = "ipns"), expect(dead_code, reason = "IPNS alone reads dates"))]
pub(crate) mod date;
#[cfg(feature = "ipns")]
mod namespace;
mod public_key;
#[cfg(feature = "ipns")]
mod signed;
mod store;
#[cfg(all(test, feature = "ipns"))]
mod tests;
mod validity;

#[cfg(feature = "ipns")]
pub use namespace::{Authority, Namespace, NamespaceError};
pub use public_key::PublicKeys;
#[cfg(feature = "ipns")]
pub use signed::{Content, Lifetime, RecordError, SignedRecord};
pub use store::{Entry, Order, Place};
pub use validity::{Invalid, Validator, Validators};
