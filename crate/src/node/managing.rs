//! The node's side of [`swarm::manager`](crate::swarm::manager).

use core::time::Duration;

use crate::address::Multiaddr;
use crate::connection::{Error, ToConnection};
use crate::identity::PeerId;
use crate::swarm::DialOptions;
use crate::swarm::manager::{Config, Manager, Pause, Redial};
use crate::swarm::store::{Patch, PatchError, Tag};
use crate::time::Instant;

use super::{ConnectionId, DialId, Direction, Event, Link, Node, Output};

impl Node {
    /// How connections are kept.
    pub fn manager_config(&self) -> &Config {
        &self.manager.config
    }

    /// Begins anew with this configuration; call it before anything else.
    pub fn configure_manager(&mut self, config: Config) {
        self.manager = Manager::new(config, self.rng.fork());
    }

    /// Keeps a connection to `peer` from now on: dials it at these addresses and
    /// those that are known, and again whenever the connection is lost, for ever,
    /// with growing pauses. It is never trimmed. New addresses take the place of
    /// those given before and are tried at once.
    pub fn keep(&mut self, now: Instant, peer: PeerId, addresses: Vec<Multiaddr>) {
        if peer != self.peer_id() {
            let connected = self.peers.contains_key(&peer);
            self.manager.keep(now, peer, addresses, connected);
            self.manage(now);
        }
    }

    /// Keeps a connection to `peer` no longer; one that is there stays. Whether it
    /// was kept.
    pub fn release(&mut self, now: Instant, peer: &PeerId) -> bool {
        let released = self.manager.release(peer);
        if let Some(Some(dial)) = released {
            self.cancel_dial(now, dial);
        }
        released.is_some()
    }

    /// The peers that are to be kept, connected or not.
    pub fn kept(&self) -> impl Iterator<Item = &PeerId> {
        self.manager.kept()
    }

    /// Says what `peer` is worth when connections are trimmed: the sum of its
    /// tags, of which this is one. The peer store remembers it.
    pub fn tag(
        &mut self,
        now: Instant,
        peer: &PeerId,
        name: &str,
        value: u32,
    ) -> Result<(), PatchError> {
        let tag = Some(Tag { value, expires: u64::MAX });
        self.patch_peer(now, peer, Patch { tags: vec![(name.into(), tag)], ..Patch::default() })
    }

    /// Takes a tag of `peer` back.
    pub fn untag(&mut self, now: Instant, peer: &PeerId, name: &str) -> Result<(), PatchError> {
        self.patch_peer(now, peer, Patch { tags: vec![(name.into(), None)], ..Patch::default() })
    }

    /// Never trims `peer` while there is a reason not to, of which this is one.
    pub fn protect(&mut self, peer: PeerId, reason: &str) {
        self.manager.protect(peer, reason);
    }

    /// Takes one reason back.
    pub fn unprotect(&mut self, peer: &PeerId, reason: &str) {
        self.manager.unprotect(peer, reason);
    }

    /// Whether `peer` is never trimmed.
    pub fn is_protected(&self, peer: &PeerId) -> bool {
        self.manager.is_protected(peer)
    }

    /// The smoothed round trip of the best connection to `peer`, once it is
    /// measured: when it is established, and when it is idle.
    pub fn latency(&self, peer: &PeerId) -> Option<Duration> {
        self.manager.latency(peer, self.best_connection(peer)?)
    }

    /// The host woke from a sleep, such as that of a page in the background: every
    /// peer is pinged and has
    /// [`wake_limit`](crate::swarm::manager::Config::wake_limit) to answer, and
    /// those that are kept or were lost are dialed at once.
    pub fn resumed(&mut self, now: Instant) {
        let limit = self.manager.config.wake_limit;
        let open: Vec<ConnectionId> =
            self.peers.values().flat_map(|ids| ids.iter().copied()).collect();
        for id in open {
            self.outputs.push_back(Output::Connection(id, ToConnection::Ping(limit)));
        }
        self.dials.backoff.clear();
        #[cfg(feature = "dcutr")]
        self.punching.rested(now);
        self.manager.wake(now);
        self.manage(now);
    }

    /// The host has no network: peers that are kept are not dialed until
    /// [`Node::online`]. Connections are left alone, as it may be back soon.
    pub fn offline(&mut self) {
        self.manager.offline();
    }

    /// The host has a network, perhaps another one than before; as
    /// [`Node::resumed`].
    pub fn online(&mut self, now: Instant) {
        self.resumed(now);
    }

    pub(super) fn managed_connected(
        &mut self,
        now: Instant,
        id: ConnectionId,
        peer: PeerId,
        direction: Direction,
    ) {
        self.manager.connected(now, peer, id, direction);
        let limit = self.config.connection.yamux.ping_timeout;
        self.outputs.push_back(Output::Connection(id, ToConnection::Ping(limit)));
        self.manage(now);
    }

    pub(super) fn managed_disconnected(
        &mut self,
        now: Instant,
        id: ConnectionId,
        peer: PeerId,
        reason: &Error,
        link: &Link,
    ) {
        let dialed = (link.direction == Direction::Outbound).then_some(&link.remote);
        let pause = self.manager.disconnected(now, &peer, id, reason, dialed);
        self.tell_pause(pause);
        self.manage(now);
    }

    pub(super) fn on_pong(&mut self, id: ConnectionId, rtt: Duration) {
        if let Some(peer) = self.links.get(&id).and_then(|link| link.peer) {
            self.manager.pong(&peer, id, rtt);
        }
    }

    /// Whether what came of a dial concerns the manager alone.
    pub(super) fn managed_dial(&mut self, now: Instant, event: &Event) -> bool {
        let (dial, reached): (DialId, bool) = match event {
            Event::Dialed { dial, .. } => (*dial, true),
            Event::DialFailed { dial, .. } => (*dial, false),
            _ => return false,
        };
        if !self.manager.is_ours(dial) {
            return false;
        }
        let pause = self.manager.dialed(now, dial, reached);
        self.tell_pause(pause);
        true
    }

    fn tell_pause(&mut self, pause: Option<Pause>) {
        if let Some(Pause { peer, failures, after }) = pause {
            self.emit(Event::Redialing { peer, failures, after });
        }
    }

    /// Carries out what the manager wants.
    pub(super) fn manage(&mut self, now: Instant) {
        let worth = |peer: &PeerId| self.store.get(peer).map_or(0, |entry| entry.worth());
        for peer in self.manager.trim(now, worth) {
            self.emit(Event::Trimmed { peer });
            self.hang_up(&peer);
        }
        while let Some(Redial { peer, addresses, instead_of, wanted }) =
            self.manager.poll_redial(now)
        {
            if let Some(dial) = instead_of {
                self.cancel_dial(now, dial);
            }
            let mut all = self.or_known(Some(&peer), Vec::new());
            all.extend(addresses);
            let dial = DialId(self.number());
            self.manager.dialing(dial, &peer, wanted);
            let options = DialOptions { force: true, ..DialOptions::default() };
            self.begin_dial(now, (dial, options), Some(peer), all);
        }
    }
}
