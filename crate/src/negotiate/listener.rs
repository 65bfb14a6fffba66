//! The side that answers.

use super::line::{self, Lines};
use super::{Error, HEADER, LIST, NOT_AVAILABLE, Name};
use crate::wire::varint;

/// Most proposals (and wishes for a list) in one negotiation. No implementation
/// proposes more than a handful; a remote that does is looking for work to give us.
pub const MAX_PROPOSALS: u8 = 64;

/// Most bytes that a dialer may send before an agreement, so that long names
/// cannot make a negotiation last.
pub const MAX_BYTES: usize = 16 * 1024;

/// Most bytes of the answer to `ls`; further names are left out. It is the
/// longest message that rust-libp2p reads, and bounds what 4 bytes can demand.
/// A second `ls` of the same negotiation is not answered with a list again.
pub const MAX_LISTING: usize = 16 * 1024 - 1;

/// Answers proposals until one is supported.
#[derive(Debug, Default)]
pub struct Listener {
    lines: Lines,
    bytes: usize,
    proposals: u8,
    greeted: bool,
    listed: bool,
    agreed: Option<Name>,
}

impl Listener {
    /// Waits for a dialer. Nothing is sent before its header has come, so that
    /// header and answer leave together.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the dialer, in chunks of any size, and appends the answers to `out`.
    ///
    /// `supported` says which protocols are spoken here, `names` lists them for `ls`.
    /// Returns how many bytes of `input` were taken and, once there is an
    /// agreement, the protocol. Bytes after the agreement are never taken.
    ///
    /// # Errors
    /// See [`Error`](enum@Error); all are final.
    pub fn receive(
        &mut self,
        input: &[u8],
        supported: &dyn Fn(&str) -> bool,
        names: &dyn Fn() -> Vec<Name>,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<Name>), Error> {
        let mut consumed = 0;
        while self.agreed.is_none() {
            let (count, line) = self.lines.next(&input[consumed..])?;
            consumed += count;
            self.bytes += count;
            if self.bytes > MAX_BYTES {
                return Err(Error::TooManyBytes);
            }
            if self.lines.greeted() && !self.greeted {
                self.greeted = true;
                line::write(HEADER, out);
            }
            let Some(line) = line else { break };
            self.proposals += 1;
            if self.proposals > MAX_PROPOSALS {
                return Err(Error::TooManyProposals);
            }
            match core::str::from_utf8(&line) {
                Ok(LIST) if !self.listed => {
                    self.listed = true;
                    write_listing(&names(), out);
                }
                Ok(name) if supported(name) => {
                    line::write(name, out);
                    self.agreed = Some(name.into());
                }
                _ => line::write(NOT_AVAILABLE, out),
            }
        }
        Ok((consumed, self.agreed.clone()))
    }
}

/// Appends the answer to `ls`: one line that holds a line for each name and a
/// closing newline.
fn write_listing(names: &[Name], out: &mut Vec<u8>) {
    let mut listing = Vec::new();
    for name in names {
        if listing.len() + varint::MAX_LEN + name.len() + 2 <= MAX_LISTING {
            line::write(name, &mut listing);
        }
    }
    listing.push(b'\n');
    varint::encode(listing.len() as u64, out);
    out.append(&mut listing);
}
