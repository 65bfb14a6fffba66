//! How peers are judged: weights, decays and thresholds.
//!
//! Source: gossipsub v1.1, "Overview of New Parameters". The specification gives no
//! defaults; these are of the size that go-libp2p's users have in production (Filecoin),
//! with P3 off, since it needs to be told how many messages a topic has:
//! [`TopicScore::expecting`].

use core::time::Duration;
use std::sync::Arc;

use crate::identity::PeerId;

/// How all peers are judged.
#[derive(Clone)]
pub struct ScoreConfig {
    /// Whether there are scores at all; all peers have 0 otherwise.
    pub enabled: bool,
    /// The most that all topics together add; no limit if 0. 100.
    pub topic_cap: f64,
    /// P5: what the application thinks of a peer.
    pub application: Option<AppScore>,
    /// The weight of P5; 1.
    pub application_weight: f64,
    /// The weight of P6, peers at one IP address; −10. Addresses of private networks do
    /// not count.
    pub colocation_weight: f64,
    /// Peers at one IP address that are too many; 10.
    pub colocation_threshold: usize,
    /// The weight of P7, misbehaviour; −10.
    pub behaviour_weight: f64,
    /// Misbehaviour that costs nothing yet; 6.
    pub behaviour_threshold: f64,
    /// What is left of misbehaviour after each interval; 0.99, half in a minute.
    pub behaviour_decay: f64,
    /// How often all that decays does so; 1 s.
    pub decay_interval: Duration,
    /// What is less than this is nothing; 0.01.
    pub decay_to_zero: f64,
    /// How long bad scores are remembered of peers that are gone; 1 h.
    pub retain: Duration,
}

/// What the application thinks of a peer: any number, negative ones are bad.
pub type AppScore = Arc<dyn Fn(&PeerId) -> f64 + Send + Sync>;

impl Default for ScoreConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            topic_cap: 100.0,
            application: None,
            application_weight: 1.0,
            colocation_weight: -10.0,
            colocation_threshold: 10,
            behaviour_weight: -10.0,
            behaviour_threshold: 6.0,
            behaviour_decay: 0.99,
            decay_interval: Duration::from_secs(1),
            decay_to_zero: 0.01,
            retain: Duration::from_secs(3600),
        }
    }
}

impl core::fmt::Debug for ScoreConfig {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(if self.enabled { "ScoreConfig" } else { "ScoreConfig(off)" })
    }
}

/// How peers are judged in one topic; the letters are those of gossipsub v1.1.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicScore {
    /// What the topic weighs among all; 1.
    pub weight: f64,
    /// P1: the weight of time in the mesh; 0.00027 a quantum. All of it is less than
    /// [`Thresholds::opportunistic_graft`]: being there is not being of use.
    pub mesh_time_weight: f64,
    /// P1: what counts 1; 1 s.
    pub mesh_time_quantum: Duration,
    /// P1: at most so many quanta; 3600.
    pub mesh_time_cap: f64,
    /// P2: the weight of messages that the peer was the first to send; 0.5.
    pub first_weight: f64,
    /// P2: what is left after each decay interval; 0.99.
    pub first_decay: f64,
    /// P2: at most so many messages; 100.
    pub first_cap: f64,
    /// P3: the weight of messages that the peer did not send while in the mesh, squared;
    /// 0, which is off.
    pub mesh_weight: f64,
    /// P3: what is left after each decay interval; 0.97.
    pub mesh_decay: f64,
    /// P3: messages that are enough; 4.
    pub mesh_threshold: f64,
    /// P3: at most so many messages; 20.
    pub mesh_cap: f64,
    /// P3: how long a peer must be in the mesh until it counts; 30 s.
    pub mesh_activation: Duration,
    /// P3: who sends so long after the first counts as well; 10 ms.
    pub mesh_window: Duration,
    /// P3b: the weight of what a peer lacked when it was pruned; 0, which is off.
    pub failure_weight: f64,
    /// P3b: what is left after each decay interval; 0.99.
    pub failure_decay: f64,
    /// P4: the weight of bad messages, squared; −100.
    pub invalid_weight: f64,
    /// P4: what is left after each decay interval; 0.999, half in 12 minutes.
    pub invalid_decay: f64,
}

impl Default for TopicScore {
    fn default() -> Self {
        Self {
            weight: 1.0,
            mesh_time_weight: 0.00027,
            mesh_time_quantum: Duration::from_secs(1),
            mesh_time_cap: 3600.0,
            first_weight: 0.5,
            first_decay: 0.99,
            first_cap: 100.0,
            mesh_weight: 0.0,
            mesh_decay: 0.97,
            mesh_threshold: 4.0,
            mesh_cap: 20.0,
            mesh_activation: Duration::from_secs(30),
            mesh_window: Duration::from_millis(10),
            failure_weight: 0.0,
            failure_decay: 0.99,
            invalid_weight: -100.0,
            invalid_decay: 0.999,
        }
    }
}

impl TopicScore {
    /// For a topic that has so many messages a second, on the average: peers of the mesh
    /// that pass on next to none of them (less than a fifth of what is expected of one, for
    /// as long as some 20 messages take) fall below zero and leave it, and do not come back
    /// for half an hour (P3, P3b).
    ///
    /// Only for topics whose messages come from many peers and whose rate is known well:
    /// where one peer publishes all, or fewer messages come, those who are far from it send
    /// nobody anything new and would be punished for it. Rates below one message in 100
    /// seconds leave P3 off.
    ///
    /// ```
    /// use polypeer::protocols::pubsub::{TopicConfig, TopicScore};
    ///
    /// let score = Some(TopicScore::expecting(2.0));
    /// let config = TopicConfig { score, ..TopicConfig::default() };
    /// ```
    pub fn expecting(per_second: f64) -> Self {
        let rate = per_second;
        if !rate.is_finite() || rate < 0.01 {
            return Self::default();
        }
        // What counts is remembered for so many seconds, in which so many messages come.
        let seconds = (20.0 / rate).max(10.0);
        let messages = rate * seconds;
        let threshold = messages / 5.0;
        // Who sends none has so much less than who sends enough.
        let weight = -LACK / (threshold * threshold);
        Self {
            mesh_weight: weight,
            mesh_decay: (-1.0 / seconds).exp(),
            mesh_threshold: threshold,
            mesh_cap: messages,
            mesh_activation: Duration::from_secs_f64(1.5 * seconds),
            mesh_window: Duration::from_secs(2),
            failure_weight: weight,
            failure_decay: FORGIVEN,
            ..Self::default()
        }
    }
}

/// What it costs a peer of the mesh to send none of the messages that are expected.
const LACK: f64 = 20.0;
/// What is left of P3b after a second: of [`LACK`] nothing that counts after half an hour.
const FORGIVEN: f64 = 0.996;

/// What follows from the score of a peer. Below 0 it leaves the mesh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Below this, no gossip goes to a peer or is taken from it; −100.
    pub gossip: f64,
    /// Below this, our own messages do not go to a peer; −500.
    pub publish: f64,
    /// Below this, all that a peer says is ignored; −1000.
    pub graylist: f64,
    /// With this or more, a peer is believed when it tells of others (PX); 10.
    pub accept_px: f64,
    /// With a median below this, a mesh takes in better peers from time to time; 1.
    pub opportunistic_graft: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            gossip: -100.0,
            publish: -500.0,
            graylist: -1000.0,
            accept_px: 10.0,
            opportunistic_graft: 1.0,
        }
    }
}
