//! The secure channel: ciphertext frames from the wire in, plaintext out, and back.

use core::time::Duration;

use crate::muxer::yamux;
use crate::security::TAG;
use crate::security::noise::{LENGTH, MAX_PLAINTEXT, Opener, Sealer, frame_length};
use crate::wire::Buffer;

use super::Error;

/// What a Noise frame adds to its plaintext, in bytes.
const OVERHEAD: usize = LENGTH + TAG;

/// An authenticated channel between two peers.
pub(super) enum Channel {
    /// Noise frames: two bytes of length (big endian), ciphertext, tag.
    Noise {
        sealer: Box<Sealer>,
        opener: Box<Opener>,
        /// The beginning of a frame whose rest has not come; less than 64 KiB + 2.
        partial: Buffer,
    },
    /// No protection at all, for tests and closed networks.
    #[cfg_attr(not(feature = "plaintext"), expect(dead_code))]
    Plaintext,
    /// Frames of the muxer for streams of the host, which protects them.
    #[cfg(feature = "muxed")]
    Muxed,
    /// Data channels, which the host's DTLS protects.
    #[cfg(feature = "webrtc")]
    Data(Box<crate::webrtc::Channels>),
}

impl Channel {
    pub(super) fn noise(sealer: Sealer, opener: Opener) -> Self {
        Self::Noise { sealer: Box::new(sealer), opener: Box::new(opener), partial: Buffer::new() }
    }

    /// The muxer's settings, as the channel wants them.
    pub(super) fn muxer_config(&self, config: &yamux::Config) -> yamux::Config {
        #[cfg_attr(not(feature = "webrtc"), expect(unused_mut))]
        let mut config = config.clone();
        #[cfg(feature = "webrtc")]
        if matches!(self, Self::Data(_)) {
            config.max_frame = config.max_frame.min(crate::webrtc::MAX_FRAME);
            config.max_outbound_streams =
                config.max_outbound_streams.min(crate::webrtc::MAX_CHANNELS);
            config.min_round_trip = crate::webrtc::MIN_ROUND_TRIP;
        }
        config
    }

    /// Whether [`Channel::transmit`] has something that is not the source's.
    pub(super) fn wants_transmit(&self) -> bool {
        match self {
            #[cfg(feature = "webrtc")]
            Self::Data(channels) => channels.wants_transmit(),
            _ => false,
        }
    }

    /// Whether more is welcome from the wire.
    pub(super) fn wants_read(&self) -> bool {
        match self {
            #[cfg(feature = "webrtc")]
            Self::Data(channels) => channels.wants_read(),
            _ => true,
        }
    }

    /// The round trip, if it is measured below.
    pub(super) fn rtt(&self) -> Option<Duration> {
        match self {
            #[cfg(feature = "webrtc")]
            Self::Data(channels) => channels.rtt(),
            _ => None,
        }
    }

    /// Opens every frame that `bytes` completes, in place, and hands its plaintext on.
    pub(super) fn receive(
        &mut self,
        mut bytes: &mut [u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        #[cfg(feature = "webrtc")]
        if let Self::Data(channels) = self {
            let mut frames = Vec::new();
            channels.receive(bytes, &mut frames);
            return sink(&frames);
        }
        let Self::Noise { opener, partial, .. } = self else { return sink(bytes) };
        while !bytes.is_empty() {
            let whole = frame_length(bytes).filter(|length| *length <= bytes.len());
            if let Some(length) = whole.filter(|_| partial.is_empty()) {
                let (frame, rest) = bytes.split_at_mut(length);
                sink(opener.open(&mut frame[LENGTH..])?)?;
                bytes = rest;
                continue;
            }
            // Only what the frame at hand lacks is copied.
            let wanted = match frame_length(partial.as_slice()) {
                Some(length) => length - partial.len(),
                None if partial.is_empty() => frame_length(bytes).unwrap_or(LENGTH),
                None => LENGTH - partial.len(),
            };
            let taken = wanted.min(bytes.len());
            let (head, rest) = bytes.split_at_mut(taken);
            partial.push(head);
            bytes = rest;
            if frame_length(partial.as_slice()) == Some(partial.len()) {
                sink(opener.open(&mut partial.as_mut_slice()[LENGTH..])?)?;
                partial.clear();
            }
        }
        Ok(())
    }

    /// Appends to `out` at most `budget` bytes of frames around what `source`
    /// writes; `source` appends at most as many bytes as it is told.
    pub(super) fn transmit(
        &mut self,
        out: &mut Vec<u8>,
        budget: usize,
        source: &mut dyn FnMut(&mut Vec<u8>, usize) -> usize,
    ) -> Result<usize, Error> {
        let start = out.len();
        #[cfg(feature = "webrtc")]
        if let Self::Data(channels) = self {
            return Ok(channels.transmit(out, budget, source));
        }
        let Self::Noise { sealer, .. } = self else {
            source(out, budget);
            return Ok(out.len() - start);
        };
        loop {
            let left = budget.saturating_sub(out.len() - start).saturating_sub(OVERHEAD);
            let frame = out.len();
            out.extend_from_slice(&[0; LENGTH]);
            if left == 0 || source(out, left.min(MAX_PLAINTEXT)) == 0 {
                out.truncate(frame);
                return Ok(out.len() - start);
            }
            sealer.seal(out, frame)?;
        }
    }
}
