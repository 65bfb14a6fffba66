//! The protocol's messages (RPCs), read and written as the items they are made of.
//!
//! Source: pubsub README "The RPC"; gossipsub v1.0 "Protobuf", v1.1 "PRUNE Backoff and
//! Peer Exchange", v1.2 "Protobuf Extension", v1.3 `extensions.proto`.
//!
//! An RPC is never held as a whole: each item is handed on as it is read, and what goes
//! beyond the limits here is counted and not kept, so that a frame of many tiny fields
//! costs its sender's bandwidth, and no memory.

use std::sync::Arc;

use crate::identity::PeerId;
use crate::wire::protobuf::{Malformed, Reader, Value, Writer};

use super::message::{Message, MessageId, Parts, TopicName};

/// Subscriptions and their ends in one RPC; go-libp2p says all of its own in the first.
pub const MAX_SUBSCRIPTIONS: usize = 512;
/// Messages in one RPC.
pub const MAX_MESSAGES: usize = 4096;
/// GRAFTs, PRUNEs, IHAVEs, IWANTs, IDONTWANTs, CHOKEs and UNCHOKEs in one RPC: a few for each
/// topic.
pub const MAX_CONTROL: usize = 2048;
/// Ids of messages in one RPC; what go-libp2p allows a heartbeat (`MaxIHaveLength`).
pub const MAX_IDS: usize = 5000;
/// The longest id of a message that is read, in bytes; the usual ones have 50.
pub const MAX_ID: usize = 256;
/// The longest name of a topic, in bytes.
pub const MAX_TOPIC: usize = 256;
/// Peers that one PRUNE tells of; go-libp2p sends 16.
pub const MAX_EXCHANGED: usize = 32;
/// The longest signed record of a peer, in bytes.
pub const MAX_RECORD: usize = 8 << 10;

/// A peer that another one tells of. Source: gossipsub v1.1 `PeerInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// Who.
    pub peer: PeerId,
    /// Where it says that it is: a signed record, not verified here; may be empty.
    pub record: Vec<u8>,
}

/// What a peer can do beyond its version. Source: gossipsub v1.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// The extension that only tests whether extensions work.
    pub test: bool,
    /// CHOKE and UNCHOKE ([`CHOKING`]).
    pub choking: bool,
}

/// The number of the experimental test extension, in its two places.
const TEST: u32 = 6_492_434;
/// The number of the extension for lazy links, of our own and in the range for experiments:
/// of the bool in `ControlExtensions` by which a peer says that it understands it, and of
/// the message in `RPC`, `{ repeated string choke = 1; repeated string unchoke = 2; }` with
/// the names of topics.
pub const CHOKING: u32 = 7_038_551;

/// One thing that an RPC says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// What the sender can do: first on a stream.
    Extensions(Extensions),
    /// The sender subscribes to a topic.
    Subscribe(TopicName),
    /// The sender leaves a topic.
    Unsubscribe(TopicName),
    /// A message.
    Message(Arc<Message>),
    /// The sender has these messages of a topic.
    IHave(TopicName, Vec<MessageId>),
    /// The sender wants these messages.
    IWant(Vec<MessageId>),
    /// The sender has taken us into its mesh of a topic.
    Graft(TopicName),
    /// The sender has put us out of its mesh of a topic.
    Prune {
        /// The topic.
        topic: TopicName,
        /// Others who are in it.
        peers: Vec<Exchanged>,
        /// Seconds in which we are not to graft it again.
        backoff: Option<u64>,
    },
    /// The sender has these messages, and needs no copies.
    IDontWant(Vec<MessageId>),
    /// The message of the test extension, which says nothing.
    Test,
    /// The sender wants to be told of this topic's messages, and not to be sent them.
    Choke(TopicName),
    /// The sender wants to be sent this topic's messages again.
    Unchoke(TopicName),
}

/// What is still taken of an RPC.
struct Budget {
    subscriptions: usize,
    messages: usize,
    control: usize,
    ids: usize,
    /// What was left out.
    excess: usize,
}

impl Budget {
    fn take(&mut self, of: fn(&mut Self) -> &mut usize) -> bool {
        match of(self) {
            0 => {
                self.excess += 1;
                false
            }
            left => {
                *left -= 1;
                true
            }
        }
    }
}

/// Reads an RPC and hands on each of its items; returns how many were left out because
/// they go beyond the limits, or name what cannot be named.
///
/// # Errors
/// [`Malformed`]: it is none from some point on; the items before were handed on.
pub fn read(bytes: &[u8], mut item: impl FnMut(Item)) -> Result<usize, Malformed> {
    read_parts(bytes, |part| match part {
        Part::Item(read) => item(read),
        Part::Message(parts, topic) => {
            item(Item::Message(Arc::new(Message::new(parts, topic.into()))));
        }
    })
}

/// An item of an RPC, or the fields of a message and its topic: most messages are known,
/// and nothing is made of them.
pub(super) enum Part<'a> {
    Item(Item),
    Message(Parts<'a>, &'a str),
}

/// As [`read`].
pub(super) fn read_parts<'a>(
    bytes: &'a [u8],
    mut part: impl FnMut(Part<'a>),
) -> Result<usize, Malformed> {
    let mut budget = Budget {
        subscriptions: MAX_SUBSCRIPTIONS,
        messages: MAX_MESSAGES,
        control: MAX_CONTROL,
        ids: MAX_IDS,
        excess: 0,
    };
    for field in Reader(bytes) {
        match field? {
            (1, value) if budget.take(|budget| &mut budget.subscriptions) => {
                match subscription(value.bytes()?)? {
                    Some(read) => part(Part::Item(read)),
                    None => budget.excess += 1,
                }
            }
            (2, value) if budget.take(|budget| &mut budget.messages) => {
                match message(value.bytes()?)? {
                    Some((parts, topic)) => part(Part::Message(parts, topic)),
                    None => budget.excess += 1,
                }
            }
            (3, value) => {
                control(value.bytes()?, &mut budget, &mut |read| part(Part::Item(read)))?;
            }
            (TEST, Value::Bytes(_)) => part(Part::Item(Item::Test)),
            (CHOKING, value) => {
                choking(value.bytes()?, &mut budget, &mut |read| part(Part::Item(read)))?;
            }
            _ => {}
        }
    }
    Ok(budget.excess)
}

fn topic(value: Value<'_>) -> Result<Option<TopicName>, Malformed> {
    Ok(topic_name(value)?.map(TopicName::from))
}

fn topic_name(value: Value<'_>) -> Result<Option<&str>, Malformed> {
    let name = value.text()?;
    Ok((!name.is_empty() && name.len() <= MAX_TOPIC).then_some(name))
}

fn subscription(bytes: &[u8]) -> Result<Option<Item>, Malformed> {
    let (mut subscribe, mut name) = (false, None);
    for field in Reader(bytes) {
        match field? {
            (1, value) => subscribe = value.number()? != 0,
            (2, value) => name = topic(value)?,
            _ => {}
        }
    }
    Ok(name.map(|name| match subscribe {
        true => Item::Subscribe(name),
        false => Item::Unsubscribe(name),
    }))
}

/// The fields of a message and its topic, if it names one.
fn message(bytes: &[u8]) -> Result<Option<(Parts<'_>, &str)>, Malformed> {
    let (mut parts, mut name) = (Parts::default(), None);
    for field in Reader(bytes) {
        let (number, value) = field?;
        match number {
            1 => parts.from = Some(value.bytes()?),
            2 => parts.data = Some(value.bytes()?),
            3 => parts.seqno = Some(value.bytes()?),
            4 => name = topic_name(value)?,
            5 => parts.signature = Some(value.bytes()?),
            6 => parts.key = Some(value.bytes()?),
            _ => {}
        }
    }
    Ok(name.map(|name| (parts, name)))
}

fn control(
    bytes: &[u8],
    budget: &mut Budget,
    item: &mut impl FnMut(Item),
) -> Result<(), Malformed> {
    each(bytes, 6, budget, item, |number, value, budget| {
        let bytes = value.bytes()?;
        Ok(match number {
            1 => ihave(bytes, budget)?,
            2 => Some(Item::IWant(ids(bytes, budget)?)),
            3 => graft(bytes)?,
            4 => prune(bytes, budget)?,
            5 => Some(Item::IDontWant(ids(bytes, budget)?)),
            _ => Some(Item::Extensions(extensions(bytes)?)),
        })
    })
}

fn choking(
    bytes: &[u8],
    budget: &mut Budget,
    item: &mut impl FnMut(Item),
) -> Result<(), Malformed> {
    each(bytes, 2, budget, item, |number, value, _| {
        let what = if number == 1 { Item::Choke } else { Item::Unchoke };
        Ok(topic(value)?.map(what))
    })
}

/// Reads the control messages of the fields up to `last`, as far as the budget allows;
/// those that `read` cannot take are counted.
fn each(
    bytes: &[u8],
    last: u32,
    budget: &mut Budget,
    item: &mut impl FnMut(Item),
    read: fn(u32, Value<'_>, &mut Budget) -> Result<Option<Item>, Malformed>,
) -> Result<(), Malformed> {
    for field in Reader(bytes) {
        let (number, value) = field?;
        if !(1..=last).contains(&number) || !budget.take(|budget| &mut budget.control) {
            continue;
        }
        match read(number, value, budget)? {
            Some(read) => item(read),
            None => budget.excess += 1,
        }
    }
    Ok(())
}

fn id(value: Value<'_>, budget: &mut Budget) -> Result<Option<MessageId>, Malformed> {
    let bytes = value.bytes()?;
    if bytes.len() > MAX_ID {
        budget.excess += 1;
        return Ok(None);
    }
    Ok(budget.take(|budget| &mut budget.ids).then(|| MessageId::new(bytes)))
}

fn ids(bytes: &[u8], budget: &mut Budget) -> Result<Vec<MessageId>, Malformed> {
    let mut ids = Vec::new();
    for field in Reader(bytes) {
        if let (1, value) = field? {
            ids.extend(id(value, budget)?);
        }
    }
    Ok(ids)
}

fn ihave(bytes: &[u8], budget: &mut Budget) -> Result<Option<Item>, Malformed> {
    let (mut name, mut ids) = (None, Vec::new());
    for field in Reader(bytes) {
        match field? {
            (1, value) => name = topic(value)?,
            (2, value) => ids.extend(id(value, budget)?),
            _ => {}
        }
    }
    Ok(name.map(|name| Item::IHave(name, ids)))
}

fn graft(bytes: &[u8]) -> Result<Option<Item>, Malformed> {
    let mut name = None;
    for field in Reader(bytes) {
        if let (1, value) = field? {
            name = topic(value)?;
        }
    }
    Ok(name.map(Item::Graft))
}

fn prune(bytes: &[u8], budget: &mut Budget) -> Result<Option<Item>, Malformed> {
    let (mut name, mut peers, mut backoff) = (None, Vec::new(), None);
    let mut room = MAX_EXCHANGED;
    for field in Reader(bytes) {
        match field? {
            (1, value) => name = topic(value)?,
            (2, value) if room > 0 => {
                room -= 1;
                peers.extend(exchanged(value.bytes()?)?);
            }
            (2, _) => budget.excess += 1,
            (3, value) => backoff = Some(value.number()?),
            _ => {}
        }
    }
    Ok(name.map(|topic| Item::Prune { topic, peers, backoff }))
}

fn exchanged(bytes: &[u8]) -> Result<Option<Exchanged>, Malformed> {
    let (mut peer, mut record) = (None, Vec::new());
    for field in Reader(bytes) {
        match field? {
            (1, value) => peer = PeerId::from_bytes(value.bytes()?).ok(),
            (2, value) if value.bytes()?.len() <= MAX_RECORD => record = value.bytes()?.to_vec(),
            _ => {}
        }
    }
    Ok(peer.map(|peer| Exchanged { peer, record }))
}

fn extensions(bytes: &[u8]) -> Result<Extensions, Malformed> {
    let mut extensions = Extensions::default();
    for field in Reader(bytes) {
        match field? {
            (TEST, value) => extensions.test = value.number()? != 0,
            (CHOKING, value) => extensions.choking = value.number()? != 0,
            _ => {}
        }
    }
    Ok(extensions)
}

/// Makes an RPC of items.
#[derive(Default)]
pub struct RpcWriter {
    body: Vec<u8>,
    control: Vec<u8>,
}

impl RpcWriter {
    /// With room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { body: Vec::with_capacity(bytes), control: Vec::new() }
    }

    /// How long the RPC is so far, in bytes, but for the frame around its control part.
    pub fn len(&self) -> usize {
        self.body.len() + self.control.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an item.
    pub fn push(&mut self, item: &Item) {
        let mut body = Writer(&mut self.body);
        let mut control = Writer(&mut self.control);
        let all = |writer: &mut Writer<'_>, field, ids: &[MessageId]| {
            for id in ids {
                writer.bytes(field, id.as_bytes());
            }
        };
        match item {
            Item::Extensions(extensions) => control.message(6, |out| {
                out.some_number(TEST, extensions.test.into());
                out.some_number(CHOKING, extensions.choking.into());
            }),
            Item::Subscribe(topic) => body.message(1, |out| {
                out.number(1, 1).bytes(2, topic.as_bytes());
            }),
            Item::Unsubscribe(topic) => body.message(1, |out| {
                out.number(1, 0).bytes(2, topic.as_bytes());
            }),
            Item::Message(message) => body.bytes(2, message.as_bytes()),
            Item::IHave(topic, ids) => control.message(1, |out| {
                out.bytes(1, topic.as_bytes());
                all(out, 2, ids);
            }),
            Item::IWant(ids) => control.message(2, |out| all(out, 1, ids)),
            Item::Graft(topic) => control.message(3, |out| {
                out.bytes(1, topic.as_bytes());
            }),
            Item::Prune { topic, peers, backoff } => control.message(4, |out| {
                out.bytes(1, topic.as_bytes());
                for peer in peers {
                    out.message(2, |out| {
                        out.bytes(1, peer.peer.as_bytes()).some_bytes(2, &peer.record);
                    });
                }
                if let Some(backoff) = backoff {
                    out.number(3, *backoff);
                }
            }),
            Item::IDontWant(ids) => control.message(5, |out| all(out, 1, ids)),
            Item::Test => body.bytes(TEST, &[]),
            Item::Choke(topic) => body.message(CHOKING, |out| {
                out.bytes(1, topic.as_bytes());
            }),
            Item::Unchoke(topic) => body.message(CHOKING, |out| {
                out.bytes(2, topic.as_bytes());
            }),
        };
    }

    /// The RPC.
    pub fn finish(mut self) -> Vec<u8> {
        if !self.control.is_empty() {
            Writer(&mut self.body).bytes(3, &self.control);
        }
        self.body
    }
}

impl Item {
    /// About how many bytes it has on the wire.
    pub(crate) fn size(&self) -> usize {
        let ids = |ids: &[MessageId]| ids.iter().map(|id| id.as_bytes().len() + 3).sum::<usize>();
        let size = match self {
            Self::Extensions(_) | Self::Test => 8,
            Self::Subscribe(topic)
            | Self::Unsubscribe(topic)
            | Self::Graft(topic)
            | Self::Choke(topic)
            | Self::Unchoke(topic) => topic.len(),
            Self::Message(message) => message.as_bytes().len(),
            Self::IHave(topic, list) => topic.len() + ids(list),
            Self::IWant(list) | Self::IDontWant(list) => ids(list),
            Self::Prune { topic, peers, .. } => {
                let peers = peers.iter().map(|peer| peer.record.len() + PeerId::MAX_LEN + 8);
                topic.len() + 10 + peers.sum::<usize>()
            }
        };
        size + 12
    }
}
