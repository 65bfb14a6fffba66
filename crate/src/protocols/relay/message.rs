//! The messages of hop and stop.
//!
//! Source: libp2p specs "circuit-v2", section "Protobuf".

use core::time::Duration;

use crate::address::Multiaddr;
use crate::identity::PeerId;
use crate::wire::protobuf::{Malformed, Reader, Value, Writer};

/// The longest message taken, in bytes; as go-libp2p's.
pub const MAX_MESSAGE_BYTES: usize = 4096;
/// Addresses of a relay that are kept of its reservation.
pub const MAX_ADDRESSES: usize = 32;

/// How a relay, or the peer behind it, answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is done.
    Ok,
    /// No reservation is given: most often there are too many.
    ReservationRefused,
    /// Too many circuits of this peer, or to it.
    ResourceLimitExceeded,
    /// The relay's rules do not allow it.
    PermissionDenied,
    /// The other side could not be reached, or refused.
    ConnectionFailed,
    /// The target has no reservation there.
    NoReservation,
    /// The request could not be read.
    MalformedMessage,
    /// The request was not one for this moment.
    UnexpectedMessage,
    /// A number that the specification does not know.
    Other(u64),
}

impl Status {
    const NUMBERS: [(u64, Self); 8] = [
        (100, Self::Ok),
        (200, Self::ReservationRefused),
        (201, Self::ResourceLimitExceeded),
        (202, Self::PermissionDenied),
        (203, Self::ConnectionFailed),
        (204, Self::NoReservation),
        (400, Self::MalformedMessage),
        (401, Self::UnexpectedMessage),
    ];

    fn from_number(number: u64) -> Self {
        let known = Self::NUMBERS.iter().find(|(known, _)| *known == number);
        known.map_or(Self::Other(number), |(_, status)| *status)
    }

    fn number(self) -> u64 {
        match self {
            Self::Other(number) => number,
            known => {
                let found = Self::NUMBERS.iter().find(|(_, status)| *status == known);
                found.map_or(0, |(number, _)| *number)
            }
        }
    }
}

impl core::fmt::Display for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::ReservationRefused => "the reservation was refused",
            Self::ResourceLimitExceeded => "a limit of the relay is reached",
            Self::PermissionDenied => "the relay does not permit it",
            Self::ConnectionFailed => "the relay could not reach the peer",
            Self::NoReservation => "the peer has no reservation at the relay",
            Self::MalformedMessage => "the request was malformed",
            Self::UnexpectedMessage => "the request was not expected",
            Self::Other(_) => "an unknown reason",
        })
    }
}

/// What a relay allows on one circuit. Zero, as its absence, is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// How long a circuit may last; seconds on the wire.
    pub duration: Option<Duration>,
    /// How many bytes it may carry in each direction.
    pub data: Option<u64>,
}

impl Limit {
    /// Whether a circuit under it is to be spared for what needs it: see
    /// "limited connections".
    pub fn is_limited(&self) -> bool {
        self.duration.is_some() || self.data.is_some()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut limit = Self::default();
        for field in Reader(bytes) {
            match field? {
                (1, value) => {
                    // 32 bits in the specification; more are no more limit than that.
                    let seconds = value.number()?.min(u32::MAX.into());
                    limit.duration = Some(Duration::from_secs(seconds)).filter(|d| !d.is_zero());
                }
                (2, value) => limit.data = Some(value.number()?).filter(|data| *data > 0),
                _ => {}
            }
        }
        Ok(limit)
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer
            .some_number(1, self.duration.map_or(0, |duration| duration.as_secs()))
            .some_number(2, self.data.unwrap_or(0));
    }
}

/// What a relay promised.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reservation {
    /// Seconds of Unix time.
    pub(super) expire: u64,
    /// Where the relay says it can be reached, with its PeerId.
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) voucher: Option<Vec<u8>>,
}

impl Reservation {
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reservation = Self::default();
        for field in Reader(bytes) {
            match field? {
                (1, value) => reservation.expire = value.number()?,
                (2, value) => {
                    let bytes = value.bytes()?;
                    if reservation.addresses.len() < MAX_ADDRESSES {
                        reservation.addresses.extend(Multiaddr::from_bytes(bytes));
                    }
                }
                (3, value) => reservation.voucher = Some(value.bytes()?.to_vec()),
                _ => {}
            }
        }
        Ok(reservation)
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.number(1, self.expire);
        for address in &self.addresses {
            writer.bytes(2, address.as_bytes());
        }
        if let Some(voucher) = &self.voucher {
            writer.bytes(3, voucher);
        }
    }
}

/// Client and relay.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Hop {
    Reserve,
    Connect { peer: PeerId },
    Status { status: Status, reservation: Option<Reservation>, limit: Limit },
}

/// Relay and the peer behind it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    Connect { peer: PeerId, limit: Limit },
    Status(Status),
}

/// The PeerId in a `Peer`; its addresses are for active relays, which we are not.
fn peer(value: Value<'_>) -> Result<PeerId, Malformed> {
    let mut id = None;
    for field in Reader(value.bytes()?) {
        if let (1, value) = field? {
            id = PeerId::from_bytes(value.bytes()?).ok();
        }
    }
    id.ok_or(Malformed)
}

fn write_peer(writer: &mut Writer<'_>, field: u32, peer: &PeerId) {
    writer.message(field, |inner| {
        inner.bytes(1, peer.as_bytes());
    });
}

impl Hop {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut kind, mut status, mut limit) = (None, None, Limit::default());
        let (mut target, mut reservation) = (None, None);
        for field in Reader(bytes) {
            match field? {
                (1, value) => kind = Some(value.number()?),
                (2, value) => target = Some(peer(value)?),
                (3, value) => reservation = Some(Reservation::decode(value.bytes()?)?),
                (4, value) => limit = Limit::decode(value.bytes()?)?,
                (5, value) => status = Some(Status::from_number(value.number()?)),
                _ => {}
            }
        }
        match kind.ok_or(Malformed)? {
            0 => Ok(Self::Reserve),
            1 => Ok(Self::Connect { peer: target.ok_or(Malformed)? }),
            2 => Ok(Self::Status { status: status.ok_or(Malformed)?, reservation, limit }),
            _ => Err(Malformed),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer(&mut out);
        match self {
            Self::Reserve => {
                writer.number(1, 0);
            }
            Self::Connect { peer } => write_peer(writer.number(1, 1), 2, peer),
            Self::Status { status, reservation, limit } => {
                writer.number(1, 2);
                if let Some(reservation) = reservation {
                    writer.message(3, |inner| reservation.encode(inner));
                }
                if limit.is_limited() {
                    writer.message(4, |inner| limit.encode(inner));
                }
                writer.number(5, status.number());
            }
        }
        out
    }
}

impl Stop {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut kind, mut source, mut status, mut limit) = (None, None, None, Limit::default());
        for field in Reader(bytes) {
            match field? {
                (1, value) => kind = Some(value.number()?),
                (2, value) => source = Some(peer(value)?),
                (3, value) => limit = Limit::decode(value.bytes()?)?,
                (4, value) => status = Some(Status::from_number(value.number()?)),
                _ => {}
            }
        }
        match kind.ok_or(Malformed)? {
            0 => Ok(Self::Connect { peer: source.ok_or(Malformed)?, limit }),
            1 => Ok(Self::Status(status.ok_or(Malformed)?)),
            _ => Err(Malformed),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer(&mut out);
        match self {
            Self::Connect { peer, limit } => {
                write_peer(writer.number(1, 0), 2, peer);
                if limit.is_limited() {
                    writer.message(3, |inner| limit.encode(inner));
                }
            }
            Self::Status(status) => {
                writer.number(1, 1).number(4, status.number());
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Keypair, Rng};

    fn id(number: u64) -> PeerId {
        Keypair::generate_ed25519(&mut Rng::from_number(number)).peer_id()
    }

    fn hops() -> Vec<Hop> {
        let limit = Limit { duration: Some(Duration::from_secs(120)), data: Some(1 << 17) };
        let addresses = vec!["/ip4/192.0.2.1/tcp/4001".parse().unwrap()];
        let reservation = Reservation { expire: 1 << 40, addresses, voucher: Some(vec![1, 2]) };
        let status = |status, reservation, limit| Hop::Status { status, reservation, limit };
        vec![
            Hop::Reserve,
            Hop::Connect { peer: id(1) },
            status(Status::Ok, Some(reservation), limit),
            status(Status::Other(7), None, Limit::default()),
            status(Status::NoReservation, None, Limit { data: None, ..limit }),
        ]
    }

    fn stops() -> Vec<Stop> {
        let limit = Limit { duration: None, data: Some(u64::MAX) };
        vec![
            Stop::Connect { peer: id(2), limit },
            Stop::Status(Status::Ok),
            Stop::Status(Status::Other(u64::MAX)),
        ]
    }

    #[test]
    fn messages_round_trip() {
        for message in hops() {
            assert_eq!(Hop::decode(&message.encode()), Ok(message));
        }
        for message in stops() {
            assert_eq!(Stop::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn the_wire_is_that_of_the_specification() {
        assert_eq!(Hop::Reserve.encode(), [0x08, 0]);
        let status = |status| Hop::Status { status, reservation: None, limit: Limit::default() };
        assert_eq!(status(Status::PermissionDenied).encode(), [0x08, 2, 0x28, 0xca, 0x01]);
        assert_eq!(Stop::Status(Status::Ok).encode(), [0x08, 1, 0x20, 100]);
    }

    #[test]
    fn what_is_missing_or_extreme_is_seen() {
        let message = |fields: &[(u32, Value<'_>)]| {
            let mut bytes = Vec::new();
            for (field, value) in fields {
                match value {
                    Value::Number(number) => Writer(&mut bytes).number(*field, *number),
                    Value::Bytes(text) => Writer(&mut bytes).bytes(*field, text),
                    _ => unreachable!(),
                };
            }
            bytes
        };
        let number = Value::Number;
        for bytes in [
            message(&[]),
            message(&[(1, number(1))]),
            message(&[(1, number(2))]),
            message(&[(1, number(3))]),
            message(&[(1, number(1)), (2, Value::Bytes(b"\x0a\x02no"))]),
        ] {
            assert_eq!(Hop::decode(&bytes), Err(Malformed));
        }
        assert_eq!(Stop::decode(&message(&[(1, number(0))])), Err(Malformed));
        let zero = message(&[(1, number(0)), (2, number(0))]);
        assert_eq!(Limit::decode(&zero), Ok(Limit::default()));
        let most = message(&[(1, number(u64::MAX)), (2, number(u64::MAX))]);
        let limit = Limit::decode(&most).unwrap();
        assert_eq!(limit.duration, Some(Duration::from_secs(u32::MAX.into())));
    }

    #[test]
    fn the_limit_of_addresses_is_reached() {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        for _ in 0..MAX_ADDRESSES + 1 {
            writer.bytes(2, "/ip4/192.0.2.1/tcp/1".parse::<Multiaddr>().unwrap().as_bytes());
        }
        assert_eq!(Reservation::decode(&bytes).unwrap().addresses.len(), MAX_ADDRESSES);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_read_is_written_alike(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            if let Ok(message) = Hop::decode(&bytes) {
                prop_assert_eq!(Hop::decode(&message.encode()), Ok(message));
            }
            if let Ok(message) = Stop::decode(&bytes) {
                prop_assert_eq!(Stop::decode(&message.encode()), Ok(message));
            }
        }
    }
}
