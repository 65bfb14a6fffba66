//! The router's peers over streams: one to each peer, on the best of its connections.
//!
//! Source: pubsub README, "Stream management".

use core::time::Duration;
use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::LongMap;
use crate::connection::{Framing, StreamError, StreamId};
use crate::identity::{Keypair, PeerId};
use crate::negotiate::Name;
use crate::node::{ConnectionId, Direction, Event};
use crate::protocols::{Action, Input, Local, Protocol};
use crate::rng::Rng;
use crate::time::{Instant, earliest};

use super::config::Config;
use super::queue::{Queue, Unsure};
use super::router::{Out, Router};
use super::version::Version;
use super::{Order, wire};

/// Streams of one peer that are read: the old one and the new one when a peer changes its
/// connection, and as many more. Beyond this the oldest is reset.
pub const MAX_INBOUND: usize = 4;
/// Streams to a peer that may fail one after the other; then it is left alone until it is
/// connected anew or says anew what it speaks.
pub const MAX_FAILURES: u32 = 6;

struct Link {
    peer: PeerId,
    direction: Direction,
    remote: Multiaddr,
    /// The peer speaks with us, and the connection may be used for it.
    usable: bool,
}

/// The stream that we write on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Writing {
    connection: ConnectionId,
    stream: StreamId,
}

#[derive(Default)]
struct Speaker {
    links: Vec<ConnectionId>,
    writing: Option<Writing>,
    /// The connection and the number of the stream that is being opened.
    opening: Option<(ConnectionId, u64)>,
    /// The connection that the node prefers.
    preferred: Option<ConnectionId>,
    queue: Queue,
    /// What was sent and has not left yet.
    unsure: Option<Unsure>,
    reading: VecDeque<(ConnectionId, StreamId)>,
    /// There was a stream before.
    spoke: bool,
    /// It is among [`Pubsub::stirred`].
    stirred: bool,
    failures: u32,
    retry_at: Option<Instant>,
}

/// The protocol.
pub struct Pubsub {
    router: Router,
    links: LongMap<ConnectionId, Link>,
    speakers: LongMap<PeerId, Speaker>,
    /// Those for whom something may wait, each once.
    stirred: Vec<PeerId>,
    actions: VecDeque<Action>,
    next: u64,
    names: Vec<Name>,
}

impl Pubsub {
    /// Takes part from now on; see [`Router::new`].
    pub fn new(config: Config, keypair: Keypair, seqno: u64, rng: Rng) -> Self {
        Self {
            names: Version::names(config.mode),
            router: Router::new(config, keypair, seqno, rng),
            links: LongMap::new(),
            speakers: LongMap::new(),
            stirred: Vec::new(),
            actions: VecDeque::new(),
            next: 0,
        }
    }

    /// What decides, to ask it things.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Has the router do something, and carries out what comes of it.
    pub fn with<T>(&mut self, act: impl FnOnce(&mut Router) -> T) -> T {
        let result = act(&mut self.router);
        self.settle();
        result
    }

    /// Whether something is held back until [`Pubsub::flush`].
    pub fn holds(&self) -> bool {
        !self.stirred.is_empty()
    }

    /// Sends what waits for peers. Not at once when there is something, but when the news
    /// at hand are all taken: what they say goes out together, and nobody is sent what
    /// was among it.
    pub fn flush(&mut self) {
        for peer in core::mem::take(&mut self.stirred) {
            if let Some(speaker) = self.speakers.get_mut(&peer) {
                speaker.stirred = false;
                self.pump(&peer);
            }
        }
    }

    fn stir(&mut self, peer: &PeerId) {
        if let Some(speaker) = self.speakers.get_mut(peer)
            && !core::mem::replace(&mut speaker.stirred, true)
        {
            self.stirred.push(*peer);
        }
    }

    /// Bytes of messages that wait for a peer to read.
    pub fn waiting(&self, peer: &PeerId) -> usize {
        self.speakers.get(peer).map_or(0, |speaker| speaker.queue.bytes())
    }

    /// A peer said what it speaks, on a connection that may be `limited` by a relay.
    pub(crate) fn identified(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        (protocols, limited): (&[Name], bool),
    ) {
        let speaks = protocols.iter().any(|name| self.names.contains(name));
        let allowed = !limited || self.router.config().limited;
        let Some(link) = self.links.get_mut(&connection) else { return };
        link.usable = speaks && allowed;
        let peer = link.peer;
        if let Some(speaker) = self.speakers.get_mut(&peer) {
            (speaker.failures, speaker.retry_at) = (0, None);
        }
        self.attend(now, &peer);
    }

    /// Another connection to a peer is the best one now.
    pub(crate) fn preferred(&mut self, now: Instant, peer: &PeerId, connection: ConnectionId) {
        if let Some(speaker) = self.speakers.get_mut(peer) {
            speaker.preferred = Some(connection);
            self.attend(now, peer);
        }
    }

    /// The best connection that a peer can be spoken with on.
    fn best(&self, speaker: &Speaker) -> Option<ConnectionId> {
        let usable = |id: &&ConnectionId| self.links.get(id).is_some_and(|link| link.usable);
        let rank = |id: &&ConnectionId| {
            let relayed = self.links.get(id).is_some_and(|link| link.remote.is_relayed());
            (speaker.preferred == Some(**id), !relayed, **id)
        };
        speaker.links.iter().filter(usable).max_by_key(rank).copied()
    }

    /// Opens a stream to a peer where there is none, or none on the best connection.
    fn attend(&mut self, now: Instant, peer: &PeerId) {
        let Some(speaker) = self.speakers.get(peer) else { return };
        let Some(best) = self.best(speaker) else { return };
        let Some(speaker) = self.speakers.get_mut(peer) else { return };
        let there = speaker
            .writing
            .is_some_and(|writing| writing.connection == best || speaker.preferred != Some(best));
        let waits = speaker.retry_at.is_some_and(|at| at > now) || speaker.failures > MAX_FAILURES;
        if there || waits || speaker.opening.is_some() {
            return;
        }
        self.next += 1;
        speaker.opening = Some((best, self.next));
        speaker.retry_at = None;
        self.actions.push_back(Action::Open {
            connection: best,
            request: self.next,
            protocols: self.names.clone(),
            framing: self.framing(),
        });
    }

    fn framing(&self) -> Framing {
        Framing::LengthPrefixed { max: self.router.config().max_rpc }
    }

    fn on_connected(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        (direction, remote): (Direction, &Multiaddr),
    ) {
        let remote = remote.clone();
        self.links.insert(connection, Link { peer, direction, remote, usable: false });
        self.speakers.entry(peer).or_default().links.push(connection);
    }

    fn on_disconnected(&mut self, now: Instant, connection: ConnectionId) {
        let Some(Link { peer, .. }) = self.links.remove(&connection) else { return };
        let Some(speaker) = self.speakers.get_mut(&peer) else { return };
        speaker.links.retain(|link| *link != connection);
        speaker.reading.retain(|(of, _)| *of != connection);
        if speaker.opening.is_some_and(|(of, _)| of == connection) {
            speaker.opening = None;
        }
        if speaker.preferred == Some(connection) {
            speaker.preferred = None;
        }
        if speaker.writing.is_some_and(|writing| writing.connection == connection) {
            speaker.lose();
        }
        if speaker.links.is_empty() {
            self.speakers.remove(&peer);
            self.router.disconnected(now, &peer);
            return self.settle();
        }
        self.attend(now, &peer);
    }

    /// The peer speaks with us: the router knows it from now on.
    fn introduce(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        protocol: &str,
    ) -> Option<PeerId> {
        let (link, version) = (self.links.get(&connection)?, Version::of(protocol)?);
        let outbound = link.direction == Direction::Outbound;
        self.router.connected(now, link.peer, version, (outbound, Some(&link.remote)));
        Some(link.peer)
    }

    fn on_opened(
        &mut self,
        now: Instant,
        (connection, stream): (ConnectionId, StreamId),
        request: u64,
        protocol: &Name,
    ) {
        let reset = Action::Reset { connection, stream };
        let Some(peer) = self.introduce(now, connection, protocol) else {
            return self.actions.push_back(reset);
        };
        let Some(speaker) = self.speakers.get_mut(&peer) else { return };
        if speaker.opening.is_none_or(|(_, number)| number != request) {
            return self.actions.push_back(reset);
        }
        speaker.opening = None;
        if let Some(Writing { connection, stream }) = speaker.writing {
            self.actions.push_back(Action::Finish { connection, stream });
            speaker.lose();
        }
        let lost = core::mem::replace(&mut speaker.spoke, true);
        speaker.writing = Some(Writing { connection, stream });
        speaker.queue.greet(self.router.greeting(&peer, lost));
        self.stir(&peer);
    }

    fn on_open_failed(&mut self, now: Instant, connection: ConnectionId, error: &StreamError) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        let peer = link.peer;
        if matches!(error, StreamError::ProtocolNotSupported(_)) {
            link.usable = false;
        }
        if let Some(speaker) = self.speakers.get_mut(&peer) {
            speaker.opening = None;
            speaker.fail(now);
        }
        self.attend(now, &peer);
    }

    fn on_inbound(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        stream: StreamId,
        protocol: &Name,
    ) {
        let known = self.links.get(&connection).is_some_and(|link| self.router.knows(&link.peer));
        let peer = match known {
            true => self.links.get(&connection).map(|link| link.peer),
            false => self.introduce(now, connection, protocol),
        };
        let Some(speaker) = peer.and_then(|peer| self.speakers.get_mut(&peer)) else { return };
        speaker.reading.push_back((connection, stream));
        if speaker.reading.len() > MAX_INBOUND
            && let Some((connection, stream)) = speaker.reading.pop_front()
        {
            self.actions.push_back(Action::Reset { connection, stream });
        }
    }

    fn on_message(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        stream: StreamId,
        bytes: &[u8],
    ) {
        let Some(peer) = self.links.get(&connection).map(|link| link.peer) else { return };
        let reads = |speaker: &Speaker| speaker.reading.contains(&(connection, stream));
        // What comes on a stream that we write on is of no interest.
        if !self.speakers.get(&peer).is_some_and(reads) || !self.router.listens_to(now, &peer) {
            return;
        }
        let router = &mut self.router;
        match wire::read_parts(bytes, |part| router.hear(now, &peer, part)) {
            Ok(0) => {}
            Ok(excess) => self.router.exceeded(&peer, excess),
            Err(_) => {
                self.router.exceeded(&peer, 1);
                self.actions.push_back(Action::Reset { connection, stream });
                self.end_reading(&peer, connection, stream);
            }
        }
        self.settle();
    }

    fn end_reading(&mut self, peer: &PeerId, connection: ConnectionId, stream: StreamId) {
        if let Some(speaker) = self.speakers.get_mut(peer) {
            speaker.reading.retain(|reading| *reading != (connection, stream));
        }
    }

    /// The remote has ended one of its streams, or given up one of ours.
    fn on_end(&mut self, now: Instant, connection: ConnectionId, stream: StreamId, reset: bool) {
        let Some(peer) = self.links.get(&connection).map(|link| link.peer) else { return };
        let Some(speaker) = self.speakers.get_mut(&peer) else { return };
        if speaker.reading.contains(&(connection, stream)) {
            if !reset {
                self.actions.push_back(Action::Finish { connection, stream });
            }
            return self.end_reading(&peer, connection, stream);
        }
        if reset && speaker.writing == Some(Writing { connection, stream }) {
            speaker.lose();
            speaker.fail(now);
            self.attend(now, &peer);
        }
    }

    fn on_flushed(&mut self, connection: ConnectionId, stream: StreamId) {
        let Some(peer) = self.links.get(&connection).map(|link| link.peer) else { return };
        if let Some(speaker) = self.speakers.get_mut(&peer)
            && speaker.writing == Some(Writing { connection, stream })
        {
            (speaker.unsure, speaker.failures) = (None, 0);
            self.stir(&peer);
        }
    }

    /// Sends what waits for a peer, one RPC at a time.
    fn pump(&mut self, peer: &PeerId) {
        let max = self.router.config().max_rpc;
        let Some(speaker) = self.speakers.get_mut(peer) else { return };
        let Some(Writing { connection, stream }) = speaker.writing else { return };
        if speaker.unsure.is_none()
            && let Some((bytes, unsure)) = speaker.queue.next(max)
        {
            speaker.unsure = Some(unsure);
            self.actions.push_back(Action::Send { connection, stream, bytes });
            self.actions.push_back(Action::Flush { connection, stream });
        }
    }

    /// Carries out what the router wants.
    fn settle(&mut self) {
        while let Some(out) = self.router.poll() {
            match out {
                Out::Event(event) => {
                    self.actions.push_back(Action::Emit(Event::Pubsub(event)));
                }
                Out::Reach(peer, addresses) => {
                    self.actions.push_back(Action::Pubsub(Order::Reach { peer, addresses }));
                }
                Out::Send(peer, item) => {
                    if let Some(speaker) = self.speakers.get_mut(&peer) {
                        speaker.queue.push(item);
                        self.stir(&peer);
                    }
                }
                Out::Message(peer, id, message) => {
                    if let Some(speaker) = self.speakers.get_mut(&peer) {
                        let dropped = speaker.queue.push_message(id, message);
                        self.router.note_dropped(dropped);
                        self.stir(&peer);
                    }
                }
                Out::Cancel(peer, ids) => {
                    if let Some(speaker) = self.speakers.get_mut(&peer) {
                        speaker.queue.cancel(&ids);
                    }
                }
            }
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        self.router.handle_timeout(now);
        self.settle();
        let due = |speaker: &Speaker| speaker.retry_at.is_some_and(|at| at <= now);
        let due = self.speakers.iter().filter(|(_, speaker)| due(speaker));
        for peer in due.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            if let Some(speaker) = self.speakers.get_mut(&peer) {
                speaker.retry_at = None;
            }
            self.attend(now, &peer);
        }
    }
}

impl Speaker {
    /// The stream is lost, and what was on it may be.
    fn lose(&mut self) {
        self.writing = None;
        if let Some(unsure) = self.unsure.take() {
            self.queue.restore(unsure);
        }
    }

    /// A stream failed: the next one is opened later and later.
    fn fail(&mut self, now: Instant) {
        self.failures += 1;
        self.retry_at = Some(now + Duration::from_millis(250 << self.failures.min(8)));
    }
}

impl Protocol for Pubsub {
    fn names(&self) -> Vec<(Name, Framing)> {
        self.names.iter().map(|name| (name.clone(), self.framing())).collect()
    }

    fn handle(&mut self, now: Instant, _: &Local, input: Input<'_>) {
        match input {
            Input::Connected { connection, peer, direction, remote } => {
                self.on_connected(connection, *peer, (direction, remote));
            }
            Input::Disconnected { connection } => self.on_disconnected(now, connection),
            Input::Opened { connection, request, stream, protocol } => {
                self.on_opened(now, (connection, stream), request, protocol);
            }
            Input::OpenFailed { connection, error, .. } => {
                self.on_open_failed(now, connection, &error);
            }
            Input::Inbound { connection, stream, protocol } => {
                self.on_inbound(now, connection, stream, protocol);
            }
            Input::Message { connection, stream, bytes } => {
                self.on_message(now, connection, stream, &bytes);
            }
            Input::Flushed { connection, stream } => self.on_flushed(connection, stream),
            Input::Finished { connection, stream } => self.on_end(now, connection, stream, false),
            Input::Reset { connection, stream } => self.on_end(now, connection, stream, true),
            Input::Timeout => self.on_timeout(now),
            _ => {}
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let retry = self.speakers.values().filter_map(|speaker| speaker.retry_at).min();
        earliest(self.router.poll_timeout(), retry)
    }
}
