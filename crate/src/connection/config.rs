//! What all connections of a node share.

use core::time::Duration;
use std::sync::Arc;

use crate::identity::Keypair;
use crate::muxer::yamux;
use crate::security::pnet::PreSharedKey;
use crate::security::{Ciphers, RustCrypto};

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// `/noise`, the ordinary one.
    Noise,
    /// `/plaintext/2.0.0`: peers name themselves, but nothing is proved, secret
    /// or whole. For tests and networks that are closed by other means.
    #[cfg(feature = "plaintext")]
    Plaintext,
}

impl Security {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Noise => crate::security::noise::NAME,
            #[cfg(feature = "plaintext")]
            Self::Plaintext => crate::security::plaintext::NAME,
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [
            Self::Noise,
            #[cfg(feature = "plaintext")]
            Self::Plaintext,
        ]
        .into_iter()
        .find(|security| security.name() == name)
    }
}

/// What all connections of a node share.
#[derive(Clone)]
pub struct Config {
    /// Who we are.
    pub keypair: Keypair,
    /// Where the AEAD comes from; [`RustCrypto`] unless the host has a faster one.
    pub ciphers: Arc<dyn Ciphers>,
    /// Proposed in this order, and accepted. Noise alone by default.
    pub security: Vec<Security>,
    /// Admits only members of a private network.
    pub pre_shared_key: Option<PreSharedKey>,
    /// The muxer's windows and limits.
    pub yamux: yamux::Config,
    /// From the open transport to the established connection; 10 s.
    pub handshake_timeout: Duration,
    /// From a stream's opening to an agreed protocol; 10 s.
    pub stream_timeout: Duration,
    /// After so long without a byte from the remote it is pinged; 30 s. It has
    /// [`yamux::Config::ping_timeout`] to answer.
    pub keep_alive: Duration,
}

impl Config {
    /// The defaults, for this identity.
    pub fn new(keypair: Keypair) -> Self {
        Self {
            keypair,
            ciphers: Arc::new(RustCrypto),
            security: vec![Security::Noise],
            pre_shared_key: None,
            yamux: yamux::Config::default(),
            handshake_timeout: Duration::from_secs(10),
            stream_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
        }
    }
}
