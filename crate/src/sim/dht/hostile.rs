//! Peers that answer what is not true.

use crate::connection::StreamId;
use crate::identity::{Keypair, PeerId};
use crate::node::ConnectionId;
use crate::protocols::kad::{Answer, Contact, Key, Link, Record, Request};

use super::Network;
use super::carry::{Happening, address};

/// What a hostile peer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Only hostile peers are near, whatever is looked for: those of them who are.
    Eclipse,
    /// Peers that do not exist are near, others each time; they are said to be where
    /// hostile ones are, or nowhere.
    Endless,
    /// There is a value, which is not good; and only hostile peers are near.
    Poison,
    /// Peers are near that are far.
    Far,
}

/// Peers that a lie names.
const NAMED: usize = 20;

impl Network {
    /// Has a hostile peer answer; `false` if it is none, or has nothing to lie about.
    pub(super) fn lies(
        &mut self,
        host: usize,
        connection: ConnectionId,
        stream: StreamId,
        bytes: &[u8],
    ) -> bool {
        let Some(lie) = self.hosts[host].lie else { return false };
        // What it asked itself is answered as ever.
        let Some(link) = self.hosts[host].links.get(&connection) else { return true };
        if self.hosts[host].kad.asks_on(connection, stream) || !self.hosts[link.to].alive {
            return false;
        }
        let Ok(request) = Request::from_bytes(bytes) else { return true };
        if !request.is_answered() {
            return true;
        }
        let key = request.key().to_vec();
        let mut answer = Answer { closer: self.lied(lie, &key), ..Answer::default() };
        if lie == Lie::Poison && matches!(request, Request::GetValue { .. }) {
            let value = b"poison".to_vec();
            answer.record = Some(Record { key, value, received: String::new() });
        }
        let bytes = request.answer(answer);
        self.messages += 1;
        self.send(host, connection, |host, connection| Happening::Message {
            host,
            connection,
            stream,
            bytes,
        });
        true
    }

    /// Whom a lie names.
    fn lied(&mut self, lie: Lie, key: &[u8]) -> Vec<Contact> {
        let target = Key::of(key);
        let mut liars: Vec<_> =
            self.liars.iter().map(|(key, index)| (target.distance(key), *index)).collect();
        liars.sort_unstable();
        if lie == Lie::Far {
            liars.reverse();
        }
        liars.truncate(NAMED);
        let contact = |(_, index): (_, usize)| {
            let host = &self.hosts[index];
            contact(host.id, host.address.clone())
        };
        let mut named: Vec<Contact> = liars.into_iter().map(contact).collect();
        if lie == Lie::Endless {
            for (at, contact) in named.iter_mut().enumerate() {
                contact.peer = Keypair::ed25519_from_seed(self.rng.array()).peer_id();
                if at % 2 == 1 {
                    contact.addresses = vec![address(usize::MAX, 60_000)];
                }
            }
        }
        named
    }
}

fn contact(peer: PeerId, address: crate::Multiaddr) -> Contact {
    Contact { peer, addresses: vec![address], link: Link::Connected }
}
