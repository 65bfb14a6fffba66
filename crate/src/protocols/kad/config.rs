//! What can be set.

use core::time::Duration;

use crate::negotiate::Name;

use super::{lookup, store, table};

/// The name of the public network's DHT.
pub const NAME: &str = "/ipfs/kad/1.0.0";
/// The name of a DHT in local networks.
pub const LAN_NAME: &str = "/ipfs/lan/kad/1.0.0";
/// The name of a DHT of one's own, which is the default: of it are those who know each
/// other, and nobody is drawn into the public network who did not ask for it.
pub const OWN_NAME: &str = "/polypeer/kad/1.0.0";

/// Lookups that may be under way; more are refused.
pub const MAX_QUERIES: usize = 128;
/// Streams of remotes whose request has not come or was not answered yet; more are
/// reset. Each holds one message at most.
pub const MAX_INBOUND: usize = 512;
/// The same for each connection.
pub const MAX_INBOUND_PER_CONNECTION: usize = 32;

/// Peers that are asked at each refresh whether they are still there: those that were
/// silent the longest.
pub const MAX_PROBES: usize = 16;
/// Own provider entries and records that are announced anew at a time: more wait.
pub const MAX_REPUBLISHING: usize = 8;

/// What part a node plays (kad-dht, "Client and server mode").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// A server while others can dial the node, as `AutoNAT` finds out; else a client.
    #[default]
    Auto,
    /// It asks, and is not asked: for those whom others cannot reach, such as pages.
    Client,
    /// It is in the tables of others and answers them; without the feature `kad-server` it
    /// is as `Client`.
    Server,
}

/// How a node takes part in a DHT.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The protocol's name, which is that of the network; [`OWN_NAME`].
    pub protocol: Name,
    /// What part it plays; [`Mode::Auto`].
    pub mode: Mode,
    /// Whether private addresses that others tell of are dialed, as networks of one's own
    /// need it; yes.
    pub private: bool,
    /// Whom it keeps in mind.
    pub table: table::Config,
    /// How it searches.
    pub lookup: lookup::Config,
    /// What it keeps for others.
    pub store: store::Limits,
    /// How long a query waits for one peer to be reached and to answer before it asks
    /// another beside it, and may end without it; 3 s.
    pub patience: Duration,
    /// How long one peer has to be reached and to answer; 10 s.
    pub request_timeout: Duration,
    /// How long a query may take; 60 s.
    pub query_timeout: Duration,
    /// Peers that a query dials, at most: of those it is not connected to. 500.
    pub max_dials: usize,
    /// Whether those who are likely to be among the nearest to a key are told that we
    /// provide it before it is known whether they are, which saves most of the time.
    /// It goes by how many peers the network seems to have, which this node knows after
    /// a few lookups; no.
    pub optimistic: bool,
    /// How often what this node provides and put is announced anew; 22 h (kad-dht,
    /// "Provider Record Republish Interval").
    pub republish: Duration,
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
            protocol: OWN_NAME.into(),
            mode: Mode::Auto,
            private: true,
            table: table::Config::default(),
            lookup: lookup::Config::default(),
            store: store::Limits::default(),
            patience: Duration::from_secs(3),
            request_timeout: Duration::from_secs(10),
            query_timeout: Duration::from_secs(60),
            max_dials: 500,
            optimistic: false,
            republish: Duration::from_secs(22 * 3600),
            refresh: Duration::from_secs(600),
            unix_millis_at_zero: 0,
        }
    }
}

impl Config {
    /// Taking part in the public network, [`NAME`].
    pub fn public() -> Self {
        Self { protocol: NAME.into(), private: false, ..Self::default() }
    }

    /// As a page takes part: a client, and every dial costs it much. Six peers are asked at
    /// a time, so that the 20 nearest are asked in less than five seconds; 25 are dialed in
    /// a query at most, and it takes 30 s at most.
    #[must_use]
    pub fn in_page(mut self) -> Self {
        self.mode = Mode::Client;
        self.lookup.alpha = 6;
        self.max_dials = 25;
        self.patience = Duration::from_secs(2);
        self.request_timeout = Duration::from_secs(5);
        self.query_timeout = Duration::from_secs(30);
        self
    }
}
