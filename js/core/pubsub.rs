//! Topics, as JavaScript publishes and subscribes.

use core::time::Duration;
use std::fmt::Display;

use polypeer::node::Event;
use polypeer::peer::Output;
use polypeer::protocols::pubsub::{
    Choking, Config, Message, MessageId, MessageIds, Mode, PublishError, PubsubEvent, Router,
    Signing, TopicConfig, Validation, Verdict,
};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::records::{Cause, Records, Tag};
use crate::{Core, instant};

#[wasm_bindgen]
impl Core {
    /// Publishes and subscribes from now on. `numbers`, of which those below zero change
    /// nothing: floodsub alone, unsigned, ids of the content, published to the mesh
    /// alone, peers exchanged, on limited connections (all 0 or 1), peers wanted in a
    /// mesh, at least and at most, milliseconds of a heartbeat, bytes of an RPC, late peers
    /// choked (0 or 1).
    /// `explicit`: peers, a line each. Negative: a failure's record.
    pub fn start_pubsub(&mut self, now: f64, numbers: &[f64], explicit: &str) -> i32 {
        let mut config = Config::default();
        let number = |at: usize| numbers.get(at).copied().filter(|number| *number >= 0.0);
        let flag = |at: usize| number(at).map(|number| number > 0.0);
        if flag(0) == Some(true) {
            config.mode = Mode::Floodsub;
        }
        if flag(1) == Some(true) {
            config.signing = Signing::Without;
        }
        if flag(2) == Some(true) {
            config.message_ids = MessageIds::Content;
        }
        config.flood_publish = flag(3).map_or(config.flood_publish, |only_mesh| !only_mesh);
        config.peer_exchange = flag(4).unwrap_or(config.peer_exchange);
        config.limited = flag(5).unwrap_or(config.limited);
        let mesh = &mut config.mesh;
        let places = [&mut mesh.wanted, &mut mesh.low, &mut mesh.high];
        for (place, at) in places.into_iter().zip(6..) {
            *place = number(at).map_or(*place, |number| number as usize);
        }
        if let Some(millis) = number(9) {
            config.heartbeat = Duration::from_millis(millis as u64);
        }
        config.max_rpc = number(10).map_or(config.max_rpc, |bytes| bytes as usize);
        config.choking = (flag(11) == Some(true)).then(Choking::default);
        for name in explicit.lines() {
            match name.parse() {
                Ok(peer) => config.explicit.push(peer),
                Err(error) => return self.fail(Cause::Address, &error),
            }
        }
        self.peer.start_pubsub(instant(now), config);
        0
    }

    /// Takes part in a topic, or takes part in it otherwise than before. `validated`:
    /// whether JavaScript judges its messages. `max_data`: bytes of a message, below zero
    /// for the usual limit. Negative: a failure's record.
    pub fn subscribe(&mut self, now: f64, topic: &str, validated: bool, max_data: f64) -> i32 {
        let mut config = TopicConfig::default();
        if validated {
            config.validation = Validation::Async;
        }
        config.max_data = (max_data >= 0.0).then_some(max_data as usize);
        match self.peer.subscribe(instant(now), topic, config) {
            Ok(()) => 0,
            Err(error) => self.fail(Cause::Protocol, &error),
        }
    }

    /// Leaves a topic.
    pub fn unsubscribe(&mut self, now: f64, topic: &str) {
        self.peer.unsubscribe(instant(now), topic);
    }

    /// Publishes a message: to how many peers; negative: a failure's record.
    pub fn publish(&mut self, now: f64, topic: &str, data: &[u8]) -> i32 {
        match self.peer.publish(instant(now), topic, data) {
            Ok(published) => published.peers as i32,
            Err(error @ PublishError::TooLong { .. }) => self.fail(Cause::Limit, &error),
            Err(error) => self.fail(Cause::Protocol, &error),
        }
    }

    /// The judgement on a message: 0 good, 1 bad, 2 neither.
    pub fn validated(&mut self, now: f64, id: &[u8], verdict: u8) {
        let verdict = match verdict {
            0 => Verdict::Accept,
            1 => Verdict::Reject,
            _ => Verdict::Ignore,
        };
        self.peer.validated(instant(now), &MessageId::new(id), verdict);
    }

    /// Peers that have subscribed to a topic, a line each; `mesh`: those in its mesh.
    pub fn topic_peers(&mut self, topic: &str, mesh: bool) -> usize {
        let of =
            |router: &Router| if mesh { router.mesh(topic) } else { router.subscribers(topic) };
        let peers = self.peer.node().pubsub().map(of).unwrap_or_default();
        self.say(&mut peers.iter().map(|peer| peer as &dyn Display))
    }

    /// What a peer is worth; not a number if that is no PeerId.
    pub fn pubsub_score(&self, now: f64, peer: &str) -> f64 {
        let score =
            |peer| self.peer.node().pubsub().map(|router| router.score(instant(now), &peer));
        peer.parse().map_or(f64::NAN, |peer| score(peer).unwrap_or_default())
    }

    /// What was done so far, as a record of numbers.
    pub fn pubsub_stats(&mut self) -> usize {
        let stats = self.peer.node().pubsub().map(|router| router.stats()).unwrap_or_default();
        self.output.clear();
        let mut out = Records(&mut self.output);
        for count in [
            stats.published,
            stats.delivered,
            stats.duplicates,
            stats.rejected,
            stats.ignored,
            stats.sent,
            stats.dropped,
            stats.asked,
            stats.excess,
            stats.peers as u64,
            stats.topics as u64,
            stats.mesh as u64,
        ] {
            out.number(count);
        }
        self.output_at = self.output.as_ptr() as usize;
        self.output.len()
    }
}

/// Tells what belongs to topics; nothing of anything else.
pub(crate) fn record(out: &mut Records<'_>, output: &Output) {
    let Output::Event(Event::Pubsub(event)) = output else { return };
    match event {
        PubsubEvent::Message { message, id, received_from } => {
            write(out, Tag::Published, (message, id), received_from);
        }
        PubsubEvent::Validate { message, id, received_from } => {
            write(out, Tag::Validate, (message, id), received_from);
        }
        PubsubEvent::Subscribed { peer, topic } => out.part(Tag::Subscribed, |out| {
            out.text(topic).text(peer);
        }),
        PubsubEvent::Unsubscribed { peer, topic } => out.part(Tag::Unsubscribed, |out| {
            out.text(topic).text(peer);
        }),
        found => crate::topics::record(out, found),
    }
}

/// Author and number are empty where there are none.
fn write(
    out: &mut Records<'_>,
    tag: Tag,
    (message, id): (&Message, &MessageId),
    received_from: &dyn Display,
) {
    out.part(tag, |out| {
        out.text(message.topic()).bytes(id.as_bytes()).text(received_from);
        match message.from() {
            Some(from) => out.text(&from),
            None => out.text(&""),
        };
        match message.seqno() {
            Some(seqno) => out.text(&seqno),
            None => out.text(&""),
        };
        out.byte(message.signature().is_some().into()).bytes(message.data());
    });
}
