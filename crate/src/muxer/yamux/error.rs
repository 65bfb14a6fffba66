//! What can go wrong: with the session, with opening, with writing.

use thiserror::Error;

use super::frame::DecodeError;

/// Why a session is over. The link can only be closed; a Go Away frame that
/// names the fault waits in `transmit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no frame.
    #[error(transparent)]
    Frame(#[from] DecodeError),
    /// A data or window update frame for stream 0, which is the session.
    #[error("a stream's frame names stream 0, the session")]
    SessionStream,
    /// A ping or go away frame for a stream.
    #[error("a frame of the session names stream {0}")]
    NotSession(u32),
    /// The remote opened a stream with a number that is ours to give.
    #[error("the remote opened stream {0}, whose number is not its to give")]
    WrongSide(u32),
    /// The remote opened a stream with a number it has used before.
    #[error("the remote used the number of stream {0} twice")]
    Reused(u32),
    /// A frame for a stream that never was.
    #[error("a frame for stream {0}, which never was")]
    NeverOpened(u32),
    /// More data than the stream's window allows.
    #[error("stream {0} sent more than its window allows")]
    WindowExceeded(u32),
    /// A window update that makes the window more than 4 GiB - 1.
    #[error("the window of stream {0} overflows")]
    WindowOverflow(u32),
    /// Data after the stream's end.
    #[error("stream {0} sent data after its end")]
    DataAfterEnd(u32),
    /// The remote makes us answer and takes no answers ([`MAX_REPLIES`]).
    ///
    /// [`MAX_REPLIES`]: super::MAX_REPLIES
    #[error("the remote takes no answers")]
    TooManyReplies,
    /// No answer to a ping in [`Config::ping_timeout`].
    ///
    /// [`Config::ping_timeout`]: super::Config::ping_timeout
    #[error("the remote did not answer a ping in time")]
    PingTimeout,
}

/// Why no stream could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// [`MAX_ACK_BACKLOG`] streams wait to be acknowledged: try again when the
    /// remote has answered some.
    ///
    /// [`MAX_ACK_BACKLOG`]: super::MAX_ACK_BACKLOG
    #[error("too many streams wait for the remote to acknowledge them")]
    TooManyUnacknowledged,
    /// [`Config::max_outbound_streams`] exist: close some first.
    ///
    /// [`Config::max_outbound_streams`]: super::Config::max_outbound_streams
    #[error("too many streams are open")]
    TooManyStreams,
    /// The node's [`Limits`](crate::swarm::limits::Limits) allow no more.
    #[cfg(feature = "limits")]
    #[error(transparent)]
    Limit(crate::swarm::limits::LimitReached),
    /// One side has said go away, or the session has failed: use another
    /// connection.
    #[error("the session takes no new streams")]
    GoneAway,
    /// Two thousand million streams were opened: use another connection.
    #[error("the session has no stream numbers left")]
    NumbersUsedUp,
}

/// Why a stream takes no more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// This side has finished writing.
    #[error("the stream's write side is finished")]
    Finished,
    /// The stream was reset: nothing written to it can be counted on.
    #[error("the stream was reset")]
    Reset,
}
