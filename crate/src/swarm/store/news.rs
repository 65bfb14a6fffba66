//! What the network teaches the store.

use core::time::Duration;

use crate::address::Multiaddr;
use crate::identity::{PeerId, PeerRecord, PublicKey};
use crate::protocols::identify::Info;
use crate::time::Instant;

use super::codec::truncate;
use super::entry::{Entry, MAX_AGENT, MAX_PROTOCOL_BYTES, MAX_PROTOCOLS, MAX_RECORD};
use super::scope::Scope;
use super::{
    Address, CERTIFIED_TTL, DIALED_TTL, Did, IDENTIFY_TTL, MAX_DISCOVERY_TTL, PeerStore,
    STABLE_SESSION, Slot, Source, millis, own,
};

impl PeerStore {
    /// A connection to `peer` is established; `dialed` is where we found it, if we
    /// dialed.
    pub fn connected(&mut self, now: Instant, peer: &PeerId, dialed: Option<&Multiaddr>) {
        self.tell_time(now);
        if *peer == self.me {
            return;
        }
        let (now, max) = (self.unix_millis(), self.config.max_addresses);
        self.touch(peer, now);
        self.unlink(peer);
        let slot = self.entries.entry(*peer).or_insert_with(Slot::new);
        slot.connections += 1;
        if slot.connections == 1 {
            slot.since = now;
        }
        self.link(peer);
        self.update(peer, false, |entry| {
            entry.last_seen = now;
            entry.successes = entry.successes.saturating_add(1);
            entry.failures = 0;
            let Some(Ok(address)) = dialed.map(|address| own(address, peer)) else {
                return Did::Counted;
            };
            let expires = now.saturating_add(millis(DIALED_TTL));
            let new = entry.add(address.clone(), Source::Dialed, expires, max);
            if let Some(known) = entry.addresses.iter_mut().find(|known| known.address == address) {
                (known.succeeded, known.failures) = (now, 0);
            }
            if new { Did::Changed } else { Did::Counted }
        });
    }

    /// One of the connections to `peer` is over.
    pub fn disconnected(&mut self, now: Instant, peer: &PeerId) {
        self.tell_time(now);
        let now = self.unix_millis();
        let Some(slot) = self.entries.get(peer) else { return };
        let lasted = now.saturating_sub(slot.since);
        self.touch(peer, now);
        self.unlink(peer);
        if let Some(slot) = self.entries.get_mut(peer) {
            slot.connections = slot.connections.saturating_sub(1);
            if slot.connections == 0 && lasted >= millis(STABLE_SESSION) {
                slot.entry.stable_sessions = slot.entry.stable_sessions.saturating_add(1);
            }
        }
        self.link(peer);
        self.update(peer, false, |_| Did::Counted);
        self.forget_if_empty(peer);
    }

    /// A dial found nobody, or somebody else, at `address`.
    pub fn dial_failed(&mut self, now: Instant, peer: &PeerId, address: &Multiaddr) {
        self.tell_time(now);
        self.update(peer, false, |entry| {
            entry.failures = entry.failures.saturating_add(1);
            let address = address.without_peer();
            if let Some(known) = entry.addresses.iter_mut().find(|known| known.address == address) {
                known.failures = known.failures.saturating_add(1);
            }
            Did::Counted
        });
    }

    /// `peer`, whom we see at `remote`, said what it is.
    pub fn identified(&mut self, now: Instant, peer: &PeerId, remote: &Multiaddr, info: &Info) {
        self.tell_time(now);
        let (now, max) = (self.unix_millis(), self.config.max_addresses);
        let expires = now.saturating_add(millis(IDENTIFY_TTL));
        let reach = Scope::of(remote);
        self.update(peer, true, |entry| {
            let before = entry.clone();
            entry.agent.clone_from(&info.agent);
            truncate(&mut entry.agent, MAX_AGENT);
            let mut bytes = 0;
            let fits = |name: &&crate::negotiate::Name| {
                bytes += name.len();
                bytes <= MAX_PROTOCOL_BYTES
            };
            let protocols = info.protocols.iter().take(MAX_PROTOCOLS).take_while(fits);
            entry.protocols = protocols.cloned().collect();
            entry.keep_key(peer, info.public_key.as_ref());
            if let Some(record) = &info.record {
                entry.certify(peer, record, now, reach, max);
            }
            if entry.sequence.is_none() {
                let said = usable(&info.addresses, peer, reach, max);
                entry.withdraw(&[Source::Identify], &said);
                for address in said {
                    entry.add(address, Source::Identify, expires, max);
                }
            }
            if *entry == before { Did::Nothing } else { Did::Changed }
        });
    }

    /// Others say where `peer` can be reached; it is kept for `ttl`, for
    /// [`MAX_DISCOVERY_TTL`] at most. Addresses that name another peer are left out.
    pub fn discovered(
        &mut self,
        now: Instant,
        peer: &PeerId,
        addresses: &[Multiaddr],
        ttl: Duration,
    ) {
        self.tell_time(now);
        let max = self.config.max_addresses;
        let expires = self.unix_millis().saturating_add(millis(ttl.min(MAX_DISCOVERY_TTL)));
        let usable = usable(addresses, peer, Scope::Host, max);
        if usable.is_empty() {
            return;
        }
        self.update(peer, true, |entry| {
            let add =
                |changed, address| entry.add(address, Source::Discovery, expires, max) | changed;
            if usable.into_iter().fold(false, add) { Did::Changed } else { Did::Nothing }
        });
    }

    /// Others handed on what `record`'s peer signed; it is kept for `ttl`, for
    /// [`MAX_DISCOVERY_TTL`] at most unless we meet the peer.
    pub fn discovered_record(&mut self, now: Instant, record: &PeerRecord, ttl: Duration) {
        self.tell_time(now);
        let peer = record.peer_id();
        let now = self.unix_millis();
        let max = self.config.max_addresses;
        let expires = now.saturating_add(millis(ttl.min(MAX_DISCOVERY_TTL)));
        self.update(&peer, true, |entry| {
            if !entry.certify(&peer, record, now, Scope::Host, max) {
                return Did::Nothing;
            }
            let certified = |known: &&mut Address| known.source == Source::Certified;
            if entry.last_seen == 0 {
                for known in entry.addresses.iter_mut().filter(certified) {
                    known.expires = known.expires.min(expires);
                }
            }
            Did::Changed
        });
        self.forget_if_empty(&peer);
    }

    /// A connected peer is seen just now: its addresses get their full time again.
    pub(super) fn touch(&mut self, peer: &PeerId, now: u64) {
        let Some(slot) = self.entries.get_mut(peer).filter(|slot| slot.connections > 0) else {
            return;
        };
        let passed = now.saturating_sub(slot.since.max(slot.entry.last_seen));
        self.update(peer, false, |entry| {
            entry.last_seen = now;
            entry.connected_millis = entry.connected_millis.saturating_add(passed);
            for known in &mut entry.addresses {
                let ttl = match known.source {
                    Source::Identify => IDENTIFY_TTL,
                    Source::Certified => CERTIFIED_TTL,
                    _ => continue,
                };
                known.expires = known.expires.max(now.saturating_add(millis(ttl)));
            }
            Did::Counted
        });
    }
}

impl Entry {
    /// Takes a signed record unless a newer one is known; whether it was taken.
    fn certify(
        &mut self,
        peer: &PeerId,
        record: &PeerRecord,
        now: u64,
        reach: Scope,
        max: usize,
    ) -> bool {
        if self.sequence.is_some_and(|known| known > record.seq()) {
            return false;
        }
        let expires = now.saturating_add(millis(CERTIFIED_TTL));
        let signed = usable(record.addresses(), peer, reach, max);
        self.withdraw(&[Source::Identify, Source::Certified], &signed);
        let any = !signed.is_empty();
        for address in signed {
            self.add(address, Source::Certified, expires, max);
        }
        // A record without a usable address must not silence identify.
        self.sequence = any.then_some(record.seq());
        self.record = any.then(|| record.to_bytes()).filter(|bytes| bytes.len() <= MAX_RECORD);
        self.keep_key(peer, Some(record.envelope().public_key()));
        true
    }

    fn keep_key(&mut self, peer: &PeerId, key: Option<&PublicKey>) {
        if self.key.is_none() && peer.public_key().is_none() {
            self.key = key.cloned();
        }
    }

    /// Whether [`Entry::expire`] would find something.
    pub(super) fn has_expired(&self, now: u64) -> bool {
        self.addresses.iter().any(|known| known.expires <= now)
            || self.tags.values().any(|tag| tag.expires <= now)
    }
}

/// The first of `addresses` that can be `peer`'s, without its name.
fn usable(addresses: &[Multiaddr], peer: &PeerId, reach: Scope, max: usize) -> Vec<Multiaddr> {
    let seen = addresses.iter().filter(|address| reach.sees(address));
    seen.filter_map(|address| own(address, peer).ok())
        .filter(|address| !address.is_empty())
        .take(max)
        .collect()
}
