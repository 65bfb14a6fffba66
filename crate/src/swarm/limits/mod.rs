//! The resource manager: everything that a remote makes this node hold is
//! booked before it is there, in scopes that stand one in the other.
//!
//! Source: go-libp2p's "resource manager", whose scopes and many of whose
//! numbers these are. Bookings are released by their drop. Counts are atomic
//! numbers, shared without a lock by connections on many threads; tables (of
//! peers, of protocols) are locked when a remote proves who it is and when a
//! stream's protocol is agreed on, never for bytes.
//!
//! What a remote can fill here: the table of peers, by the connections of
//! [`Limits::system`]; that of protocols, by [`MAX_PROTOCOLS`].

mod resources;
mod scope;
#[cfg(test)]
mod tests;

pub use resources::MAX_PROTOCOLS;
pub(crate) use resources::{ConnectionScope, Resources, StreamScope};
pub(crate) use scope::Scope;
pub use scope::{Allowance, LimitReached, Resource, ScopeKind};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Bytes booked for each connection beside its streams: what an idle one costs.
pub const CONNECTION_BYTES: usize = 8 * KIB;
/// Bytes booked for each stream: its state, and [`STREAM_FLOOR`].
pub const STREAM_BYTES: usize = 2 * KIB;
/// Bytes that a stream may always have waiting to be sent, when no more memory
/// is to be had: so that it goes on, slowly.
pub const STREAM_FLOOR: usize = KIB;

/// How much the node, and each peer, protocol, connection and stream may use.
///
/// Plain data; start from [`Limits::page`], [`Limits::node`] or
/// [`Limits::server`]. The numbers of connections hold beside
/// [`Config::max_connections`](crate::node::Config::max_connections).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All together.
    pub system: Allowance,
    /// Connections whose remote, and streams whose protocol is not known yet.
    pub transient: Allowance,
    /// Each peer.
    pub peer: Allowance,
    /// Each protocol; memory here is that of grown windows.
    pub protocol: Allowance,
    /// Each peer in each protocol; memory as for `protocol`.
    pub protocol_peer: Allowance,
    /// Each connection: streams and memory.
    pub connection: Allowance,
    /// Each stream: the memory of its grown window.
    pub stream: Allowance,
}

impl Limits {
    /// For a page, where memory once taken is never given back: 128 connections,
    /// 2,048 streams, 64 MiB.
    pub const fn page() -> Self {
        Self::scaled(128, 64 * MIB)
    }

    /// For a program beside others, in Node or native: 4,096 connections, 16,384
    /// streams, 256 MiB.
    pub const fn node() -> Self {
        Self::scaled(4096, 256 * MIB)
    }

    /// For a server that may use `memory` bytes: half of them for connections and
    /// streams, and a connection for each 32 KiB, 512 at least.
    pub const fn server(memory: usize) -> Self {
        let connections = memory / (32 * KIB);
        Self::scaled(if connections < 512 { 512 } else { connections }, memory / 2)
    }

    /// A system of so many connections and bytes, and what follows from them.
    const fn scaled(connections: usize, memory: usize) -> Self {
        let streams = connections.saturating_mul(if connections > 1024 { 4 } else { 16 });
        let none = Allowance::UNLIMITED;
        Self {
            system: none
                .with_connections(connections, connections, connections)
                .with_streams(streams, streams, streams)
                .with_memory(memory),
            // Attempts of ours may be many: they end within their time limit.
            transient: none
                .with_connections(64, connections / 2, connections / 2)
                .with_streams(streams / 4, streams / 4, streams / 4)
                .with_memory(memory / 4),
            peer: none.with_connections(8, 8, 8).with_streams(256, 512, 512).with_memory(16 * MIB),
            protocol: none
                .with_streams(streams / 2, streams / 2, streams / 2)
                .with_memory(memory / 2),
            protocol_peer: none.with_streams(256, 256, 512).with_memory(16 * MIB),
            connection: none.with_streams(256, 512, 512).with_memory(16 * MIB),
            stream: none.with_memory(16 * MIB),
        }
    }

    /// The limits of a kind of scope.
    pub const fn of(&self, scope: ScopeKind) -> &Allowance {
        match scope {
            ScopeKind::System => &self.system,
            ScopeKind::Transient => &self.transient,
            ScopeKind::Peer => &self.peer,
            ScopeKind::Protocol => &self.protocol,
            ScopeKind::ProtocolPeer => &self.protocol_peer,
            ScopeKind::Connection => &self.connection,
            ScopeKind::Stream => &self.stream,
        }
    }
}

impl Default for Limits {
    /// [`Limits::page`] in WebAssembly, [`Limits::node`] elsewhere.
    fn default() -> Self {
        if cfg!(target_arch = "wasm32") { Self::page() } else { Self::node() }
    }
}
