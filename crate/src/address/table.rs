//! The table of protocols, and how the bytes of each value are read.
//!
//! Source: `protocols.csv` of multiformats "multiaddr".

use super::Protocol;
use crate::PeerId;
use crate::wire::varint;

/// A row of the table.
pub(super) struct Spec {
    pub(super) code: u64,
    pub(super) name: &'static str,
    pub(super) value: Value,
}

/// The kind of a protocol's value.
pub(super) enum Value {
    /// No value.
    Flag(Protocol<'static>),
    Port(fn(u16) -> Protocol<'static>),
    Name(for<'a> fn(&'a str) -> Protocol<'a>),
    Ip4,
    Ip6,
    Cidr,
    Unix,
    Peer,
    Onion,
    Onion3,
    Garlic64,
    Garlic32,
    Certhash,
    HttpPath,
    Memory,
}

/// How many bytes a value has.
pub(super) enum Length {
    Fixed(usize),
    /// A varint before the value says it.
    Prefixed,
}

const fn row(code: u64, name: &'static str, value: Value) -> Spec {
    Spec { code, name, value }
}

const fn flag(name: &'static str, protocol: Protocol<'static>) -> Spec {
    row(protocol.code(), name, Value::Flag(protocol))
}

static TABLE: [Spec; 40] = [
    row(4, "ip4", Value::Ip4),
    row(41, "ip6", Value::Ip6),
    row(6, "tcp", Value::Port(Protocol::Tcp)),
    row(273, "udp", Value::Port(Protocol::Udp)),
    row(421, "p2p", Value::Peer),
    flag("quic-v1", Protocol::QuicV1),
    flag("webtransport", Protocol::WebTransport),
    row(466, "certhash", Value::Certhash),
    flag("webrtc-direct", Protocol::WebrtcDirect),
    flag("webrtc", Protocol::Webrtc),
    flag("p2p-circuit", Protocol::P2pCircuit),
    flag("tls", Protocol::Tls),
    flag("ws", Protocol::Ws),
    flag("wss", Protocol::Wss),
    row(449, "sni", Value::Name(|name| Protocol::Sni(name))),
    row(53, "dns", Value::Name(|name| Protocol::Dns(name))),
    row(54, "dns4", Value::Name(|name| Protocol::Dns4(name))),
    row(55, "dns6", Value::Name(|name| Protocol::Dns6(name))),
    row(56, "dnsaddr", Value::Name(|name| Protocol::Dnsaddr(name))),
    flag("quic", Protocol::Quic),
    flag("http", Protocol::Http),
    row(481, "http-path", Value::HttpPath),
    flag("https", Protocol::Https),
    flag("noise", Protocol::Noise),
    row(42, "ip6zone", Value::Name(|name| Protocol::Ip6zone(name))),
    row(43, "ipcidr", Value::Cidr),
    row(400, "unix", Value::Unix),
    row(777, "memory", Value::Memory),
    row(444, "onion", Value::Onion),
    row(445, "onion3", Value::Onion3),
    row(446, "garlic64", Value::Garlic64),
    row(447, "garlic32", Value::Garlic32),
    row(33, "dccp", Value::Port(Protocol::Dccp)),
    row(132, "sctp", Value::Port(Protocol::Sctp)),
    flag("udt", Protocol::Udt),
    flag("utp", Protocol::Utp),
    flag("p2p-websocket-star", Protocol::P2pWebsocketStar),
    flag("p2p-stardust", Protocol::P2pStardust),
    flag("p2p-webrtc-star", Protocol::P2pWebrtcStar),
    flag("p2p-webrtc-direct", Protocol::P2pWebrtcDirect),
];

pub(super) fn by_code(code: u64) -> Option<&'static Spec> {
    TABLE.iter().find(|spec| spec.code == code)
}

/// `ipfs` is the old name of `p2p`.
pub(super) fn by_name(name: &str) -> Option<&'static Spec> {
    let name = if name == "ipfs" { "p2p" } else { name };
    TABLE.iter().find(|spec| spec.name == name)
}

impl Value {
    pub(super) fn length(&self) -> Length {
        match self {
            Self::Flag(_) => Length::Fixed(0),
            Self::Cidr => Length::Fixed(1),
            Self::Port(_) => Length::Fixed(2),
            Self::Ip4 => Length::Fixed(4),
            Self::Memory => Length::Fixed(8),
            Self::Onion => Length::Fixed(12),
            Self::Ip6 => Length::Fixed(16),
            Self::Onion3 => Length::Fixed(37),
            Self::Name(_)
            | Self::Unix
            | Self::Peer
            | Self::Garlic64
            | Self::Garlic32
            | Self::Certhash
            | Self::HttpPath => Length::Prefixed,
        }
    }

    /// What the value must be, to follow "needs" in an error.
    pub(super) fn needs(&self) -> &'static str {
        match self {
            Self::Flag(_) => "no value",
            Self::Port(_) => "a port from 0 to 65535",
            Self::Name(_) => "a name of visible characters without a slash",
            Self::Ip4 => "an IPv4 address, as in 192.0.2.1",
            Self::Ip6 => "an IPv6 address, as in 2001:db8::1",
            Self::Cidr => "a number of bits from 0 to 255",
            Self::Unix => "an absolute path in UTF-8",
            Self::Peer => "a peer id, as in 12D3KooW…, Qm… or bafz…",
            Self::Onion => "16 letters of base32, a colon and a port from 1 to 65535",
            Self::Onion3 => "56 letters of base32, a colon and a port from 1 to 65535",
            Self::Garlic64 => "an I2P destination of at least 387 bytes in I2P's base64",
            Self::Garlic32 => "32 bytes, or at least 35, in base32",
            Self::Certhash => "a multihash in multibase, as in uEi…",
            Self::HttpPath => "a path in which slashes are written as %2F",
            Self::Memory => "a number below 2^64",
        }
    }

    /// Reads the bytes of a value. `None` if they are not what it [needs](Self::needs).
    pub(super) fn read<'a>(&self, bytes: &'a [u8]) -> Option<Protocol<'a>> {
        Some(match self {
            Self::Flag(protocol) => *protocol,
            Self::Port(make) => make(u16::from_be_bytes(bytes.try_into().ok()?)),
            Self::Name(make) => make(name(bytes)?),
            Self::Ip4 => Protocol::Ip4(<[u8; 4]>::try_from(bytes).ok()?.into()),
            Self::Ip6 => Protocol::Ip6(<[u8; 16]>::try_from(bytes).ok()?.into()),
            Self::Cidr => Protocol::Ipcidr(*bytes.first()?),
            Self::Unix => Protocol::Unix(
                core::str::from_utf8(bytes).ok().filter(|path| path.starts_with('/'))?,
            ),
            Self::Peer => Protocol::P2p(PeerId::from_bytes(bytes).ok()?),
            Self::Onion => {
                let (host, port) = bytes.split_first_chunk()?;
                Protocol::Onion(host, service_port(port)?)
            }
            Self::Onion3 => {
                let (host, port) = bytes.split_first_chunk()?;
                Protocol::Onion3(host, service_port(port)?)
            }
            Self::Garlic64 => Protocol::Garlic64((bytes.len() >= GARLIC64_MIN).then_some(bytes)?),
            Self::Garlic32 => {
                Protocol::Garlic32((bytes.len() == 32 || bytes.len() >= 35).then_some(bytes)?)
            }
            Self::Certhash => Protocol::Certhash(is_multihash(bytes).then_some(bytes)?),
            Self::HttpPath => Protocol::HttpPath((!bytes.is_empty()).then_some(bytes)?),
            Self::Memory => Protocol::Memory(u64::from_be_bytes(bytes.try_into().ok()?)),
        })
    }
}

/// The shortest I2P destination in bytes: two keys and a null certificate.
const GARLIC64_MIN: usize = 387;

/// A value that is shown as it is: a slash would change the address's meaning,
/// control characters the terminal's.
fn name(bytes: &[u8]) -> Option<&str> {
    let name = core::str::from_utf8(bytes).ok()?;
    let fit = !name.is_empty() && !name.chars().any(|c| c == '/' || c.is_control());
    fit.then_some(name)
}

fn service_port(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.try_into().ok()?)).filter(|port| *port > 0)
}

/// Whether `bytes` are a code, a length and as many bytes.
fn is_multihash(bytes: &[u8]) -> bool {
    let Ok(Some((_, taken))) = varint::decode(bytes) else { return false };
    let rest = bytes.get(taken..).unwrap_or_default();
    let Ok(Some((length, taken))) = varint::decode(rest) else { return false };
    length > 0 && length == (rest.len() - taken) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_agree_with_the_protocols() {
        for spec in &TABLE {
            assert_eq!(TABLE.iter().filter(|other| other.code == spec.code).count(), 1);
            assert_eq!(TABLE.iter().filter(|other| other.name == spec.name).count(), 1);
            let protocol = match &spec.value {
                Value::Flag(protocol) => *protocol,
                Value::Port(make) => make(1),
                Value::Name(make) => make("x"),
                _ => continue,
            };
            assert_eq!((protocol.code(), protocol.name()), (spec.code, spec.name));
        }
    }
}
