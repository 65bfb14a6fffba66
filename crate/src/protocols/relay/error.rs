//! Why a relay did not help.

use thiserror::Error;

use super::Status;

/// Why there is no reservation, or no circuit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The relay said so; with most reasons another relay may help.
    #[error("{0}")]
    Refused(Status),
    /// The address is not that of a circuit through one relay.
    #[error(
        "the address names no relay: it ends in /p2p/RELAY/p2p-circuit, with /p2p/PEER behind it to dial"
    )]
    Address,
    /// The relay could not be reached.
    #[error("the relay could not be reached: {0}")]
    Unreachable(String),
    /// The peer does not serve as a relay.
    #[error("the peer is no relay")]
    NotARelay,
    /// The connection or stream to the relay ended.
    #[error("the connection to the relay ended")]
    Disconnected,
    /// What the relay sent is not what the protocol says.
    #[error("the relay broke the protocol")]
    Protocol,
    /// The relay did not answer in time.
    #[error("the relay did not answer in time")]
    TimedOut,
    /// As many circuits as the client allows are being asked for.
    #[error("too many circuits are being asked for at a time")]
    TooMany,
}
