//! What AutoNAT is told.

use core::ops::RangeInclusive;
use core::time::Duration;

/// Whether we ask others if we can be dialed, and whether we dial for others.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Whether we ask; on. Nobody is asked for an address that is not public, and
    /// nobody while there is none.
    pub client: bool,
    /// Whether we dial for others, and how much; not unless asked for.
    pub server: Option<ServerConfig>,
    /// How many servers more must have reached an address than not, each in another
    /// network, before it counts as public, or the other way round as private; 3, as
    /// in go-libp2p. A dial that arrived is proof, so it counts twice; that one
    /// failed is only a word.
    pub confidence: usize,
    /// The most bytes that are sent to a server that asks for them before it dials;
    /// 100,000, which is what the specification lets it ask for.
    pub max_dial_data: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { client: true, server: None, confidence: 3, max_dial_data: 100_000 }
    }
}

/// How much is done for others. What is more is refused, by an answer that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Requests that are worked on at a time; 16.
    pub max_requests: usize,
    /// Of these, of one peer; 2.
    pub max_requests_of_peer: usize,
    /// Requests that are taken in a minute; 60, as go-libp2p.
    pub per_minute: usize,
    /// Of these, of one network (a public IPv4 /24 or IPv6 /48); 20.
    pub per_minute_of_network: usize,
    /// Of these, of one peer; 12, as go-libp2p.
    pub per_minute_of_peer: usize,
    /// How many bytes a client has to send before another IP address than its own is
    /// dialed for it, so that it cannot have more sent there than it sends itself;
    /// 30,000 to 100,000, as the specification has it.
    pub dial_data: RangeInclusive<u64>,
    /// The longest that a client may wait before such a dial, so that many of them
    /// do not come together; 3 s, as go-libp2p.
    pub max_wait: Duration,
    /// How long one dial may take; 10 s.
    pub dial_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_requests: 16,
            max_requests_of_peer: 2,
            per_minute: 60,
            per_minute_of_network: 20,
            per_minute_of_peer: 12,
            dial_data: 30_000..=100_000,
            max_wait: Duration::from_secs(3),
            dial_timeout: Duration::from_secs(10),
        }
    }
}
