//! The pipe between a host with data channels and its connection.
//!
//! A record is `kind (1 byte) · channel (4, little endian) · length (2, little
//! endian) · body`. Channels that the core opens have its numbers, below 2³¹; those
//! that the remote opened are numbered by the host, [`REMOTE`]` + n` with n = 0, 1,
//! 2 … in the order of their opening. Channel 0 is the handshake's of WebRTC
//! direct. No number is used twice in a connection.
//!
//! A record never reaches the network: the host is trusted to write them well.

/// The length of a record's head in bytes.
pub const HEAD_LEN: usize = 7;

/// What the host adds to the number of a channel that the remote opened.
pub const REMOTE: u32 = 1 << 31;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Both ways: the body is a message of the channel.
    Message,
    /// To the core: the remote opened the channel. To the host: open one, ordered
    /// and reliable.
    Open,
    /// To the core: the channel has ended. To the host: close it once what was
    /// said before is sent.
    Close,
    /// To the host: four bytes to be brought back by a [`Kind::Ping`] to the core
    /// once the remote was heard, followed by the round trip in microseconds (4,
    /// little endian; 0 if unknown).
    Ping,
    /// To the host: deliver no messages of the channel for now, but leave them to
    /// SCTP, whose window then stops the remote. A host that cannot, as pages cannot,
    /// goes on.
    Hold,
    /// To the host: deliver them again.
    Release,
}

/// Appends a record; `body` has less than 64 KiB.
pub fn write(out: &mut Vec<u8>, kind: Kind, channel: u32, body: &[u8]) {
    head(out, kind, channel, body.len());
    out.extend_from_slice(body);
}

/// Appends the head of a record whose body follows.
pub(super) fn head(out: &mut Vec<u8>, kind: Kind, channel: u32, length: usize) {
    out.push(kind as u8);
    out.extend_from_slice(&channel.to_le_bytes());
    out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
}

/// Takes a record from the front of `bytes`; `None` while it is not whole.
///
/// ```
/// use polypeer::webrtc::record::{Kind, read, write};
/// let mut pipe = Vec::new();
/// write(&mut pipe, Kind::Message, 7, b"hello");
/// let mut rest = &pipe[..];
/// assert_eq!(read(&mut rest), Some((Kind::Message, 7, &b"hello"[..])));
/// assert_eq!(read(&mut rest), None);
/// ```
pub fn read<'a>(bytes: &mut &'a [u8]) -> Option<(Kind, u32, &'a [u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_LEN>()?;
    let [kind, c0, c1, c2, c3, l0, l1] = *head;
    let (body, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([l0, l1])))?;
    let kind = match kind {
        0 => Kind::Message,
        1 => Kind::Open,
        2 => Kind::Close,
        4 => Kind::Hold,
        5 => Kind::Release,
        _ => Kind::Ping,
    };
    *bytes = rest;
    Some((kind, u32::from_le_bytes([c0, c1, c2, c3]), body))
}
