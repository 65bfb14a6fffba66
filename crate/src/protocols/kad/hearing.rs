//! What queries make of the answers.

use crate::identity::PeerId;
use crate::time::Instant;

use super::Kademlia;
use super::asking::Ask;
use super::message::{Answer, Contact, Record};
use super::query::{Goal, Query, QueryEvent, QueryId};
use super::size::{at_least, away};

impl Kademlia {
    /// A peer keeps what it was to keep.
    pub(super) fn kept(&mut self, ask: &Ask) {
        if let Some(query) = ask.query.and_then(|id| self.queries.get_mut(&id))
            && query.storing.remove(&ask.peer)
            && !matches!(query.goal, Goal::Value { .. })
        {
            query.successes += 1;
        }
    }

    pub(super) fn answered(&mut self, now: Instant, ask: &Ask, answer: Answer) {
        let Some(id) = ask.query else { return };
        let Answer { record, closer, providers } = answer;
        let Some(query) = self.queries.get(&id) else { return };
        let found = match query.goal {
            Goal::Peer(wanted) => closer.iter().find(|one| one.peer == wanted).cloned(),
            _ => None,
        };
        // Whom nobody can reach takes no place among those that are asked.
        let closer = closer.into_iter().filter_map(|contact| self.askable(contact)).collect();
        let Some(query) = self.queries.get_mut(&id) else { return };
        let new = query.hear(&ask.peer, closer);
        let hops = query.lookup.hops_of(&ask.peer);
        let found =
            found.filter(|found| !found.addresses.is_empty() && query.told.insert(found.peer));
        if found.is_some() {
            query.successes += 1;
            query.lookup.end();
        }
        self.tell(id, QueryEvent::Answered { peer: ask.peer, new, hops });
        if let Some(contact) = found {
            self.tell(id, QueryEvent::Peer(contact));
        }
        self.found_providers(id, providers);
        if let Some(record) = record {
            self.found(now, id, ask.peer, record);
        }
        if let Some(query) = self.queries.get_mut(&id)
            && (!query.agree.contains(&ask.peer) || !query.outdated.is_empty())
        {
            query.sure = None;
        }
        self.hope(now, id, ask.peer);
    }

    /// Somebody knows who provides a key, which may be us.
    pub(super) fn found_providers(&mut self, id: QueryId, providers: Vec<Contact>) {
        let Some(query) = self.queries.get_mut(&id) else { return };
        let Goal::Providers { enough } = query.goal else { return };
        let mut news = Vec::new();
        for provider in providers {
            if query.successes < enough
                && provider.peer != self.me
                && query.told.insert(provider.peer)
            {
                query.successes += 1;
                news.push(QueryEvent::Provider(provider));
            }
        }
        if query.successes >= enough {
            query.lookup.end();
        }
        for event in news {
            self.tell(id, event);
        }
    }

    /// Does `peer` keep what is provided, in all likelihood? Then it is told at once, and
    /// the search ends when all of the nearest so far are so near.
    fn hope(&mut self, now: Instant, id: QueryId, peer: PeerId) {
        let Some(size) = self.census.peers().filter(|_| self.config.optimistic) else { return };
        let k = self.config.lookup.k;
        let me = self.contact_of_me();
        let Some(query) = self.queries.get_mut(&id) else { return };
        if query.searched || !matches!(query.goal, Goal::Provide) {
            return;
        }
        let target = *query.lookup.target();
        let closest = query.lookup.closest();
        let all: f64 = closest.iter().map(|one| away(&target, one)).sum();
        if closest.len() >= k && all / k as f64 * size < at_least(k as f64 / 2.0 + 1.0) {
            query.lookup.end();
        }
        if away(&target, &peer) * size < at_least(k as f64)
            && query.told.insert(peer)
            && let Some(request) = query.last_request(&me)
        {
            query.storing.insert(peer);
            self.ask(now, (Some(id), peer), request, Vec::new());
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
