//! Which peers and addresses are of use to who asks (IPFS specs, IPIP-484).

use polypeer::Multiaddr;

/// The longest name of a transfer protocol, by the specification.
const MAX_NAME: usize = 63;

/// What the query of a request says; without it all pass.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    /// Names of which an address has one, and of which it has none.
    with: Vec<String>,
    without: Vec<String>,
    /// Whether peers pass whose addresses are not known.
    nowhere: bool,
    addresses: bool,
    /// Transfer protocols, of which a peer speaks one.
    protocols: Option<Vec<String>>,
}

impl Filters {
    /// Reads what stands behind the `?`; or why it makes no sense.
    pub(super) fn read(query: &str) -> Result<Self, String> {
        let mut filters = Self::default();
        for (name, value) in query.split('&').filter_map(|part| part.split_once('=')) {
            let decoded = decode(value).ok_or_else(|| format!("{name} is not text"))?;
            let values = decoded.split(',').map(str::trim).filter(|value| !value.is_empty());
            let mut values = values.map(str::to_ascii_lowercase);
            match name {
                "filter-addrs" => {
                    for value in values {
                        filters.addresses = true;
                        match value.strip_prefix('!') {
                            Some(value) => filters.without.push(value.into()),
                            None if value == "unknown" => filters.nowhere = true,
                            None => filters.with.push(value),
                        }
                    }
                }
                "filter-protocols" => {
                    let mut names = filters.protocols.take().unwrap_or_default();
                    if values.any(|value| {
                        names.push(value);
                        names.last().is_some_and(|name| name.len() > MAX_NAME)
                    }) {
                        return Err(format!("{name} has a name of more than {MAX_NAME} letters"));
                    }
                    filters.protocols = Some(names).filter(|names| !names.is_empty());
                }
                _ => {}
            }
        }
        Ok(filters)
    }

    /// Leaves the addresses that pass; whether the peer does. Of the peers of a DHT it is
    /// not known which transfer protocols they speak.
    pub(super) fn pass(&self, addresses: &mut Vec<Multiaddr>) -> bool {
        let unknown = |names: &Vec<String>| names.iter().any(|name| name == "unknown");
        if !self.protocols.as_ref().is_none_or(unknown) {
            return false;
        }
        if !self.addresses {
            return true;
        }
        if addresses.is_empty() {
            return self.nowhere;
        }
        let has = |address: &Multiaddr, names: &[String]| {
            address.iter().any(|part| names.iter().any(|name| name == part.name()))
        };
        let wanted = !self.with.is_empty() || self.nowhere && self.without.is_empty();
        addresses.retain(|address| {
            (!wanted || has(address, &self.with)) && !has(address, &self.without)
        });
        !addresses.is_empty()
    }
}

/// Text with `%` and two digits in place of some bytes.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 4] = [
        "/ip4/192.0.2.1/tcp/1",
        "/ip6/2001:db8::1/udp/1/quic-v1",
        "/dns4/a.example/tcp/443/tls/ws",
        "/ip4/192.0.2.1/udp/1/webrtc-direct",
    ];

    /// The numbers of the addresses that pass.
    fn pass(query: &str) -> Option<Vec<usize>> {
        let all = ALL.map(|text| text.parse::<Multiaddr>().unwrap());
        let mut left = all.to_vec();
        let passes = Filters::read(query).unwrap().pass(&mut left);
        let numbers = left.iter().map(|one| all.iter().position(|all| all == one).unwrap());
        passes.then_some(numbers.collect())
    }

    #[test]
    fn addresses() {
        assert_eq!(pass(""), Some(vec![0, 1, 2, 3]));
        assert_eq!(pass("filter-addrs="), Some(vec![0, 1, 2, 3]));
        assert_eq!(pass("other=x&filter-addrs=webrtc-direct,TLS"), Some(vec![2, 3]));
        assert_eq!(pass("filter-addrs=tls%2Cquic-v1"), Some(vec![1, 2]));
        assert_eq!(pass("filter-addrs=!ip6,!tls"), Some(vec![0, 3]));
        assert_eq!(pass("filter-addrs=%21ip6,tcp,!tls"), Some(vec![0]));
        assert_eq!(pass("filter-addrs=webtransport"), None);
        assert_eq!(pass("filter-addrs=unknown,ws"), Some(vec![2]));
        assert_eq!(pass("filter-addrs=unknown"), None, "they are known");
        assert_eq!(pass("filter-addrs=unknown,!ip6"), Some(vec![0, 2, 3]));
    }

    #[test]
    fn peers_of_which_nothing_is_known() {
        let nowhere = |query: &str| Filters::read(query).unwrap().pass(&mut Vec::new());
        for query in
            ["", "filter-addrs=unknown", "filter-addrs=tcp,unknown", "filter-addrs=!tcp,unknown"]
        {
            assert!(nowhere(query), "{query}");
        }
        for query in ["filter-addrs=tcp", "filter-addrs=!tcp"] {
            assert!(!nowhere(query), "{query}");
        }
        assert_eq!(pass("filter-protocols=transport-bitswap"), None);
        assert_eq!(pass("filter-protocols=transport-bitswap,Unknown"), Some(vec![0, 1, 2, 3]));
        assert_eq!(pass("filter-protocols=unknown&filter-addrs=ws"), Some(vec![2]));
    }

    #[test]
    fn what_makes_no_sense() {
        let long = format!("filter-protocols={}", "a".repeat(MAX_NAME + 1));
        for query in ["filter-addrs=%f", "filter-addrs=%zz", "filter-addrs=%ff", &long] {
            assert!(Filters::read(query).is_err(), "{query}");
        }
    }
}
