//! The message of the signalling protocol.
//!
//! Source: libp2p specs, `webrtc/webrtc.md`, "Signaling Protocol".

use crate::wire::protobuf::{Malformed, Reader, Writer};

use super::{MAX_CANDIDATE_BYTES, MAX_DESCRIPTION_BYTES, SignalError};

/// What a message holds; the numbers are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `SDP_OFFER`: the dialer's description.
    Offer = 0,
    /// `SDP_ANSWER`: the listener's description.
    Answer = 1,
    /// `ICE_CANDIDATE`: where one of the two may be reached, as JSON.
    Candidate = 2,
}

impl Kind {
    /// The longest data of this kind, in bytes.
    pub fn limit(self) -> usize {
        match self {
            Self::Offer | Self::Answer => MAX_DESCRIPTION_BYTES,
            Self::Candidate => MAX_CANDIDATE_BYTES,
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// What the data is.
    pub kind: Kind,
    /// A description or a candidate: text, not looked into.
    pub data: String,
}

impl Signal {
    /// Reads a message.
    ///
    /// # Errors
    /// [`SignalError::Protocol`]: it is none; [`SignalError::TooLong`]: its data is
    /// longer than [`Kind::limit`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SignalError> {
        let (number, data) = fields(bytes).map_err(|Malformed| SignalError::Protocol)?;
        let kinds = [Kind::Offer, Kind::Answer, Kind::Candidate];
        let kind = kinds.into_iter().find(|kind| *kind as u64 == number);
        let kind = kind.ok_or(SignalError::Protocol)?;
        if data.len() > kind.limit() {
            return Err(SignalError::TooLong);
        }
        Ok(Self { kind, data: data.into() })
    }

    /// Writes a message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // The type is written even if it is zero: js-libp2p wants to see it.
        Writer(&mut out).number(1, self.kind as u64).bytes(2, self.data.as_bytes());
        out
    }
}

fn fields(bytes: &[u8]) -> Result<(u64, &str), Malformed> {
    let (mut kind, mut data) = (0, "");
    for field in Reader(bytes) {
        match field? {
            (1, value) => kind = value.number()?,
            (2, value) => data = value.text()?,
            _ => {}
        }
    }
    Ok((kind, data))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    /// The message as the specification's own schema reads it.
    #[derive(Clone, PartialEq, Message)]
    struct Oracle {
        #[prost(uint64, optional, tag = "1")]
        kind: Option<u64>,
        #[prost(string, optional, tag = "2")]
        data: Option<String>,
    }

    #[test]
    fn the_wire_is_that_of_the_specification() {
        let signal = |kind, data: &str| Signal { kind, data: data.into() };
        assert_eq!(signal(Kind::Offer, "v=0").encode(), *b"\x08\x00\x12\x03v=0");
        assert_eq!(signal(Kind::Answer, "").encode(), *b"\x08\x01\x12\x00");
        assert_eq!(signal(Kind::Candidate, "null").encode(), *b"\x08\x02\x12\x04null");
        // Absent fields have their defaults.
        assert_eq!(Signal::decode(b""), Ok(signal(Kind::Offer, "")));
    }

    #[test]
    fn the_limits_of_each_kind_are_reached() {
        for kind in [Kind::Offer, Kind::Answer, Kind::Candidate] {
            let most = Signal { kind, data: "x".repeat(kind.limit()) };
            assert_eq!(Signal::decode(&most.encode()), Ok(most));
            let more = Signal { kind, data: "x".repeat(kind.limit() + 1) };
            assert_eq!(Signal::decode(&more.encode()), Err(SignalError::TooLong));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [&b"\x08\x03"[..], b"\x12\x01\xff", b"\x0a\x00", b"\x12\x05v=0"] {
            assert_eq!(Signal::decode(bytes), Err(SignalError::Protocol), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_the_oracle_reads_them(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let oracle = Oracle::decode(&bytes[..]).ok();
            let known = oracle.filter(|message| message.kind.unwrap_or(0) <= 2);
            let ours = Signal::decode(&bytes).ok();
            // Ours refuses groups too, which no libp2p message has.
            if let Some(ours) = &ours {
                let known = known.expect("the oracle takes what we take");
                prop_assert_eq!(known.kind.unwrap_or(0), ours.kind as u64);
                prop_assert_eq!(known.data.unwrap_or_default(), ours.data.clone());
            }
        }

        #[test]
        fn the_oracle_reads_what_we_write(kind in 0u64..3, data in ".{0,40}") {
            let kinds = [Kind::Offer, Kind::Answer, Kind::Candidate];
            let bytes = Signal { kind: kinds[kind as usize], data: data.clone() }.encode();
            let expected = Oracle { kind: Some(kind), data: Some(data) };
            prop_assert_eq!(Oracle::decode(&bytes[..]).unwrap(), expected);
        }
    }
}
