//! Peers of topics, as JavaScript has them looked for.

use core::time::Duration;

use polypeer::discovery::topics::{Config, FoundBy, announcing};
use polypeer::protocols::pubsub::PubsubEvent;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::records::{Cause, Records, Tag};
use crate::{Core, instant};

#[wasm_bindgen]
impl Core {
    /// Looks for the peers of topics from now on: in the DHT or not, at these points, a
    /// line each, and is found there or not. Negative: a failure's record.
    pub fn set_topic_discovery(
        &mut self,
        now: f64,
        dht: bool,
        points: &str,
        announce: bool,
    ) -> i32 {
        let mut config = Config { dht, announce, ..Config::default() };
        for point in points.lines() {
            match self.point(point) {
                Ok(point) => config.points.push(point),
                Err(failure) => return failure as i32,
            }
        }
        self.peer.set_topic_discovery(instant(now), config);
        0
    }

    /// Announces us in these topics, a line each, or in the usual one, every so many
    /// milliseconds if that is not less than zero, and hears who else does. Negative: a
    /// failure's record.
    pub fn start_peer_discovery(
        &mut self,
        now: f64,
        topics: &str,
        interval: f64,
        listen_only: bool,
    ) -> i32 {
        let mut config = announcing::Config { listen_only, ..announcing::Config::default() };
        if !topics.is_empty() {
            config.topics = topics.lines().map(Into::into).collect();
        }
        if interval >= 0.0 {
            config.interval = Duration::from_millis(interval as u64);
        }
        match self.peer.start_peer_discovery(instant(now), config) {
            Ok(()) => 0,
            Err(error) => self.fail(Cause::Protocol, &error),
        }
    }
}

/// Tells of somebody who was found; the last number is that of `discovery/topics.ts`.
pub(crate) fn record(out: &mut Records<'_>, event: &PubsubEvent) {
    let PubsubEvent::Found { peer, topic, addresses, by } = event else { return };
    let addresses = addresses.iter().map(|one| one as &dyn core::fmt::Display);
    out.part(Tag::TopicPeer, |out| {
        out.text(topic).text(peer).list(&mut { addresses }).byte(match by {
            FoundBy::Dht => 0,
            FoundBy::Rendezvous => 1,
            _ => 2,
        });
    });
}
