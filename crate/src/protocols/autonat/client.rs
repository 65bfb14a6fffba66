//! Asks others whether we can be dialed.

use core::time::Duration;
use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::Map;
use crate::connection::StreamId;
use crate::negotiate::Name;
use crate::node::ConnectionId;
use crate::protocols::{Action, Input, Local, Protocol};
use crate::rng::Rng;
use crate::swarm::addresses::{Group, Reachability, Waist};
use crate::time::{Instant, earliest};

use super::message::{DialStatus, MAX_DATA_BYTES, Message, ResponseStatus, decode_dial_back};
use super::opinion::{Opinion, Vote};
use super::{Config, DIAL_BACK_FRAMING, DIAL_BACK_NAME, FRAMING, Order, REQUEST_NAME, V1_NAME, v1};

/// Servers that are kept in mind, each of another network.
pub const MAX_SERVERS: usize = 64;
/// Addresses of ours that are asked about.
pub const MAX_SUBJECTS: usize = 16;
/// Addresses in one question.
const MAX_ASKED: usize = 8;
/// Dials back that are being read.
pub const MAX_DIAL_BACKS: usize = 4;
/// How long a question may take: the specification lets a server wait, and ask for
/// data, before it dials.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a dial back may come after the answer that tells of it.
pub const DIAL_BACK_GRACE: Duration = Duration::from_secs(5);
/// How long a server is left alone after it has answered.
const PAUSE: Duration = Duration::from_secs(10);
/// How long, after it did not.
const PAUSE_FAILED: Duration = Duration::from_secs(5 * 60);
/// How long, after it has lied.
const PAUSE_LIED: Duration = Duration::from_secs(60 * 60);

/// The asking side of both versions.
pub struct Client {
    config: Config,
    /// Whether private addresses are as good as public ones.
    private: bool,
    rng: Rng,
    servers: Map<ConnectionId, Server>,
    /// Addresses that version 2 tells of.
    subjects: Vec<(Multiaddr, Opinion)>,
    /// What version 1 is asked with, and what it tells of them all together.
    listening: Vec<Multiaddr>,
    whole: Opinion,
    overall: Reachability,
    query: Option<Query>,
    queries: u64,
    /// The newest connection that there has been.
    newest: ConnectionId,
    /// Dials back on their way to us.
    dial_backs: Vec<(ConnectionId, StreamId)>,
    /// When something can be asked.
    wake: Option<Instant>,
    actions: VecDeque<Action>,
}

struct Server {
    group: Group,
    second: bool,
    rests_until: Instant,
}

struct Query {
    number: u64,
    connection: ConnectionId,
    group: Group,
    stream: Option<StreamId>,
    second: bool,
    addresses: Vec<Multiaddr>,
    nonce: u64,
    /// Connections that come of it are newer.
    after: ConnectionId,
    deadline: Instant,
    /// Bytes were sent for it.
    paid: bool,
    /// The dial that arrived.
    arrived: Option<Arrival>,
    /// The address that the server says it has dialed.
    answered: Option<usize>,
}

/// Where a dial back has arrived.
pub(crate) struct Arrival {
    /// Whether the remote dialed.
    pub(crate) inbound: bool,
    /// Its end.
    pub(crate) remote: Multiaddr,
    /// Ours, where the host has told it.
    pub(crate) local: Option<Multiaddr>,
}

impl Client {
    pub(crate) fn new(config: Config, private: bool, rng: Rng) -> Self {
        Self {
            config,
            private,
            rng,
            servers: Map::new(),
            subjects: Vec::new(),
            listening: Vec::new(),
            whole: Opinion::default(),
            overall: Reachability::Unknown,
            query: None,
            queries: 0,
            newest: ConnectionId(0),
            dial_backs: Vec::new(),
            wake: None,
            actions: VecDeque::new(),
        }
    }

    pub(crate) fn set_private(&mut self, private: bool) {
        self.private = private;
    }

    /// Whether we can be dialed at all.
    pub fn reachability(&self) -> Reachability {
        self.overall
    }

    /// The addresses that we have now.
    pub(crate) fn set_addresses<'a>(
        &mut self,
        now: Instant,
        own: impl Iterator<Item = &'a Multiaddr> + Clone,
    ) {
        if !self.config.client {
            return;
        }
        let dialable = own.filter(|address| !address.is_circuit());
        let waists = dialable.filter_map(|address| Some((address, Waist::of(address)?)));
        let private = self.private;
        let remote = waists.filter(|(_, waist)| private || !waist.socket.ip().is_loopback());
        let public: Vec<&Multiaddr> = remote
            .clone()
            .filter(|(_, waist)| private || waist.is_public())
            .map(|(address, _)| address)
            .take(MAX_SUBJECTS)
            .collect();
        self.subjects.retain(|(address, _)| public.contains(&address));
        for address in public {
            if self.subjects.iter().all(|(known, _)| known != address) {
                self.subjects.push((address.clone(), Opinion::default()));
            }
        }
        let listening: Vec<Multiaddr> =
            remote.map(|(address, _)| address.clone()).take(MAX_ASKED).collect();
        if self.listening != listening {
            (self.listening, self.whole) = (listening, Opinion::default());
        }
        self.sum_up();
        self.advance(now);
    }

    /// A peer has said what it speaks.
    pub(crate) fn met(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        remote: &Multiaddr,
        protocols: &[Name],
    ) {
        let speaks = |name: &str| protocols.iter().any(|known| &**known == name);
        let (first, second) = (speaks(V1_NAME), speaks(REQUEST_NAME));
        let waist = Waist::of(remote).filter(|_| !remote.is_circuit() && (first || second));
        let Some(waist) = waist.filter(|_| self.config.client) else { return };
        let group = Group::of(waist.socket.ip());
        if self.servers.iter().any(|(id, server)| server.group == group && *id != connection) {
            return;
        }
        if self.servers.len() >= MAX_SERVERS && !self.servers.contains_key(&connection) {
            let gone = self.rng.below(self.servers.len() as u64) as usize;
            let gone = self.servers.keys().nth(gone).copied();
            gone.map(|id| self.servers.remove(&id));
        }
        let new = || Server { group, second, rests_until: Instant::ZERO };
        self.servers.get_or_insert_with(connection, new).second = second;
        self.advance(now);
    }

    /// A dial back has arrived with a number: it is answered if it is one that was
    /// asked for.
    pub(crate) fn dialed_back(
        &mut self,
        now: Instant,
        (connection, stream): (ConnectionId, StreamId),
        nonce: u64,
        arrival: Arrival,
    ) {
        let asked = self.query.as_mut().filter(|query| query.second && query.nonce == nonce);
        let public = Waist::of(&arrival.remote).is_none_or(Waist::is_public);
        // Neither a connection that was there before, nor one that we dialed, nor one
        // from around the corner shows that the Internet reaches us.
        let counts = arrival.inbound && (self.private || public);
        match asked.filter(|query| counts && connection > query.after) {
            Some(query) => {
                query.arrived = Some(arrival);
                // Its one status is zero, which proto3 leaves out.
                self.actions.push_back(Action::Send { connection, stream, bytes: Vec::new() });
                self.actions.push_back(Action::Finish { connection, stream });
                self.judge(now);
            }
            None => self.actions.push_back(Action::Reset { connection, stream }),
        }
    }

    /// Whether a stream is one of a dial back, which is then no longer read.
    fn is_dial_back(&mut self, connection: ConnectionId, stream: StreamId) -> bool {
        let before = self.dial_backs.len();
        self.dial_backs.retain(|known| *known != (connection, stream));
        self.dial_backs.len() != before
    }

    fn confidence(&self) -> usize {
        self.config.confidence
    }

    /// Asks the next question, if there is one and somebody to ask.
    fn advance(&mut self, now: Instant) {
        self.wake = None;
        if self.query.is_some() {
            return;
        }
        let start = self.rng.below(self.servers.len() as u64) as usize;
        let turns = self.servers.iter().skip(start).chain(self.servers.iter().take(start));
        let whens = turns.map(|(id, server)| (self.when(server), *id, server.group, server.second));
        let first =
            whens.filter(|(at, ..)| at.is_some()).min_by_key(|(at, ..)| (*at).max(Some(now)));
        match first {
            Some((Some(at), id, group, second)) if at <= now => self.ask(now, id, group, second),
            Some((at, ..)) => self.wake = at,
            None => {}
        }
    }

    /// When there is something to ask a server.
    fn when(&self, server: &Server) -> Option<Instant> {
        let ready =
            |opinion: &Opinion| opinion.due(self.confidence()).max(opinion.free(server.group));
        let due = if server.second {
            self.subjects.iter().map(|(_, opinion)| ready(opinion)).min()
        } else {
            // Those who speak version 2 say more.
            let needed = self.overall_by_address() == Reachability::Unknown;
            (needed && !self.listening.is_empty()).then(|| ready(&self.whole))
        };
        due.map(|at| at.max(server.rests_until))
    }

    fn ask(&mut self, now: Instant, connection: ConnectionId, group: Group, second: bool) {
        self.queries += 1;
        let addresses = if second {
            let confidence = self.confidence();
            let ready = |opinion: &Opinion| opinion.due(confidence).max(opinion.free(group)) <= now;
            let due = self.subjects.iter().filter(|(_, opinion)| ready(opinion));
            due.take(MAX_ASKED).map(|(address, _)| address.clone()).collect()
        } else {
            self.listening.clone()
        };
        let name = if second { REQUEST_NAME } else { V1_NAME };
        self.query = Some(Query {
            number: self.queries,
            connection,
            group,
            stream: None,
            second,
            addresses,
            nonce: self.rng.next_u64(),
            after: self.newest,
            deadline: now + QUERY_TIMEOUT,
            paid: false,
            arrived: None,
            answered: None,
        });
        self.actions.push_back(Action::Open {
            connection,
            request: self.queries,
            protocols: vec![name.into()],
            framing: FRAMING,
        });
    }

    /// The question's stream is open.
    fn on_opened(
        &mut self,
        local: &Local,
        connection: ConnectionId,
        number: u64,
        stream: StreamId,
    ) {
        let query = self.query.as_mut().filter(|query| query.number == number);
        let Some(query) = query else {
            return self.actions.push_back(Action::Reset { connection, stream });
        };
        query.stream = Some(stream);
        let bytes = if query.second {
            let addresses = query.addresses.iter().cloned().map(Some).collect();
            Message::Request { addresses, nonce: query.nonce }.encode()
        } else {
            let peer = Some(local.keypair.peer_id());
            v1::Message::Dial { peer, addresses: query.addresses.clone() }.encode()
        };
        self.actions.push_back(Action::Send { connection, stream, bytes });
    }

    fn on_message(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        stream: StreamId,
        bytes: &[u8],
    ) {
        if self.is_dial_back(connection, stream) {
            let action = match decode_dial_back(bytes) {
                Ok(nonce) => Action::Autonat(Order::Arrived { connection, stream, nonce }),
                Err(_) => Action::Reset { connection, stream },
            };
            return self.actions.push_back(action);
        }
        let Some(query) = self.query.as_mut().filter(|q| q.is_on(connection, stream)) else {
            return;
        };
        if !query.second {
            return self.on_first(now, bytes);
        }
        match Message::decode(bytes) {
            Ok(Message::DataRequest { bytes: wanted, .. })
                if !query.paid && wanted <= self.config.max_dial_data =>
            {
                query.paid = true;
                let message = Message::Data(MAX_DATA_BYTES).encode();
                for _ in 0..wanted.div_ceil(MAX_DATA_BYTES as u64) {
                    let bytes = message.clone();
                    self.actions.push_back(Action::Send { connection, stream, bytes });
                }
            }
            Ok(Message::Response { status: ResponseStatus::Ok, index, dial }) => {
                let index = index as usize;
                match dial {
                    _ if index >= query.addresses.len() => self.end(now, PAUSE_LIED),
                    DialStatus::DialError => self.conclude(now, index, Vote::No),
                    DialStatus::DialBackError if query.arrived.is_none() => {
                        self.end(now, PAUSE_FAILED);
                    }
                    DialStatus::Ok | DialStatus::DialBackError => {
                        query.answered = Some(index);
                        query.deadline = now + DIAL_BACK_GRACE;
                        self.judge(now);
                    }
                    _ => self.end(now, PAUSE_FAILED),
                }
            }
            Ok(Message::Response { status: ResponseStatus::DialRefused, .. }) => {
                // It never will.
                let (group, asked) = (query.group, query.addresses.clone());
                for address in &asked {
                    self.vote(now, address, group, Vote::Nothing);
                }
                self.end(now, PAUSE);
            }
            Ok(Message::Response { .. }) => self.end(now, PAUSE_FAILED),
            _ => self.end(now, PAUSE_LIED),
        }
    }

    fn on_first(&mut self, now: Instant, bytes: &[u8]) {
        let Some(query) = &self.query else { return };
        let vote = match v1::Message::decode(bytes) {
            Ok(v1::Message::Response { status: v1::Status::Ok, .. }) => Vote::Yes,
            Ok(v1::Message::Response { status: v1::Status::DialError, .. }) => Vote::No,
            Ok(v1::Message::Response { .. }) => Vote::Nothing,
            _ => return self.end(now, PAUSE_FAILED),
        };
        let confidence = self.confidence();
        if query.addresses == self.listening {
            self.whole.hear(now, confidence, query.group, vote);
        }
        self.sum_up();
        self.end(now, PAUSE);
    }

    /// Looks whether the answer and the dial that arrived belong together.
    fn judge(&mut self, now: Instant) {
        let Some(query) = &self.query else { return };
        let (Some(index), Some(arrival)) = (query.answered, &query.arrived) else { return };
        let Some(address) = query.addresses.get(index) else { return };
        if arrival.is_at(address) {
            self.conclude(now, index, Vote::Proved);
        } else {
            self.end(now, PAUSE_LIED);
        }
    }

    fn conclude(&mut self, now: Instant, index: usize, vote: Vote) {
        let Some(query) = &self.query else { return };
        // Whatever it says, a dial that has arrived was one.
        let address = query.addresses.get(index).cloned();
        let arrived =
            |address| query.arrived.as_ref().is_some_and(|arrival| arrival.is_at(address));
        let vote = if address.as_ref().is_some_and(arrived) { Vote::Proved } else { vote };
        let group = query.group;
        if let Some(address) = address {
            self.vote(now, &address, group, vote);
        }
        self.end(now, PAUSE);
    }

    fn vote(&mut self, now: Instant, address: &Multiaddr, group: Group, vote: Vote) {
        let confidence = self.confidence();
        let Some((_, opinion)) = self.subjects.iter_mut().find(|(known, _)| known == address)
        else {
            return;
        };
        if opinion.hear(now, confidence, group, vote) {
            let (address, reachability) = (Some(address.clone()), opinion.state);
            let order = Order::Verdict { address, reachability };
            self.actions.push_back(Action::Autonat(order));
            self.sum_up();
        }
    }

    /// The question is over; its server rests.
    fn end(&mut self, now: Instant, pause: Duration) {
        let Some(query) = self.query.take() else { return };
        if let Some(server) = self.servers.get_mut(&query.connection) {
            server.rests_until = now + pause;
        }
        if let Some(stream) = query.stream {
            let connection = query.connection;
            let answered = pause == PAUSE;
            self.actions.push_back(if answered {
                Action::Finish { connection, stream }
            } else {
                Action::Reset { connection, stream }
            });
        }
        for (connection, stream) in core::mem::take(&mut self.dial_backs) {
            self.actions.push_back(Action::Reset { connection, stream });
        }
        self.advance(now);
    }

    fn overall_by_address(&self) -> Reachability {
        let is = |wanted| move |(_, opinion): &(Multiaddr, Opinion)| opinion.state == wanted;
        if self.subjects.iter().any(is(Reachability::Public)) {
            Reachability::Public
        } else if !self.subjects.is_empty() && self.subjects.iter().all(is(Reachability::Private)) {
            Reachability::Private
        } else {
            Reachability::Unknown
        }
    }

    /// Takes together what is known of all addresses.
    fn sum_up(&mut self) {
        let overall = match self.overall_by_address() {
            Reachability::Unknown => self.whole.state,
            known => known,
        };
        if core::mem::replace(&mut self.overall, overall) != overall {
            let order = Order::Verdict { address: None, reachability: overall };
            self.actions.push_back(Action::Autonat(order));
        }
    }
}

impl Query {
    fn is_on(&self, connection: ConnectionId, stream: StreamId) -> bool {
        self.connection == connection && self.stream == Some(stream)
    }
}

impl Arrival {
    /// Whether a dial to `address` comes in here: over the same transports.
    fn is_at(&self, address: &Multiaddr) -> bool {
        let Some(local) = &self.local else { return true };
        let kind = |address: &Multiaddr| {
            let (waist, rest) = Waist::split(address)?;
            Some((waist.transport, waist.socket.is_ipv4(), rest))
        };
        kind(local) == kind(address)
    }
}

impl Protocol for Client {
    fn names(&self) -> Vec<(Name, crate::connection::Framing)> {
        let names = self.config.client.then(|| (DIAL_BACK_NAME.into(), DIAL_BACK_FRAMING));
        names.into_iter().collect()
    }

    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>) {
        match input {
            Input::Connected { connection, .. } => self.newest = self.newest.max(connection),
            Input::Disconnected { connection } => {
                self.servers.remove(&connection);
                self.dial_backs.retain(|(id, _)| *id != connection);
                if let Some(query) = self.query.as_mut().filter(|q| q.connection == connection) {
                    query.stream = None;
                    self.end(now, PAUSE_FAILED);
                }
            }
            Input::Opened { connection, request, stream, .. } => {
                self.on_opened(local, connection, request, stream);
            }
            Input::OpenFailed { request, .. }
                if self.query.as_ref().is_some_and(|query| query.number == request) =>
            {
                self.end(now, PAUSE_FAILED);
            }
            Input::Inbound { connection, stream, .. } => {
                let expected = self.query.as_ref().is_some_and(|query| query.second);
                if expected && self.dial_backs.len() < MAX_DIAL_BACKS {
                    self.dial_backs.push((connection, stream));
                } else {
                    self.actions.push_back(Action::Reset { connection, stream });
                }
            }
            Input::Message { connection, stream, bytes } => {
                self.on_message(now, connection, stream, &bytes);
            }
            Input::Finished { connection, stream } | Input::Reset { connection, stream } => {
                if self.is_dial_back(connection, stream) {
                    self.actions.push_back(Action::Reset { connection, stream });
                }
                let on = |query: &&Query| query.is_on(connection, stream);
                // Once it has answered, a server need say no more.
                if self.query.as_ref().filter(on).is_some_and(|query| query.answered.is_none()) {
                    self.end(now, PAUSE_FAILED);
                }
            }
            Input::Timeout => match &self.query {
                Some(query) if query.deadline <= now => {
                    let lied = query.answered.is_some();
                    self.end(now, if lied { PAUSE_LIED } else { PAUSE_FAILED });
                }
                Some(_) => {}
                None => self.advance(now),
            },
            _ => {}
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.wake, self.query.as_ref().map(|query| query.deadline))
    }
}
