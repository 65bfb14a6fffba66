//! The streams of an established connection: negotiation, owners, messages.
//!
//! What a remote can make grow here, and its bounds: streams (the muxer's
//! limit), streams in negotiation ([`MAX_NEGOTIATING`]), news that nobody has
//! fetched ([`MAX_NEWS`], at which reading from the wire stops), one message a
//! stream (its framing's `max`), answers a stream ([`MAX_OUTBOX`]).

#[cfg(feature = "relay")]
mod carried;
mod messages;
mod stream;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::collections::{Map, Set};
use crate::muxer::yamux::{self, StreamId, Yamux};
use crate::negotiate::{Dialer, Listener, Name};
use crate::time::{Instant, earliest};

use super::message::{Framing, Handler, Handlers, Owner, StreamEvent, ToNode};
use super::{Config, StreamError};
use messages::{Messages, queue};

pub use messages::MAX_OUTBOX;
pub use stream::Stream;

/// Inbound streams whose protocol is not agreed on yet; the next one is reset.
/// As go-libp2p's transient scope.
pub const MAX_NEGOTIATING: usize = 128;
/// News for the node and the application that wait to be fetched, before the
/// connection stops reading from its transport.
pub const MAX_NEWS: usize = 1024;
/// Bytes that are read and thrown away of a stream whose application has let go
/// of it; after these it is reset.
pub const MAX_DISCARDED: usize = 1024 * 1024;

pub(in crate::connection) struct Streams {
    pub(in crate::connection) yamux: Yamux,
    config: Arc<Config>,
    handlers: Arc<Handlers>,
    entries: Map<StreamId, Entry>,
    to_node: VecDeque<ToNode>,
    events: VecDeque<StreamEvent>,
    /// Streams of the node with something to read, each once.
    readable: VecDeque<StreamId>,
    /// When the negotiations that go on must have ended.
    deadlines: Set<(Instant, StreamId)>,
    negotiating_inbound: usize,
    /// The remote is to be told that this is the end.
    parting: bool,
    /// Streams that connections run over.
    #[cfg(feature = "relay")]
    carried: usize,
    /// The code with which the remote announced its end.
    pub(in crate::connection) goodbye: Option<u32>,
    /// The round trip, if it is measured below the muxer.
    #[cfg(all(feature = "manager", feature = "webrtc"))]
    pub(in crate::connection) rtt: Option<core::time::Duration>,
    /// Streams whose resets come from this side, because of their readers.
    #[cfg(feature = "webrtc")]
    pub(in crate::connection) overrun: Vec<u32>,
}

struct Entry {
    negotiation: Option<Box<Negotiation>>,
    deadline: Instant,
    owner: Owner,
    /// The application has let go of it after its last word: what still comes
    /// is thrown away, this many bytes more.
    released: Option<usize>,
    /// The node's messages in parts, each way; the application has none here.
    messages: Option<Box<Messages>>,
    /// A connection runs over it.
    #[cfg(feature = "relay")]
    carries: bool,
}

enum Negotiation {
    Dialer {
        dialer: Dialer,
        /// The application may write before the answer.
        lazy: bool,
        /// The application wants its half closed once the protocol is agreed on.
        finish: bool,
        protocols: Vec<Name>,
    },
    Listener(Listener),
}

impl Streams {
    pub(in crate::connection) fn new(
        yamux: Yamux,
        config: Arc<Config>,
        handlers: Arc<Handlers>,
    ) -> Self {
        Self {
            yamux,
            config,
            handlers,
            entries: Map::new(),
            to_node: VecDeque::new(),
            events: VecDeque::new(),
            readable: VecDeque::new(),
            deadlines: Set::new(),
            negotiating_inbound: 0,
            parting: false,
            #[cfg(feature = "relay")]
            carried: 0,
            goodbye: None,
            #[cfg(all(feature = "manager", feature = "webrtc"))]
            rtt: None,
            #[cfg(feature = "webrtc")]
            overrun: Vec::new(),
        }
    }

    pub(in crate::connection) fn set_handlers(&mut self, handlers: Arc<Handlers>) {
        self.handlers = handlers;
    }

    pub(in crate::connection) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the application has streams, or is about to get one.
    pub(in crate::connection) fn is_used(&self) -> bool {
        self.entries.values().any(|entry| entry.messages.is_none())
    }

    /// Tells the remote that this is the end, as soon as nothing waits for it.
    pub(in crate::connection) fn say_goodbye(&mut self) {
        self.parting = true;
        self.part();
    }

    /// Says goodbye if it is time: some remotes end all streams at that.
    pub(in crate::connection) fn part(&mut self) {
        if self.parting && !self.has_last_words() {
            self.yamux.go_away(0);
        }
    }

    /// Whether a stream has an end to bring that the remote has no room for, or a
    /// connection runs over one.
    pub(in crate::connection) fn has_last_words(&self) -> bool {
        self.carries() || self.yamux.owes_end()
    }

    #[cfg(not(feature = "relay"))]
    fn carries(&self) -> bool {
        false
    }

    /// Whether news are fetched fast enough to take more from the wire.
    pub(in crate::connection) fn wants_read(&self) -> bool {
        self.yamux.wants_read() && self.to_node.len() + self.events.len() < MAX_NEWS
    }

    /// Opens a stream; with one proposal it can be written to at once.
    pub(in crate::connection) fn open(
        &mut self,
        now: Instant,
        protocols: Vec<Name>,
        owner: Owner,
        request: Option<u64>,
    ) -> Result<StreamId, StreamError> {
        let mut hello = Vec::new();
        let dialer = Dialer::new(protocols.clone(), &mut hello).map_err(StreamError::Negotiate)?;
        let lazy = dialer.lazy().is_some();
        let id = self.yamux.open().map_err(StreamError::Limit)?;
        let sure = protocols.first().filter(|_| lazy);
        if let Some(handler) = sure.and_then(|name| self.handlers.get(name)) {
            set_weight(&mut self.yamux, id, *handler);
        }
        #[cfg(feature = "limits")]
        if let Some(name) = sure
            && let Err(limit) = assign(&mut self.yamux, id, name)
        {
            self.reset(id);
            return Err(StreamError::Limit(limit));
        }
        write_all(&mut self.yamux, id, &hello);
        let negotiation = Negotiation::Dialer { dialer, lazy, finish: false, protocols };
        self.insert(now, id, negotiation, owner, request);
        Ok(id)
    }

    /// As [`Streams::open`], for a protocol of the node, which is told by news.
    pub(in crate::connection) fn open_for_node(
        &mut self,
        now: Instant,
        request: u64,
        protocols: Vec<Name>,
        framing: Framing,
    ) {
        if let Err(error) = self.open(now, protocols, Owner::Node(framing), Some(request)) {
            self.to_node.push_back(ToNode::OpenFailed { request, error });
        }
    }

    fn insert(
        &mut self,
        now: Instant,
        id: StreamId,
        negotiation: Negotiation,
        owner: Owner,
        request: Option<u64>,
    ) {
        let messages = matches!(owner, Owner::Node(_))
            .then(|| Box::new(Messages { request, ..Messages::default() }));
        let negotiation = Some(Box::new(negotiation));
        let deadline = now + self.config.stream_timeout;
        self.deadlines.insert((deadline, id));
        let entry = Entry {
            negotiation,
            deadline,
            owner,
            released: None,
            messages,
            #[cfg(feature = "relay")]
            carries: false,
        };
        self.entries.insert(id, entry);
    }

    /// Takes the muxer's news apart; call after anything that may have made some.
    pub(in crate::connection) fn process(&mut self, now: Instant) {
        while let Some(event) = self.yamux.poll_event() {
            match event {
                yamux::Event::Opened(id) => self.on_opened(now, id),
                yamux::Event::Readable(id) => self.on_readable(id),
                yamux::Event::Writable(id) => self.on_writable(id),
                yamux::Event::Finished(id) => self.on_finished(id),
                yamux::Event::Reset(id) => self.on_reset(id),
                yamux::Event::Closed(id) => self.on_closed(id),
                yamux::Event::GoAway(code) => self.goodbye = Some(code),
                #[cfg(feature = "manager")]
                yamux::Event::Pong(rtt) => {
                    #[cfg(feature = "webrtc")]
                    let rtt = self.rtt.unwrap_or(rtt);
                    self.to_node.push_back(ToNode::Pong { rtt });
                }
                #[cfg(not(feature = "manager"))]
                yamux::Event::Pong(_) => {}
            }
        }
    }

    fn on_opened(&mut self, now: Instant, id: StreamId) {
        if self.negotiating_inbound >= MAX_NEGOTIATING {
            return self.reset(id);
        }
        self.negotiating_inbound += 1;
        // Who owns it is decided with the protocol.
        self.insert(now, id, Negotiation::Listener(Listener::new()), Owner::Application, None);
        self.on_readable(id);
    }

    fn on_readable(&mut self, id: StreamId) {
        if self.entries.get(&id).is_some_and(|entry| entry.negotiation.is_some()) {
            self.negotiate(id);
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.released.is_some() {
            return self.discard(id);
        }
        let ready = entry.negotiation.is_none()
            && self.yamux.stream(id).is_some_and(|stream| stream.unread() > 0);
        match &mut entry.messages {
            _ if !ready => {}
            Some(messages) => queue(&mut self.readable, messages, id),
            None => self.events.push_back(StreamEvent::Readable(id)),
        }
    }

    /// Goes on with a stream's negotiation as far as its bytes reach.
    fn negotiate(&mut self, id: StreamId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(mut stream) = self.yamux.stream(id) else { return };
        let mut answer = Vec::new();
        let handlers = &self.handlers;
        let result = match entry.negotiation.as_deref_mut() {
            Some(Negotiation::Dialer { dialer, .. }) => {
                dialer.receive(stream.readable(), &mut answer)
            }
            Some(Negotiation::Listener(listener)) => listener.receive(
                stream.readable(),
                &|name| handlers.contains_key(name),
                &|| handlers.keys().cloned().collect(),
                &mut answer,
            ),
            None => return,
        };
        match result {
            Ok((used, agreed)) => {
                stream.consume(used);
                write_all(&mut self.yamux, id, &answer);
                if let Some(name) = agreed {
                    self.agreed(id, name);
                }
            }
            Err(error) => {
                let refused = matches!(error, crate::negotiate::Error::Refused);
                let protocols = match entry.negotiation.as_deref_mut() {
                    Some(Negotiation::Dialer { protocols, .. }) => core::mem::take(protocols),
                    _ => Vec::new(),
                };
                let error = if refused {
                    StreamError::ProtocolNotSupported(protocols)
                } else {
                    StreamError::Negotiate(error)
                };
                self.reset_with(id, error);
            }
        }
    }

    fn agreed(&mut self, id: StreamId, protocol: Name) {
        #[cfg(feature = "limits")]
        if let Err(limit) = assign(&mut self.yamux, id, &protocol) {
            return self.reset_with(id, StreamError::Limit(limit));
        }
        let handler = self.handlers.get(&protocol).copied();
        if let Some(handler) = handler {
            set_weight(&mut self.yamux, id, handler);
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        self.deadlines.remove(&(entry.deadline, id));
        match entry.negotiation.take().map(|negotiation| *negotiation) {
            Some(Negotiation::Dialer { lazy, finish, .. }) => match &mut entry.messages {
                Some(messages) => {
                    if let Some(request) = messages.request.take() {
                        self.to_node.push_back(ToNode::Opened { request, stream: id, protocol });
                    }
                    self.flush(id);
                }
                None => {
                    self.events.push_back(StreamEvent::Opened { stream: id, protocol });
                    if !lazy {
                        self.events.push_back(StreamEvent::Writable(id));
                    }
                    if finish && let Some(mut stream) = self.yamux.stream(id) {
                        stream.finish();
                    }
                }
            },
            Some(Negotiation::Listener(_)) => {
                self.negotiating_inbound = self.negotiating_inbound.saturating_sub(1);
                let owner = handler.map_or(Owner::Application, |handler| handler.owner);
                entry.owner = owner;
                entry.messages = matches!(owner, Owner::Node(_)).then(Box::default);
                self.to_node.push_back(ToNode::Inbound { stream: id, protocol, owner });
            }
            None => {}
        }
        if self.yamux.stream(id).is_some_and(|stream| stream.is_read_finished()) {
            self.on_finished(id);
        }
    }

    fn on_writable(&mut self, id: StreamId) {
        let Some(entry) = self.entries.get(&id) else { return };
        if entry.messages.is_some() {
            self.flush(id);
        } else if !entry.blocks_writer() {
            self.events.push_back(StreamEvent::Writable(id));
        }
    }

    fn on_finished(&mut self, id: StreamId) {
        if self.entries.get(&id).is_some_and(|entry| entry.negotiation.is_some()) {
            self.negotiate(id);
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        match (&entry.negotiation, &mut entry.messages) {
            // The remote ended before it had agreed on anything.
            (Some(_), _) => self.reset_with(id, StreamError::Reset),
            (None, Some(messages)) => {
                messages.finished = true;
                queue(&mut self.readable, messages, id);
            }
            (None, None) => self.events.push_back(StreamEvent::Finished(id)),
        }
    }

    fn on_reset(&mut self, id: StreamId) {
        #[cfg(feature = "webrtc")]
        if self.overrun.contains(&id.number()) {
            return self.forget(id, StreamError::Overrun);
        }
        self.forget(id, StreamError::Reset);
    }

    fn on_closed(&mut self, id: StreamId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        match &mut entry.messages {
            Some(messages) => {
                messages.closed = true;
                queue(&mut self.readable, messages, id);
            }
            None => {
                self.remove(id);
            }
        }
    }

    /// Drops a stream from our side and tells its owner.
    fn reset_with(&mut self, id: StreamId, error: StreamError) {
        self.reset(id);
        self.forget(id, error);
    }

    fn forget(&mut self, id: StreamId, error: StreamError) {
        let Some(entry) = self.remove(id) else { return };
        match (entry.negotiation.as_deref(), entry.messages) {
            (Some(Negotiation::Listener(_)), _) => {}
            (Some(Negotiation::Dialer { .. }), Some(messages)) => {
                if let Some(request) = messages.request {
                    self.to_node.push_back(ToNode::OpenFailed { request, error });
                }
            }
            (Some(Negotiation::Dialer { .. }), None) => {
                self.events.push_back(StreamEvent::Failed { stream: id, error });
            }
            (None, Some(_)) => self.to_node.push_back(ToNode::Reset { stream: id }),
            #[cfg(feature = "webrtc")]
            (None, None) if error == StreamError::Overrun => {
                self.events.push_back(StreamEvent::Failed { stream: id, error });
            }
            (None, None) => self.events.push_back(StreamEvent::Reset(id)),
        }
    }

    /// Gives a stream up without telling its owner, who asked for it.
    pub(in crate::connection) fn reset(&mut self, id: StreamId) {
        if let Some(stream) = self.yamux.stream(id) {
            stream.reset();
        }
    }

    /// The owner gives its stream up.
    pub(in crate::connection) fn abandon(&mut self, id: StreamId) {
        self.reset(id);
        self.remove(id);
    }

    /// The application lets go of a stream. One that it has finished lives on
    /// until the remote has finished too, for a while; any other is reset.
    pub(in crate::connection) fn release(&mut self, now: Instant, id: StreamId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let finished = self.yamux.stream(id).is_some_and(|stream| stream.is_write_finished());
        if !finished {
            return self.abandon(id);
        }
        entry.released = Some(MAX_DISCARDED);
        self.deadlines.remove(&(entry.deadline, id));
        entry.deadline = now + self.config.stream_timeout;
        self.deadlines.insert((entry.deadline, id));
        self.discard(id);
    }

    /// Throws away what came for a released stream.
    fn discard(&mut self, id: StreamId) {
        let Some(left) = self.entries.get_mut(&id).and_then(|entry| entry.released.as_mut()) else {
            return;
        };
        let Some(mut stream) = self.yamux.stream(id) else { return };
        let unread = stream.unread();
        stream.consume(unread);
        *left = left.saturating_sub(unread);
        if *left == 0 {
            self.abandon(id);
        }
    }

    fn remove(&mut self, id: StreamId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        if entry.negotiation.is_some() || entry.released.is_some() {
            self.deadlines.remove(&(entry.deadline, id));
        }
        if matches!(entry.negotiation.as_deref(), Some(Negotiation::Listener(_))) {
            self.negotiating_inbound = self.negotiating_inbound.saturating_sub(1);
        }
        #[cfg(feature = "relay")]
        if entry.carries {
            self.carried_ended();
        }
        if let Some(messages) = &entry.messages {
            self.yamux.unhold(messages.held());
        }
        Some(entry)
    }

    pub(in crate::connection) fn poll_event(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    pub(in crate::connection) fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.deadlines.first().map(|(at, _)| *at), self.yamux.poll_timeout())
    }

    pub(in crate::connection) fn handle_timeout(
        &mut self,
        now: Instant,
    ) -> Result<(), yamux::Error> {
        while let Some(&(_, id)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            if self.entries.get(&id).is_some_and(|entry| entry.released.is_some()) {
                self.abandon(id);
            } else {
                self.reset_with(id, StreamError::TimedOut);
            }
        }
        self.yamux.handle_timeout(now)
    }

    /// The application's view of one of its streams.
    pub(in crate::connection) fn stream(&mut self, id: StreamId) -> Option<Stream<'_>> {
        let entry = self.entries.get_mut(&id)?;
        if entry.messages.is_some() {
            return None;
        }
        Some(Stream { entry, inner: self.yamux.stream(id)? })
    }
}

impl Entry {
    /// Whether the protocol must be agreed on before anything is written.
    fn blocks_writer(&self) -> bool {
        match self.negotiation.as_deref() {
            Some(Negotiation::Dialer { lazy, .. }) => !lazy,
            Some(Negotiation::Listener(_)) => true,
            None => false,
        }
    }
}

/// Writes a negotiation's lines, at whose limits the stream's buffer is not full.
/// A stream that is gone, or has no room because its remote breaks these limits,
/// tells by itself: by its reset, or by the negotiation's time.
fn write_all(yamux: &mut Yamux, id: StreamId, bytes: &[u8]) {
    if let Some(mut stream) = yamux.stream(id).filter(|_| !bytes.is_empty()) {
        let _ = stream.write(bytes);
    }
}

/// Books a stream with its protocol.
#[cfg(feature = "limits")]
fn assign(yamux: &mut Yamux, id: StreamId, protocol: &Name) -> Result<(), yamux::OpenError> {
    yamux.stream(id).map_or(Ok(()), |mut stream| stream.assign(protocol))
}

fn set_weight(yamux: &mut Yamux, id: StreamId, handler: Handler) {
    if let Some(mut stream) = yamux.stream(id) {
        stream.set_weight(handler.weight);
    }
}
