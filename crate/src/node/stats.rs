//! Figures of a node, for people and for monitoring.

use crate::swarm::limits::{Resource, ScopeKind};

use super::Node;

/// One limit: what is in use of it, and how often it was in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeUse {
    /// Whose limit.
    pub scope: ScopeKind,
    /// On what.
    pub resource: Resource,
    /// In use now; of scopes that there are several of (peers, protocols), in
    /// the one that uses the most.
    pub used: usize,
    /// The limit.
    pub limit: usize,
    /// How often something was refused for it.
    pub refused: u64,
}

impl Node {
    /// Every limit of [`Limits`](crate::swarm::limits::Limits) that is one, with
    /// what is in use of it.
    pub fn scopes(&self) -> Vec<ScopeUse> {
        let resources = &self.limiting.resources;
        let mut all = Vec::new();
        for scope in ScopeKind::ALL {
            for resource in Resource::ALL {
                let limit = resources.limits.of(scope).of(resource);
                if limit < usize::MAX {
                    let used = resources.used(scope, resource);
                    let refused = resources.refusals.of(scope, resource);
                    all.push(ScopeUse { scope, resource, used, limit, refused });
                }
            }
        }
        all
    }
}
