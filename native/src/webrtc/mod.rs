//! WebRTC direct: data channels over DTLS and UDP, with listeners that need neither
//! a name nor a certificate of an authority.
//!
//! | module        | what it does                                             |
//! | ------------- | -------------------------------------------------------- |
//! | `stun`, `ufrag`, `ice` | finds out that a path works, and goes on working |
//! | `certificate` | what a listener is known by                              |
//! | `dcep`, `channels` | data channels over SCTP                             |
//! | `session`     | all of these as one state machine without I/O            |
//! | `path`, `link` | a session with its socket and its clock                 |
//! | `dial`, `listener`, `sorter` | how links come about                      |
//!
//! DTLS is `dimpl`, SCTP `sctp-proto`. Both are the parts that `str0m` is made of,
//! which as a whole reads the messages of a remote whether or not anybody takes
//! them: here a slow reader leaves them to SCTP, whose window stops the sender. And
//! with one address on each side there is little of ICE to do.
//!
//! Source: libp2p specs, `webrtc/webrtc-direct.md` and libp2p/specs#715.

use std::io;

use ring::rand::{SecureRandom, SystemRandom};

mod certificate;
mod channels;
mod dcep;
mod dial;
mod ice;
mod link;
mod listener;
mod path;
mod records;
mod session;
mod sorter;
mod stun;
#[cfg(test)]
mod tests;
mod ufrag;

pub use certificate::{WebRtcCertificate, WebRtcCertificateError};
pub(crate) use dial::dial;
pub(crate) use listener::{WebRtcListener, address, with_certhash};
pub(crate) use session::Identity;

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the operating system has no randomness"))?;
    Ok(bytes)
}
