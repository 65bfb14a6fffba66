//! Which connections are kept, as JavaScript says it.

use core::fmt::Display;

use polypeer::Multiaddr;
use polypeer::identity::PeerId;
use polypeer::node::Event;
use polypeer::peer::Output;
use polypeer::swarm::manager::Config;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::records::{Cause, Records, Tag};
use crate::{Core, instant};

#[wasm_bindgen]
impl Core {
    /// How connections are kept; call it once, before anything else. Marks of zero
    /// are the usual ones.
    pub fn configure_manager(&mut self, page: bool, low_water: usize, high_water: usize) {
        let mut config = if page { Config::page() } else { Config::node() };
        if high_water > 0 {
            (config.low_water, config.high_water) = (low_water, high_water);
        }
        self.peer.configure_manager(config);
    }

    /// Keeps a connection to a peer, at addresses that stand a line each.
    /// Negative: a failure's record.
    pub fn keep(&mut self, now: f64, peer: &str, addresses: &str) -> i32 {
        let lines = addresses.split('\n').filter(|line| !line.is_empty());
        match lines.map(str::parse).collect::<Result<Vec<Multiaddr>, _>>() {
            Ok(list) => self.with_peer(peer, |core, peer| {
                core.peer.keep(instant(now), peer, list);
                0
            }),
            Err(error) => self.fail(Cause::Address, &error),
        }
    }

    /// Keeps it no longer: 1 if it was kept.
    pub fn release(&mut self, now: f64, peer: &str) -> i32 {
        self.with_peer(peer, |core, peer| core.peer.release(instant(now), &peer).into())
    }

    /// The peers that are kept, a line each.
    pub fn kept(&mut self) -> usize {
        let peers: Vec<PeerId> = self.peer.node().kept().copied().collect();
        self.say(&mut peers.iter().map(|peer| peer as &dyn Display))
    }

    /// Never trims a peer, for this reason, or takes the reason back.
    pub fn protect(&mut self, peer: &str, reason: &str, yes: bool) -> i32 {
        self.with_peer(peer, |core, peer| {
            if yes {
                core.peer.protect(peer, reason);
            } else {
                core.peer.unprotect(&peer, reason);
            }
            0
        })
    }

    /// Says what a peer is worth; less than zero takes the tag back.
    pub fn tag(&mut self, now: f64, peer: &str, name: &str, value: f64) -> i32 {
        self.with_peer(peer, |core, peer| {
            let now = instant(now);
            let result = if value < 0.0 {
                core.peer.untag(now, &peer, name)
            } else {
                core.peer.tag(now, &peer, name, value as u32)
            };
            result.map_or_else(|error| core.fail(Cause::Limit, &error), |()| 0)
        })
    }

    /// The smoothed round trip to a peer in microseconds, or less than zero.
    pub fn latency(&mut self, peer: &str) -> f64 {
        let latency = peer.parse().ok().and_then(|peer| self.peer.latency(&peer));
        latency.map_or(-1.0, |latency| latency.as_micros() as f64)
    }

    /// The page or machine woke, or has a network again.
    pub fn resumed(&mut self, now: f64) {
        self.peer.resumed(instant(now));
    }

    /// There is no network.
    pub fn offline(&mut self) {
        self.peer.offline();
    }
}

impl Core {
    fn with_peer(&mut self, peer: &str, act: impl FnOnce(&mut Self, PeerId) -> i32) -> i32 {
        match peer.parse() {
            Ok(peer) => act(self, peer),
            Err(error) => self.fail(Cause::Address, &error),
        }
    }
}

/// Tells of what concerns the manager.
pub(crate) fn record(out: &mut Records<'_>, output: &Output) {
    match output {
        Output::Event(Event::Trimmed { peer }) => {
            out.part(Tag::Trimmed, |out| _ = out.text(peer));
        }
        Output::Event(Event::Redialing { peer, failures, after }) => {
            out.part(Tag::Redialing, |out| {
                out.text(peer).number((*failures).into()).float(after.as_micros() as f64);
            });
        }
        Output::Event(Event::PathChanged { connection, .. }) => {
            out.part(Tag::PathChanged, |out| _ = out.number(connection.0));
        }
        _ => {}
    }
}
