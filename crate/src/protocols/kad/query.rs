//! A question to the network, from its first peer to its last.

use crate::collections::{LongMap, LongSet};
use crate::identity::PeerId;
use crate::time::Instant;

use super::lookup::Lookup;
use super::message::{Answer, Contact, Record, Request};

/// A query that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub(crate) u64);

/// What a query is after.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    /// The nearest to a key.
    Closest,
    /// Where a peer is.
    Peer(PeerId),
    /// Who provides a key; enough at so many.
    Providers { enough: usize },
    /// The value of a key; enough at so many that agree.
    Value { quorum: usize },
    /// To keep a record at the nearest.
    Put(Record),
    /// To tell the nearest that we provide a key.
    Provide,
}

/// What a query has found, or that it is over.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum QueryEvent {
    /// A peer has answered.
    Answered {
        /// Who.
        peer: PeerId,
        /// How many it named that were not known before.
        new: usize,
    },
    /// A peer that was looked for, and where it is.
    Peer(Contact),
    /// Somebody who provides the key; told once each.
    Provider(Contact),
    /// A good value, better than those told before.
    Value(Record),
    /// It is over.
    Done(Summary),
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The nearest that have answered, the nearest first.
    pub closest: Vec<PeerId>,
    /// Peers that keep what was to be kept, or gave what was looked for.
    pub successes: usize,
    /// Peers that were asked.
    pub asked: usize,
    /// Peers that have answered.
    pub answered: usize,
    /// The longest chain of referrals.
    pub hops: u32,
    /// Whether the time of the query ran out.
    pub timed_out: bool,
}

/// A query under way.
pub(super) struct Query {
    pub(super) goal: Goal,
    pub(super) key: Vec<u8>,
    pub(super) lookup: Lookup,
    pub(super) deadline: Instant,
    /// Where those are said to be who were heard of.
    pub(super) addresses: LongMap<PeerId, Vec<crate::Multiaddr>>,
    /// Who is to keep something, once the nearest are known, until it answers.
    pub(super) storing: Option<LongSet<PeerId>>,
    pub(super) successes: usize,
    /// Providers that were told.
    pub(super) told: LongSet<PeerId>,
    /// The best value so far, and who has it or has none or a worse one.
    pub(super) best: Option<Record>,
    pub(super) agree: Vec<PeerId>,
    pub(super) outdated: Vec<PeerId>,
    /// An application that waits; none for what the node does by itself.
    pub(super) is_told: bool,
}

impl Query {
    /// What is asked of each peer on the way.
    pub(super) fn request(&self) -> Request {
        let key = self.key.clone();
        match self.goal {
            Goal::Value { .. } => Request::GetValue { key },
            Goal::Providers { .. } => Request::GetProviders { key },
            Goal::Closest | Goal::Peer(_) | Goal::Put(_) | Goal::Provide => {
                Request::FindNode { key }
            }
        }
    }

    /// What is asked of the nearest in the end.
    pub(super) fn last_request(&self, me: &Contact) -> Option<Request> {
        match &self.goal {
            Goal::Put(record) => Some(Request::PutValue { record: record.clone() }),
            Goal::Provide => {
                let providers = vec![me.clone()];
                Some(Request::AddProvider { key: self.key.clone(), providers })
            }
            // Who has no value, or a worse one, gets the best ("Entry correction").
            Goal::Value { .. } => {
                let record = self.best.clone()?;
                Some(Request::PutValue { record })
            }
            _ => None,
        }
    }

    /// Takes in where peers are said to be; those who were heard of, for the lookup.
    pub(super) fn hear(&mut self, answer: &Answer) -> Vec<PeerId> {
        for contact in answer.closer.iter().chain(&answer.providers) {
            if !contact.addresses.is_empty() && self.addresses.len() < super::lookup::MAX_CANDIDATES
            {
                self.addresses.entry(contact.peer).or_insert_with(|| contact.addresses.clone());
            }
        }
        answer.closer.iter().map(|contact| contact.peer).collect()
    }

    pub(super) fn summary(&self, timed_out: bool) -> Summary {
        Summary {
            closest: self.lookup.closest(),
            successes: self.successes,
            asked: self.lookup.asked(),
            answered: self.lookup.answers(),
            hops: self.lookup.hops(),
            timed_out,
        }
    }
}
