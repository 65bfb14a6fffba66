//! QUIC of libp2p without I/O, on `quinn-proto`.
//!
//! | module        | what it does                                                   |
//! | ------------- | -------------------------------------------------------------- |
//! | `certificate` | certificates that prove who a peer is, made and verified       |
//! | `setup`       | QUIC and TLS as libp2p wants them                              |
//! | `session`     | the streams of a connection, as frames of Yamux for the core   |
//!
//! A host gives a [`Session`] what [`quinn_proto::Endpoint`] has for its connection, and
//! sends what it has to send. Towards the core ([`Carrier::Muxed`]) a session is a pipe
//! of Yamux frames, in the clear: no frame reaches the network.
//!
//! [`Carrier::Muxed`]: polypeer::connection::Carrier::Muxed
//!
//! Source: libp2p specs, `quic/README.md` and `tls/tls.md`.

mod certificate;
mod session;
mod setup;
#[cfg(test)]
mod tests;

pub use certificate::{CertificateError, MAX_CERTIFICATE, peer_of, verify};
pub use session::{End, MAX_UNSENT, Session};
pub use setup::{
    CONNECTION_WINDOW, IDLE_TIMEOUT, MAX_STREAMS, NOBODY, STREAM_WINDOW, Setup, SetupError,
};
