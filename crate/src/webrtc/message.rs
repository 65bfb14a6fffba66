//! The message that every data channel carries (webrtc/README.md, "Multiplexing").

use crate::wire::protobuf::{Malformed, Reader, Writer};
use crate::wire::varint;

use super::record::{self, Kind};

/// The longest message in bytes, with its length in front: what all browsers can
/// carry.
pub const MAX_MESSAGE: usize = 16 * 1024;

/// Bytes that a message adds to its data, with the records' heads, at most.
pub(super) const OVERHEAD: usize = 32;

/// Towards a remote that may be no Polypeer a long message is sent in pieces, as which
/// any receiver sees but a stream of bytes; the first has at most so many: go-libp2p
/// reads what a message begins with into a buffer of that length.
const FIRST: usize = 4096;
/// The bytes of each further piece: rust-libp2p resets a stream on which more come at
/// once.
const PIECE: usize = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    /// The sender sends no more.
    Fin,
    /// The sender reads no more.
    StopSending,
    /// The sender gives the stream up.
    Reset,
    /// The sender has all that was sent before FIN.
    FinAck,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) flag: Option<Flag>,
    pub(super) data: &'a [u8],
    /// Bytes that the receiver may send more: ours alone, ignored by others.
    pub(super) credit: Option<u32>,
}

impl<'a> Message<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut message = Self::default();
        for field in Reader(bytes) {
            match field? {
                (1, value) => {
                    message.flag = match value.number()? {
                        0 => Some(Flag::Fin),
                        1 => Some(Flag::StopSending),
                        2 => Some(Flag::Reset),
                        3 => Some(Flag::FinAck),
                        _ => None,
                    };
                }
                (2, value) => message.data = value.bytes()?,
                (3, value) => {
                    let credit = u32::try_from(value.number()?).map_err(|_| Malformed)?;
                    message.credit = Some(credit);
                }
                _ => {}
            }
        }
        Ok(message)
    }

    /// Appends the message as records of its channel: as one if it may go `whole`.
    pub(super) fn write(&self, out: &mut Vec<u8>, channel: u32, whole: bool) {
        let number = |value: u32| 1 + varint::len(u64::from(value));
        let data = self.data.len();
        let length = self.flag.map_or(0, |flag| number(flag as u32))
            + self.credit.map_or(0, number)
            + if data == 0 { 0 } else { number(data as u32) + data };
        let total = varint::len(length as u64) + length;
        let first = if whole { total } else { total.min(FIRST) };
        record::head(out, Kind::Message, channel, first);
        varint::encode(length as u64, out);
        let mut fields = Writer(out);
        if let Some(flag) = self.flag {
            fields.number(1, flag as u64);
        }
        if let Some(credit) = self.credit {
            fields.number(3, u64::from(credit));
        }
        if data > 0 {
            let (now, later) = self.data.split_at(data + first - total);
            fields.head(2, data).0.extend_from_slice(now);
            for piece in later.chunks(PIECE) {
                record::write(out, Kind::Message, channel, piece);
            }
        }
    }
}

/// Takes a message, whose length stands in front of it, from `bytes`: the bytes of
/// it all, and what it says; `None` while it is not whole.
pub(super) fn split(bytes: &[u8]) -> Result<Option<(usize, Message<'_>)>, Malformed> {
    let Some((length, used)) = varint::decode(bytes).map_err(|_| Malformed)? else {
        return Ok(None);
    };
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    let whole = used.saturating_add(length);
    if whole > MAX_MESSAGE {
        return Err(Malformed);
    }
    match bytes.get(used..whole) {
        Some(bytes) => Ok(Some((whole, Message::decode(bytes)?))),
        None => Ok(None),
    }
}
