//! The tokio host of [`polypeer`]: TCP, WebSocket, secure WebSocket, QUIC,
//! WebRTC direct, memory, names.
//!
//! [`Native`] implements the core's [`Platform`](polypeer::facade::platform::Platform).

mod ciphers;
mod descriptors;
mod endpoint;
mod handshakes;
mod io;
pub mod keys;
mod listener;
pub mod mapping;
pub mod mdns;
mod memory;
mod multicast;
mod platform;
mod port;
mod quic;
pub mod records;
mod resolve;
#[cfg(feature = "s3")]
pub mod s3;
pub mod service;
pub mod store;
mod tcp;
mod tls;
mod udp;
mod webrtc;
mod websocket;

pub use ciphers::Ring;
pub use descriptors::raise_descriptor_limit;
pub use platform::{Native, Options};
pub use resolve::{ResolveError, Resolver, SystemResolver};
pub use tls::{CertificateError, ServerCertificate, certificates};
pub use webrtc::{WebRtcCertificate, WebRtcCertificateError};
