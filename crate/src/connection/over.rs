//! Connections over what is more than a stream of bytes.

use std::sync::Arc;

use crate::identity::PeerId;
use crate::rng::Rng;
use crate::security::Role;
use crate::time::Instant;
#[cfg(feature = "webrtc")]
use crate::webrtc::Channels;

#[cfg(feature = "webrtc")]
use super::upgrade::{Upgrade, Upgraded};
use super::{Carrier, Config, Connection, Handlers};
#[cfg(feature = "webrtc")]
use super::{Error, State};

#[cfg(not(feature = "webrtc"))]
impl Connection {
    /// As [`Connection::new`]: there is one carrier.
    pub(crate) fn over(
        (config, handlers): (Arc<Config>, Arc<Handlers>),
        (role, Carrier::Bytes): (Role, &Carrier),
        expected: Option<PeerId>,
        rng: Rng,
        now: Instant,
    ) -> Self {
        Self::new(config, handlers, role, expected, rng, now)
    }

    pub(crate) fn begin(&mut self, _: Instant, _: &Carrier) {}
}

#[cfg(feature = "webrtc")]
impl Connection {
    /// As [`Connection::new`], over this carrier. Give it a scope, then
    /// [`begin`](Self::begin).
    pub(crate) fn over(
        (config, handlers): (Arc<Config>, Arc<Handlers>),
        (role, carrier): (Role, &Carrier),
        expected: Option<PeerId>,
        rng: Rng,
        now: Instant,
    ) -> Self {
        let deadline = now + config.handshake_timeout;
        let mut out = Vec::new();
        let prologue = match carrier {
            Carrier::Bytes => return Self::new(config, handlers, role, expected, rng, now),
            Carrier::Direct { prologue } => prologue.clone(),
            // Never said: the connection begins established.
            Carrier::Signalled { .. } => Vec::new(),
            #[cfg(feature = "muxed")]
            Carrier::Muxed { .. } => Vec::new(),
        };
        let upgrade = if config.pre_shared_key.is_some() {
            Err(Error::NotPrivate)
        } else {
            let carried = (role, prologue);
            Upgrade::over_channels(config.clone(), carried, expected, rng, &mut out)
        };
        if carrier.peer().is_some() {
            out.clear();
        }
        Self::upgrading((config, handlers, role), upgrade, deadline, &out)
    }

    /// A connection whose remote is known from the start is established now.
    pub(crate) fn begin(&mut self, now: Instant, carrier: &Carrier) {
        let Some(peer) = carrier.peer() else { return };
        let State::Upgrading { upgrade, .. } = &self.state else { return };
        if let Some(expected) = upgrade.expected().filter(|expected| *expected != peer) {
            return self.fail(Error::WrongPeer { expected, found: peer });
        }
        let upgraded = match carrier {
            #[cfg(feature = "muxed")]
            Carrier::Muxed { .. } => Upgraded::muxed(peer),
            _ => Upgraded::over_channels(Box::new(Channels::new(self.role)), peer, Vec::new()),
        };
        if let Err(error) = self.establish(now, upgraded) {
            self.fail(error);
        }
    }
}
