//! What can be set, and the limits that cannot.

use core::time::Duration;

/// The window in bytes that every stream starts with, both ways
/// (yamux, "Flow Control").
pub const INITIAL_WINDOW: u32 = 256 * 1024;

/// Streams of ours that the remote has not acknowledged; [`Yamux::open`] refuses
/// more (yamux, "ACK backlog & backpressure").
///
/// [`Yamux::open`]: super::Yamux::open
pub const MAX_ACK_BACKLOG: usize = 256;

/// Replies (ping answers, refusals of streams) that may wait before
/// [`Yamux::wants_read`] says no: a remote that does not take its answers gets
/// no more of them made.
///
/// [`Yamux::wants_read`]: super::Yamux::wants_read
pub const REPLIES_PAUSE: usize = 1024;

/// Replies at which the session fails. A caller that heeds
/// [`REPLIES_PAUSE`] and receives in pieces of at most 64 KiB (5,461 headers)
/// never gets here.
pub const MAX_REPLIES: usize = 8 * 1024;

/// Bytes of data in a turn of a stream, for each unit of its weight.
pub const QUANTUM: u32 = 1024;

/// The weight of a stream that was given none: turns of 16 KiB, small enough
/// that a hundred bulk streams delay a small one by some 1.6 MiB at most, large
/// enough that headers cost less than a thousandth.
pub const DEFAULT_WEIGHT: u8 = 16;

/// How a session behaves. The defaults suit a connection of a public peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The largest receive window in bytes that a stream can grow to. At least
    /// [`INITIAL_WINDOW`], at most 1 GiB. Default 16 MiB: 1.3 Gbit/s at 100 ms.
    pub max_stream_window: u32,
    /// A window of which half is used up in less than two round trips grows; round
    /// trips are taken to last this long at least. Default zero: what pings say. More
    /// where these say too little, as what is measured does not wait behind the data.
    pub min_round_trip: Duration,
    /// Window in bytes that all streams together may have beyond the initial
    /// one of each. Default 16 MiB.
    pub window_budget: usize,
    /// Bytes that all streams together may hold unread. When they would hold
    /// more, the stream that holds the most is reset. Default 32 MiB.
    pub max_unread: usize,
    /// Bytes that a stream takes from its writer before they are sent. Default
    /// 256 KiB.
    pub send_buffer: usize,
    /// Bytes that all streams together take from their writers before they are
    /// sent. When they hold as many, each stream takes no more than two turns
    /// of its own (32 KiB at the default weight). Default 2 MiB.
    pub send_budget: usize,
    /// The longest body in bytes of a data frame. Default 65,507: with its
    /// header it fills one Noise message (65,535 bytes less the tag). At most
    /// 1 MiB, the most that rust-yamux takes.
    pub max_frame: usize,
    /// Streams of the remote that may exist; more are refused. Default 1024.
    pub max_inbound_streams: usize,
    /// Streams of ours that may exist; more are not opened. Default 256:
    /// rust-yamux ends a session that has more than 512 streams of both sides.
    pub max_outbound_streams: usize,
    /// Streams of the remote that wait to be taken ([`Event::Opened`]) or
    /// acknowledged; more are refused. Default 256, what remotes count on.
    ///
    /// [`Event::Opened`]: super::Event::Opened
    pub accept_backlog: usize,
    /// How long an answer to [`Yamux::ping`] may take. Default 20 s.
    ///
    /// [`Yamux::ping`]: super::Yamux::ping
    pub ping_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_stream_window: 16 * 1024 * 1024,
            min_round_trip: Duration::ZERO,
            window_budget: 16 * 1024 * 1024,
            max_unread: 32 * 1024 * 1024,
            send_buffer: 256 * 1024,
            send_budget: 2 * 1024 * 1024,
            max_frame: 65_507,
            max_inbound_streams: 1024,
            max_outbound_streams: 256,
            accept_backlog: 256,
            ping_timeout: Duration::from_secs(20),
        }
    }
}

impl Config {
    /// The same with values that cannot work moved to the nearest that can.
    pub(super) fn clamped(mut self) -> Self {
        self.max_stream_window = self.max_stream_window.clamp(INITIAL_WINDOW, 1 << 30);
        self.max_frame = self.max_frame.clamp(1, 1 << 20);
        self.send_buffer = self.send_buffer.max(1);
        self
    }
}
