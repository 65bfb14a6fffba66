//! The versions of the protocol, each with all that the ones before it have.

use crate::negotiate::Name;

use super::config::Mode;

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Version {
    /// `/floodsub/1.0.0`: subscriptions and messages.
    Floodsub,
    /// `/meshsub/1.0.0`: meshes and gossip.
    V1_0,
    /// `/meshsub/1.1.0`: backoff, peer exchange, scores.
    V1_1,
    /// `/meshsub/1.2.0`: IDONTWANT.
    V1_2,
    /// `/meshsub/1.3.0`: extensions.
    V1_3,
}

/// Best first.
const ALL: [Version; 5] =
    [Version::V1_3, Version::V1_2, Version::V1_1, Version::V1_0, Version::Floodsub];

impl Version {
    /// The name of the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floodsub => "/floodsub/1.0.0",
            Self::V1_0 => "/meshsub/1.0.0",
            Self::V1_1 => "/meshsub/1.1.0",
            Self::V1_2 => "/meshsub/1.2.0",
            Self::V1_3 => "/meshsub/1.3.0",
        }
    }

    /// The version of this name.
    pub fn of(name: &str) -> Option<Self> {
        ALL.into_iter().find(|version| version.name() == name)
    }

    /// The names to propose and to answer to, best first.
    pub(super) fn names(mode: Mode) -> Vec<Name> {
        let speaks = |version: &Self| mode == Mode::Gossipsub || *version == Self::Floodsub;
        ALL.into_iter().filter(speaks).map(|version| version.name().into()).collect()
    }
}
