//! The search for those who are nearest to a key.
//!
//! Asks the nearest that are known, takes in whom they name, and goes on until the
//! `k` nearest that were heard of have answered (kad-dht, "Peer routing"). With more
//! than one path (S/Kademlia, "Lookup over disjoint paths") each path goes its own
//! way over peers that no other path asks: a hostile peer spoils one of them.
//!
//! What a remote can fill: candidates ([`MAX_CANDIDATES`] a path, the nearest), and
//! with endless referrals the number of peers asked ([`Config::max_asked`]).

use crate::collections::sort::sort_by;
use crate::collections::{Map, Set};
use crate::identity::PeerId;

use super::key::{Distance, Key};

/// Peers that a path remembers; the farthest that was not asked is forgotten when
/// there would be more.
pub const MAX_CANDIDATES: usize = 256;

/// How a lookup goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The nearest peers that are looked for; 20.
    pub k: usize,
    /// Peers that are asked at a time; 10.
    pub alpha: usize,
    /// Ways that share no peer; 1.
    pub paths: usize,
    /// Peers that are asked in all, at most; 500.
    pub max_asked: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { k: 20, alpha: 10, paths: 1, max_asked: 500 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Heard,
    Asked,
    /// Asked, and slow: it may answer still, but nobody waits for it.
    Late,
    Answered,
    Failed,
}

impl State {
    fn counts(self) -> bool {
        !matches!(self, Self::Late | Self::Failed)
    }
}

#[derive(Clone, Debug)]
struct Candidate {
    peer: PeerId,
    state: State,
    /// How many referrals it is away from us.
    hops: u32,
}

#[derive(Clone, Debug, Default)]
struct Path {
    candidates: Map<Distance, Candidate>,
    waiting: usize,
}

impl Path {
    /// Whether the `k` nearest have answered, or nobody is left.
    fn is_done(&self, k: usize) -> bool {
        let alive = self.candidates.values().filter(|one| one.state.counts());
        alive.take(k).all(|one| one.state == State::Answered)
    }

    /// The nearest that was not asked, among the `k` nearest that are alive.
    fn next(&mut self, k: usize) -> Option<&mut Candidate> {
        let alive = self.candidates.values_mut().filter(|one| one.state.counts());
        alive.take(k).find(|one| one.state == State::Heard)
    }

    fn forget_the_farthest(&mut self) {
        let heard = |(_, one): &(&Distance, &Candidate)| one.state == State::Heard;
        let farthest = self.candidates.iter().rev().find(heard).map(|(distance, _)| *distance);
        if let Some(farthest) = farthest {
            self.candidates.remove(&farthest);
        }
    }
}

/// A lookup under way.
#[derive(Clone, Debug)]
pub struct Lookup {
    config: Config,
    target: Key,
    local: Key,
    paths: Vec<Path>,
    /// Whom which path asks.
    owners: Map<PeerId, usize>,
    /// The path whose turn it is.
    turn: usize,
    asked: usize,
    answered: usize,
    /// Ended before its end.
    over: bool,
}

impl Lookup {
    /// A lookup for `target` that begins with these peers; `local` is us, who are
    /// never asked.
    pub fn new(config: Config, target: Key, local: Key, seeds: &[PeerId]) -> Self {
        let paths = config.paths.clamp(1, seeds.len().max(1));
        let mut lookup = Self {
            config,
            target,
            local,
            paths: vec![Path::default(); paths],
            owners: Map::new(),
            turn: 0,
            asked: 0,
            answered: 0,
            over: false,
        };
        for (at, seed) in seeds.iter().enumerate() {
            lookup.hear(at % paths, *seed, 1);
        }
        lookup
    }

    /// What is looked for.
    pub fn target(&self) -> &Key {
        &self.target
    }

    /// The next to be asked now; call until there is none.
    pub fn next_peer(&mut self) -> Option<PeerId> {
        let in_flight: usize = self.paths.iter().map(|path| path.waiting).sum();
        if self.over || in_flight >= self.config.alpha || self.asked >= self.config.max_asked {
            return None;
        }
        let share = self.config.alpha.div_ceil(self.paths.len());
        for _ in 0..self.paths.len() {
            let at = self.turn;
            self.turn = (self.turn + 1) % self.paths.len();
            let Some(path) = self.paths.get_mut(at).filter(|path| path.waiting < share) else {
                continue;
            };
            if let Some(candidate) = path.next(self.config.k) {
                candidate.state = State::Asked;
                let peer = candidate.peer;
                path.waiting += 1;
                self.asked += 1;
                return Some(peer);
            }
        }
        None
    }

    /// A peer that was asked has answered, and names these. How many of them are new.
    pub fn answered(&mut self, peer: &PeerId, closer: impl IntoIterator<Item = PeerId>) -> usize {
        let Some((path, hops)) = self.settle(peer, State::Answered) else { return 0 };
        self.answered += 1;
        closer.into_iter().filter(|closer| self.hear(path, *closer, hops + 1)).count()
    }

    /// A peer that was asked has not answered, or nonsense, or cannot be reached.
    pub fn failed(&mut self, peer: &PeerId) {
        self.settle(peer, State::Failed);
    }

    /// A peer that was asked takes long: others are asked meanwhile, and the lookup may
    /// end without it.
    pub fn late(&mut self, peer: &PeerId) {
        self.settle(peer, State::Late);
    }

    /// A peer that was to be asked is not: it does not count.
    pub fn skipped(&mut self, peer: &PeerId) {
        if self.settle(peer, State::Failed).is_some() {
            self.asked -= 1;
        }
    }

    /// A peer that was asked gave its answer; the path and how far it is away.
    fn settle(&mut self, peer: &PeerId, state: State) -> Option<(usize, u32)> {
        let at = *self.owners.get(peer)?;
        let distance = self.target.distance(&Key::of_peer(peer));
        let path = self.paths.get_mut(at)?;
        let candidate = path.candidates.get_mut(&distance)?;
        match candidate.state {
            State::Asked => path.waiting -= 1,
            State::Late => {}
            _ => return None,
        }
        candidate.state = state;
        Some((at, candidate.hops))
    }

    /// How many referrals a peer is away from us; zero if it is not remembered.
    pub fn hops_of(&self, peer: &PeerId) -> u32 {
        let path = self.owners.get(peer).and_then(|at| self.paths.get(*at));
        let distance = self.target.distance(&Key::of_peer(peer));
        path.and_then(|path| path.candidates.get(&distance)).map_or(0, |one| one.hops)
    }

    /// Whether `peer` is remembered: it may be asked still, or was.
    pub fn remembers(&self, peer: &PeerId) -> bool {
        self.owners.contains_key(peer)
    }

    /// Takes a peer in, unless it is us or another path's.
    fn hear(&mut self, at: usize, peer: PeerId, hops: u32) -> bool {
        let key = Key::of_peer(&peer);
        let Some(path) = self.paths.get_mut(at).filter(|_| key != self.local) else { return false };
        if self.owners.contains_key(&peer) {
            return false;
        }
        let distance = self.target.distance(&key);
        path.candidates.insert(distance, Candidate { peer, state: State::Heard, hops });
        self.owners.insert(peer, at);
        if path.candidates.len() > MAX_CANDIDATES {
            path.forget_the_farthest();
            let kept: Set<PeerId> = path.candidates.values().map(|one| one.peer).collect();
            self.owners.retain(|peer, owner| *owner != at || kept.contains(peer));
        }
        true
    }

    /// Ends it now: what was found is enough.
    pub fn end(&mut self) {
        self.over = true;
    }

    /// Whether it was not ended before its end, and did not ask too many.
    pub fn ran_its_course(&self) -> bool {
        !self.over && self.asked < self.config.max_asked
    }

    /// Whether peers that take long may answer still.
    pub fn has_late(&self) -> bool {
        let mut all = self.paths.iter().flat_map(|path| path.candidates.values());
        !self.over && all.any(|one| one.state == State::Late)
    }

    /// Whether there is nobody left to ask or to wait for.
    pub fn is_done(&self) -> bool {
        if self.over {
            return true;
        }
        let waits = self.paths.iter().any(|path| path.waiting > 0);
        let done = self.paths.iter().all(|path| path.is_done(self.config.k));
        done || (!waits && self.asked >= self.config.max_asked)
    }

    /// The `k` nearest that have answered, the nearest first.
    pub fn closest(&self) -> Vec<PeerId> {
        let answered = |path: &Path| {
            let answered = path.candidates.iter().filter(|(_, one)| one.state == State::Answered);
            answered.map(|(distance, one)| (*distance, one.peer)).collect::<Vec<_>>()
        };
        let mut found: Vec<_> = self.paths.iter().flat_map(answered).collect();
        sort_by(&mut found, Ord::cmp);
        found.truncate(self.config.k);
        found.into_iter().map(|(_, peer)| peer).collect()
    }

    /// Peers that are remembered, in all paths.
    pub fn remembered(&self) -> usize {
        self.paths.iter().map(|path| path.candidates.len()).sum()
    }

    /// Peers that were asked so far.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// Peers that have answered so far.
    pub fn answers(&self) -> usize {
        self.answered
    }

    /// The longest chain of referrals among those that have answered.
    pub fn hops(&self) -> u32 {
        let answered = self.paths.iter().flat_map(|path| path.candidates.values());
        let hops = answered.filter(|one| one.state == State::Answered).map(|one| one.hops);
        hops.max().unwrap_or_default()
    }
}
