//! What a node is told at its start.

use crate::connection;
use crate::identity::Keypair;
use crate::negotiate::Name;

/// What a node is told at its start: plain data, with defaults that a new user
/// need not touch.
#[derive(Clone)]
pub struct Config {
    /// Name and version of the program, shown to every peer; `polypeer/VERSION`.
    pub agent: String,
    /// The family of protocols, shown to every peer; `ipfs/0.1.0` like all others.
    pub protocol_version: String,
    /// Identity, security, muxer and time limits of each connection.
    pub connection: connection::Config,
    /// Connections at a time, in and out, handshakes included; 4096. An idle one
    /// costs some 8 KiB.
    pub max_connections: usize,
    /// Inbound connections whose remote is not known yet; 64.
    pub max_unauthenticated: usize,
    /// What all connections and streams together, and those of each peer and
    /// protocol, may use.
    #[cfg(feature = "limits")]
    pub limits: crate::swarm::limits::Limits,
    /// How many connections remotes may open, by where they come from.
    #[cfg(feature = "limits")]
    pub arrivals: crate::swarm::arrivals::Arrivals,
    /// How fast bytes may come and go: as fast as they can, unless told otherwise.
    #[cfg(feature = "limits")]
    pub bandwidth: crate::swarm::meter::Bandwidth,
    /// Whom the node speaks with: everyone, unless it is told otherwise.
    #[cfg(feature = "limits")]
    pub filters: crate::swarm::gate::Filters,
    /// How many connections are kept, and how hard.
    #[cfg(feature = "manager")]
    pub manager: crate::swarm::manager::Config,
    /// Addresses tried at a time for one dial; 8.
    pub max_parallel_attempts: usize,
    /// Addresses tried at a time over all dials; 160, as go-libp2p. Dials that
    /// wait for room take turns.
    pub max_attempts: usize,
    /// Protocols whose streams get more or less than the ordinary share,
    /// [`DEFAULT_WEIGHT`](crate::muxer::yamux::DEFAULT_WEIGHT), of their connection.
    pub weights: Vec<(Name, u8)>,
    /// The number of our first signed peer record, which must be higher than any
    /// that we signed before: hosts pass milliseconds of Unix time, as
    /// [`facade::Node`](crate::facade::Node) does by itself.
    pub first_sequence: u64,
    /// Which of our addresses are believed and announced.
    #[cfg(feature = "addresses")]
    pub addresses: crate::swarm::addresses::Config,
    /// Whether we ask others if we can be dialed, and whether we dial for others.
    #[cfg(feature = "autonat")]
    pub autonat: crate::protocols::autonat::Config,
    /// What is kept of peers, and for how long.
    #[cfg(feature = "store")]
    pub store: crate::swarm::store::Config,
    /// How relayed connections are followed by direct ones.
    #[cfg(feature = "dcutr")]
    pub dcutr: crate::protocols::dcutr::Config,
    /// The DHT that the node takes part in; none unless there is one here.
    #[cfg(feature = "kad")]
    pub kad: Option<crate::protocols::kad::Config>,
    /// How the node publishes and subscribes; with the defaults from its first topic on
    /// unless there is something here.
    #[cfg(feature = "pubsub")]
    pub pubsub: Option<crate::protocols::pubsub::Config>,
    /// How the peers of its topics are looked for: in the DHT, while the node takes part in
    /// one, unless told otherwise.
    #[cfg(feature = "pubsub")]
    pub topic_discovery: crate::discovery::topics::Config,
    /// What we take as a rendezvous point; we are none without it.
    #[cfg(feature = "rendezvous")]
    pub rendezvous: Option<crate::protocols::rendezvous::ServerConfig>,
    /// Relays that we use, and whether we are one.
    #[cfg(feature = "relay")]
    pub relay: crate::protocols::relay::Config,
}

impl Config {
    /// The defaults, for this identity.
    pub fn new(keypair: Keypair) -> Self {
        Self {
            agent: concat!("polypeer/", env!("CARGO_PKG_VERSION")).into(),
            protocol_version: "ipfs/0.1.0".into(),
            connection: connection::Config::new(keypair),
            max_connections: 4096,
            max_unauthenticated: 64,
            #[cfg(feature = "limits")]
            limits: crate::swarm::limits::Limits::default(),
            #[cfg(feature = "limits")]
            arrivals: crate::swarm::arrivals::Arrivals::default(),
            #[cfg(feature = "limits")]
            bandwidth: crate::swarm::meter::Bandwidth::default(),
            #[cfg(feature = "limits")]
            filters: crate::swarm::gate::Filters::default(),
            #[cfg(feature = "manager")]
            manager: crate::swarm::manager::Config::default(),
            max_parallel_attempts: 8,
            max_attempts: 160,
            weights: Vec::new(),
            first_sequence: 0,
            #[cfg(feature = "addresses")]
            addresses: crate::swarm::addresses::Config::default(),
            #[cfg(feature = "autonat")]
            autonat: crate::protocols::autonat::Config::default(),
            #[cfg(feature = "store")]
            store: crate::swarm::store::Config::default(),
            #[cfg(feature = "dcutr")]
            dcutr: crate::protocols::dcutr::Config::default(),
            #[cfg(feature = "kad")]
            kad: None,
            #[cfg(feature = "pubsub")]
            pubsub: None,
            #[cfg(feature = "pubsub")]
            topic_discovery: crate::discovery::topics::Config::default(),
            #[cfg(feature = "rendezvous")]
            rendezvous: None,
            #[cfg(feature = "relay")]
            relay: crate::protocols::relay::Config::default(),
        }
    }
    /// Tells the parts that need it, and were not told yet, what the Unix time in
    /// milliseconds was when the node's clock was zero.
    pub fn set_unix_clock(&mut self, at_zero: impl Fn() -> u64) {
        #[cfg(feature = "store")]
        if self.store.unix_millis_at_zero == 0 {
            self.store.unix_millis_at_zero = at_zero();
        }
        #[cfg(feature = "relay")]
        if self.relay.unix_millis_at_zero == 0 {
            self.relay.unix_millis_at_zero = at_zero();
        }
        #[cfg(feature = "kad")]
        if let Some(kad) = &mut self.kad
            && kad.unix_millis_at_zero == 0
        {
            kad.unix_millis_at_zero = at_zero();
        }
        #[cfg(not(any(feature = "kad", feature = "relay", feature = "store")))]
        let _ = at_zero;
    }
}
