//! The peer store: where peers can be reached, what they speak, what they are
//! worth, from one start of the program to the next.
//!
//! A state machine without I/O: the node feeds it with what dials and identify
//! learn, the application with what it knows; changes come out as a journal of
//! [`Change`]s for a host to write down, and go in again with
//! [`PeerStore::restore`].
//!
//! Addresses that a peer signed stand above those that it only told: while it has
//! a signed record, plain ones from identify are not taken, and a newer record
//! replaces them. What others say of a peer has an end and room of its own
//! ([`Config::max_hearsay`]), so strangers' lies displace nobody we met.
//!
//! What a remote can make grow, and its limit: peers ([`Config::max_peers`],
//! [`Config::max_hearsay`]), their addresses ([`Config::max_addresses`]),
//! everything together ([`Config::max_bytes`]). The least valuable peer without
//! a connection goes first: by hearsay, then met, then such as the application
//! has something about; among equals the one seen longest ago.

pub mod bootstrap;
mod codec;
mod config;
mod entry;
mod error;
mod journal;
mod news;
mod scope;
#[cfg(test)]
mod tests;

use crate::collections::{LongMap, LongSet};
use core::time::Duration;
use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::Map;
use crate::collections::sort::sort_by;
use crate::identity::PeerId;
use crate::time::Instant;

use config::millis;
pub use config::{CERTIFIED_TTL, Config, DIALED_TTL, IDENTIFY_TTL, MAX_DISCOVERY_TTL};
pub use entry::{Address, Entry, Source, Tag};
pub use error::{PatchError, RestoreError};
pub use journal::Change;
use journal::{Journal, Key};

/// A connection that lasts as long counts as stable.
pub const STABLE_SESSION: Duration = Duration::from_secs(10 * 60);
/// So many of them make a peer one to begin with at the next start.
pub const STABLE_SESSIONS: u32 = 2;
/// And so does this time in all.
const STABLE_TIME: Duration = Duration::from_secs(24 * 3600);
/// How often what has expired is looked for, when the store is used at all.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// How often the entries of connected peers are brought up to date, so that a
/// sudden end of the program does not make them look long gone.
const TOUCH_INTERVAL: Duration = Duration::from_secs(3600);
/// The longest name of a tag, in bytes.
const MAX_TAG_NAME: usize = 256;

/// What the application changes of a peer; what it leaves out stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patch {
    /// In place of all addresses that the application gave before.
    pub addresses: Option<Vec<Multiaddr>>,
    /// Notes by name; `None` deletes one.
    pub metadata: Vec<(String, Option<Vec<u8>>)>,
    /// Tags by name; `None` deletes one.
    pub tags: Vec<(String, Option<Tag>)>,
}

/// What happened to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Updated(PeerId),
    Forgotten(PeerId),
}

/// What [`PeerStore::restore`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Entries that were taken.
    pub peers: usize,
    /// Keys of entries that were left out, and why.
    pub skipped: Vec<(Vec<u8>, RestoreError)>,
}

/// The peer store. See the [module](self).
pub struct PeerStore {
    config: Config,
    me: PeerId,
    entries: LongMap<PeerId, Slot>,
    /// Those without a connection, the least valuable first.
    order: LongSet<(Rank, PeerId)>,
    hearsay: usize,
    bytes: usize,
    journal: Journal,
    notices: VecDeque<Notice>,
    now: Instant,
    swept: Instant,
}

struct Slot {
    entry: Entry,
    /// Open connections, and since when there is one, in milliseconds of Unix time.
    connections: usize,
    since: u64,
    cost: usize,
    rank: Rank,
}

/// What an entry is worth beside others, the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    class: Class,
    worth: u32,
    last_seen: u64,
    certified: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Hearsay,
    Met,
    Kept,
}

/// What a change did to an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Did {
    Nothing,
    /// Something to write down, but nothing to tell.
    Counted,
    /// Something that the application wants to know.
    Changed,
}

impl PeerStore {
    /// An empty store of the peer `me`.
    pub fn new(config: Config, me: PeerId) -> Self {
        Self {
            journal: Journal::new(config.journal),
            config,
            me,
            entries: LongMap::new(),
            order: LongSet::new(),
            hearsay: 0,
            bytes: 0,
            notices: VecDeque::new(),
            now: Instant::ZERO,
            swept: Instant::ZERO,
        }
    }

    /// What is known of `peer`.
    pub fn get(&self, peer: &PeerId) -> Option<&Entry> {
        self.entries.get(peer).map(|slot| &slot.entry)
    }

    /// All peers that something is known of.
    pub fn iter(&self) -> impl Iterator<Item = (&PeerId, &Entry)> {
        self.entries.iter().map(|(peer, slot)| (peer, &slot.entry))
    }

    /// How many peers something is known of.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known of anybody.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that all entries take, as they count themselves.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where `peer` may be reached: what worked last first, what failed last.
    pub fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let Some(slot) = self.entries.get(peer) else { return Vec::new() };
        let now = self.unix_millis();
        let usable = |known: &&Address| slot.connections > 0 || known.expires > now;
        let mut list: Vec<&Address> = slot.entry.addresses.iter().filter(usable).collect();
        let order =
            |known: &Address| (known.failures, core::cmp::Reverse((known.succeeded, known.source)));
        sort_by(&mut list, |a, b| order(a).cmp(&order(b)));
        list.into_iter().map(|known| known.address.clone()).collect()
    }

    /// The record that `peer` signed last, in its envelope, to be handed on as it is:
    /// whoever gets it can verify it. `None` if it has signed none, or none that is
    /// still good. Source: libp2p RFC 0003.
    pub fn signed_record(&self, peer: &PeerId) -> Option<&[u8]> {
        let slot = self.entries.get(peer)?;
        let now = self.unix_millis();
        let good = |known: &Address| {
            known.source == Source::Certified && (slot.connections > 0 || known.expires > now)
        };
        slot.entry.addresses.iter().any(good).then_some(slot.entry.record.as_deref()).flatten()
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// At most `count` peers that proved stable and may be reached, the best first:
    /// those that stayed connected for [`STABLE_SESSION`] at least
    /// [`STABLE_SESSIONS`] times, or for a day in all.
    pub fn stable(&self, count: usize) -> Vec<PeerId> {
        let proved = |entry: &Entry| {
            let long = entry.connected_millis >= millis(STABLE_TIME);
            (long || entry.stable_sessions >= STABLE_SESSIONS) && !entry.addresses.is_empty()
        };
        let mut list: Vec<_> = self.iter().filter(|(_, entry)| proved(entry)).collect();
        let order = |entry: &Entry| (entry.failures, core::cmp::Reverse(entry.connected_millis));
        sort_by(&mut list, |(_, a), (_, b)| order(a).cmp(&order(b)));
        list.into_iter().take(count).map(|(peer, _)| *peer).collect()
    }

    /// The Unix time in milliseconds, as of the last call that told the time.
    pub fn unix_millis(&self) -> u64 {
        self.config.unix_millis_at_zero.saturating_add(self.now.as_micros() / 1000)
    }

    // The application.

    /// Changes what the application knows of `peer`, who need not be known.
    pub fn patch(&mut self, now: Instant, peer: &PeerId, patch: Patch) -> Result<(), PatchError> {
        self.tell_time(now);
        if *peer == self.me {
            return Err(PatchError::Myself);
        }
        let known = self.get(peer);
        let mut metadata = known.map(|entry| entry.metadata.clone()).unwrap_or_default();
        apply(&mut metadata, patch.metadata);
        let size: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        if size > self.config.max_metadata {
            return Err(PatchError::MetadataTooLong { max: self.config.max_metadata });
        }
        let mut tags = known.map(|entry| entry.tags.clone()).unwrap_or_default();
        apply(&mut tags, patch.tags);
        let max = self.config.max_tags;
        if tags.len() > max || tags.keys().any(|name| name.len() > MAX_TAG_NAME) {
            return Err(PatchError::TooManyTags { max });
        }
        let max = self.config.max_addresses;
        let addresses = match patch.addresses {
            Some(list) if list.len() > max => return Err(PatchError::TooManyAddresses { max }),
            Some(list) => {
                Some(list.iter().map(|address| own(address, peer)).collect::<Result<Vec<_>, _>>()?)
            }
            None => None,
        };
        self.update(peer, true, |entry| {
            let before = entry.clone();
            (entry.metadata, entry.tags) = (metadata, tags);
            if let Some(addresses) = addresses {
                entry.withdraw(&[Source::Application], &addresses);
                for address in addresses {
                    entry.add(address, Source::Application, u64::MAX, max);
                }
            }
            if *entry == before { Did::Nothing } else { Did::Changed }
        });
        self.forget_if_empty(peer);
        Ok(())
    }

    /// Forgets `peer`; of one that is connected, all but that it is.
    pub fn delete(&mut self, now: Instant, peer: &PeerId) -> bool {
        self.tell_time(now);
        let Some(slot) = self.entries.get(peer) else { return false };
        if slot.connections == 0 {
            self.remove(peer);
        } else {
            let last_seen = self.unix_millis();
            self.update(peer, false, |entry| {
                *entry = Entry { last_seen, ..Entry::default() };
                Did::Changed
            });
        }
        true
    }

    // What is written down.

    /// Takes entries that were written down by an earlier run; call it before the
    /// first dial. What cannot be read is left out and reported.
    pub fn restore(
        &mut self,
        now: Instant,
        entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Restored {
        self.tell_time(now);
        let mut report = Restored::default();
        for (key, value) in entries {
            let peer = PeerId::from_bytes(&key).map_err(RestoreError::Key);
            match peer.and_then(|peer| Ok((peer, codec::decode(&peer, &value)?))) {
                Ok((peer, entry)) => {
                    report.peers += usize::from(self.restore_one(peer, entry));
                }
                Err(error) => {
                    if !matches!(error, RestoreError::Version(_)) {
                        self.journal.unusable(now, key.clone());
                    }
                    report.skipped.push((key, error));
                }
            }
        }
        // They are what the application knows already.
        self.notices.clear();
        report
    }

    fn restore_one(&mut self, peer: PeerId, mut stored: Entry) -> bool {
        let now = self.unix_millis();
        if self.entries.contains_key(&peer) || peer == self.me {
            return false;
        }
        stored.addresses.truncate(self.config.max_addresses);
        // A clock that was ahead when this was written must not keep it for ever.
        stored.last_seen = stored.last_seen.min(now);
        let expired = stored.expire(now, false);
        if is_void(&stored) {
            self.journal.changed(self.now, peer);
            return false;
        }
        self.update(&peer, true, |entry| {
            *entry = stored;
            Did::Nothing
        });
        if expired {
            self.journal.changed(self.now, peer);
        }
        self.entries.contains_key(&peer)
    }

    /// The next write. There is one only after [`PeerStore::handle_timeout`] or
    /// [`PeerStore::flush`] found it due.
    pub fn poll_change(&mut self) -> Option<Change> {
        Some(match self.journal.next()? {
            Key::Garbage(key) => Change { key, value: None },
            Key::Peer(peer) => {
                let value = self.get(&peer).map(|entry| codec::encode(&peer, entry));
                Change { key: peer.as_bytes().to_vec(), value }
            }
        })
    }

    /// Makes all changes due at once: the program is about to end.
    pub fn flush(&mut self) {
        self.journal.begin(self.now, true);
    }

    /// When [`PeerStore::handle_timeout`] is due; early calls are harmless.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.journal.due()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tell_time(now);
        self.journal.begin(now, false);
    }

    pub(crate) fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    // Upkeep.

    /// The time is `now`; what has expired goes, once in a while.
    pub(crate) fn tell_time(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if now - self.swept < SWEEP_INTERVAL {
            return;
        }
        self.swept = now;
        let (now, touch) = (self.unix_millis(), millis(TOUCH_INTERVAL));
        let stale: Vec<PeerId> = self
            .entries
            .iter()
            .filter(|(_, slot)| match slot.connections {
                0 => slot.entry.has_expired(now),
                _ => slot.entry.last_seen.saturating_add(touch) <= now,
            })
            .map(|(peer, _)| *peer)
            .collect();
        for peer in stale {
            self.touch(&peer, now);
            self.update(&peer, false, |entry| {
                if entry.expire(now, false) { Did::Changed } else { Did::Nothing }
            });
            self.forget_if_empty(&peer);
        }
    }

    /// Changes the entry of `peer`, which is made if it is to be, and keeps the
    /// rest of the store true.
    fn update(&mut self, peer: &PeerId, make: bool, change: impl FnOnce(&mut Entry) -> Did) {
        if *peer == self.me || (!make && !self.entries.contains_key(peer)) {
            return;
        }
        self.unlink(peer);
        let slot = self.entries.entry(*peer).or_insert_with(Slot::new);
        let did = change(&mut slot.entry);
        (slot.cost, slot.rank) = (slot.entry.cost(), Rank::of(slot));
        self.link(peer);
        if did != Did::Nothing {
            self.journal.changed(self.now, *peer);
        }
        if did == Did::Changed {
            self.notices.push_back(Notice::Updated(*peer));
        }
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.entries.len() > self.config.max_peers
            || self.hearsay > self.config.max_hearsay
            || self.bytes > self.config.max_bytes
        {
            // Those that are connected stay: the node limits their number.
            let Some((_, peer)) = self.order.first().copied() else { break };
            self.remove(&peer);
        }
    }

    fn forget_if_empty(&mut self, peer: &PeerId) {
        let void = |slot: &Slot| slot.connections == 0 && is_void(&slot.entry);
        if self.entries.get(peer).is_some_and(void) {
            self.remove(peer);
        }
    }

    fn remove(&mut self, peer: &PeerId) {
        self.unlink(peer);
        self.entries.remove(peer);
        self.journal.changed(self.now, *peer);
        self.notices.push_back(Notice::Forgotten(*peer));
    }

    /// Takes an entry out of the accounts.
    fn unlink(&mut self, peer: &PeerId) {
        let Some(slot) = self.entries.get(peer) else { return };
        self.bytes = self.bytes.saturating_sub(slot.cost);
        if slot.connections == 0 {
            self.order.remove(&(slot.rank, *peer));
            self.hearsay =
                self.hearsay.saturating_sub(usize::from(slot.rank.class == Class::Hearsay));
        }
    }

    fn link(&mut self, peer: &PeerId) {
        let Some(slot) = self.entries.get(peer) else { return };
        self.bytes += slot.cost;
        if slot.connections == 0 {
            self.order.insert((slot.rank, *peer));
            self.hearsay += usize::from(slot.rank.class == Class::Hearsay);
        }
    }
}

impl Slot {
    fn new() -> Self {
        let entry = Entry::default();
        let rank = Rank { class: Class::Hearsay, worth: 0, last_seen: 0, certified: false };
        Self { entry, connections: 0, since: 0, cost: 0, rank }
    }
}

impl Rank {
    fn of(slot: &Slot) -> Self {
        let entry = &slot.entry;
        let class = match entry.last_seen {
            _ if entry.is_kept() => Class::Kept,
            0 => Class::Hearsay,
            _ => Class::Met,
        };
        let certified = entry.sequence.is_some();
        Self { class, worth: entry.worth(), last_seen: entry.last_seen, certified }
    }
}

/// Whether an entry says nothing that anybody could use.
fn is_void(entry: &Entry) -> bool {
    entry.addresses.is_empty() && !entry.is_kept()
}

/// `address` as an address of `peer`: without its name at the end.
fn own(address: &Multiaddr, peer: &PeerId) -> Result<Multiaddr, PatchError> {
    match address.peer_id() {
        Some(other) if other != *peer => Err(PatchError::ForeignAddress(other)),
        _ => Ok(address.without_peer()),
    }
}

fn apply<V>(map: &mut Map<String, V>, changes: Vec<(String, Option<V>)>) {
    for (name, value) in changes {
        match value {
            Some(value) => {
                map.insert(name, value);
            }
            None => {
                map.remove(&name);
            }
        }
    }
}
