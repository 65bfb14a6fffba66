//! Bytes as text: the few multibases that peer ids and addresses are written in.
//!
//! Source: multiformats "multibase"; RFC 4648 for base32 and base64.

use thiserror::Error;

/// Text longer than this many bytes is refused by [`decode`]: base36 and
/// base58btc take time that grows with the square of the length.
pub const MAX_TEXT: usize = 1024;

/// Why text is no multibase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The first letter names no base that is known here.
    #[error("its first letter names no known base")]
    UnknownBase,
    /// A letter is not of the alphabet, or the length or last letter is impossible.
    #[error("it has a letter or a length that its base does not allow")]
    Malformed,
    /// More than [`MAX_TEXT`] bytes of text.
    #[error("it is longer than {MAX_TEXT} letters")]
    TooLong,
}

const BASE16: &[u8] = b"0123456789abcdef";
const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
const BASE36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE64_I2P: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~";

/// Reads a multibase: base16, base32, base36 (any case), base58btc, base64 or
/// base64url, the RFC 4648 ones without padding.
///
/// ```
/// use polypeer::wire::base;
/// assert_eq!(base::decode("bnbswy3dp").as_deref(), Ok(&b"hello"[..]));
/// ```
pub fn decode(text: &str) -> Result<Vec<u8>, Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::TooLong);
    }
    let Some((base, digits)) = text.as_bytes().split_first() else {
        return Err(Error::UnknownBase);
    };
    match base {
        b'f' | b'F' => bits(digits, 4, BASE16, Case::Any, Tail::Zero),
        b'b' | b'B' => bits(digits, 5, BASE32, Case::Any, Tail::Zero),
        b'k' | b'K' => number(digits, BASE36, Case::Any),
        b'z' => number(digits, BASE58, Case::Exact),
        b'm' => bits(digits, 6, BASE64, Case::Exact, Tail::Zero),
        b'u' => bits(digits, 6, BASE64_URL, Case::Exact, Tail::Zero),
        _ => return Err(Error::UnknownBase),
    }
    .ok_or(Error::Malformed)
}

/// Reads bare base58btc, without a multibase letter.
pub fn decode_base58(text: &str) -> Result<Vec<u8>, Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::TooLong);
    }
    number(text.as_bytes(), BASE58, Case::Exact).ok_or(Error::Malformed)
}

/// Writes bare base58btc, without a multibase letter.
pub fn encode_base58(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    // Digits of the number so far, the least significant first.
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len() * 7 / 5 + 1);
    for byte in bytes.iter().skip(zeros) {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let leading = core::iter::repeat_n(b'1', zeros);
    let digits = digits.iter().rev().filter_map(|digit| BASE58.get(usize::from(*digit)).copied());
    leading.chain(digits).map(char::from).collect()
}

/// Writes multibase base32, in lower case and without padding.
pub fn encode_base32(bytes: &[u8]) -> String {
    let mut out = String::from("b");
    write_bits(bytes, 5, BASE32, &mut out);
    out
}

/// Writes multibase base64url, without padding.
pub fn encode_base64_url(bytes: &[u8]) -> String {
    let mut out = String::from("u");
    write_bits(bytes, 6, BASE64_URL, &mut out);
    out
}

/// Reads bare base32 as Tor and I2P write it; I2P's own vectors do not zero the
/// bits that are left over at the end, so `None` is not returned for those.
pub(crate) fn decode_host32(text: &str) -> Option<Vec<u8>> {
    bits(text.as_bytes(), 5, BASE32, Case::Any, Tail::Any)
}

/// Writes bare base32, in lower case and without padding.
pub(crate) fn encode_host32(bytes: &[u8]) -> String {
    let mut out = String::new();
    write_bits(bytes, 5, BASE32, &mut out);
    out
}

/// Reads I2P's base64: `-` and `~` for `+` and `/`, padded with `=`.
pub(crate) fn decode_i2p64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if padding > 0 && (padding > 2 || !text.len().is_multiple_of(4)) {
        return None;
    }
    bits(digits.as_bytes(), 6, BASE64_I2P, Case::Exact, Tail::Zero)
}

/// Writes I2P's base64, padded with `=`.
pub(crate) fn encode_i2p64(bytes: &[u8]) -> String {
    let mut out = String::new();
    write_bits(bytes, 6, BASE64_I2P, &mut out);
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

#[derive(Clone, Copy)]
enum Case {
    Exact,
    Any,
}

/// What the bits may be that are left over after the last whole byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Zero,
    Any,
}

fn digit(letter: u8, alphabet: &[u8], case: Case) -> Option<u8> {
    let letter = match case {
        Case::Exact => letter,
        Case::Any => letter.to_ascii_lowercase(),
    };
    alphabet.iter().position(|known| *known == letter).map(|position| position as u8)
}

/// Reads digits of `width` bits each, the most significant first.
fn bits(digits: &[u8], width: u32, alphabet: &[u8], case: Case, tail: Tail) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(digits.len() * width as usize / 8);
    let (mut held, mut count) = (0u32, 0u32);
    for letter in digits {
        held = held << width | u32::from(digit(*letter, alphabet, case)?);
        count += width;
        if count >= 8 {
            count -= 8;
            out.push((held >> count) as u8);
            held &= (1 << count) - 1;
        }
    }
    // A whole digit left over would carry no bit of any byte.
    (count < width && (held == 0 || tail == Tail::Any)).then_some(out)
}

fn write_bits(bytes: &[u8], width: u32, alphabet: &[u8], out: &mut String) {
    let mut push = |digit: u32| {
        if let Some(letter) = alphabet.get(digit as usize) {
            out.push(char::from(*letter));
        }
    };
    let (mut held, mut count) = (0u32, 0u32);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        count += 8;
        while count >= width {
            count -= width;
            push(held >> count);
            held &= (1 << count) - 1;
        }
    }
    if count > 0 {
        push(held << (width - count));
    }
}

/// Reads one big number, each leading zero digit standing for a zero byte.
fn number(digits: &[u8], alphabet: &[u8], case: Case) -> Option<Vec<u8>> {
    let base = alphabet.len() as u32;
    let mut zeros = 0;
    // The least significant byte first.
    let mut bytes: Vec<u8> = Vec::with_capacity(digits.len());
    for letter in digits {
        let mut carry = u32::from(digit(*letter, alphabet, case)?);
        if carry == 0 && bytes.is_empty() {
            zeros += 1;
            continue;
        }
        for byte in &mut bytes {
            carry += u32::from(*byte) * base;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    bytes.resize(bytes.len() + zeros, 0);
    bytes.reverse();
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_over_bits_must_be_zero() {
        assert_eq!(decode("bme"), Ok(vec![0x61]));
        assert_eq!(decode("bmf"), Err(Error::Malformed));
        assert_eq!(decode("bm"), Err(Error::Malformed));
        assert_eq!(decode("uYQ"), Ok(vec![0x61]));
        assert_eq!(decode("uYR"), Err(Error::Malformed));
        assert_eq!(decode("f6"), Err(Error::Malformed));
    }

    #[test]
    fn i2p_padding_is_whole_or_absent() {
        assert_eq!(decode_i2p64("YQ=="), Some(vec![0x61]));
        assert_eq!(decode_i2p64("YQ"), Some(vec![0x61]));
        assert_eq!(decode_i2p64("YQ="), None);
        assert_eq!(decode_i2p64("===="), None);
        assert_eq!(encode_i2p64(b"a"), "YQ==");
    }

    #[test]
    fn the_length_limit_is_reached() {
        let longest = "z".repeat(MAX_TEXT);
        assert!(decode(&longest).is_ok());
        assert_eq!(decode(&(longest.clone() + "z")), Err(Error::TooLong));
        assert_eq!(decode_base58(&(longest + "z")), Err(Error::TooLong));
    }

    #[test]
    fn every_base_reads_what_it_writes() {
        let mut rng = crate::Rng::from_number(1);
        for length in 0..80 {
            let mut bytes = vec![0; length];
            rng.fill(&mut bytes);
            if let Some(first) = bytes.first_mut().filter(|_| length % 3 == 0) {
                *first = 0;
            }
            assert_eq!(decode(&encode_base32(&bytes)).as_ref(), Ok(&bytes));
            assert_eq!(decode(&encode_base64_url(&bytes)).as_ref(), Ok(&bytes));
            assert_eq!(decode_base58(&encode_base58(&bytes)).as_ref(), Ok(&bytes));
            assert_eq!(decode_host32(&encode_host32(&bytes)).as_ref(), Some(&bytes));
            assert_eq!(decode_i2p64(&encode_i2p64(&bytes)).as_ref(), Some(&bytes));
        }
    }

    #[test]
    fn bent_text_is_refused_or_read() {
        let seeds = ["bnbswy3dp", "znotValid", "k2lcpzo5yikidynfl", "uYQ", "f00", ""];
        let seeds: Vec<_> = seeds.map(|text| text.as_bytes().to_vec()).into();
        crate::wire::mutate::mutations(1, &seeds, 10_000, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(read) = decode(&text) {
                assert_eq!(decode(&encode_base64_url(&read)), Ok(read));
            }
        });
    }
}
