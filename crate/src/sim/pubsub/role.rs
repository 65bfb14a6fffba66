//! What peers do that are not honest: the attacks of the evaluation of gossipsub v1.1.

use core::time::Duration;
use std::sync::Arc;

use crate::protocols::pubsub::wire::Item;
use crate::protocols::pubsub::{Message, MessageId};

use super::carry::Happening;
use super::{BAD, Network, TOPIC};

/// How often a hostile peer has its turn.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// What a peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// What it should.
    Honest,
    /// It wants to be in all meshes, and passes nothing on.
    Silent,
    /// As `Silent`, and it tells of messages that there are not.
    FalseGossip,
    /// As `Silent`, and it asks for the same messages again and again.
    Greedy,
    /// As `Silent`, and it sends bad messages.
    Invalid,
    /// It wants to be in all meshes, whatever it is told.
    GraftFlood,
}

/// Bad things that a hostile peer says to each in its turn.
const MANY: u64 = 100;

impl Network {
    pub(super) fn mischief(&mut self, index: usize) {
        let role = self.hosts[index].role;
        if role == Role::Honest || !self.hosts[index].alive {
            return;
        }
        self.schedule(self.now + EVERY, Happening::Mischief(index));
        if role == Role::GraftFlood {
            (0..10).for_each(|_| self.graft_all(index));
            return;
        }
        // Once a minute is what backoffs allow.
        if self.rng.below(60) == 0 {
            self.graft_all(index);
        }
        match role {
            Role::FalseGossip => {
                let ids = (0..MANY).map(|_| MessageId::new(&self.rng.array::<8>())).collect();
                self.say_to_all(index, &Item::IHave(TOPIC.into(), ids));
            }
            Role::Greedy => {
                let recent = self.published.len().saturating_sub(MANY as usize)..;
                let numbers = recent.take(self.published.len());
                let ids = numbers.map(|n| MessageId::new(&(n as u64).to_be_bytes())).collect();
                self.say_to_all(index, &Item::IWant(ids));
            }
            Role::Invalid => {
                let mut data = self.rng.array::<64>();
                data[0] = BAD;
                let message = Message::unsigned(TOPIC.into(), &data);
                self.say_to_all(index, &Item::Message(Arc::new(message)));
            }
            _ => {}
        }
    }
}
