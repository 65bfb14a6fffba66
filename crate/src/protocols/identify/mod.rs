//! Identify and identify push: who we are, what we speak, where we are seen.
//!
//! Source: libp2p specs "identify".
//!
//! What a remote can make grow: one [`Info`] a connection, itself bounded; the
//! messages of one answer ([`MAX_MESSAGES`] of [`MAX_MESSAGE_BYTES`]); streams
//! of ours on its connection ([`MAX_INBOUND`]).

mod message;

use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::{Map, Set};
use crate::connection::{Framing, StreamId};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::{ConnectionId, Event};
use crate::time::Instant;

use super::{Action, Input, Local, Protocol};

use message::Identify as Message;
pub use message::Info;

/// The protocol that asks.
pub const NAME: &str = "/ipfs/id/1.0.0";
/// The protocol that tells of a change.
pub const PUSH_NAME: &str = "/ipfs/id/push/1.0.0";
/// The longest message taken, in bytes. go-libp2p's limit is 8 KiB for one
/// without a signed record and as much again with it; rust-libp2p's is 4 KiB.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024;
/// Messages that one answer may be split into; as go-libp2p's.
pub const MAX_MESSAGES: usize = 10;
/// Inbound identify streams that are read at a time, a connection.
pub const MAX_INBOUND: usize = 4;
/// The longest message sent, in bytes: all implementations read this much.
const MAX_SENT_BYTES: usize = 4096;
const FRAMING: Framing = Framing::LengthPrefixed { max: MAX_MESSAGE_BYTES };

/// The identify protocol's state.
pub struct Identify {
    connections: Map<ConnectionId, Link>,
    actions: VecDeque<Action>,
}

struct Link {
    peer: PeerId,
    remote: Multiaddr,
    info: Info,
    /// Streams that bring the remote's answer or push, with the messages left.
    reading: Map<StreamId, usize>,
    pushing: Set<StreamId>,
}

/// What a request for a stream was for.
const ASK: u64 = 0;
const PUSH: u64 = 1;

impl Identify {
    /// A protocol that has seen nobody.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { connections: Map::new(), actions: VecDeque::new() }
    }

    /// What the remote of a connection said of itself so far.
    pub fn info(&self, connection: ConnectionId) -> Option<&Info> {
        self.connections.get(&connection).map(|link| &link.info)
    }

    fn open(&mut self, connection: ConnectionId, request: u64, name: &str) {
        self.actions.push_back(Action::Open {
            connection,
            request,
            protocols: vec![name.into()],
            framing: FRAMING,
        });
    }

    /// Sends what we are and ends our half.
    fn tell(&mut self, local: &Local, connection: ConnectionId, stream: StreamId) {
        let Some(link) = self.connections.get(&connection) else { return };
        for bytes in messages(local, &link.remote) {
            self.actions.push_back(Action::Send { connection, stream, bytes });
        }
        self.actions.push_back(Action::Finish { connection, stream });
    }

    fn on_inbound(
        &mut self,
        local: &Local,
        connection: ConnectionId,
        stream: StreamId,
        name: &Name,
    ) {
        if &**name == NAME {
            return self.tell(local, connection, stream);
        }
        let Some(link) = self.connections.get_mut(&connection) else { return };
        if link.reading.len() >= MAX_INBOUND {
            self.actions.push_back(Action::Reset { connection, stream });
        } else {
            link.reading.insert(stream, MAX_MESSAGES);
        }
    }

    fn on_message(&mut self, connection: ConnectionId, stream: StreamId, bytes: &[u8]) {
        let Some(link) = self.connections.get_mut(&connection) else { return };
        let Some(left) = link.reading.get_mut(&stream) else { return };
        *left = left.saturating_sub(1);
        let message = Message::decode(bytes).ok().filter(|_| *left > 0);
        let Some(message) = message else {
            link.reading.remove(&stream);
            return self.actions.push_back(Action::Reset { connection, stream });
        };
        link.info.merge(&link.peer, &message);
    }

    fn on_finished(&mut self, connection: ConnectionId, stream: StreamId) {
        let Some(link) = self.connections.get_mut(&connection) else { return };
        if link.pushing.remove(&stream) || link.reading.remove(&stream).is_none() {
            return;
        }
        let (peer, info) = (link.peer, Box::new(link.info.clone()));
        self.actions.push_back(Action::Finish { connection, stream });
        self.actions.push_back(Action::Emit(Event::Identified { connection, peer, info }));
    }

    fn push_to_all(&mut self) {
        let speaks = |link: &Link| link.info.protocols.iter().any(|name| &**name == PUSH_NAME);
        let links: Vec<_> =
            self.connections.iter().filter(|(_, link)| speaks(link)).map(|(id, _)| *id).collect();
        for connection in links {
            self.open(connection, PUSH, PUSH_NAME);
        }
    }
}

impl Protocol for Identify {
    fn names(&self) -> Vec<(Name, Framing)> {
        vec![(NAME.into(), FRAMING), (PUSH_NAME.into(), FRAMING)]
    }

    fn handle(&mut self, _: Instant, local: &Local, input: Input<'_>) {
        match input {
            Input::Connected { connection, peer, remote, .. } => {
                let link = Link {
                    peer: *peer,
                    remote: remote.clone(),
                    info: Info::default(),
                    reading: Map::new(),
                    pushing: Set::new(),
                };
                self.connections.insert(connection, link);
                self.open(connection, ASK, NAME);
            }
            Input::Disconnected { connection } => {
                self.connections.remove(&connection);
            }
            Input::Opened { connection, request: PUSH, stream, .. } => {
                if let Some(link) = self.connections.get_mut(&connection) {
                    link.pushing.insert(stream);
                }
                self.tell(local, connection, stream);
            }
            Input::Opened { connection, stream, .. } => {
                if let Some(link) = self.connections.get_mut(&connection) {
                    link.reading.insert(stream, MAX_MESSAGES);
                }
                self.actions.push_back(Action::Finish { connection, stream });
            }
            Input::Inbound { connection, stream, protocol } => {
                self.on_inbound(local, connection, stream, protocol);
            }
            Input::Message { connection, stream, bytes } => {
                self.on_message(connection, stream, &bytes);
            }
            Input::Finished { connection, stream } => self.on_finished(connection, stream),
            Input::Reset { connection, stream } => {
                if let Some(link) = self.connections.get_mut(&connection) {
                    link.reading.remove(&stream);
                    link.pushing.remove(&stream);
                }
            }
            Input::LocalChanged => self.push_to_all(),
            Input::OpenFailed { .. } | Input::Timeout => {}
            #[cfg(feature = "service")]
            Input::Identified { .. } => {}
            #[cfg(any(feature = "pubsub", feature = "service"))]
            Input::Flushed { .. } => {}
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}

/// Our message, for a remote that we see at `remote`; the signed record goes in
/// a message of its own when both together would be too long for some readers.
fn messages(local: &Local, remote: &Multiaddr) -> Vec<Vec<u8>> {
    let mut size = 0;
    let mut fits = |bytes: usize| {
        size += bytes + 4;
        size <= MAX_SENT_BYTES / 2
    };
    let protocols: Vec<&Name> = local.protocols.iter().filter(|name| fits(name.len())).collect();
    let addresses: Vec<Multiaddr> =
        local.addresses.iter().filter(|address| fits(address.as_bytes().len())).cloned().collect();
    let mut list = vec![message::encode(local, remote, &protocols, &addresses)];
    if let Ok(record) = local.seal() {
        let record = record.to_bytes();
        if list.iter().any(|message| message.len() + record.len() + 4 > MAX_SENT_BYTES) {
            list.push(Vec::new());
        }
        list.last_mut().into_iter().for_each(|message| message::add_record(message, &record));
    }
    list
}
