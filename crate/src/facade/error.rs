//! Why the handles of a node cannot do what they are asked.

use thiserror::Error;

use crate::connection::StreamError;
use crate::node::DialError;

/// The node has ended: it was closed, or its host's tasks were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the node is closed")]
pub struct NodeClosed;

/// Why a stream to a peer could not be opened.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no connection to the peer, and none could be made.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// There is a connection, but no stream on it.
    #[error(transparent)]
    Stream(#[from] StreamError),
}
