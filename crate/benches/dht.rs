//! A DHT of many peers on one machine: hops, messages and success as it grows, while
//! peers leave, and with hostile ones among them.
//!
//! `cargo bench -p polypeer --features sim --bench dht -- [PEERS …] [--lookups N]`;
//! without numbers 100, 1,000 and 10,000 peers. The peers are real `Kademlia` machines
//! over a network that carries their messages and nothing else (`polypeer::sim::dht`):
//! what is measured is computing without encryption.
//!
//! One process for each size, 200 lookups of each kind, on a core of a busy Xeon of two:
//!
//! | peers  | lookups/s | hops | requests | messages | median, 99 % | memory of a peer |
//! | ------ | --------- | ---- | -------- | -------- | ------------ | ---------------- |
//! | 100    | 559       | 1.7  | 21.1     | 42.2     | 1.0 s, 1.5 s | 72 KiB           |
//! | 1,000  | 650       | 2.2  | 27.6     | 55.2     | 1.5 s, 1.9 s | 59 KiB           |
//! | 10,000 | 494       | 2.9  | 30.9     | 61.9     | 1.6 s, 2.0 s | 73 KiB           |
//!
//! Every lookup found all of the 20 nearest. Of values put before 10, 30 and 50 % of the
//! peers left at once, and looked up at once after that, all were found (medians at
//! 10,000 peers 0.5, 0.6 and 0.9 s), and so was the nearest peer (4.0, 8.3, 13.5 s: who
//! is gone is waited for). With 20 % hostile peers of each kind all values were found.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::time::{Duration, Instant};

use polypeer::protocols::kad::{Config, Group, Invalid, Validator};
use polypeer::sim::dht::{Done, Lie, Network, Query};
use polypeer::{Multiaddr, Rng};

/// Any value is good but a poisoned one.
struct Honest;

impl Validator for Honest {
    fn validate(&self, _: &[u8], value: &[u8], _: u64) -> Result<(), Invalid> {
        match value {
            b"poison" => Err(Invalid::Value("it is poison".into())),
            _ => Ok(()),
        }
    }

    fn is_better(&self, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        false
    }
}

fn main() {
    let (mut sizes, mut lookups) = (Vec::new(), 200);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--lookups" => {
                lookups = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(lookups);
            }
            // Cargo's own.
            "--bench" => {}
            number => sizes.extend(number.parse::<usize>().ok()),
        }
    }
    if sizes.is_empty() {
        sizes = vec![100, 1000, 10_000];
    }
    println!("{lookups} lookups of each kind; times of lookups are virtual, medians and 99 %");
    for size in sizes {
        measure(size, lookups);
    }
}

fn network(seed: u64, config: &Config, size: usize, lie: Option<Lie>, liars: usize) -> Network {
    let mut network = Network::new(seed);
    network.prepare(|kad| kad.validators_mut().set("n", Box::new(Honest)));
    for at in 0..liars {
        if let Some(lie) = lie {
            network.add_liar(config.clone(), lie, at);
        }
    }
    for _ in liars..size {
        network.add(config.clone());
    }
    network.acquaint();
    network
}

fn measure(size: usize, lookups: usize) {
    let before = memory();
    let began = Instant::now();
    let config = Config::default();
    let mut plain = network(1, &config, size, None, 0);
    let made = began.elapsed();
    println!("\n{size} peers");
    let mut rng = Rng::from_number(9);
    let random = |rng: &mut Rng, bound: usize| rng.below(bound as u64) as usize;

    // Quiet: all there, all honest.
    let messages = plain.messages();
    let mut took = Duration::ZERO;
    let mut quiet = Figures::default();
    for _ in 0..lookups {
        let from = random(&mut rng, size);
        let key = rng.array::<16>().to_vec();
        let began = Instant::now();
        let done = plain.run(from, Query::Closest(key.clone()));
        took += began.elapsed();
        quiet.take(&done, done.summary.closest == plain.nearest(from, &key, 20));
    }
    let messages = plain.messages() - messages;
    let each = memory().saturating_sub(before) / size as u64;
    println!(
        "  {:<34} {:>6.1} s, {:.0} lookups/s, {:.1} hops, {:.1} requests, {:.1} messages a lookup",
        "made in, then of real time",
        made.as_secs_f64(),
        lookups as f64 / took.as_secs_f64(),
        quiet.hops(),
        quiet.asked(),
        messages as f64 / lookups as f64,
    );
    quiet.print("nearest 20 found, all of them");
    // Right for the first network of the process: later ones use its room again.
    println!("  {:<34} {:.0} KiB", "memory of a peer", each as f64 / 1024.0);
    let groups = distinct(&plain, &config);
    println!("  {:<34} {groups}", "peers of one /16 in a table, at most");
    drop(plain);

    for gone in [10, 30, 50] {
        let mut net = network(2, &config, size, None, 0);
        let keys = put_all(&mut net, &mut rng, lookups, 0..size);
        for index in 0..size {
            if random(&mut rng, 100) < gone {
                net.leave(index);
            }
        }
        let mut values = Figures::default();
        let mut nearest = Figures::default();
        for (key, _) in &keys {
            let from = loop {
                let from = random(&mut rng, size);
                if net.is_alive(from) {
                    break from;
                }
            };
            let done = net.run(from, Query::Get(key.clone(), 1));
            values.take(&done, !done.values().is_empty());
            let done = net.run(from, Query::Closest(key.clone()));
            let truth = net.nearest(from, key, 1);
            nearest.take(&done, done.summary.closest.first() == truth.first());
        }
        values.print(&format!("{gone} % gone: values found"));
        nearest.print(&format!("{gone} % gone: nearest found"));
    }

    for lie in [Lie::Eclipse, Lie::Poison, Lie::Endless, Lie::Far] {
        for paths in [1, 4] {
            let mut config = Config::default();
            config.lookup.paths = paths;
            let liars = size / 5;
            let mut net = network(3, &config, size, Some(lie), liars);
            let keys = put_all(&mut net, &mut rng, lookups, liars..size);
            let mut values = Figures::default();
            for (key, _) in &keys {
                let from = liars + random(&mut rng, size - liars);
                let done = net.run(from, Query::Get(key.clone(), 1));
                let good = done.values().iter().all(|value| *value != b"poison");
                values.take(&done, good && !done.values().is_empty());
            }
            values.print(&format!("20 % hostile ({lie:?}), paths {paths}"));
        }
    }
    if size == 1000 {
        pages(lookups);
    }
}

/// Pages that were just opened look for providers.
fn pages(lookups: usize) {
    let mut net = network(4, &Config::default(), 1000, None, 0);
    let mut rng = Rng::from_number(10);
    let mut figures = Figures::default();
    let mut in_time = 0;
    for _ in 0..lookups {
        let key = rng.array::<16>().to_vec();
        let provider = rng.below(1000) as usize;
        net.run(provider, Query::Provide(key.clone()));
        let page = net.add_client(Config::default().in_page(), true);
        for _ in 0..3 {
            net.join(page, rng.below(1000) as usize);
        }
        net.run_for(Duration::from_secs(60));
        let done = net.run(page, Query::Providers(key));
        in_time += usize::from(done.took <= Duration::from_secs(5) && done.dials <= 25);
        figures.take(&done, done.found() == [net.id(provider)]);
        net.leave(page);
    }
    figures.print("pages: providers found");
    let share = 100.0 * in_time as f64 / lookups as f64;
    println!("  {:<34} {share:.1} %", "pages: within 5 s and 25 dials");
}

/// Values put by random peers of `by`: their keys and who put them.
fn put_all(
    net: &mut Network,
    rng: &mut Rng,
    count: usize,
    by: std::ops::Range<usize>,
) -> Vec<(Vec<u8>, usize)> {
    let mut keys = Vec::new();
    for _ in 0..count {
        let from = by.start + rng.below(by.len() as u64) as usize;
        let key = [b"/n/".as_slice(), &rng.array::<16>()].concat();
        net.run(from, Query::Put(key.clone(), b"good".to_vec()));
        keys.push((key, from));
    }
    keys
}

/// The most peers of one network of addresses in a table.
fn distinct(net: &Network, config: &Config) -> usize {
    let mut most = 0;
    for index in 0..net.len() {
        let mut groups = std::collections::BTreeMap::<Option<Group>, usize>::new();
        for peer in net.kad(index).table().peers() {
            let address: Option<Multiaddr> = net.index(peer).map(|other| net.address(other));
            *groups.entry(address.as_ref().and_then(Group::of)).or_default() += 1;
        }
        most = most.max(groups.values().copied().max().unwrap_or_default());
    }
    assert!(most <= config.table.per_group_in_all);
    most
}

#[derive(Default)]
struct Figures {
    right: usize,
    hops: u64,
    asked: usize,
    times: Vec<Duration>,
}

impl Figures {
    fn take(&mut self, done: &Done, right: bool) {
        self.right += usize::from(right);
        self.hops += u64::from(done.summary.hops);
        self.asked += done.summary.asked;
        self.times.push(done.took);
    }

    fn hops(&self) -> f64 {
        self.hops as f64 / self.times.len() as f64
    }

    fn asked(&self) -> f64 {
        self.asked as f64 / self.times.len() as f64
    }

    fn print(&mut self, what: &str) {
        self.times.sort_unstable();
        let count = self.times.len();
        let at =
            |share: usize| self.times.get(count * share / 100).map_or(0.0, Duration::as_secs_f64);
        let share = 100.0 * self.right as f64 / count as f64;
        println!("  {what:<34} {share:>6.1} %  {:>5.1} s {:>5.1} s", at(50), at(99));
    }
}

/// What the process holds, in bytes; zero where the system does not say.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}
