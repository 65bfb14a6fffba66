//! Whom we know and how we reach them.

#[cfg(feature = "store")]
pub mod store;
