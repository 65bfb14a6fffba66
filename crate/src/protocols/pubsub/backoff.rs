//! Who is not to be grafted for a while. Source: gossipsub v1.1, "PRUNE Backoff and Peer
//! Exchange".

use core::time::Duration;

use crate::collections::LongMap;
use crate::identity::PeerId;
use crate::time::Instant;

use super::message::TopicName;

/// The longest backoff that a remote may ask for: an hour.
pub const MAX_BACKOFF: Duration = Duration::from_secs(3600);
/// Backoffs that are remembered, of all topics and peers; when it is full, no more are
/// taken until some are over.
pub const MAX_BACKOFFS: usize = 1 << 16;

/// What we wait beyond a backoff, since the other's heartbeat clears it later.
pub(super) const SLACK: Duration = Duration::from_secs(1);

/// Until when we do not graft a peer in a topic, nor it us.
#[derive(Default)]
pub(super) struct Backoffs {
    until: LongMap<(TopicName, PeerId), Instant>,
}

impl Backoffs {
    /// From now on for so long; a longer one that is there stays.
    pub(super) fn add(&mut self, now: Instant, topic: &TopicName, peer: PeerId, time: Duration) {
        let until = now + time.min(MAX_BACKOFF);
        let key = (topic.clone(), peer);
        if let Some(known) = self.until.get_mut(&key) {
            *known = until.max(*known);
        } else if self.until.len() < MAX_BACKOFFS {
            self.until.insert(key, until);
        }
    }

    pub(super) fn until(&self, topic: &TopicName, peer: &PeerId) -> Option<Instant> {
        self.until.get(&(topic.clone(), *peer)).copied()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.until.retain(|_, until| *until + SLACK > now);
    }
}
