//! The messages of the protocol.
//!
//! Source: libp2p specs, `rendezvous/README.md`, Protobuf.

use core::fmt;

use crate::wire::protobuf::{Malformed, Reader, Writer};

use super::{MAX_COOKIE, MAX_FOUND, MAX_RECORD};

/// The longest text beside a status that is kept, in bytes.
const MAX_TEXT: usize = 256;

/// How a request was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It was carried out.
    Ok,
    /// The namespace is empty, too long, or not one of this point.
    InvalidNamespace,
    /// The signed record is not good.
    InvalidSignedPeerRecord,
    /// The registration would last too short or too long.
    InvalidTtl,
    /// The cookie is none of this point, or of another name: begin without one.
    InvalidCookie,
    /// That is not for us to ask for.
    NotAuthorized,
    /// Something is wrong with the point.
    InternalError,
    /// The point has no room, or no time, at the moment.
    Unavailable,
    /// Another number.
    Other(u64),
}

impl Status {
    fn number(self) -> u64 {
        match self {
            Self::Ok => 0,
            Self::InvalidNamespace => 100,
            Self::InvalidSignedPeerRecord => 101,
            Self::InvalidTtl => 102,
            Self::InvalidCookie => 103,
            Self::NotAuthorized => 200,
            Self::InternalError => 300,
            Self::Unavailable => 400,
            Self::Other(number) => number,
        }
    }

    fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Ok,
            100 => Self::InvalidNamespace,
            101 => Self::InvalidSignedPeerRecord,
            102 => Self::InvalidTtl,
            103 => Self::InvalidCookie,
            200 => Self::NotAuthorized,
            300 => Self::InternalError,
            400 => Self::Unavailable,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Ok => "OK",
            Self::InvalidNamespace => "invalid namespace",
            Self::InvalidSignedPeerRecord => "invalid signed peer record",
            Self::InvalidTtl => "invalid TTL",
            Self::InvalidCookie => "invalid cookie",
            Self::NotAuthorized => "not authorized",
            Self::InternalError => "internal error",
            Self::Unavailable => "unavailable",
            Self::Other(_) => "unknown status",
        })
    }
}

/// A registration on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    /// Under which name.
    pub namespace: String,
    /// The signed record.
    pub record: Vec<u8>,
    /// How long it lasts, in seconds.
    pub ttl: Option<u64>,
}

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Register us.
    Register(Register),
    /// How that was taken.
    Registered {
        /// Whether it was.
        status: Status,
        /// Words about that.
        text: String,
        /// How long it lasts, in seconds.
        ttl: Option<u64>,
    },
    /// We are no longer there.
    Unregister {
        /// Under which name.
        namespace: String,
    },
    /// Who is there?
    Discover {
        /// Under which name; all, without one.
        namespace: Option<String>,
        /// At most so many.
        limit: Option<u64>,
        /// Only those who came after this was given.
        cookie: Option<Vec<u8>>,
    },
    /// Those who are there.
    Discovered {
        /// Whether the question was taken.
        status: Status,
        /// Words about that.
        text: String,
        /// Who.
        registrations: Vec<Register>,
        /// For the next question.
        cookie: Vec<u8>,
    },
}

impl Message {
    /// Reads a message. Registrations beyond [`MAX_FOUND`] are left out, and so are
    /// those whose records are longer than [`MAX_RECORD`].
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut kind, mut bodies) = (None, [&[][..]; 5]);
        for field in Reader(bytes) {
            match field? {
                (1, value) => kind = Some(value.number()?),
                (number @ 2..=6, value) => bodies[number as usize - 2] = value.bytes()?,
                _ => {}
            }
        }
        // Bodies of other kinds are not looked at.
        let kind = usize::try_from(kind.ok_or(Malformed)?).map_err(|_| Malformed)?;
        let bytes = *bodies.get(kind).ok_or(Malformed)?;
        match kind {
            0 => Ok(Self::Register(register(bytes)?)),
            1 => registered(bytes),
            2 => Ok(Self::Unregister { namespace: register(bytes)?.namespace }),
            3 => discover(bytes),
            4 => discovered(bytes),
            _ => Err(Malformed),
        }
    }

    /// The message on the wire. What has a default is written too: rust-libp2p wants
    /// it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut message = Writer(&mut out);
        match self {
            Self::Register(register) => {
                message.number(1, 0).message(2, |body| write(body, register));
            }
            Self::Registered { status, text, ttl } => {
                message.number(1, 1).message(3, |body| {
                    body.number(1, status.number()).some_bytes(2, text.as_bytes());
                    if let Some(ttl) = ttl {
                        body.number(3, *ttl);
                    }
                });
            }
            Self::Unregister { namespace } => {
                message.number(1, 2).message(4, |body| {
                    body.bytes(1, namespace.as_bytes());
                });
            }
            Self::Discover { namespace, limit, cookie } => {
                message.number(1, 3).message(5, |body| {
                    if let Some(namespace) = namespace {
                        body.bytes(1, namespace.as_bytes());
                    }
                    if let Some(limit) = limit {
                        body.number(2, *limit);
                    }
                    if let Some(cookie) = cookie {
                        body.bytes(3, cookie);
                    }
                });
            }
            Self::Discovered { status, text, registrations, cookie } => {
                message.number(1, 4).message(6, |body| {
                    for register in registrations {
                        body.message(1, |body| write(body, register));
                    }
                    body.bytes(2, cookie).number(3, status.number()).some_bytes(4, text.as_bytes());
                });
            }
        }
        out
    }
}

fn write(body: &mut Writer<'_>, register: &Register) {
    body.bytes(1, register.namespace.as_bytes()).bytes(2, &register.record);
    if let Some(ttl) = register.ttl {
        body.number(3, ttl);
    }
}

fn register(bytes: &[u8]) -> Result<Register, Malformed> {
    let mut body = Register::default();
    for field in Reader(bytes) {
        match field? {
            (1, value) => body.namespace = value.text()?.into(),
            (2, value) => body.record = value.bytes()?.to_vec(),
            (3, value) => body.ttl = Some(value.number()?),
            _ => {}
        }
    }
    Ok(body)
}

fn registered(bytes: &[u8]) -> Result<Message, Malformed> {
    let (mut status, mut text, mut ttl) = (Status::Ok, String::new(), None);
    for field in Reader(bytes) {
        match field? {
            (1, value) => status = Status::from_number(value.number()?),
            (2, value) => text = clipped(value.text()?),
            (3, value) => ttl = Some(value.number()?),
            _ => {}
        }
    }
    Ok(Message::Registered { status, text, ttl })
}

fn discover(bytes: &[u8]) -> Result<Message, Malformed> {
    let (mut namespace, mut limit, mut cookie) = (None, None, None);
    for field in Reader(bytes) {
        match field? {
            // An empty name is none: some send it.
            (1, value) => namespace = Some(value.text()?).filter(|name| !name.is_empty()),
            (2, value) => limit = Some(value.number()?),
            (3, value) => cookie = Some(value.bytes()?.to_vec()),
            _ => {}
        }
    }
    Ok(Message::Discover { namespace: namespace.map(String::from), limit, cookie })
}

fn discovered(bytes: &[u8]) -> Result<Message, Malformed> {
    let (mut status, mut text) = (Status::Ok, String::new());
    let (mut registrations, mut cookie): (Vec<Register>, &[u8]) = (Vec::new(), &[]);
    for field in Reader(bytes) {
        match field? {
            (1, value) if registrations.len() < MAX_FOUND => {
                let register = register(value.bytes()?)?;
                if register.record.len() <= MAX_RECORD {
                    registrations.push(register);
                }
            }
            (2, value) => cookie = value.bytes()?,
            (3, value) => status = Status::from_number(value.number()?),
            (4, value) => text = clipped(value.text()?),
            _ => {}
        }
    }
    if cookie.len() > MAX_COOKIE {
        return Err(Malformed);
    }
    Ok(Message::Discovered { status, text, registrations, cookie: cookie.to_vec() })
}

fn clipped(text: &str) -> String {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].into()
}
