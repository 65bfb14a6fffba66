//! Asks rendezvous points, and stays registered at them.

use core::time::Duration;
use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::{Map, Set};
use crate::connection::{Framing, StreamError, StreamId};
use crate::identity::{PeerId, PeerRecord};
use crate::negotiate::Name;
use crate::node::{ConnectionId, Event};
use crate::protocols::{Action, Input, Local, Protocol};
use crate::time::{Instant, earliest};

use super::message::{Message, Register, Status};
use super::{
    ASKING, Answer, Found, MAX_COOKIE, MAX_NAMESPACE, MAX_TTL, NAME, Order, Point, REQUEST_TIMEOUT,
    Registration, RendezvousError, RendezvousEvent, RequestId, Search,
};

/// Requests under way at a time.
pub const MAX_REQUESTS: usize = 64;
/// The first wait before a point is asked again that did not register us again; it
/// doubles up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(5);
const MAX_RETRY: Duration = Duration::from_secs(300);
/// How long our addresses are left alone after they have changed: they often change
/// together.
const SETTLE: Duration = Duration::from_secs(3);
/// A registration younger than that is not renewed because a connection is new.
const FRESH: Duration = Duration::from_secs(60);

/// Asks rendezvous points.
pub struct Client {
    requests: Map<RequestId, Request>,
    /// Streams whose answers are waited for.
    streams: Map<(ConnectionId, StreamId), RequestId>,
    registered: Map<(PeerId, String), Registered>,
    /// The number of the last request.
    last: u64,
    actions: VecDeque<Action>,
}

struct Request {
    point: Point,
    what: What,
    /// When it is given up, once its point is reached.
    until: Option<Instant>,
}

#[derive(Clone)]
enum What {
    Register {
        namespace: String,
        ttl: Option<Duration>,
        /// We do it by ourselves.
        again: bool,
        /// The point has refused our record in today's form.
        legacy: bool,
        /// The addresses in the record that was sent.
        addresses: Vec<Multiaddr>,
    },
    Unregister {
        namespace: String,
    },
    Discover(Search),
}

/// A registration that is kept up.
struct Registered {
    /// Where the point is.
    addresses: Vec<Multiaddr>,
    /// As the application wants it.
    ttl: Option<Duration>,
    since: Instant,
    /// When to do it again; `None` while it is being done.
    again: Option<Instant>,
    /// How long to wait if that fails.
    wait: Duration,
    /// The point reads records in the form of RFC 0003 alone, as rust-libp2p's does.
    legacy: bool,
    /// The addresses that are registered.
    told: Vec<Multiaddr>,
}

impl Client {
    /// A client that is registered nowhere.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self {
            requests: Map::new(),
            streams: Map::new(),
            registered: Map::new(),
            last: 0,
            actions: VecDeque::new(),
        }
    }

    /// Where we are registered, and under which names.
    pub fn registered(&self) -> impl Iterator<Item = (&PeerId, &str)> {
        self.registered.keys().map(|(point, namespace)| (point, namespace.as_str()))
    }

    pub(crate) fn register(
        &mut self,
        local: &Local,
        point: Point,
        namespace: &str,
        ttl: Option<Duration>,
    ) -> Result<RequestId, RendezvousError> {
        valid(namespace)?;
        if local.addresses.is_empty() {
            return Err(RendezvousError::NoAddress);
        }
        let namespace = namespace.into();
        let (again, legacy, addresses) = (false, false, Vec::new());
        self.begin(point, What::Register { namespace, ttl, again, legacy, addresses })
    }

    pub(crate) fn unregister(
        &mut self,
        point: Point,
        namespace: &str,
    ) -> Result<RequestId, RendezvousError> {
        valid(namespace)?;
        self.registered.remove(&(point.peer, namespace.into()));
        self.begin(point, What::Unregister { namespace: namespace.into() })
    }

    pub(crate) fn discover(
        &mut self,
        point: Point,
        search: Search,
    ) -> Result<RequestId, RendezvousError> {
        search.namespace.as_deref().map_or(Ok(()), valid)?;
        if search.cookie.as_ref().is_some_and(|cookie| cookie.len() > MAX_COOKIE) {
            return Err(RendezvousError::Cookie);
        }
        self.begin(point, What::Discover(search))
    }

    fn begin(&mut self, point: Point, what: What) -> Result<RequestId, RendezvousError> {
        if self.requests.len() >= MAX_REQUESTS {
            return Err(RendezvousError::TooMany);
        }
        self.last += 1;
        let id = RequestId(self.last);
        let order = Order::Reach { request: id, point: point.clone() };
        self.requests.insert(id, Request { point, what, until: None });
        self.actions.push_back(Action::Rendezvous(order));
        Ok(id)
    }

    /// Nobody waits for the answer any more; a registration stays, if it was made.
    pub(crate) fn cancel(&mut self, id: RequestId) {
        if self.requests.remove(&id).is_some() {
            self.drop_stream(id);
        }
    }

    fn drop_stream(&mut self, id: RequestId) {
        let at = self.streams.iter().find(|(_, of)| **of == id).map(|(at, _)| *at);
        if let Some((connection, stream)) = at {
            self.streams.remove(&(connection, stream));
            self.actions.push_back(Action::Reset { connection, stream });
        }
    }

    /// The point of a request is reached.
    pub(crate) fn reached(&mut self, now: Instant, id: RequestId, connection: ConnectionId) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.until = Some(now + REQUEST_TIMEOUT);
        self.actions.push_back(Action::Open {
            connection,
            request: id.0,
            protocols: vec![NAME.into()],
            framing: ASKING,
        });
    }

    /// The point of a request cannot be reached.
    pub(crate) fn not_reached(&mut self, now: Instant, id: RequestId) {
        self.end(now, id, Err(RendezvousError::Unreachable));
    }

    /// A stream to the point is open: asks.
    fn ask(
        &mut self,
        now: Instant,
        local: &Local,
        (connection, stream): (ConnectionId, StreamId),
        id: RequestId,
    ) {
        let Some(request) = self.requests.get_mut(&id) else {
            // Given up meanwhile.
            return self.actions.push_back(Action::Reset { connection, stream });
        };
        let message = match &mut request.what {
            What::Register { namespace, ttl, addresses, legacy, .. } => {
                let record = if *legacy { local.seal_legacy() } else { local.seal() };
                let Ok(record) = record else {
                    self.actions.push_back(Action::Reset { connection, stream });
                    return self.end(now, id, Err(RendezvousError::Unsigned));
                };
                addresses.clone_from(&local.addresses);
                Message::Register(Register {
                    namespace: namespace.clone(),
                    record: record.to_bytes(),
                    ttl: ttl.map(|ttl| ttl.as_secs()),
                })
            }
            What::Unregister { namespace } => Message::Unregister { namespace: namespace.clone() },
            What::Discover(Search { namespace, limit, cookie }) => Message::Discover {
                namespace: namespace.clone(),
                limit: limit.map(|limit| limit as u64),
                cookie: cookie.clone(),
            },
        };
        self.actions.push_back(Action::Send { connection, stream, bytes: message.encode() });
        self.actions.push_back(Action::Finish { connection, stream });
        if matches!(message, Message::Unregister { .. }) {
            return self.end(now, id, Ok(Answer::Unregistered));
        }
        self.streams.insert((connection, stream), id);
    }

    fn on_answer(&mut self, now: Instant, id: RequestId, bytes: &[u8]) {
        let Some(request) = self.requests.get(&id) else { return };
        let result = match (Message::decode(bytes), &request.what) {
            (
                Ok(Message::Registered { status: Status::Ok, ttl, .. }),
                What::Register { ttl: wanted, .. },
            ) => {
                let said = ttl.map(Duration::from_secs).or(*wanted);
                Ok(Answer::Registered(said.unwrap_or(super::DEFAULT_TTL).min(MAX_TTL)))
            }
            (
                Ok(Message::Discovered { status: Status::Ok, registrations, cookie, .. }),
                What::Discover(search),
            ) => Ok(Answer::Found(found(search, registrations, cookie))),
            (
                Ok(Message::Registered { status: Status::InvalidSignedPeerRecord, .. }),
                What::Register { legacy: false, .. },
            ) => return self.try_legacy(now, id),
            (Ok(Message::Registered { status, text, .. }), What::Register { .. })
            | (Ok(Message::Discovered { status, text, .. }), What::Discover(_)) => {
                Err(RendezvousError::Refused { status, text })
            }
            _ => Err(RendezvousError::Malformed),
        };
        self.end(now, id, result);
    }

    /// A point has refused our record, or a message that it could not read: it may read
    /// records in the form of RFC 0003 alone, as that of rust-libp2p, which then says
    /// nothing.
    fn try_legacy(&mut self, now: Instant, id: RequestId) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        match &mut request.what {
            What::Register { legacy, .. } if !*legacy => {
                *legacy = true;
                request.until = None;
                let order = Order::Reach { request: id, point: request.point.clone() };
                self.actions.push_back(Action::Rendezvous(order));
            }
            _ => self.end(now, id, Err(RendezvousError::Lost)),
        }
    }

    /// A request has come to its end.
    fn end(&mut self, now: Instant, id: RequestId, result: Result<Answer, RendezvousError>) {
        let Some(request) = self.requests.remove(&id) else { return };
        self.drop_stream(id);
        let Request { point, what, .. } = request;
        let event = match (what, result) {
            (What::Register { namespace, again: true, addresses, legacy, .. }, result) => {
                let key = (point.peer, namespace);
                // Unregistered meanwhile?
                let Some(registered) = self.registered.get_mut(&key) else { return };
                let (point, namespace) = key;
                match result {
                    Ok(Answer::Registered(ttl)) => {
                        registered.legacy = legacy;
                        registered.done(now, ttl, addresses);
                        RendezvousEvent::Renewed { point, namespace, ttl }
                    }
                    Ok(_) => return,
                    Err(error) => {
                        registered.legacy = false;
                        registered.again = Some(now + registered.wait);
                        registered.wait = (registered.wait * 2).min(MAX_RETRY);
                        RendezvousEvent::RenewFailed { point, namespace, error }
                    }
                }
            }
            (
                What::Register { namespace, ttl, addresses, legacy, .. },
                Ok(Answer::Registered(granted)),
            ) => {
                let mut registered = Registered {
                    addresses: point.addresses,
                    ttl,
                    since: now,
                    again: None,
                    wait: FIRST_RETRY,
                    legacy,
                    told: Vec::new(),
                };
                registered.done(now, granted, addresses);
                self.registered.insert((point.peer, namespace), registered);
                RendezvousEvent::Answered { request: id, result: Ok(Answer::Registered(granted)) }
            }
            (_, result) => RendezvousEvent::Answered { request: id, result },
        };
        self.actions.push_back(Action::Emit(Event::Rendezvous(event)));
    }

    /// Begins to register again where it is time.
    fn renew(&mut self, now: Instant, local: &Local) {
        let due = |registered: &Registered| registered.again.is_some_and(|at| at <= now);
        let due = self.registered.iter().filter(|(_, registered)| due(registered));
        let can = !local.addresses.is_empty();
        for key in due.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            let Some(registered) = self.registered.get_mut(&key) else { continue };
            registered.again = Some(now + MAX_RETRY);
            let Registered { ttl, legacy, .. } = *registered;
            let (addresses, (peer, namespace)) = (registered.addresses.clone(), key.clone());
            let what =
                What::Register { namespace, ttl, again: true, legacy, addresses: Vec::new() };
            // Without an address, or with much to do, it is tried later.
            if can
                && self.begin(Point { peer, addresses }, what).is_ok()
                && let Some(registered) = self.registered.get_mut(&key)
            {
                registered.again = None;
            }
        }
    }

    /// Our addresses may be others than those that are registered.
    fn on_local(&mut self, now: Instant, local: &Local) {
        for registered in self.registered.values_mut() {
            if registered.told != local.addresses
                && let Some(again) = &mut registered.again
            {
                *again = (*again).min(now + SETTLE);
            }
        }
    }

    /// A point is connected anew: it may have lost what it knew.
    fn on_connected(&mut self, now: Instant, peer: &PeerId) {
        for (_, registered) in self.registered.iter_mut().filter(|((of, _), _)| of == peer) {
            if now - registered.since > FRESH
                && let Some(again) = &mut registered.again
            {
                *again = (*again).min(now);
            }
        }
    }

    fn lost(&mut self, now: Instant, connection: ConnectionId) {
        let streams = self.streams.iter().filter(|((of, _), _)| *of == connection);
        for (at, id) in streams.map(|(at, id)| (*at, *id)).collect::<Vec<_>>() {
            self.streams.remove(&at);
            self.end(now, id, Err(RendezvousError::Lost));
        }
    }
}

impl Registered {
    fn done(&mut self, now: Instant, ttl: Duration, addresses: Vec<Multiaddr>) {
        self.since = now;
        // While there is time to try again, but not all the time, whatever is granted.
        self.again = Some(now + (ttl * 3 / 4).max(FRESH));
        self.wait = FIRST_RETRY;
        self.told = addresses;
    }
}

fn valid(namespace: &str) -> Result<(), RendezvousError> {
    match namespace.len() {
        1..=MAX_NAMESPACE => Ok(()),
        _ => Err(RendezvousError::Namespace),
    }
}

/// What of an answer is good: each peer once, of the name that was asked for.
fn found(search: &Search, registrations: Vec<Register>, cookie: Vec<u8>) -> Found {
    let mut found = Found { cookie, ..Found::default() };
    let mut seen = Set::new();
    let limit = search.limit.unwrap_or(usize::MAX);
    for Register { namespace, record, ttl } in registrations.into_iter().take(limit) {
        let fits = search.namespace.as_ref().is_none_or(|asked| *asked == namespace);
        match PeerRecord::open(&record).ok().filter(|_| fits) {
            Some(record) if seen.insert((record.peer_id(), namespace.clone())) => {
                let ttl = ttl.map_or(super::DEFAULT_TTL, Duration::from_secs).min(MAX_TTL);
                found.registrations.push(Registration { namespace, record, ttl });
            }
            _ => found.refused += 1,
        }
    }
    found
}

impl Protocol for Client {
    fn names(&self) -> Vec<(Name, Framing)> {
        Vec::new()
    }

    fn handle(&mut self, now: Instant, local: &Local, input: Input<'_>) {
        match input {
            Input::Connected { peer, .. } => self.on_connected(now, peer),
            Input::Disconnected { connection } => self.lost(now, connection),
            Input::Opened { connection, request, stream, .. } => {
                self.ask(now, local, (connection, stream), RequestId(request));
            }
            Input::OpenFailed { request, error, .. } => {
                let error = match error {
                    StreamError::ProtocolNotSupported(_) => RendezvousError::NotAPoint,
                    StreamError::TimedOut => RendezvousError::TimedOut,
                    _ => RendezvousError::Lost,
                };
                self.end(now, RequestId(request), Err(error));
            }
            Input::Message { connection, stream, bytes } => {
                if let Some(id) = self.streams.remove(&(connection, stream)) {
                    self.on_answer(now, id, &bytes);
                }
            }
            Input::Finished { connection, stream } | Input::Reset { connection, stream } => {
                if let Some(id) = self.streams.remove(&(connection, stream)) {
                    self.try_legacy(now, id);
                }
            }
            Input::LocalChanged => self.on_local(now, local),
            Input::Timeout => {
                let late = |request: &Request| request.until.is_some_and(|until| until <= now);
                let late = self.requests.iter().filter(|(_, request)| late(request));
                for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
                    self.end(now, id, Err(RendezvousError::TimedOut));
                }
                self.renew(now, local);
            }
            _ => {}
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let late = self.requests.values().filter_map(|request| request.until).min();
        earliest(late, self.registered.values().filter_map(|registered| registered.again).min())
    }
}
