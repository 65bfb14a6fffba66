//! What the application is told, and what it may do wrong.

use std::sync::Arc;

use thiserror::Error;

use crate::address::Multiaddr;
use crate::discovery::topics::FoundBy;
use crate::identity::{PeerId, SignError};

use super::message::{Message, MessageId, TopicName};

/// What the application is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PubsubEvent {
    /// A good message of a topic that we are subscribed to.
    Message {
        /// The message.
        message: Arc<Message>,
        /// What names it.
        id: MessageId,
        /// The peer that sent it to us first; the author is in the message.
        received_from: PeerId,
    },
    /// Is this message good? Answer with
    /// [`Node::validated`](crate::node::Node::validated); without an answer in
    /// [`MAX_WAIT`](super::validation::MAX_WAIT) it is ignored.
    Validate {
        /// The message; if it was signed, the signature is good.
        message: Arc<Message>,
        /// What names it.
        id: MessageId,
        /// The peer that sent it.
        received_from: PeerId,
    },
    /// A peer has subscribed to a topic.
    Subscribed {
        /// Who.
        peer: PeerId,
        /// The topic.
        topic: TopicName,
    },
    /// A peer has left a topic, or is gone.
    Unsubscribed {
        /// Who.
        peer: PeerId,
        /// The topic.
        topic: TopicName,
    },
    /// Somebody who is not connected is said to be in a topic of ours; it is dialed while
    /// the topic lacks peers ([`discovery::topics`](crate::discovery::topics)).
    Found {
        /// Who.
        peer: PeerId,
        /// The topic.
        topic: TopicName,
        /// Where it is said to be; nothing that anybody has proved.
        addresses: Vec<Multiaddr>,
        /// How it was found.
        by: FoundBy,
    },
}

/// A message is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// What names it.
    pub id: MessageId,
    /// Peers that it was sent to at once. With none, those who come in the next seconds
    /// are told of it.
    pub peers: usize,
}

/// Why a topic was not subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the name of a topic has 1 to {} bytes", super::wire::MAX_TOPIC)]
pub struct SubscribeError;

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The topic cannot have this name.
    #[error(transparent)]
    Topic(#[from] SubscribeError),
    /// The message is too long.
    #[error("a message of this topic has at most {limit} bytes")]
    TooLong {
        /// Bytes that it may have.
        limit: usize,
    },
    /// A message with the same id was seen lately: ids are made of the content.
    #[error("this message was published already")]
    Duplicate,
    /// It could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What was done so far; numbers only grow but for the last four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages of our own.
    pub published: u64,
    /// Messages that came and were good.
    pub delivered: u64,
    /// Messages that came once more.
    pub duplicates: u64,
    /// Messages that were bad.
    pub rejected: u64,
    /// Messages that were ignored.
    pub ignored: u64,
    /// Copies of messages that were given to peers.
    pub sent: u64,
    /// Copies that were dropped because a peer did not read; the oldest first.
    pub dropped: u64,
    /// Messages that were asked for after gossip told of them.
    pub asked: u64,
    /// Promises of gossip that were not kept.
    pub broken: u64,
    /// Items beyond the limits, and RPCs that could not be read.
    pub excess: u64,
    /// Peers that speak with us.
    pub peers: usize,
    /// Topics that we are subscribed to.
    pub topics: usize,
    /// Peers in their meshes.
    pub mesh: usize,
    /// Messages that are remembered.
    pub seen: usize,
}
