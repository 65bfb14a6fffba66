//! Limits, filters, bandwidth and figures, for modules that hold more than the
//! smallest page's.

use polypeer::identity::PeerId;
use polypeer::negotiate::Name;
use polypeer::node::Direction;
use polypeer::swarm::arrivals::{Arrivals, Share};
use polypeer::swarm::gate::{Subject, Verdict};
use polypeer::swarm::limits::{Allowance, Limits};
use polypeer::swarm::meter::{Of, Rates, Traffic};
use wasm_bindgen::prelude::wasm_bindgen;

use super::records::{Cause, Records};
use super::{Core, instant};

/// Reads numbers one after another; one that is none leaves its place as it is.
struct Numbers<'a>(std::slice::Iter<'a, f64>);

impl Numbers<'_> {
    fn next(&mut self) -> Option<f64> {
        self.0.next().copied().filter(|number| !number.is_nan())
    }

    fn size(&mut self, place: &mut usize) {
        if let Some(number) = self.next() {
            *place = number as usize;
        }
    }

    fn allowance(&mut self, allowance: &mut Allowance) {
        for place in [
            &mut allowance.connections_in,
            &mut allowance.connections_out,
            &mut allowance.connections,
            &mut allowance.streams_in,
            &mut allowance.streams_out,
            &mut allowance.streams,
            &mut allowance.memory,
        ] {
            self.size(place);
        }
    }

    fn share(&mut self, share: &mut Share) {
        self.size(&mut share.connections);
        if let Some(burst) = self.next() {
            share.burst = burst as u32;
        }
        if let Some(seconds) = self.next() {
            share.interval = core::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        }
    }
}

#[wasm_bindgen]
impl Core {
    /// Changes the limits, for connections from now on. The numbers, in the order
    /// of `src/limiting.ts`, are those that differ from what the host has by
    /// default: -1 a page, 0 Node, else a server with so many bytes of memory.
    pub fn set_limits(&mut self, host: f64, numbers: &[f64]) {
        let mut limits = if host < 0.0 {
            Limits::page()
        } else if host > 0.0 {
            Limits::server(host as usize)
        } else {
            Limits::node()
        };
        let mut numbers = Numbers(numbers.iter());
        for allowance in [
            &mut limits.system,
            &mut limits.transient,
            &mut limits.peer,
            &mut limits.protocol,
            &mut limits.protocol_peer,
            &mut limits.connection,
            &mut limits.stream,
        ] {
            numbers.allowance(allowance);
        }
        let mut arrivals = Arrivals::default();
        numbers.size(&mut arrivals.handshakes_per_address);
        numbers.share(&mut arrivals.address);
        numbers.share(&mut arrivals.site);
        arrivals.loopback = numbers.next().is_some_and(|yes| yes != 0.0);
        self.peer.set_limits(limits, arrivals);
    }

    /// Allows (1) or denies (2) a peer, an address or a network, or forgets (0) what
    /// was said of it, inbound (1), outbound (2) or both (0). Zero, or less for a
    /// failure's record.
    pub fn filter(&mut self, now: f64, subject: &str, direction: u8, verdict: u8) -> i32 {
        let subject = match subject.parse::<Subject>() {
            Ok(subject) => subject,
            Err(error) => return self.fail(Cause::Address, &error),
        };
        let direction = match direction {
            1 => Some(Direction::Inbound),
            2 => Some(Direction::Outbound),
            _ => None,
        };
        let verdict = match verdict {
            1 => Verdict::Allow,
            2 => Verdict::Deny,
            _ => {
                self.peer.remove_filter(instant(now), &subject, direction);
                return 0;
            }
        };
        self.peer.set_filter(instant(now), subject, direction, verdict);
        0
    }

    /// Limits bytes a second, each way, infinity being no limit: of all together
    /// (0), of each peer (1), of the peer (2) or the protocol (3) of that name.
    /// Zero, or less for a failure's record.
    pub fn set_bandwidth(&mut self, of: u8, name: &str, inbound: f64, outbound: f64) -> i32 {
        let of = match of {
            0 => Of::All,
            1 => Of::EachPeer,
            2 => match name.parse::<PeerId>() {
                Ok(peer) => Of::Peer(peer),
                Err(error) => return self.fail(Cause::Address, &error),
            },
            _ => Of::Protocol(Name::from(name)),
        };
        let rate = |rate: f64| rate.is_finite().then_some(rate as u64);
        let rates = Rates { inbound: rate(inbound), outbound: rate(outbound) };
        self.peer.set_bandwidth(of, rates);
        0
    }

    /// Puts what the node does and holds into the output, in the order of
    /// `src/limiting.ts`: its length.
    pub fn stats(&mut self, now: f64) -> usize {
        let stats = self.peer.stats(instant(now));
        let peers = self.peer.node().peer_stats(instant(now));
        self.output.clear();
        let mut out = Records(&mut self.output);
        let (connections, refused) = (&stats.connections, &stats.refused);
        for number in [
            connections.inbound,
            connections.outbound,
            connections.handshaking,
            connections.dialing,
            stats.streams_in,
            stats.streams_out,
            stats.memory,
        ] {
            out.number(number as u64);
        }
        for number in [
            refused.full,
            refused.handshakes,
            refused.denied,
            refused.address_full,
            refused.too_fast,
        ] {
            out.number(number);
        }
        traffic(&mut out, &stats.traffic);
        out.number(stats.protocols.len() as u64);
        for protocol in &stats.protocols {
            out.text(&protocol.name)
                .number(protocol.streams_in as u64)
                .number(protocol.streams_out as u64);
            traffic(&mut out, &protocol.traffic);
        }
        out.number(peers.len() as u64);
        for peer in &peers {
            out.text(&peer.peer)
                .number(peer.connections as u64)
                .number(peer.streams as u64)
                .number(peer.memory as u64);
            traffic(&mut out, &peer.traffic);
        }
        out.number(stats.scopes.len() as u64);
        for used in &stats.scopes {
            out.text(&used.scope.name())
                .text(&used.resource.name())
                .number(used.used as u64)
                .number(used.limit as u64)
                .number(used.refused);
        }
        self.output_at = self.output.as_ptr() as usize;
        self.output.len()
    }
}

fn traffic(out: &mut Records<'_>, traffic: &Traffic) {
    for number in [traffic.bytes_in, traffic.bytes_out, traffic.rate_in, traffic.rate_out] {
        out.number(number);
    }
}
