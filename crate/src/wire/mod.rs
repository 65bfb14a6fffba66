//! Bytes: the queue that every buffer is made of, unsigned varints, protobuf, and
//! the bases that bytes are written in as text.

pub mod base;
mod buffer;
#[cfg(test)]
pub(crate) mod mutate;
pub mod protobuf;
pub mod varint;

pub use buffer::Buffer;
