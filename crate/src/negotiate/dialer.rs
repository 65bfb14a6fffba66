//! The side that proposes.

use super::line::{self, Lines, MAX_LINE};
use super::{Error, HEADER, LIST, NOT_AVAILABLE, Name};

/// Proposes protocols, in order, until the listener takes one.
#[derive(Debug)]
pub struct Dialer {
    lines: Lines,
    current: Name,
    others: std::vec::IntoIter<Name>,
    lazy: bool,
    agreed: bool,
}

impl Dialer {
    /// Begins a negotiation: appends the header and the first of `proposals` to `out`.
    ///
    /// # Errors
    /// [`Error::NothingToPropose`] and [`Error::BadName`], before anything is written.
    pub fn new(proposals: Vec<Name>, out: &mut Vec<u8>) -> Result<Self, Error> {
        if let Some(bad) = proposals.iter().find(|name| !is_proposable(name)) {
            return Err(Error::BadName(bad.clone()));
        }
        let lazy = proposals.len() == 1;
        let mut others = proposals.into_iter();
        let current = others.next().ok_or(Error::NothingToPropose)?;
        line::write(HEADER, out);
        line::write(&current, out);
        Ok(Self { lines: Lines::default(), current, others, lazy, agreed: false })
    }

    /// The protocol if it is the only one proposed: then data may follow the
    /// proposal at once, and the answer is checked when it arrives. A listener
    /// that refuses reads such data as nonsense and resets the stream.
    pub fn lazy(&self) -> Option<&Name> {
        self.lazy.then_some(&self.current)
    }

    /// Takes bytes from the listener, in chunks of any size, and appends the next
    /// proposal to `out` if the last one was refused.
    ///
    /// Returns how many bytes of `input` were taken and, once there is an
    /// agreement, the protocol. Bytes after the agreement are never taken.
    ///
    /// # Errors
    /// See [`Error`](enum@Error); all are final.
    pub fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<Name>), Error> {
        let mut consumed = 0;
        while !self.agreed {
            let (count, line) = self.lines.next(&input[consumed..])?;
            consumed += count;
            let Some(line) = line else { return Ok((consumed, None)) };
            if *line == *self.current.as_bytes() {
                self.agreed = true;
            } else if *line == *NOT_AVAILABLE.as_bytes() {
                self.current = self.others.next().ok_or(Error::Refused)?;
                line::write(&self.current, out);
            } else {
                return Err(Error::Unexpected);
            }
        }
        Ok((consumed, Some(self.current.clone())))
    }
}

/// Whether a listener can read `name` as nothing but a proposal.
fn is_proposable(name: &str) -> bool {
    !name.is_empty()
        && name.len() < MAX_LINE
        && !name.contains('\n')
        && ![HEADER, NOT_AVAILABLE, LIST].contains(&name)
}
