//! How the node learns where it can be reached; see [`crate::swarm::addresses`].

use core::net::SocketAddr;

use crate::address::Multiaddr;
use crate::swarm::addresses::{Addresses, Config as Announcing, OwnAddress, Transport, Waist};
use crate::time::Instant;

use super::{Config, ConnectionId, Event, Node};

pub(super) struct Reaching {
    pub(super) addresses: Addresses,
    /// Connections whose remotes have said where they see us.
    stirred: Vec<ConnectionId>,
}

impl Reaching {
    pub(super) fn new(config: &Config) -> Self {
        Self { addresses: Addresses::new(config.addresses.clone()), stirred: Vec::new() }
    }

    /// Sees what happens.
    pub(super) fn note(&mut self, event: &Event) {
        if let Event::Identified { connection, .. } = event {
            self.stirred.push(*connection);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.addresses.poll_timeout()
    }
}

impl Node {
    /// The host's end of a connection is at `local`, which is what its remote sees
    /// and may tell us of: tell it as soon as there is a connection.
    pub fn located(&mut self, connection: ConnectionId, local: Multiaddr) {
        if let Some(link) = self.links.get_mut(&connection) {
            link.local = Some(local);
        }
    }

    /// Our end of a connection, where the host has told it.
    pub fn local_address(&self, connection: ConnectionId) -> Option<&Multiaddr> {
        self.links.get(&connection)?.local.as_ref()
    }

    /// All addresses of ours: how we know of each, whether it can be dialed, and
    /// whether others are told of it.
    pub fn own_addresses(&self) -> Vec<OwnAddress> {
        #[cfg(feature = "relay")]
        let relayed = self.relays.announced.values().flatten();
        #[cfg(not(feature = "relay"))]
        let relayed = core::iter::empty();
        self.reaching.addresses.list(relayed)
    }

    /// A gateway sends on to our `port` what comes to `external`, or, for `None`, no
    /// more: what listens there is announced there too.
    pub fn mapped(
        &mut self,
        now: Instant,
        (transport, port): (Transport, u16),
        external: Option<SocketAddr>,
    ) {
        self.reaching.addresses.mapped((transport, port), external);
        self.addresses_changed(now);
    }

    /// Which addresses are announced.
    pub fn announcing(&self) -> &Announcing {
        self.reaching.addresses.config()
    }

    /// Changes which addresses are announced.
    pub fn set_announcing(&mut self, now: Instant, config: Announcing) {
        #[cfg(feature = "autonat")]
        self.autonat.set_private(config.private);
        self.reaching.addresses.configure(config);
        self.addresses_changed(now);
    }

    /// Brings what is announced up to date; whether it is another than before.
    pub(super) fn announce_addresses(&mut self) -> bool {
        let own = self.own_addresses().into_iter().filter(|own| own.announced);
        let announced: Vec<Multiaddr> = own.map(|own| own.address).collect();
        let changed = self.local.addresses != announced;
        self.local.addresses = announced;
        changed
    }

    /// Takes up what remotes have said of where they see us.
    pub(super) fn settle_reaching(&mut self, now: Instant) {
        let stirred = core::mem::take(&mut self.reaching.stirred);
        if stirred.is_empty() {
            return;
        }
        for id in stirred {
            if let Some((ends, seen)) = self.sighting(id) {
                self.reaching.addresses.observed(now, id, ends, seen);
            }
            #[cfg(feature = "autonat")]
            self.met_by_autonat(now, id);
        }
        self.addresses_changed(now);
    }

    /// Both ends of a direct connection, and where the remote sees ours.
    fn sighting(&self, id: ConnectionId) -> Option<((Waist, Waist), Waist)> {
        let link = self.links.get(&id)?;
        let seen = self.identify.info(id)?.observed.as_ref().and_then(Waist::of)?;
        if link.remote.is_circuit() {
            return None;
        }
        let ends = (Waist::of(link.local.as_ref()?)?, Waist::of(&link.remote)?);
        Some((ends, seen))
    }

    pub(super) fn time_reaching(&mut self, now: Instant) {
        if self.reaching.poll_timeout().is_some_and(|at| at <= now) {
            self.reaching.addresses.handle_timeout(now);
            self.addresses_changed(now);
        }
    }
}
