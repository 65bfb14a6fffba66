//! The rendezvous point.

use core::time::Duration;
use std::collections::VecDeque;

use crate::collections::{LongMap, LongSet};
use crate::connection::{Framing, StreamId};
use crate::identity::{PeerId, PeerRecord};
use crate::negotiate::Name;
use crate::node::ConnectionId;
use crate::protocols::{Action, Input, Local, Protocol};
use crate::swarm::addresses::{Group, Waist};
use crate::time::{Instant, earliest};

use super::message::{Message, Register, Status};
use super::registry::{Full, Registry};
use super::{
    ANSWERING, DEFAULT_TTL, MAX_FOUND, MAX_NAMESPACE, MAX_RECORD, MAX_TTL, MAX_WAITING, NAME,
    REQUEST_TIMEOUT,
};

/// Bytes of registrations in an answer, at most: rust-libp2p reads a MiB.
const MAX_SENT_BYTES: usize = 512 << 10;

/// What a rendezvous point takes. Plain data with defaults; those of the specification
/// where it has some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The shortest registration; 2 hours. A shorter one costs more than it is worth.
    pub min_ttl: Duration,
    /// The longest registration; 72 hours.
    pub max_ttl: Duration,
    /// Registrations in all; 100,000.
    pub max_registrations: usize,
    /// Bytes of all registrations, roughly; 128 MiB.
    pub max_bytes: usize,
    /// Registrations of a peer, under different names; 1,000.
    pub max_of_peer: usize,
    /// Registrations under a name; 10,000.
    pub max_of_namespace: usize,
    /// Registrations of a network (an IPv4 /24, an IPv6 /48): 1,000. Identities cost
    /// nothing, addresses do, so that nobody takes a name's whole room alone.
    pub max_of_network: usize,
    /// Requests of a connection a minute, of which all may come at once; 120.
    pub max_requests: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            min_ttl: DEFAULT_TTL,
            max_ttl: MAX_TTL,
            max_registrations: 100_000,
            max_bytes: 128 << 20,
            max_of_peer: 1000,
            max_of_namespace: 10_000,
            max_of_network: 1000,
            max_requests: 120,
        }
    }
}

/// Whether a node can be a point at all; where not, the compiler leaves out what is only a
/// point's.
const SERVES: bool = cfg!(feature = "rendezvous-point");

/// A rendezvous point, or what may become one.
pub struct Server {
    config: Option<ServerConfig>,
    registry: Registry,
    links: LongMap<ConnectionId, Link>,
    /// Streams whose request has not come yet, and how long they may wait.
    waiting: LongMap<(ConnectionId, StreamId), Instant>,
    ends: LongSet<(Instant, ConnectionId, StreamId)>,
    actions: VecDeque<Action>,
}

struct Link {
    peer: PeerId,
    group: Option<Group>,
    waiting: usize,
    /// Until when what it may ask for is used up.
    busy: Instant,
}

impl Server {
    /// A point if there is a configuration. `instance` tells the cookies of this run
    /// from those of others.
    pub fn new(config: Option<ServerConfig>, instance: u64) -> Self {
        Self {
            config: config.filter(|_| SERVES),
            registry: Registry::new(instance),
            links: LongMap::new(),
            waiting: LongMap::new(),
            ends: LongSet::new(),
            actions: VecDeque::new(),
        }
    }

    /// Serves from now on, or within other limits, which hold for what is new.
    #[cfg(feature = "rendezvous-point")]
    pub fn serve(&mut self, config: ServerConfig) {
        self.config = Some(config);
    }

    /// What is taken, if this is a point.
    pub fn config(&self) -> Option<&ServerConfig> {
        self.config.as_ref()
    }

    /// How many registrations there are, of how many peers, under how many names.
    pub fn len(&self) -> (usize, usize, usize) {
        self.registry.len()
    }

    /// Whether nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.len().0 == 0
    }

    /// Bytes of all registrations, roughly.
    pub fn bytes(&self) -> usize {
        self.registry.bytes()
    }

    fn on_inbound(&mut self, now: Instant, connection: ConnectionId, stream: StreamId) {
        let link = self.links.get_mut(&connection).filter(|link| link.waiting < MAX_WAITING);
        let Some(link) = link.filter(|_| self.config.is_some()) else {
            return self.actions.push_back(Action::Reset { connection, stream });
        };
        link.waiting += 1;
        let end = now + REQUEST_TIMEOUT;
        self.waiting.insert((connection, stream), end);
        self.ends.insert((end, connection, stream));
    }

    /// A stream waits no more; whether it did.
    fn stop_waiting(&mut self, connection: ConnectionId, stream: StreamId) -> bool {
        let Some(end) = self.waiting.remove(&(connection, stream)) else { return false };
        self.ends.remove(&(end, connection, stream));
        if let Some(link) = self.links.get_mut(&connection) {
            link.waiting = link.waiting.saturating_sub(1);
        }
        true
    }

    fn on_message(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        stream: StreamId,
        bytes: &[u8],
    ) {
        let waited = self.stop_waiting(connection, stream);
        let request = Message::decode(bytes).ok().filter(|_| waited);
        let (Some(request), Some(config)) = (request, self.config.clone()) else {
            return self.actions.push_back(Action::Reset { connection, stream });
        };
        let Some(link) = self.links.get_mut(&connection) else { return };
        let from = (link.peer, link.group);
        let idle = link.take(now, config.max_requests);
        let answer = match request {
            Message::Register(register) => {
                let result = match idle {
                    true => self.register(now, from, register, &config),
                    false => Err((Status::Unavailable, BUSY)),
                };
                let (status, text, ttl) = match result {
                    Ok(ttl) => (Status::Ok, "", Some(ttl.as_secs())),
                    Err((status, text)) => (status, text, None),
                };
                Message::Registered { status, text: text.into(), ttl }
            }
            Message::Discover { namespace, limit, cookie } => {
                let namespace = namespace.as_deref();
                match idle {
                    true => self.discover(now, namespace, limit, cookie.as_deref()),
                    false => refused(Status::Unavailable, BUSY),
                }
            }
            Message::Unregister { namespace } => {
                self.registry.remove(&from.0, &namespace);
                return self.actions.push_back(Action::Finish { connection, stream });
            }
            Message::Registered { .. } | Message::Discovered { .. } => {
                return self.actions.push_back(Action::Reset { connection, stream });
            }
        };
        self.actions.push_back(Action::Send { connection, stream, bytes: answer.encode() });
        self.actions.push_back(Action::Finish { connection, stream });
    }

    fn register(
        &mut self,
        now: Instant,
        from: (PeerId, Option<Group>),
        register: Register,
        config: &ServerConfig,
    ) -> Result<Duration, (Status, &'static str)> {
        let Register { namespace, record, ttl } = register;
        if namespace.is_empty() || namespace.len() > MAX_NAMESPACE {
            return Err((Status::InvalidNamespace, ""));
        }
        let ttl = ttl.map_or(DEFAULT_TTL.max(config.min_ttl), Duration::from_secs);
        if ttl < config.min_ttl || ttl > config.max_ttl {
            return Err((Status::InvalidTtl, ""));
        }
        if record.len() > MAX_RECORD {
            return Err((Status::InvalidSignedPeerRecord, "it is too long"));
        }
        let signed = PeerRecord::open(&record);
        let signed = signed.map_err(|_| (Status::InvalidSignedPeerRecord, "it is not valid"))?;
        if signed.peer_id() != from.0 {
            return Err((Status::NotAuthorized, "it is another peer's"));
        }
        let result = self.registry.register(now, from, &namespace, (record, ttl), config);
        result.map_err(|Full(what)| (Status::Unavailable, what))?;
        Ok(ttl)
    }

    fn discover(
        &mut self,
        now: Instant,
        namespace: Option<&str>,
        limit: Option<u64>,
        cookie: Option<&[u8]>,
    ) -> Message {
        if namespace.is_some_and(|name| name.len() > MAX_NAMESPACE) {
            return refused(Status::InvalidNamespace, "");
        }
        self.registry.expire(now);
        let known = match cookie.filter(|cookie| !cookie.is_empty()) {
            Some(cookie) => self.registry.read_cookie(namespace, cookie),
            None => Some(0),
        };
        let Some(mut last) = known else { return refused(Status::InvalidCookie, "") };
        // Zero is no limit: so go-libp2p reads it.
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(MAX_FOUND);
        let mut registrations = Vec::new();
        let mut bytes = 0;
        for (number, entry) in self.registry.after(namespace, last).take(limit) {
            bytes += entry.record.len() + entry.namespace.len();
            if bytes > MAX_SENT_BYTES {
                break;
            }
            registrations.push(Register {
                namespace: entry.namespace.to_string(),
                record: entry.record.clone(),
                ttl: Some((entry.ends - now).as_secs()),
            });
            last = number;
        }
        let cookie = self.registry.cookie(namespace, last);
        Message::Discovered { status: Status::Ok, text: String::new(), registrations, cookie }
    }
}

const BUSY: &str = "too many requests";

fn refused(status: Status, text: &str) -> Message {
    let text = text.into();
    Message::Discovered { status, text, registrations: Vec::new(), cookie: Vec::new() }
}

impl Link {
    /// Whether it may ask for one more thing now.
    fn take(&mut self, now: Instant, max_requests: u32) -> bool {
        let minute = Duration::from_secs(60);
        let until = self.busy.max(now) + minute / max_requests.max(1);
        let idle = until <= now + minute;
        if idle {
            self.busy = until;
        }
        idle
    }
}

impl Protocol for Server {
    fn names(&self) -> Vec<(Name, Framing)> {
        self.config.iter().map(|_| (NAME.into(), ANSWERING)).collect()
    }

    fn handle(&mut self, now: Instant, _: &Local, input: Input<'_>) {
        if !SERVES {
            return;
        }
        match input {
            Input::Connected { connection, peer, remote, .. } => {
                let group = Waist::of(remote).map(|waist| Group::of(waist.socket.ip()));
                let link = Link { peer: *peer, group, waiting: 0, busy: Instant::ZERO };
                self.links.insert(connection, link);
            }
            Input::Disconnected { connection } => {
                self.links.remove(&connection);
                self.waiting.retain(|(of, _), _| *of != connection);
                self.ends.retain(|(_, of, _)| *of != connection);
            }
            Input::Inbound { connection, stream, .. } => self.on_inbound(now, connection, stream),
            Input::Message { connection, stream, bytes } => {
                self.on_message(now, connection, stream, &bytes);
            }
            Input::Finished { connection, stream } => {
                let waited = self.stop_waiting(connection, stream);
                self.actions.extend(waited.then_some(Action::Finish { connection, stream }));
            }
            Input::Reset { connection, stream } => _ = self.stop_waiting(connection, stream),
            Input::Timeout => {
                self.registry.expire(now);
                while let Some((end, connection, stream)) = self.ends.first().copied()
                    && end <= now
                {
                    self.stop_waiting(connection, stream);
                    self.actions.push_back(Action::Reset { connection, stream });
                }
            }
            _ => {}
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if !SERVES {
            return None;
        }
        earliest(self.registry.next_end(), self.ends.first().map(|(end, ..)| *end))
    }
}
