//! The DHT, as JavaScript asks it and serves in it.

use core::time::Duration;

use polypeer::address::{Multiaddr, Protocol};
use polypeer::node::Event;
use polypeer::peer::Output;
use polypeer::protocols::kad::{
    Config, Contact, Invalid, Mode, QueryError, QueryEvent, QueryId, Validator,
};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::records::{Cause, Records, Tag};
use crate::{Core, instant};

#[wasm_bindgen(raw_module = "../dist/dht/validators.js")]
unsafe extern "C" {
    fn validate(validator: u32, key: &[u8], value: &[u8]) -> Option<String>;
    fn is_better(validator: u32, key: &[u8], new: &[u8], old: &[u8]) -> bool;
    fn release(validator: u32);
}

/// A validator that the application brought, by its number.
struct HostValidator(u32);

impl Drop for HostValidator {
    fn drop(&mut self) {
        release(self.0);
    }
}

impl Validator for HostValidator {
    fn validate(&self, key: &[u8], value: &[u8], _: u64) -> Result<(), Invalid> {
        validate(self.0, key, value).map_or(Ok(()), |why| Err(Invalid::Value(why)))
    }

    fn is_better(&self, key: &[u8], new: &[u8], old: &[u8]) -> bool {
        is_better(self.0, key, new, old)
    }
}

/// What a query is after; the order is that of `src/dht/dht.ts`.
const CLOSEST: u8 = 0;
// 1, which is all other numbers: where a peer is.
const PROVIDE: u8 = 2;
const PROVIDERS: u8 = 3;
const PUT: u8 = 4;
const GET: u8 = 5;

#[wasm_bindgen]
impl Core {
    /// Takes part in the DHT of this name. `page`: with the limits of pages, as a client.
    /// `public`: private addresses are not dialed. `numbers`, of which those below zero
    /// change nothing: the mode (0 automatic, 1 client, 2 server), peers asked at a time,
    /// paths, dials and milliseconds of a query, records, their bytes and keys provided
    /// that are kept.
    #[allow(clippy::too_many_arguments)]
    pub fn join_dht(
        &mut self,
        now: f64,
        unix_millis_at_zero: f64,
        name: &str,
        page: bool,
        secure: bool,
        public: bool,
        optimistic: bool,
        numbers: &[f64],
    ) {
        let number = |at: usize| numbers.get(at).copied().filter(|number| *number >= 0.0);
        let mode = number(0).map_or(0, |number| number as u8);
        let mut config = Config {
            protocol: name.into(),
            unix_millis_at_zero: unix_millis_at_zero as u64,
            private: !public,
            optimistic,
            mode: mode_of(mode),
            ..Config::default()
        };
        if page {
            config = config.in_page();
        }
        let places = [
            &mut config.lookup.alpha,
            &mut config.lookup.paths,
            &mut config.max_dials,
            &mut config.store.records,
            &mut config.store.record_bytes,
            &mut config.store.provided,
        ];
        for (place, at) in places.into_iter().zip([1, 2, 3, 5, 6, 7]) {
            *place = number(at).map_or(*place, |number| number as usize);
        }
        if let Some(millis) = number(4) {
            config.query_timeout = Duration::from_millis(millis as u64);
        }
        self.peer.join_dht(instant(now), config);
        self.peer.set_dialable(Box::new(move |address| dialable(address, page, secure)));
    }

    /// Has records of `/namespace/…` judged by the host's validator of this number.
    pub fn set_validator(&mut self, namespace: &str, validator: u32) {
        self.peer.set_validator(namespace, Box::new(HostValidator(validator)));
    }

    /// Begins a query about the key that stands at the start of the input, with a value
    /// behind it: the query's number; less than zero: a failure's record. `enough`:
    /// providers, or peers that agree on a value.
    pub fn query(&mut self, now: f64, goal: u8, key: usize, value: usize, enough: usize) -> f64 {
        let all = self.input.get(..key.saturating_add(value)).unwrap_or_default().to_vec();
        let (key, value) = all.split_at_checked(key).unwrap_or_default();
        let now = instant(now);
        let query = match goal {
            CLOSEST => self.peer.closest_peers(now, key),
            PROVIDE => self.peer.provide(now, key),
            PROVIDERS => self.peer.find_providers(now, key, enough),
            PUT => self.peer.put_value(now, key, value),
            GET => self.peer.get_value(now, key, enough),
            _ => {
                let text = core::str::from_utf8(key).unwrap_or_default();
                match text.parse() {
                    Ok(peer) => self.peer.find_peer(now, peer),
                    Err(error) => return self.fail(Cause::Address, &error).into(),
                }
            }
        };
        match query {
            Ok(QueryId(query)) => query as f64,
            Err(error @ QueryError::Put(_)) => self.fail(Cause::Protocol, &error).into(),
            Err(error) => self.fail(Cause::Limit, &error).into(),
        }
    }

    /// Nobody waits for this query any more.
    pub fn cancel_query(&mut self, now: f64, query: f64) {
        self.peer.cancel_query(instant(now), QueryId(query as u64));
    }

    /// The key at the start of the input is provided, or its value put, no more.
    pub fn withdraw(&mut self, key: usize) {
        let key = self.input.get(..key).unwrap_or_default().to_vec();
        self.peer.withdraw(&key);
    }

    /// Looks around in all parts of the key space.
    pub fn bootstrap_dht(&mut self, now: f64) {
        self.peer.bootstrap_dht(instant(now));
    }

    /// Five numbers: whether we serve, peers in the table, peers of the network or less
    /// than zero, records kept and keys whose providers are; nothing without a DHT.
    pub fn dht_status(&mut self) -> usize {
        self.output.clear();
        if let Some(kad) = self.peer.node().dht() {
            let (records, provided) = kad.store().len();
            Records(&mut self.output)
                .number(kad.is_server().into())
                .number(kad.table().len() as u64)
                .float(kad.network_size().map_or(-1.0, |size| size as f64))
                .number(records as u64)
                .number(provided as u64);
        }
        self.output_at = self.output.as_ptr() as usize;
        self.output.len()
    }
}

pub(crate) fn mode_of(number: u8) -> Mode {
    match number {
        1 => Mode::Client,
        2 => Mode::Server,
        _ => Mode::Auto,
    }
}

/// Whether JavaScript can dial an address: from a page by WebSocket and WebRTC alone, from
/// a secure page by WebSocket that is secure.
fn dialable(address: &Multiaddr, page: bool, secure: bool) -> bool {
    let (mut udp, mut web, mut tls, mut direct) = (false, false, false, false);
    for part in address.iter() {
        match part {
            Protocol::Udp(_) => udp = true,
            Protocol::Ws => web = true,
            Protocol::Wss => (web, tls) = (true, true),
            Protocol::Tls => tls = true,
            Protocol::WebrtcDirect => direct = true,
            _ => {}
        }
    }
    direct || (!udp && if page { web && (tls || !secure) } else { !tls || web })
}

/// Tells what belongs to the DHT; nothing of anything else.
pub(crate) fn record(out: &mut Records<'_>, output: &Output) {
    let Output::Event(Event::Dht { query, event }) = output else { return };
    let number = query.0;
    match event {
        QueryEvent::Answered { peer, new, hops } => out.part(Tag::DhtAnswered, |out| {
            out.number(number).text(peer).number(*new as u64).number((*hops).into());
        }),
        QueryEvent::Failed { peer } => out.part(Tag::DhtFailed, |out| {
            out.number(number).text(peer);
        }),
        QueryEvent::Peer(contact) | QueryEvent::Provider(contact) => {
            out.part(Tag::DhtFound, |out| write(out.number(number), contact));
        }
        QueryEvent::Value(found) => out.part(Tag::DhtValue, |out| {
            out.number(number).bytes(&found.value);
        }),
        QueryEvent::Done(summary) => out.part(Tag::DhtDone, |out| {
            out.number(number)
                .number(summary.successes as u64)
                .number(summary.asked as u64)
                .number(summary.answered as u64)
                .number(summary.hops.into())
                .byte(summary.timed_out.into())
                .list(&mut summary.closest.iter().map(|peer| peer as &dyn core::fmt::Display));
        }),
        _ => {}
    }
}

fn write(out: &mut Records<'_>, contact: &Contact) {
    let addresses = contact.addresses.iter().map(|one| one as &dyn core::fmt::Display);
    out.text(&contact.peer).list(&mut { addresses });
}
