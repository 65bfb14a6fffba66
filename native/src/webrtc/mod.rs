//! WebRTC direct: data channels over DTLS and UDP, with listeners that need neither
//! a name nor a certificate of an authority.
//!
//! All that needs no socket is `polypeer-webrtc`.
//!
//! | module        | what it does                                             |
//! | ------------- | -------------------------------------------------------- |
//! | `certificate` | what a listener is known by, kept in a file              |
//! | `path`, `link` | a session with its socket and its clock                 |
//! | `dial`, `listener`, `sorter` | how links come about                      |

use std::io;

use ring::rand::{SecureRandom, SystemRandom};

mod certificate;
mod dial;
mod link;
mod listener;
mod path;
mod sorter;

pub use certificate::{WebRtcCertificate, WebRtcCertificateError};
pub(crate) use dial::dial;
pub(crate) use listener::{WebRtcListener, address, with_certhash};

/// Bytes of the operating system's generator.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the operating system has no randomness"))?;
    Ok(bytes)
}
