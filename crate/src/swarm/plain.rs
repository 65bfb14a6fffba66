//! Dials in the smallest build: all addresses at once, and nothing remembered.

use core::time::Duration;

use crate::address::Multiaddr;
use crate::identity::PeerId;
use crate::time::Instant;

#[derive(Default)]
pub(crate) struct Backoff;

impl Backoff {
    pub(crate) fn left(&self, _: Instant, _: &Multiaddr, _: Option<PeerId>) -> Option<Duration> {
        None
    }

    pub(crate) fn failed(&mut self, _: Instant, _: &Multiaddr, _: Option<PeerId>) {}

    pub(crate) fn reached(&mut self, _: &PeerId, _: &Multiaddr) {}
}

pub(crate) fn is_private(_: &Multiaddr) -> bool {
    false
}

pub(crate) fn is_dialable(_: &Multiaddr) -> bool {
    true
}

pub(crate) fn step(_: &Multiaddr) -> Duration {
    Duration::ZERO
}

pub(crate) fn rank(addresses: Vec<Multiaddr>) -> impl Iterator<Item = (Duration, Multiaddr)> {
    addresses.into_iter().map(|address| (Duration::ZERO, address))
}
