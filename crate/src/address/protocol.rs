//! One part of an address.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::table;
use crate::PeerId;

/// A protocol and its value: one part of an address.
///
/// Source: `protocols.csv` of multiformats "multiaddr", which describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol<'a> {
    /// `/ip4/192.0.2.1`
    Ip4(Ipv4Addr),
    /// `/ip6/2001:db8::1`
    Ip6(Ipv6Addr),
    /// `/ip6zone/eth0`, the zone of the address before or after it (RFC 4007)
    Ip6zone(&'a str),
    /// `/ipcidr/24`, the mask of the address before it
    Ipcidr(u8),
    /// `/dns/example.com`, resolved to IPv4 and IPv6
    Dns(&'a str),
    /// `/dns4/example.com`, resolved to IPv4
    Dns4(&'a str),
    /// `/dns6/example.com`, resolved to IPv6
    Dns6(&'a str),
    /// `/dnsaddr/example.com`, resolved to addresses in TXT records
    Dnsaddr(&'a str),
    /// `/tcp/4001`
    Tcp(u16),
    /// `/udp/4001`
    Udp(u16),
    /// `/dccp/4001`
    Dccp(u16),
    /// `/sctp/4001`
    Sctp(u16),
    /// `/udt`
    Udt,
    /// `/utp`
    Utp,
    /// `/unix/run/peer.sock`; the value is the absolute path, as UTF-8
    Unix(&'a str),
    /// `/p2p/12D3KooW…`, formerly `/ipfs/…`
    P2p(PeerId),
    /// `/onion/aaimaq4ygg2iegci:80`, a Tor service of version 2 and its port
    Onion(&'a [u8; 10], u16),
    /// `/onion3/vww6…:80`, a Tor service of version 3 and its port
    Onion3(&'a [u8; 35], u16),
    /// `/garlic64/…`, an I2P destination
    Garlic64(&'a [u8]),
    /// `/garlic32/…`, the hash of an I2P destination
    Garlic32(&'a [u8]),
    /// `/tls`
    Tls,
    /// `/sni/example.com` (RFC 6066 section 3)
    Sni(&'a str),
    /// `/noise`
    Noise,
    /// `/quic`, of IETF draft 29
    Quic,
    /// `/quic-v1` (RFC 9000)
    QuicV1,
    /// `/webtransport`
    WebTransport,
    /// `/certhash/uEi…`; the value is the multihash of a certificate
    Certhash(&'a [u8]),
    /// `/http`
    Http,
    /// `/http-path/a%2Fb`; the value is the decoded path
    HttpPath(&'a [u8]),
    /// `/https`, deprecated for `/tls/http`
    Https,
    /// `/ws`
    Ws,
    /// `/wss`, deprecated for `/tls/ws`
    Wss,
    /// `/p2p-websocket-star`, deprecated
    P2pWebsocketStar,
    /// `/p2p-stardust`, deprecated
    P2pStardust,
    /// `/p2p-webrtc-star`, deprecated
    P2pWebrtcStar,
    /// `/p2p-webrtc-direct`, deprecated
    P2pWebrtcDirect,
    /// `/webrtc-direct`
    WebrtcDirect,
    /// `/webrtc`
    Webrtc,
    /// `/p2p-circuit`
    P2pCircuit,
    /// `/memory/4`. The table leaves its form open; go and rust implementations
    /// have 64 bits, and so has this.
    Memory(u64),
}

impl<'a> Protocol<'a> {
    /// The name in the address, without slashes.
    pub fn name(&self) -> &'static str {
        table::by_code(self.code()).map_or("", |spec| spec.name)
    }

    /// The code of the protocol.
    pub const fn code(&self) -> u64 {
        match self {
            Self::Ip4(_) => 4,
            Self::Tcp(_) => 6,
            Self::Dccp(_) => 33,
            Self::Ip6(_) => 41,
            Self::Ip6zone(_) => 42,
            Self::Ipcidr(_) => 43,
            Self::Dns(_) => 53,
            Self::Dns4(_) => 54,
            Self::Dns6(_) => 55,
            Self::Dnsaddr(_) => 56,
            Self::Sctp(_) => 132,
            Self::Udp(_) => 273,
            Self::P2pWebrtcStar => 275,
            Self::P2pWebrtcDirect => 276,
            Self::P2pStardust => 277,
            Self::WebrtcDirect => 280,
            Self::Webrtc => 281,
            Self::P2pCircuit => 290,
            Self::Udt => 301,
            Self::Utp => 302,
            Self::Unix(_) => 400,
            Self::P2p(_) => 421,
            Self::Https => 443,
            Self::Onion(..) => 444,
            Self::Onion3(..) => 445,
            Self::Garlic64(_) => 446,
            Self::Garlic32(_) => 447,
            Self::Tls => 448,
            Self::Sni(_) => 449,
            Self::Noise => 454,
            Self::Quic => 460,
            Self::QuicV1 => 461,
            Self::WebTransport => 465,
            Self::Certhash(_) => 466,
            Self::Ws => 477,
            Self::Wss => 478,
            Self::P2pWebsocketStar => 479,
            Self::Http => 480,
            Self::HttpPath(_) => 481,
            Self::Memory(_) => 777,
        }
    }

    /// Appends the value as it stands in an address, without its length.
    pub(super) fn write_value(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ip4(ip) => out.extend(ip.octets()),
            Self::Ip6(ip) => out.extend(ip.octets()),
            Self::Ipcidr(bits) => out.push(*bits),
            Self::Tcp(port) | Self::Udp(port) | Self::Dccp(port) | Self::Sctp(port) => {
                out.extend(port.to_be_bytes());
            }
            Self::Ip6zone(text)
            | Self::Dns(text)
            | Self::Dns4(text)
            | Self::Dns6(text)
            | Self::Dnsaddr(text)
            | Self::Sni(text)
            | Self::Unix(text) => out.extend(text.as_bytes()),
            Self::P2p(peer) => out.extend(peer.as_bytes()),
            Self::Onion(host, port) => {
                out.extend(*host);
                out.extend(port.to_be_bytes());
            }
            Self::Onion3(host, port) => {
                out.extend(*host);
                out.extend(port.to_be_bytes());
            }
            Self::Garlic64(bytes)
            | Self::Garlic32(bytes)
            | Self::Certhash(bytes)
            | Self::HttpPath(bytes) => out.extend(*bytes),
            Self::Memory(number) => out.extend(number.to_be_bytes()),
            _ => {}
        }
    }
}

impl From<IpAddr> for Protocol<'_> {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::Ip4(ip),
            IpAddr::V6(ip) => Self::Ip6(ip),
        }
    }
}
