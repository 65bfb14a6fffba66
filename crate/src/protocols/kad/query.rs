//! A question to the network, from its first peer to its last.

use crate::collections::{LongMap, LongSet};
use crate::identity::PeerId;
use crate::time::Instant;

use super::lookup::{Lookup, MAX_CANDIDATES};
use super::message::{Contact, MAX_ADDRESSES, Record, Request};

/// A query that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

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
        /// How many referrals it is away from us.
        hops: u32,
    },
    /// A peer could not be asked, or did not answer.
    Failed {
        /// Who.
        peer: PeerId,
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
    /// Requests that were begun, those to keep something among them.
    pub requests: usize,
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
    /// Peers that were dialed for it.
    pub(super) dials: usize,
    /// Requests that were begun.
    pub(super) requests: usize,
    /// The nearest are known.
    pub(super) searched: bool,
    /// Who is to keep something, until it answers.
    pub(super) storing: LongSet<PeerId>,
    pub(super) successes: usize,
    /// Providers that were told; those who were told before the nearest were known.
    pub(super) told: LongSet<PeerId>,
    /// The best value so far, and who has it or has none or a worse one.
    pub(super) best: Option<Record>,
    pub(super) agree: Vec<PeerId>,
    pub(super) outdated: Vec<PeerId>,
    /// Peers that were asked for a value and are connected, as long as all that have
    /// answered have the same one; `None` from then on.
    pub(super) sure: Option<usize>,
    /// An application that waits; none for what the node does by itself.
    pub(super) is_told: bool,
}

/// Connected peers that are asked for a value beyond those that must agree: for whoever
/// is slow, or does not have it.
const SPARE: usize = 2;

impl Query {
    /// Whether those that were asked for a value will do in all likelihood: more would be
    /// load for nothing.
    pub(super) fn is_hopeful(&self) -> bool {
        match self.goal {
            Goal::Value { quorum } => self.sure.is_some_and(|sure| sure >= quorum + SPARE),
            _ => false,
        }
    }

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

    /// Takes in what a peer says of others; those who were heard of, for the lookup.
    pub(super) fn hear(&mut self, peer: &PeerId, closer: Vec<Contact>) -> usize {
        let new = self.lookup.answered(peer, closer.iter().map(|contact| contact.peer));
        for Contact { peer, addresses, .. } in closer {
            if !self.lookup.remembers(&peer) {
                continue;
            }
            // Whoever lies of an address does not keep the true one from being tried.
            let known = self.addresses.entry(peer).or_default();
            for address in addresses {
                if known.len() < MAX_ADDRESSES && !known.contains(&address) {
                    known.push(address);
                }
            }
        }
        if self.addresses.len() > 2 * MAX_CANDIDATES {
            let lookup = &self.lookup;
            self.addresses.retain(|peer, _| lookup.remembers(peer));
        }
        new
    }

    /// Whether there is nothing to end with yet, and those who take long may have it.
    pub(super) fn needs_the_late(&self) -> bool {
        let searches =
            matches!(self.goal, Goal::Peer(_) | Goal::Providers { .. } | Goal::Value { .. });
        let lacks = (searches && self.successes == 0) || self.lookup.answers() == 0;
        lacks && !self.searched && self.lookup.has_late()
    }

    pub(super) fn summary(&self, timed_out: bool) -> Summary {
        Summary {
            closest: self.lookup.closest(),
            successes: self.successes,
            asked: self.lookup.asked(),
            requests: self.requests,
            answered: self.lookup.answers(),
            hops: self.lookup.hops(),
            timed_out,
        }
    }
}
