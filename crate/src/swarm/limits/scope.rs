//! One scope: what is in use of each resource, and how much may be.

use core::fmt;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use thiserror::Error;

use super::Limits;

/// Where a limit holds. A connection is booked in the system, among the
/// transient until its remote is known and then with its peer; a stream in its
/// connection, its peer and the system, among the transient until its protocol
/// is known and then with that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ScopeKind {
    /// The whole node.
    System,
    /// Connections whose remote, and streams whose protocol is not known yet.
    Transient,
    /// All connections of one peer.
    Peer,
    /// All streams of one protocol.
    Protocol,
    /// One peer's streams of one protocol.
    ProtocolPeer,
    /// One connection.
    Connection,
    /// One stream.
    Stream,
}

impl ScopeKind {
    /// All of them, the widest first.
    pub const ALL: [Self; 7] = [
        Self::System,
        Self::Transient,
        Self::Peer,
        Self::Protocol,
        Self::ProtocolPeer,
        Self::Connection,
        Self::Stream,
    ];

    /// The name in figures and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Transient => "transient",
            Self::Peer => "peer",
            Self::Protocol => "protocol",
            Self::ProtocolPeer => "protocol of a peer",
            Self::Connection => "connection",
            Self::Stream => "stream",
        }
    }
}

impl fmt::Display for ScopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a limit is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Resource {
    /// Connections that remotes opened.
    ConnectionsIn,
    /// Connections that we opened, attempts included.
    ConnectionsOut,
    /// Connections of both kinds.
    Connections,
    /// Streams that remotes opened.
    StreamsIn,
    /// Streams that we opened.
    StreamsOut,
    /// Streams of both kinds.
    Streams,
    /// Bytes.
    Memory,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ConnectionsIn,
        Self::ConnectionsOut,
        Self::Connections,
        Self::StreamsIn,
        Self::StreamsOut,
        Self::Streams,
        Self::Memory,
    ];

    /// The name in figures and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectionsIn => "inbound connections",
            Self::ConnectionsOut => "outbound connections",
            Self::Connections => "connections",
            Self::StreamsIn => "inbound streams",
            Self::StreamsOut => "outbound streams",
            Self::Streams => "streams",
            Self::Memory => "bytes of memory",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something was not booked, for a limit of [`Limits`] was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the limit on {resource} of the {scope} scope is reached")]
pub struct LimitReached {
    /// Whose limit it is.
    pub scope: ScopeKind,
    /// What there is no more of.
    pub resource: Resource,
}

/// How much of each resource a scope may use; [`Allowance::UNLIMITED`] of what is
/// not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Connections that remotes opened.
    pub connections_in: usize,
    /// Connections that we opened, attempts included.
    pub connections_out: usize,
    /// Connections of both kinds.
    pub connections: usize,
    /// Streams that remotes opened.
    pub streams_in: usize,
    /// Streams that we opened.
    pub streams_out: usize,
    /// Streams of both kinds.
    pub streams: usize,
    /// Bytes.
    pub memory: usize,
}

impl Allowance {
    /// No limit at all.
    pub const UNLIMITED: Self = Self {
        connections_in: usize::MAX,
        connections_out: usize::MAX,
        connections: usize::MAX,
        streams_in: usize::MAX,
        streams_out: usize::MAX,
        streams: usize::MAX,
        memory: usize::MAX,
    };

    /// These connections: in, out, in all.
    pub const fn with_connections(mut self, inbound: usize, outbound: usize, all: usize) -> Self {
        self.connections_in = inbound;
        self.connections_out = outbound;
        self.connections = all;
        self
    }

    /// These streams: in, out, in all.
    pub const fn with_streams(mut self, inbound: usize, outbound: usize, all: usize) -> Self {
        self.streams_in = inbound;
        self.streams_out = outbound;
        self.streams = all;
        self
    }

    /// These bytes.
    pub const fn with_memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// How much of one resource.
    pub const fn of(&self, resource: Resource) -> usize {
        match resource {
            Resource::ConnectionsIn => self.connections_in,
            Resource::ConnectionsOut => self.connections_out,
            Resource::Connections => self.connections,
            Resource::StreamsIn => self.streams_in,
            Resource::StreamsOut => self.streams_out,
            Resource::Streams => self.streams,
            Resource::Memory => self.memory,
        }
    }
}

/// What is in use in one scope. Shared by connections on many threads, so that
/// each count is one atomic number and none is ever over its limit.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) kind: ScopeKind,
    used: [AtomicUsize; Resource::ALL.len()],
}

impl Scope {
    pub(crate) fn new(kind: ScopeKind) -> Self {
        Self { kind, used: Default::default() }
    }

    pub(crate) fn used(&self, resource: Resource) -> usize {
        self.used[resource as usize].load(Relaxed)
    }

    fn add(&self, limits: &Limits, resource: Resource, count: usize) -> bool {
        let limit = limits.of(self.kind).of(resource);
        let more = |used: usize| used.checked_add(count).filter(|sum| *sum <= limit);
        self.used[resource as usize].fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    fn subtract(&self, resource: Resource, count: usize) {
        let less = |used: usize| Some(used.saturating_sub(count));
        // The closure never refuses.
        let _ = self.used[resource as usize].fetch_update(Relaxed, Relaxed, less);
    }
}

/// What is wanted of several scopes at once.
pub(crate) type Wanted<'a> = &'a [(Resource, usize)];

/// How often each limit was in the way, by scope.
#[derive(Debug, Default)]
pub(crate) struct Refusals([[AtomicU64; Resource::ALL.len()]; ScopeKind::ALL.len()]);

impl Refusals {
    pub(crate) fn count(&self, limit: LimitReached) {
        self.0[limit.scope as usize][limit.resource as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn of(&self, scope: ScopeKind, resource: Resource) -> u64 {
        self.0[scope as usize][resource as usize].load(Relaxed)
    }
}

/// Books `wanted` in all `scopes`, or in none.
pub(crate) fn reserve(
    limits: &Limits,
    scopes: &[&Scope],
    wanted: Wanted<'_>,
) -> Result<(), LimitReached> {
    for (done, scope) in scopes.iter().enumerate() {
        for (part, &(resource, count)) in wanted.iter().enumerate() {
            if !scope.add(limits, resource, count) {
                release(&scopes[..done], wanted);
                release(&[scope], &wanted[..part]);
                return Err(LimitReached { scope: scope.kind, resource });
            }
        }
    }
    Ok(())
}

/// Takes back what [`reserve`] booked.
pub(crate) fn release(scopes: &[&Scope], wanted: Wanted<'_>) {
    for scope in scopes {
        for &(resource, count) in wanted {
            scope.subtract(resource, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let mut limits = Limits::node();
        limits.system = Allowance::UNLIMITED.with_streams(3, 9, 4).with_memory(100);
        limits.peer = Allowance::UNLIMITED.with_streams(2, 9, 9).with_memory(60);
        limits
    }

    #[test]
    fn all_scopes_book_or_none_does() {
        let limits = limits();
        let (system, peer) = (Scope::new(ScopeKind::System), Scope::new(ScopeKind::Peer));
        let other = Scope::new(ScopeKind::Peer);
        let stream = [(Resource::StreamsIn, 1), (Resource::Streams, 1), (Resource::Memory, 10)];
        for _ in 0..2 {
            reserve(&limits, &[&system, &peer], &stream).unwrap();
        }
        let refused = reserve(&limits, &[&system, &peer], &stream).unwrap_err();
        assert_eq!(refused, LimitReached { scope: ScopeKind::Peer, resource: Resource::StreamsIn });
        assert_eq!(system.used(Resource::Streams), 2, "nothing is left of what was refused");
        assert_eq!(system.used(Resource::Memory), 20);
        reserve(&limits, &[&system, &other], &stream).unwrap();
        let refused = reserve(&limits, &[&system, &other], &stream).unwrap_err();
        assert_eq!(refused.scope, ScopeKind::System);
        release(&[&system, &peer], &stream);
        reserve(&limits, &[&system, &other], &stream).unwrap();
        release(&[&system, &peer], &stream);
        for _ in 0..2 {
            release(&[&system, &other], &stream);
        }
        for scope in [&system, &peer, &other] {
            assert!(Resource::ALL.iter().all(|resource| scope.used(*resource) == 0));
        }
    }

    #[test]
    fn no_limit_is_exceeded_by_many_threads() {
        let limits = limits();
        let system = Scope::new(ScopeKind::System);
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..10_000 {
                        let one = [(Resource::Memory, 30)];
                        if reserve(&limits, &[&system], &one).is_ok() {
                            assert!(system.used(Resource::Memory) <= 100);
                            release(&[&system], &one);
                        }
                    }
                });
            }
        });
        assert_eq!(system.used(Resource::Memory), 0);
    }
}
