//! Why an address is none: where, and in plain words.

use thiserror::Error;

use super::Multiaddr;
use crate::wire::varint;

/// Where and why text or bytes are no address.
///
/// ```
/// use polypeer::Multiaddr;
/// let error = "/ip4/192.0.2.1/tcp/99999".parse::<Multiaddr>().unwrap_err();
/// assert_eq!(error.to_string(), "at byte 19: `tcp` needs a port from 0 to 65535");
/// assert_eq!(error.offset, 19);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at byte {offset}: {kind}")]
pub struct ParseError {
    /// How many bytes of the input precede the part at fault.
    pub offset: usize,
    /// What is wrong with it.
    pub kind: ParseErrorKind,
}

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// There is nothing.
    #[error("the address is empty")]
    Empty,
    /// Text that does not start with a slash.
    #[error("an address starts with a slash, as in /ip4/192.0.2.1/tcp/4001")]
    NoSlash,
    /// Two slashes in a row, where the name of a protocol was expected.
    #[error("a protocol's name is missing between two slashes")]
    NoName,
    /// No protocol has this name. Only the name's beginning is kept.
    #[error("no protocol is called `{0}`")]
    UnknownName(Box<str>),
    /// No protocol has this code.
    #[error("no protocol has the code {0}")]
    UnknownCode(u64),
    /// The address ends where the value of the protocol was expected.
    #[error("`{protocol}` needs {needs}, but the address ends here")]
    NoValue {
        /// The protocol's name.
        protocol: &'static str,
        /// What its value must be.
        needs: &'static str,
    },
    /// The value is not one that the protocol can have.
    #[error("`{protocol}` needs {needs}")]
    BadValue {
        /// The protocol's name.
        protocol: &'static str,
        /// What its value must be.
        needs: &'static str,
    },
    /// A code or a length is no varint.
    #[error("the code or length is not readable: {0}")]
    Varint(#[from] varint::Error),
    /// The bytes end within a code or a length.
    #[error("the address ends within a code or a length")]
    Truncated,
    /// The address as a whole is too long.
    #[error("the address is longer than {} bytes", Multiaddr::MAX_LEN)]
    TooLong,
}

impl ParseErrorKind {
    pub(super) fn at(self, offset: usize) -> ParseError {
        ParseError { offset, kind: self }
    }

    /// An unknown name, cut to what is worth showing.
    pub(super) fn unknown_name(name: &str) -> Self {
        const SHOWN: usize = 32;
        Self::UnknownName(name.chars().take(SHOWN).collect::<String>().into())
    }
}
