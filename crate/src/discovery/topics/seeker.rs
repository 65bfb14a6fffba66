//! Whom to ask for the peers of which topic, when, and whom of those who were found to dial.

use core::time::Duration;
use std::collections::VecDeque;

use crate::address::Multiaddr;
use crate::collections::{LongMap, Map};
use crate::identity::PeerId;
use crate::protocols::pubsub::TopicName;
use crate::rng::Rng;
use crate::time::{Instant, earliest};

use super::Way;

/// Peers that may be dialed for a topic and are not yet; further ones are not kept.
pub const MAX_CANDIDATES: usize = 64;
/// Dials for all topics at a time.
pub const MAX_DIALS: usize = 8;
/// Peers that are remembered to have been dialed, so that they are not at once again.
pub const MAX_TRIED: usize = 1024;
/// Searches, and announcements, of all topics at a time.
const MAX_UNDER_WAY: usize = 8;

/// How often topics are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// The first wait before a way is tried again; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait before others are looked for again.
const MAX_SEARCH_WAIT: Duration = Duration::from_secs(300);
/// The longest wait before we announce ourselves again where too few have heard it.
const MAX_ANNOUNCE_WAIT: Duration = Duration::from_secs(3600);
/// How long a peer that was dialed has until it is in the mesh.
const SETTLE: Duration = Duration::from_secs(5);
/// How long a peer that was dialed is left alone; it doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const MAX_BACKOFF: Duration = Duration::from_secs(3600);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Let others find us in a topic.
    Announce(Way, TopicName),
    /// We are not to be found there any more.
    Withdraw(Way, TopicName),
    /// Look for others.
    Search(Way, TopicName),
    /// Connect to a peer.
    Dial(TopicName, PeerId, Vec<Multiaddr>),
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// We announced ourselves.
    Announced {
        /// Where.
        way: Way,
        /// In which topic.
        topic: TopicName,
        /// Whether all who should know of it do; else it is done again.
        done: bool,
    },
    /// A search is over.
    Searched {
        /// Where.
        way: Way,
        /// In which topic.
        topic: TopicName,
    },
    /// A dial is over.
    Dialed {
        /// For which topic.
        topic: TopicName,
        /// Who was dialed.
        peer: PeerId,
    },
}

/// Something that is done again and again, with growing pauses.
#[derive(Clone, Copy)]
struct Task {
    /// When next; `None` while it is being done, or is done for good.
    at: Option<Instant>,
    under_way: bool,
    wait: Duration,
}

impl Task {
    fn new(now: Instant) -> Self {
        Self { at: Some(now), under_way: false, wait: FIRST_WAIT }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }

    fn begin(&mut self) {
        (self.at, self.under_way) = (None, true);
    }

    fn again(&mut self, now: Instant, longest: Duration) {
        (self.at, self.under_way) = (Some(now + self.wait), false);
        self.wait = (self.wait * 2).min(longest);
    }
}

/// One way in one topic.
struct Trail {
    announce: Task,
    /// Others may find us there.
    told: bool,
    search: Task,
}

impl Trail {
    fn new(now: Instant) -> Self {
        Self { announce: Task::new(now), told: false, search: Task::new(now) }
    }
}

/// A topic that we are in.
#[derive(Default)]
struct Sought {
    trails: Map<Way, Trail>,
    candidates: Vec<(PeerId, Vec<Multiaddr>)>,
    /// Those who are being dialed, and those who were and may still come into the mesh.
    dialed: Map<PeerId, Option<Instant>>,
}

/// A peer that was dialed.
struct Tried {
    until: Instant,
    wait: Duration,
}

/// Looks for the peers of topics. See the [module](super).
pub struct Seeker {
    topics: LongMap<TopicName, Sought>,
    tried: LongMap<PeerId, Tried>,
    out: VecDeque<Order>,
    due: Option<Instant>,
    rng: Rng,
}

impl Seeker {
    /// A seeker that knows no topic.
    pub fn new(rng: Rng) -> Self {
        Self { topics: LongMap::new(), tried: LongMap::new(), out: VecDeque::new(), due: None, rng }
    }

    /// Somebody is said to be in a topic; whether it is news and may be dialed.
    pub fn found(
        &mut self,
        now: Instant,
        topic: &str,
        peer: PeerId,
        addresses: &[Multiaddr],
    ) -> bool {
        if self.tried.get(&peer).is_some_and(|tried| tried.until > now) {
            return false;
        }
        let Some(sought) = self.topics.get_mut(topic) else { return false };
        if let Some((_, known)) = sought.candidates.iter_mut().find(|(known, _)| *known == peer) {
            *known = addresses.to_vec();
            return false;
        }
        if sought.candidates.len() >= MAX_CANDIDATES {
            return false;
        }
        sought.candidates.push((peer, addresses.to_vec()));
        true
    }

    /// Something came of an order.
    pub fn note(&mut self, now: Instant, news: News) {
        match news {
            News::Announced { way, topic, done } => {
                let Some(trail) = self.trail(&way, &topic) else { return };
                match done {
                    true => trail.announce.under_way = false,
                    false => trail.announce.again(now, MAX_ANNOUNCE_WAIT),
                }
            }
            News::Searched { way, topic } => {
                if let Some(trail) = self.trail(&way, &topic) {
                    trail.search.again(now, MAX_SEARCH_WAIT);
                }
            }
            News::Dialed { topic, peer } => {
                let dialed = self.topics.get_mut(&topic).and_then(|it| it.dialed.get_mut(&peer));
                if let Some(until) = dialed {
                    *until = Some(now + SETTLE);
                }
            }
        }
    }

    fn trail(&mut self, way: &Way, topic: &str) -> Option<&mut Trail> {
        self.topics.get_mut(topic)?.trails.get_mut(way)
    }

    /// Does what is to be done: `wanted` are the topics that we are in, in order, each with
    /// how many peers it lacks, `ways` how others can be found now and whether they are to
    /// find us there, and who is `connected` need not be dialed.
    pub fn advance(
        &mut self,
        now: Instant,
        wanted: &[(TopicName, usize)],
        (ways, announce): (&[Way], bool),
        connected: impl Fn(&PeerId) -> bool,
    ) {
        self.drop_others(now, wanted, ways, announce);
        self.due = (!wanted.is_empty()).then(|| now + LOOK);
        let (mut announcing, mut searching) = self.under_way();
        let mut dialing = self.dialing();
        for (topic, lacks) in wanted {
            let sought = self.topics.entry(topic.clone()).or_default();
            sought.dialed.retain(|_, until| until.is_none_or(|until| until > now));
            sought.candidates.retain(|(peer, _)| !connected(peer));
            for way in ways {
                let trail = sought.trails.get_or_insert_with(*way, || Trail::new(now));
                if announce && trail.announce.is_due(now) && announcing < MAX_UNDER_WAY {
                    announcing += 1;
                    trail.told = true;
                    trail.announce.begin();
                    self.out.push_back(Order::Announce(*way, topic.clone()));
                }
                if *lacks == 0 && !trail.search.under_way {
                    // When it lacks some again, they are looked for at once.
                    trail.search = Task::new(now);
                } else if trail.search.is_due(now) && searching < MAX_UNDER_WAY {
                    searching += 1;
                    trail.search.begin();
                    self.out.push_back(Order::Search(*way, topic.clone()));
                }
                for at in [trail.announce.at, trail.search.at] {
                    self.due = earliest(self.due, at.filter(|at| *at > now));
                }
            }
            let room = lacks.saturating_sub(sought.dialed.len());
            let room = room.min(MAX_DIALS.saturating_sub(dialing));
            for _ in 0..room.min(sought.candidates.len()) {
                // Whoever was named first may be one of many that somebody made up.
                let chosen = self.rng.below(sought.candidates.len() as u64) as usize;
                let (peer, addresses) = sought.candidates.swap_remove(chosen);
                dialing += 1;
                sought.dialed.insert(peer, None);
                remember(&mut self.tried, now, peer);
                self.out.push_back(Order::Dial(topic.clone(), peer, addresses));
            }
        }
    }

    /// Ends what belongs to topics that we have left, and to ways that there are no more.
    fn drop_others(
        &mut self,
        now: Instant,
        wanted: &[(TopicName, usize)],
        ways: &[Way],
        announce: bool,
    ) {
        let out = &mut self.out;
        self.topics.retain(|topic, sought| {
            let stays = wanted.binary_search_by(|(name, _)| name.cmp(topic)).is_ok();
            sought.trails.retain(|way, trail| {
                let keeps = stays && ways.contains(way);
                if trail.told && !(keeps && announce) {
                    out.push_back(Order::Withdraw(*way, topic.clone()));
                    (trail.announce, trail.told) = (Task::new(now), false);
                }
                keeps
            });
            stays
        });
    }

    /// Announcements and searches under way.
    fn under_way(&self) -> (usize, usize) {
        let trails = || self.topics.values().flat_map(|sought| sought.trails.values());
        let announcing = trails().filter(|trail| trail.announce.under_way).count();
        (announcing, trails().filter(|trail| trail.search.under_way).count())
    }

    fn dialing(&self) -> usize {
        let dials = self.topics.values().flat_map(|sought| sought.dialed.values());
        dials.filter(|until| until.is_none()).count()
    }

    /// Peers that are remembered to have been dialed.
    pub fn remembered(&self) -> usize {
        self.tried.len()
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Order> {
        self.out.pop_front()
    }

    /// When [`Seeker::advance`] is due; early calls are harmless.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

/// Keeps in mind that a peer is dialed now.
fn remember(tried: &mut LongMap<PeerId, Tried>, now: Instant, peer: PeerId) {
    let before = tried.get(&peer).filter(|it| it.until + it.wait > now).map(|it| it.wait);
    let wait = before.map_or(FIRST_BACKOFF, |wait| (wait * 2).min(MAX_BACKOFF));
    if tried.len() >= MAX_TRIED
        && !tried.contains_key(&peer)
        && let Some(first) = tried.iter().min_by_key(|(_, it)| it.until).map(|(peer, _)| *peer)
    {
        tried.remove(&first);
    }
    tried.insert(peer, Tried { until: now + wait, wait });
}
