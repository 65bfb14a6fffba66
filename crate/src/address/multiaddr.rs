//! The address itself.

use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;
use std::sync::Arc;

use super::table::{self, Length, Spec};
use super::{ParseError, ParseErrorKind, Protocol, text};
use crate::PeerId;
use crate::wire::varint;

/// A sequence of [`Protocol`]s that says how a peer can be reached.
///
/// Holds the bytes of the wire, all of which were checked, so an address that
/// exists can be shown and read again. Clones share the bytes. Ordered by bytes.
///
/// ```
/// use polypeer::{Multiaddr, PeerId};
/// let address: Multiaddr = "/ip4/192.0.2.1/udp/4001/quic-v1".parse()?;
/// let peer: PeerId = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA".parse()?;
/// let full = address.with_peer(peer);
/// assert_eq!(full.peer_id(), Some(peer));
/// assert_eq!(full.without_peer(), address);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiaddr(Arc<[u8]>);

impl Multiaddr {
    /// The longest address in bytes that is read, from text or bytes: more than
    /// twice an I2P destination, the longest value there is.
    pub const MAX_LEN: usize = 1024;

    /// The address of nothing, to [push](Self::push) to.
    pub fn empty() -> Self {
        Self(Arc::from([]))
    }

    /// Reads the bytes of the wire. Everything is checked, so that the address
    /// can be shown as text and read again.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(ParseErrorKind::TooLong.at(Self::MAX_LEN));
        }
        if bytes.is_empty() {
            return Err(ParseErrorKind::Empty.at(0));
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = split(rest).map_err(|mut error| {
                error.offset += bytes.len() - rest.len();
                error
            })?;
        }
        Ok(Self(bytes.into()))
    }

    /// `/ip4/…/tcp/…` or `/ip6/…/tcp/…`.
    pub fn tcp(address: SocketAddr) -> Self {
        Self::socket(address, Protocol::Tcp(address.port()))
    }

    /// `/ip4/…/udp/…` or `/ip6/…/udp/…`.
    pub fn udp(address: SocketAddr) -> Self {
        Self::socket(address, Protocol::Udp(address.port()))
    }

    fn socket(address: SocketAddr, transport: Protocol<'_>) -> Self {
        let mut bytes = Vec::new();
        append_protocol(&address.ip().into(), &mut bytes);
        append_protocol(&transport, &mut bytes);
        Self(bytes.into())
    }

    /// The bytes of the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is no part.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parts, from the outermost on.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// Appends a part. Fails if its value is one that the protocol cannot have, a
    /// name with a slash for instance.
    pub fn push(&mut self, protocol: Protocol<'_>) -> Result<(), ParseError> {
        let mut bytes = self.0.to_vec();
        append_protocol(&protocol, &mut bytes);
        let (_, added) = bytes.split_at(self.0.len());
        split(added)?;
        self.0 = bytes.into();
        Ok(())
    }

    /// As [`Multiaddr::push`], for chains.
    pub fn with(mut self, protocol: Protocol<'_>) -> Result<Self, ParseError> {
        self.push(protocol)?;
        Ok(self)
    }

    /// Takes the last part off.
    pub fn pop(&mut self) {
        self.0 = self.0.get(..self.last_start()).unwrap_or_default().into();
    }

    /// This address and then `other`, which is how an address behind a relay is
    /// made.
    pub fn concat(&self, other: &Self) -> Self {
        Self([self.as_bytes(), other.as_bytes()].concat().into())
    }

    /// This address with `/p2p/<peer>` at its end, in place of another peer there.
    pub fn with_peer(&self, peer: PeerId) -> Self {
        let mut bytes = self.without_peer().as_bytes().to_vec();
        append_protocol(&Protocol::P2p(peer), &mut bytes);
        Self(bytes.into())
    }

    /// This address with `/p2p-circuit` at its end.
    pub fn with_circuit(&self) -> Self {
        let mut bytes = self.0.to_vec();
        append_protocol(&Protocol::P2pCircuit, &mut bytes);
        Self(bytes.into())
    }

    /// The peer that the address ends at: its last part, if that is `/p2p`.
    pub fn peer_id(&self) -> Option<PeerId> {
        match self.iter().last() {
            Some(Protocol::P2p(peer)) => Some(peer),
            _ => None,
        }
    }

    /// This address without the `/p2p` at its end, if there is one.
    pub fn without_peer(&self) -> Self {
        let mut address = self.clone();
        if address.peer_id().is_some() {
            address.pop();
        }
        address
    }

    /// Whether the address leads through a relay.
    pub fn is_circuit(&self) -> bool {
        self.iter().any(|protocol| protocol == Protocol::P2pCircuit)
    }

    /// Whether a connection to the address goes through a relay all its life: what a
    /// relay only helps to set up, `/p2p-circuit/webrtc`, does not.
    pub fn is_relayed(&self) -> bool {
        #[cfg(feature = "webrtc")]
        return self.is_circuit() && !self.is_signalled();
        #[cfg(not(feature = "webrtc"))]
        self.is_circuit()
    }

    /// Whether the address is one of WebRTC whose two ends meet through a relay.
    #[cfg(feature = "webrtc")]
    pub fn is_signalled(&self) -> bool {
        let mut parts = self.iter().skip_while(|part| *part != Protocol::P2pCircuit);
        parts.nth(1) == Some(Protocol::Webrtc)
    }

    /// Where the last part starts.
    fn last_start(&self) -> usize {
        let mut iter = self.iter();
        let mut start = 0;
        loop {
            let here = self.0.len() - iter.rest.len();
            if iter.next().is_none() {
                return start;
            }
            start = here;
        }
    }
}

/// The parts of an address; see [`Multiaddr::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Protocol<'a>;

    fn next(&mut self) -> Option<Protocol<'a>> {
        // The bytes were checked when the address was made.
        let (protocol, rest) = split(self.rest).ok()?;
        self.rest = rest;
        Some(protocol)
    }
}

impl<'a> IntoIterator for &'a Multiaddr {
    type Item = Protocol<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Reads the first part. Offsets of errors count from the start of `bytes`.
fn split(bytes: &[u8]) -> Result<(Protocol<'_>, &[u8]), ParseError> {
    let (code, rest) = read_varint(bytes, 0)?;
    let spec = table::by_code(code).ok_or(ParseErrorKind::UnknownCode(code).at(0))?;
    let (protocol, needs) = (spec.name, spec.value.needs());
    let (length, rest) = match spec.value.length() {
        Length::Fixed(length) => (length, rest),
        Length::Prefixed => {
            let (length, rest) = read_varint(rest, bytes.len() - rest.len())?;
            (usize::try_from(length).unwrap_or(usize::MAX), rest)
        }
    };
    let offset = bytes.len() - rest.len();
    let (value, rest) = rest
        .split_at_checked(length)
        .ok_or_else(|| ParseErrorKind::NoValue { protocol, needs }.at(bytes.len()))?;
    let value = spec
        .value
        .read(value)
        .ok_or_else(|| ParseErrorKind::BadValue { protocol, needs }.at(offset))?;
    Ok((value, rest))
}

fn read_varint(bytes: &[u8], offset: usize) -> Result<(u64, &[u8]), ParseError> {
    match varint::decode(bytes) {
        Ok(Some((value, length))) => Ok((value, bytes.get(length..).unwrap_or_default())),
        Ok(None) => Err(ParseErrorKind::Truncated.at(offset)),
        Err(error) => Err(ParseErrorKind::Varint(error).at(offset)),
    }
}

/// Appends a part whose value is known to be fit.
pub(super) fn append(spec: &Spec, value: &[u8], out: &mut Vec<u8>) {
    varint::encode(spec.code, out);
    if let Length::Prefixed = spec.value.length() {
        varint::encode(value.len() as u64, out);
    }
    out.extend(value);
}

fn append_protocol(protocol: &Protocol<'_>, out: &mut Vec<u8>) {
    let mut value = Vec::new();
    protocol.write_value(&mut value);
    if let Some(spec) = table::by_code(protocol.code()) {
        append(spec, &value, out);
    }
}

impl FromStr for Multiaddr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text::parse(text).map(|bytes| Self(bytes.into()))
    }
}

impl fmt::Display for Multiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut iter = self.iter();
        while let Some(protocol) = iter.next() {
            text::write(&protocol, iter.rest.is_empty(), f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Multiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Default for Multiaddr {
    fn default() -> Self {
        Self::empty()
    }
}
