//! Which multiaddrs this host speaks, and what they mean.

use std::net::{IpAddr, SocketAddr};

use polypeer::address::{Iter, Multiaddr, Protocol};

use crate::{quic, webrtc};

/// A multiaddr that this host can dial, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `/memory/N`
    Memory(u64),
    /// `/ip4|ip6|dns|dns4|dns6/…/tcp/N` with what runs over it.
    Tcp { host: Host, port: u16, over: Over },
    /// `/ip4|ip6|dns|dns4|dns6/…/udp/N/webrtc-direct`, with `/certhash/…` to dial.
    WebRtc { host: Host, port: u16, certhash: Option<[u8; 34]> },
    /// `/ip4|ip6|dns|dns4|dns6/…/udp/N/quic-v1`
    Quic { host: Host, port: u16 },
    /// `/dnsaddr/NAME`; the addresses in its records must end with the bytes `end`.
    Dnsaddr { name: String, end: Vec<u8> },
}

/// The machine in an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Ip(IpAddr),
    Name(String, Family),
}

/// The kinds of addresses that a name is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Any,
    V4,
    V6,
}

/// What runs over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    /// How the address goes on behind `/tcp/N`: nothing, `/ws`, `/tls/ws`, …
    suffix: Multiaddr,
    pub(crate) layer: Layer,
}

/// What the protocols behind `/tcp/N` mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// There are none: libp2p's own upgrade follows.
    Tcp,
    /// WebSocket; `host` is for HTTP.
    Ws { host: String },
    /// Secure WebSocket; the certificate must be for `name`.
    Wss { host: String, name: String },
}

/// An [`Endpoint`] with its names resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Memory(u64),
    Tcp { at: SocketAddr, over: Over },
    WebRtc { at: SocketAddr, certhash: [u8; 34] },
    Quic { at: SocketAddr },
}

impl Endpoint {
    /// Takes `address` apart; `None` if this host does not speak it. A `/p2p` at
    /// its end is passed over.
    pub(crate) fn parse(address: &Multiaddr) -> Option<Self> {
        let whole = address;
        let address = address.without_peer();
        let mut parts = address.iter();
        let host = match parts.next()? {
            Protocol::Memory(port) => {
                return parts.next().is_none().then_some(Self::Memory(port));
            }
            Protocol::Dnsaddr(name) => {
                let end = tail(whole, 1).to_vec();
                return Some(Self::Dnsaddr { name: name.to_owned(), end });
            }
            Protocol::Ip4(ip) => Host::Ip(ip.into()),
            Protocol::Ip6(ip) => Host::Ip(ip.into()),
            Protocol::Dns(name) => Host::Name(name.to_owned(), Family::Any),
            Protocol::Dns4(name) => Host::Name(name.to_owned(), Family::V4),
            Protocol::Dns6(name) => Host::Name(name.to_owned(), Family::V6),
            _ => return None,
        };
        let port = match parts.next()? {
            Protocol::Tcp(port) => port,
            Protocol::Udp(port) => return Self::parse_udp(host, port, parts),
            _ => return None,
        };
        let wss = |host: &Host| Layer::Wss { host: host.http(port, 443), name: host.text() };
        let layer = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (None, ..) => Layer::Tcp,
            (Some(Protocol::Ws), None, ..) => Layer::Ws { host: host.http(port, 80) },
            (Some(Protocol::Wss), None, ..)
            | (Some(Protocol::Tls), Some(Protocol::Ws), None, _) => wss(&host),
            (Some(Protocol::Tls), Some(Protocol::Sni(name)), Some(Protocol::Ws), None) => {
                wss(&Host::Name(name.to_owned(), Family::Any))
            }
            _ => return None,
        };
        let suffix = Multiaddr::from_bytes(tail(&address, 2));
        let over = Over { suffix: suffix.unwrap_or_else(|_| Multiaddr::empty()), layer };
        Some(Self::Tcp { host, port, over })
    }

    /// The target at `ip`, which the host is or resolves to; none if the address
    /// lacks what a dial needs.
    pub(crate) fn at(&self, ip: IpAddr) -> Option<Target> {
        match self {
            Self::Tcp { port, over, .. } => {
                Some(Target::Tcp { at: SocketAddr::new(ip, *port), over: over.clone() })
            }
            Self::WebRtc { port, certhash, .. } => {
                Some(Target::WebRtc { at: SocketAddr::new(ip, *port), certhash: (*certhash)? })
            }
            Self::Quic { port, .. } => Some(Target::Quic { at: SocketAddr::new(ip, *port) }),
            Self::Memory(_) | Self::Dnsaddr { .. } => None,
        }
    }

    fn parse_udp(host: Host, port: u16, mut parts: Iter<'_>) -> Option<Self> {
        match parts.next()? {
            Protocol::WebrtcDirect => Self::parse_webrtc(host, port, parts),
            Protocol::QuicV1 => parts.next().is_none().then_some(Self::Quic { host, port }),
            _ => None,
        }
    }

    /// Hashes of others than SHA2-256 may stand there too (libp2p specs,
    /// `webrtc/webrtc-direct.md`, "Addressing"); that one must.
    fn parse_webrtc(host: Host, port: u16, parts: Iter<'_>) -> Option<Self> {
        let mut certhash = None;
        let mut last = None;
        for part in parts {
            let Protocol::Certhash(hash) = part else { return None };
            certhash = certhash.or(<[u8; 34]>::try_from(hash).ok().filter(is_sha2_256));
            last = Some(hash);
        }
        if last.is_some() && certhash.is_none() {
            return None;
        }
        Some(Self::WebRtc { host, port, certhash })
    }

    /// The name that must be looked up.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Memory(_)
            | Self::Tcp { host: Host::Ip(_), .. }
            | Self::WebRtc { host: Host::Ip(_), .. }
            | Self::Quic { host: Host::Ip(_), .. } => None,
            Self::Tcp { host: Host::Name(name, _), .. }
            | Self::WebRtc { host: Host::Name(name, _), .. }
            | Self::Quic { host: Host::Name(name, _), .. }
            | Self::Dnsaddr { name, .. } => Some(name),
        }
    }
}

/// Whether a multihash is one of SHA2-256: its code and its length.
fn is_sha2_256(hash: &[u8; 34]) -> bool {
    hash.starts_with(&[0x12, 0x20])
}

/// The bytes of `address` behind its first `parts`.
fn tail(address: &Multiaddr, parts: usize) -> &[u8] {
    let mut rest = address.clone();
    let all = address.iter().count();
    for _ in parts..all {
        rest.pop();
    }
    address.as_bytes().get(rest.as_bytes().len()..).unwrap_or_default()
}

impl Host {
    fn text(&self) -> String {
        match self {
            Self::Ip(ip) => ip.to_string(),
            Self::Name(name, _) => name.clone(),
        }
    }

    /// The `Host` header: the port is left out where it is the scheme's usual one.
    fn http(&self, port: u16, usual: u16) -> String {
        let host = match self {
            Self::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            other => other.text(),
        };
        if port == usual { host } else { format!("{host}:{port}") }
    }
}

impl Family {
    /// Whether `ip` is of this family.
    pub(crate) fn has(self, ip: &IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }
}

impl Target {
    /// The address of this target.
    pub(crate) fn address(&self) -> Multiaddr {
        match self {
            Self::Memory(port) => memory(*port),
            Self::Tcp { at, over } => over.address(*at),
            Self::Quic { at } => quic::address(*at),
            Self::WebRtc { at, certhash } => webrtc::with_certhash(webrtc::address(*at), *certhash),
        }
    }
}

impl Over {
    /// The address of this over TCP at `at`.
    pub(crate) fn address(&self, at: SocketAddr) -> Multiaddr {
        Multiaddr::tcp(at).concat(&self.suffix)
    }
}

/// `/memory/port`
pub(crate) fn memory(port: u64) -> Multiaddr {
    // A number is a value that this protocol always takes.
    Multiaddr::empty().with(Protocol::Memory(port)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Endpoint> {
        Endpoint::parse(&text.parse().unwrap())
    }

    #[test]
    fn every_form_of_websocket() {
        let peer = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
        for (text, host, name) in [
            ("/ip4/192.0.2.1/tcp/80/ws", "192.0.2.1", None),
            ("/ip6/2001:db8::1/tcp/81/ws", "[2001:db8::1]:81", None),
            ("/dns/example.com/tcp/443/wss", "example.com", Some("example.com")),
            ("/dns4/example.com/tcp/444/tls/ws", "example.com:444", Some("example.com")),
            ("/ip4/192.0.2.1/tcp/443/tls/sni/a.example/ws", "a.example", Some("a.example")),
        ] {
            for text in [text.to_owned(), format!("{text}/p2p/{peer}")] {
                let Some(Endpoint::Tcp { over, .. }) = parse(&text) else { panic!("{text}") };
                match over.layer.clone() {
                    Layer::Ws { host: found } => assert_eq!((&*found, None), (host, name)),
                    Layer::Wss { host: found, name: named } => {
                        assert_eq!((&*found, Some(&*named)), (host, name));
                    }
                    Layer::Tcp => panic!("{text}"),
                }
                let at = "192.0.2.9:9".parse().unwrap();
                let tail = text.split("/tcp/").nth(1).unwrap().split_once('/').unwrap().1;
                let tail = tail.split("/p2p").next().unwrap();
                assert_eq!(over.address(at).to_string(), format!("/ip4/192.0.2.9/tcp/9/{tail}"));
            }
        }
    }

    #[test]
    fn webrtc_direct_is_dialed_with_a_hash_and_listened_on_without() {
        let hash = "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g";
        let bare = "/ip6/2001:db8::1/udp/4001/webrtc-direct";
        let ip = "2001:db8::1".parse().unwrap();
        let Some(whole) = parse(&format!("{bare}/certhash/{hash}")) else { panic!() };
        let target = whole.at(ip).unwrap();
        assert_eq!(target.address().to_string(), format!("{bare}/certhash/{hash}"));
        assert!(parse(bare).is_some_and(|bare| bare.at(ip).is_none()));
        // One hash of several is one that we know.
        let two = parse(&format!("{bare}/certhash/uEwEA/certhash/{hash}")).unwrap();
        assert_eq!(two.at(ip), Some(target));
    }

    #[test]
    fn what_is_not_spoken_here_is_not_parsed() {
        let peer = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
        for text in [
            "/ip4/192.0.2.1",
            "/ip4/192.0.2.1/udp/1/quic",
            "/ip4/192.0.2.1/udp/1/quic-v1/webtransport",
            "/ip4/192.0.2.1/tcp/1/quic-v1",
            "/ip4/192.0.2.1/tcp/1/tls",
            "/ip4/192.0.2.1/tcp/1/ws/ws",
            "/ip4/192.0.2.1/tcp/1/tls/ws/http",
            "/memory/1/ws",
            "/unix/run/peer.sock",
            "/ip4/192.0.2.1/udp/1",
            "/ip4/192.0.2.1/udp/1/webrtc-direct/ws",
            "/ip4/192.0.2.1/tcp/1/webrtc-direct",
            // A hash that is not one of SHA2-256.
            "/ip4/192.0.2.1/udp/1/webrtc-direct/certhash/uEwEA",
            &format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}/p2p-circuit"),
            &format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}/p2p-circuit/p2p/{peer}"),
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
