//! What simulated peers write down.

use std::collections::BTreeMap;

use crate::swarm::store::Change;

use super::{Application, PeerIndex, World};

/// Values by key, as a host stores them.
#[derive(Clone, Debug, Default)]
pub struct Disk(BTreeMap<Vec<u8>, Vec<u8>>);

impl Disk {
    pub(super) fn apply(&mut self, change: Change) {
        match change.value {
            Some(value) => self.0.insert(change.key, value),
            None => self.0.remove(&change.key),
        };
    }

    /// All that is stored, to start another peer with.
    pub fn entries(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl<A: Application> World<A> {
    /// What a peer wrote down so far.
    pub fn disk(&self, index: PeerIndex) -> &Disk {
        &self.hosts[index.0].disk
    }
}
