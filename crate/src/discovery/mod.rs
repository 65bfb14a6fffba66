//! Finding peers that nobody has named.

#[cfg(feature = "mdns")]
pub mod mdns;
#[cfg(feature = "pubsub")]
pub mod topics;
