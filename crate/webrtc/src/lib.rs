//! WebRTC direct: data channels over DTLS and UDP, with listeners that need neither
//! a name nor a certificate of an authority. It does no I/O: a host owns the sockets
//! and hands in datagrams and time.
//!
//! | module        | what it does                                             |
//! | ------------- | -------------------------------------------------------- |
//! | `stun`, `ufrag`, `ice` | finds out that a path works, and goes on working |
//! | `certificate` | what a listener is known by                              |
//! | `dtls`, `hello` | how DTLS is set up: which cipher is taken              |
//! | `dcep`, `channels` | data channels over SCTP                             |
//! | `session`     | all of these as one state machine: [`Session`]           |
//! | `strangers`   | whoever comes to the socket of a listener                |
//! | [`records`]   | what host and core say to each other of data channels    |
//!
//! DTLS is `dimpl`, SCTP `sctp-proto`, which draw their randomness from the operating
//! system. Both are the parts that `str0m` is made of, which as a whole reads the
//! messages of a remote whether or not anybody takes them: here a slow reader leaves
//! them to SCTP, whose window stops the sender. And with one address on each side
//! there is little of ICE to do.
//!
//! Source: libp2p specs, `webrtc/webrtc-direct.md` and libp2p/specs#715.

mod certificate;
mod channels;
mod dcep;
mod dtls;
mod hello;
mod ice;
pub mod records;
mod session;
mod strangers;
mod stun;
#[cfg(test)]
mod tests;
mod ufrag;

pub use certificate::{Certificate, CertificateError, Multihash};
pub use dtls::Cipher;
pub use session::{End, Identity, Session};
pub use strangers::Strangers;
pub use ufrag::{Credentials, Version};
