//! The handshake on channel 0, before there are streams.
//!
//! What a remote can fill: what comes on other channels meanwhile waits here; the
//! upgrade bounds it.

use crate::wire::Buffer;

use super::channels::MAX_FRAME;
use super::message::{Message, split};
use super::record::{self, Kind};

/// The records of a connection while its handshake lasts.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    /// Records from the host, until one is whole.
    pipe: Buffer,
    /// The beginning of a message.
    partial: Buffer,
    /// Records of other channels.
    early: Buffer,
}

impl Handshake {
    /// Records from the host: bytes of the handshake go to `out`, other channels
    /// wait. Returns how many bytes do.
    pub(crate) fn receive(&mut self, bytes: &[u8], out: &mut Buffer) -> usize {
        self.pipe.push(bytes);
        let mut rest = self.pipe.as_slice();
        while let Some((kind, channel, body)) = record::read(&mut rest) {
            if (kind, channel) != (Kind::Message, 0) {
                record::write(self.early.writer(), kind, channel, body);
                continue;
            }
            self.partial.push(body);
            // A message that cannot be read ends in a handshake that cannot.
            while let Ok(Some((used, message))) = split(self.partial.as_slice()) {
                out.push(message.data);
                self.partial.consume(used);
            }
        }
        let used = self.pipe.len() - rest.len();
        self.pipe.consume(used);
        self.early.len() + self.partial.len()
    }

    /// The handshake is over: what has waited for that.
    pub(crate) fn done(mut self) -> Vec<u8> {
        self.early.push(self.pipe.as_slice());
        self.early.as_slice().to_vec()
    }

    /// Bytes of the handshake, as records for the host.
    pub(crate) fn write(bytes: &[u8], out: &mut Vec<u8>) {
        for data in bytes.chunks(MAX_FRAME) {
            Message { data, ..Message::default() }.write(out, 0, false);
        }
    }
}
