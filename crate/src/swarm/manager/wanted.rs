//! Peers that are to be connected always, and those whom a sleep has cost us.
//!
//! A wanted peer is dialed again for ever: at once, and after each failure
//! later, up to a ceiling, at a time of chance so that many who lost the same
//! peer do not come back together.

use crate::collections::{LongMap, LongSet};
use core::time::Duration;
use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::identity::PeerId;
use crate::node::DialId;
use crate::rng::Rng;
use crate::time::Instant;

/// The first pause between two dials; it doubles.
pub const FIRST_REDIAL_PAUSE: Duration = Duration::from_secs(1);
/// A connection that lasted so long starts the pauses anew.
pub const STABLE: Duration = Duration::from_secs(30);
/// Peers whose connections failed that are remembered, to be dialed again when
/// the host wakes or is online again; the oldest is forgotten for the next.
pub const MAX_LOST: usize = 64;
/// How long they are remembered.
pub const LOST_FOR: Duration = Duration::from_secs(900);
/// Connections that end so soon after the host woke are laid to its sleep.
pub const WAKING: Duration = Duration::from_secs(5);

/// See the [module](self).
pub(super) struct Wanted {
    rng: Rng,
    max_pause: Duration,
    peers: LongMap<PeerId, Entry>,
    times: LongSet<(Instant, PeerId)>,
    /// Dials of ours; those without a peer that is wanted are of the lost.
    dials: LongMap<DialId, Option<PeerId>>,
    lost: VecDeque<Lost>,
    /// Who of the lost was dialed since the host woke: each once.
    redialed: LongSet<PeerId>,
    online: bool,
    waking_until: Instant,
}

struct Entry {
    addresses: Vec<Multiaddr>,
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Connected,
    /// The number is known once the dial has begun.
    Dialing(Option<DialId>),
    Waiting(Instant),
}

struct Lost {
    peer: PeerId,
    address: Multiaddr,
    at: Instant,
}

/// What is to be dialed.
#[derive(Debug, PartialEq)]
pub(crate) struct Redial {
    pub(crate) peer: PeerId,
    pub(crate) addresses: Vec<Multiaddr>,
    /// A dial that is to be taken back: it began before the network changed.
    pub(crate) instead_of: Option<DialId>,
    pub(crate) wanted: bool,
}

/// A wanted peer that is not there.
#[derive(Debug, PartialEq)]
pub(crate) struct Pause {
    pub(crate) peer: PeerId,
    pub(crate) failures: u32,
    pub(crate) after: Duration,
}

impl Wanted {
    pub(super) fn new(rng: Rng, max_pause: Duration) -> Self {
        Self {
            rng,
            max_pause,
            peers: LongMap::new(),
            times: LongSet::new(),
            dials: LongMap::new(),
            lost: VecDeque::new(),
            redialed: LongSet::new(),
            online: true,
            waking_until: Instant::ZERO,
        }
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.peers.keys()
    }

    /// From now on `peer` is wanted; addresses that are known are told again only
    /// if there are any.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        connected: bool,
    ) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            if !addresses.is_empty() {
                entry.addresses = addresses;
                // New addresses are worth a try at once.
                if let State::Waiting(at) = entry.state {
                    self.times.remove(&(at, peer));
                    self.wait(now, peer, Duration::ZERO);
                }
            }
            return;
        }
        let state = State::Connected;
        self.peers.insert(peer, Entry { addresses, failures: 0, state });
        if !connected {
            self.wait(now, peer, Duration::ZERO);
        }
    }

    /// Whether it was wanted, and the dial that goes on for it.
    pub(super) fn release(&mut self, peer: &PeerId) -> Option<Option<DialId>> {
        let entry = self.peers.remove(peer)?;
        Some(match entry.state {
            State::Waiting(at) => {
                self.times.remove(&(at, *peer));
                None
            }
            State::Dialing(dial) => dial,
            State::Connected => None,
        })
    }

    fn wait(&mut self, now: Instant, peer: PeerId, pause: Duration) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.state = State::Waiting(now + pause);
            self.times.insert((now + pause, peer));
        }
    }

    /// The pause after so many failures: half of it by chance.
    fn pause(&mut self, failures: u32) -> Duration {
        let full = FIRST_REDIAL_PAUSE.saturating_mul(1 << failures.min(16)).min(self.max_pause);
        let half = u64::try_from(full.as_micros()).unwrap_or(u64::MAX) / 2;
        Duration::from_micros(half.saturating_add(self.rng.below(half.saturating_add(1))))
    }

    pub(super) fn connected(&mut self, peer: &PeerId) {
        self.lost.retain(|lost| lost.peer != *peer);
        if let Some(entry) = self.peers.get_mut(peer) {
            if let State::Waiting(at) = entry.state {
                self.times.remove(&(at, *peer));
            }
            entry.state = State::Connected;
        }
    }

    /// The last connection to a peer is over. `failed` if neither side meant it;
    /// `address` is where we had dialed it.
    pub(super) fn disconnected(
        &mut self,
        now: Instant,
        peer: &PeerId,
        since: Instant,
        failed: bool,
        address: Option<Multiaddr>,
    ) -> Option<Pause> {
        let Some(entry) = self.peers.get_mut(peer) else {
            if let Some(address) = address.filter(|_| failed) {
                if self.lost.len() >= MAX_LOST {
                    self.lost.pop_front();
                }
                self.lost.push_back(Lost { peer: *peer, address, at: now });
            }
            return None;
        };
        entry.failures = if now - since >= STABLE { 0 } else { entry.failures.saturating_add(1) };
        let failures = entry.failures;
        if now < self.waking_until && failures < 2 {
            self.wait(now, *peer, Duration::ZERO);
            return None;
        }
        Some(self.retry(now, *peer, failures))
    }

    fn retry(&mut self, now: Instant, peer: PeerId, failures: u32) -> Pause {
        let after = self.pause(failures);
        self.wait(now, peer, after);
        Pause { peer, failures, after }
    }

    /// A dial that [`Wanted::poll`] asked for has begun.
    pub(super) fn dialing(&mut self, dial: DialId, peer: &PeerId, wanted: bool) {
        self.dials.insert(dial, wanted.then_some(*peer));
        if let Some(entry) = self.peers.get_mut(peer).filter(|_| wanted) {
            entry.state = State::Dialing(Some(dial));
        }
    }

    pub(super) fn is_ours(&self, dial: DialId) -> bool {
        self.dials.contains_key(&dial)
    }

    /// A dial is over.
    pub(super) fn dialed(&mut self, now: Instant, dial: DialId, reached: bool) -> Option<Pause> {
        let peer = self.dials.remove(&dial)??;
        let entry = self.peers.get_mut(&peer)?;
        if entry.state != State::Dialing(Some(dial)) {
            return None;
        }
        if reached {
            entry.state = State::Connected;
            return None;
        }
        entry.failures = entry.failures.saturating_add(1);
        let failures = entry.failures;
        Some(self.retry(now, peer, failures))
    }

    pub(super) fn set_online(&mut self, online: bool) {
        self.online = online;
    }

    /// The host woke, or has a network again: whoever is not there is dialed now.
    pub(super) fn wake(&mut self, now: Instant) {
        self.online = true;
        self.waking_until = now + WAKING;
        self.redialed = LongSet::new();
        self.times = LongSet::new();
        for (peer, entry) in self.peers.iter_mut() {
            if entry.state == State::Connected {
                continue;
            }
            entry.failures = 0;
            self.times.insert((now, *peer));
            if let State::Waiting(at) = &mut entry.state {
                *at = now;
            }
        }
    }

    /// The next peer to dial now.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Redial> {
        if !self.online {
            return None;
        }
        while let Some(&(at, peer)) = self.times.first().filter(|(at, _)| *at <= now) {
            self.times.remove(&(at, peer));
            let Some(entry) = self.peers.get_mut(&peer) else { continue };
            let instead_of = match entry.state {
                State::Dialing(dial) => dial,
                _ => None,
            };
            entry.state = State::Dialing(None);
            let addresses = entry.addresses.clone();
            return Some(Redial { peer, addresses, instead_of, wanted: true });
        }
        if now >= self.waking_until {
            return None;
        }
        self.lost.retain(|lost| now - lost.at < LOST_FOR);
        let at = self.lost.iter().position(|lost| !self.redialed.contains(&lost.peer))?;
        let Lost { peer, address, .. } = self.lost.remove(at)?;
        self.redialed.insert(peer);
        Some(Redial { peer, addresses: vec![address], instead_of: None, wanted: false })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.times.first().filter(|_| self.online).map(|(at, _)| *at)
    }
}
