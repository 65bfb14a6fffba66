//! Lines: a varint length, text, a newline.

use std::borrow::Cow;

use super::{Error, HEADER};
use crate::wire::varint;

/// The longest line in bytes, newline included, as in go-libp2p and js-libp2p.
/// It bounds what a line in pieces can make us hold.
pub const MAX_LINE: usize = 1024;

/// How long the length of a line of at most [`MAX_LINE`] bytes is, in bytes.
const PREFIX: usize = 2;

/// Appends `text` as a line.
pub(super) fn write(text: &str, out: &mut Vec<u8>) {
    varint::encode(text.len() as u64 + 1, out);
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

/// How many bytes were taken, and the line if it is whole.
type Cut<'a> = (usize, Option<Cow<'a, [u8]>>);

/// Cuts lines out of chunks of any size and expects the first to be the header.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    greeted: bool,
}

impl Lines {
    /// Whether the remote's header has come.
    pub(super) fn greeted(&self) -> bool {
        self.greeted
    }

    /// Takes the next line after the header (without its newline) from the front of `input`.
    ///
    /// Returns how many bytes of `input` it took, all of them while there is no line.
    pub(super) fn next<'a>(&mut self, input: &'a [u8]) -> Result<Cut<'a>, Error> {
        let (consumed, line) = self.cut(input)?;
        match line {
            Some(line) if !self.greeted => {
                if *line != *HEADER.as_bytes() {
                    return Err(Error::Header);
                }
                self.greeted = true;
                let (more, line) = self.cut(&input[consumed..])?;
                Ok((consumed + more, line))
            }
            line => Ok((consumed, line)),
        }
    }

    fn cut<'a>(&mut self, input: &'a [u8]) -> Result<Cut<'a>, Error> {
        let held = self.partial.len();
        if held == 0
            && let Some((start, end)) = self.bounds(input)?
        {
            return Ok((end, Some(Cow::Borrowed(&input[start..end - 1]))));
        }
        let room = (PREFIX + MAX_LINE).saturating_sub(held).min(input.len());
        self.partial.extend_from_slice(&input[..room]);
        match self.bounds(&self.partial)? {
            Some((start, end)) => {
                let mut line = core::mem::take(&mut self.partial);
                line.truncate(end - 1);
                line.drain(..start);
                Ok((end - held, Some(Cow::Owned(line))))
            }
            None => Ok((room, None)),
        }
    }

    /// Where the text of the line at the front of `bytes` begins and its newline ends.
    fn bounds(&self, bytes: &[u8]) -> Result<Option<(usize, usize)>, Error> {
        let bad = if self.greeted { Error::Malformed } else { Error::Header };
        let (length, start) = match varint::decode(&bytes[..bytes.len().min(PREFIX + 1)]) {
            Ok(Some((length, start))) => (length, start),
            Ok(None) if bytes.len() > PREFIX => return Err(Error::LineTooLong),
            Ok(None) => return Ok(None),
            Err(_) => return Err(bad),
        };
        if length > MAX_LINE as u64 {
            return Err(Error::LineTooLong);
        }
        let end = start + length as usize;
        match bytes.get(start..end) {
            None => Ok(None),
            Some([.., b'\n']) => Ok(Some((start, end))),
            Some(_) => Err(bad),
        }
    }
}
