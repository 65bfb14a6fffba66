//! How what peers say gets from one to another.

use core::cmp::Reverse;
use core::time::Duration;
use std::sync::Arc;

use crate::protocols::pubsub::wire::Item;
use crate::protocols::pubsub::{Out, Version};
use crate::time::Instant;

use super::{Network, TOPIC};

/// Regions of the world: Virginia, Oregon, São Paulo, Ireland, Frankfurt, Mumbai,
/// Singapore, Tokyo, Sydney.
pub(super) const REGIONS: usize = 9;

/// Round trips between them in milliseconds, as the public tables of large clouds have
/// them, rounded; and within one, between people's homes.
const ROUND_TRIPS: [[u64; REGIONS]; REGIONS] = [
    [20, 65, 115, 70, 90, 190, 220, 150, 200],
    [65, 20, 175, 125, 145, 220, 165, 100, 140],
    [115, 175, 20, 180, 200, 300, 330, 255, 310],
    [70, 125, 180, 20, 25, 125, 180, 200, 255],
    [90, 145, 200, 25, 20, 115, 165, 225, 250],
    [190, 220, 300, 125, 115, 20, 60, 125, 150],
    [220, 165, 330, 180, 165, 60, 20, 70, 95],
    [150, 100, 255, 200, 225, 125, 70, 20, 105],
    [200, 140, 310, 255, 250, 150, 95, 105, 20],
];

/// How long it takes until what was lost is sent again, beside a round trip.
const AGAIN: Duration = Duration::from_millis(200);
/// How long it takes until a peer that left without a word is missed.
const MISSED: Duration = Duration::from_secs(10);

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Happening {
    Timer(usize),
    /// A connection can be used.
    Met {
        host: usize,
        other: usize,
        outbound: bool,
    },
    /// Something was said to a host.
    Said {
        host: usize,
        by: usize,
        item: Arc<Item>,
    },
    /// The end of a connection shows.
    Parted {
        host: usize,
        other: usize,
    },
    /// A hostile peer has its turn.
    Mischief(usize),
    /// A hostile peer may ask another again to be in its mesh.
    Graft {
        host: usize,
        other: usize,
    },
}

// Those of one moment happen in the order in which they were scheduled.
impl PartialEq for Happening {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Happening {}

impl PartialOrd for Happening {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Happening {
    fn cmp(&self, _: &Self) -> core::cmp::Ordering {
        core::cmp::Ordering::Equal
    }
}

impl Network {
    pub(super) fn schedule(&mut self, at: Instant, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence, happening)));
    }

    /// How long something is under way: a tenth more or less each time.
    fn under_way(&mut self, from: usize, to: usize) -> Duration {
        let trip = ROUND_TRIPS[self.hosts[from].region][self.hosts[to].region];
        let one_way = trip * 500;
        let mut time = one_way * 9 / 10 + self.rng.below(one_way / 5);
        if self.rng.below(1000) < self.loss {
            time += 2 * one_way + AGAIN.as_micros() as u64;
        }
        Duration::from_micros(time)
    }

    /// Two peers connect: after three round trips both can speak.
    pub(super) fn introduce(&mut self, from: usize, to: usize) {
        let now = self.now;
        let way = self.under_way(from, to);
        let (there, back) = (now + way * 5, now + way * 6);
        self.hosts[from].links.insert(to, now);
        // What is said at once comes when the other can hear it.
        self.hosts[to].links.insert(from, back);
        self.schedule(there, Happening::Met { host: to, other: from, outbound: false });
        self.schedule(back, Happening::Met { host: from, other: to, outbound: true });
    }

    /// A connection ends: `host` finds out after a while.
    pub(super) fn part(&mut self, host: usize, other: usize) {
        self.hosts[host].links.remove(&other);
        self.schedule(self.now + MISSED, Happening::Parted { host, other });
    }

    pub(super) fn say(&mut self, from: usize, to: usize, item: Arc<Item>) {
        let size = item.size() as u64;
        match &*item {
            Item::Message(_) => {
                self.carried.copies += 1;
                self.carried.data += size;
            }
            _ => self.carried.control += size,
        }
        // All else is of no interest to those who are hostile.
        if self.hosts[to].router.is_none() && !matches!(*item, Item::Prune { .. }) {
            return;
        }
        let at = self.now + self.under_way(from, to);
        let Some(last) = self.hosts[from].links.get_mut(&to) else { return };
        // What was said first arrives first.
        let at = at.max(*last);
        *last = at;
        self.schedule(at, Happening::Said { host: to, by: from, item });
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Timer(index) => {
                let host = &mut self.hosts[index];
                if !host.alive || host.timer.is_none_or(|at| at > now) {
                    return;
                }
                host.timer = None;
                if let Some(router) = &mut host.router {
                    router.handle_timeout(now);
                }
                self.settle(index);
            }
            Happening::Met { host: index, other, outbound } => {
                let peer = self.hosts[other].id;
                let host = &mut self.hosts[index];
                if !host.alive || !host.links.contains_key(&other) {
                    return;
                }
                let Some(router) = &mut host.router else { return self.hostile_met(index, other) };
                router.connected(now, peer, Version::V1_3, (outbound, None));
                for item in router.greeting(&peer, false) {
                    self.say(index, other, Arc::new(item));
                }
                self.settle(index);
            }
            Happening::Said { host: index, by, item } => {
                let peer = self.hosts[by].id;
                let host = &mut self.hosts[index];
                if !host.alive || !host.links.contains_key(&by) {
                    return;
                }
                let Some(router) = &mut host.router else {
                    return self.hostile_told(index, by, &item);
                };
                if router.listens_to(now, &peer) {
                    router.receive(now, &peer, Arc::unwrap_or_clone(item));
                    self.settle(index);
                }
            }
            Happening::Parted { host: index, other } => {
                let peer = self.hosts[other].id;
                let host = &mut self.hosts[index];
                if host.alive
                    && !host.links.contains_key(&other)
                    && let Some(router) = &mut host.router
                {
                    router.disconnected(now, &peer);
                    self.settle(index);
                }
            }
            Happening::Mischief(index) => self.mischief(index),
            Happening::Graft { host, other } => {
                self.say(host, other, Arc::new(Item::Graft(TOPIC.into())));
            }
        }
    }

    /// Carries out what a router wants.
    pub(super) fn settle(&mut self, index: usize) {
        while let Some(out) = self.hosts[index].router.as_mut().and_then(|router| router.poll()) {
            let (peer, item) = match out {
                Out::Send(peer, item) => (peer, item),
                Out::Message(peer, _, message) => (peer, Item::Message(message)),
                Out::Event(event) => {
                    self.told(index, &event);
                    continue;
                }
                _ => continue,
            };
            if let Some(to) = self.by_id.get(&peer).copied() {
                self.say(index, to, Arc::new(item));
            }
        }
        let host = &mut self.hosts[index];
        if let Some(at) = host.router.as_ref().and_then(|router| router.poll_timeout())
            && host.alive
            && host.timer.is_none_or(|known| at < known)
        {
            host.timer = Some(at);
            self.schedule(at, Happening::Timer(index));
        }
    }
}
