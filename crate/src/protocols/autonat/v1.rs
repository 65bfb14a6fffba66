//! The messages of version 1.
//!
//! Source: libp2p specs "autonat v1", section "RPC messages".

use crate::address::Multiaddr;
use crate::identity::PeerId;
use crate::wire::protobuf::{Malformed, Reader, Writer};

/// The longest message taken, in bytes; go-libp2p's is 8 KiB as well.
pub const MAX_MESSAGE_BYTES: usize = 8192;
/// Addresses of a request that are looked at.
pub const MAX_ADDRESSES: usize = 16;

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// An address led there.
    Ok,
    /// None did.
    DialError,
    /// The server dials none of them.
    DialRefused,
    /// The request could not be read.
    BadRequest,
    /// Something went wrong there.
    InternalError,
    /// A number that the specification does not know.
    Other(u64),
}

impl Status {
    const NUMBERS: [(u64, Self); 5] = [
        (0, Self::Ok),
        (100, Self::DialError),
        (101, Self::DialRefused),
        (200, Self::BadRequest),
        (300, Self::InternalError),
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
                found.map_or(300, |(number, _)| *number)
            }
        }
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Dial us.
    Dial {
        /// Who we are.
        peer: Option<PeerId>,
        /// Where.
        addresses: Vec<Multiaddr>,
    },
    /// What came of it.
    Response {
        /// How it went.
        status: Status,
        /// The address that led there.
        address: Option<Multiaddr>,
    },
}

impl Message {
    /// Reads a message.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut kind, mut dial, mut response) = (None, None, None);
        for field in Reader(bytes) {
            match field? {
                (1, value) => kind = Some(value.number()?),
                (2, value) => dial = Some(value.bytes()?),
                (3, value) => response = Some(value.bytes()?),
                _ => {}
            }
        }
        match kind {
            Some(0) => read_dial(dial.ok_or(Malformed)?),
            Some(1) => read_response(response.ok_or(Malformed)?),
            _ => Err(Malformed),
        }
    }

    /// Writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer(&mut out);
        match self {
            Self::Dial { peer, addresses } => writer.number(1, 0).message(2, |body| {
                body.message(1, |info| {
                    if let Some(peer) = peer {
                        info.bytes(1, peer.as_bytes());
                    }
                    for address in addresses {
                        info.bytes(2, address.as_bytes());
                    }
                });
            }),
            Self::Response { status, address } => writer.number(1, 1).message(3, |body| {
                body.number(1, status.number());
                if let Some(address) = address {
                    body.bytes(3, address.as_bytes());
                }
            }),
        };
        out
    }
}

fn read_dial(bytes: &[u8]) -> Result<Message, Malformed> {
    let (mut peer, mut addresses) = (None, Vec::new());
    for field in Reader(bytes) {
        let (1, info) = field? else { continue };
        for field in Reader(info.bytes()?) {
            match field? {
                (1, value) => peer = PeerId::from_bytes(value.bytes()?).ok(),
                (2, value) if addresses.len() < MAX_ADDRESSES => {
                    addresses.extend(Multiaddr::from_bytes(value.bytes()?).ok());
                }
                _ => {}
            }
        }
    }
    Ok(Message::Dial { peer, addresses })
}

fn read_response(bytes: &[u8]) -> Result<Message, Malformed> {
    let (mut status, mut address) = (None, None);
    for field in Reader(bytes) {
        match field? {
            (1, value) => status = Some(Status::from_number(value.number()?)),
            (3, value) => address = Multiaddr::from_bytes(value.bytes()?).ok(),
            _ => {}
        }
    }
    Ok(Message::Response { status: status.ok_or(Malformed)?, address })
}
