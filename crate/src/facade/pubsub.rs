//! Topics of a running node, as streams of their messages.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::Stream;
use futures::channel::{mpsc, oneshot};

use crate::discovery::topics::{self, announcing};
use crate::identity::PeerId;
use crate::node::Event;
use crate::protocols::pubsub::{
    Config, Message, MessageId, PublishError, Published, PubsubEvent, Stats, SubscribeError,
    TopicConfig, TopicName, Validation, Verdict,
};
use crate::time::Instant;

use super::brain::Brain;
use super::commands::Command;
use super::{BoxFuture, Node, NodeClosed};

/// Messages of a topic that its reader may be behind; later ones are missed, and counted
/// ([`Topic::missed`]).
pub const MAX_BEHIND: usize = 1024;

/// Publish and subscribe. See [`Node::pubsub`].
#[derive(Clone)]
pub struct Pubsub {
    pub(super) node: Node,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PubsubError {
    /// No topic can have this name.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// The message was not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The node has ended.
    #[error(transparent)]
    Closed(#[from] NodeClosed),
}

/// A message of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The message: its author, number and data. If it was signed, the signature is good.
    pub message: Arc<Message>,
    /// What names it.
    pub id: MessageId,
    /// The peer that sent it to us first.
    pub received_from: PeerId,
}

/// A topic that the node is subscribed to: a stream of what others publish in it. When the
/// last one of a topic is closed or dropped, the node leaves it.
pub struct Topic {
    name: TopicName,
    number: u64,
    messages: mpsc::Receiver<Received>,
    missed: Arc<AtomicU64>,
    pubsub: Pubsub,
}

impl Stream for Topic {
    type Item = Received;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        Pin::new(&mut self.messages).poll_next(cx)
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.pubsub.node.send(Command::LeaveTopic(self.name.clone(), self.number));
    }
}

/// Judges messages in its own time.
type AsyncValidator =
    Arc<dyn Fn(Arc<Message>, PeerId) -> BoxFuture<'static, Verdict> + Send + Sync>;

struct Reader {
    number: u64,
    messages: mpsc::Sender<Received>,
    missed: Arc<AtomicU64>,
}

/// Who reads a topic, and who judges its messages.
#[derive(Default)]
pub(super) struct Joined {
    readers: Vec<Reader>,
    validator: Option<AsyncValidator>,
}

/// The topics that handles are held of.
#[derive(Default)]
pub(super) struct Topics {
    joined: BTreeMap<TopicName, Joined>,
    next: u64,
}

/// A wish for a topic.
pub(super) struct Join {
    topic: String,
    config: TopicConfig,
    validator: Option<AsyncValidator>,
    pubsub: Pubsub,
    reply: oneshot::Sender<Result<Topic, SubscribeError>>,
}

impl Node {
    /// Publish and subscribe.
    ///
    /// ```no_run
    /// # async fn example(node: polypeer::facade::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures::StreamExt;
    /// let mut news = node.pubsub().subscribe("news").await?;
    /// news.publish(b"hello").await?;
    /// while let Some(received) = news.next().await {
    ///     println!("{:?} says {:?}", received.message.from(), received.message.data());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn pubsub(&self) -> Pubsub {
        Pubsub { node: self.clone() }
    }
}

impl Pubsub {
    /// Publishes and subscribes with this configuration; `false` if the node does so
    /// already, which it does from its first topic on.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn start(&self, config: Config) -> Result<bool, NodeClosed> {
        self.node.with(move |node, now| node.start_pubsub(now, config)).await
    }

    /// Subscribes to a topic.
    ///
    /// # Errors
    /// [`PubsubError`]: no topic can have this name, or the node has ended.
    pub async fn subscribe(&self, topic: &str) -> Result<Topic, PubsubError> {
        self.subscribe_with(topic, TopicConfig::default()).await
    }

    /// As [`Pubsub::subscribe`], otherwise than usual; it holds for all who have
    /// subscribed to the topic here.
    ///
    /// # Errors
    /// [`PubsubError`]: no topic can have this name, or the node has ended.
    pub async fn subscribe_with(
        &self,
        topic: &str,
        config: TopicConfig,
    ) -> Result<Topic, PubsubError> {
        self.join(topic, config, None).await
    }

    /// As [`Pubsub::subscribe_with`], with a function that judges messages in its own
    /// time, within [`MAX_WAIT`](crate::protocols::pubsub::validation::MAX_WAIT).
    ///
    /// # Errors
    /// [`PubsubError`]: no topic can have this name, or the node has ended.
    pub async fn subscribe_validated<F, R>(
        &self,
        topic: &str,
        config: TopicConfig,
        validator: F,
    ) -> Result<Topic, PubsubError>
    where
        F: Fn(Arc<Message>, PeerId) -> R + Send + Sync + 'static,
        R: Future<Output = Verdict> + Send + 'static,
    {
        let config = TopicConfig { validation: Validation::Async, ..config };
        let validator: AsyncValidator =
            Arc::new(move |message, from| Box::pin(validator(message, from)));
        self.join(topic, config, Some(validator)).await
    }

    async fn join(
        &self,
        topic: &str,
        config: TopicConfig,
        validator: Option<AsyncValidator>,
    ) -> Result<Topic, PubsubError> {
        let (topic, pubsub) = (topic.to_owned(), self.clone());
        let join = |reply| Command::JoinTopic(Join { topic, config, validator, pubsub, reply });
        Ok(self.node.ask(join).await??)
    }

    /// Publishes a message in a topic, subscribed to it or not.
    ///
    /// # Errors
    /// [`PubsubError`]: it was not published.
    pub async fn publish(&self, topic: &str, data: &[u8]) -> Result<Published, PubsubError> {
        let (topic, data) = (topic.to_owned(), data.to_vec());
        Ok(self.node.with(move |node, now| node.publish(now, &topic, &data)).await??)
    }

    /// The peers that are subscribed to a topic, of those that the node is connected to.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn peers(&self, topic: &str) -> Result<Vec<PeerId>, NodeClosed> {
        let topic = topic.to_owned();
        self.node
            .with(move |node, _| node.pubsub().map(|router| router.subscribers(&topic)))
            .await
            .map(Option::unwrap_or_default)
    }

    /// The peers in the node's mesh of a topic.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn mesh(&self, topic: &str) -> Result<Vec<PeerId>, NodeClosed> {
        let topic = topic.to_owned();
        self.node
            .with(move |node, _| node.pubsub().map(|router| router.mesh(&topic)))
            .await
            .map(Option::unwrap_or_default)
    }

    /// Looks for the peers of topics in this way from now on.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn set_discovery(&self, config: topics::Config) -> Result<(), NodeClosed> {
        self.node.with(move |node, now| node.set_topic_discovery(now, config)).await
    }

    /// Announces the node in topics for that, and dials some of those who do so too. Who
    /// they are tells [`PubsubEvent::Found`].
    ///
    /// # Errors
    /// [`PubsubError`]: no topic can have one of these names, or the node has ended.
    pub async fn start_peer_discovery(
        &self,
        config: announcing::Config,
    ) -> Result<(), PubsubError> {
        Ok(self.node.with(move |node, now| node.start_peer_discovery(now, config)).await??)
    }

    /// What a peer is worth; 0 if it is not known.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn score(&self, peer: &PeerId) -> Result<f64, NodeClosed> {
        let peer = *peer;
        let score = move |node: &mut crate::node::Node, now| {
            node.pubsub().map_or(0.0, |router| router.score(now, &peer))
        };
        self.node.with(score).await
    }

    /// What was done so far.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn stats(&self) -> Result<Stats, NodeClosed> {
        let stats = |node: &mut crate::node::Node, _| node.pubsub().map(|router| router.stats());
        self.node.with(stats).await.map(Option::unwrap_or_default)
    }
}

impl Topic {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Publishes a message in it.
    ///
    /// # Errors
    /// [`PubsubError`]: it was not published.
    pub async fn publish(&self, data: &[u8]) -> Result<Published, PubsubError> {
        self.pubsub.publish(&self.name, data).await
    }

    /// The peers that are subscribed to it, of those that the node is connected to.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn peers(&self) -> Result<Vec<PeerId>, NodeClosed> {
        self.pubsub.peers(&self.name).await
    }

    /// The peers in the node's mesh of it, which send each message at once.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn mesh(&self) -> Result<Vec<PeerId>, NodeClosed> {
        self.pubsub.mesh(&self.name).await
    }

    /// Messages that were missed because this reader was [`MAX_BEHIND`].
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Leaves it, as dropping does.
    pub fn close(self) {}
}

impl Brain {
    /// Subscribes for a handle.
    pub(super) fn join_topic(&mut self, now: Instant, join: Join) {
        let Join { topic, config, validator, pubsub, reply } = join;
        if let Err(error) = self.node.subscribe(now, &topic, config) {
            // Whoever asked may have gone.
            let _ = reply.send(Err(error));
            return;
        }
        let name: TopicName = topic.into();
        let (messages, receiver) = mpsc::channel(MAX_BEHIND);
        let missed = Arc::new(AtomicU64::new(0));
        self.topics.next += 1;
        let number = self.topics.next;
        let joined = self.topics.joined.entry(name.clone()).or_default();
        joined.validator = validator;
        joined.readers.push(Reader { number, messages, missed: missed.clone() });
        // Dropped unread, it leaves the topic.
        let _ = reply.send(Ok(Topic { name, number, messages: receiver, missed, pubsub }));
    }

    /// A handle is gone.
    pub(super) fn leave_topic(&mut self, now: Instant, topic: &TopicName, number: u64) {
        let Some(joined) = self.topics.joined.get_mut(topic) else { return };
        joined.readers.retain(|reader| reader.number != number);
        if joined.readers.is_empty() {
            self.topics.joined.remove(topic);
            self.node.unsubscribe(now, topic);
        }
    }

    /// Messages for who reads their topics.
    pub(super) fn on_pubsub(&mut self, event: &Event) {
        match event {
            Event::Pubsub(PubsubEvent::Message { message, id, received_from }) => {
                let Some(joined) = self.topics.joined.get_mut(message.topic()) else { return };
                for reader in &mut joined.readers {
                    let received = Received {
                        message: message.clone(),
                        id: id.clone(),
                        received_from: *received_from,
                    };
                    if reader.messages.try_send(received).is_err_and(|error| error.is_full()) {
                        reader.missed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            Event::Pubsub(PubsubEvent::Validate { message, id, received_from }) => {
                let joined = self.topics.joined.get(message.topic());
                let Some(validator) = joined.and_then(|joined| joined.validator.clone()) else {
                    return;
                };
                let verdict = validator(message.clone(), *received_from);
                let (commands, id) = (self.commands_sender.clone(), id.clone());
                self.platform.spawn(Box::pin(async move {
                    let verdict = verdict.await;
                    let judge = move |node: &mut crate::node::Node, now| {
                        node.validated(now, &id, verdict);
                    };
                    // A node that has ended delivers nothing.
                    let _ = commands.unbounded_send(Command::With(Box::new(judge)));
                }));
            }
            _ => {}
        }
    }
}
