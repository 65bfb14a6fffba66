//! `/yamux/1.0.0`: many flow-controlled streams over one ordered, reliable link.
//!
//! Source: libp2p specs, `yamux/README.md` (r0).
//!
//! [`Yamux`] does no I/O and reads no clock. Bytes of the link go in through
//! [`Yamux::receive`], in chunks of any size; bytes for the link come out of
//! [`Yamux::transmit`], which is told how many are wanted; news for the
//! application comes out of [`Yamux::poll_event`]. [`Yamux::stream`] lends a
//! [`Stream`] to read from and write to.
//!
//! ```
//! use polypeer::Instant;
//! use polypeer::muxer::yamux::{Config, Event, Role, Yamux};
//!
//! let now = Instant::ZERO;
//! let mut client = Yamux::new(Config::default(), Role::Client, now);
//! let mut server = Yamux::new(Config::default(), Role::Server, now);
//!
//! let id = client.open()?;
//! client.stream(id).unwrap().write(b"hello")?;
//! let mut wire = Vec::new();
//! client.transmit(now, &mut wire, usize::MAX);
//!
//! server.receive(now, &wire)?;
//! assert_eq!(server.poll_event(), Some(Event::Opened(id)));
//! assert_eq!(server.poll_event(), Some(Event::Readable(id)));
//! assert_eq!(server.stream(id).unwrap().readable(), b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who may send
//! Control frames go first: the session's end, pings, resets, window updates.
//! Then streams take turns; a turn is [`QUANTUM`] bytes times the stream's
//! weight, and a stream that is alone is not cut at all. A stream that has been
//! silent for a round has its first turn before the others, so that a short
//! message does not wait for bulk.
//!
//! # What a remote can fill
//! Every table, queue and buffer has a limit in [`Config`] or a named constant
//! here. A remote that breaks the protocol ends the session with a typed
//! [`Error`]; one that only asks for too much has streams refused or reset.

mod books;
mod config;
mod error;
mod fifo;
mod frame;
mod ids;
mod ping;
mod pool;
mod receive;
mod ring;
mod session;
mod state;
mod stream;
mod transmit;
mod window;

#[cfg(test)]
mod tests;

pub use config::{
    Config, DEFAULT_WEIGHT, INITIAL_WINDOW, MAX_ACK_BACKLOG, MAX_REPLIES, QUANTUM, REPLIES_PAUSE,
};
pub use error::{Error, OpenError, WriteError};
pub use frame::{DecodeError, Flags, HEADER_LEN, Header, Kind};
pub use ids::MAX_GAPS;
pub use session::{Event, Role, Stats, StreamId, Yamux};
pub use stream::{Read, Stream};

/// The name of this protocol in multistream-select.
pub const PROTOCOL: &str = "/yamux/1.0.0";

/// Codes of a Go Away frame (yamux, "Session termination").
pub mod code {
    /// The session ended as it should.
    pub const NORMAL: u32 = 0;
    /// The remote broke the protocol.
    pub const PROTOCOL_ERROR: u32 = 1;
    /// Something failed at home.
    pub const INTERNAL_ERROR: u32 = 2;
}
