//! What the handles of a node ask of its task.

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::channel::{mpsc, oneshot};

use crate::address::Multiaddr;
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::{ConnectionId, DialError, DialId, Event};
use crate::protocols::Protocol;
use crate::protocols::identify::Info;
#[cfg(feature = "kad")]
use crate::protocols::kad::QueryId;
use crate::swarm::DialOptions;
use crate::time::Instant;

use super::brain::Brain;
use super::platform::Listener;
use super::{Connection, Handler, Pong};

/// What a handle has done with the node.
#[cfg(feature = "limits")]
pub(super) type Act = Box<dyn FnOnce(&mut crate::node::Node, Instant) + Send>;

/// What a handle asks of its node.
pub(super) enum Command {
    /// Whatever else there is to do with the node.
    #[cfg(feature = "limits")]
    Use(Act),
    Listen(Box<dyn Listener>),
    Addresses(oneshot::Sender<Vec<Multiaddr>>),
    Peers(oneshot::Sender<Vec<PeerId>>),
    Connections(oneshot::Sender<Vec<Connection>>),
    Dial {
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        options: DialOptions,
        reply: oneshot::Sender<DialReply>,
    },
    CancelDial(DialId),
    Handle(Name, Handler),
    Unhandle(Name),
    HangUp(PeerId),
    CloseConnection(ConnectionId),
    Subscribe(mpsc::Sender<Event>),
    AddProtocol(Box<dyn Protocol>),
    Ping {
        connection: ConnectionId,
        reply: oneshot::Sender<Pong>,
    },
    Identify {
        connection: ConnectionId,
        reply: oneshot::Sender<Info>,
    },
    Close(oneshot::Sender<()>),
    #[cfg(feature = "kad")]
    Query {
        begin: super::routing::Begin,
        sender: mpsc::UnboundedSender<crate::protocols::kad::QueryEvent>,
        reply: oneshot::Sender<Result<QueryId, crate::protocols::kad::QueryError>>,
    },
    #[cfg(feature = "kad")]
    CancelQuery(QueryId),
    #[cfg(feature = "pubsub")]
    JoinTopic(super::pubsub::Join),
    #[cfg(feature = "pubsub")]
    LeaveTopic(crate::protocols::pubsub::TopicName, u64),
    #[cfg(feature = "rendezvous")]
    Rendezvous(super::meeting::Begin, super::meeting::Reply),
    #[cfg(feature = "rendezvous")]
    CancelRendezvous(crate::protocols::rendezvous::RequestId),
    #[cfg(feature = "kad")]
    StoreRecords(std::sync::Arc<dyn super::RecordStore>, oneshot::Sender<()>),
    #[cfg(any(
        feature = "addresses",
        feature = "kad",
        feature = "pubsub",
        feature = "service",
        feature = "store"
    ))]
    With(Action),
}

/// Something to do with the node itself.
#[cfg(any(
    feature = "addresses",
    feature = "kad",
    feature = "pubsub",
    feature = "service",
    feature = "store"
))]
pub(super) type Action = Box<dyn FnOnce(&mut crate::node::Node, Instant) + Send>;

/// Comes at once; the dial is taken back when it is dropped.
pub(super) type DialReply = Pending;

/// A dial under way: its result, or its end when nobody waits for that.
pub(super) struct Pending {
    answer: oneshot::Receiver<Result<Connection, DialError>>,
    cancel: Option<(DialId, mpsc::UnboundedSender<Command>)>,
}

impl std::future::Future for Pending {
    type Output = Result<Connection, DialError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = std::task::ready!(self.answer.poll_unpin(cx));
        self.cancel = None;
        Poll::Ready(answer.unwrap_or(Err(DialError::Cancelled)))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some((dial, commands)) = self.cancel.take() {
            // A brain that is gone dials nobody.
            let _ = commands.unbounded_send(Command::CancelDial(dial));
        }
    }
}

impl Brain {
    /// Does what a handle asks for.
    pub(super) fn carry_out(&mut self, now: Instant, command: Command) {
        match command {
            #[cfg(feature = "limits")]
            Command::Use(act) => {
                act(&mut self.node, now);
                self.tell_listeners();
            }
            Command::Listen(listener) => {
                let addresses = listener.addresses();
                addresses.iter().for_each(|address| self.node.listening(now, address.clone()));
                self.listeners.push((listener, addresses));
                #[cfg(feature = "limits")]
                self.tell_listeners();
            }
            Command::Addresses(reply) => {
                let peer = self.peer_id();
                let addresses = self.node.addresses().iter();
                let _ = reply.send(addresses.map(|address| address.with_peer(peer)).collect());
            }
            Command::Peers(reply) => {
                let _ = reply.send(self.node.peers().map(|(peer, _)| *peer).collect());
            }
            Command::Connections(reply) => {
                let ids = self.tasks.keys();
                let _ = reply.send(ids.filter_map(|id| self.connection(*id)).collect());
            }
            Command::Dial { peer, addresses, options, reply } => {
                let dial = self.node.dial_with(now, peer, addresses, options);
                let (sender, answer) = oneshot::channel();
                self.dials.insert(dial, sender);
                let cancel = Some((dial, self.commands_sender.clone()));
                // Dropped unread, it takes the dial back.
                let _ = reply.send(Pending { answer, cancel });
            }
            Command::CancelDial(dial) => self.node.cancel_dial(now, dial),
            Command::Handle(protocol, handler) => {
                self.handlers.insert(protocol.clone(), handler);
                self.node.handle(now, protocol);
            }
            Command::Unhandle(protocol) => {
                self.handlers.remove(&protocol);
                self.node.unhandle(now, &protocol);
            }
            Command::HangUp(peer) => self.node.hang_up(&peer),
            Command::CloseConnection(id) => self.node.close(id),
            Command::Subscribe(subscriber) => self.subscribers.push(subscriber),
            Command::AddProtocol(protocol) => self.node.add_protocol(now, protocol),
            Command::Ping { connection, reply } => {
                let ping = self.node.ping(now, connection);
                self.pings.insert(ping, reply);
            }
            Command::Identify { connection, reply } => match self.node.info(connection) {
                Some(info) if !info.protocols.is_empty() => {
                    let _ = reply.send(info.clone());
                }
                Some(_) => self.identifies.push((connection, reply)),
                // Dropping the reply tells that the connection is gone.
                None => {}
            },
            #[cfg(any(
                feature = "addresses",
                feature = "kad",
                feature = "pubsub",
                feature = "service",
                feature = "store"
            ))]
            Command::With(action) => action(&mut self.node, now),
            #[cfg(feature = "kad")]
            Command::Query { begin, sender, reply } => {
                let begun = begin(&mut self.node, now);
                if let Ok(query) = begun {
                    self.queries.insert(query, sender);
                }
                let _ = reply.send(begun);
            }
            #[cfg(feature = "pubsub")]
            Command::JoinTopic(join) => self.join_topic(now, join),
            #[cfg(feature = "pubsub")]
            Command::LeaveTopic(topic, number) => self.leave_topic(now, &topic, number),
            #[cfg(feature = "kad")]
            Command::StoreRecords(store, reply) => {
                self.records.store = Some(store);
                self.node.store_records();
                // Whoever asked may have gone.
                let _ = reply.send(());
            }
            #[cfg(feature = "kad")]
            Command::CancelQuery(query) => {
                self.queries.remove(&query);
                self.node.cancel_query(now, query);
            }
            #[cfg(feature = "rendezvous")]
            Command::Rendezvous(begin, reply) => self.begin_meeting(now, begin, reply),
            #[cfg(feature = "rendezvous")]
            Command::CancelRendezvous(request) => {
                self.meetings.remove(&request);
                self.node.cancel_rendezvous(now, request);
            }
            Command::Close(reply) => {
                self.closing.get_or_insert_default().push(reply);
                for (_, addresses) in self.listeners.drain(..) {
                    addresses.iter().for_each(|address| self.node.unlistened(now, address));
                }
                for dial in self.dials.keys().copied().collect::<Vec<_>>() {
                    self.node.cancel_dial(now, dial);
                }
                #[cfg(feature = "autonat")]
                self.node.end_dial_backs();
                // Holes that nobody needs any more.
                for (_, attempt) in std::mem::take(&mut self.attempts) {
                    attempt.abort();
                }
                self.tasks.keys().for_each(|id| self.node.close(*id));
            }
        }
    }
}
