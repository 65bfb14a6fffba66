//! Dials: several addresses of one peer, tried side by side; the first that
//! leads to the peer wins.

use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::Map;
use crate::identity::PeerId;

use super::{AttemptError, ConnectionId, DialId};

/// The dials under way. Those for one peer are one: however many ask, each
/// address is tried once.
#[derive(Default)]
pub(super) struct Dials {
    dials: Map<u64, Dial>,
    next: u64,
}

pub(super) struct Dial {
    /// Whom, if the application or the addresses say.
    pub(super) peer: Option<PeerId>,
    /// Who wants to know.
    pub(super) askers: Vec<DialId>,
    queue: VecDeque<Multiaddr>,
    pub(super) attempts: Map<ConnectionId, Multiaddr>,
    pub(super) failures: Vec<(Multiaddr, AttemptError)>,
}

impl Dials {
    /// Adds addresses to the dial for `peer` that is under way, or begins one;
    /// returns its key.
    pub(super) fn ask(
        &mut self,
        asker: DialId,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    ) -> u64 {
        let joined = peer.as_ref().and_then(|peer| {
            self.dials
                .iter()
                .find(|(_, dial)| dial.peer.as_ref() == Some(peer))
                .map(|(key, _)| *key)
        });
        let key = joined.unwrap_or_else(|| {
            self.next += 1;
            let dial = Dial {
                peer,
                askers: Vec::new(),
                queue: VecDeque::new(),
                attempts: Map::new(),
                failures: Vec::new(),
            };
            self.dials.insert(self.next, dial);
            self.next
        });
        if let Some(dial) = self.dials.get_mut(&key) {
            dial.askers.push(asker);
            for address in addresses {
                let known = dial.queue.contains(&address)
                    || dial.attempts.values().any(|tried| *tried == address);
                if !known {
                    dial.queue.push_back(address);
                }
            }
        }
        key
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut Dial> {
        self.dials.get_mut(&key)
    }

    pub(super) fn remove(&mut self, key: u64) -> Option<Dial> {
        self.dials.remove(&key)
    }

    /// The dial that `asker` takes part in.
    pub(super) fn of(&self, asker: DialId) -> Option<u64> {
        self.dials.iter().find(|(_, dial)| dial.askers.contains(&asker)).map(|(key, _)| *key)
    }
}

impl Dial {
    /// The next address to try, if there is one and fewer than `limit` are being
    /// tried.
    pub(super) fn next(&mut self, limit: usize) -> Option<Multiaddr> {
        if self.attempts.len() >= limit.max(1) { None } else { self.queue.pop_front() }
    }

    /// Whether nothing is left to hope for.
    pub(super) fn is_exhausted(&self) -> bool {
        self.queue.is_empty() && self.attempts.is_empty()
    }
}
