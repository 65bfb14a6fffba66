//! What others ask, and what they are answered.

use crate::connection::StreamId;
use crate::identity::PeerId;
use crate::node::ConnectionId;
use crate::protocols::Action;
use crate::time::Instant;

use super::Kademlia;
use super::config::{MAX_INBOUND, MAX_INBOUND_PER_CONNECTION};
use super::key::Key;
use super::message::{Answer, Contact, Link, Request};

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
        let Some(remote) = self.remotes.get(&connection) else { return };
        let peer = remote.peer;
        let answer = Request::from_bytes(bytes).ok().and_then(|request| {
            let answer = self.answer(now, peer, &request)?;
            Some(request.is_answered().then(|| request.answer(answer)))
        });
        match answer {
            Some(Some(bytes)) => {
                self.actions.push_back(Action::Send { connection, stream, bytes });
            }
            Some(None) => {}
            None => {
                self.inbound.remove(&(connection, stream));
                self.actions.push_back(Action::Reset { connection, stream });
            }
        }
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
                self.keep(now, record).ok()?;
                answer.record = Some(record.clone());
            }
            Request::GetProviders { key } => {
                let providers: Vec<PeerId> = self.store.providers(now, key).copied().collect();
                let known = |peer: &PeerId| {
                    self.contact(peer).unwrap_or_else(|| Contact {
                        peer: *peer,
                        addresses: Vec::new(),
                        link: Link::NotConnected,
                    })
                };
                answer.providers = providers.iter().take(self.config.table.k).map(known).collect();
                answer.closer = self.closer(key, &from);
            }
            Request::AddProvider { key, providers } => {
                // For itself alone can a peer speak.
                let itself = providers.iter().find(|provider| provider.peer == from)?;
                self.store.provide(now, key, from).ok()?;
                self.learn(&from, &itself.addresses.clone());
            }
        }
        Some(answer)
    }

    /// Keeps a record for others if it is good, and better than what there is.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        record: &super::Record,
    ) -> Result<(), super::PutError> {
        let unix = self.unix_millis(now);
        self.validators.validate(&record.key, &record.value, unix)?;
        if let Some(old) = self.store.record(now, &record.key)
            && old.value != record.value
            && !self.validators.is_better(&record.key, &record.value, &old.value)
        {
            return Err(super::PutError::Worse);
        }
        Ok(self.store.put(now, record.clone())?)
    }

    /// The nearest to a key that are known, but for who asks.
    fn closer(&self, key: &[u8], from: &PeerId) -> Vec<Contact> {
        let k = self.config.table.k;
        let closest = self.table.closest(&Key::of(key), k + 1);
        let others = closest.iter().filter(|peer| *peer != from).take(k);
        others.filter_map(|peer| self.contact(peer)).collect()
    }

    /// A peer with its addresses, if any are known.
    fn contact(&self, peer: &PeerId) -> Option<Contact> {
        let addresses = self.addresses.get(peer).filter(|known| !known.is_empty())?.clone();
        let connected = self.connected.contains_key(peer);
        let link = if connected { Link::Connected } else { Link::NotConnected };
        Some(Contact { peer: *peer, addresses, link })
    }
}
