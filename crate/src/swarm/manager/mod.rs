//! Which connections are kept: marks and worth, whom we want always, and what a
//! host that slept does to all of them.
//!
//! What remotes can make grow here is bound to their connections. A remote is
//! judged by no more than a ping that it did not answer
//! ([`ToConnection::Ping`](crate::connection::ToConnection::Ping)).

mod config;
mod held;
#[cfg(test)]
mod tests;
mod wanted;

use core::time::Duration;

use crate::address::Multiaddr;
use crate::connection::Error;
use crate::identity::PeerId;
use crate::node::{ConnectionId, DialId, Direction};
use crate::rng::Rng;
use crate::time::{Instant, earliest};

pub use config::Config;
pub use wanted::{FIRST_REDIAL_PAUSE, LOST_FOR, MAX_LOST, STABLE, WAKING};
pub(crate) use wanted::{Pause, Redial};

use held::Held;
use wanted::Wanted;

/// See the [module](self).
pub(crate) struct Manager {
    pub(crate) config: Config,
    held: Held,
    wanted: Wanted,
}

impl Manager {
    pub(crate) fn new(config: Config, rng: Rng) -> Self {
        let wanted = Wanted::new(rng, config.max_redial_pause);
        Self { config, held: Held::default(), wanted }
    }

    // What happened.

    pub(crate) fn connected(
        &mut self,
        now: Instant,
        peer: PeerId,
        id: ConnectionId,
        direction: Direction,
    ) {
        if self.held.connected(now, peer, id, direction == Direction::Outbound) {
            self.wanted.connected(&peer);
        }
    }

    /// A connection is over; `address` is where the remote was.
    pub(crate) fn disconnected(
        &mut self,
        now: Instant,
        peer: &PeerId,
        id: ConnectionId,
        reason: &Error,
        address: Option<&Multiaddr>,
    ) -> Option<Pause> {
        let since = self.held.disconnected(peer, id)?;
        let failed = matches!(reason, Error::Transport(_) | Error::Muxer(_));
        self.wanted.disconnected(now, peer, since, failed, address.cloned())
    }

    pub(crate) fn pong(&mut self, peer: &PeerId, id: ConnectionId, rtt: Duration) {
        self.held.pong(peer, id, rtt);
    }

    pub(crate) fn dialing(&mut self, dial: DialId, redial: &PeerId, wanted: bool) {
        self.wanted.dialing(dial, redial, wanted);
    }

    /// Whether a dial is the manager's own.
    pub(crate) fn is_ours(&self, dial: DialId) -> bool {
        self.wanted.is_ours(dial)
    }

    pub(crate) fn dialed(&mut self, now: Instant, dial: DialId, reached: bool) -> Option<Pause> {
        self.wanted.dialed(now, dial, reached)
    }

    pub(crate) fn offline(&mut self) {
        self.wanted.set_online(false);
    }

    pub(crate) fn wake(&mut self, now: Instant) {
        self.wanted.wake(now);
    }

    // What the application wants.

    pub(crate) fn keep(
        &mut self,
        now: Instant,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        connected: bool,
    ) {
        self.wanted.keep(now, peer, addresses, connected);
    }

    pub(crate) fn release(&mut self, peer: &PeerId) -> Option<Option<DialId>> {
        self.wanted.release(peer)
    }

    pub(crate) fn kept(&self) -> impl Iterator<Item = &PeerId> {
        self.wanted.peers()
    }

    pub(crate) fn protect(&mut self, peer: PeerId, reason: &str) {
        self.held.protect(peer, reason);
    }

    pub(crate) fn unprotect(&mut self, peer: &PeerId, reason: &str) {
        self.held.unprotect(peer, reason);
    }

    pub(crate) fn is_protected(&self, peer: &PeerId) -> bool {
        self.held.is_protected(peer) || self.wanted.contains(peer)
    }

    pub(crate) fn latency(&self, peer: &PeerId, id: ConnectionId) -> Option<Duration> {
        self.held.latency(peer, id)
    }

    // What is to be done.

    pub(crate) fn trim(&mut self, now: Instant, worth: impl Fn(&PeerId) -> u32) -> Vec<PeerId> {
        let Self { config, held, wanted } = self;
        held.trim(now, config, |peer| wanted.contains(peer), worth)
    }

    pub(crate) fn poll_redial(&mut self, now: Instant) -> Option<Redial> {
        self.wanted.poll(now)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.held.trim_at(), self.wanted.poll_timeout())
    }
}
