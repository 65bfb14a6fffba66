//! The attacks of the evaluation of gossipsub v1.1, on few peers: what is promised of
//! delivery holds, and meshes come free of those who are of no use.

use super::*;
use crate::protocols::pubsub::TopicScore;

const HONEST: usize = 40;
const HOSTILE: usize = 160;
/// Connections of an honest peer to honest ones; it has ten times as many to hostile ones.
const LINKS: usize = 12;
const EACH: usize = 10 * LINKS * HONEST / HOSTILE;

/// Messages in a second.
const RATE: u64 = 2;

struct Attacked {
    network: Network,
    rng: Rng,
}

impl Attacked {
    fn new(config: Config) -> Self {
        let mut network = Network::new(4, config);
        network.set_loss(10);
        (0..HONEST).for_each(|_| {
            network.add();
        });
        Self { network, rng: Rng::from_number(5) }
    }

    /// Honest peers that know each other.
    fn warm(config: Config) -> Self {
        let mut attacked = Self::new(config);
        attacked.network.connect(LINKS);
        attacked.publish(10);
        attacked
    }

    fn attack(&mut self, role: Role) {
        for _ in 0..HOSTILE {
            let hostile = self.network.add_as(role);
            self.network.befriend(hostile, EACH, HONEST);
        }
    }

    /// Messages of honest peers for so many seconds; the report is of these.
    fn publish(&mut self, seconds: u64) -> usize {
        let from = self.network.published();
        for _ in 0..seconds * RATE {
            self.network.publish(self.rng.below(HONEST as u64) as usize, 256);
            self.network.run_for(Duration::from_millis(1000 / RATE));
        }
        from
    }

    /// All messages from this one on came, but for one of a thousand, in less than 6 s.
    fn assert_delivered(&mut self, from: usize, what: &str) -> Report {
        self.network.run_for(Duration::from_secs(6));
        let report = self.network.report(from);
        assert!(report.percent() >= 99.9, "{what}: {} %", report.percent());
        assert!(report.within(1000) < Duration::from_secs(6), "{what}: {:?}", report.within(1000));
        report
    }

    /// What part of the honest peers' meshes is hostile, in percent.
    fn hostile(&self) -> usize {
        let sum = |(a, b), (c, d)| (a + c, b + d);
        let honest = 0..HONEST;
        let (bad, all) = honest.map(|index| self.network.hostile_in_mesh(index)).fold((0, 0), sum);
        100 * bad / all.max(1)
    }
}

fn told() -> Config {
    Config { topic_score: TopicScore::expecting(RATE as f64), ..Network::usual() }
}

#[test]
fn silent_peers_that_fill_meshes_keep_nothing_from_anyone() {
    let mut attacked = Attacked::warm(Network::usual());
    attacked.attack(Role::Silent);
    let from = attacked.publish(40);
    let report = attacked.assert_delivered(from, "silent");
    assert!(report.within(990) < Duration::from_secs(1), "{:?}", report.within(990));
    // Half the places are for those who ask first; the others are for those of use.
    assert!(attacked.hostile() < 60, "{} %", attacked.hostile());
}

#[test]
fn who_is_told_how_many_messages_to_expect_puts_silent_peers_out() {
    let mut attacked = Attacked::warm(told());
    attacked.attack(Role::Silent);
    let from = attacked.publish(100);
    attacked.assert_delivered(from, "told");
    assert!(attacked.hostile() < 20, "{} %", attacked.hostile());
}

#[test]
fn a_network_starts_among_hostile_peers() {
    let mut attacked = Attacked::new(Network::usual());
    attacked.attack(Role::Silent);
    attacked.network.run_for(Duration::from_secs(3));
    // Half of those that they dial are hostile.
    for index in 0..HONEST {
        attacked.network.befriend(index, LINKS / 2, HONEST);
        for _ in 0..LINKS / 2 {
            let hostile = HONEST + attacked.rng.below(HOSTILE as u64) as usize;
            attacked.network.link(index, hostile);
        }
    }
    attacked.network.run_for(Duration::from_secs(2));
    let from = attacked.publish(40);
    attacked.assert_delivered(from, "cold boot");
}

#[test]
fn spam_and_floods_keep_nothing_from_anyone() {
    for role in [Role::FalseGossip, Role::Greedy, Role::Invalid, Role::GraftFlood] {
        let mut attacked = Attacked::warm(Network::usual());
        attacked.attack(role);
        let from = attacked.publish(25);
        attacked.assert_delivered(from, &format!("{role:?}"));
        let most = match role {
            Role::FalseGossip | Role::Invalid => 10,
            _ => 60,
        };
        assert!(attacked.hostile() < most, "{role:?}: {} %", attacked.hostile());
    }
}

#[test]
fn a_peer_that_all_hostile_ones_are_at_is_told_of_everything() {
    let mut attacked = Attacked::warm(Network::usual());
    for _ in 0..HOSTILE {
        let hostile = attacked.network.add_as(Role::Silent);
        attacked.network.link(hostile, 0);
    }
    let from = attacked.publish(30);
    let report = attacked.assert_delivered(from, "eclipse");
    assert!(report.within(1000) < Duration::from_secs(3), "{:?}", report.within(1000));
    let victim = attacked.network.report_at(from, 0);
    assert!(victim.expected > 50 && victim.delivered == victim.expected);
}

#[test]
fn those_who_turn_hostile_all_at_once_are_replaced_in_less_than_two_minutes() {
    let mut attacked = Attacked::new(Network::usual());
    (0..HOSTILE).for_each(|_| {
        attacked.network.add();
    });
    (0..HONEST).for_each(|index| attacked.network.befriend(index, LINKS / 2, HONEST));
    (HONEST..HONEST + HOSTILE).for_each(|index| attacked.network.befriend(index, EACH, HONEST));
    attacked.network.run_for(Duration::from_secs(5));
    let from = attacked.publish(20);
    let before = attacked.assert_delivered(from, "before").within(990);
    (HONEST..HONEST + HOSTILE).for_each(|index| attacked.network.set_role(index, Role::Silent));
    let flash = attacked.publish(60);
    let healed = attacked.publish(20);
    attacked.assert_delivered(flash, "after");
    let after = attacked.network.report(healed).within(990);
    assert!(after < before + before / 2, "{after:?} after {before:?}");
}
