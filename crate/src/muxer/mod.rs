//! Stream multiplexing: many streams over one ordered, reliable link.

pub mod yamux;
