//! Relays, as JavaScript uses them.

use core::time::Duration;

use polypeer::connection::Error;
use polypeer::negotiate::Name;
use polypeer::node::Event;
use polypeer::peer::Output;
use polypeer::protocols::relay::{Allowance, RelayError};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::records::{Cause, Records, Tag, stream_cause};
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

    /// Whether streams for a protocol are taken on limited connections.
    pub fn handle_limited(&mut self, protocol: &str, takes: bool) {
        self.peer.handle_limited(protocol.into(), takes);
    }

    /// The relays that serve us, a line each.
    pub fn relays(&mut self) -> usize {
        let list: Vec<_> = self.peer.node().reservations().map(|(relay, _)| *relay).collect();
        self.say(&mut list.iter().map(|relay| relay as &dyn core::fmt::Display))
    }

    /// Whether circuits that end soon are followed by others.
    pub fn refresh_circuits(&mut self, refresh: bool) {
        self.peer.set_circuit_refresh(refresh);
    }

    /// What a relay allows of a connection and what is used, as a record;
    /// nothing where there is no limit.
    pub fn allowance(&mut self, now: f64, connection: f64) -> usize {
        let connection = self.peer.connection(id(connection));
        let allowance = connection.and_then(|connection| connection.allowance(instant(now)));
        self.output.clear();
        if let Some(used) = allowance {
            write(&mut Records(&mut self.output), &used);
        }
        self.output_at = self.output.as_ptr() as usize;
        self.output.len()
    }

    /// As `open_stream`, on connections that a relay limits too.
    pub fn open_limited_stream(&mut self, now: f64, connection: f64, protocols: &str) -> f64 {
        let names: Vec<Name> = protocols.split('\n').map(Name::from).collect();
        match self.peer.open_limited_stream(instant(now), id(connection), names) {
            Ok(stream) => stream.number().into(),
            Err(error) => self.fail(stream_cause(&error), &error).into(),
        }
    }
}

/// Five numbers: milliseconds and bytes that are allowed, zero for no limit, then
/// the milliseconds, bytes sent and bytes received that are used.
fn write(out: &mut Records<'_>, used: &Allowance) {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    out.number(used.limit.duration.map_or(0, millis))
        .number(used.limit.data.unwrap_or(0))
        .number(millis(used.time))
        .number(used.sent)
        .number(used.received);
}

/// Tells what belongs to relays; nothing of anything else.
pub(crate) fn record(out: &mut Records<'_>, output: &Output) {
    match output {
        Output::Ended(connection) => out.part(Tag::TransportEnded, |out| {
            out.number(connection.0);
        }),
        Output::Event(Event::LimitNear { connection, used, .. }) => {
            out.part(Tag::LimitNear, |out| write(out.number(connection.0), used));
        }
        Output::Event(Event::Disconnected {
            connection, reason: Error::RelayLimit(used), ..
        }) => out.part(Tag::LimitReached, |out| write(out.number(connection.0), used)),
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
        _ => {}
    }
}
