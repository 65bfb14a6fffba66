//! Who is registered at a point, under which name, and for how long.

use core::time::Duration;
use std::sync::Arc;

use crate::collections::{LongMap, LongSet};
use crate::identity::PeerId;
use crate::swarm::addresses::Group;
use crate::time::Instant;

use super::server::ServerConfig;

/// What an entry costs beside its record and name, in bytes, roughly: its places in
/// the tables.
const FIXED_COST: usize = 512;

/// The registrations of a point.
pub(super) struct Registry {
    /// Tells cookies of this run of the point from those of others.
    instance: u64,
    /// The number of the last registration: cookies say up to where somebody knows all.
    sequence: u64,
    entries: LongMap<u64, Entry>,
    names: LongMap<Arc<str>, LongSet<u64>>,
    of_peers: LongMap<PeerId, LongMap<Arc<str>, u64>>,
    of_groups: LongMap<Group, usize>,
    ends: LongSet<(Instant, u64)>,
    bytes: usize,
}

pub(super) struct Entry {
    pub(super) peer: PeerId,
    group: Option<Group>,
    pub(super) namespace: Arc<str>,
    /// Signed by the peer.
    pub(super) record: Vec<u8>,
    pub(super) ends: Instant,
}

/// There is no room: what of it is too much already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full(pub(super) &'static str);

/// Bits of a cookie that say which registration; the others which run of the point.
const SEQUENCE_BITS: u32 = 40;

impl Registry {
    pub(super) fn new(instance: u64) -> Self {
        Self {
            instance,
            sequence: 0,
            entries: LongMap::new(),
            names: LongMap::new(),
            of_peers: LongMap::new(),
            of_groups: LongMap::new(),
            ends: LongSet::new(),
            bytes: 0,
        }
    }

    /// How many registrations there are, of how many peers, under how many names.
    pub(super) fn len(&self) -> (usize, usize, usize) {
        (self.entries.len(), self.of_peers.len(), self.names.len())
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Registers a peer that comes from `group`, in place of what it had registered under
    /// that name.
    pub(super) fn register(
        &mut self,
        now: Instant,
        (peer, group): (PeerId, Option<Group>),
        namespace: &str,
        (record, ttl): (Vec<u8>, Duration),
        config: &ServerConfig,
    ) -> Result<(), Full> {
        self.expire(now);
        // What it replaces makes room, but is lost only if there is enough.
        let before = self.of_peers.get(&peer).and_then(|names| names.get(namespace)).copied();
        let freed = before.and_then(|number| self.entries.get(&number));
        let taken = |full: bool, what: &'static str| if full { Err(Full(what)) } else { Ok(()) };
        let one = usize::from(freed.is_some());
        let own = self.of_peers.get(&peer).map_or(0, |names| names.len());
        let named = self.names.get(namespace).map_or(0, |numbers| numbers.len());
        let near = group.and_then(|group| self.of_groups.get(&group)).copied().unwrap_or(0);
        let stays = freed.is_some_and(|entry| entry.group == group);
        let bytes = self.bytes - freed.map_or(0, Entry::cost);
        let entry = Entry { peer, group, namespace: namespace.into(), record, ends: now + ttl };
        taken(own - one >= config.max_of_peer, "registrations of this peer")?;
        taken(named - one >= config.max_of_namespace, "registrations under this name")?;
        taken(
            group.is_some() && near - usize::from(stays) >= config.max_of_network,
            "registrations of this network",
        )?;
        taken(self.entries.len() - one >= config.max_registrations, "registrations")?;
        taken(bytes + entry.cost() > config.max_bytes, "registrations")?;
        self.remove(&peer, namespace);
        self.insert(entry);
        Ok(())
    }

    fn insert(&mut self, entry: Entry) {
        self.sequence += 1;
        let number = self.sequence;
        self.names.entry(entry.namespace.clone()).or_default().insert(number);
        let names = self.of_peers.entry(entry.peer).or_default();
        names.insert(entry.namespace.clone(), number);
        if let Some(group) = entry.group {
            *self.of_groups.entry(group).or_default() += 1;
        }
        self.ends.insert((entry.ends, number));
        self.bytes += entry.cost();
        self.entries.insert(number, entry);
    }

    /// Forgets that a peer is registered under a name; whether it was.
    pub(super) fn remove(&mut self, peer: &PeerId, namespace: &str) -> bool {
        let number = self.of_peers.get(peer).and_then(|names| names.get(namespace)).copied();
        number.is_some_and(|number| self.take(number))
    }

    fn take(&mut self, number: u64) -> bool {
        let Some(entry) = self.entries.remove(&number) else { return false };
        self.bytes = self.bytes.saturating_sub(entry.cost());
        self.ends.remove(&(entry.ends, number));
        if let Some(numbers) = self.names.get_mut(&entry.namespace) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.names.remove(&entry.namespace);
            }
        }
        if let Some(names) = self.of_peers.get_mut(&entry.peer) {
            names.remove(&entry.namespace);
            if names.is_empty() {
                self.of_peers.remove(&entry.peer);
            }
        }
        if let Some(group) = entry.group
            && let Some(count) = self.of_groups.get_mut(&group)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_groups.remove(&group);
            }
        }
        true
    }

    /// Those who are registered under a name, or any, with a number above `after`, in
    /// the order in which they registered.
    pub(super) fn after(
        &self,
        namespace: Option<&str>,
        after: u64,
    ) -> impl Iterator<Item = (u64, &Entry)> {
        let from = after.saturating_add(1);
        let named = namespace.and_then(|name| self.names.get(name));
        let named = named.into_iter().flat_map(move |numbers| numbers.range(from..));
        let named = named.filter_map(|number| Some((*number, self.entries.get(number)?)));
        let all = namespace.is_none().then(|| self.entries.range(from..));
        named.chain(all.into_iter().flatten().map(|(number, entry)| (*number, entry)))
    }

    /// What [`Registry::read_cookie`] makes `after` of. Its form is rust-libp2p's, whose
    /// clients take no other: eight bytes, then the name.
    pub(super) fn cookie(&self, namespace: Option<&str>, after: u64) -> Vec<u8> {
        let number = self.instance << SEQUENCE_BITS | (after & ((1 << SEQUENCE_BITS) - 1));
        [&number.to_be_bytes(), namespace.unwrap_or_default().as_bytes()].concat()
    }

    /// The number that a cookie names; `None` if it is not one of ours for this name.
    pub(super) fn read_cookie(&self, namespace: Option<&str>, cookie: &[u8]) -> Option<u64> {
        let (number, name) = cookie.split_first_chunk::<8>()?;
        let number = u64::from_be_bytes(*number);
        let ours = number >> SEQUENCE_BITS == self.instance & (u64::MAX >> SEQUENCE_BITS);
        let after = number & ((1 << SEQUENCE_BITS) - 1);
        let fits = ours && name == namespace.unwrap_or_default().as_bytes();
        (fits && after <= self.sequence).then_some(after)
    }

    /// When [`Registry::expire`] has something to do.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Forgets those whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((at, number)) = self.ends.first().copied()
            && at <= now
        {
            self.take(number);
        }
    }
}

impl Entry {
    fn cost(&self) -> usize {
        FIXED_COST + self.record.len() + self.namespace.len()
    }
}
