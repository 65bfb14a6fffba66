//! Why something is not stored.

use thiserror::Error;

use crate::identity::{PeerId, PeerIdError};

/// Why a change of the application is not taken; nothing of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The metadata of a peer would be more than
    /// [`Config::max_metadata`](super::Config) bytes: store less, or elsewhere.
    #[error("the metadata of a peer may have {max} bytes")]
    MetadataTooLong {
        /// The limit in bytes.
        max: usize,
    },
    /// The peer would have more than [`Config::max_tags`](super::Config) tags, or
    /// one with a name of more than 256 bytes.
    #[error("a peer may have {max} tags with short names")]
    TooManyTags {
        /// The limit.
        max: usize,
    },
    /// More addresses than [`Config::max_addresses`](super::Config).
    #[error("a peer may have {max} addresses")]
    TooManyAddresses {
        /// The limit.
        max: usize,
    },
    /// An address names another peer.
    #[error("an address belongs to {0}")]
    ForeignAddress(PeerId),
    /// We need no record of ourselves.
    #[error("this node is not in its own store")]
    Myself,
}

/// Why a stored entry could not be read. It is left out, the others are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The key is no PeerId. The entry is deleted.
    #[error("the key of the entry is no peer id: {0}")]
    Key(#[from] PeerIdError),
    /// Another version of this program wrote it, which may want it back: it stays
    /// where it is.
    #[error("the entry is of version {0}, which this program does not know")]
    Version(u8),
    /// Bytes are missing or not those that were written. The entry is deleted.
    #[error("the entry is damaged")]
    Damaged,
}
