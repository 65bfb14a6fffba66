//! Where peers are: self-describing addresses.
//!
//! Source: multiformats "multiaddr" with its table `protocols.csv`; libp2p
//! specification "Addressing".
//!
//! ```
//! use polypeer::{Multiaddr, address::Protocol};
//! let address: Multiaddr = "/dns4/example.com/tcp/443/tls/ws".parse()?;
//! let mut parts = address.iter();
//! assert_eq!(parts.next(), Some(Protocol::Dns4("example.com")));
//! assert_eq!(parts.next(), Some(Protocol::Tcp(443)));
//! # Ok::<(), polypeer::address::ParseError>(())
//! ```

mod error;
mod multiaddr;
mod percent;
mod protocol;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub use error::{ParseError, ParseErrorKind};
pub use multiaddr::{Iter, Multiaddr};
pub use protocol::Protocol;
