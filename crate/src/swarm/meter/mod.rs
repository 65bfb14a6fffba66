//! Bytes in and out: how many, how fast, and how fast at most.
//!
//! Counted in the connections themselves, on whatever thread they are, with
//! atomic numbers: of each connection, each peer and all together what the
//! transports carry, of each protocol the data of its streams. A peer's count
//! ends with its last connection; those of protocols and of all stay.
//!
//! A limit on what is sent makes the connection or the stream wait; one on what
//! is received stops the reading of the transport, or for a protocol the windows
//! of its streams, so that it is the remote that waits. Whoever is over a limit
//! waits for the moment at which what passed has been paid for; others of the
//! same connection, of the same peer and of other protocols go on.

mod rate;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::collections::Map;
use crate::identity::PeerId;
use crate::negotiate::Name;
use crate::time::Instant;

use crate::swarm::bucket::Bucket;
use rate::Rate;

pub use crate::swarm::bucket::BURST;

/// The most bytes a second, each way; `None` is without limit. Rates below some
/// 32 KiB a second delay answers so much that remotes may give the connection up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Received.
    pub inbound: Option<u64>,
    /// Sent.
    pub outbound: Option<u64>,
}

impl Rates {
    /// As many, each way.
    pub const fn both(rate: u64) -> Self {
        Self { inbound: Some(rate), outbound: Some(rate) }
    }
}

/// What a limit on rates is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Of {
    /// All connections together.
    All,
    /// Each peer that has no limit of its own.
    EachPeer,
    /// All connections of this peer.
    Peer(PeerId),
    /// All streams of this protocol, of all peers together.
    Protocol(Name),
}

/// Limits on rates. Plain data; without a limit by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// All connections together.
    pub all: Rates,
    /// Each peer that is not in `peers`.
    pub each_peer: Rates,
    /// Peers with limits of their own.
    pub peers: Map<PeerId, Rates>,
    /// Protocols, their streams with all peers together.
    pub protocols: Map<Name, Rates>,
}

impl Bandwidth {
    /// Changes one limit.
    pub fn set(&mut self, of: Of, rates: Rates) {
        match of {
            Of::All => self.all = rates,
            Of::EachPeer => self.each_peer = rates,
            Of::Peer(peer) => drop(self.peers.insert(peer, rates)),
            Of::Protocol(name) => drop(self.protocols.insert(name, rates)),
        }
    }

    pub(crate) fn peer(&self, peer: &PeerId) -> Rates {
        self.peers.get(peer).copied().unwrap_or(self.each_peer)
    }

    pub(crate) fn protocol(&self, name: &Name) -> Rates {
        self.protocols.get(name).copied().unwrap_or_default()
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// Bytes that have passed, and how fast they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received a second, smoothed over some five seconds.
    pub rate_in: u64,
    /// Bytes sent a second, smoothed over some five seconds.
    pub rate_out: u64,
}

/// The bytes of one connection, peer, protocol, or of all.
#[derive(Debug, Default)]
pub(crate) struct Meter([Count; 2]);

#[derive(Debug, Default)]
struct Count {
    bytes: AtomicU64,
    rate: Rate,
    bucket: Bucket,
}

impl Meter {
    pub(crate) fn new(rates: Rates) -> Self {
        let meter = Self::default();
        meter.set(rates);
        meter
    }

    pub(crate) fn set(&self, rates: Rates) {
        self.0[Way::In as usize].bucket.set_rate(rates.inbound);
        self.0[Way::Out as usize].bucket.set_rate(rates.outbound);
    }

    /// `bytes` have passed: when the next may, if not at once.
    pub(crate) fn count(&self, way: Way, now: Instant, bytes: usize) -> Option<Instant> {
        let count = &self.0[way as usize];
        count.bytes.fetch_add(bytes as u64, Relaxed);
        count.rate.count(now, bytes);
        count.bucket.charge(now, bytes)
    }

    /// How many bytes may pass before they are counted.
    pub(crate) fn slice(&self, way: Way) -> usize {
        self.0[way as usize].bucket.slice()
    }

    /// Whether there is a limit.
    pub(crate) fn is_limited(&self, way: Way) -> bool {
        self.0[way as usize].bucket.rate().is_some()
    }

    pub(crate) fn traffic(&self, now: Instant) -> Traffic {
        let [inbound, outbound] = &self.0;
        Traffic {
            bytes_in: inbound.bytes.load(Relaxed),
            bytes_out: outbound.bytes.load(Relaxed),
            rate_in: inbound.rate.per_second(now),
            rate_out: outbound.rate.per_second(now),
        }
    }
}
