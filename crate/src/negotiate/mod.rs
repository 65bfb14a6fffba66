//! multistream-select 1.0: agreeing on a protocol by name.
//!
//! The same two state machines serve the upgrade of a connection and every
//! stream, so they hold no more than a few words while lines arrive whole.
//! Source: libp2p specifications "connections", section "multistream-select";
//! multiformats "multistream-select".
//!
//! ```
//! use polypeer::negotiate::{Dialer, Listener, Name};
//!
//! let (mut to_listener, mut to_dialer) = (Vec::new(), Vec::new());
//! let mut dialer = Dialer::new(vec![Name::from("/echo/1.0.0")], &mut to_listener)?;
//! let mut listener = Listener::new();
//! let (_, theirs) =
//!     listener.receive(&to_listener, &|name| name == "/echo/1.0.0", &Vec::new, &mut to_dialer)?;
//! let (_, ours) = dialer.receive(&to_dialer, &mut to_listener)?;
//! assert_eq!(ours, theirs);
//! # Ok::<(), polypeer::negotiate::Error>(())
//! ```

mod dialer;
mod line;
mod listener;
#[cfg(test)]
mod tests;
#[cfg(feature = "versions")]
mod version;

use std::sync::Arc;

use thiserror::Error;

pub use dialer::Dialer;
pub use line::MAX_LINE;
pub use listener::{Listener, MAX_BYTES, MAX_LISTING, MAX_PROPOSALS};
#[cfg(feature = "versions")]
pub use version::{VersionError, Versions};

/// The name of a protocol, such as `/ipfs/ping/1.0.0`.
pub type Name = Arc<str>;

/// The line that both sides begin with.
const HEADER: &str = "/multistream/1.0.0";

/// The listener's "not available".
const NOT_AVAILABLE: &str = "na";

/// The dialer's wish for a list of all protocols.
const LIST: &str = "ls";

/// Why a negotiation failed. All are final: close the stream or the connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The remote's first line is not `/multistream/1.0.0`: it speaks something else.
    #[error("the remote does not speak multistream-select 1.0.0")]
    Header,
    /// The remote announced a line longer than [`MAX_LINE`].
    #[error("a line of the negotiation is too long")]
    LineTooLong,
    /// A line that has no valid length or does not end in a newline.
    #[error("a line of the negotiation is malformed")]
    Malformed,
    /// The listener answered with something other than our proposal or `na`.
    #[error("the remote answered with a protocol that was not proposed")]
    Unexpected,
    /// The listener supports none of our proposals.
    #[error("the remote supports none of the proposed protocols")]
    Refused,
    /// The dialer made more than [`MAX_PROPOSALS`] proposals.
    #[error("the remote made too many proposals")]
    TooManyProposals,
    /// The dialer sent more than [`MAX_BYTES`] without reaching an agreement.
    #[error("the remote sent too much without an agreement")]
    TooManyBytes,
    /// Our own list of proposals is empty.
    #[error("there is no protocol to propose")]
    NothingToPropose,
    /// One of our own proposals is empty, too long, holds a newline or is a
    /// word of the negotiation itself.
    #[error("a protocol of this name cannot be proposed: {0}")]
    BadName(Name),
}
