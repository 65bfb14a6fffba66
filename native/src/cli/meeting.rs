//! What `polypeer serve` is told about the rendezvous point that it is.

use std::time::Duration;

use polypeer::protocols::rendezvous::ServerConfig;
use serde::Deserialize;

use super::config::Amount;

/// The part `[rendezvous]` of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rendezvous {
    /// Seconds that a registration lasts, at least and at most.
    min_ttl: Option<u64>,
    max_ttl: Option<u64>,
    /// Registrations in all, and their bytes.
    registrations: Option<usize>,
    bytes: Option<Amount>,
    per_peer: Option<usize>,
    per_namespace: Option<usize>,
    /// Of an IPv4 /24 or IPv6 /48.
    per_network: Option<usize>,
    /// Requests of a connection a minute.
    requests: Option<u32>,
}

impl Rendezvous {
    pub(super) fn apply(self, config: &mut ServerConfig) {
        config.min_ttl = self.min_ttl.map_or(config.min_ttl, Duration::from_secs);
        config.max_ttl = self.max_ttl.map_or(config.max_ttl, Duration::from_secs);
        config.max_requests = self.requests.unwrap_or(config.max_requests);
        let counts = [
            (self.registrations, &mut config.max_registrations),
            (self.bytes.map(Amount::size), &mut config.max_bytes),
            (self.per_peer, &mut config.max_of_peer),
            (self.per_namespace, &mut config.max_of_namespace),
            (self.per_network, &mut config.max_of_network),
        ];
        for (said, place) in counts {
            *place = said.unwrap_or(*place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_what_is_taken() {
        let file = "min_ttl = 60\nbytes = '1M'\nper_peer = 3\nrequests = 5";
        let mut config = ServerConfig::default();
        toml::from_str::<Rendezvous>(file).unwrap().apply(&mut config);
        let expected = ServerConfig {
            min_ttl: Duration::from_secs(60),
            max_bytes: 1 << 20,
            max_of_peer: 3,
            max_requests: 5,
            ..ServerConfig::default()
        };
        assert_eq!(config, expected);
    }
}
