//! STUN binding requests and their answers, as ICE uses them.
//!
//! Source: RFC 8489 (messages and attributes), RFC 8445 section 7 (what ICE adds).

use std::net::{IpAddr, SocketAddr};

use crc::{CRC_32_ISO_HDLC, Crc};
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// The longest message that is read: a request with the longest username and all
/// that ICE adds has 700 bytes.
const MAX_MESSAGE: usize = 1280;

const HEADER_LEN: usize = 20;
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const FINGERPRINT_MASK: u32 = 0x5354_554e;
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

/// Ties an answer to its request.
pub(crate) type Transaction = [u8; 12];

/// What kind of message about a binding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// A message that was read; what it says is not proved before
/// [`verify`](Message::verify).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) class: Class,
    pub(crate) transaction: Transaction,
    /// Of a request: the receiver's name, a colon, the sender's.
    pub(crate) username: Option<&'a str>,
    /// What comes before the proof, and the proof.
    integrity: Option<(&'a [u8], &'a [u8])>,
}

/// Whether a datagram is STUN rather than DTLS (RFC 7983).
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(0..=3))
}

impl<'a> Message<'a> {
    /// Reads a message about a binding; `None` if it is none.
    pub(crate) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (header, mut rest) = datagram.split_at_checked(HEADER_LEN)?;
        let (kind, length) = (number(header, 0)?, number(header, 2)?);
        let whole = datagram.len() <= MAX_MESSAGE && usize::from(length) == rest.len();
        if !whole || header.get(4..8) != Some(&COOKIE) {
            return None;
        }
        let class = match kind {
            0x0001 => Class::Request,
            0x0011 => Class::Indication,
            0x0101 => Class::Success,
            0x0111 => Class::Error,
            _ => return None,
        };
        let transaction = header.get(8..)?.try_into().ok()?;
        let mut message = Self { class, transaction, username: None, integrity: None };
        while !rest.is_empty() {
            let before = datagram.get(..datagram.len() - rest.len())?;
            let (kind, length) = (number(rest, 0)?, usize::from(number(rest, 2)?));
            let value = rest.get(4..4 + length)?;
            rest = rest.get(4 + length.next_multiple_of(4)..)?;
            match kind {
                FINGERPRINT => {
                    let sum = checksum(before).to_be_bytes();
                    if value != sum || !rest.is_empty() {
                        return None;
                    }
                }
                // What stands behind the proof is not proved, and thus passed over.
                _ if message.integrity.is_some() => {}
                MESSAGE_INTEGRITY => message.integrity = Some((before, value)),
                USERNAME if message.username.is_none() => {
                    message.username = Some(std::str::from_utf8(value).ok()?);
                }
                _ => {}
            }
        }
        Some(message)
    }

    /// Whether the message comes from somebody who knows `password`.
    pub(crate) fn verify(&self, password: &str) -> bool {
        let Some((before, proof)) = self.integrity else { return false };
        mac(before, password).is_some_and(|mac| mac.verify_slice(proof).is_ok())
    }
}

/// A check of the path. The side that `controls` ICE nominates it with that.
pub(crate) fn request(
    transaction: Transaction,
    username: &str,
    password: &str,
    controls: bool,
    tie_breaker: [u8; 8],
) -> Vec<u8> {
    let mut message = begin(Class::Request, transaction);
    attribute(&mut message, USERNAME, username.as_bytes());
    // That of a host candidate (RFC 8445 section 5.1.2), and of the only one.
    attribute(&mut message, PRIORITY, &0x6e7f_ffff_u32.to_be_bytes());
    if controls {
        attribute(&mut message, ICE_CONTROLLING, &tie_breaker);
        attribute(&mut message, USE_CANDIDATE, &[]);
    } else {
        attribute(&mut message, ICE_CONTROLLED, &tie_breaker);
    }
    finish(message, password)
}

/// The answer to a request that came from `to`.
pub(crate) fn success(transaction: Transaction, to: SocketAddr, password: &str) -> Vec<u8> {
    let mut message = begin(Class::Success, transaction);
    let mut address = vec![0, if to.is_ipv4() { 1 } else { 2 }];
    address.extend(to.port().to_be_bytes());
    match to.ip() {
        IpAddr::V4(ip) => address.extend(ip.octets()),
        IpAddr::V6(ip) => address.extend(ip.octets()),
    }
    // The port is masked with the first bytes of the cookie (RFC 8489 section 14.2).
    let mask = COOKIE.iter().take(2).chain(&COOKIE).chain(&transaction);
    address.iter_mut().skip(2).zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    attribute(&mut message, XOR_MAPPED_ADDRESS, &address);
    finish(message, password)
}

fn begin(class: Class, transaction: Transaction) -> Vec<u8> {
    let kind: u16 = match class {
        Class::Request => 0x0001,
        Class::Indication => 0x0011,
        Class::Success => 0x0101,
        Class::Error => 0x0111,
    };
    let mut message = Vec::with_capacity(256);
    message.extend(kind.to_be_bytes());
    message.extend([0; 2]);
    message.extend(COOKIE);
    message.extend(transaction);
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
    set_length(message, 0);
}

/// Says in its header how long a message is, with `more` bytes to come.
fn set_length(message: &mut [u8], more: usize) {
    let length = (message.len() - HEADER_LEN + more) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

fn finish(mut message: Vec<u8>, password: &str) -> Vec<u8> {
    if let Some(mac) = mac(&message, password) {
        let proof = mac.finalize().into_bytes();
        attribute(&mut message, MESSAGE_INTEGRITY, &proof);
    }
    let sum = checksum(&message);
    attribute(&mut message, FINGERPRINT, &sum.to_be_bytes());
    message
}

/// Over all before the proof, with a length as if the message ended behind it.
fn mac(before: &[u8], password: &str) -> Option<Hmac<Sha1>> {
    let (header, attributes) = before.split_at_checked(HEADER_LEN)?;
    let mut header: [u8; HEADER_LEN] = header.try_into().ok()?;
    header[2..4].copy_from_slice(&((attributes.len() + 24) as u16).to_be_bytes());
    // Any length of key is one for HMAC.
    let mut mac = Hmac::<Sha1>::new_from_slice(password.as_bytes()).ok()?;
    mac.update(&header);
    mac.update(attributes);
    Some(mac)
}

/// Over all before the checksum, with a length as if the message ended behind it.
fn checksum(before: &[u8]) -> u32 {
    let mut digest = CHECKSUM.digest();
    let (start, rest) = before.split_at(before.len().min(2));
    let (_, rest) = rest.split_at(rest.len().min(2));
    digest.update(start);
    digest.update(&((before.len().saturating_sub(HEADER_LEN) + 8) as u16).to_be_bytes());
    digest.update(rest);
    digest.finalize() ^ FINGERPRINT_MASK
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn vectors(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_samples_of_rfc_5769() {
        let vectors = vectors(include_str!("../tests/vectors/stun-rfc5769.json"));
        let password = vectors["short_term_password"].as_str().unwrap();
        let read: Vec<_> = vectors["cases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|case| {
                let bytes = unhex(case["hex"].as_str().unwrap());
                let message = Message::parse(&bytes).unwrap();
                let mut broken = bytes.clone();
                broken[40] ^= 1;
                // Wrong bytes are refused by their checksum, if there is one, or are
                // not proved.
                let noticed = Message::parse(&broken).is_none_or(|broken| !broken.verify(password));
                assert!(noticed);
                (message.class, message.username.map(str::to_owned), message.verify(password))
            })
            .collect();
        let request = (Class::Request, Some("evtj:h6vY".to_owned()), true);
        let long_term = (Class::Request, Some("マトリックス".to_owned()), false);
        let answer = (Class::Success, None, true);
        assert_eq!(read, [request, long_term, answer.clone(), answer]);
    }

    #[test]
    fn what_is_written_is_read_and_proved_by_the_password_alone() {
        let to = "[2001:db8::5]:4001".parse().unwrap();
        for bytes in [
            request([7; 12], "them:us", "their password", true, [9; 8]),
            request([7; 12], "them:us", "their password", false, [9; 8]),
            success([7; 12], to, "their password"),
        ] {
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.transaction, [7; 12]);
            assert!(message.verify("their password") && !message.verify("another"));
            assert_eq!(message.username.is_some(), message.class == Class::Request);
            // Nothing of it can be cut, changed or added.
            for end in 0..bytes.len() {
                assert!(Message::parse(&bytes[..end]).is_none());
            }
            // But for the checksum, which is there for those who cannot prove.
            for at in 0..bytes.len() - 8 {
                let mut broken = bytes.clone();
                broken[at] ^= 0x10;
                assert!(Message::parse(&broken).is_none_or(|it| !it.verify("their password")));
            }
        }
    }

    #[test]
    fn the_mapped_address_is_masked_as_in_rfc_5769() {
        let vectors = vectors(include_str!("../tests/vectors/stun-rfc5769.json"));
        for (case, to) in
            [(2, "192.0.2.1:32853"), (3, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
        {
            let sample = unhex(vectors["cases"][case]["hex"].as_str().unwrap());
            let transaction = sample[8..20].try_into().unwrap();
            let ours = success(transaction, to.parse().unwrap(), "p");
            let length = if case == 2 { 12 } else { 24 };
            // Behind the header here, behind a SOFTWARE of 16 bytes there.
            assert_eq!(ours[20..20 + length], sample[36..36 + length]);
        }
    }

    #[test]
    fn nonsense_is_no_message() {
        let vectors = vectors(include_str!("../tests/vectors/stun-fuzz-seeds.json"));
        for seed in vectors["messages_hex"].as_array().unwrap() {
            let seed = unhex(seed.as_str().unwrap());
            assert!(Message::parse(&seed).is_none());
        }
        let long = vec![b'a'; MAX_MESSAGE];
        let long = request([0; 12], std::str::from_utf8(&long).unwrap(), "p", true, [0; 8]);
        assert!(Message::parse(&long).is_none());
    }
}
