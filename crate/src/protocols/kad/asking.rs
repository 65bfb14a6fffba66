//! Queries: whom they ask, and what they make of the answers.

use crate::connection::{Framing, StreamId};
use crate::identity::PeerId;
use crate::node::ConnectionId;
use crate::protocols::{Action, Local};
use crate::time::Instant;

use super::key::Key;
use super::lookup::Lookup;
use super::message::{Answer, Contact, Link, MAX_MESSAGE, Record, Request};
use super::query::{Goal, Query, QueryEvent, QueryId};
use super::{Kademlia, Order, QueryError, config::MAX_QUERIES};

/// One peer that was asked, until it answers.
pub(super) struct Ask {
    /// None: we only want to know whether it is there.
    query: Option<QueryId>,
    peer: PeerId,
    request: Request,
    deadline: Instant,
    /// The stream, once there is one.
    stream: Option<(ConnectionId, StreamId)>,
}

impl Kademlia {
    pub(super) fn begin(
        &mut self,
        now: Instant,
        id: QueryId,
        goal: Goal,
        key: Vec<u8>,
        is_told: bool,
    ) -> Result<(), QueryError> {
        if self.queries.len() >= MAX_QUERIES {
            return Err(QueryError::TooMany);
        }
        let target = Key::of(&key);
        let seeds = self.table.closest(&target, self.config.lookup.k);
        self.table.looked_up(now, &target);
        let me = Key::of_peer(&self.me);
        let query = Query {
            goal,
            key,
            lookup: Lookup::new(self.config.lookup.clone(), target, me, &seeds),
            deadline: now + self.config.query_timeout,
            addresses: Default::default(),
            storing: None,
            successes: 0,
            told: Default::default(),
            best: None,
            agree: Vec::new(),
            outdated: Vec::new(),
            is_told,
        };
        self.queries.insert(id, query);
        Ok(())
    }

    /// Asks whom the queries want to ask, and ends those that are done.
    pub(crate) fn advance(&mut self, now: Instant, local: &Local) {
        let ids: Vec<QueryId> = self.queries.keys().copied().collect();
        for id in ids {
            self.advance_one(now, id, local);
        }
    }

    fn advance_one(&mut self, now: Instant, id: QueryId, local: &Local) {
        loop {
            let Some(query) = self.queries.get_mut(&id) else { return };
            if let Some(peer) = query.lookup.next_peer() {
                let addresses = query.addresses.get(&peer).cloned().unwrap_or_default();
                let request = query.request();
                self.ask(now, (Some(id), peer), request, addresses);
                continue;
            }
            if !query.lookup.is_done() {
                return;
            }
            match &query.storing {
                Some(waiting) if waiting.is_empty() => return self.end(id, false),
                Some(_) => return,
                None => self.begin_storing(now, id, local),
            }
        }
    }

    /// The nearest are known: they get what they are to keep, if anything.
    fn begin_storing(&mut self, now: Instant, id: QueryId, local: &Local) {
        let me =
            Contact { peer: self.me, addresses: local.addresses.clone(), link: Link::Connected };
        let Some(query) = self.queries.get_mut(&id) else { return };
        let targets = match query.goal {
            Goal::Value { .. } => {
                let closest = query.lookup.closest();
                let me = self.me;
                let lacks = |peer: &&PeerId| !query.agree.contains(peer);
                let near = closest.iter().filter(lacks).copied();
                near.chain(query.outdated.iter().copied().filter(|peer| *peer != me)).collect()
            }
            _ => query.lookup.closest(),
        };
        let request = query.last_request(&me);
        let targets: Vec<PeerId> = if request.is_some() { targets } else { Vec::new() };
        query.storing = Some(targets.iter().copied().collect());
        if let Some(request) = request {
            for peer in targets {
                let addresses = self.queries.get(&id).and_then(|query| query.addresses.get(&peer));
                let addresses = addresses.cloned().unwrap_or_default();
                self.ask(now, (Some(id), peer), request.clone(), addresses);
            }
        }
    }

    /// Asks a peer, which may have to be dialed for that.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        (query, peer): (Option<QueryId>, PeerId),
        request: Request,
        addresses: Vec<crate::Multiaddr>,
    ) {
        self.next += 1;
        let number = self.next;
        let deadline = now + self.config.request_timeout;
        self.asks.insert(number, Ask { query, peer, request, deadline, stream: None });
        self.deadlines.insert((deadline, number));
        match self.connected.get(&peer).and_then(|links| links.first()) {
            Some(connection) => self.open(*connection, number),
            None => {
                let waiting = self.unreached.entry(peer).or_default();
                waiting.push(number);
                if waiting.len() > 1 {
                    return;
                }
                let known = self.addresses.get(&peer).into_iter().flatten().cloned();
                let addresses = addresses.into_iter().chain(known).collect();
                self.actions.push_back(Action::Kad(Order::Reach { peer, addresses }));
            }
        }
    }

    fn open(&mut self, connection: ConnectionId, request: u64) {
        let protocols = vec![self.config.protocol.clone()];
        let framing = Framing::LengthPrefixed { max: MAX_MESSAGE };
        self.actions.push_back(Action::Open { connection, request, protocols, framing });
    }

    /// A peer that was to be reached is.
    pub(crate) fn reached(&mut self, peer: &PeerId, connection: ConnectionId) {
        for number in self.unreached.remove(peer).into_iter().flatten() {
            if self.asks.contains_key(&number) {
                self.open(connection, number);
            }
        }
    }

    /// A peer that was to be reached cannot be.
    pub(crate) fn not_reached(&mut self, now: Instant, peer: &PeerId) {
        for number in self.unreached.remove(peer).into_iter().flatten() {
            self.failed(now, number);
        }
    }

    pub(super) fn on_opened(&mut self, number: u64, connection: ConnectionId, stream: StreamId) {
        let Some(ask) = self.asks.get_mut(&number) else {
            return self.actions.push_back(Action::Reset { connection, stream });
        };
        ask.stream = Some((connection, stream));
        let bytes = ask.request.to_bytes();
        let answered = ask.request.is_answered();
        self.streams.insert((connection, stream), number);
        self.actions.push_back(Action::Send { connection, stream, bytes });
        self.actions.push_back(Action::Finish { connection, stream });
        if !answered {
            // That it was sent is all there is.
            self.streams.remove(&(connection, stream));
            self.settle(number, |kad, ask| kad.kept(&ask));
        }
    }

    /// An answer came.
    pub(super) fn on_answer(&mut self, now: Instant, number: u64, bytes: &[u8]) {
        let Some(ask) = self.asks.get(&number) else { return };
        let Ok(answer) = ask.request.read_answer(bytes) else { return self.failed(now, number) };
        let peer = ask.peer;
        self.table.offer(now, peer, self.group_of(&peer));
        self.settle(number, |kad, ask| match ask.request {
            Request::PutValue { .. } => kad.kept(&ask),
            _ => kad.answered(now, &ask, answer),
        });
    }

    /// A peer keeps what it was to keep.
    fn kept(&mut self, ask: &Ask) {
        if let Some(query) = ask.query.and_then(|id| self.queries.get_mut(&id))
            && let Some(waiting) = &mut query.storing
            && waiting.remove(&ask.peer)
            && !matches!(query.goal, Goal::Value { .. })
        {
            query.successes += 1;
        }
    }

    fn answered(&mut self, now: Instant, ask: &Ask, answer: Answer) {
        let Some(id) = ask.query else { return };
        let me = self.me;
        let Some(query) = self.queries.get_mut(&id) else { return };
        let heard = query.hear(&answer);
        let new = query.lookup.answered(&ask.peer, heard);
        let mut news = vec![QueryEvent::Answered { peer: ask.peer, new }];
        let mut enough = false;
        match &query.goal {
            Goal::Peer(wanted) => {
                let found = answer.closer.into_iter().find(|one| one.peer == *wanted);
                if let Some(contact) = found.filter(|found| !found.addresses.is_empty())
                    && query.told.insert(contact.peer)
                {
                    query.successes += 1;
                    news.push(QueryEvent::Peer(contact));
                    enough = true;
                }
            }
            Goal::Providers { enough: wanted } => {
                let wanted = *wanted;
                for provider in answer.providers {
                    if query.successes < wanted
                        && provider.peer != me
                        && query.told.insert(provider.peer)
                    {
                        query.successes += 1;
                        news.push(QueryEvent::Provider(provider));
                    }
                }
                enough = query.successes >= wanted;
            }
            Goal::Closest | Goal::Put(_) | Goal::Provide | Goal::Value { .. } => {}
        }
        if enough {
            query.lookup.end();
        }
        for event in news {
            self.tell(id, event);
        }
        if let Some(record) = answer.record {
            self.found(now, id, ask.peer, record);
        }
    }

    /// Somebody has a value, which may be us.
    pub(super) fn found(&mut self, now: Instant, id: QueryId, from: PeerId, record: Record) {
        let unix = self.unix_millis(now);
        let Some(query) = self.queries.get_mut(&id) else { return };
        let Goal::Value { quorum } = query.goal else { return };
        if self.validators.validate(&record.key, &record.value, unix).is_err() {
            return;
        }
        let event = weigh(query, &self.validators, from, record);
        if query.agree.len() >= quorum {
            query.lookup.end();
        }
        if let Some(event) = event {
            self.tell(id, event);
        }
    }

    /// A peer did not answer, or nonsense.
    pub(super) fn failed(&mut self, now: Instant, number: u64) {
        self.settle(number, |kad, ask| {
            // Who takes part no more has no place.
            if let Some(next) = kad.table.remove(now, &ask.peer) {
                kad.probe(now, next);
            }
            if !kad.table.contains(&ask.peer) && !kad.connected.contains_key(&ask.peer) {
                kad.addresses.remove(&ask.peer);
            }
            let Some(query) = ask.query.and_then(|id| kad.queries.get_mut(&id)) else { return };
            query.lookup.failed(&ask.peer);
            if let Some(waiting) = &mut query.storing {
                waiting.remove(&ask.peer);
            }
        });
    }

    /// Is a peer there? If not, it loses its place.
    pub(super) fn probe(&mut self, now: Instant, peer: PeerId) {
        let asked = self.asks.values().any(|ask| ask.peer == peer && ask.query.is_none());
        if !asked {
            let request = Request::FindNode { key: self.me.as_bytes().to_vec() };
            self.ask(now, (None, peer), request, Vec::new());
        }
    }

    /// Ends an ask and does with it as `then` says.
    fn settle(&mut self, number: u64, then: impl FnOnce(&mut Self, Ask)) {
        let Some(ask) = self.asks.remove(&number) else { return };
        self.deadlines.remove(&(ask.deadline, number));
        if let Some((connection, stream)) = ask.stream
            && self.streams.remove(&(connection, stream)).is_some()
        {
            self.actions.push_back(Action::Reset { connection, stream });
        }
        then(self, ask);
    }

    /// Ends a query.
    pub(super) fn end(&mut self, id: QueryId, timed_out: bool) {
        let Some(query) = self.queries.get(&id) else { return };
        let summary = query.summary(timed_out);
        self.tell(id, QueryEvent::Done(summary));
        self.queries.remove(&id);
        let of_it: Vec<u64> =
            self.asks.iter().filter(|(_, ask)| ask.query == Some(id)).map(|(n, _)| *n).collect();
        for number in of_it {
            self.settle(number, |kad, ask| kad.forget_reach(&ask.peer, number));
        }
    }

    /// Nobody waits for this peer to be reached any more.
    fn forget_reach(&mut self, peer: &PeerId, number: u64) {
        if let Some(waiting) = self.unreached.get_mut(peer) {
            waiting.retain(|other| *other != number);
            if waiting.is_empty() {
                self.unreached.remove(peer);
                self.actions.push_back(Action::Kad(Order::Forget { peer: *peer }));
            }
        }
    }

    /// What was asked and not answered in time, and queries whose time is over.
    pub(super) fn time_queries(&mut self, now: Instant) {
        while let Some((at, number)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now)
        {
            self.deadlines.remove(&(at, number));
            if let Some(peer) = self.asks.get(&number).map(|ask| ask.peer) {
                self.forget_reach(&peer, number);
            }
            self.failed(now, number);
        }
        let late = |query: &Query| query.deadline <= now;
        let over: Vec<QueryId> =
            self.queries.iter().filter(|(_, query)| late(query)).map(|(id, _)| *id).collect();
        for id in over {
            self.end(id, true);
        }
    }

    fn tell(&mut self, query: QueryId, event: QueryEvent) {
        if self.queries.get(&query).is_some_and(|query| query.is_told) {
            let event = crate::node::Event::Dht { query, event };
            self.actions.push_back(Action::Emit(event));
        }
    }
}

/// Takes in a good value; the event, if it is better than those before.
fn weigh(
    query: &mut Query,
    validators: &super::Validators,
    from: PeerId,
    record: Record,
) -> Option<QueryEvent> {
    match &query.best {
        Some(best) if best.value == record.value => {
            query.agree.push(from);
            query.successes += 1;
            None
        }
        Some(best) if !validators.is_better(&record.key, &record.value, &best.value) => {
            query.outdated.push(from);
            None
        }
        _ => {
            query.outdated.append(&mut query.agree);
            query.agree.push(from);
            query.successes = 1;
            query.best = Some(record.clone());
            Some(QueryEvent::Value(record))
        }
    }
}
