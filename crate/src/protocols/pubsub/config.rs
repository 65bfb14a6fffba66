//! What one may choose: plain data, with the specification's defaults.

use core::time::Duration;
use std::sync::Arc;

use crate::identity::PeerId;

use super::choking::Choking;
use super::message::{Message, MessageIds, Signing};
use super::score::{ScoreConfig, Thresholds, TopicScore};
use super::validation::Validation;

/// Which way messages take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Through a mesh a topic, with gossip beside it; floodsub's peers get all.
    #[default]
    Gossipsub,
    /// From everyone to all that are subscribed.
    Floodsub,
}

/// How many peers a mesh has. Source: gossipsub v1.0 "Parameters", v1.1 "Overview of
/// New Parameters".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeshSize {
    /// Wanted (`D`); 6.
    pub wanted: usize,
    /// With fewer, more are grafted (`D_lo`); 5.
    pub low: usize,
    /// With more, some are pruned (`D_hi`); 12.
    pub high: usize,
    /// Kept for their score when some are pruned (`D_score`); 4.
    pub by_score: usize,
    /// Connections that we dialed, at least (`D_out`); 2.
    pub outbound: usize,
    /// Peers that gossip goes to, at least (`D_lazy`); 6.
    pub lazy: usize,
}

impl Default for MeshSize {
    fn default() -> Self {
        Self { wanted: 6, low: 5, high: 12, by_score: 4, outbound: 2, lazy: 6 }
    }
}

/// How a node publishes and subscribes: plain data, with the defaults of the
/// specifications.
#[derive(Clone, Debug)]
pub struct Config {
    /// Gossipsub, or floodsub alone.
    pub mode: Mode,
    /// Whether messages are signed: they are.
    pub signing: Signing,
    /// What names a message; all peers of a topic must agree on it. Others than author
    /// and number are for topics of one's own.
    pub message_ids: MessageIds,
    /// How many peers a mesh has.
    pub mesh: MeshSize,
    /// How often meshes are looked after; 1 s.
    pub heartbeat: Duration,
    /// Heartbeats that messages are kept for those who ask (`mcache_len`); 5.
    pub history: usize,
    /// Heartbeats that messages are told of to others (`mcache_gossip`); 3.
    pub gossip_history: usize,
    /// Of the peers that are in a topic and not in its mesh, the part that gossip goes
    /// to; 0.25.
    pub gossip_factor: f64,
    /// How often one message is sent to the same peer that asks for it; 3.
    pub retransmissions: u32,
    /// How long peers are remembered for a topic that we publish in and do not subscribe
    /// to; 60 s.
    pub fanout_ttl: Duration,
    /// How long a message is known after it was first seen; 120 s.
    pub seen_ttl: Duration,
    /// After a prune, how long neither grafts the other; 60 s.
    pub prune_backoff: Duration,
    /// The same when we leave a topic; 10 s.
    pub unsubscribe_backoff: Duration,
    /// Whether one's own messages go to all peers of a topic, and not to its mesh alone;
    /// they do, so that a mesh full of hostile peers cannot keep them.
    pub flood_publish: bool,
    /// The longest RPC in bytes; 1 MiB, as go-libp2p. A message with its signature has to
    /// fit in: its data may have some 200 bytes less.
    pub max_rpc: usize,
    /// Messages of so many bytes are announced as had, so that others need not send
    /// them too (IDONTWANT); 4096. Shorter ones are cheaper than the announcements: of 1 KiB,
    /// 6.42 copies came instead of 6.49 among 1,000 simulated peers, and a third of all
    /// control was announcements.
    pub idontwant_threshold: usize,
    /// How peers are judged.
    pub score: ScoreConfig,
    /// What follows from their scores.
    pub thresholds: Thresholds,
    /// How peers are judged in topics that do not say.
    pub topic_score: TopicScore,
    /// Peers that get and give everything, outside of meshes and scores, by agreement of
    /// both sides; kept connected.
    pub explicit: Vec<PeerId>,
    /// Whether peers that are pruned are told of others (PX). Off: for those whom all
    /// begin with.
    pub peer_exchange: bool,
    /// Whether peers of a mesh that are nearly always late are choked: they tell of messages
    /// instead of sending them. Off: it saves half of all copies, and costs deliveries some
    /// time; [`Choking`] says how much.
    pub choking: Option<Choking>,
    /// Whether the test extension of version 1.3 is announced; off.
    pub test_extension: bool,
    /// Whether streams are opened on connections that a relay limits. Off, as in
    /// go-libp2p: they would use up what there is.
    pub limited: bool,
}

impl Config {
    /// The longest encoded message in bytes.
    pub(super) fn max_message(&self) -> usize {
        self.max_rpc.saturating_sub(16)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Gossipsub,
            signing: Signing::Strict,
            message_ids: MessageIds::Usual,
            mesh: MeshSize::default(),
            heartbeat: Duration::from_secs(1),
            history: 5,
            gossip_history: 3,
            gossip_factor: 0.25,
            retransmissions: 3,
            fanout_ttl: Duration::from_secs(60),
            seen_ttl: Duration::from_secs(120),
            prune_backoff: Duration::from_secs(60),
            unsubscribe_backoff: Duration::from_secs(10),
            flood_publish: true,
            max_rpc: 1 << 20,
            idontwant_threshold: 4096,
            score: ScoreConfig::default(),
            thresholds: Thresholds::default(),
            topic_score: TopicScore::default(),
            explicit: Vec::new(),
            peer_exchange: false,
            choking: None,
            test_extension: false,
            limited: false,
        }
    }
}

/// How one topic differs.
#[derive(Clone, Debug, Default)]
pub struct TopicConfig {
    /// Which messages are good; all, unless it says.
    pub validation: Validation,
    /// The longest data of a message in bytes, if shorter than
    /// [`Config::max_rpc`] allows.
    pub max_data: Option<usize>,
    /// Whether messages are signed, if otherwise than [`Config::signing`].
    pub signing: Option<Signing>,
    /// How peers are judged, if otherwise than [`Config::topic_score`].
    pub score: Option<TopicScore>,
}

/// A function that names messages.
pub type MessageIdFn = Arc<dyn Fn(&Message) -> Vec<u8> + Send + Sync>;
