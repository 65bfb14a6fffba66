//! What the handles of a node say when it is gone.

use thiserror::Error;

/// The node has ended: it was closed, or its host's tasks were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the node is closed")]
pub struct NodeClosed;
