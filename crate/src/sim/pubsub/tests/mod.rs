//! Small versions of what the benchmark measures, asserted.

mod attacks;

use super::*;
use crate::protocols::pubsub::Choking;

fn network(seed: u64, config: Config, peers: usize) -> Network {
    let mut network = Network::new(seed, config);
    for _ in 0..peers {
        network.add();
    }
    network.connect(12);
    network.run_for(Duration::from_secs(10));
    network
}

#[test]
fn everyone_is_told_of_everything_over_lossy_links() {
    let mut network = network(1, Network::usual(), 150);
    network.set_loss(20);
    for number in 0..30 {
        network.publish(number, 1024);
        network.run_for(Duration::from_millis(500));
    }
    network.run_for(Duration::from_secs(5));
    let report = network.report(0);
    assert_eq!((report.expected, report.delivered), (30 * 149, 30 * 149));
    assert!(report.within(500) < Duration::from_millis(300), "{:?}", report.within(500));
    assert!(report.within(990) < Duration::from_secs(1), "{:?}", report.within(990));
    let copies = network.carried().copies as f64 / report.delivered as f64;
    // Meshes have 6 to 12 peers, of whom one sends first.
    assert!(copies < 8.0, "{copies} copies a delivery");
}

#[test]
fn a_tenth_may_leave_and_as_many_come_each_minute() {
    let mut network = network(2, Network::usual(), 120);
    let mut rng = Rng::from_number(9);
    let mut gone = Vec::new();
    for second in 0..90 {
        // Twelve a minute.
        if second % 5 == 0 {
            if gone.len() > 2 {
                network.come_back(gone.remove(0), 12);
            }
            let leaver = rng.below(120) as usize;
            if network.is_alive(leaver) {
                network.leave(leaver);
                gone.push(leaver);
            }
        }
        for index in 0..network.len() {
            if network.is_alive(index) {
                network.meet(index, 8);
            }
        }
        let publisher = rng.below(120) as usize;
        if network.is_alive(publisher) {
            network.publish(publisher, 512);
        }
        network.run_for(Duration::from_secs(1));
    }
    network.run_for(Duration::from_secs(10));
    let report = network.report(0);
    assert!(report.expected > 8000, "{}", report.expected);
    assert_eq!(report.delivered, report.expected);
}

#[test]
fn after_a_partition_messages_reach_both_sides_again() {
    let mut network = network(3, Network::usual(), 100);
    (50..100).for_each(|index| network.set_group(index, 1));
    network.run_for(Duration::from_secs(60));
    network.publish(0, 512);
    network.run_for(Duration::from_secs(3));
    assert_eq!(network.report(0).delivered, 49);
    (50..100).for_each(|index| network.set_group(index, 0));
    (0..100).for_each(|index| network.meet(index, 12));
    network.run_for(Duration::from_secs(3));
    network.publish(0, 512);
    network.run_for(Duration::from_secs(3));
    assert_eq!(network.report(1).delivered, 99);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut network = network(seed, Network::usual(), 60);
        network.set_loss(10);
        network.publish(1, 2048);
        network.run_for(Duration::from_secs(3));
        (network.report(0), network.carried())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).1, run(8).1);
}

/// What messages cost and how long they take, through lazy links and without them.
#[test]
fn choking_spares_copies_and_loses_nothing() {
    let run = |choking: Option<Choking>| {
        let mut network = network(4, Config { choking, ..Network::usual() }, 100);
        let mut rng = Rng::from_number(4);
        // Time to find out which links are late.
        let mut begun = None;
        for number in 0..240 {
            if number == 120 {
                begun = Some((network.published(), network.carried()));
            }
            network.publish(rng.below(10) as usize, 512);
            network.run_for(Duration::from_millis(500));
        }
        network.run_for(Duration::from_secs(5));
        let (from, before) = begun.unwrap();
        let (report, carried) = (network.report(from), network.carried());
        assert_eq!(report.delivered, report.expected);
        let each = |sum: u64| sum as f64 / report.delivered as f64;
        let figures = [
            each(carried.copies - before.copies),
            each(carried.data - before.data),
            each(carried.control - before.control),
        ];
        let times = [500, 950, 990].map(|part| report.within(part));
        println!("copies, bytes, control of a delivery: {figures:.2?}; p50, p95, p99: {times:?}");
        (figures, times)
    };
    let (eager, lazy) = (run(None), run(Some(Choking::default())));
    assert!(lazy.0[0] < 0.75 * eager.0[0], "{} and {} copies", lazy.0[0], eager.0[0]);
    assert!(lazy.1[2] < 2 * eager.1[2], "{:?} and {:?}", lazy.1[2], eager.1[2]);
}
