//! libp2p as state machines: input in, output out.
//!
//! The core opens no socket, reads no clock, spawns no task and draws no random
//! number that it was not handed. A *host* (a page, Node, tokio, the simulator)
//! owns sockets, time and tasks and turns the crank.
#![forbid(unsafe_code)]

pub mod address;
pub mod collections;
pub mod connection;
#[cfg(any(feature = "mdns", feature = "pubsub"))]
pub mod discovery;
#[cfg(feature = "async")]
pub mod facade;
pub mod identity;
pub mod muxer;
pub mod negotiate;
pub mod node;
pub mod peer;
pub mod protocols;
#[cfg(any(feature = "ipns", feature = "kad"))]
pub mod records;
pub mod rng;
pub mod security;
#[cfg(feature = "service")]
pub mod service;
#[cfg(any(feature = "sim", test))]
pub mod sim;
pub mod swarm;
pub mod time;
#[cfg(feature = "webrtc")]
pub mod webrtc;
pub mod wire;

pub use address::Multiaddr;
pub use identity::{Keypair, PeerId, PublicKey};
pub use rng::Rng;
pub use time::Instant;
