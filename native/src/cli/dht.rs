//! What `polypeer serve` is told about its DHT.

use polypeer::protocols::kad::{Config, Mode, NAME};
use serde::Deserialize;

use super::config::Amount;

/// Taking part in the DHT of this name. In the public one, only who can be dialed by
/// everyone serves; in one's own, a server is there to serve.
pub(super) fn config(name: &str) -> Config {
    match name {
        NAME => Config::public(),
        name => Config { protocol: name.into(), mode: Mode::Server, ..Config::default() },
    }
}

/// The part `[dht]` of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Dht {
    mode: Option<Part>,
    /// Records that are kept for others, and their bytes.
    records: Option<usize>,
    record_bytes: Option<Amount>,
    /// Keys whose providers are kept.
    provided: Option<usize>,
    /// Ways that share no peer, in each search.
    paths: Option<usize>,
    optimistic: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    Auto,
    Client,
    Server,
}

impl Dht {
    pub(super) fn apply(self, config: &mut Config) {
        if let Some(part) = self.mode {
            config.mode = match part {
                Part::Auto => Mode::Auto,
                Part::Client => Mode::Client,
                Part::Server => Mode::Server,
            };
        }
        let counts = [
            (self.records, &mut config.store.records),
            (self.record_bytes.map(Amount::size), &mut config.store.record_bytes),
            (self.provided, &mut config.store.provided),
            (self.paths, &mut config.lookup.paths),
        ];
        for (said, place) in counts {
            *place = said.unwrap_or(*place);
        }
        config.optimistic = self.optimistic.unwrap_or(config.optimistic);
    }
}

#[cfg(test)]
mod tests {
    use polypeer::protocols::kad::OWN_NAME;

    use super::*;

    #[test]
    fn a_network_of_ones_own_is_served_and_the_public_one_if_it_can_be() {
        assert_eq!(config(OWN_NAME).mode, Mode::Server);
        assert!(config(OWN_NAME).private);
        let public = config(NAME);
        assert_eq!((public.mode, public.private), (Mode::Auto, false));
        assert_eq!(&*public.protocol, NAME);
    }

    #[test]
    fn the_file_says_what_is_kept() {
        let file = "mode = 'client'\nrecords = 10\nrecord_bytes = '1M'\npaths = 4";
        let mut config = config(OWN_NAME);
        toml::from_str::<Dht>(file).unwrap().apply(&mut config);
        assert_eq!(config.mode, Mode::Client);
        assert_eq!((config.store.records, config.store.record_bytes), (10, 1 << 20));
        assert_eq!((config.lookup.paths, config.optimistic), (4, false));
    }
}
