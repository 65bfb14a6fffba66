//! The peer store and the bootstrap list, as JavaScript uses them.

use core::time::Duration;

use polypeer::Multiaddr;
use polypeer::identity::PeerId;
use polypeer::node::Event;
use polypeer::peer::Output;
use polypeer::swarm::store::{self, Entry, Source, Tag as PeerTag};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::records::{Cause, Records, Tag};
use crate::{Core, instant};

#[wasm_bindgen]
impl Core {
    /// How the store is to behave; call it once, before anything else.
    /// `journal_millis` below zero keeps everything in memory; `bootstrap` are
    /// addresses, a line each.
    #[allow(clippy::too_many_arguments)]
    pub fn configure_store(
        &mut self,
        unix_millis_at_zero: f64,
        page: bool,
        journal_millis: f64,
        bootstrap: &str,
        public: bool,
        remembered: usize,
        target: usize,
    ) -> i32 {
        let mut config = if page { store::Config::page() } else { store::Config::default() };
        config.unix_millis_at_zero = unix_millis_at_zero as u64;
        if journal_millis >= 0.0 {
            config.journal = Some(Duration::from_millis(journal_millis as u64));
        }
        config.bootstrap.peers = match addresses(bootstrap) {
            Ok(list) => list,
            Err(error) => return self.fail(Cause::Address, &error),
        };
        (config.bootstrap.public, config.bootstrap.remembered) = (public, remembered);
        config.bootstrap.target = target;
        self.peer.configure_store(config);
        0
    }

    /// One entry of those that an earlier run wrote down; [`Core::restore`] ends them.
    pub fn stored(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.stored.push((key, value));
    }

    /// Takes all entries that came before: why some were left out, a line each.
    pub fn restore(&mut self, now: f64) -> usize {
        let report = self.peer.restore(instant(now), core::mem::take(&mut self.stored));
        self.say(&mut report.skipped.iter().map(|(_, reason)| reason as &dyn core::fmt::Display))
    }

    /// Writes what has changed down with the next drain.
    pub fn flush_store(&mut self, now: f64) {
        self.peer.flush_store(instant(now));
    }

    /// All peers that something is known of, a line each.
    pub fn known_peers(&mut self) -> usize {
        let peers: Vec<PeerId> =
            self.peer.node().peer_store().iter().map(|(peer, _)| *peer).collect();
        self.say(&mut peers.iter().map(|peer| peer as &dyn core::fmt::Display))
    }

    /// What is known of a peer as a record; zero for nothing, negative: a
    /// failure's record.
    pub fn known_peer(&mut self, peer: &str) -> i32 {
        let peer = match peer.parse::<PeerId>() {
            Ok(peer) => peer,
            Err(error) => return self.fail(Cause::Address, &error),
        };
        self.output.clear();
        if let Some(entry) = self.peer.node().peer_store().get(&peer) {
            describe(&mut Records(&mut self.output), &peer, entry);
        }
        self.output_at = self.output.as_ptr() as usize;
        self.output.len() as i32
    }

    /// For the next [`Core::patch_peer`]: in place of the application's addresses.
    pub fn patch_addresses(&mut self, list: &str) -> i32 {
        match addresses(list) {
            Ok(list) => self.patch.addresses = Some(list),
            Err(error) => return self.fail(Cause::Address, &error),
        }
        0
    }

    /// For the next [`Core::patch_peer`]: a note, or none any more.
    pub fn patch_metadata(&mut self, name: String, value: Option<Vec<u8>>) {
        self.patch.metadata.push((name, value));
    }

    /// For the next [`Core::patch_peer`]: a tag until `expires`, in milliseconds of
    /// Unix time, or none any more if `value` is below zero.
    pub fn patch_tag(&mut self, name: String, value: f64, expires: f64) {
        let tag = PeerTag { value: value as u32, expires: expires as u64 };
        self.patch.tags.push((name, (value >= 0.0).then_some(tag)));
    }

    /// Changes what is known of a peer; negative: a failure's record.
    pub fn patch_peer(&mut self, now: f64, peer: &str) -> i32 {
        let patch = core::mem::take(&mut self.patch);
        let peer = match peer.parse::<PeerId>() {
            Ok(peer) => peer,
            Err(error) => return self.fail(Cause::Address, &error),
        };
        match self.peer.patch_peer(instant(now), &peer, patch) {
            Ok(()) => 0,
            Err(error @ (store::PatchError::ForeignAddress(_) | store::PatchError::Myself)) => {
                self.fail(Cause::Address, &error)
            }
            Err(error) => self.fail(Cause::Limit, &error),
        }
    }

    /// What a peer has signed of itself, this one included, as output; zero for
    /// nothing, negative: a failure's record.
    pub fn signed_record(&mut self, peer: &str) -> i32 {
        let peer = match peer.parse::<PeerId>() {
            Ok(peer) => peer,
            Err(error) => return self.fail(Cause::Address, &error),
        };
        self.output = self.peer.node().signed_record(&peer).unwrap_or_default();
        self.output_at = self.output.as_ptr() as usize;
        self.output.len() as i32
    }

    /// Takes what [`Core::signed_record`] gave elsewhere, and says whose it is;
    /// negative: a failure's record.
    pub fn accept_record(&mut self, now: f64, record: &[u8], ttl_millis: f64) -> i32 {
        let ttl = Duration::from_millis(ttl_millis as u64);
        match self.peer.accept_record(instant(now), record, ttl) {
            Ok(peer) => self.say(&mut [&peer as &dyn core::fmt::Display].into_iter()) as i32,
            Err(error) => self.fail(Cause::Protocol, &error),
        }
    }

    /// Forgets a peer: one if it was known; negative: a failure's record.
    pub fn delete_peer(&mut self, now: f64, peer: &str) -> i32 {
        match peer.parse::<PeerId>() {
            Ok(peer) => self.peer.delete_peer(instant(now), &peer).into(),
            Err(error) => self.fail(Cause::Address, &error),
        }
    }
}

fn addresses(lines: &str) -> Result<Vec<Multiaddr>, polypeer::address::ParseError> {
    lines.split('\n').filter(|line| !line.is_empty()).map(str::parse).collect()
}

/// Tells what belongs to the store; nothing of anything else.
pub(crate) fn record(out: &mut Records<'_>, output: &Output) {
    match output {
        Output::Store(change) => out.part(Tag::Store, |out| {
            out.bytes(&change.key).byte(change.value.is_some().into());
            out.bytes(change.value.as_deref().unwrap_or_default());
        }),
        Output::Event(Event::PeerUpdated { peer }) => {
            out.part(Tag::PeerUpdated, |out| {
                out.text(peer);
            });
        }
        Output::Event(Event::PeerForgotten { peer }) => {
            out.part(Tag::PeerForgotten, |out| {
                out.text(peer);
            });
        }
        Output::Event(Event::Bootstrapped { peers }) => {
            out.part(Tag::Bootstrapped, |out| {
                out.number(*peers as u64);
            });
        }
        _ => {}
    }
}

/// The fields in the order in which `src/store/peer-store.ts` reads them.
fn describe(out: &mut Records<'_>, peer: &PeerId, entry: &Entry) {
    let time = |millis: u64| if millis == u64::MAX { f64::INFINITY } else { millis as f64 };
    out.text(peer).number(entry.addresses.len() as u64);
    for known in &entry.addresses {
        out.text(&known.address)
            .byte(match known.source {
                Source::Identify => 1,
                Source::Dialed => 2,
                Source::Certified => 3,
                Source::Application => 4,
                _ => 0,
            })
            .float(time(known.expires))
            .number(known.succeeded)
            .number(known.failures.into());
    }
    let key = entry.public_key(peer).map(|key| key.to_protobuf());
    out.text(&entry.agent)
        .list(&mut entry.protocols.iter().map(|name| name as &dyn core::fmt::Display))
        .bytes(key.as_deref().unwrap_or_default())
        .number(entry.metadata.len() as u64);
    for (name, value) in entry.metadata.iter() {
        out.text(name).bytes(value);
    }
    out.number(entry.tags.len() as u64);
    for (name, tag) in entry.tags.iter() {
        out.text(name).number(tag.value.into()).float(time(tag.expires));
    }
    out.number(entry.last_seen)
        .number(entry.successes.into())
        .number(entry.failures.into())
        .number(entry.stable_sessions.into())
        .number(entry.connected_millis);
}
