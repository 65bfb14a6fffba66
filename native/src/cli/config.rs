//! What `polypeer serve` is told about limits, in a file and on the command line.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use polypeer::PeerId;
use polypeer::node::{Config, Direction};
use polypeer::swarm::gate::{Subject, Verdict};
use polypeer::swarm::limits::{Allowance, Limits};
use polypeer::swarm::manager;
use polypeer::swarm::meter::{Of, Rates};
use serde::{Deserialize, Deserializer};

use super::args::{Serve, bytes};
use super::dht::Dht;
use super::keeping::{Records, Routing};
use super::meeting::Rendezvous;
use super::relay::Relay;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path}: {reason}")]
    Syntax { path: String, reason: String },
    #[error(transparent)]
    Subject(#[from] polypeer::swarm::gate::SubjectError),
    #[error("no address: {text}: {source}")]
    Address { text: String, source: polypeer::address::ParseError },
    #[error("no PeerId: {0}")]
    Peer(String),
}

/// The file, in TOML, or in JSON if its name ends so. What it does not say stays as
/// it is by default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    limits: Scopes,
    marks: Marks,
    arrivals: Arrivals,
    filters: Filters,
    bandwidth: Bandwidth,
    addresses: Addresses,
    relay: Relay,
    rendezvous: Rendezvous,
    dht: Dht,
    records: Records,
    routing: Routing,
}

/// An amount of bytes: a number, or text such as `"512M"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount(pub(super) u64);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number)),
            Form::Text(text) => bytes(&text).map(Self).map_err(serde::de::Error::custom),
        }
    }
}

impl Amount {
    pub(super) fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Connections at which the least valuable are closed.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Marks {
    /// Trimming ends at so many.
    low: Option<usize>,
    /// It begins with more than so many.
    high: Option<usize>,
    /// Seconds in which a peer that has connected is left alone.
    grace: Option<u64>,
}

/// What the node and each part of it may use.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Scopes {
    /// Bytes that the server may use: all limits follow from it.
    memory: Option<Amount>,
    /// Connections at a time.
    connections: Option<usize>,
    /// Inbound connections in their handshakes.
    handshakes: Option<usize>,
    system: Scope,
    transient: Scope,
    peer: Scope,
    protocol: Scope,
    protocol_peer: Scope,
    connection: Scope,
    stream: Scope,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Scope {
    connections_in: Option<usize>,
    connections_out: Option<usize>,
    connections: Option<usize>,
    streams_in: Option<usize>,
    streams_out: Option<usize>,
    streams: Option<usize>,
    memory: Option<Amount>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Arrivals {
    handshakes_per_address: Option<usize>,
    /// Of one IPv4 address or IPv6 /56.
    connections_per_address: Option<usize>,
    /// Of one IPv6 /48.
    connections_per_site: Option<usize>,
    /// Whether these hold for loopback too.
    loopback: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Filters {
    allow: Vec<String>,
    deny: Vec<String>,
    allow_inbound: Vec<String>,
    deny_inbound: Vec<String>,
    allow_outbound: Vec<String>,
    deny_outbound: Vec<String>,
}

/// Bytes a second.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limit {
    inbound: Option<Amount>,
    outbound: Option<Amount>,
}

/// What is announced to others.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Addresses {
    /// These in place of all others.
    announce: Vec<String>,
    append_announce: Vec<String>,
    no_announce: Vec<String>,
    /// Remotes that must see an address before it is believed.
    observers: Option<usize>,
    /// Whether private addresses are as good as public ones: for closed networks.
    private: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Bandwidth {
    inbound: Option<Amount>,
    outbound: Option<Amount>,
    each_peer: Limit,
    peers: BTreeMap<String, Limit>,
    protocols: BTreeMap<String, Limit>,
}

impl Limit {
    fn rates(self) -> Rates {
        Rates {
            inbound: self.inbound.map(|amount| amount.0),
            outbound: self.outbound.map(|amount| amount.0),
        }
    }
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: name(), source })?;
        let read = if path.extension().is_some_and(|end| end == "json") {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        } else {
            toml::from_str(&text).map_err(|error| error.to_string())
        };
        read.map_err(|reason| ConfigError::Syntax { path: name(), reason })
    }

    /// Changes what the file speaks of.
    fn apply(self, config: &mut Config) -> Result<(), ConfigError> {
        self.limits.apply(config);
        self.marks.apply(config);
        self.arrivals.apply(config);
        self.filters.apply(config)?;
        self.addresses.apply(config)?;
        self.bandwidth.apply(config)?;
        if let Some(kad) = &mut config.kad {
            self.dht.apply(kad);
        }
        if let Some(point) = &mut config.rendezvous {
            self.rendezvous.apply(point);
        }
        match &mut config.relay.service {
            Some(service) => self.relay.apply(service),
            None => Ok(()),
        }
    }
}

/// What the file says of records, and of who may ask for them over HTTP.
pub(super) fn keeping(arguments: &Serve) -> Result<(Records, Routing), ConfigError> {
    let file = arguments.config.as_deref().map(File::read).transpose()?;
    Ok(file.map(|file| (file.records, file.routing)).unwrap_or_default())
}

/// Applies the file and then the flags, which have the last word.
pub(super) fn apply(arguments: &Serve, config: &mut Config) -> Result<(), ConfigError> {
    if let Some(path) = &arguments.config {
        File::read(path)?.apply(config)?;
    }
    let flags = Scopes {
        memory: arguments.memory.map(Amount),
        connections: arguments.max_connections,
        ..Scopes::default()
    };
    flags.apply(config);
    let marks = Marks { low: arguments.low_water, high: arguments.high_water, grace: None };
    marks.apply(config);
    let filters = Filters {
        allow: arguments.allow.clone(),
        deny: arguments.deny.clone(),
        ..Filters::default()
    };
    filters.apply(config)?;
    let addresses =
        Addresses { no_announce: arguments.no_announce.clone(), ..Addresses::default() };
    addresses.apply(config)?;
    config.addresses.announce.extend_from_slice(&arguments.announce);
    config.addresses.append_announce.extend_from_slice(&arguments.append_announce);
    let rates = &mut config.bandwidth.all;
    rates.inbound = arguments.limit_in.or(rates.inbound);
    rates.outbound = arguments.limit_out.or(rates.outbound);
    match &mut config.relay.service {
        Some(service) => Relay::flags(arguments).apply(service),
        None => Ok(()),
    }
}

impl Scopes {
    fn apply(self, config: &mut Config) {
        if let Some(memory) = self.memory {
            config.limits = Limits::server(memory.size());
            config.max_connections = config.limits.system.connections;
            config.manager = manager::Config::server(config.max_connections);
        }
        let limits = &mut config.limits;
        if let Some(connections) = self.connections {
            config.max_connections = connections;
            config.manager = manager::Config::server(connections);
            let system = &mut limits.system;
            *system = system.with_connections(connections, connections, connections);
        }
        if let Some(handshakes) = self.handshakes {
            config.max_unauthenticated = handshakes;
            limits.transient.connections_in = handshakes;
        }
        self.system.apply(&mut limits.system);
        self.transient.apply(&mut limits.transient);
        self.peer.apply(&mut limits.peer);
        self.protocol.apply(&mut limits.protocol);
        self.protocol_peer.apply(&mut limits.protocol_peer);
        self.connection.apply(&mut limits.connection);
        self.stream.apply(&mut limits.stream);
    }
}

impl Marks {
    fn apply(self, config: &mut Config) {
        let manager = &mut config.manager;
        manager.low_water = self.low.unwrap_or(manager.low_water);
        manager.high_water = self.high.unwrap_or(manager.high_water);
        manager.grace = self.grace.map_or(manager.grace, Duration::from_secs);
    }
}

impl Scope {
    fn apply(self, allowance: &mut Allowance) {
        let counts = [
            (self.connections_in, &mut allowance.connections_in),
            (self.connections_out, &mut allowance.connections_out),
            (self.connections, &mut allowance.connections),
            (self.streams_in, &mut allowance.streams_in),
            (self.streams_out, &mut allowance.streams_out),
            (self.streams, &mut allowance.streams),
            (self.memory.map(Amount::size), &mut allowance.memory),
        ];
        for (said, place) in counts {
            *place = said.unwrap_or(*place);
        }
    }
}

impl Arrivals {
    fn apply(self, config: &mut Config) {
        let arrivals = &mut config.arrivals;
        let counts = [
            (self.handshakes_per_address, &mut arrivals.handshakes_per_address),
            (self.connections_per_address, &mut arrivals.address.connections),
            (self.connections_per_site, &mut arrivals.site.connections),
        ];
        for (said, place) in counts {
            *place = said.unwrap_or(*place);
        }
        arrivals.loopback = self.loopback.unwrap_or(arrivals.loopback);
    }
}

impl Filters {
    fn apply(self, config: &mut Config) -> Result<(), ConfigError> {
        use Direction::{Inbound, Outbound};
        use Verdict::{Allow, Deny};
        let rules = [
            (self.allow, None, Allow),
            (self.deny, None, Deny),
            (self.allow_inbound, Some(Inbound), Allow),
            (self.deny_inbound, Some(Inbound), Deny),
            (self.allow_outbound, Some(Outbound), Allow),
            (self.deny_outbound, Some(Outbound), Deny),
        ];
        for (subjects, direction, verdict) in rules {
            for subject in subjects {
                config.filters.set(subject.parse::<Subject>()?, direction, verdict);
            }
        }
        Ok(())
    }
}

impl Addresses {
    fn apply(self, config: &mut Config) -> Result<(), ConfigError> {
        let addresses = &mut config.addresses;
        let lists = [
            (self.announce, &mut addresses.announce),
            (self.append_announce, &mut addresses.append_announce),
        ];
        for (said, list) in lists {
            for text in said {
                let address = text.parse();
                list.push(address.map_err(|source| ConfigError::Address { text, source })?);
            }
        }
        for subject in self.no_announce {
            addresses.no_announce.push(subject.parse()?);
        }
        addresses.private = self.private.unwrap_or(addresses.private);
        addresses.observers = self.observers.unwrap_or(addresses.observers).max(1);
        Ok(())
    }
}

impl Bandwidth {
    fn apply(self, config: &mut Config) -> Result<(), ConfigError> {
        let (bandwidth, all) = (&mut config.bandwidth, (self.inbound, self.outbound));
        bandwidth.set(Of::All, Limit { inbound: all.0, outbound: all.1 }.rates());
        bandwidth.set(Of::EachPeer, self.each_peer.rates());
        for (name, limit) in self.peers {
            let peer: PeerId = name.parse().map_err(|_| ConfigError::Peer(name))?;
            bandwidth.set(Of::Peer(peer), limit.rates());
        }
        for (name, limit) in self.protocols {
            bandwidth.set(Of::Protocol(name.into()), limit.rates());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use polypeer::Keypair;

    use super::*;

    fn applied(file: File) -> Result<Config, ConfigError> {
        let mut config = Config::new(Keypair::ed25519_from_seed([7; 32]));
        file.apply(&mut config)?;
        Ok(config)
    }

    const TOML: &str = r#"
        [limits]
        memory = "512M"
        handshakes = 100
        peer = { streams_in = 32, memory = "4M" }

        [marks]
        high = 9000
        grace = 5

        [arrivals]
        connections_per_address = 20

        [filters]
        allow = ["/ip4/10.0.0.0/ipcidr/8"]
        deny_inbound = ["*"]

        [bandwidth]
        outbound = "10M"
        each_peer = { inbound = 1000000 }
        protocols."/chat/1.0.0" = { outbound = "64K" }

        [addresses]
        append_announce = ["/dns4/a.example/tcp/443/wss"]
        no_announce = ["/ip4/10.0.0.0/ipcidr/8"]
        observers = 3
    "#;

    #[test]
    fn a_file_in_toml_or_json_says_the_same() {
        let json = serde_json::json!({
            "limits": {
                "memory": "512M", "handshakes": 100, "peer": { "streams_in": 32, "memory": "4M" },
            },
            "marks": { "high": 9000, "grace": 5 },
            "arrivals": { "connections_per_address": 20 },
            "filters": { "allow": ["/ip4/10.0.0.0/ipcidr/8"], "deny_inbound": ["*"] },
            "bandwidth": {
                "outbound": "10M", "each_peer": { "inbound": 1_000_000 },
                "protocols": { "/chat/1.0.0": { "outbound": "64K" } },
            },
            "addresses": {
                "append_announce": ["/dns4/a.example/tcp/443/wss"],
                "no_announce": ["/ip4/10.0.0.0/ipcidr/8"], "observers": 3,
            },
        });
        let from_json = applied(serde_json::from_value(json).unwrap()).unwrap();
        let config = applied(toml::from_str(TOML).unwrap()).unwrap();
        assert_eq!(config.limits, from_json.limits);
        assert_eq!(config.filters, from_json.filters);
        assert_eq!(config.bandwidth, from_json.bandwidth);
        assert_eq!(config.limits.system, Limits::server(512 << 20).system);
        assert_eq!(config.max_connections, 16_384);
        assert_eq!(config.max_unauthenticated, 100);
        for config in [&config, &from_json] {
            assert_eq!((config.manager.low_water, config.manager.high_water), (13_104, 9000));
            assert_eq!(config.manager.grace, Duration::from_secs(5));
            let addresses = &config.addresses;
            assert_eq!(addresses.append_announce[0].to_string(), "/dns4/a.example/tcp/443/wss");
            assert_eq!(addresses.no_announce, ["/ip4/10.0.0.0/ipcidr/8".parse().unwrap()]);
            assert_eq!(addresses.observers, 3);
        }
        assert_eq!(config.limits.peer.streams_in, 32);
        assert_eq!(config.limits.peer.memory, 4 << 20);
        assert_eq!(config.arrivals.address.connections, 20);
        let peer = config.connection.keypair.peer_id();
        assert!(!config.filters.allows(&peer, Direction::Inbound));
        assert!(config.filters.allows(&peer, Direction::Outbound));
        let rates = &config.bandwidth;
        assert_eq!(rates.all, Rates { inbound: None, outbound: Some(10 << 20) });
        assert_eq!(rates.each_peer.inbound, Some(1_000_000));
        assert_eq!(rates.protocols.get("/chat/1.0.0").unwrap().outbound, Some(65_536));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (toml, says) in [
            ("[limit]", "unknown field"),
            ("[limits]\nmemory = \"many\"", "unknown unit"),
            ("[filters]\ndeny = [\"10.0.0.0/8\"]", "10.0.0.0/8"),
            ("[addresses]\nannounce = [\"/ip4/300.0.0.1\"]", "300.0.0.1"),
            ("[bandwidth]\npeers.bob = { inbound = 1 }", "bob"),
        ] {
            let error = match toml::from_str(toml) {
                Ok(file) => applied(file).map(|_| ()).unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            assert!(error.contains(says), "{error}");
        }
        let error = File::read(Path::new("/nowhere/polypeer.toml")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/polypeer.toml"));
    }
}
