//! What JavaScript is told, as records: a tag, then fields one after another.
//!
//! A number is a 64-bit float (little endian; numbers below 2⁵³ are exact), text
//! and bytes stand behind their length as 32 bits, lists of text are joined by
//! line breaks. `src/core.ts` reads them.

use std::fmt::{Display, Write as _};

use polypeer::connection::{self, StreamError};
use polypeer::node::{AttemptError, DialError};
use polypeer::security;

/// What a record tells; the numbers are those of `src/core.ts`.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Tag {
    Dial = 1,
    Transmit = 2,
    Drop = 3,
    Verify = 4,
    Connected = 5,
    Disconnected = 6,
    Identified = 7,
    StreamOpened = 8,
    InboundStream = 9,
    DialFailed = 10,
    StreamFailed = 11,
    Dialed = 12,
    Readable = 13,
    Writable = 14,
    Finished = 15,
    Reset = 16,
    Pinged = 17,
    Addresses = 18,
    #[cfg(feature = "full")]
    Store = 40,
    #[cfg(feature = "full")]
    PeerUpdated = 41,
    #[cfg(feature = "full")]
    PeerForgotten = 42,
    #[cfg(feature = "full")]
    Bootstrapped = 43,
    #[cfg(feature = "full")]
    Trimmed = 48,
    #[cfg(feature = "full")]
    Redialing = 49,
    #[cfg(feature = "full")]
    PathChanged = 50,
    #[cfg(feature = "full")]
    Reserved = 70,
    #[cfg(feature = "full")]
    Unreserved = 71,
    #[cfg(feature = "node")]
    CircuitEnded = 72,
    #[cfg(feature = "full")]
    TransportEnded = 73,
    #[cfg(feature = "full")]
    LimitNear = 74,
    #[cfg(feature = "full")]
    LimitReached = 75,
    #[cfg(feature = "node")]
    RelayRefused = 76,
    #[cfg(feature = "full")]
    Rtc = 80,
    #[cfg(feature = "full")]
    Upgraded = 81,
    #[cfg(feature = "full")]
    UpgradeFailed = 82,
    #[cfg(feature = "node")]
    Reachability = 90,
    #[cfg(feature = "full")]
    DhtAnswered = 100,
    #[cfg(feature = "full")]
    DhtFailed = 101,
    #[cfg(feature = "full")]
    DhtFound = 102,
    #[cfg(feature = "full")]
    DhtValue = 103,
    #[cfg(feature = "full")]
    DhtDone = 104,
    #[cfg(feature = "full")]
    Rendezvous = 110,
    #[cfg(feature = "full")]
    RendezvousRenewed = 111,
    #[cfg(feature = "full")]
    RendezvousFailed = 112,
    #[cfg(feature = "full")]
    FindRecords = 120,
    #[cfg(feature = "full")]
    WriteRecords = 121,
    #[cfg(feature = "full")]
    Published = 130,
    #[cfg(feature = "full")]
    Validate = 131,
    #[cfg(feature = "full")]
    Subscribed = 132,
    #[cfg(feature = "full")]
    Unsubscribed = 133,
    #[cfg(feature = "full")]
    TopicPeer = 140,
}

/// Why something failed, as far as programs care; the order is that of `src/core.ts`.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Cause {
    Transport,
    Timeout,
    WrongPeer,
    Protocol,
    NotSupported,
    Reset,
    Limit,
    Closed,
    Address,
    Cancelled,
    #[cfg(feature = "full")]
    Denied,
}

/// Attempts of one failed dial that are told of.
const MAX_ATTEMPTS: usize = 255;

/// Writes records into bytes that JavaScript reads.
pub(crate) struct Records<'a>(pub(crate) &'a mut Vec<u8>);

impl Records<'_> {
    pub(crate) fn tag(&mut self, tag: Tag) -> &mut Self {
        self.byte(tag as u8)
    }

    /// The record of a part, which JavaScript may not know: with its length.
    #[cfg(feature = "full")]
    pub(crate) fn part(&mut self, tag: Tag, body: impl FnOnce(&mut Records<'_>)) {
        let mut bytes = Vec::new();
        body(&mut Records(&mut bytes));
        self.tag(tag).bytes(&bytes);
    }

    pub(crate) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.float(number as f64)
    }

    pub(crate) fn float(&mut self, number: f64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Text as `text` prints itself.
    pub(crate) fn text(&mut self, text: &dyn Display) -> &mut Self {
        self.list(&mut std::iter::once(text))
    }

    /// Several texts, a line each.
    pub(crate) fn list(&mut self, texts: &mut dyn Iterator<Item = &dyn Display>) -> &mut Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        lines(self.0, texts);
        let length = (self.0.len() - start - 4) as u32;
        if let Some(place) = self.0.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self
    }

    pub(crate) fn failure(&mut self, cause: Cause, message: &dyn Display) -> &mut Self {
        self.byte(cause as u8).text(message)
    }

    pub(crate) fn dial_failed(&mut self, dial: u64, error: &DialError) {
        self.tag(Tag::DialFailed).number(dial);
        let attempts: &[_] = match error {
            DialError::Failed(attempts) => attempts,
            _ => &[],
        };
        match error {
            DialError::Failed(_) => self.failure(Cause::Transport, &"no address led to the peer"),
            DialError::Full => self.failure(Cause::Limit, error),
            DialError::Cancelled => self.failure(Cause::Cancelled, error),
            #[cfg(feature = "full")]
            DialError::Denied => self.failure(Cause::Denied, error),
            _ => self.failure(Cause::Address, error),
        };
        let count = attempts.len().min(MAX_ATTEMPTS);
        self.byte(count as u8);
        for (address, error) in attempts.iter().take(count) {
            let cause = match error {
                AttemptError::Connection(error) => connection_cause(error),
                AttemptError::TimedOut => Cause::Timeout,
                AttemptError::BackedOff(_) | AttemptError::TooMany => Cause::Limit,
                AttemptError::Filtered => Cause::Address,
                #[cfg(feature = "full")]
                AttemptError::Denied => Cause::Denied,
                #[cfg(feature = "full")]
                AttemptError::Limit(_) => Cause::Limit,
                #[cfg(feature = "full")]
                AttemptError::Signalling(error) => crate::webrtc::signal_cause(error),
                _ => Cause::Transport,
            };
            self.text(address).failure(cause, error);
        }
    }
}

/// Appends texts, a line each.
pub(crate) fn lines(out: &mut Vec<u8>, texts: &mut dyn Iterator<Item = &dyn Display>) {
    for (index, text) in texts.enumerate() {
        if index > 0 {
            out.push(b'\n');
        }
        // Writing to memory cannot fail.
        let _ = write!(Text(out), "{text}");
    }
}

struct Text<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

pub(crate) fn connection_cause(error: &connection::Error) -> Cause {
    use connection::Error;
    match error {
        Error::WrongPeer { .. } | Error::Security(security::Error::WrongPeer { .. }) => {
            Cause::WrongPeer
        }
        Error::HandshakeTimedOut => Cause::Timeout,
        Error::Transport(_) => Cause::Transport,
        Error::ClosedByRemote(_) | Error::ClosedHere => Cause::Closed,
        #[cfg(feature = "full")]
        Error::Denied => Cause::Denied,
        #[cfg(feature = "full")]
        Error::Limit(_) | Error::Displaced | Error::RelayLimit(_) => Cause::Limit,
        _ => Cause::Protocol,
    }
}

pub(crate) fn stream_cause(error: &StreamError) -> Cause {
    match error {
        StreamError::ProtocolNotSupported(_) => Cause::NotSupported,
        StreamError::TimedOut => Cause::Timeout,
        StreamError::Reset => Cause::Reset,
        StreamError::Limit(_) => Cause::Limit,
        StreamError::NotConnected => Cause::Closed,
        #[cfg(feature = "full")]
        StreamError::Limited | StreamError::Overrun => Cause::Limit,
        _ => Cause::Protocol,
    }
}
