//! What can be set.

use core::time::Duration;

use crate::negotiate::Name;

use super::{lookup, store, table};

/// The name of the public network's DHT.
pub const NAME: &str = "/ipfs/kad/1.0.0";
/// The name of a DHT in local networks.
pub const LAN_NAME: &str = "/ipfs/lan/kad/1.0.0";

/// Lookups that may be under way; more are refused.
pub const MAX_QUERIES: usize = 128;
/// Streams of remotes whose request has not come or was not answered yet; more are
/// reset. Each holds one message at most.
pub const MAX_INBOUND: usize = 512;
/// The same for each connection.
pub const MAX_INBOUND_PER_CONNECTION: usize = 32;

/// What part a node plays (kad-dht, "Client and server mode").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It asks, and is not asked: for those whom others cannot reach, such as pages.
    #[default]
    Client,
    /// It is in the tables of others and answers them.
    Server,
}

/// How a node takes part in a DHT.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The protocol's name, which is that of the network; [`NAME`].
    pub protocol: Name,
    /// What part it plays; a client.
    pub mode: Mode,
    /// Whom it keeps in mind.
    pub table: table::Config,
    /// How it searches.
    pub lookup: lookup::Config,
    /// What it keeps for others.
    pub store: store::Limits,
    /// How long one peer has to be reached and to answer; 10 s.
    pub request_timeout: Duration,
    /// How long a query may take; 60 s.
    pub query_timeout: Duration,
    /// How often parts of the key space that nobody looked in are looked in; 10
    /// minutes ("Bootstrap process").
    pub refresh: Duration,
    /// What the Unix time in milliseconds was when the node's clock was zero: records
    /// may have an end.
    pub unix_millis_at_zero: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            protocol: NAME.into(),
            mode: Mode::Client,
            table: table::Config::default(),
            lookup: lookup::Config::default(),
            store: store::Limits::default(),
            request_timeout: Duration::from_secs(10),
            query_timeout: Duration::from_secs(60),
            refresh: Duration::from_secs(600),
            unix_millis_at_zero: 0,
        }
    }
}
