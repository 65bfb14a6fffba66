//! Why there is no direct connection.

use thiserror::Error;

/// Why two peers that are connected through a relay are not connected directly. The
/// relayed connection stays.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignalError {
    /// The peer does not take such connections.
    #[error("the peer does not take WebRTC connections")]
    NotSupported,
    /// What the peer sent is not what the protocol says.
    #[error("the peer broke the signalling protocol")]
    Protocol,
    /// The peer's description or a candidate is longer than we take.
    #[error("the peer's description is too long")]
    TooLong,
    /// The peer sent more than [`MAX_CANDIDATES`](super::MAX_CANDIDATES) for one description.
    #[error("the peer sent too many candidates")]
    TooManyCandidates,
    /// The peer gave up, or refused.
    #[error("the peer gave up")]
    GivenUp,
    /// The relayed connection ended before the two had met.
    #[error("the relayed connection ended")]
    Disconnected,
    /// Nothing came of it within [`TRY_TIME`](super::TRY_TIME).
    #[error("no direct connection came up in time")]
    TimedOut,
    /// The WebRTC stack found no way, or could make nothing of what the peer sent.
    #[error("no direct connection: {0}")]
    Host(String),
}
