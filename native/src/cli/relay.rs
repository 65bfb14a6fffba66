//! What `polypeer serve` is told about its relay.

use std::time::Duration;

use polypeer::PeerId;
use polypeer::collections::Set;
use polypeer::protocols::relay::{Limit, ServiceConfig};
use serde::Deserialize;

use super::args::Serve;
use super::config::{Amount, ConfigError};

/// The part `[relay]` of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Relay {
    reservations: Option<usize>,
    reservations_per_ip: Option<usize>,
    /// Seconds.
    reservation_ttl: Option<u64>,
    circuits: Option<usize>,
    circuits_per_peer: Option<usize>,
    /// Seconds; zero for no limit.
    duration: Option<u64>,
    /// Bytes each way; zero for no limit.
    data: Option<Amount>,
    rates: Rates,
    /// PeerIds.
    allow: Vec<String>,
    deny: Vec<String>,
    trusted: Vec<String>,
}

/// Bytes a second, both ways together.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rates {
    circuit: Option<Amount>,
    peer: Option<Amount>,
    ip: Option<Amount>,
    total: Option<Amount>,
}

impl Relay {
    pub(super) fn apply(self, service: &mut ServiceConfig) -> Result<(), ConfigError> {
        let counts = [
            (self.reservations, &mut service.max_reservations),
            (self.reservations_per_ip, &mut service.max_reservations_per_ip),
            (self.circuits, &mut service.max_circuits),
            (self.circuits_per_peer, &mut service.max_circuits_per_peer),
        ];
        for (said, place) in counts {
            *place = said.unwrap_or(*place);
        }
        if let Some(seconds) = self.reservation_ttl {
            service.reservation_ttl = Duration::from_secs(seconds.max(1));
        }
        let Limit { duration, data } = &mut service.limit;
        if let Some(seconds) = self.duration {
            *duration = Some(Duration::from_secs(seconds)).filter(|time| !time.is_zero());
        }
        if let Some(Amount(bytes)) = self.data {
            *data = Some(bytes).filter(|bytes| *bytes > 0);
        }
        let rates = [
            (self.rates.circuit, &mut service.rates.circuit),
            (self.rates.peer, &mut service.rates.peer),
            (self.rates.ip, &mut service.rates.ip),
            (self.rates.total, &mut service.rates.total),
        ];
        for (said, place) in rates {
            *place = said.map(|Amount(rate)| rate).or(*place);
        }
        let lists = [
            (self.allow, &mut service.allow),
            (self.deny, &mut service.deny),
            (self.trusted, &mut service.trusted),
        ];
        for (names, list) in lists {
            add(names, list)?;
        }
        Ok(())
    }

    /// What the flags say.
    pub(super) fn flags(arguments: &Serve) -> Self {
        Self {
            reservations: arguments.relay_reservations,
            duration: arguments.relay_duration,
            data: arguments.relay_data.map(Amount),
            rates: Rates {
                circuit: arguments.relay_rate.map(Amount),
                peer: arguments.relay_rate_peer.map(Amount),
                ip: arguments.relay_rate_ip.map(Amount),
                total: arguments.relay_rate_total.map(Amount),
            },
            ..Self::default()
        }
    }
}

fn add(names: Vec<String>, list: &mut Set<PeerId>) -> Result<(), ConfigError> {
    for name in names {
        let peer = name.parse().map_err(|_| ConfigError::Peer(name))?;
        list.insert(peer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_the_relay_allows() {
        let peer = polypeer::Keypair::ed25519_from_seed([7; 32]).peer_id();
        let text = format!(
            r#"
            reservations = 10
            reservation_ttl = 60
            duration = 0
            data = "1M"
            rates = {{ circuit = "64K", total = 1000 }}
            deny = ["{peer}"]
            "#
        );
        let mut service = ServiceConfig::default();
        toml::from_str::<Relay>(&text).unwrap().apply(&mut service).unwrap();
        assert_eq!((service.max_reservations, service.max_circuits), (10, 1024));
        assert_eq!(service.reservation_ttl, Duration::from_secs(60));
        assert_eq!(service.limit, Limit { duration: None, data: Some(1 << 20) });
        assert_eq!((service.rates.circuit, service.rates.total), (Some(65_536), Some(1000)));
        assert_eq!((service.rates.peer, service.rates.ip), (None, None));
        assert!(service.deny.contains(&peer) && service.allow.is_empty());
        let wrong = toml::from_str::<Relay>("trusted = ['bob']").unwrap();
        assert!(wrong.apply(&mut service).unwrap_err().to_string().contains("bob"));
    }
}
