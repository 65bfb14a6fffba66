//! Finding peers that nobody has named.

pub mod mdns;
