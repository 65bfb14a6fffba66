//! The limits and times of the peer store.

use core::time::Duration;

/// How long the address of a peer that we dialed with success is kept after that.
pub const DIALED_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long addresses that a peer signed are kept after it was seen last.
pub const CERTIFIED_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long addresses that a peer told without signing are kept after it was
/// seen last.
pub const IDENTIFY_TTL: Duration = Duration::from_secs(24 * 3600);
/// The longest that anything about a peer is kept on the word of others: such
/// records need an end, or strangers' fill the store (go-libp2p's
/// GHSA-gcq9-qqwx-rgj3).
pub const MAX_DISCOVERY_TTL: Duration = Duration::from_secs(24 * 3600);

/// How much the store keeps, and whether it is written down. Plain data with
/// defaults for a server; [`Config::page`] has those for a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The Unix time in milliseconds at the zero of the host's clock, so that
    /// times that are written down mean the same after a restart. Zero, in the
    /// simulator, makes them times of that clock.
    pub unix_millis_at_zero: u64,
    /// Peers kept; 10,000. Beyond, the least valuable without a connection goes.
    pub max_peers: usize,
    /// Those of them that we know by the word of others alone; 2,000. They never
    /// displace a peer that we met.
    pub max_hearsay: usize,
    /// Addresses a peer; 32. Honest peers have a handful and some of relays.
    pub max_addresses: usize,
    /// Bytes of all entries together, as they count themselves; 32 MiB.
    pub max_bytes: usize,
    /// Bytes of the application's metadata a peer, names included; 16 KiB.
    pub max_metadata: usize,
    /// The application's tags a peer; 32.
    pub max_tags: usize,
    /// Write changes down, at most this often: they come out as
    /// [`Change`](super::Change)s. `None`, the default, keeps all in memory.
    pub journal: Option<Duration>,
    /// With whom to begin.
    pub bootstrap: super::bootstrap::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            unix_millis_at_zero: 0,
            max_peers: 10_000,
            max_hearsay: 2_000,
            max_addresses: 32,
            max_bytes: 32 << 20,
            max_metadata: 16 << 10,
            max_tags: 32,
            journal: None,
            bootstrap: super::bootstrap::Config::default(),
        }
    }
}

impl Config {
    /// The defaults for a page: 1,000 peers, 200 of them by hearsay, 4 MiB.
    pub fn page() -> Self {
        Self { max_peers: 1_000, max_hearsay: 200, max_bytes: 4 << 20, ..Self::default() }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
