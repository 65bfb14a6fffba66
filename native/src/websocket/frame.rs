//! Frame headers (RFC 6455, section 5.2).

/// The longest header: two bytes, eight of length, four of mask.
pub(super) const MAX_HEADER: usize = 14;

/// The longest payload of a control frame (RFC 6455, section 5.5).
pub(super) const MAX_CONTROL: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The rest of a fragmented message.
    Continuation,
    /// A binary message, or the start of one.
    Binary,
    /// The end of the connection.
    Close,
    /// A question whether we live.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Kind {
    const fn opcode(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// Whether it is a control frame.
    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A parsed frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether the message ends with this frame.
    pub(super) fin: bool,
    /// What the frame is.
    pub(super) kind: Kind,
    /// The key that its payload is masked with.
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub(super) length: u64,
}

/// What is wrong with a frame, and the status code that tells the other end
/// (RFC 6455, section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// Bits of extensions that were not negotiated.
    #[error("reserved bits are set")]
    ReservedBits,
    /// An operation that RFC 6455 does not define.
    #[error("unknown kind of frame")]
    UnknownKind,
    /// libp2p's messages are binary.
    #[error("text message, only binary ones are taken")]
    Text,
    /// A control frame that is fragmented or longer than 125 bytes.
    #[error("malformed control frame")]
    BadControl,
    /// A length of 2⁶³ or more, or longer than it need be written.
    #[error("malformed length")]
    BadLength,
    /// A client must mask its frames, a server must not.
    #[error("wrong masking")]
    BadMask,
    /// A continuation of nothing, or a new message inside another.
    #[error("frames of messages are mixed up")]
    BadSequence,
}

impl FrameError {
    /// The status code for the close frame.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Text => 1003,
            _ => 1002,
        }
    }
}

impl Header {
    /// Reads a header from the start of `bytes` and returns it with its length;
    /// `None` if more bytes are needed.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(FrameError::ReservedBits);
        }
        let fin = first & 0x80 != 0;
        let kind = match first & 0x0f {
            0x0 => Kind::Continuation,
            0x1 => return Err(FrameError::Text),
            0x2 => Kind::Binary,
            0x8 => Kind::Close,
            0x9 => Kind::Ping,
            0xa => Kind::Pong,
            _ => return Err(FrameError::UnknownKind),
        };
        let short = second & 0x7f;
        if kind.is_control() && (!fin || usize::from(short) > MAX_CONTROL) {
            return Err(FrameError::BadControl);
        }
        let (length, rest) = match short {
            126 => match rest.split_first_chunk::<2>() {
                Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        let shortest = match length {
            0..126 => short < 126,
            126..0x1_0000 => short == 126,
            _ => length >> 63 == 0,
        };
        if !shortest {
            return Err(FrameError::BadLength);
        }
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            match rest.split_first_chunk::<4>() {
                Some((mask, rest)) => (Some(*mask), rest),
                None => return Ok(None),
            }
        };
        Ok(Some((Self { fin, kind, mask, length }, bytes.len() - rest.len())))
    }

    /// Appends the header.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        out.push(if self.fin { 0x80 } else { 0 } | self.kind.opcode());
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(length @ ..126), _) => out.push(masked | length),
            (_, Ok(length)) => {
                out.push(masked | 126);
                out.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                out.push(masked | 127);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        out.extend_from_slice(self.mask.as_ref().map_or(&[], |mask| mask.as_slice()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_written_and_wait_for_their_last_byte() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, u64::MAX >> 1] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let header = Header { fin: length % 2 == 0, kind: Kind::Binary, mask, length };
                let mut bytes = Vec::new();
                header.write(&mut bytes);
                for cut in 0..bytes.len() {
                    assert_eq!(Header::parse(&bytes[..cut]), Ok(None));
                }
                let size = bytes.len();
                bytes.extend_from_slice(b"payload");
                assert_eq!(Header::parse(&bytes), Ok(Some((header, size))));
                assert!(size <= MAX_HEADER);
            }
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        for (bytes, error) in [
            (&[0xc2, 0][..], FrameError::ReservedBits),
            (&[0x81, 0], FrameError::Text),
            (&[0x83, 0], FrameError::UnknownKind),
            (&[0x8f, 0], FrameError::UnknownKind),
            (&[0x09, 0], FrameError::BadControl),
            (&[0x88, 126, 0, 126], FrameError::BadControl),
            (&[0x82, 126, 0, 125], FrameError::BadLength),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255], FrameError::BadLength),
            (&[0x82, 127, 128, 0, 0, 0, 0, 0, 0, 0], FrameError::BadLength),
        ] {
            assert_eq!(Header::parse(bytes), Err(error), "{bytes:?}");
        }
    }
}
