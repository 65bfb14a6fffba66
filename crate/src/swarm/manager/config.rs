//! How many connections are kept, and how hard.

use core::time::Duration;

/// How many connections are kept, and how hard. Start from [`Config::page`],
/// [`Config::node`] or [`Config::server`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Trimming ends at this many connections.
    pub low_water: usize,
    /// With more connections than this, the least valuable are closed.
    pub high_water: usize,
    /// A peer is not trimmed so soon after it has connected; 60 s, as
    /// go-libp2p's.
    pub grace: Duration,
    /// How long all peers have to answer after [`Node::resumed`] or
    /// [`Node::online`]; 2 s.
    ///
    /// [`Node::resumed`]: crate::node::Node::resumed
    /// [`Node::online`]: crate::node::Node::online
    pub wake_limit: Duration,
    /// The longest pause between two dials of a peer that is kept; 60 s.
    pub max_redial_pause: Duration,
}

impl Config {
    /// For a page: 80 and 100 connections.
    pub const fn page() -> Self {
        Self::marks(80, 100)
    }

    /// For a program beside others: 160 and 192 connections, as go-libp2p's.
    pub const fn node() -> Self {
        Self::marks(160, 192)
    }

    /// For a server that may have so many connections: four fifths and nine tenths.
    pub const fn server(max_connections: usize) -> Self {
        Self::marks(max_connections / 5 * 4, max_connections / 10 * 9)
    }

    const fn marks(low_water: usize, high_water: usize) -> Self {
        Self {
            low_water,
            high_water,
            grace: Duration::from_secs(60),
            wake_limit: Duration::from_secs(2),
            max_redial_pause: Duration::from_secs(60),
        }
    }
}

impl Default for Config {
    /// [`Config::page`] in WebAssembly, [`Config::node`] elsewhere.
    fn default() -> Self {
        if cfg!(target_arch = "wasm32") { Self::page() } else { Self::node() }
    }
}
