//! What others ask, and what they are answered.

use core::time::Duration;

use crate::connection::StreamId;
use crate::identity::PeerId;
use crate::node::ConnectionId;
use crate::protocols::Action;
use crate::time::Instant;

use super::Kademlia;
use super::behind::{Parked, Waiting};
use super::config::{MAX_INBOUND, MAX_INBOUND_PER_CONNECTION};
use super::key::Key;
use super::message::{Answer, Contact, Link, Record, Request};
use super::store::Provider;

impl Kademlia {
    /// A remote opened a stream to ask.
    pub(super) fn on_inbound(&mut self, connection: ConnectionId, stream: StreamId) {
        let from = (connection, StreamId::from_number(0));
        let of_it = self.inbound.range(from..).take_while(|(id, _)| *id == connection).count();
        if self.inbound.len() >= MAX_INBOUND || of_it >= MAX_INBOUND_PER_CONNECTION {
            self.actions.push_back(Action::Reset { connection, stream });
        } else {
            self.inbound.insert((connection, stream));
        }
    }

    /// A request came; several may come on one stream.
    pub(super) fn on_request(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        stream: StreamId,
        bytes: &[u8],
    ) {
        let request = Request::from_bytes(bytes);
        // One after the other: answers would come in another order.
        let waits = self.is_parked(connection, stream);
        let Some(request) = request.ok().filter(|_| !waits) else {
            return self.refuse(connection, stream);
        };
        let asked = Parked { connection, stream, request, ended: false };
        let Some(place) = asked.place() else { return self.respond(now, asked) };
        let waiting = Waiting::Request(Box::new(asked));
        if let Err(Waiting::Request(asked)) = self.park(now, place, waiting) {
            self.respond(now, *asked);
        }
    }

    /// Answers a request with what is in memory.
    pub(super) fn respond(&mut self, now: Instant, asked: Parked) {
        let Parked { connection, stream, request, ended } = asked;
        let Some(peer) = self.remotes.get(&connection).map(|remote| remote.peer) else { return };
        if !self.inbound.contains(&(connection, stream)) {
            return;
        }
        let Some(answer) = self.answer(now, peer, &request) else {
            return self.refuse(connection, stream);
        };
        if request.is_answered() {
            let bytes = request.answer(answer);
            self.actions.push_back(Action::Send { connection, stream, bytes });
        }
        if ended {
            self.inbound.remove(&(connection, stream));
            self.actions.push_back(Action::Finish { connection, stream });
        }
    }

    fn refuse(&mut self, connection: ConnectionId, stream: StreamId) {
        self.inbound.remove(&(connection, stream));
        self.actions.push_back(Action::Reset { connection, stream });
    }

    /// What is answered; `None`: the request is refused, and its stream reset.
    fn answer(&mut self, now: Instant, from: PeerId, request: &Request) -> Option<Answer> {
        let mut answer = Answer::default();
        match request {
            Request::Ping => return Some(answer),
            Request::FindNode { key } => {
                // Who asks for a peer by name wants to know where it is, be it the
                // nearest or not.
                let wanted = PeerId::from_bytes(key).ok().filter(|peer| *peer != from);
                answer.closer = self.closer(key, &from);
                let told = |peer: &PeerId| answer.closer.iter().any(|one| one.peer == *peer);
                if let Some(peer) = wanted.filter(|peer| !told(peer))
                    && let Some(contact) = self.contact(&peer)
                {
                    answer.closer.insert(0, contact);
                }
            }
            Request::GetValue { key } => {
                answer.record = self.store.record(now, key).cloned();
                answer.closer = self.closer(key, &from);
            }
            Request::PutValue { record } => {
                let record = self.dated(now, record.clone());
                self.keep(now, &record).ok()?;
                answer.record = Some(record);
            }
            Request::GetProviders { key } => {
                let ours = self.keeping.provides(key).then(|| self.contact_of_me());
                let others = self.kept_providers(now, key);
                answer.providers =
                    ours.into_iter().chain(others).take(self.config.table.k).collect();
                answer.closer = self.closer(key, &from);
            }
            Request::AddProvider { key, providers } => {
                // For itself alone can a peer speak.
                let itself = providers.iter().find(|provider| provider.peer == from)?;
                self.room_behind().ok()?;
                let old = self.store.providers(now, key).find(|one| one.peer == from).cloned();
                self.store.provide(now, key, itself).ok()?;
                self.write_provider(now, key, &from, old);
            }
        }
        Some(answer)
    }

    /// A record as it came just now, which others want to read ("Entry validation").
    pub(super) fn dated(&self, now: Instant, record: Record) -> Record {
        let millis = Duration::from_millis(self.unix_millis(now));
        Record { received: crate::records::date::write(millis), ..record }
    }

    /// Keeps a record for others if it is good, and better than what there is.
    pub(super) fn keep(&mut self, now: Instant, record: &Record) -> Result<(), super::PutError> {
        let unix = self.unix_millis(now);
        self.validators.validate(&record.key, &record.value, unix)?;
        if let Some(old) = self.store.record(now, &record.key)
            && old.value != record.value
            && !self.validators.is_better(&record.key, &record.value, &old.value)
        {
            return Err(super::PutError::Worse);
        }
        self.room_behind()?;
        let same = self.store.record(now, &record.key).filter(|old| old.value == record.value);
        let old = same.and_then(|old| self.store.record_end(&old.key));
        self.store.put(now, record.clone())?;
        self.write_record(now, record, old);
        Ok(())
    }

    /// The nearest to a key that are known, but for who asks.
    fn closer(&self, key: &[u8], from: &PeerId) -> Vec<Contact> {
        let k = self.config.table.k;
        let closest = self.table.closest(&Key::of(key), k + 1);
        let others = closest.iter().filter(|peer| *peer != from).take(k);
        others.filter_map(|peer| self.contact(peer)).collect()
    }

    /// Who provides a key, by what is kept of it.
    pub(super) fn kept_providers(&self, now: Instant, key: &[u8]) -> Vec<Contact> {
        let told = |provider: &Provider| Contact {
            peer: provider.peer,
            addresses: provider.addresses.clone(),
            link: self.link_to(&provider.peer),
        };
        self.store.providers(now, key).map(told).collect()
    }

    /// Ourselves, as others are told of us.
    pub(super) fn contact_of_me(&self) -> Contact {
        Contact { peer: self.me, addresses: self.own_addresses.clone(), link: Link::Connected }
    }

    /// A peer with its addresses, if any are known.
    pub(super) fn contact(&self, peer: &PeerId) -> Option<Contact> {
        let addresses = self.addresses.get(peer).filter(|known| !known.is_empty())?.clone();
        Some(Contact { peer: *peer, addresses, link: self.link_to(peer) })
    }

    fn link_to(&self, peer: &PeerId) -> Link {
        let connected = self.connected.contains_key(peer);
        if connected { Link::Connected } else { Link::NotConnected }
    }
}
