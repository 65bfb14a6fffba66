//! How a dialer and a listener that have never spoken agree on ICE credentials: the
//! dialer makes up the listener's, and says them in the username of its requests.
//!
//! Source: libp2p specs `webrtc/webrtc-direct.md` for version 1, libp2p/specs#715
//! for version 2.

/// Bytes of a name: RFC 8839 section 5.4.
const UFRAG: std::ops::RangeInclusive<usize> = 4..=256;
/// Bytes of a password: RFC 8839 section 5.4.
const PASSWORD: std::ops::RangeInclusive<usize> = 22..=256;

/// Characters of the names and passwords made here; 6 bits of randomness each.
const RANDOM_LEN: usize = 32;

/// How the credentials come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Both sides use one name, which is also the password. The dialer must rewrite
    /// its own offer for this, which browsers begin to refuse.
    V1,
    /// The dialer's own name and password stay; the listener's name, which is also
    /// its password, carries the dialer's password.
    V2,
}

impl Version {
    const fn prefix(self) -> &'static str {
        match self {
            Self::V1 => "libp2p+webrtc+v1/",
            Self::V2 => "libp2p+webrtc+v2/",
        }
    }
}

/// The credentials of both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The listener's name and password.
    pub listener: String,
    /// The dialer's name.
    pub dialer: String,
    /// The dialer's password.
    pub dialer_password: String,
}

impl Credentials {
    /// Credentials for a dial, from `random` bytes.
    pub fn new(version: Version, random: &[u8; 2 * RANDOM_LEN]) -> Self {
        let (name, password) = random.split_at(RANDOM_LEN);
        let (name, password) = (ice_chars(name), ice_chars(password));
        match version {
            Version::V1 => {
                let both = version.prefix().to_owned() + &name;
                Self { listener: both.clone(), dialer: both.clone(), dialer_password: both }
            }
            Version::V2 => {
                let listener = version.prefix().to_owned() + &password;
                Self { listener, dialer: name, dialer_password: password }
            }
        }
    }

    /// What a listener learns from the username of a request; `None` if a version
    /// is unknown or the names do not fit it.
    pub fn of_request(username: &str) -> Option<Self> {
        let (listener, dialer) = username.split_once(':')?;
        let valid = |text: &str| text.bytes().all(is_ice_char);
        let lengths = UFRAG.contains(&listener.len()) && UFRAG.contains(&dialer.len());
        if !(lengths && valid(listener) && valid(dialer)) {
            return None;
        }
        let dialer_password = if let Some(rest) = listener.strip_prefix(Version::V2.prefix()) {
            rest
        } else if listener.starts_with(Version::V1.prefix()) && listener == dialer {
            listener
        } else {
            return None;
        };
        PASSWORD.contains(&dialer_password.len()).then(|| Self {
            listener: listener.to_owned(),
            dialer: dialer.to_owned(),
            dialer_password: dialer_password.to_owned(),
        })
    }

    /// The username of the dialer's requests.
    pub fn username(&self) -> String {
        format!("{}:{}", self.listener, self.dialer)
    }
}

/// RFC 8839 section 5.1.
fn is_ice_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

fn ice_chars(random: &[u8]) -> String {
    const CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    random.iter().map(|byte| char::from(CHARS[usize::from(byte & 63)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_known_or_refused() {
        let vectors = include_str!("../tests/vectors/ufrag-versions.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        for case in vectors["cases"].as_array().unwrap() {
            let found = Credentials::of_request(case["stun_username"].as_str().unwrap());
            let text = |name: &str| case[name].as_str().map(str::to_owned);
            let (name, password) = match found {
                Some(found) => (Some(found.dialer), Some(found.dialer_password)),
                None => (None, None),
            };
            assert_eq!(name.is_some(), case["accept"].as_bool().unwrap(), "{case}");
            assert_eq!((name, password), (text("remote_ufrag"), text("remote_pwd")), "{case}");
        }
    }

    #[test]
    fn names_and_passwords_have_bounds() {
        let v1 = |length: usize| {
            let both = format!("libp2p+webrtc+v1/{}", "x".repeat(length));
            Credentials::of_request(&format!("{both}:{both}"))
        };
        let v2 = |password: usize, dialer: usize| {
            let (password, dialer) = ("p".repeat(password), "d".repeat(dialer));
            Credentials::of_request(&format!("libp2p+webrtc+v2/{password}:{dialer}"))
        };
        assert!(v1(239).is_some() && v1(240).is_none() && v1(5).is_some() && v1(4).is_none());
        assert!(v2(22, 4).is_some() && v2(21, 4).is_none());
        assert!(v2(22, 3).is_none() && v2(239, 256).is_some());
        assert!(v2(240, 256).is_none() && v2(22, 257).is_none());
        // Who rewrites its offer uses one name for both sides.
        let (one, other) = ("x".repeat(20), "y".repeat(20));
        let two_names = format!("libp2p+webrtc+v1/{one}:libp2p+webrtc+v1/{other}");
        assert_eq!(Credentials::of_request(&two_names), None);
    }

    #[test]
    fn a_listener_understands_what_a_dialer_makes_up() {
        let random = std::array::from_fn(|at| (at * 37) as u8);
        for version in [Version::V1, Version::V2] {
            let ours = Credentials::new(version, &random);
            assert_eq!(Credentials::of_request(&ours.username()).as_ref(), Some(&ours));
        }
    }
}
