//! What an established connection consists of.

use core::time::Duration;

use crate::negotiate::Dialer;
use crate::time::Instant;
use crate::wire::Buffer;

use super::Error;
use super::channel::Channel;
use super::streams::Streams;

/// A connection that is drained stays at least this long, for those at both ends
/// who have just been handed it.
pub const DRAIN_GRACE: Duration = Duration::from_secs(10);
/// A connection that is drained ends after this long, whatever streams it has.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(300);

/// A connection that is closed ends after this long in which nothing leaves,
/// whatever still waits: the goodbye, or the last bytes of a connection over one of
/// its streams.
pub const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A secure channel, and the streams in it.
pub(super) struct Established {
    pub(super) channel: Channel,
    pub(super) streams: Streams,
    /// The answer to our lazily proposed muxer, until it has come.
    pub(super) muxer_answer: Option<(Dialer, Buffer)>,
    /// Since when it is closed and nothing has left.
    pub(super) closing: Option<Instant>,
    /// Since when it is drained.
    pub(super) draining: Option<Instant>,
    /// When the remote is pinged if nothing comes from it before.
    pub(super) ping_at: Instant,
}

impl Established {
    /// Says goodbye; the end comes when that is flushed.
    pub(super) fn close(&mut self, now: Instant) {
        self.closing.get_or_insert(now);
        self.streams.say_goodbye();
    }

    /// Whether what comes is read fast enough to take more from the wire.
    pub(super) fn wants_read(&self) -> bool {
        self.channel.wants_read() && self.streams.wants_read()
    }

    /// Whether there is something to send now.
    pub(super) fn wants_transmit(&self) -> bool {
        self.channel.wants_transmit() || self.streams.yamux.wants_transmit()
    }

    /// Whether there is something to send, now or when limits allow it.
    pub(super) fn will_transmit(&self) -> bool {
        self.channel.wants_transmit() || self.streams.yamux.will_transmit()
    }

    /// The smoothed round trip, as what lies below or the muxer has measured it.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.channel.rtt().or_else(|| self.streams.yamux.rtt())
    }

    /// Gives the muxer what sending has brought about.
    #[cfg(feature = "webrtc")]
    pub(super) fn reflect(&mut self, now: Instant) -> Result<(), Error> {
        if let Channel::Data(channels) = &mut self.channel {
            let frames = channels.take_frames();
            self.streams.yamux.receive(now, &frames)?;
        }
        Ok(())
    }

    /// When a connection that is drained is to be closed, or one that is closed to
    /// be given up.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        if let Some(since) = self.closing {
            return Some(since + CLOSE_LIMIT);
        }
        Some(self.draining? + if self.streams.is_used() { DRAIN_LIMIT } else { DRAIN_GRACE })
    }

    pub(super) fn receive(&mut self, now: Instant, bytes: &mut [u8]) -> Result<(), Error> {
        let Self { channel, streams, muxer_answer, .. } = self;
        let result = channel
            .receive(bytes, &mut |plain| Self::demultiplex(streams, muxer_answer, now, plain));
        #[cfg(all(feature = "manager", feature = "webrtc"))]
        {
            self.streams.rtt = self.channel.rtt();
        }
        #[cfg(feature = "webrtc")]
        if let Channel::Data(channels) = &mut self.channel {
            self.streams.overrun = channels.take_overrun();
        }
        self.streams.process(now);
        result
    }

    /// Plaintext that was decrypted during the upgrade.
    pub(super) fn plain(&mut self, now: Instant, plain: &[u8]) -> Result<(), Error> {
        Self::demultiplex(&mut self.streams, &mut self.muxer_answer, now, plain)
    }

    fn demultiplex(
        streams: &mut Streams,
        muxer_answer: &mut Option<(Dialer, Buffer)>,
        now: Instant,
        plain: &[u8],
    ) -> Result<(), Error> {
        let Some((dialer, waiting)) = muxer_answer else {
            return Ok(streams.yamux.receive(now, plain)?);
        };
        waiting.push(plain);
        let (used, agreed) = dialer.receive(waiting.as_slice(), &mut Vec::new())?;
        waiting.consume(used);
        if agreed.is_some() {
            let rest = core::mem::take(waiting);
            *muxer_answer = None;
            streams.yamux.receive(now, rest.as_slice())?;
        }
        Ok(())
    }
}
