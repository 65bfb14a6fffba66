//! Each part of the score, by what a peer does.

use core::time::Duration;

use super::*;
use crate::rng::Rng;

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn peer(number: u64) -> PeerId {
    PeerId::random(&mut Rng::from_number(number))
}

fn scores(config: ScoreConfig, topic: TopicScore) -> (Scores, PeerId, TopicName) {
    let mut scores = Scores::new(config, topic);
    scores.connected(peer(1), None);
    (scores, peer(1), "news".into())
}

fn nothing() -> TopicScore {
    TopicScore {
        mesh_time_weight: 0.0,
        first_weight: 0.0,
        invalid_weight: 0.0,
        ..TopicScore::default()
    }
}

#[test]
fn time_in_the_mesh_counts_up_to_a_cap() {
    let topic = TopicScore { mesh_time_weight: 0.5, mesh_time_cap: 100.0, ..nothing() };
    let (mut scores, peer, news) = scores(ScoreConfig::default(), topic);
    scores.grafted(at(10), &peer, &news);
    assert_eq!(scores.of(at(30), &peer), 10.0);
    assert_eq!(scores.of(at(1000), &peer), 50.0);
    scores.pruned(at(1000), &peer, &news);
    assert_eq!(scores.of(at(1000), &peer), 0.0);
}

#[test]
fn first_deliveries_count_up_to_a_cap_and_decay() {
    let topic = TopicScore { first_weight: 2.0, first_cap: 10.0, first_decay: 0.5, ..nothing() };
    let (mut scores, peer, news) = scores(ScoreConfig::default(), topic);
    (0..50).for_each(|_| scores.first(&peer, &news));
    assert_eq!(scores.of(at(0), &peer), 20.0);
    scores.decay(at(1));
    assert_eq!(scores.of(at(1), &peer), 10.0);
    (2..20).for_each(|second| scores.decay(at(second)));
    assert_eq!(scores.of(at(20), &peer), 0.0);
}

#[test]
fn who_sends_too_little_to_the_mesh_loses_and_keeps_losing_when_pruned() {
    let topic = TopicScore {
        mesh_weight: -1.0,
        mesh_threshold: 10.0,
        mesh_decay: 1.0,
        mesh_window: Duration::from_millis(5),
        mesh_activation: Duration::from_secs(5),
        failure_weight: -2.0,
        failure_decay: 1.0,
        ..nothing()
    };
    let (mut scores, peer, news) = scores(ScoreConfig::default(), topic);
    scores.grafted(at(0), &peer, &news);
    // First, or nearly so, counts; later does not.
    (0..4).for_each(|_| scores.first(&peer, &news));
    (0..3).for_each(|_| scores.also(&peer, &news, Duration::from_millis(5)));
    scores.also(&peer, &news, Duration::from_millis(6));
    scores.decay(at(4));
    assert_eq!(scores.of(at(4), &peer), 0.0);
    scores.decay(at(5));
    assert_eq!(scores.of(at(5), &peer), -9.0);
    scores.pruned(at(6), &peer, &news);
    assert_eq!(scores.of(at(6), &peer), -18.0);
}

#[test]
fn bad_messages_count_squared() {
    let topic = TopicScore { invalid_weight: -3.0, ..nothing() };
    let (mut scores, peer, news) = scores(ScoreConfig::default(), topic);
    (0..4).for_each(|_| scores.invalid(&peer, &news));
    assert_eq!(scores.of(at(0), &peer), -48.0);
}

#[test]
fn the_application_has_its_say_and_topics_have_a_cap() {
    let topic = TopicScore { first_weight: 10.0, ..nothing() };
    let application: AppScore = std::sync::Arc::new(|_| -7.0);
    let config = ScoreConfig {
        application: Some(application),
        application_weight: 2.0,
        topic_cap: 25.0,
        ..ScoreConfig::default()
    };
    let (mut scores, peer, news) = scores(config, topic);
    (0..50).for_each(|_| scores.first(&peer, &news));
    assert_eq!(scores.of(at(0), &peer), 11.0);
}

#[test]
fn too_many_at_one_public_address_lose() {
    let config =
        ScoreConfig { colocation_threshold: 3, colocation_weight: -1.0, ..ScoreConfig::default() };
    let mut scores = Scores::new(config, nothing());
    let home: Multiaddr = "/ip4/192.168.1.1/tcp/1".parse().unwrap();
    let away: Multiaddr = "/ip4/203.0.113.7/tcp/1".parse().unwrap();
    let relay = format!("{away}/p2p/{}/p2p-circuit", peer(99)).parse().unwrap();
    for number in 0..5 {
        scores.connected(peer(number), Some(&away));
        scores.connected(peer(10 + number), Some(&home));
        scores.connected(peer(20 + number), Some(&relay));
    }
    assert_eq!(scores.of(at(0), &peer(0)), -4.0);
    assert_eq!(scores.of(at(0), &peer(10)), 0.0);
    assert_eq!(scores.of(at(0), &peer(20)), 0.0);
    scores.disconnected(at(0), &peer(1));
    assert_eq!(scores.of(at(0), &peer(0)), -1.0);
}

#[test]
fn misbehaviour_is_forgiven_a_little_and_then_counts_squared() {
    let config = ScoreConfig {
        behaviour_threshold: 2.0,
        behaviour_weight: -1.0,
        behaviour_decay: 0.5,
        ..ScoreConfig::default()
    };
    let (mut scores, peer, _) = scores(config, nothing());
    scores.misbehaved(&peer, 2.0);
    assert_eq!(scores.of(at(0), &peer), 0.0);
    scores.misbehaved(&peer, 3.0);
    assert_eq!(scores.of(at(0), &peer), -9.0);
    scores.decay(at(1));
    assert_eq!(scores.of(at(1), &peer), -0.25);
}

#[test]
fn bad_scores_outlive_a_connection_and_good_ones_do_not() {
    let topic = TopicScore { invalid_weight: -3.0, first_weight: 1.0, ..nothing() };
    let (mut scores, bad, news) = scores(ScoreConfig::default(), topic);
    let good = peer(2);
    scores.connected(good, None);
    scores.first(&good, &news);
    scores.first(&bad, &news);
    scores.invalid(&bad, &news);
    for peer in [bad, good] {
        scores.disconnected(at(1), &peer);
        scores.connected(peer, None);
    }
    assert_eq!(scores.of(at(1), &good), 0.0);
    assert_eq!(scores.of(at(1), &bad), -3.0);
    scores.disconnected(at(1), &bad);
    scores.decay(at(3602));
    scores.connected(bad, None);
    assert_eq!(scores.of(at(3602), &bad), 0.0);
}

#[test]
fn so_many_of_those_that_are_gone_are_remembered() {
    let (mut scores, ..) = scores(ScoreConfig::default(), TopicScore::default());
    for number in 0..MAX_RETAINED as u64 + 20 {
        let gone = peer(number + 10);
        scores.connected(gone, None);
        scores.misbehaved(&gone, 100.0);
        scores.disconnected(at(number), &gone);
    }
    assert_eq!(scores.peers.len(), MAX_RETAINED + 1);
    assert_eq!(scores.of(at(1), &peer(11)), 0.0);
    assert!(scores.of(at(1), &peer(MAX_RETAINED as u64)) < 0.0);
}

#[test]
fn without_scores_all_are_worth_the_same() {
    let config = ScoreConfig { enabled: false, ..ScoreConfig::default() };
    let (mut scores, peer, _) = scores(config, TopicScore::default());
    scores.misbehaved(&peer, 100.0);
    assert_eq!(scores.of(at(1), &peer), 0.0);
}

#[test]
fn who_sends_none_of_so_many_messages_to_the_mesh_is_idle() {
    let (mut scores, lazy, news) = scores(ScoreConfig::default(), TopicScore::default());
    let busy = peer(2);
    scores.connected(busy, None);
    scores.grafted(at(0), &lazy, &news);
    scores.grafted(at(0), &busy, &news);
    (1..IDLE).for_each(|_| scores.first(&busy, &news));
    assert!(!scores.is_idle(&lazy, &news) && !scores.serves(&lazy, &news));
    scores.first(&busy, &news);
    assert!(scores.is_idle(&lazy, &news) && !scores.is_idle(&busy, &news));
    assert!(scores.serves(&busy, &news) && scores.was_first(&busy, &news));
    // A copy is enough, however late; and who is out of the mesh is not idle in it.
    scores.also(&lazy, &news, Duration::from_secs(5));
    assert!(!scores.is_idle(&lazy, &news) && scores.serves(&lazy, &news));
    assert!(!scores.was_first(&lazy, &news));
    // A peer that comes again has its time again.
    (0..IDLE).for_each(|_| scores.first(&busy, &news));
    scores.pruned(at(1), &lazy, &news);
    scores.grafted(at(2), &lazy, &news);
    assert!(!scores.is_idle(&lazy, &news));
    scores.left(&news);
    assert!(!scores.serves(&busy, &news) && !scores.is_idle(&busy, &news));
}

#[test]
fn who_sends_less_than_a_fifth_of_what_is_expected_falls_below_zero_for_half_an_hour() {
    for rate in [0.05, 1.0, 300.0] {
        let config = TopicScore::expecting(rate);
        let time = config.mesh_activation.as_secs() + 1;
        for (part, stays) in [(0.0, false), (0.1, false), (0.4, true)] {
            let (mut scores, peer, news) = scores(ScoreConfig::default(), config.clone());
            scores.grafted(at(0), &peer, &news);
            let mut due = 0.0;
            for second in 1..=4 * time {
                due += rate * part;
                while due >= 1.0 {
                    due -= 1.0;
                    scores.also(&peer, &news, Duration::from_millis(100));
                }
                scores.decay(at(second));
            }
            let good = scores.of(at(4 * time), &peer) >= 0.0;
            assert_eq!(good, stays, "{rate} a second, {part} of them");
            scores.pruned(at(4 * time), &peer, &news);
            let decay = |scores: &mut Scores, from: u64, to: u64| {
                (from..to).for_each(|second| scores.decay(at(4 * time + second)));
            };
            decay(&mut scores, 1, 600);
            assert_eq!(scores.of(at(4 * time + 600), &peer) < 0.0, part == 0.0 || !stays);
            decay(&mut scores, 600, 2000);
            assert!(scores.of(at(4 * time + 2000), &peer) > -0.1);
        }
    }
    for rate in [0.0, 0.001, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(TopicScore::expecting(rate), TopicScore::default());
    }
}
