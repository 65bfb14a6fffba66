//! What host and core say to each other about the data channels of a connection:
//! `[kind u8][channel u32 LE][length u16 LE][payload]`. None of it is ever sent.

use std::borrow::Cow;

/// The length of what is before the payload, in bytes.
pub const HEADER_LEN: usize = 7;

/// The first of the numbers of the channels that the remote opened.
pub const REMOTE: u32 = 0x8000_0000;

/// A message, of the core or of the remote.
pub const MESSAGE: u8 = 0;
/// The core opens a channel, or the remote has opened one.
pub const OPEN: u8 = 1;
/// The core closes a channel, or the remote has.
pub const CLOSE: u8 = 2;
/// A ping of the core, or its answer.
pub const PING: u8 = 3;
/// The core wants no messages of a channel for now.
pub const HOLD: u8 = 4;
/// The core wants them again.
pub const RELEASE: u8 = 5;

/// Appends a record.
pub(crate) fn write(out: &mut Vec<u8>, kind: u8, channel: u32, payload: &[u8]) {
    header(out, kind, channel, payload.len());
    out.extend_from_slice(payload);
}

/// Appends what is before a payload of `length`, at most 65,535.
pub(crate) fn header(out: &mut Vec<u8>, kind: u8, channel: u32, length: usize) {
    out.push(kind);
    out.extend_from_slice(&channel.to_le_bytes());
    out.extend_from_slice(&(length as u16).to_le_bytes());
}

/// The length of the record that `bytes` begin with, once that can be told.
fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(5..7)?;
    Some(HEADER_LEN + usize::from(length[0]) + (usize::from(length[1]) << 8))
}

/// A whole record taken apart: kind, channel, payload.
pub(crate) fn split(record: &[u8]) -> Option<(u8, u32, &[u8])> {
    let channel = record.get(1..5)?.try_into().ok()?;
    Some((*record.first()?, u32::from_le_bytes(channel), record.get(HEADER_LEN..)?))
}

/// Takes records out of bytes that come in pieces of any size.
#[derive(Debug, Default)]
pub struct Assembler {
    /// The beginning of a record.
    partial: Vec<u8>,
}

impl Assembler {
    /// Moves `bytes` on to the end of the next record, or to their own; returns the
    /// record if it is whole.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if self.partial.is_empty()
            && let Some(length) = length(bytes)
            && let Some((record, rest)) = bytes.split_at_checked(length)
        {
            *bytes = rest;
            return Some(Cow::Borrowed(record));
        }
        // As much as makes a header, then as much as makes a record.
        loop {
            let wanted = length(&self.partial).unwrap_or(HEADER_LEN);
            let missing = wanted.saturating_sub(self.partial.len());
            let (piece, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(piece);
            *bytes = rest;
            if length(&self.partial) == Some(self.partial.len()) {
                return Some(Cow::Owned(std::mem::take(&mut self.partial)));
            }
            if bytes.is_empty() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_the_same_in_pieces_of_any_size() {
        let mut bytes = Vec::new();
        write(&mut bytes, OPEN, 7, &[]);
        write(&mut bytes, MESSAGE, 7, &[5; 300]);
        write(&mut bytes, CLOSE, REMOTE, &[]);
        for size in 1..=bytes.len() {
            let (mut assembler, mut found) = (Assembler::default(), Vec::new());
            for mut piece in bytes.chunks(size) {
                while !piece.is_empty() {
                    found.extend(assembler.next(&mut piece).map(Cow::into_owned));
                }
            }
            let found: Vec<_> = found.iter().map(|record| split(record).unwrap()).collect();
            let message = (MESSAGE, 7, &[5; 300][..]);
            assert_eq!(found, [(OPEN, 7, &[][..]), message, (CLOSE, REMOTE, &[])]);
        }
    }
}
