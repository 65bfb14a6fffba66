//! What host and core say to each other about the data channels of a connection:
//! `[kind u8][channel u32 LE][length u16 LE][payload]`. None of it is ever sent.

/// The length of what is before the payload.
pub(super) const HEADER_LEN: usize = 7;

/// The first of the numbers of the channels that the remote opened.
pub(super) const REMOTE: u32 = 0x8000_0000;

/// What a record says, by direction.
pub(super) const MESSAGE: u8 = 0;
/// The core opens a channel, or the remote has opened one.
pub(super) const OPEN: u8 = 1;
/// The core closes a channel, or the remote has.
pub(super) const CLOSE: u8 = 2;
/// A ping of the core, or its answer.
pub(super) const PING: u8 = 3;

/// Appends a record.
pub(super) fn write(out: &mut Vec<u8>, kind: u8, channel: u32, payload: &[u8]) {
    header(out, kind, channel, payload.len());
    out.extend_from_slice(payload);
}

/// Appends what is before a payload of `length`, at most 65,535.
pub(super) fn header(out: &mut Vec<u8>, kind: u8, channel: u32, length: usize) {
    out.push(kind);
    out.extend_from_slice(&channel.to_le_bytes());
    out.extend_from_slice(&(length as u16).to_le_bytes());
}

/// The length of the record that `bytes` begin with, once that can be told.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(5..7)?;
    Some(HEADER_LEN + usize::from(length[0]) + (usize::from(length[1]) << 8))
}

/// A whole record taken apart: kind, channel, payload.
pub(super) fn split(record: &[u8]) -> Option<(u8, u32, &[u8])> {
    let channel = record.get(1..5)?.try_into().ok()?;
    Some((*record.first()?, u32::from_le_bytes(channel), record.get(HEADER_LEN..)?))
}
