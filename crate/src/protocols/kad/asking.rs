//! Queries: whom they ask, and what they make of the answers.

use crate::connection::{Framing, StreamId};
use crate::identity::PeerId;
use crate::node::ConnectionId;
use crate::protocols::Action;
use crate::swarm::rank::{is_dialable, is_private};
use crate::time::Instant;

use super::key::Key;
use super::lookup::Lookup;
use super::message::{Contact, MAX_MESSAGE, Request};
use super::query::{Goal, Query, QueryEvent, QueryId};
use super::{Kademlia, Order, QueryError, config::MAX_QUERIES};

/// One peer that was asked, until it answers.
pub(super) struct Ask {
    /// None: we only want to know whether it is there.
    pub(super) query: Option<QueryId>,
    pub(super) peer: PeerId,
    pub(super) request: Request,
    deadline: Instant,
    /// When it is given up, unless that is its deadline already.
    last: Option<Instant>,
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
        let k = self.config.lookup.k;
        let mut seeds = self.table.closest(&target, k);
        if seeds.is_empty() {
            // Who did not answer in time lost its place: those who are there still may now.
            let serving = self.remotes.values().filter(|remote| remote.serves);
            seeds = serving.map(|remote| remote.peer).take(k).collect();
        }
        self.table.looked_up(now, &target);
        let me = Key::of_peer(&self.me);
        let query = Query {
            goal,
            key,
            lookup: Lookup::new(self.config.lookup.clone(), target, me, &seeds),
            deadline: now + self.config.query_timeout,
            addresses: Default::default(),
            dials: 0,
            requests: 0,
            searched: false,
            storing: Default::default(),
            successes: 0,
            told: Default::default(),
            best: None,
            agree: Vec::new(),
            outdated: Vec::new(),
            sure: Some(0),
            is_told,
        };
        self.queries.insert(id, query);
        Ok(())
    }

    /// Asks whom the queries want to ask, and ends those that are done.
    pub(crate) fn advance(&mut self, now: Instant) {
        let ids: Vec<QueryId> = self.queries.keys().copied().collect();
        for id in ids {
            self.advance_one(now, id);
        }
    }

    fn advance_one(&mut self, now: Instant, id: QueryId) {
        loop {
            let Some(query) = self.queries.get_mut(&id) else { return };
            if query.is_hopeful() && !query.lookup.is_done() {
                return;
            }
            if let Some(peer) = query.lookup.next_peer() {
                if self.connected.contains_key(&peer) {
                    query.sure = query.sure.map(|sure| sure + 1);
                } else {
                    if query.dials >= self.config.max_dials {
                        query.lookup.skipped(&peer);
                        continue;
                    }
                    query.dials += 1;
                }
                let addresses = query.addresses.get(&peer).cloned().unwrap_or_default();
                let request = query.request();
                self.ask(now, (Some(id), peer), request, addresses);
                continue;
            }
            if !query.lookup.is_done() || query.needs_the_late() {
                return;
            }
            let enough = !query.lookup.ran_its_course();
            if !enough && self.awaits_store(id) {
                return;
            }
            let Some(query) = self.queries.get(&id) else { return };
            if !query.searched {
                self.searched(now, id);
            } else if query.storing.is_empty() {
                return self.end(id, false);
            } else {
                return;
            }
        }
    }

    /// The nearest are known: they get what they are to keep, if anything.
    fn searched(&mut self, now: Instant, id: QueryId) {
        let (me, k) = (self.contact_of_me(), self.config.lookup.k);
        let Some(query) = self.queries.get_mut(&id) else { return };
        query.searched = true;
        let closest = query.lookup.closest();
        if query.lookup.ran_its_course() && closest.len() >= k {
            self.census.take(query.lookup.target(), &closest);
        }
        let Some(request) = query.last_request(&me) else { return };
        let targets: Vec<PeerId> = match query.goal {
            Goal::Value { .. } => {
                let lacks = |peer: &PeerId| !query.agree.contains(peer) && *peer != me.peer;
                let outdated =
                    query.outdated.iter().copied().filter(|peer| !closest.contains(peer));
                closest.iter().copied().chain(outdated).filter(lacks).collect()
            }
            _ => closest.into_iter().filter(|peer| !query.told.contains(peer)).collect(),
        };
        for peer in &targets {
            query.storing.insert(*peer);
        }
        for peer in targets {
            let addresses = self.queries.get(&id).and_then(|query| query.addresses.get(&peer));
            let addresses = addresses.cloned().unwrap_or_default();
            self.ask(now, (Some(id), peer), request.clone(), addresses);
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
        if let Some(query) = query.and_then(|id| self.queries.get_mut(&id)) {
            query.requests += 1;
        }
        let last = now + self.config.request_timeout;
        let deadline = last.min(now + self.config.patience);
        let ask = Ask { query, peer, request, deadline, last: Some(last), stream: None };
        self.asks.insert(number, ask);
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
                let all = addresses.into_iter().chain(known);
                let addresses = all.filter(|address| self.can_dial(address)).collect();
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

    /// A peer did not answer, or nonsense.
    pub(super) fn failed(&mut self, now: Instant, number: u64) {
        self.settle(number, |kad, ask| {
            // Who takes part no more has no place; but if we reach nobody, it is us.
            if !kad.connected.is_empty()
                && let Some(next) = kad.table.remove(now, &ask.peer)
            {
                kad.probe(now, next);
            }
            if !kad.table.contains(&ask.peer) && !kad.connected.contains_key(&ask.peer) {
                kad.addresses.remove(&ask.peer);
            }
            let Some(id) = ask.query else { return };
            let Some(query) = kad.queries.get_mut(&id) else { return };
            query.lookup.failed(&ask.peer);
            query.sure = None;
            query.storing.remove(&ask.peer);
            kad.tell(id, QueryEvent::Failed { peer: ask.peer });
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
            let Some(ask) = self.asks.get_mut(&number) else { continue };
            let peer = ask.peer;
            if let Some(last) = ask.last.take().filter(|last| *last > now) {
                ask.deadline = last;
                self.deadlines.insert((last, number));
                if let Some(query) = ask.query.and_then(|id| self.queries.get_mut(&id)) {
                    query.lookup.late(&peer);
                    query.sure = None;
                }
                continue;
            }
            self.forget_reach(&peer, number);
            self.failed(now, number);
        }
        let late = |query: &Query| query.deadline <= now;
        let over: Vec<QueryId> =
            self.queries.iter().filter(|(_, query)| late(query)).map(|(id, _)| *id).collect();
        for id in over {
            self.end(id, true);
        }
    }

    /// A contact that can be asked, with the addresses that can be dialed. Of those in the
    /// table the node knows where it reached them.
    pub(super) fn askable(&self, mut contact: Contact) -> Option<Contact> {
        contact.addresses.retain(|address| self.can_dial(address));
        let reached = |peer| self.connected.contains_key(peer) || self.table.contains(peer);
        let known = |peer| self.addresses.get(peer).into_iter().flatten();
        let can_be_asked = !contact.addresses.is_empty()
            || reached(&contact.peer)
            || known(&contact.peer).any(|address| self.can_dial(address));
        can_be_asked.then_some(contact)
    }

    /// Whether an address that somebody told of is of use.
    fn can_dial(&self, address: &crate::Multiaddr) -> bool {
        is_dialable(address)
            && !address.is_relayed()
            && (self.config.private || !is_private(address))
            && self.dialable.as_ref().is_none_or(|dialable| dialable(address))
    }

    pub(super) fn tell(&mut self, query: QueryId, event: QueryEvent) {
        if self.queries.get(&query).is_some_and(|query| query.is_told) {
            let event = crate::node::Event::Dht { query, event };
            self.actions.push_back(Action::Emit(event));
        }
    }
}
