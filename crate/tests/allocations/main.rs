//! What is allocated, and how much.

mod counting;
mod muxer;
mod pubsub;
