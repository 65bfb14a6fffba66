//! The task of the node itself: commands of its handles, news of its
//! connections, and what the host says.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use futures::future::{AbortHandle, abortable};

use crate::address::Multiaddr;
use crate::connection::{Connection as Machine, ToConnection, ToNode};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::{
    Config, ConnectionId, DialError, DialId, Direction, Event, Node, Output, PingId,
};
use crate::protocols::identify::Info;
use crate::rng::Rng;
use crate::time::Instant;

use super::commands::Command;
use super::driver::Driver;
use super::platform::{BoxFuture, Link, Listener, Platform, TransportError};
use super::shared::Shared;
use super::{Connection, Handler, Pong, Stream};

/// News of all connections together that the brain has not taken yet; behind
/// this, connections wait, and with them their remotes.
const MAX_NEWS: usize = 256;
/// News taken before the other work gets its turn.
const BATCH: usize = 64;
/// Turns of a task before those of other tasks.
const TURNS: usize = 64;

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
    pub(super) attempts: BTreeMap<ConnectionId, AbortHandle>,
    pub(super) listeners: Vec<(Box<dyn Listener>, Vec<Multiaddr>)>,
    pub(super) dials: BTreeMap<DialId, oneshot::Sender<Result<Connection, DialError>>>,
    pub(super) pings: BTreeMap<PingId, oneshot::Sender<Pong>>,
    pub(super) identifies: Vec<(ConnectionId, oneshot::Sender<Info>)>,
    #[cfg(feature = "kad")]
    pub(super) queries: super::routing::Queries,
    #[cfg(feature = "kad")]
    pub(super) records: super::keeping::Records,
    #[cfg(feature = "pubsub")]
    pub(super) topics: super::pubsub::Topics,
    #[cfg(feature = "rendezvous")]
    pub(super) meetings: super::meeting::Meetings,
    pub(super) handlers: BTreeMap<Name, Handler>,
    pub(super) subscribers: Vec<mpsc::Sender<Event>>,
    sleep: Option<(Instant, BoxFuture<'static, ()>)>,
    /// The node has held something back since the last turn.
    holding: bool,
    /// Whoever closes the node; it ends when its last connection has.
    pub(super) closing: Option<Vec<oneshot::Sender<()>>>,
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
        #[cfg_attr(not(feature = "kad"), expect(unused_mut))]
        let mut node = Node::new(config, Rng::from_seed(platform.seed()));
        #[cfg(feature = "kad")]
        {
            let platform = platform.clone();
            node.set_dialable(Box::new(move |address| platform.can_dial(address)));
        }
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
            #[cfg(feature = "kad")]
            records: super::keeping::Records::default(),
            #[cfg(feature = "pubsub")]
            topics: super::pubsub::Topics::default(),
            #[cfg(feature = "rendezvous")]
            meetings: super::meeting::Meetings::new(),
            handlers: BTreeMap::new(),
            subscribers: Vec::new(),
            sleep: None,
            holding: false,
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

    /// Whether the store for what is kept for others has all of it.
    fn are_records_written(&self) -> bool {
        #[cfg(feature = "kad")]
        if let (Some(_), Some(dht)) = (&self.records.store, self.node.dht()) {
            return dht.is_written();
        }
        true
    }

    pub(super) fn peer_id(&self) -> PeerId {
        self.node.peer_id()
    }

    pub(super) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS {
            let now = self.platform.now();
            // News first: whoever saw a connection end and dials again gets a new one.
            let busy = self.poll_news(cx, now)
                | self.poll_commands(cx, now)
                | self.poll_opened(cx, now)
                | self.poll_listeners(cx, now)
                | self.poll_time(cx, now);
            self.flush();
            self.settle();
            #[cfg(feature = "store")]
            self.write_down(cx);
            if self.closing.is_some()
                && self.tasks.is_empty()
                && self.attempts.is_empty()
                && self.is_stored(cx, now)
                && self.are_records_written()
                && let Some(waiting) = self.closing.take()
            {
                // Whoever gave up waiting needs no word.
                for reply in waiting {
                    let _ = reply.send(());
                }
                return Poll::Ready(());
            }
            if !busy {
                // Tasks of connections that have news now bring them before the next turn.
                if self.holding {
                    break;
                }
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Has the node send what it has held back for a turn, in which more news may have come.
    fn flush(&mut self) {
        if self.holding {
            self.node.flush();
        }
        self.holding = self.node.holds();
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
                Output::Punch { role, connection, address } => {
                    self.attempt(connection, self.platform.punch(address, role));
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
                Output::Splice { circuit, ends, limit, pace } => {
                    self.splice(circuit, ends, limit, pace);
                }
                #[cfg(feature = "kad")]
                Output::Records(order) => self.store_records(order),
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

    pub(super) fn connection(&self, id: ConnectionId) -> Option<Connection> {
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
            #[cfg(feature = "pubsub")]
            Event::Pubsub(_) => self.on_pubsub(&event),
            #[cfg(feature = "rendezvous")]
            Event::Rendezvous(event) => self.on_met(event),
            _ => {}
        }
        self.subscribers.retain_mut(|subscriber| match subscriber.try_send(event.clone()) {
            Ok(()) => true,
            Err(error) => error.is_full(),
        });
    }

    /// Listeners know of the filters, as the node does.
    #[cfg(feature = "limits")]
    pub(super) fn tell_listeners(&mut self) {
        let filters = self.node.filters();
        for (listener, _) in &mut self.listeners {
            listener.set_filters(filters.clone());
        }
    }
}
