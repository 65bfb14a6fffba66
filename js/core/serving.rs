//! What Node does for others: as a server of a DHT, as a relay, as a rendezvous point,
//! for those who want to know whether they can be dialed.

use core::time::Duration;

use polypeer::node::Event;
use polypeer::peer::Output;
use polypeer::protocols::relay::{Limit, ServiceConfig};
use polypeer::protocols::{autonat, rendezvous};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::kad::mode_of;
use crate::reach::number;
use crate::records::{Cause, Records, Tag};
use crate::{Core, instant};

#[wasm_bindgen]
impl Core {
    /// Plays another part in the DHT: 0 automatic, 1 client, 2 server.
    pub fn set_dht_mode(&mut self, now: f64, mode: u8) {
        self.peer.set_dht_mode(instant(now), mode_of(mode));
    }

    /// Serves others as a relay. Times are seconds; a limit of zero is none. `rates`:
    /// of a circuit, a peer, an address and in all. `peers`: who is allowed, denied and
    /// trusted, a line each behind `+`, `-` or `*`. Negative: a failure's record.
    #[allow(clippy::too_many_arguments)]
    pub fn serve_as_relay(
        &mut self,
        now: f64,
        reservations: usize,
        reservations_per_ip: usize,
        ttl: f64,
        circuits: usize,
        circuits_per_peer: usize,
        duration: f64,
        data: f64,
        rates: &[f64],
        peers: &str,
    ) -> i32 {
        let mut config = ServiceConfig::default();
        config.max_reservations = reservations;
        config.max_reservations_per_ip = reservations_per_ip;
        config.reservation_ttl = Duration::from_secs(ttl as u64);
        config.max_circuits = circuits;
        config.max_circuits_per_peer = circuits_per_peer;
        config.limit = Limit {
            duration: Some(Duration::from_secs(duration as u64)).filter(|time| !time.is_zero()),
            data: Some(data as u64).filter(|data| *data > 0),
        };
        let rate =
            |index: usize| rates.get(index).map(|rate| *rate as u64).filter(|rate| *rate > 0);
        let all = &mut config.rates;
        (all.circuit, all.peer, all.ip, all.total) = (rate(0), rate(1), rate(2), rate(3));
        for line in peers.lines() {
            let (list, name) = match line.split_at_checked(1) {
                Some(("+", name)) => (&mut config.allow, name),
                Some(("-", name)) => (&mut config.deny, name),
                Some((_, name)) => (&mut config.trusted, name),
                None => continue,
            };
            match name.parse() {
                Ok(peer) => list.insert(peer),
                Err(error) => return self.fail(Cause::Address, &error),
            };
        }
        self.peer.serve_as_relay(instant(now), config);
        0
    }

    /// What is done and was done as a relay, as a record: places, circuits, how many
    /// rules were in the way and how often each, then the pairs to the end.
    pub fn relay_stats(&mut self) -> usize {
        let stats = self.peer.node().relay_service().stats();
        self.output.clear();
        let mut out = Records(&mut self.output);
        out.number(stats.reservations as u64).number(stats.circuits as u64);
        out.number(stats.refused.len() as u64);
        for (rule, count) in stats.refused {
            out.text(&rule.name()).number(count);
        }
        for pair in stats.pairs {
            let [there, back] = pair.bytes;
            out.text(&pair.source).text(&pair.target).number(pair.circuits);
            out.number(there).number(back);
        }
        self.output_at = self.output.as_ptr() as usize;
        self.output.len()
    }

    /// Is a point from now on. `numbers`, of which those below zero change nothing:
    /// milliseconds of a registration at least and at most, registrations in all, their
    /// bytes, those of a peer, under a name and of a network, requests a minute.
    pub fn serve_rendezvous(&mut self, now: f64, numbers: &[f64]) {
        let number = |at: usize| numbers.get(at).copied().filter(|number| *number >= 0.0);
        let mut config = rendezvous::ServerConfig::default();
        for (at, place) in [&mut config.min_ttl, &mut config.max_ttl].into_iter().enumerate() {
            *place = number(at).map_or(*place, |number| Duration::from_millis(number as u64));
        }
        let places = [
            &mut config.max_registrations,
            &mut config.max_bytes,
            &mut config.max_of_peer,
            &mut config.max_of_namespace,
            &mut config.max_of_network,
        ];
        for (at, place) in places.into_iter().enumerate() {
            *place = number(at + 2).map_or(*place, |number| number as usize);
        }
        config.max_requests = number(7).map_or(config.max_requests, |number| number as u32);
        self.peer.serve_rendezvous(instant(now), config);
    }

    /// Four numbers: registrations with us, their peers, names and bytes.
    pub fn rendezvous_stats(&mut self) -> usize {
        self.output.clear();
        let server = self.peer.node().rendezvous_server();
        let (registrations, peers, names) = server.len();
        let mut out = Records(&mut self.output);
        for number in [registrations, peers, names, server.bytes()] {
            out.number(number as u64);
        }
        self.output_at = self.output.as_ptr() as usize;
        self.output.len()
    }

    /// Dials for others who want to know whether they can be dialed, or changes how
    /// often.
    pub fn serve_autonat(
        &mut self,
        now: f64,
        requests: usize,
        requests_of_peer: usize,
        per_minute: usize,
        per_minute_of_network: usize,
        per_minute_of_peer: usize,
    ) {
        let mut config = autonat::ServerConfig::default();
        config.max_requests = requests;
        config.max_requests_of_peer = requests_of_peer;
        config.per_minute = per_minute;
        config.per_minute_of_network = per_minute_of_network;
        config.per_minute_of_peer = per_minute_of_peer;
        self.peer.serve_autonat(instant(now), config);
    }

    /// Whether we can be dialed at all.
    pub fn reachability(&self) -> u8 {
        number(self.peer.node().reachability())
    }
}

/// Tells what belongs to this; nothing of anything else.
pub(crate) fn record(out: &mut Records<'_>, output: &Output) {
    match output {
        Output::Event(Event::RelayRefused { peer, refusal }) => {
            out.part(Tag::RelayRefused, |out| {
                let after = refusal.retry_after.map_or(-1.0, |after| after.as_millis() as f64);
                out.text(peer).text(&refusal.rule.name()).float(after);
            });
        }
        Output::Event(Event::CircuitEnded { summary }) => out.part(Tag::CircuitEnded, |out| {
            let [there, back] = summary.bytes;
            out.text(&summary.source).text(&summary.target).number(there).number(back);
        }),
        Output::Event(Event::Reachability { address, reachability }) => {
            out.part(Tag::Reachability, |out| {
                out.byte(number(*reachability));
                match address {
                    Some(address) => out.text(address),
                    None => out.text(&""),
                };
            });
        }
        _ => {}
    }
}
