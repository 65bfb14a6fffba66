//! Dials: the addresses of a peer, tried in ranked order; the first that leads
//! to the peer wins.
//!
//! What others can make grow: the addresses of a dial ([`MAX_ADDRESSES`]), the
//! attempts in flight (two limits of [`Config`](crate::node::Config)), its time
//! ([`DIAL_TIMEOUT`]).

use core::time::Duration;
use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::{Map, Set};
use crate::identity::PeerId;
use crate::node::{AttemptError, ConnectionId, DialId};
use crate::time::Instant;

#[cfg(not(feature = "dialing"))]
use super::plain::{Backoff, is_dialable, is_private, rank, step};
#[cfg(feature = "dialing")]
use super::{
    backoff::Backoff,
    rank::{is_dialable, is_private, rank, step},
};

/// From an attempt's start to its established connection.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// The same for private addresses.
pub const LOCAL_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for addresses of WebRTC through a relay: the way to the peer, and then
/// two tries of [`TRY_TIME`](crate::protocols::webrtc::TRY_TIME).
#[cfg(feature = "webrtc")]
pub const SIGNALLED_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(45);
/// From the last new address that an asker brought to the end of a dial,
/// whatever is still untried.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(60);
/// Addresses that one dial tries: those of a peer that lists more are most
/// likely lies.
pub const MAX_ADDRESSES: usize = 128;

/// How to dial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DialOptions {
    /// A connection through a relay will not do, be it there already or new.
    pub direct: bool,
    /// Try addresses that failed a short while ago too.
    pub force: bool,
}

/// The dials under way. Those for one peer are one: however many ask, each
/// address is tried once.
#[derive(Default)]
pub(crate) struct Dials {
    dials: Map<u64, Box<Dial>>,
    peers: Map<PeerId, u64>,
    /// When a dial wants a look.
    wakes: Set<(Instant, u64)>,
    /// Dials that may start an attempt, each once: they take turns.
    turns: VecDeque<u64>,
    /// Dials with nothing left to hope for.
    exhausted: Vec<u64>,
    in_flight: usize,
    next: u64,
    pub(crate) backoff: Backoff,
}

struct Dial {
    /// Whom, if the application or the addresses say.
    peer: Option<PeerId>,
    askers: Vec<(DialId, DialOptions)>,
    /// With the time of each, the earliest first.
    waiting: Vec<(Instant, Multiaddr)>,
    attempts: Map<ConnectionId, Attempt>,
    failures: Vec<(Multiaddr, AttemptError)>,
    deadline: Instant,
    /// A transport has opened: others wait until then, as it is likely to win.
    hold: Instant,
    /// What is due until then need not wait: all before it has failed.
    hurry: Instant,
    wake: Option<Instant>,
    in_turn: bool,
}

struct Attempt {
    address: Multiaddr,
    deadline: Instant,
}

/// What a dial came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Who is to be told.
    pub(crate) askers: Vec<DialId>,
    /// What is to be given up.
    pub(crate) dropped: Vec<ConnectionId>,
    /// Every address that failed.
    pub(crate) failures: Vec<(Multiaddr, AttemptError)>,
}

impl Dials {
    /// Adds addresses to the dial for `peer` that is under way, or begins one.
    /// `forbidden` are left out.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        asker: (DialId, DialOptions),
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        forbidden: impl Fn(&Multiaddr) -> bool,
    ) {
        let known = peer.as_ref().and_then(|peer| self.peers.get(peer).copied());
        let key = known.unwrap_or_else(|| self.begin(now, peer));
        let Some(dial) = self.dials.get_mut(&key) else { return };
        let (_, options) = asker;
        dial.askers.push(asker);
        let mut fresh = Vec::new();
        for address in addresses {
            if dial.knows(&address) || fresh.contains(&address) {
                continue;
            }
            let refused = if !is_dialable(&address)
                || options.direct && address.is_relayed()
                || forbidden(&address)
            {
                Some(AttemptError::Filtered)
            } else if dial.count() + fresh.len() >= MAX_ADDRESSES {
                Some(AttemptError::TooMany)
            } else {
                let left = self.backoff.left(now, &address, peer);
                left.filter(|_| !options.force).map(AttemptError::BackedOff)
            };
            match refused {
                Some(error) => dial.failures.push((address, error)),
                None => fresh.push(address),
            }
        }
        if !fresh.is_empty() {
            dial.deadline = now + DIAL_TIMEOUT;
        }
        for (delay, address) in rank(fresh) {
            let due = now + delay;
            let at = dial.waiting.partition_point(|(known, _)| *known <= due);
            dial.waiting.insert(at, (due, address));
        }
        self.schedule(now, key);
    }

    fn begin(&mut self, now: Instant, peer: Option<PeerId>) -> u64 {
        self.next += 1;
        let dial = Dial {
            peer,
            askers: Vec::new(),
            waiting: Vec::new(),
            attempts: Map::new(),
            failures: Vec::new(),
            deadline: now + DIAL_TIMEOUT,
            hold: now,
            hurry: now,
            wake: None,
            in_turn: false,
        };
        self.dials.insert(self.next, Box::new(dial));
        if let Some(peer) = peer {
            self.peers.insert(peer, self.next);
        }
        self.next
    }

    pub(crate) fn len(&self) -> usize {
        self.dials.len()
    }

    /// How many attempts are in flight.
    pub(crate) fn attempts(&self) -> usize {
        self.in_flight
    }

    /// Whom a dial is for, if that is known.
    pub(crate) fn peer(&self, key: u64) -> Option<PeerId> {
        self.dials.get(&key)?.peer
    }

    /// The dial for `peer`.
    pub(crate) fn of_peer(&self, peer: &PeerId) -> Option<u64> {
        self.peers.get(peer).copied()
    }

    /// Starts the next attempt that is due, as connection `id`: which dial's, and
    /// where to. At most `a_dial` of one dial and `in_all` are in flight.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        id: ConnectionId,
        a_dial: usize,
        in_all: usize,
    ) -> Option<(u64, Multiaddr)> {
        if self.in_flight >= in_all.max(1) {
            return None;
        }
        while let Some(key) = self.turns.pop_front() {
            let Some(dial) = self.dials.get_mut(&key) else { continue };
            dial.in_turn = false;
            // Either way it gets a turn again when its time or an attempt's end comes.
            if dial.due().is_none_or(|at| at > now) || dial.attempts.len() >= a_dial.max(1) {
                continue;
            }
            let (due, address) = dial.waiting.remove(0);
            if dial.attempts.is_empty() {
                dial.hurry = due;
            }
            let limit = match &address {
                address if is_private(address) => LOCAL_ATTEMPT_TIMEOUT,
                #[cfg(feature = "webrtc")]
                address if address.is_signalled() => SIGNALLED_ATTEMPT_TIMEOUT,
                _ => ATTEMPT_TIMEOUT,
            };
            let attempt = Attempt { address: address.clone(), deadline: now + limit };
            dial.attempts.insert(id, attempt);
            self.in_flight += 1;
            self.schedule(now, key);
            return Some((key, address));
        }
        None
    }

    /// The transport of an attempt is open: the next ones give it time.
    pub(crate) fn opened(&mut self, now: Instant, key: u64, id: ConnectionId) {
        let Some(dial) = self.dials.get_mut(&key) else { return };
        if let Some(attempt) = dial.attempts.get(&id) {
            dial.hold = dial.hold.max(now + step(&attempt.address) * 2);
            self.schedule(now, key);
        }
    }

    /// An attempt failed.
    pub(crate) fn failed(&mut self, now: Instant, key: u64, id: ConnectionId, error: AttemptError) {
        let Some(dial) = self.dials.get_mut(&key) else { return };
        let Some(attempt) = dial.attempts.remove(&id) else { return };
        self.in_flight = self.in_flight.saturating_sub(1);
        if !error.is_ours() {
            // What this node refuses by itself says nothing of the address.
            use AttemptError::{Connection, TimedOut, Transport};
            if matches!(error, Transport(_) | Connection(_) | TimedOut) {
                self.backoff.failed(now, &attempt.address, dial.peer);
            }
        }
        dial.failures.push((attempt.address, error));
        self.schedule(now, key);
    }

    /// There is a connection: `winner`'s, or one that came from elsewhere. A
    /// relayed one leaves those who want a direct one waiting.
    pub(crate) fn reached(
        &mut self,
        now: Instant,
        key: u64,
        winner: Option<ConnectionId>,
        relayed: bool,
    ) -> Outcome {
        let Some(dial) = self.dials.get_mut(&key) else { return Outcome::default() };
        if let Some(id) = winner
            && dial.attempts.remove(&id).is_some()
        {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        if !relayed || dial.askers.iter().all(|(_, options)| !options.direct) {
            return self.end(key);
        }
        let (mut askers, mut dropped) = (Vec::new(), Vec::new());
        dial.askers.retain(|(asker, options)| {
            if !options.direct {
                askers.push(*asker);
            }
            options.direct
        });
        dial.waiting.retain(|(_, address)| !address.is_relayed());
        dial.attempts.retain(|id, attempt| {
            let relayed = attempt.address.is_relayed();
            if relayed {
                dropped.push(*id);
            }
            !relayed
        });
        self.in_flight = self.in_flight.saturating_sub(dropped.len());
        self.schedule(now, key);
        Outcome { askers, dropped, failures: Vec::new() }
    }

    /// Takes one asker out of its dial; the dial ends with its last one. `None`
    /// if that asker waits for nothing.
    pub(crate) fn cancel(&mut self, asker: DialId) -> Option<Outcome> {
        let of = |dial: &Dial| dial.askers.iter().position(|(known, _)| *known == asker);
        let (key, at) = self.dials.iter().find_map(|(key, dial)| Some((*key, of(dial)?)))?;
        let dial = self.dials.get_mut(&key)?;
        dial.askers.remove(at);
        Some(if dial.askers.is_empty() { self.end(key) } else { Outcome::default() })
    }

    /// A dial that has ended without a connection.
    pub(crate) fn poll_exhausted(&mut self) -> Option<Outcome> {
        let key = self.exhausted.pop()?;
        Some(self.end(key))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Time has passed: the attempts that took too long, to be given up.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<ConnectionId> {
        let mut dropped = Vec::new();
        while let Some(&(at, key)) = self.wakes.first().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, key));
            let Some(dial) = self.dials.get_mut(&key) else { continue };
            dial.wake = None;
            let over = now >= dial.deadline;
            let late = dial.attempts.iter().filter(|(_, attempt)| over || now >= attempt.deadline);
            let late: Vec<ConnectionId> = late.map(|(id, _)| *id).collect();
            if over {
                let untried = dial.waiting.drain(..);
                dial.failures.extend(untried.map(|(_, address)| (address, AttemptError::TimedOut)));
            }
            for id in late {
                self.failed(now, key, id, AttemptError::TimedOut);
                dropped.push(id);
            }
            self.schedule(now, key);
        }
        dropped
    }

    /// Removes a dial.
    fn end(&mut self, key: u64) -> Outcome {
        let Some(dial) = self.dials.remove(&key) else { return Outcome::default() };
        if let Some(peer) = &dial.peer {
            self.peers.remove(peer);
        }
        if let Some(at) = dial.wake {
            self.wakes.remove(&(at, key));
        }
        self.turns.retain(|known| *known != key);
        self.exhausted.retain(|known| *known != key);
        self.in_flight = self.in_flight.saturating_sub(dial.attempts.len());
        Outcome {
            askers: dial.askers.into_iter().map(|(asker, _)| asker).collect(),
            dropped: dial.attempts.keys().copied().collect(),
            failures: dial.failures,
        }
    }

    /// Sees to it that a dial gets its turn, its look, or its end.
    fn schedule(&mut self, now: Instant, key: u64) {
        let Some(dial) = self.dials.get_mut(&key) else { return };
        if dial.waiting.is_empty() && dial.attempts.is_empty() {
            return self.exhausted.push(key);
        }
        let due = dial.due();
        if due.is_some_and(|at| at <= now) && !dial.in_turn {
            dial.in_turn = true;
            self.turns.push_back(key);
        }
        let limits = dial.attempts.values().map(|attempt| attempt.deadline);
        let wake = limits.chain(due.filter(|at| *at > now)).fold(dial.deadline, Instant::min);
        if dial.wake != Some(wake) {
            if let Some(at) = dial.wake.replace(wake) {
                self.wakes.remove(&(at, key));
            }
            self.wakes.insert((wake, key));
        }
    }
}

impl Dial {
    fn count(&self) -> usize {
        self.waiting.len() + self.attempts.len() + self.failures.len()
    }

    fn knows(&self, address: &Multiaddr) -> bool {
        self.waiting.iter().any(|(_, known)| known == address)
            || self.attempts.values().any(|attempt| attempt.address == *address)
            || self.failures.iter().any(|(known, _)| known == address)
    }

    /// When the next address is to be tried: at once if nothing else is.
    fn due(&self) -> Option<Instant> {
        let (at, _) = self.waiting.first()?;
        let hurry = self.attempts.is_empty() || *at <= self.hurry;
        Some(if hurry { Instant::ZERO } else { self.hold.max(*at) })
    }
}

#[cfg(all(test, feature = "dialing"))]
mod tests;
