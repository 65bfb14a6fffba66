//! Unsigned varints, minimal and at most nine bytes.
//!
//! Source: multiformats "unsigned-varint".

use thiserror::Error;

/// The longest encoding in bytes: 63 bits of value.
pub const MAX_LEN: usize = 9;

/// Why bytes are no varint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// More than nine bytes, or more than 63 bits of value.
    #[error("the varint is longer than nine bytes")]
    Overflow,
    /// A shorter encoding of the same value exists.
    #[error("the varint is not in its shortest form")]
    NotMinimal,
}

/// Reads a varint from the front of `bytes`.
///
/// Returns the value and how many bytes it took, or `None` while it is incomplete.
///
/// ```
/// use polypeer::wire::varint;
/// assert_eq!(varint::decode(&[0x80, 0x01, 0xff]), Ok(Some((128, 2))));
/// assert_eq!(varint::decode(&[0x80]), Ok(None));
/// ```
pub fn decode(bytes: &[u8]) -> Result<Option<(u64, usize)>, Error> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate() {
        if index == MAX_LEN {
            return Err(Error::Overflow);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if *byte == 0 && index > 0 {
                return Err(Error::NotMinimal);
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= MAX_LEN { Err(Error::Overflow) } else { Ok(None) }
}

/// Appends `value` (at most 63 bits; higher bits are dropped) to `out`.
pub fn encode(value: u64, out: &mut Vec<u8>) {
    let mut rest = value & (u64::MAX >> 1);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many bytes [`encode`] appends for `value`.
pub fn len(value: u64) -> usize {
    let bits = 64 - (value & (u64::MAX >> 1)).leading_zeros() as usize;
    bits.div_ceil(7).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for shift in 0..63 {
            for value in [1u64 << shift, (1u64 << shift) - 1] {
                let mut bytes = Vec::new();
                encode(value, &mut bytes);
                assert_eq!(bytes.len(), len(value));
                assert_eq!(decode(&bytes), Ok(Some((value, bytes.len()))));
                assert_eq!(decode(&bytes[..bytes.len() - 1]), Ok(None));
            }
        }
    }

    #[test]
    fn bent_bytes_are_refused_or_the_shortest_form() {
        let seeds = [vec![0x80, 0x01], vec![0xff; 8], vec![0xff; 9], vec![]];
        crate::wire::mutate::mutations(1, &seeds, 10_000, |bytes| {
            if let Ok(Some((value, length))) = decode(bytes) {
                let mut again = Vec::new();
                encode(value, &mut again);
                assert_eq!(again, bytes[..length]);
            }
        });
    }
}
