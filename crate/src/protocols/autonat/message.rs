//! The messages of version 2.
//!
//! Source: libp2p specs "autonat v2", section "RPC Messages".

use crate::address::Multiaddr;
use crate::wire::protobuf::{Malformed, Reader, Writer};

/// The longest message taken, in bytes; as go-libp2p's.
pub const MAX_MESSAGE_BYTES: usize = 8192;
/// The longest message of a dial back, in bytes: a number is all that is in it.
pub const MAX_DIAL_BACK_BYTES: usize = 64;
/// Addresses of a request that are looked at; as go-libp2p's.
pub const MAX_ADDRESSES: usize = 50;
/// The most that one message of dial data carries, in bytes.
pub const MAX_DATA_BYTES: usize = 4096;

/// What a server made of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseStatus {
    /// Something went wrong there.
    #[default]
    InternalError,
    /// It serves no more just now, or not us.
    Rejected,
    /// It cannot dial, or does not want to dial, any of the addresses.
    DialRefused,
    /// It dialed one.
    Ok,
    /// A number that the specification does not know.
    Other(u64),
}

impl ResponseStatus {
    fn from_number(number: u64) -> Self {
        match number {
            0 => Self::InternalError,
            100 => Self::Rejected,
            101 => Self::DialRefused,
            200 => Self::Ok,
            other => Self::Other(other),
        }
    }

    fn number(self) -> u64 {
        match self {
            Self::InternalError => 0,
            Self::Rejected => 100,
            Self::DialRefused => 101,
            Self::Ok => 200,
            Self::Other(number) => number,
        }
    }
}

/// What came of a server's dial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DialStatus {
    /// There was none.
    #[default]
    Unused,
    /// Nobody was reached.
    DialError,
    /// We were reached, and did not take the number.
    DialBackError,
    /// We were reached and took the number.
    Ok,
    /// A number that the specification does not know.
    Other(u64),
}

impl DialStatus {
    fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Unused,
            100 => Self::DialError,
            101 => Self::DialBackError,
            200 => Self::Ok,
            other => Self::Other(other),
        }
    }

    fn number(self) -> u64 {
        match self {
            Self::Unused => 0,
            Self::DialError => 100,
            Self::DialBackError => 101,
            Self::Ok => 200,
            Self::Other(number) => number,
        }
    }
}

/// A message on a stream of `/libp2p/autonat/2/dial-request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Dial one of these.
    Request {
        /// Most wanted first; `None` stands for one that cannot be read.
        addresses: Vec<Option<Multiaddr>>,
        /// What to say on the dialed connection.
        nonce: u64,
    },
    /// What came of it.
    Response {
        /// Of the request.
        status: ResponseStatus,
        /// Which address was dialed.
        index: u32,
        /// Of the dial.
        dial: DialStatus,
    },
    /// Send so many bytes before we dial.
    DataRequest {
        /// Which address is to be dialed.
        index: u32,
        /// How many.
        bytes: u64,
    },
    /// Some of these; how many.
    Data(usize),
}

impl Message {
    /// Reads a message; of several in one the last counts, as protobuf has it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut message = None;
        for field in Reader(bytes) {
            message = match field? {
                (1, value) => Some(request(value.bytes()?)?),
                (2, value) => Some(response(value.bytes()?)?),
                (3, value) => Some(data_request(value.bytes()?)?),
                (4, value) => Some(data(value.bytes()?)?),
                _ => message,
            };
        }
        message.ok_or(Malformed)
    }

    /// Writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer(&mut out);
        match self {
            Self::Request { addresses, nonce } => writer.message(1, |body| {
                for address in addresses.iter().flatten() {
                    body.bytes(1, address.as_bytes());
                }
                body.some_fixed64(2, *nonce);
            }),
            Self::Response { status, index, dial } => writer.message(2, |body| {
                body.some_number(1, status.number())
                    .some_number(2, (*index).into())
                    .some_number(3, dial.number());
            }),
            Self::DataRequest { index, bytes } => writer.message(3, |body| {
                body.some_number(1, (*index).into()).some_number(2, *bytes);
            }),
            Self::Data(count) => writer.message(4, |body| {
                body.some_bytes(1, &vec![0; (*count).min(MAX_DATA_BYTES)]);
            }),
        };
        out
    }
}

fn request(bytes: &[u8]) -> Result<Message, Malformed> {
    let (mut addresses, mut nonce) = (Vec::new(), 0);
    for field in Reader(bytes) {
        match field? {
            (1, value) if addresses.len() < MAX_ADDRESSES => {
                addresses.push(Multiaddr::from_bytes(value.bytes()?).ok());
            }
            (2, value) => nonce = value.fixed64()?,
            _ => {}
        }
    }
    Ok(Message::Request { addresses, nonce })
}

fn response(bytes: &[u8]) -> Result<Message, Malformed> {
    let (mut status, mut index, mut dial) = (ResponseStatus::default(), 0, DialStatus::default());
    for field in Reader(bytes) {
        match field? {
            (1, value) => status = ResponseStatus::from_number(value.number()?),
            (2, value) => index = value.number()? as u32,
            (3, value) => dial = DialStatus::from_number(value.number()?),
            _ => {}
        }
    }
    Ok(Message::Response { status, index, dial })
}

fn data_request(bytes: &[u8]) -> Result<Message, Malformed> {
    let (mut index, mut count) = (0, 0);
    for field in Reader(bytes) {
        match field? {
            (1, value) => index = value.number()? as u32,
            (2, value) => count = value.number()?,
            _ => {}
        }
    }
    Ok(Message::DataRequest { index, bytes: count })
}

fn data(bytes: &[u8]) -> Result<Message, Malformed> {
    let mut count = 0;
    for field in Reader(bytes) {
        if let (1, value) = field? {
            count = value.bytes()?.len();
        }
    }
    Ok(Message::Data(count))
}

/// What a server says on the connection that it dialed: the request's number.
pub(super) fn dial_back(nonce: u64) -> Vec<u8> {
    let mut out = Vec::new();
    Writer(&mut out).some_fixed64(1, nonce);
    out
}

/// Reads that number.
pub fn decode_dial_back(bytes: &[u8]) -> Result<u64, Malformed> {
    let mut nonce = 0;
    for field in Reader(bytes) {
        if let (1, value) = field? {
            nonce = value.fixed64()?;
        }
    }
    Ok(nonce)
}

/// Whether a client's answer to that says that it has the number: its only status,
/// zero, is left out by those who write proto3.
pub(super) fn took_dial_back(bytes: &[u8]) -> bool {
    let mut status = 0;
    for field in Reader(bytes) {
        match field {
            Ok((1, value)) => status = value.number().unwrap_or(1),
            Ok(_) => {}
            Err(Malformed) => return false,
        }
    }
    status == 0
}
