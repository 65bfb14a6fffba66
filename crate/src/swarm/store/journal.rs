//! What is to be written down, and when.

use crate::collections::LongSet;
use core::time::Duration;

use crate::identity::PeerId;
use crate::time::Instant;

/// One write, to be carried out in the order in which they come. Writes of one
/// key may be left out for its latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The bytes of a PeerId.
    pub key: Vec<u8>,
    /// What stands there from now on; `None` deletes.
    pub value: Option<Vec<u8>>,
}

/// Whose entries differ from what is written. However often one changes between
/// two writings, it is written once.
#[derive(Default)]
pub(super) struct Journal {
    interval: Option<Duration>,
    changed: LongSet<PeerId>,
    /// When what has changed is due.
    due: Option<Instant>,
    /// What is being written now.
    writing: LongSet<PeerId>,
    /// Keys under which nothing usable was found.
    garbage: Vec<Vec<u8>>,
}

/// What [`Journal::next`] wants written.
pub(super) enum Key {
    Peer(PeerId),
    Garbage(Vec<u8>),
}

impl Journal {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Self { interval, ..Self::default() }
    }

    pub(super) fn changed(&mut self, now: Instant, peer: PeerId) {
        if self.interval.is_some() {
            self.changed.insert(peer);
            self.schedule(now);
        }
    }

    pub(super) fn unusable(&mut self, now: Instant, key: Vec<u8>) {
        if self.interval.is_some() {
            self.garbage.push(key);
            self.schedule(now);
        }
    }

    fn schedule(&mut self, now: Instant) {
        if let Some(interval) = self.interval {
            self.due.get_or_insert(now + interval);
        }
    }

    /// When there is something to write.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Begins to write what is due, or all at once.
    pub(super) fn begin(&mut self, now: Instant, all: bool) {
        if self.due.is_some_and(|due| all || due <= now) {
            self.due = None;
            self.writing.append(&mut self.changed);
        }
    }

    pub(super) fn next(&mut self) -> Option<Key> {
        // Until the first change is due, garbage waits as well.
        if self.due.is_none()
            && let Some(key) = self.garbage.pop()
        {
            return Some(Key::Garbage(key));
        }
        self.writing.pop_first().map(Key::Peer)
    }
}
