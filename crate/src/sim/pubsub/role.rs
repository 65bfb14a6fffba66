//! What peers do that are not honest: the attacks of the evaluation of gossipsub v1.1.
//!
//! A hostile peer has no router: it knows whom it is connected to, and what to say to them.

use core::time::Duration;
use std::sync::Arc;

use crate::protocols::pubsub::wire::Item;
use crate::protocols::pubsub::{Message, MessageId};

use super::carry::Happening;
use super::{BAD, Network, TOPIC};

/// How often a hostile peer has its turn.
const EVERY: Duration = Duration::from_secs(1);
/// Messages that it tells of or asks for in a turn.
const MANY: usize = 20;
/// GRAFTs of a flood in a turn.
const GRAFTS: usize = 10;
/// What one waits, at most, beyond the backoff that one was told.
const AFTER_BACKOFF: u64 = 10_000;

/// What a peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// What it should.
    Honest,
    /// It asks to be in all meshes as often as it may, and passes nothing on.
    Silent,
    /// As `Silent`, and it tells of messages that there are not (IHAVE).
    FalseGossip,
    /// As `Silent`, and it asks for the same messages again and again (IWANT).
    Greedy,
    /// As `Silent`, and it sends bad messages.
    Invalid,
    /// It asks to be in all meshes, whatever it is told.
    GraftFlood,
}

impl Network {
    /// A peer does something else from now on. One that was honest keeps the places in
    /// meshes that it has, and never is honest again.
    pub fn set_role(&mut self, index: usize, role: Role) {
        if self.hosts[index].role == Role::Honest && role != Role::Honest {
            let host = &mut self.hosts[index];
            (host.router, host.timer) = (None, None);
            for other in host.links.keys().copied().collect::<Vec<_>>() {
                self.graft_after(index, other, Duration::from_secs(60));
            }
        }
        self.hosts[index].role = role;
        self.begin_mischief(index);
    }

    /// Gives a hostile peer that does something by itself its first turn.
    pub(super) fn begin_mischief(&mut self, index: usize) {
        if !matches!(self.hosts[index].role, Role::Honest | Role::Silent) {
            let at = self.now + Duration::from_micros(self.rng.below(EVERY.as_micros() as u64));
            self.schedule(at, Happening::Mischief(index));
        }
    }

    /// A hostile peer can speak with another.
    pub(super) fn hostile_met(&mut self, index: usize, other: usize) {
        self.say(index, other, Arc::new(Item::Subscribe(TOPIC.into())));
        self.say(index, other, Arc::new(Item::Graft(TOPIC.into())));
    }

    /// A hostile peer was told something.
    pub(super) fn hostile_told(&mut self, index: usize, by: usize, item: &Item) {
        if let Item::Prune { backoff, .. } = item {
            self.graft_after(index, by, Duration::from_secs(backoff.unwrap_or(60)));
        }
    }

    fn graft_after(&mut self, index: usize, other: usize, backoff: Duration) {
        let more = Duration::from_millis(1000 + self.rng.below(AFTER_BACKOFF));
        self.schedule(self.now + backoff + more, Happening::Graft { host: index, other });
    }

    pub(super) fn mischief(&mut self, index: usize) {
        let role = self.hosts[index].role;
        self.schedule(self.now + EVERY, Happening::Mischief(index));
        match role {
            Role::GraftFlood => (0..GRAFTS).for_each(|_| {
                self.say_to_all(index, Item::Graft(TOPIC.into()));
            }),
            Role::FalseGossip => {
                let ids = (0..MANY).map(|_| MessageId::new(&self.rng.array::<8>())).collect();
                self.say_to_all(index, Item::IHave(TOPIC.into(), ids));
            }
            Role::Greedy => {
                let numbers = (0..self.published.len() as u64).rev().take(MANY);
                let ids = numbers.map(|number| MessageId::new(&number.to_be_bytes())).collect();
                self.say_to_all(index, Item::IWant(ids));
            }
            Role::Invalid => {
                let mut data = self.rng.array::<64>();
                data[0] = BAD;
                let message = Message::unsigned(TOPIC.into(), &data);
                self.say_to_all(index, Item::Message(Arc::new(message)));
            }
            Role::Honest | Role::Silent => {}
        }
    }

    /// Says something to all whom a peer is connected to.
    fn say_to_all(&mut self, index: usize, item: Item) {
        let item = Arc::new(item);
        for other in self.hosts[index].links.keys().copied().collect::<Vec<_>>() {
            self.say(index, other, item.clone());
        }
    }
}
