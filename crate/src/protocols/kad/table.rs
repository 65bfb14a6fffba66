//! Whom we know of the network: many of those near, few of those far.
//!
//! A bucket holds the peers that have so many bits in common with us and no more;
//! when it is full, newcomers wait in its cache until one of its peers no longer
//! answers. Who has been there longest stays: those who were there are likely to be
//! there later.
//!
//! What a remote can fill: each bucket and its cache ([`Config::k`],
//! [`Config::waiting`]); of one network's addresses, few in a bucket and in all
//! ([`Config::per_group`], [`Config::per_group_in_all`]), so that a network full of
//! hostile peers cannot surround us.

use core::net::IpAddr;
use std::collections::VecDeque;

use crate::address::{Multiaddr, Protocol};
use crate::collections::Map;
use crate::collections::sort::sort_by;
use crate::identity::PeerId;
use crate::time::Instant;

use super::key::Key;

/// How large the table may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Peers in a bucket: 20, the specification's `k`.
    pub k: usize,
    /// Peers that wait for a place in a bucket; 10.
    pub waiting: usize,
    /// Peers of one network ([`Group`]) in a bucket; 2, as go-libp2p.
    pub per_group: usize,
    /// Peers of one network in the table; 3, as go-libp2p.
    pub per_group_in_all: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { k: 20, waiting: 10, per_group: 2, per_group_in_all: 3 }
    }
}

/// A network that is likely to be one owner's: a /16 of IPv4, a /32 of IPv6. Private
/// networks are none: there, all are neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(u32, bool);

impl Group {
    /// The network of an address, if it is a public one.
    pub fn of(address: &Multiaddr) -> Option<Self> {
        match address.iter().next()? {
            Protocol::Ip4(ip) => Self::of_ip(ip.into()),
            Protocol::Ip6(ip) => Self::of_ip(ip.into()),
            _ => None,
        }
    }

    fn of_ip(ip: IpAddr) -> Option<Self> {
        match ip.to_canonical() {
            IpAddr::V4(ip) if ip.is_private() || ip.is_loopback() || ip.is_link_local() => None,
            IpAddr::V4(ip) => Some(Self(ip.to_bits() >> 16, false)),
            IpAddr::V6(ip) if ip.is_unique_local() || ip.is_loopback() => None,
            IpAddr::V6(ip) if ip.is_unicast_link_local() => None,
            IpAddr::V6(ip) => Some(Self((ip.to_bits() >> 96) as u32, true)),
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    peer: PeerId,
    key: Key,
    group: Option<Group>,
    /// When it last answered us.
    answered: Instant,
}

#[derive(Debug, Default)]
struct Bucket {
    /// Who answered longest ago first.
    entries: Vec<Entry>,
    /// Who came last, last.
    waiting: VecDeque<Entry>,
    /// When a lookup last went there.
    refreshed: Instant,
}

/// What became of a peer that was offered to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It has a place now.
    Added,
    /// It had one already.
    Known,
    /// Its bucket is full: it waits until another of the bucket does not answer. This
    /// one was silent the longest: ask whether it is there.
    Waits(PeerId),
    /// Its network has all the places that it may have.
    Crowded,
    /// It is us.
    Myself,
}

/// The routing table.
#[derive(Debug)]
pub struct Table {
    config: Config,
    local: Key,
    buckets: Map<u32, Bucket>,
    groups: Map<Group, usize>,
    len: usize,
}

impl Table {
    /// A table around this point.
    pub fn new(config: Config, local: Key) -> Self {
        Self { config, local, buckets: Map::new(), groups: Map::new(), len: 0 }
    }

    /// How many peers have a place.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `peer` has a place.
    pub fn contains(&self, peer: &PeerId) -> bool {
        let key = Key::of_peer(peer);
        let bucket = self.buckets.get(&self.local.common_prefix(&key));
        bucket.is_some_and(|bucket| bucket.entries.iter().any(|entry| entry.peer == *peer))
    }

    /// Whether `peer` has a place or waits for one.
    pub fn knows(&self, peer: &PeerId) -> bool {
        let bucket = self.buckets.get(&self.local.common_prefix(&Key::of_peer(peer)));
        bucket.is_some_and(|bucket| {
            let mut all = bucket.entries.iter().chain(&bucket.waiting);
            all.any(|entry| entry.peer == *peer)
        })
    }

    /// A peer that takes part as a server and has just answered, or was connected.
    pub fn offer(&mut self, now: Instant, peer: PeerId, group: Option<Group>) -> Offered {
        let key = Key::of_peer(&peer);
        let prefix = self.local.common_prefix(&key);
        if prefix == Key::BITS {
            return Offered::Myself;
        }
        let entry = Entry { peer, key, group, answered: now };
        let crowd = group.and_then(|group| self.groups.get(&group)).copied().unwrap_or_default();
        let bucket = self.buckets.get_or_insert_with(prefix, Bucket::default);
        if let Some(at) = bucket.entries.iter().position(|known| known.peer == peer) {
            // To the end: it answered last.
            let known = bucket.entries.remove(at);
            bucket.entries.push(Entry { answered: now, ..known });
            return Offered::Known;
        }
        let of_group = |known: &&Entry| group.is_some() && known.group == group;
        let in_bucket = bucket.entries.iter().filter(of_group).count();
        if in_bucket >= self.config.per_group || crowd >= self.config.per_group_in_all {
            return Offered::Crowded;
        }
        if bucket.entries.len() < self.config.k {
            bucket.entries.push(entry);
            self.len += 1;
            if let Some(group) = group {
                *self.groups.get_or_insert_with(group, || 0) += 1;
            }
            return Offered::Added;
        }
        bucket.waiting.retain(|known| known.peer != peer);
        if bucket.waiting.len() >= self.config.waiting {
            bucket.waiting.pop_front();
        }
        bucket.waiting.push_back(entry);
        match bucket.entries.first() {
            Some(oldest) => Offered::Waits(oldest.peer),
            None => Offered::Crowded,
        }
    }

    /// A peer does not answer, or takes part no more: who came last among those that
    /// wait takes its place, and is returned.
    pub fn remove(&mut self, now: Instant, peer: &PeerId) -> Option<PeerId> {
        let prefix = self.local.common_prefix(&Key::of_peer(peer));
        let bucket = self.buckets.get_mut(&prefix)?;
        bucket.waiting.retain(|waiting| waiting.peer != *peer);
        let at = bucket.entries.iter().position(|entry| entry.peer == *peer)?;
        let gone = bucket.entries.remove(at);
        self.len -= 1;
        if let Some(group) = gone.group
            && let Some(crowd) = self.groups.get_mut(&group)
        {
            *crowd -= 1;
            if *crowd == 0 {
                self.groups.remove(&group);
            }
        }
        while let Some(next) = self.buckets.get_mut(&prefix)?.waiting.pop_back() {
            if self.offer(now, next.peer, next.group) == Offered::Added {
                return Some(next.peer);
            }
        }
        None
    }

    /// The `count` peers that are nearest to `key`, the nearest first.
    pub fn closest(&self, key: &Key, count: usize) -> Vec<PeerId> {
        let mut found: Vec<(super::key::Distance, PeerId)> = Vec::new();
        let shared = self.local.common_prefix(key);
        // Those of the key's own bucket are nearest, then all that are nearer to us
        // than to the key, then bucket by bucket away from both.
        let own = |prefix: u32| prefix == shared;
        let beyond = |prefix: u32| prefix > shared;
        let gather = |found: &mut Vec<_>, wanted: &dyn Fn(u32) -> bool| {
            let start = found.len();
            for (_, bucket) in self.buckets.iter().filter(|(prefix, _)| wanted(**prefix)) {
                found.extend(bucket.entries.iter().map(|e| (key.distance(&e.key), e.peer)));
            }
            sort_by(&mut found[start..], Ord::cmp);
        };
        gather(&mut found, &own);
        if found.len() < count {
            gather(&mut found, &beyond);
        }
        for nearer in (0..shared.min(Key::BITS)).rev() {
            if found.len() >= count {
                break;
            }
            gather(&mut found, &|prefix| prefix == nearer);
        }
        found.truncate(count);
        found.into_iter().map(|(_, peer)| peer).collect()
    }

    /// All peers that have a place, the farthest first.
    pub fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.buckets.values().flat_map(|bucket| bucket.entries.iter().map(|entry| &entry.peer))
    }

    /// Peers that have not answered since `before`.
    pub fn silent(&self, before: Instant) -> impl Iterator<Item = &PeerId> {
        let entries = self.buckets.values().flat_map(|bucket| &bucket.entries);
        entries.filter(move |entry| entry.answered < before).map(|entry| &entry.peer)
    }

    /// The buckets that no lookup has gone to since `before`, as how many bits their
    /// peers have in common with us: up to the nearest that has peers.
    pub fn stale(&self, before: Instant) -> Vec<u32> {
        let deepest = self.buckets.iter().rev().find(|(_, bucket)| !bucket.entries.is_empty());
        let Some((deepest, _)) = deepest else { return Vec::new() };
        let refreshed = |prefix: &u32| self.buckets.get(prefix).map(|bucket| bucket.refreshed);
        (0..=*deepest).filter(|prefix| refreshed(prefix).is_none_or(|at| at < before)).collect()
    }

    /// A lookup for `key` is under way: its bucket is being refreshed.
    pub fn looked_up(&mut self, now: Instant, key: &Key) {
        let prefix = self.local.common_prefix(key);
        if prefix < Key::BITS {
            self.buckets.get_or_insert_with(prefix, Bucket::default).refreshed = now;
        }
    }
}
