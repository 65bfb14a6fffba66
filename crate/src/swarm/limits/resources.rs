//! The bookings: of connections, of streams, of memory.

use crate::collections::LongMap;
use core::sync::atomic::{
    AtomicU8,
    Ordering::{AcqRel, Acquire},
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::node::Direction;
use crate::swarm::meter::{Bandwidth, Meter, Of, Rates, Way};
use crate::time::Instant;

use super::scope::{Refusals, Wanted, release, reserve};
use super::{CONNECTION_BYTES, LimitReached, Limits, Resource, STREAM_BYTES, Scope, ScopeKind};

/// Protocols with books of their own; those that come later share one. Names
/// come from the application, or are ones that it handles.
pub const MAX_PROTOCOLS: usize = 1024;

/// Whose books they share.
const OTHERS: &str = "";

/// The books of one node.
pub(crate) struct Resources {
    pub(crate) limits: Limits,
    pub(crate) system: Scope,
    pub(crate) transient: Scope,
    pub(crate) refusals: Refusals,
    /// What all transports carry.
    pub(crate) meter: Meter,
    bandwidth: Mutex<Bandwidth>,
    peers: Mutex<LongMap<PeerId, Weak<PeerScope>>>,
    protocols: Mutex<LongMap<Name, Arc<ProtocolScope>>>,
}

/// One peer, as long as it has a connection.
pub(crate) struct PeerScope {
    resources: Arc<Resources>,
    pub(crate) peer: PeerId,
    pub(crate) scope: Scope,
    pub(crate) meter: Meter,
    protocols: Mutex<LongMap<Name, Weak<ProtocolPeer>>>,
}

/// One protocol, for the life of the node.
pub(crate) struct ProtocolScope {
    pub(crate) scope: Scope,
    /// The data of its streams.
    pub(crate) meter: Meter,
}

/// One peer's streams of one protocol.
pub(crate) struct ProtocolPeer {
    scope: Scope,
    pub(crate) protocol: Arc<ProtocolScope>,
}

/// One connection.
pub(crate) struct ConnectionScope {
    resources: Arc<Resources>,
    direction: Direction,
    own: Scope,
    /// Where it is counted: one of the constants below.
    counted: AtomicU8,
    peer: OnceLock<Arc<PeerScope>>,
    pub(crate) meter: Meter,
}

const TRANSIENT: u8 = 0;
const PEER: u8 = 1;
const NOWHERE: u8 = 2;

/// One stream.
pub(crate) struct StreamScope {
    connection: Arc<ConnectionScope>,
    inbound: bool,
    /// `None` while it is transient.
    protocol: Option<Arc<ProtocolPeer>>,
    /// Bytes of its window beyond the initial one.
    window: usize,
}

/// A panic elsewhere leaves a table whole: every change of it is one call.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Resources {
    pub(crate) fn new(limits: Limits, bandwidth: Bandwidth) -> Arc<Self> {
        Arc::new(Self {
            limits,
            system: Scope::new(ScopeKind::System),
            transient: Scope::new(ScopeKind::Transient),
            refusals: Refusals::default(),
            meter: Meter::new(bandwidth.all),
            bandwidth: Mutex::new(bandwidth),
            peers: Mutex::default(),
            protocols: Mutex::default(),
        })
    }

    /// New books with other limits and the same rates.
    pub(crate) fn with(&self, limits: Limits) -> Arc<Self> {
        Self::new(limits, lock(&self.bandwidth).clone())
    }

    /// Books a connection whose remote is not known yet.
    pub(crate) fn connection(
        self: &Arc<Self>,
        direction: Direction,
    ) -> Result<Arc<ConnectionScope>, LimitReached> {
        let own = Scope::new(ScopeKind::Connection);
        let scopes = [&self.system, &self.transient, &own];
        self.reserve(&scopes, &connection(direction))?;
        if let Err(limit) = self.reserve(&scopes, &memory(CONNECTION_BYTES)) {
            release(&scopes, &connection(direction));
            return Err(limit);
        }
        Ok(Arc::new(ConnectionScope {
            resources: self.clone(),
            direction,
            own,
            counted: AtomicU8::new(TRANSIENT),
            peer: OnceLock::new(),
            meter: Meter::default(),
        }))
    }

    fn reserve(&self, scopes: &[&Scope], wanted: Wanted<'_>) -> Result<(), LimitReached> {
        reserve(&self.limits, scopes, wanted).inspect_err(|limit| self.refusals.count(*limit))
    }

    fn peer(self: &Arc<Self>, peer: PeerId) -> Arc<PeerScope> {
        let mut peers = lock(&self.peers);
        if let Some(known) = peers.get(&peer).and_then(Weak::upgrade) {
            return known;
        }
        let scope = Arc::new(PeerScope {
            resources: self.clone(),
            peer,
            scope: Scope::new(ScopeKind::Peer),
            meter: Meter::new(lock(&self.bandwidth).peer(&peer)),
            protocols: Mutex::default(),
        });
        peers.insert(peer, Arc::downgrade(&scope));
        scope
    }

    /// The books of a protocol; the common ones if there are too many.
    pub(crate) fn protocol(&self, name: &Name) -> Arc<ProtocolScope> {
        let mut protocols = lock(&self.protocols);
        if let Some(known) = protocols.get(name) {
            return known.clone();
        }
        let name = if protocols.len() < MAX_PROTOCOLS { name.clone() } else { OTHERS.into() };
        let rates = lock(&self.bandwidth).protocol(&name);
        let (scope, meter) = (Scope::new(ScopeKind::Protocol), Meter::new(rates));
        let new = || Arc::new(ProtocolScope { scope, meter });
        protocols.entry(name).or_insert_with(new).clone()
    }

    /// The protocols that have books.
    pub(crate) fn protocols(&self) -> Vec<(Name, Arc<ProtocolScope>)> {
        let protocols = lock(&self.protocols);
        protocols.iter().map(|(name, scope)| (name.clone(), scope.clone())).collect()
    }

    /// The peers that have a connection.
    pub(crate) fn peers(&self) -> Vec<Arc<PeerScope>> {
        lock(&self.peers).values().filter_map(Weak::upgrade).collect()
    }

    /// Changes a limit on rates, for those who are there too.
    pub(crate) fn set_bandwidth(&self, of: Of, rates: Rates) {
        let mut bandwidth = lock(&self.bandwidth);
        bandwidth.set(of, rates);
        self.meter.set(bandwidth.all);
        let bandwidth = bandwidth.clone();
        for peer in self.peers() {
            peer.meter.set(bandwidth.peer(&peer.peer));
        }
        for (name, protocol) in self.protocols() {
            protocol.meter.set(bandwidth.protocol(&name));
        }
    }

    /// What is in use; of a kind that there are several of, the most. Connections
    /// are asked themselves.
    pub(crate) fn used(&self, scope: ScopeKind, resource: Resource) -> usize {
        match scope {
            ScopeKind::System => self.system.used(resource),
            ScopeKind::Transient => self.transient.used(resource),
            ScopeKind::Peer => most(self.peers().iter().map(|peer| peer.scope.used(resource))),
            ScopeKind::Protocol => {
                most(lock(&self.protocols).values().map(|protocol| protocol.scope.used(resource)))
            }
            ScopeKind::ProtocolPeer => most(self.peers().iter().flat_map(|peer| {
                let of_peer = lock(&peer.protocols).values().filter_map(Weak::upgrade).collect();
                let of_peer: Vec<Arc<ProtocolPeer>> = of_peer;
                of_peer.into_iter().map(|one| one.scope.used(resource)).collect::<Vec<_>>()
            })),
            ScopeKind::Connection | ScopeKind::Stream => 0,
        }
    }

    #[cfg(test)]
    pub(super) fn tables(&self) -> (usize, usize) {
        (lock(&self.peers).len(), lock(&self.protocols).len())
    }
}

impl PeerScope {
    fn protocol(&self, name: &Name) -> Arc<ProtocolPeer> {
        let mut protocols = lock(&self.protocols);
        if let Some(known) = protocols.get(name).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(ProtocolPeer {
            scope: Scope::new(ScopeKind::ProtocolPeer),
            protocol: self.resources.protocol(name),
        });
        protocols.retain(|_, known| known.strong_count() > 0);
        protocols.insert(name.clone(), Arc::downgrade(&new));
        new
    }
}

impl Drop for PeerScope {
    fn drop(&mut self) {
        let mut peers = lock(&self.resources.peers);
        // Unless it has come back meanwhile.
        if peers.get(&self.peer).is_some_and(|known| known.strong_count() == 0) {
            peers.remove(&self.peer);
        }
    }
}

impl ConnectionScope {
    /// The remote has proved who it is: from now on its books are charged.
    pub(crate) fn authenticated(&self, peer: PeerId) -> Result<(), LimitReached> {
        let resources = &self.resources;
        let peer = resources.peer(peer);
        let counts = connection(self.direction);
        let held = memory(self.own.used(Resource::Memory));
        resources.reserve(&[&peer.scope], &counts)?;
        if let Err(limit) = resources.reserve(&[&peer.scope], &held) {
            release(&[&peer.scope], &counts);
            return Err(limit);
        }
        release(&[&resources.transient], &held);
        let peer = self.peer.get_or_init(|| peer);
        if self.counted.compare_exchange(TRANSIENT, PEER, AcqRel, Acquire).is_ok() {
            release(&[&resources.transient], &counts);
        } else {
            // The node has given it up in the meantime.
            release(&[&peer.scope], &counts);
        }
        Ok(())
    }

    /// The connection is over for the node, and counts no more; its memory is
    /// released when its last holder drops it.
    pub(crate) fn ended(&self) {
        let counts = connection(self.direction);
        let before = self.counted.swap(NOWHERE, AcqRel);
        if before != NOWHERE {
            release(&[&self.resources.system, &self.own], &counts);
        }
        match (before, self.peer.get()) {
            (TRANSIENT, _) => release(&[&self.resources.transient], &counts),
            (PEER, Some(peer)) => release(&[&peer.scope], &counts),
            _ => {}
        }
    }

    pub(crate) fn used(&self, resource: Resource) -> usize {
        self.own.used(resource)
    }

    /// The scopes that it stands in, the widest first.
    fn scopes(&self) -> [&Scope; 3] {
        let middle = self.peer.get().map_or(&self.resources.transient, |peer| &peer.scope);
        [&self.resources.system, middle, &self.own]
    }

    /// Books memory for the connection: `most` bytes, or else `least`; returns
    /// which.
    pub(crate) fn grow(&self, most: usize, least: usize) -> Result<usize, LimitReached> {
        let (resources, scopes) = (&self.resources, self.scopes());
        if most > least && reserve(&resources.limits, &scopes, &memory(most)).is_ok() {
            return Ok(most);
        }
        resources.reserve(&scopes, &memory(least)).map(|()| least)
    }

    /// Gives memory of the connection back.
    pub(crate) fn shrink(&self, bytes: usize) {
        release(&self.scopes(), &memory(bytes));
    }

    /// `bytes` of its transport have passed: when the next may, if not at once.
    pub(crate) fn passed(&self, way: Way, now: Instant, bytes: usize) -> Option<Instant> {
        let own = self.meter.count(way, now, bytes);
        let peer = self.peer.get().and_then(|peer| peer.meter.count(way, now, bytes));
        own.max(peer).max(self.resources.meter.count(way, now, bytes))
    }

    /// How many bytes may pass before they are counted.
    pub(crate) fn slice(&self, way: Way) -> usize {
        let peer = self.peer.get().map_or(usize::MAX, |peer| peer.meter.slice(way));
        peer.min(self.resources.meter.slice(way))
    }

    /// Books a stream whose protocol is not known yet.
    pub(crate) fn stream(self: &Arc<Self>, inbound: bool) -> Result<StreamScope, LimitReached> {
        let [system, peer, own] = self.scopes();
        let scopes = [system, peer, own, &self.resources.transient];
        self.resources.reserve(&scopes, &stream(inbound))?;
        if let Err(limit) = self.grow(STREAM_BYTES, STREAM_BYTES) {
            release(&scopes, &stream(inbound));
            return Err(limit);
        }
        Ok(StreamScope { connection: self.clone(), inbound, protocol: None, window: 0 })
    }
}

impl Drop for ConnectionScope {
    fn drop(&mut self) {
        self.ended();
        // What is booked now was never given back: the base, and what the
        // connection held when it ended.
        self.shrink(self.own.used(Resource::Memory));
    }
}

impl StreamScope {
    /// Its protocol is agreed on.
    pub(crate) fn assign(&mut self, name: &Name) -> Result<(), LimitReached> {
        let Some(peer) = self.connection.peer.get().filter(|_| self.protocol.is_none()) else {
            return Ok(());
        };
        let of_peer = peer.protocol(name);
        let scopes = [&of_peer.protocol.scope, &of_peer.scope];
        self.connection.resources.reserve(&scopes, &stream(self.inbound))?;
        release(&[&self.connection.resources.transient], &stream(self.inbound));
        self.protocol = Some(of_peer);
        Ok(())
    }

    /// What its protocol's streams carry.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.protocol.as_ref().map(|of_peer| &of_peer.protocol.meter)
    }

    /// Its window, beyond the initial one, becomes `window` bytes; `false` if
    /// that is too much. Less is never too much.
    pub(crate) fn set_window(&mut self, window: usize) -> bool {
        let resources = &self.connection.resources;
        if window > resources.limits.stream.memory {
            let (scope, resource) = (ScopeKind::Stream, Resource::Memory);
            resources.refusals.count(LimitReached { scope, resource });
            return false;
        }
        if let Some(of_peer) = &self.protocol {
            let scopes = [&of_peer.protocol.scope, &of_peer.scope];
            if window < self.window {
                release(&scopes, &memory(self.window - window));
            } else if resources.reserve(&scopes, &memory(window - self.window)).is_err() {
                return false;
            }
            self.window = window;
        }
        true
    }
}

impl Drop for StreamScope {
    fn drop(&mut self) {
        self.set_window(0);
        release(&self.connection.scopes(), &stream(self.inbound));
        self.connection.shrink(STREAM_BYTES);
        match &self.protocol {
            Some(of_peer) => {
                release(&[&of_peer.protocol.scope, &of_peer.scope], &stream(self.inbound));
            }
            None => release(&[&self.connection.resources.transient], &stream(self.inbound)),
        }
    }
}

fn most(counts: impl Iterator<Item = usize>) -> usize {
    counts.max().unwrap_or_default()
}

fn connection(direction: Direction) -> [(Resource, usize); 2] {
    let one = match direction {
        Direction::Inbound => Resource::ConnectionsIn,
        Direction::Outbound => Resource::ConnectionsOut,
    };
    [(one, 1), (Resource::Connections, 1)]
}

fn stream(inbound: bool) -> [(Resource, usize); 2] {
    let one = if inbound { Resource::StreamsIn } else { Resource::StreamsOut };
    [(one, 1), (Resource::Streams, 1)]
}

fn memory(bytes: usize) -> [(Resource, usize); 1] {
    [(Resource::Memory, bytes)]
}
