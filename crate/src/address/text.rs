//! Addresses as text: `/name/value/name/value…`.

use core::fmt::Write;
use core::net::{Ipv4Addr, Ipv6Addr};

use super::table::{self, Spec, Value};
use super::{Multiaddr, ParseError, ParseErrorKind, Protocol, multiaddr, percent};
use crate::PeerId;
use crate::wire::base;

/// Reads the whole text into the bytes of an address.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, ParseError> {
    let trimmed = text.trim_end_matches('/');
    if trimmed.is_empty() {
        return Err(ParseErrorKind::Empty.at(0));
    }
    if !trimmed.starts_with('/') {
        return Err(ParseErrorKind::NoSlash.at(0));
    }
    let mut rest = Segments { text: trimmed, next: 1 };
    let mut out = Vec::new();
    while let Some((offset, name)) = rest.next() {
        if name.is_empty() {
            return Err(ParseErrorKind::NoName.at(offset));
        }
        let spec =
            table::by_name(name).ok_or_else(|| ParseErrorKind::unknown_name(name).at(offset))?;
        let value = read_value(spec, &mut rest)?;
        multiaddr::append(spec, &value, &mut out);
        if out.len() > Multiaddr::MAX_LEN {
            return Err(ParseErrorKind::TooLong.at(offset));
        }
    }
    Ok(out)
}

/// The parts between slashes.
struct Segments<'a> {
    text: &'a str,
    /// Where the next part starts; past the end when there is none.
    next: usize,
}

impl<'a> Segments<'a> {
    fn next(&mut self) -> Option<(usize, &'a str)> {
        let offset = self.next;
        let rest = self.text.get(offset..)?;
        let length = rest.find('/').unwrap_or(rest.len());
        self.next = offset + length + 1;
        Some((offset, rest.get(..length)?))
    }

    /// A path: all that is left from the slash on, or one part in which the
    /// slashes are percent-encoded.
    fn path(&mut self) -> Option<(usize, Option<Vec<u8>>)> {
        let offset = self.next;
        let rest = self.text.get(offset..)?;
        if rest.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2f")) {
            let (offset, part) = self.next()?;
            return Some((offset, percent::decode(part)));
        }
        self.next = self.text.len() + 1;
        Some((offset, Some([b"/", rest.as_bytes()].concat())))
    }
}

fn read_value(spec: &'static Spec, rest: &mut Segments<'_>) -> Result<Vec<u8>, ParseError> {
    if let Value::Flag(_) = spec.value {
        return Ok(Vec::new());
    }
    let (protocol, needs) = (spec.name, spec.value.needs());
    let part = match spec.value {
        Value::Unix => rest.path(),
        _ => rest.next().map(|(offset, text)| (offset, value_bytes(&spec.value, text))),
    };
    let (offset, bytes) =
        part.ok_or_else(|| ParseErrorKind::NoValue { protocol, needs }.at(rest.text.len()))?;
    // The same check as for addresses that come as bytes.
    bytes
        .filter(|bytes| spec.value.read(bytes).is_some())
        .ok_or_else(|| ParseErrorKind::BadValue { protocol, needs }.at(offset))
}

/// The bytes that the text of a value stands for, yet to be checked.
fn value_bytes(value: &Value, text: &str) -> Option<Vec<u8>> {
    // No value is longer as text than thrice its bytes.
    if text.len() > 3 * Multiaddr::MAX_LEN {
        return None;
    }
    Some(match value {
        Value::Flag(_) | Value::Unix => return None,
        Value::Port(_) => u16::try_from(number(text)?).ok()?.to_be_bytes().to_vec(),
        Value::Cidr => vec![u8::try_from(number(text)?).ok()?],
        Value::Memory => number(text)?.to_be_bytes().to_vec(),
        Value::Name(_) => text.as_bytes().to_vec(),
        Value::Ip4 => text.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
        Value::Ip6 => text.parse::<Ipv6Addr>().ok()?.octets().to_vec(),
        Value::Peer => text.parse::<PeerId>().ok()?.as_bytes().to_vec(),
        Value::Onion => service(text, 16)?,
        Value::Onion3 => service(text, 56)?,
        Value::Garlic64 => base::decode_i2p64(text)?,
        Value::Garlic32 => base::decode_host32(text)?,
        Value::Certhash => base::decode(text).ok()?,
        Value::HttpPath => percent::decode(text)?,
    })
}

/// A decimal number without a sign.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

/// A Tor service: `letters` of base32, a colon and a port.
fn service(text: &str, letters: usize) -> Option<Vec<u8>> {
    let (host, port) = text.split_once(':')?;
    if host.len() != letters {
        return None;
    }
    let mut bytes = base::decode_host32(host)?;
    bytes.extend(u16::try_from(number(port)?).ok()?.to_be_bytes());
    Some(bytes)
}

/// Writes one part of an address; `last` says whether it ends the address.
pub(super) fn write(
    protocol: &Protocol<'_>,
    last: bool,
    f: &mut core::fmt::Formatter<'_>,
) -> core::fmt::Result {
    f.write_char('/')?;
    f.write_str(protocol.name())?;
    match protocol {
        Protocol::Ip4(ip) => write_ip4(*ip, f),
        Protocol::Ip6(ip) => write_ip6(*ip, f),
        Protocol::Ipcidr(bits) => write!(f, "/{bits}"),
        Protocol::Tcp(port) | Protocol::Udp(port) | Protocol::Dccp(port) | Protocol::Sctp(port) => {
            write!(f, "/{port}")
        }
        Protocol::Ip6zone(text)
        | Protocol::Dns(text)
        | Protocol::Dns4(text)
        | Protocol::Dns6(text)
        | Protocol::Dnsaddr(text)
        | Protocol::Sni(text) => write!(f, "/{text}"),
        Protocol::Unix(path) if last && is_plain(path) => f.write_str(path),
        Protocol::Unix(path) => write_escaped(path.as_bytes(), f),
        Protocol::P2p(peer) => write!(f, "/{peer}"),
        Protocol::Onion(host, port) => write!(f, "/{}:{port}", base::encode_host32(*host)),
        Protocol::Onion3(host, port) => write!(f, "/{}:{port}", base::encode_host32(*host)),
        Protocol::Garlic64(bytes) => write!(f, "/{}", base::encode_i2p64(bytes)),
        Protocol::Garlic32(bytes) => write!(f, "/{}", base::encode_host32(bytes)),
        Protocol::Certhash(bytes) => write!(f, "/{}", base::encode_base64_url(bytes)),
        Protocol::HttpPath(path) => write_escaped(path, f),
        Protocol::Memory(number) => write!(f, "/{number}"),
        _ => Ok(()),
    }
}

/// As its `Display`, without the widths and the padding that a page would have to load.
fn write_ip4(ip: Ipv4Addr, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
    let [a, b, c, d] = ip.octets();
    write!(f, "/{a}.{b}.{c}.{d}")
}

/// As its `Display` (RFC 5952); see [`write_ip4`].
fn write_ip6(ip: Ipv6Addr, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
    if let Some(ip) = ip.to_ipv4_mapped() {
        f.write_str("/::ffff:")?;
        let [a, b, c, d] = ip.octets();
        return write!(f, "{a}.{b}.{c}.{d}");
    }
    let segments = ip.segments();
    // The first of the longest runs of zeros is left out.
    let (mut zeros, mut run) = (0..0, 0);
    for (at, segment) in segments.iter().enumerate() {
        run = if *segment == 0 { run + 1 } else { 0 };
        if run > zeros.len().max(1) {
            zeros = at + 1 - run..at + 1;
        }
    }
    f.write_char('/')?;
    for (at, segment) in segments.into_iter().enumerate() {
        if zeros.contains(&at) {
            if at == zeros.start {
                f.write_str("::")?;
            }
            continue;
        }
        if at > 0 && at != zeros.end {
            f.write_char(':')?;
        }
        let digits = [12, 8, 4, 0].map(|shift| segment >> shift & 0xf);
        let first = digits.iter().position(|digit| *digit != 0).unwrap_or(3);
        for digit in &digits[first..] {
            f.write_char(char::from_digit(u32::from(*digit), 16).unwrap_or('0'))?;
        }
    }
    Ok(())
}

fn write_escaped(bytes: &[u8], f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
    let mut text = String::from("/");
    percent::encode(bytes, &mut text);
    f.write_str(&text)
}

/// Whether a path survives to be written with its own slashes.
fn is_plain(path: &str) -> bool {
    !path.ends_with('/') && !path.chars().any(|c| c == '%' || c.is_control())
}
