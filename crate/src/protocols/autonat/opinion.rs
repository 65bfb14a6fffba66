//! What servers say of one address, taken together.

use core::time::Duration;

use crate::swarm::addresses::{Group, Reachability};
use crate::time::Instant;

/// Voices that are kept; older ones make room.
pub(super) const MAX_VOTES: usize = 8;
/// How long a voice counts.
pub(super) const VOTE_TTL: Duration = Duration::from_secs(3 * 60 * 60);
/// How long a server's network is not asked again for the same address.
pub(super) const REPEAT: Duration = Duration::from_secs(10 * 60);
/// How long an address that can be dialed is not asked for.
const REFRESH_PUBLIC: Duration = Duration::from_secs(60 * 60);
/// How long one that cannot be dialed is not asked for: the network may change.
const REFRESH_PRIVATE: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Vote {
    /// It was dialed, and the dial arrived.
    Proved,
    /// It is said that it could be dialed.
    Yes,
    /// It is said that it could not be dialed.
    No,
    /// Nothing came of the question.
    Nothing,
}

impl Vote {
    fn weight(self) -> isize {
        match self {
            Self::Proved => 2,
            Self::Yes => 1,
            Self::No => -1,
            Self::Nothing => 0,
        }
    }
}

#[derive(Default)]
pub(super) struct Opinion {
    /// Each network's last one, the oldest first.
    votes: Vec<(Instant, Group, Vote)>,
    pub(super) state: Reachability,
}

impl Opinion {
    /// Hears a voice; whether the state is another one now.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        confidence: usize,
        group: Group,
        vote: Vote,
    ) -> bool {
        self.votes.retain(|(at, of, _)| *of != group && *at + VOTE_TTL > now);
        if self.votes.len() >= MAX_VOTES {
            self.votes.remove(0);
        }
        self.votes.push((now, group, vote));
        let (score, enough) = (self.score(), confidence.max(1) as isize);
        let state = match self.state {
            _ if score >= enough => Reachability::Public,
            _ if score <= -enough => Reachability::Private,
            // It stays what it was until something speaks against it.
            Reachability::Public if score > 0 => Reachability::Public,
            Reachability::Private if score < 0 => Reachability::Private,
            _ => Reachability::Unknown,
        };
        core::mem::replace(&mut self.state, state) != state
    }

    fn score(&self) -> isize {
        self.votes.iter().map(|(.., vote)| vote.weight()).sum()
    }

    /// When another voice is wanted.
    pub(super) fn due(&self, confidence: usize) -> Instant {
        let last = self.votes.last().map_or(Instant::ZERO, |(at, ..)| *at);
        match self.state {
            _ if self.score().unsigned_abs() < confidence.max(1) => Instant::ZERO,
            Reachability::Public => last + REFRESH_PUBLIC,
            _ => last + REFRESH_PRIVATE,
        }
    }

    /// When a network may be asked.
    pub(super) fn free(&self, group: Group) -> Instant {
        let said = self.votes.iter().find(|(_, of, _)| *of == group);
        said.map_or(Instant::ZERO, |(at, ..)| *at + REPEAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(number: u8) -> Group {
        Group::of([20, 0, number, 1].into())
    }

    #[test]
    fn several_networks_make_an_opinion_and_proof_counts_twice() {
        let (mut opinion, now) = (Opinion::default(), Instant::ZERO);
        let mut hear = |number, vote| {
            opinion.hear(now, 3, group(number), vote);
            opinion.state
        };
        for _ in 0..10 {
            assert_eq!(hear(1, Vote::No), Reachability::Unknown, "one network is one voice");
        }
        assert_eq!(hear(2, Vote::No), Reachability::Unknown);
        assert_eq!(hear(3, Vote::No), Reachability::Private);
        // Words against it make it doubtful first, and proof overrules them.
        assert_eq!(hear(4, Vote::Proved), Reachability::Private);
        assert_eq!(hear(5, Vote::Proved), Reachability::Unknown);
        assert_eq!(hear(6, Vote::Proved), Reachability::Public);
        assert_eq!(hear(7, Vote::No), Reachability::Public);
    }

    #[test]
    fn an_opinion_is_asked_for_anew_after_a_while() {
        let (mut opinion, mut now) = (Opinion::default(), Instant::ZERO);
        assert_eq!(opinion.due(3), Instant::ZERO);
        opinion.hear(now, 3, group(1), Vote::Proved);
        assert_eq!(opinion.due(3), Instant::ZERO);
        opinion.hear(now, 3, group(2), Vote::Proved);
        assert_eq!(opinion.due(3), now + REFRESH_PUBLIC);
        assert_eq!((opinion.free(group(2)), opinion.free(group(3))), (now + REPEAT, Instant::ZERO));
        // What was said long ago counts no more.
        now = now + VOTE_TTL;
        opinion.hear(now, 3, group(3), Vote::No);
        assert_eq!(opinion.state, Reachability::Unknown);
        for number in 0..200 {
            opinion.hear(now, 3, group(number), Vote::Nothing);
        }
        assert_eq!(opinion.votes.len(), MAX_VOTES);
    }
}
