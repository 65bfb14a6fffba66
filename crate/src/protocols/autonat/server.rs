//! Dials for others, so that they learn whether they can be dialed.

use core::net::IpAddr;
use std::collections::VecDeque;

use crate::address::{Multiaddr, Protocol as Part};
use crate::collections::{Map, Set};
use crate::connection::{Framing, StreamId};
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::ConnectionId;
use crate::protocols::{Action, Input, Local, Protocol};
use crate::rng::Rng;
use crate::swarm::addresses::{Group, Waist, is_public};
use crate::time::Instant;

use super::message::{DialStatus, MAX_DATA_BYTES, Message, ResponseStatus};
use super::rates::Rates;
use super::{FRAMING, Order, REQUEST_NAME, REQUEST_TIMEOUT, ServerConfig, V1_NAME, v1};

/// Streams whose request has not come yet.
pub const MAX_WAITING: usize = 64;
/// The least that one message of dial data carries, in bytes, but for the last: less
/// would cost us more than the client. As go-libp2p's.
pub const MIN_DATA_BYTES: usize = 100;
/// Addresses that are dialed for one request of version 1, one after another.
pub const MAX_DIALED: usize = 3;

/// A stream of a connection.
type At = (ConnectionId, StreamId);

/// The dialing side of both versions.
pub struct Server {
    config: Option<ServerConfig>,
    private: bool,
    rng: Rng,
    rates: Rates,
    /// Streams whose request has not come yet, whether they speak version 2, and how
    /// long they may wait.
    waiting: Map<At, (bool, Instant)>,
    jobs: Map<u64, Job>,
    next: u64,
    /// Whether we have an address of IPv6 that others can dial.
    has_ip6: bool,
    actions: VecDeque<Action>,
}

struct Job {
    at: At,
    peer: PeerId,
    kind: Kind,
    state: State,
}

enum Kind {
    /// Those that are still to be dialed, the next one last.
    First {
        left: Vec<Multiaddr>,
        dialed: Option<Multiaddr>,
    },
    Second {
        address: Multiaddr,
        index: u32,
        nonce: u64,
    },
}

enum State {
    /// So many bytes are to come first.
    Paying {
        left: u64,
        until: Instant,
    },
    /// They have come: the dial begins then.
    Resting {
        until: Instant,
    },
    Dialing,
}

/// Who asks.
pub(crate) struct Asker {
    pub(crate) peer: PeerId,
    /// Where the remote is, as the transport sees it.
    pub(crate) remote: Multiaddr,
}

/// What came of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialed {
    /// The peer was reached and, if there was a number to say, has it.
    Reached,
    /// It was reached and did not take the number.
    Unheard,
    /// It was not reached.
    Failed,
    /// We did not try.
    Refused,
}

impl Server {
    pub(crate) fn new(config: Option<ServerConfig>, private: bool, rng: Rng) -> Self {
        Self {
            config,
            private,
            rng,
            rates: Rates::default(),
            waiting: Map::new(),
            jobs: Map::new(),
            next: 0,
            has_ip6: false,
            actions: VecDeque::new(),
        }
    }

    /// Serves from now on, or within other limits.
    pub(crate) fn serve(&mut self, config: ServerConfig) {
        self.config = Some(config);
    }

    pub(crate) fn set_private(&mut self, private: bool) {
        self.private = private;
    }

    /// What is done for others, if anything is.
    pub fn config(&self) -> Option<&ServerConfig> {
        self.config.as_ref()
    }

    /// How many requests are being worked on.
    pub fn jobs(&self) -> usize {
        self.jobs.len()
    }

    fn reset(&mut self, (connection, stream): At) {
        self.actions.push_back(Action::Reset { connection, stream });
    }

    /// The last word on a stream.
    fn answer(&mut self, (connection, stream): At, bytes: Vec<u8>) {
        self.actions.push_back(Action::Send { connection, stream, bytes });
        self.actions.push_back(Action::Finish { connection, stream });
    }

    fn respond(&mut self, at: At, status: ResponseStatus, index: u32, dial: DialStatus) {
        self.answer(at, Message::Response { status, index, dial }.encode());
    }

    fn respond_first(&mut self, at: At, status: v1::Status, address: Option<Multiaddr>) {
        self.answer(at, v1::Message::Response { status, address }.encode());
    }

    /// A request has come, and this is who asks.
    pub(crate) fn asked(
        &mut self,
        now: Instant,
        at: At,
        asker: &Asker,
        (second, bytes): (bool, &[u8]),
    ) {
        // Where it is, a relay cannot tell.
        let waist = Waist::of(&asker.remote).filter(|_| !asker.remote.is_circuit());
        let (Some(config), Some(waist)) = (self.config.clone(), waist) else {
            return self.reset(at);
        };
        let peer = &asker.peer;
        let busy = self.jobs.values().filter(|job| job.peer == *peer).count();
        let taken = self.jobs.len() < config.max_requests
            && busy < config.max_requests_of_peer
            && self.rates.take(now, &config, peer, Group::of(waist.socket.ip()));
        if second {
            self.asked_second(now, at, (*peer, waist), &config, bytes, taken);
        } else {
            self.asked_first(at, (*peer, waist), bytes, taken);
        }
    }

    fn asked_second(
        &mut self,
        now: Instant,
        at: At,
        (peer, from): (PeerId, Waist),
        config: &ServerConfig,
        bytes: &[u8],
        taken: bool,
    ) {
        let Ok(Message::Request { addresses, nonce }) = Message::decode(bytes) else {
            return self.reset(at);
        };
        if !taken {
            return self.respond(at, ResponseStatus::Rejected, 0, DialStatus::Unused);
        }
        let chosen = addresses.iter().enumerate().find_map(|(index, address)| {
            let address = self.dialable(&peer, address.as_ref()?)?;
            Some((u32::try_from(index).ok()?, address))
        });
        let Some((index, address)) = chosen else {
            return self.respond(at, ResponseStatus::DialRefused, 0, DialStatus::Unused);
        };
        let here = Waist::of(&address).is_some_and(|to| to.socket.ip() == from.socket.ip());
        let state = if here {
            State::Dialing
        } else {
            let (least, most) = (*config.dial_data.start(), *config.dial_data.end());
            let bytes = least.saturating_add(self.rng.below(most.saturating_sub(least)));
            let (connection, stream) = at;
            let message = Message::DataRequest { index, bytes }.encode();
            self.actions.push_back(Action::Send { connection, stream, bytes: message });
            State::Paying { left: bytes, until: now + REQUEST_TIMEOUT }
        };
        let kind = Kind::Second { address, index, nonce };
        self.begin(Job { at, peer, kind, state });
    }

    fn asked_first(&mut self, at: At, (peer, from): (PeerId, Waist), bytes: &[u8], taken: bool) {
        let Ok(v1::Message::Dial { peer: said, addresses }) = v1::Message::decode(bytes) else {
            return self.respond_first(at, v1::Status::BadRequest, None);
        };
        if said.is_some_and(|said| said != peer) {
            return self.respond_first(at, v1::Status::BadRequest, None);
        }
        // No other IP address than the one that asks is dialed, whatever is said.
        let mut left: Vec<Multiaddr> = Vec::new();
        for address in &addresses {
            let Some((waist, rest)) = Waist::split(address) else { continue };
            if waist.socket.is_ipv4() != from.socket.is_ipv4() {
                continue;
            }
            let mut here = waist;
            here.socket.set_ip(from.socket.ip());
            let dialable = self.dialable(&peer, &here.address(&rest));
            if let Some(address) = dialable.filter(|address| !left.contains(address)) {
                left.push(address);
            }
        }
        left.truncate(MAX_DIALED);
        left.reverse();
        if !taken || left.is_empty() {
            return self.respond_first(at, v1::Status::DialRefused, None);
        }
        let kind = Kind::First { left, dialed: None };
        self.begin(Job { at, peer, kind, state: State::Dialing });
    }

    /// The address as it is dialed, if it is one that we dial: of a transport that
    /// every host speaks, and of no network that is not the asker's to name.
    fn dialable(&self, peer: &PeerId, address: &Multiaddr) -> Option<Multiaddr> {
        let address = match address.peer_id() {
            Some(named) if named != *peer => return None,
            _ => address.without_peer(),
        };
        let (waist, rest) = Waist::split(&address)?;
        let spoken = matches!(address.iter().nth(1), Some(Part::Tcp(port)) if port != 0)
            && (rest.is_empty() || rest.iter().eq([Part::Ws]));
        let ip = waist.socket.ip();
        let allowed = if self.private {
            !ip.is_unspecified() && !ip.is_multicast()
        } else {
            is_public(ip) && (ip.is_ipv4() || self.has_ip6)
        };
        (spoken && allowed).then_some(address)
    }

    fn begin(&mut self, job: Job) {
        self.next += 1;
        let dials = matches!(job.state, State::Dialing);
        self.jobs.insert(self.next, job);
        if dials {
            self.dial(self.next);
        }
    }

    /// Dials the next address of a job.
    fn dial(&mut self, number: u64) {
        let Some(job) = self.jobs.get_mut(&number) else { return };
        job.state = State::Dialing;
        let (address, nonce) = match &mut job.kind {
            Kind::Second { address, nonce, .. } => (Some(address.clone()), Some(*nonce)),
            Kind::First { left, dialed } => {
                dialed.clone_from(&left.pop());
                (dialed.clone(), None)
            }
        };
        let Some(address) = address else { return self.finish(number, Dialed::Failed) };
        let order = Order::Dial { job: number, peer: job.peer, address, nonce };
        self.actions.push_back(Action::Autonat(order));
    }

    /// What came of the dial of a job.
    pub(crate) fn dialed(&mut self, number: u64, result: Dialed) {
        let more = |job: &Job| matches!(&job.kind, Kind::First { left, .. } if !left.is_empty());
        match self.jobs.get(&number) {
            Some(job) if result == Dialed::Failed && more(job) => self.dial(number),
            _ => self.finish(number, result),
        }
    }

    fn finish(&mut self, number: u64, result: Dialed) {
        let Some(job) = self.jobs.remove(&number) else { return };
        match job.kind {
            Kind::Second { .. } if result == Dialed::Refused => {
                self.respond(job.at, ResponseStatus::DialRefused, 0, DialStatus::Unused);
            }
            Kind::First { .. } if result == Dialed::Refused => {
                self.respond_first(job.at, v1::Status::DialRefused, None);
            }
            Kind::Second { index, .. } => {
                let dial = match result {
                    Dialed::Reached => DialStatus::Ok,
                    Dialed::Unheard => DialStatus::DialBackError,
                    Dialed::Failed | Dialed::Refused => DialStatus::DialError,
                };
                self.respond(job.at, ResponseStatus::Ok, index, dial);
            }
            Kind::First { dialed, .. } if result == Dialed::Reached => {
                self.respond_first(job.at, v1::Status::Ok, dialed);
            }
            Kind::First { .. } => self.respond_first(job.at, v1::Status::DialError, None),
        }
    }

    /// The client sends what it was asked to.
    fn on_data(&mut self, now: Instant, at: At, bytes: &[u8]) {
        let Some((number, job)) = self.jobs.iter_mut().find(|(_, job)| job.at == at) else {
            return;
        };
        let (number, message) = (*number, Message::decode(bytes));
        let State::Paying { left, .. } = &mut job.state else {
            // What it has sent too much.
            if !matches!(message, Ok(Message::Data(_))) {
                self.abandon(at);
            }
            return;
        };
        match message {
            Ok(Message::Data(count))
                if count <= MAX_DATA_BYTES
                    && (count >= MIN_DATA_BYTES || count as u64 >= *left) =>
            {
                *left = left.saturating_sub(count as u64);
                if *left == 0 {
                    let longest =
                        self.config.as_ref().map(|config| config.max_wait).unwrap_or_default();
                    let wait = self.rng.below(longest.as_micros() as u64);
                    let until = now + core::time::Duration::from_micros(wait);
                    job.state = State::Resting { until };
                    if until <= now {
                        self.dial(number);
                    }
                }
            }
            _ => self.abandon(at),
        }
    }

    /// Nothing more is done for a stream.
    fn abandon(&mut self, at: At) {
        self.waiting.remove(&at);
        self.forget(|job| job.at == at);
        self.reset(at);
    }

    fn forget(&mut self, gone: impl Fn(&Job) -> bool) {
        let numbers: Vec<u64> =
            self.jobs.iter().filter(|(_, job)| gone(job)).map(|(number, _)| *number).collect();
        for number in numbers {
            let job = self.jobs.remove(&number);
            if job.is_some_and(|job| matches!(job.state, State::Dialing)) {
                self.actions.push_back(Action::Autonat(Order::Cancel { job: number }));
            }
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        let late: Set<At> =
            self.waiting.iter().filter(|(_, (_, at))| *at <= now).map(|(at, _)| *at).collect();
        let broke = self.jobs.values().filter_map(|job| match job.state {
            State::Paying { until, .. } if until <= now => Some(job.at),
            _ => None,
        });
        let late: Vec<At> = late.iter().copied().chain(broke).collect();
        late.into_iter().for_each(|at| self.abandon(at));
        let rested = |job: &Job| matches!(job.state, State::Resting { until } if until <= now);
        let ready: Vec<u64> =
            self.jobs.iter().filter(|(_, job)| rested(job)).map(|(number, _)| *number).collect();
        ready.into_iter().for_each(|number| self.dial(number));
    }

    fn on_inbound(&mut self, now: Instant, at: At, name: &Name) {
        let full = self.waiting.len() >= MAX_WAITING;
        let of_connection = self.waiting.keys().filter(|(id, _)| *id == at.0).count();
        let of_peer = self.config.as_ref().map_or(0, |config| config.max_requests_of_peer);
        if full || of_connection >= of_peer {
            return self.reset(at);
        }
        self.waiting.insert(at, (&**name == REQUEST_NAME, now + REQUEST_TIMEOUT));
    }
}

impl Protocol for Server {
    fn names(&self) -> Vec<(Name, Framing)> {
        match self.config {
            Some(_) => vec![(V1_NAME.into(), FRAMING), (REQUEST_NAME.into(), FRAMING)],
            None => Vec::new(),
        }
    }

    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>) {
        match input {
            Input::Inbound { connection, stream, protocol } => {
                self.on_inbound(now, (connection, stream), protocol);
            }
            Input::Message { connection, stream, bytes } => {
                match self.waiting.remove(&(connection, stream)) {
                    Some((second, _)) => {
                        let order = Order::Asked { connection, stream, second, bytes };
                        self.actions.push_back(Action::Autonat(order));
                    }
                    None => self.on_data(now, (connection, stream), &bytes),
                }
            }
            Input::Finished { connection, stream } => {
                let at = (connection, stream);
                let pays = |job: &Job| job.at == at && matches!(job.state, State::Paying { .. });
                if self.waiting.contains_key(&at) || self.jobs.values().any(pays) {
                    self.abandon(at);
                }
            }
            Input::Reset { connection, stream } => {
                self.waiting.remove(&(connection, stream));
                self.forget(|job| job.at == (connection, stream));
            }
            Input::Disconnected { connection } => {
                self.waiting.retain(|(id, _), _| *id != connection);
                self.forget(|job| job.at.0 == connection);
            }
            Input::LocalChanged => {
                let public6 = |waist: Waist| match waist.socket.ip() {
                    IpAddr::V6(ip) => is_public(ip.into()),
                    IpAddr::V4(_) => false,
                };
                self.has_ip6 = local.addresses.iter().filter_map(Waist::of).any(public6);
            }
            Input::Timeout => self.on_timeout(now),
            _ => {}
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.waiting.values().map(|(_, at)| *at);
        let jobs = self.jobs.values().filter_map(|job| match job.state {
            State::Paying { until, .. } | State::Resting { until } => Some(until),
            State::Dialing => None,
        });
        waiting.chain(jobs).min()
    }
}
