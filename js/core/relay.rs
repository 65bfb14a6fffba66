//! Relays, as JavaScript uses them and is one.

use core::time::Duration;

use polypeer::node::Event;
use polypeer::peer::Output;
use polypeer::protocols::relay::{Limit, RelayError, ServiceConfig};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::records::{Cause, Records, Tag};
use crate::{Core, id, instant};

#[wasm_bindgen]
impl Core {
    /// What the Unix time in milliseconds was at the clock's zero; call it once,
    /// before anything else.
    pub fn set_relay_clock(&mut self, unix_millis_at_zero: f64) {
        self.peer.set_relay_clock(unix_millis_at_zero as u64);
    }

    /// Wants a place at the relay with this address, or at any if it is empty;
    /// negative: a failure's record.
    pub fn listen_on_relay(&mut self, now: f64, address: &str) -> i32 {
        let relay = match address {
            "" => None,
            address => match address.parse() {
                Ok(address) => Some(address),
                Err(error) => return self.fail(Cause::Address, &error),
            },
        };
        match self.peer.listen_on_relay(instant(now), relay) {
            Ok(()) => 0,
            Err(error) => self.fail(Cause::Address, &error),
        }
    }

    /// Serves others as a relay. Times are seconds; a limit of zero is none.
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
    ) {
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
        self.peer.serve_as_relay(instant(now), config);
    }

    /// Whether streams for a protocol are taken on limited connections.
    pub fn handle_limited(&mut self, protocol: &str, takes: bool) {
        self.peer.handle_limited(protocol.into(), takes);
    }

    /// The relays that serve us, a line each.
    pub fn relays(&mut self) -> usize {
        let list: Vec<_> = self.peer.node().reservations().map(|(relay, _)| *relay).collect();
        self.say(&mut list.iter().map(|relay| relay as &dyn core::fmt::Display))
    }

    /// Seconds that a relay lets a connection last in all; zero for no limit.
    pub fn limit_seconds(&self, connection: f64) -> f64 {
        let limit = self.peer.node().limit(id(connection)).unwrap_or_default();
        limit.duration.map_or(0.0, |duration| duration.as_secs() as f64)
    }

    /// Bytes that a relay lets a connection carry each way; zero for no limit.
    pub fn limit_bytes(&self, connection: f64) -> f64 {
        let limit = self.peer.node().limit(id(connection)).unwrap_or_default();
        limit.data.map_or(0.0, |data| data as f64)
    }
}

/// Tells what belongs to relays; nothing of anything else.
pub(crate) fn record(out: &mut Records<'_>, output: &Output) {
    match output {
        Output::Event(Event::Reserved { relay, addresses }) => out.part(Tag::Reserved, |out| {
            out.text(relay).list(&mut addresses.iter().map(|a| a as &dyn core::fmt::Display));
        }),
        Output::Event(Event::Unreserved { relay, error }) => out.part(Tag::Unreserved, |out| {
            let cause = match error {
                RelayError::TimedOut => Cause::Timeout,
                RelayError::Refused(_) | RelayError::TooMany => Cause::Limit,
                RelayError::Protocol => Cause::Protocol,
                _ => Cause::Transport,
            };
            out.text(relay).failure(cause, error);
        }),
        Output::Event(Event::CircuitEnded { summary }) => out.part(Tag::CircuitEnded, |out| {
            let [there, back] = summary.bytes;
            out.text(&summary.source).text(&summary.target).number(there).number(back);
        }),
        _ => {}
    }
}
