//! Bytes: the queue that every buffer is made of, and unsigned varints.

mod buffer;
pub mod varint;

pub use buffer::Buffer;
