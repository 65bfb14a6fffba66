//! Connections over data channels.

use std::sync::Arc;

use crate::identity::PeerId;
use crate::rng::Rng;
use crate::security::Role;
use crate::time::Instant;
use crate::webrtc::Channels;

use super::upgrade::{Upgrade, Upgraded};
use super::{Carrier, Config, Connection, Error, Handlers, State};

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
        };
        let upgrade = if config.pre_shared_key.is_some() {
            Err(Error::NotPrivate)
        } else {
            let carried = (role, prologue);
            Upgrade::over_channels(config.clone(), carried, expected, rng, &mut out)
        };
        if matches!(carrier, Carrier::Signalled { .. }) {
            out.clear();
        }
        Self::upgrading((config, handlers, role), upgrade, deadline, &out)
    }

    /// A connection whose remote is known from the start is established now.
    pub(crate) fn begin(&mut self, now: Instant, carrier: &Carrier) {
        let Carrier::Signalled { peer } = carrier else { return };
        if !matches!(self.state, State::Upgrading { .. }) {
            return;
        }
        let channels = Box::new(Channels::new(self.role));
        let upgraded = Upgraded::over_channels(channels, *peer, Vec::new());
        if let Err(error) = self.establish(now, upgraded) {
            self.fail(error);
        }
    }
}
