//! The frame header (yamux, "Framing"): twelve bytes, big endian.

use core::ops::BitOr;

use thiserror::Error;

/// The length of a header in bytes.
pub const HEADER_LEN: usize = 12;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of a stream; `length` of them follow the header.
    Data,
    /// `length` more bytes may be sent on the stream.
    WindowUpdate,
    /// `length` is a value to be sent back.
    Ping,
    /// The session takes no new streams; `length` is a [`code`](super::code).
    GoAway,
}

/// The flags of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// None.
    pub const NONE: Self = Self(0);
    /// A new stream, or a ping to be answered.
    pub const SYN: Self = Self(1);
    /// The stream is accepted, or a ping's answer.
    pub const ACK: Self = Self(2);
    /// The sender will send no more data.
    pub const FIN: Self = Self(4);
    /// The stream is reset.
    pub const RST: Self = Self(8);

    /// Whether any flag of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These flags if `condition`, else none.
    #[must_use]
    pub const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Why twelve bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A version other than 0.
    #[error("yamux version {0} is unknown")]
    Version(u8),
    /// A frame type that does not exist.
    #[error("frame type {0} is unknown")]
    Kind(u8),
    /// A flag that does not exist.
    #[error("frame flags {0} are unknown")]
    Flags(u16),
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// Its flags.
    pub flags: Flags,
    /// The stream it is for, 0 for the session.
    pub stream: u32,
    /// A number whose meaning depends on `kind`.
    pub length: u32,
}

impl Header {
    /// Reads a header; any version but 0 and any unknown type or flag is an error.
    pub const fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, DecodeError> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = *bytes;
        if version != 0 {
            return Err(DecodeError::Version(version));
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::WindowUpdate,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            _ => return Err(DecodeError::Kind(kind)),
        };
        let flags = u16::from_be_bytes([f0, f1]);
        if flags > 0xf {
            return Err(DecodeError::Flags(flags));
        }
        Ok(Self {
            kind,
            flags: Flags(flags),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }

    /// The header's bytes.
    pub const fn encode(self) -> [u8; HEADER_LEN] {
        let [f0, f1] = self.flags.0.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [0, self.kind as u8, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]
    }
}

/// A header that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Partial {
    bytes: [u8; HEADER_LEN],
    have: usize,
}

impl Partial {
    /// Takes from the front of `input` what is missing; the header's bytes once
    /// all are there.
    pub(super) fn take(&mut self, input: &mut &[u8]) -> Option<[u8; HEADER_LEN]> {
        if self.have == 0
            && let Some((header, rest)) = input.split_first_chunk()
        {
            *input = rest;
            return Some(*header);
        }
        let (part, rest) = input.split_at(input.len().min(HEADER_LEN - self.have));
        self.bytes[self.have..self.have + part.len()].copy_from_slice(part);
        self.have += part.len();
        *input = rest;
        if self.have < HEADER_LEN {
            return None;
        }
        self.have = 0;
        Some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn knows_the_bytes_of_the_specification() {
        let header = Header {
            kind: Kind::WindowUpdate,
            flags: Flags::SYN | Flags::FIN,
            stream: 3,
            length: 256,
        };
        assert_eq!(header.encode(), [0, 1, 0, 5, 0, 0, 0, 3, 0, 0, 1, 0]);
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    proptest! {
        #[test]
        fn decodes_what_it_encodes_and_nothing_else(bytes: [u8; HEADER_LEN]) {
            let near = [bytes[0] % 2, bytes[1] % 6, bytes[2] % 2, bytes[3] % 32];
            let mut bytes = bytes;
            bytes[..4].copy_from_slice(&near);
            match Header::decode(&bytes) {
                Ok(header) => prop_assert_eq!(header.encode(), bytes),
                Err(DecodeError::Version(version)) => prop_assert!(version != 0),
                Err(DecodeError::Kind(kind)) => prop_assert!(kind > 3),
                Err(DecodeError::Flags(flags)) => prop_assert!(flags > 15),
            }
        }

        #[test]
        fn takes_headers_in_any_pieces(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            sizes in prop::collection::vec(1usize..30, 1..100),
        ) {
            let (mut partial, mut rest, mut headers) = (Partial::default(), &bytes[..], Vec::new());
            for size in sizes {
                let (mut piece, after) = rest.split_at(size.min(rest.len()));
                rest = after;
                while !piece.is_empty() {
                    headers.extend(partial.take(&mut piece).into_iter().flatten());
                }
            }
            let whole = (bytes.len() - rest.len()) / HEADER_LEN * HEADER_LEN;
            prop_assert_eq!(&headers[..], &bytes[..whole]);
        }
    }
}
