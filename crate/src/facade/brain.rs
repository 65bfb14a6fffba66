//! The task of the node itself: commands of its handles, news of its
//! connections, and what the host says.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::channel::{mpsc, oneshot};
use futures::future::{AbortHandle, abortable};
use futures::{FutureExt, StreamExt};

use crate::address::Multiaddr;
use crate::connection::{Connection as Machine, ToConnection, ToNode};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::{
    Config, ConnectionId, DialError, DialId, Direction, Event, Node, Output, PingId,
};
use crate::protocols::Protocol;
use crate::protocols::identify::Info;
#[cfg(feature = "kad")]
use crate::protocols::kad::QueryId;
use crate::rng::Rng;
use crate::swarm::DialOptions;
use crate::time::Instant;

use super::driver::Driver;
use super::platform::{BoxFuture, Link, Listener, Platform, TransportError};
use super::shared::Shared;
use super::{Connection, Handler, Pong, Stream};

/// News of all connections together that the brain has not taken yet; behind
/// this, connections wait, and with them their remotes.
const MAX_NEWS: usize = 256;
/// News taken before the other work gets its turn.
const BATCH: usize = 64;

/// What a handle has done with the node.
#[cfg(feature = "limits")]
pub(super) type Act = Box<dyn FnOnce(&mut Node, Instant) + Send>;

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
    #[cfg(any(feature = "addresses", feature = "kad", feature = "service", feature = "store"))]
    With(Action),
}

/// Something to do with the node itself.
#[cfg(any(feature = "addresses", feature = "kad", feature = "service", feature = "store"))]
type Action = Box<dyn FnOnce(&mut Node, Instant) + Send>;

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

pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) to_connection: mpsc::UnboundedSender<ToConnection>,
    remote: Multiaddr,
    direction: Direction,
}

pub(super) struct Brain {
    pub(super) platform: Arc<dyn Platform>,
    pub(super) node: Node,
    commands: mpsc::UnboundedReceiver<Command>,
    /// For the handles of connections.
    pub(super) commands_sender: mpsc::UnboundedSender<Command>,
    pub(super) tasks: BTreeMap<ConnectionId, Task>,
    news: mpsc::Receiver<(ConnectionId, ToNode)>,
    news_sender: mpsc::Sender<(ConnectionId, ToNode)>,
    opened: mpsc::UnboundedReceiver<(ConnectionId, Result<Link, TransportError>)>,
    opened_sender: mpsc::UnboundedSender<(ConnectionId, Result<Link, TransportError>)>,
    attempts: BTreeMap<ConnectionId, AbortHandle>,
    listeners: Vec<(Box<dyn Listener>, Vec<Multiaddr>)>,
    dials: BTreeMap<DialId, oneshot::Sender<Result<Connection, DialError>>>,
    pings: BTreeMap<PingId, oneshot::Sender<Pong>>,
    identifies: Vec<(ConnectionId, oneshot::Sender<Info>)>,
    #[cfg(feature = "kad")]
    pub(super) queries: super::routing::Queries,
    handlers: BTreeMap<Name, Handler>,
    subscribers: Vec<mpsc::Sender<Event>>,
    sleep: Option<(Instant, BoxFuture<'static, ()>)>,
    /// Whoever closes the node; it ends when its last connection has.
    closing: Option<Vec<oneshot::Sender<()>>>,
    #[cfg(feature = "store")]
    writer: super::storing::Writer,
}

impl Brain {
    pub(super) fn new(
        platform: Arc<dyn Platform>,
        config: Config,
        commands: mpsc::UnboundedReceiver<Command>,
        commands_sender: mpsc::UnboundedSender<Command>,
    ) -> Self {
        let node = Node::new(config, Rng::from_seed(platform.seed()));
        let (news_sender, news) = mpsc::channel(MAX_NEWS);
        let (opened_sender, opened) = mpsc::unbounded();
        Self {
            platform,
            node,
            commands,
            commands_sender,
            tasks: BTreeMap::new(),
            news,
            news_sender,
            opened,
            opened_sender,
            attempts: BTreeMap::new(),
            listeners: Vec::new(),
            dials: BTreeMap::new(),
            pings: BTreeMap::new(),
            identifies: Vec::new(),
            #[cfg(feature = "kad")]
            queries: super::routing::Queries::new(),
            handlers: BTreeMap::new(),
            subscribers: Vec::new(),
            sleep: None,
            closing: None,
            #[cfg(feature = "store")]
            writer: super::storing::Writer::default(),
        }
    }

    /// Starts with what was stored, and stores from now on.
    #[cfg(feature = "store")]
    pub(super) fn store_in(&mut self, storage: Box<dyn super::storing::Storage>) {
        self.writer = super::storing::Writer::new(Some(storage));
        let entries = self.writer.entries();
        self.node.restore(self.platform.now(), entries);
    }

    /// Writes down what the node wants written.
    #[cfg(feature = "store")]
    fn write_down(&mut self, cx: &mut Context<'_>) {
        while let Some(reason) = self.writer.poll(cx) {
            self.on_event(Event::StoreFailed { reason });
        }
    }

    /// Whether everything is written down that is to be.
    #[cfg(feature = "store")]
    fn is_stored(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        self.node.flush_store(now);
        self.settle();
        self.write_down(cx);
        self.writer.is_idle()
    }

    #[cfg(not(feature = "store"))]
    fn is_stored(&mut self, _: &mut Context<'_>, _: Instant) -> bool {
        true
    }

    pub(super) fn peer_id(&self) -> PeerId {
        self.node.peer_id()
    }

    pub(super) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..BATCH {
            let now = self.platform.now();
            // News first: whoever saw a connection end and dials again gets a new one.
            let busy = self.poll_news(cx, now)
                | self.poll_commands(cx, now)
                | self.poll_opened(cx, now)
                | self.poll_listeners(cx, now)
                | self.poll_time(cx, now);
            self.settle();
            #[cfg(feature = "store")]
            self.write_down(cx);
            if self.closing.is_some()
                && self.tasks.is_empty()
                && self.attempts.is_empty()
                && self.is_stored(cx, now)
                && let Some(waiting) = self.closing.take()
            {
                // Whoever gave up waiting needs no word.
                for reply in waiting {
                    let _ = reply.send(());
                }
                return Poll::Ready(());
            }
            if !busy {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_commands(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut busy = false;
        while let Poll::Ready(Some(command)) = self.commands.poll_next_unpin(cx) {
            busy = true;
            self.carry_out(now, command);
        }
        busy
    }

    fn poll_news(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        for taken in 0..BATCH {
            let Poll::Ready(Some((id, news))) = self.news.poll_next_unpin(cx) else {
                return taken > 0;
            };
            let over = matches!(news, ToNode::Closed { .. });
            self.node.handle_connection(now, id, news);
            self.settle();
            if over {
                self.forget(id);
            }
        }
        true
    }

    fn poll_opened(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut busy = false;
        while let Poll::Ready(Some((id, result))) = self.opened.poll_next_unpin(cx) {
            busy = true;
            self.attempts.remove(&id);
            match result {
                #[cfg(feature = "limits")]
                Ok(link) if !self.node.allows_remote(&link.remote) => {
                    let denied = crate::node::AttemptError::Denied;
                    self.node.dial_failed(now, id, denied.to_string());
                }
                Ok(link) => {
                    let carrier = link.carrier.clone();
                    if let Some(machine) = self.node.connected_over(now, id, carrier) {
                        self.start(id, machine, link, Direction::Outbound);
                    }
                }
                Err(error) => self.node.dial_failed(now, id, error.to_string()),
            }
        }
        busy
    }

    fn poll_listeners(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut links = Vec::new();
        for (listener, _) in &mut self.listeners {
            // An error concerns one link, or passes: the listener's word.
            if let Poll::Ready(result) = listener.poll_accept(cx) {
                links.push(result.ok());
            }
        }
        let busy = !links.is_empty();
        for link in links.into_iter().flatten() {
            if self.closing.is_some() {
                continue;
            }
            // A refused link is dropped, which closes it.
            let (remote, carrier) = (link.remote.clone(), link.carrier.clone());
            if let Ok((id, machine)) = self.node.accepted_over(now, remote, carrier) {
                self.start(id, machine, link, Direction::Inbound);
            }
        }
        busy
    }

    fn poll_time(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(deadline) = self.node.poll_timeout() else {
            self.sleep = None;
            return false;
        };
        if deadline <= now {
            self.node.handle_timeout(now);
            return true;
        }
        if self.sleep.as_ref().is_none_or(|(at, _)| *at != deadline) {
            self.sleep = Some((deadline, self.platform.sleep_until(deadline)));
        }
        self.sleep.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready())
    }

    /// Carries out what the node wants.
    fn settle(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Dial { connection, address } => {
                    self.attempt(connection, self.platform.dial(address));
                }
                #[cfg(feature = "autonat")]
                Output::DialBack { connection, address } => {
                    self.attempt(connection, self.platform.dial_anew(address));
                }
                #[cfg(feature = "dcutr")]
                Output::Punch { connection, address } => {
                    self.attempt(connection, self.platform.punch(address));
                }
                Output::Connection(id, message) => {
                    if let Some(task) = self.tasks.get(&id) {
                        // A connection that is over has told us, or is about to.
                        let _ = task.to_connection.unbounded_send(message);
                    }
                }
                Output::Drop(id) => {
                    if let Some(attempt) = self.attempts.remove(&id) {
                        attempt.abort();
                    }
                    self.tasks.remove(&id);
                }
                Output::Event(event) => self.on_event(event),
                // No platform says that it can: the node does not ask.
                #[cfg(feature = "webrtc")]
                Output::Rtc { .. } => {}
                #[cfg(feature = "relay")]
                Output::Tunnel { connection, via, stream } => self.tunnel(connection, via, stream),
                #[cfg(feature = "relay")]
                Output::Splice { circuit, ends, limit } => self.splice(circuit, ends, limit),
                #[cfg(feature = "store")]
                Output::Store(change) => self.writer.push(change),
            }
        }
    }

    fn attempt(
        &mut self,
        id: ConnectionId,
        dial: BoxFuture<'static, Result<Link, TransportError>>,
    ) {
        let (dial, abort) = abortable(dial);
        let opened = self.opened_sender.clone();
        self.attempts.insert(id, abort);
        self.platform.spawn(Box::pin(async move {
            if let Ok(result) = dial.await {
                // A brain that is gone wants no link.
                let _ = opened.unbounded_send((id, result));
            }
        }));
    }

    pub(super) fn start(
        &mut self,
        id: ConnectionId,
        machine: Machine,
        link: Link,
        direction: Direction,
    ) {
        #[cfg(feature = "addresses")]
        self.node.located(id, link.local);
        let shared = Arc::new(Shared::new(machine, self.platform.clone()));
        let (to_connection, from_node) = mpsc::unbounded();
        let driver = Driver {
            id,
            io: link.io,
            shared: shared.clone(),
            from_node,
            to_node: self.news_sender.clone(),
            unsent: Vec::new(),
            sleep: None,
            woken: Vec::new(),
            over: false,
        };
        let task = Task { shared, to_connection, remote: link.remote, direction };
        self.tasks.insert(id, task);
        self.platform.spawn(Box::pin(driver));
    }

    fn forget(&mut self, id: ConnectionId) {
        self.tasks.remove(&id);
        self.identifies.retain(|(connection, _)| *connection != id);
    }

    fn connection(&self, id: ConnectionId) -> Option<Connection> {
        let task = self.tasks.get(&id)?;
        Some(Connection {
            id,
            peer: *self.node.peer_of(id)?,
            remote: task.remote.clone(),
            direction: task.direction,
            shared: task.shared.clone(),
            commands: self.commands_sender.clone(),
        })
    }

    fn on_event(&mut self, event: Event) {
        match &event {
            Event::Dialed { dial, connection, .. } => {
                if let Some(reply) = self.dials.remove(dial) {
                    let result = self.connection(*connection).ok_or(DialError::Cancelled);
                    // Whoever asked may have gone: the connection stays.
                    let _ = reply.send(result);
                }
            }
            Event::DialFailed { dial, error } => {
                if let Some(reply) = self.dials.remove(dial) {
                    let _ = reply.send(Err(error.clone()));
                }
            }
            Event::Pinged { ping, result, .. } => {
                if let Some(reply) = self.pings.remove(ping) {
                    let _ = reply.send(result.clone());
                }
            }
            Event::Identified { connection, info, .. } => {
                for (_, reply) in self.identifies.extract_if(.., |(id, _)| id == connection) {
                    let _ = reply.send((**info).clone());
                }
            }
            Event::InboundStream { connection, stream, protocol, .. } => {
                if let Some(task) = self.tasks.get(connection)
                    && task.shared.adopt(*stream)
                {
                    let stream =
                        Stream::new(task.shared.clone(), *stream, Some(&**protocol).into());
                    // Without a handler it is dropped, which resets it.
                    if let Some(handler) = self.handlers.get(protocol) {
                        handler(stream);
                    }
                }
            }
            #[cfg(feature = "kad")]
            Event::Dht { .. } => self.on_query(&event),
            _ => {}
        }
        self.subscribers.retain_mut(|subscriber| match subscriber.try_send(event.clone()) {
            Ok(()) => true,
            Err(error) => error.is_full(),
        });
    }

    /// Listeners know of the filters, as the node does.
    #[cfg(feature = "limits")]
    fn tell_listeners(&mut self) {
        let filters = self.node.filters();
        for (listener, _) in &mut self.listeners {
            listener.set_filters(filters.clone());
        }
    }

    fn carry_out(&mut self, now: Instant, command: Command) {
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
            #[cfg(feature = "kad")]
            Command::CancelQuery(query) => {
                self.queries.remove(&query);
                self.node.cancel_query(now, query);
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
                self.tasks.keys().for_each(|id| self.node.close(*id));
            }
        }
    }
}
