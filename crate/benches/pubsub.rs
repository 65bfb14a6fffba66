//! A topic of many peers on one machine: delivery, how long it takes, copies and overhead,
//! while peers leave, after a partition, and with hostile peers among them.
//!
//! `cargo bench -p polypeer --features sim --bench pubsub -- [PEERS …] [--attacks HONEST
//! RATIO] [--plain] [--choking] [--mixed] [--told] [--bytes N] [ATTACK …]`. Without anything
//! 1,000 and 10,000 peers, and all attacks on 1,000 honest peers by 4,000 hostile ones, 20
//! connections to these for each to an honest one. `--plain`: no attacks, `--choking`: with
//! lazy links ([`Choking`]), for which a minute goes by before it is measured, `--mixed`: every
//! other peer has none. `--told`: the topic's scores are
//! [`TopicScore::expecting`] its messages, and not the usual ones.
//!
//! The peers are real routers over a network that carries what they say and nothing else
//! (`polypeer::sim::pubsub`): round trips are those between nine regions of the world, one
//! thing in a hundred is lost and comes later, messages are not signed. Times are virtual
//! but for the last column.
//!
//! Found by it, in ms (two messages a second of virtual time: for two minutes among 1,000
//! peers, half a minute among 10,000, a minute of an attack; control is part of the bytes of
//! messages, whose ids have 8 bytes here; the part of places in honest
//! peers' meshes that is hostile, after 15, 30 and 60 s):
//!
//! | peers | delivered | p50 | p95 | p99 | most | copies | control |
//! |---|---|---|---|---|---|---|---|
//! | 1,000 | 100 % | 102 | 165 | 184 | 235 | 6.5 | 3.9 % |
//! | 1,000, a tenth leaves and comes each minute | 100 % | 106 | 171 | 189 | 266 | 6.6 | 3.9 % |
//! | 1,000, `--choking` | 100 % | 111 | 179 | 200 | 285 | 2.9 | 12.5 % |
//! | 1,000, `--choking`, a tenth leaves and comes each minute | 100 % | 114 | 183 | 205 | 324 | 3.1 | 11.9 % |
//! | 1,000, `--choking --mixed` | 100 % | 105 | 170 | 187 | 247 | 5.5 | 5.5 % |
//! | 1,000, `--choking --mixed`, a tenth leaves and comes each minute | 100 % | 108 | 173 | 191 | 254 | 5.7 | 5.3 % |
//! | 10,000 | 100 % | 128 | 192 | 207 | 266 | 6.5 | 3.9 % |
//! | 10,000, a tenth leaves and comes each minute | 100 % | 129 | 189 | 206 | 294 | 6.5 | 4.0 % |
//!
//! After a partition of a minute all that is published from its end on reaches everyone, and
//! 2 s later (4 s with `--choking --mixed`; 10 s with `--choking`, and of 10,000 peers) in less
//! than a second.
//!
//! | honest peers, and what is done to them | delivered | p50 | p95 | p99 | most | hostile |
//! |---|---|---|---|---|---|---|
//! | 1,000, nothing | 100 % | 106 | 172 | 187 | 268 | |
//! | 1,000, silent sybils, 20:1 | 100 % | 106 | 172 | 187 | 237 | 37, 37, 32 % |
//! | 1,000, silent sybils, 40:1 | 100 % | 106 | 173 | 187 | 234 | 37, 37, 32 % |
//! | 200, silent sybils, 20:1, `--told` | 100 % | 96 | 160 | 179 | 233 | 38, 0, 0 % |
//! | 1,000, cold boot among sybils, 20:1 | 100 % | 167 | 1899 | 2345 | 3782 | 36, 31, 52 % |
//! | 1,000, cold boot among sybils, 40:1 | 100 % | 173 | 1906 | 2346 | 3966 | 37, 31, 51 % |
//! | 1,000, of them one eclipsed by 4,000 | 100 % | 113 | 166 | 175 | 183 | 2 of 12 |
//! | 1,000, IHAVE spam, 20:1 | 100 % | 106 | 173 | 187 | 231 | 0 % |
//! | 1,000, IWANT spam, 20:1 | 100 % | 106 | 172 | 187 | 235 | 37, 37, 33 % |
//! | 1,000, invalid messages, 20:1 | 100 % | 106 | 172 | 187 | 240 | 0 % |
//! | 1,000, graft flood, 20:1 | 100 % | 106 | 172 | 187 | 238 | 37, 37, 33 % |
//! | 1,000, covert flash, 20:1: before | 100 % | 86 | 161 | 173 | 185 | 89 % |
//! | its first 15 s | 100 % | 422 | 1004 | 1334 | 3570 | 80 % |
//! | until 30 s | 100 % | 173 | 479 | 849 | 1635 | 31 % |
//! | until 45 s | 100 % | 141 | 206 | 231 | 401 | 30 % |
//! | until 120 s | 100 % | 129 | 186 | 206 | 274 | 36 % |
//! | 1,000, covert flash, 40:1: before | 100 % | 82 | 157 | 169 | 180 | 89 % |
//! | its first 15 s | 100 % | 441 | 1032 | 1361 | 2712 | 81 % |
//! | until 30 s | 100 % | 178 | 557 | 920 | 1844 | 30 % |
//! | until 45 s | 100 % | 138 | 200 | 226 | 289 | 28 % |
//! | until 120 s | 100 % | 125 | 183 | 206 | 281 | 29 % |
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::time::{Duration, Instant};

use polypeer::Rng;
use polypeer::protocols::pubsub::{Choking, Config, TopicScore};
use polypeer::sim::pubsub::{Network, Report, Role};

/// Connections of each honest peer to honest peers.
const LINKS: usize = 20;
/// Messages in a second.
const RATE: u64 = 2;
/// An attack is watched for four times this, what follows a covert flash for eight times.
const QUARTER: Duration = Duration::from_secs(15);

fn main() {
    let (mut sizes, mut chosen) = (Vec::new(), Vec::new());
    let mut scene = Scene { honest: 1000, ratio: 20, told: false, bytes: 512 };
    let (mut plainly, mut attacks, mut mixed, mut choking) = (false, false, false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok());
        match argument.as_str() {
            "--attacks" => {
                attacks = true;
                (scene.honest, scene.ratio) = (number().unwrap_or(1000), number().unwrap_or(20));
            }
            "--bytes" => scene.bytes = number().unwrap_or(512),
            "--plain" => plainly = true,
            "--mixed" => mixed = true,
            "--choking" => choking = Some(Choking::default()),
            "--told" => scene.told = true,
            // Cargo's own.
            "--bench" => {}
            other => match other.parse::<usize>() {
                Ok(size) => sizes.push(size),
                Err(_) => chosen.push(other.to_owned()),
            },
        }
    }
    if sizes.is_empty() && !attacks && chosen.is_empty() {
        sizes = vec![1000, 10_000];
    }
    if !sizes.is_empty() {
        println!("messages of 1 KiB, {LINKS} connections each, 1 % lost on the way; ms");
        println!("{:<34} delivered   p50   p95   p99   max copies control took", "");
        sizes.into_iter().for_each(|size| plain(size, choking.clone(), mixed));
    }
    if plainly {
        return;
    }
    scene.title();
    for (name, attack) in ATTACKS {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            attack(&scene, name);
        }
    }
}

fn times(report: &Report) -> String {
    let of = |per_mille| report.within(per_mille).as_millis();
    let percent = report.percent();
    format!("{percent:>8.3}% {:>5} {:>5} {:>5} {:>5}", of(500), of(950), of(990), of(1000))
}

/// Publishes for so long, by honest peers of the first ones.
fn publish(network: &mut Network, rng: &mut Rng, among: usize, time: Duration, bytes: usize) {
    for _ in 0..time.as_millis() as u64 * RATE / 1000 {
        let mut index = || rng.below(among as u64) as usize;
        let mut by = index();
        while !network.is_alive(by) {
            by = index();
        }
        network.publish(by, bytes);
        network.run_for(Duration::from_millis(1000 / RATE));
    }
}

// Without attacks.

fn line(name: &str, network: &Network, from: usize, before: [u64; 3], began: Instant) {
    let report = network.report(from);
    let after = carried(network);
    let copies = (after[0] - before[0]) as f64 / report.delivered.max(1) as f64;
    let overhead = 100.0 * (after[2] - before[2]) as f64 / (after[1] - before[1]).max(1) as f64;
    let (times, took) = (times(&report), began.elapsed());
    println!("{name:<34} {times} {copies:>6.2} {overhead:>6.1}% {took:.1?}");
}

fn carried(network: &Network) -> [u64; 3] {
    let carried = network.carried();
    [carried.copies, carried.data, carried.control]
}

fn plain(size: usize, choking: Option<Choking>, mixed: bool) {
    let time = Duration::from_secs(if size > 2000 { 30 } else { 120 });
    let mut rng = Rng::from_number(9);
    let began = Instant::now();
    let learns = choking.is_some();
    let config = Config { choking, ..Network::usual() };
    let mut net = Network::new(1, config.clone());
    net.set_loss(10);
    for index in 0..size {
        if mixed {
            let choking = config.choking.clone().filter(|_| index % 2 == 0);
            net.configure(Config { choking, ..config.clone() });
        }
        net.add();
    }
    net.connect(LINKS);
    net.run_for(Duration::from_secs(15));
    if learns {
        publish(&mut net, &mut rng, size, Duration::from_secs(60), 1024);
        net.run_for(Duration::from_secs(5));
    }
    let (from, before) = (net.published(), carried(&net));
    publish(&mut net, &mut rng, size, time, 1024);
    net.run_for(Duration::from_secs(5));
    line(&format!("{size} peers"), &net, from, before, began);

    // A tenth leaves each minute, and as many come.
    let (from, before, began) = (net.published(), carried(&net), Instant::now());
    let mut gone: Vec<usize> = Vec::new();
    for _ in 0..2 * time.as_secs() {
        for _ in 0..(size / 10).div_ceil(120) {
            if gone.len() > size / 20 {
                net.come_back(gone.remove(0), LINKS);
            }
            let leaver = rng.below(size as u64) as usize;
            if net.is_alive(leaver) {
                net.leave(leaver);
                gone.push(leaver);
            }
        }
        for index in 0..size {
            if net.is_alive(index) {
                net.meet(index, LINKS / 2);
            }
        }
        publish(&mut net, &mut rng, size, Duration::from_millis(500), 1024);
    }
    net.run_for(Duration::from_secs(15));
    line("  10 % leave and come each minute", &net, from, before, began);
    partitioned(&mut net, &mut rng);
}

/// Two halves cannot reach each other for a minute; how long after it does a message take
/// to reach everyone again?
fn partitioned(net: &mut Network, rng: &mut Rng) {
    let (size, began) = (net.len(), Instant::now());
    (size / 2..size).for_each(|index| net.set_group(index, 1));
    for _ in 0..12 {
        net.run_for(Duration::from_secs(5));
        (0..size).for_each(|index| net.meet(index, LINKS));
    }
    (size / 2..size).for_each(|index| net.set_group(index, 0));
    // Everyone looks for more peers in the next seconds.
    let (healed, first) = (net.now(), net.published());
    let mut published = Vec::new();
    for step in 0..80 {
        (0..size)
            .filter(|index| index % 4 == step % 4)
            .for_each(|index| net.meet(index, LINKS + LINKS / 2));
        published.push(net.now().since(healed));
        publish(net, rng, size, Duration::from_millis(500), 1024);
    }
    net.run_for(Duration::from_secs(10));
    let whole = |number: usize| {
        let report = net.report_between(first + number..first + number + 1);
        (report.delivered == report.expected).then(|| report.within(1000))
    };
    let kept = (0..published.len()).rev().take_while(|number| whole(*number).is_some()).last();
    let prompt = |number: &usize| whole(*number).is_some_and(|time| time.as_millis() < 1000);
    let fast = (0..published.len()).find(prompt);
    let say = |number: Option<usize>| {
        number.map_or("never".into(), |number| format!("{:.1?}", published[number]))
    };
    println!(
        "  a partition of 60 s heals: messages reach everyone that are published {} after, \
         in less than 1 s {} after; {:.1?}",
        say(kept),
        say(fast),
        began.elapsed()
    );
}

// With attacks.

/// Who is there.
struct Scene {
    honest: usize,
    ratio: usize,
    told: bool,
    bytes: usize,
}

type Attack = fn(&Scene, &str);

const ATTACKS: [(&str, Attack); 9] = [
    ("none", |scene, name| scene.none(name)),
    ("sybils", |scene, name| scene.warm(name, Role::Silent)),
    ("cold-boot", |scene, name| scene.cold(name)),
    ("ihave-spam", |scene, name| scene.warm(name, Role::FalseGossip)),
    ("iwant-spam", |scene, name| scene.warm(name, Role::Greedy)),
    ("invalid-spam", |scene, name| scene.warm(name, Role::Invalid)),
    ("graft-flood", |scene, name| scene.warm(name, Role::GraftFlood)),
    ("eclipse", |scene, name| scene.eclipse(name)),
    ("covert-flash", |scene, name| scene.covert(name)),
];

impl Scene {
    fn title(&self) {
        let (honest, ratio) = (self.honest, self.ratio);
        let scores = if self.told { "told how many messages to expect" } else { "usual scores" };
        println!(
            "\n{honest} honest peers, {} hostile ones, {ratio}:1, {scores}, {} bytes",
            4 * honest,
            self.bytes
        );
        println!(
            "{:<22} delivered   p50   p95   p99   max  hostile part of meshes by time  took",
            ""
        );
    }

    fn network(&self, seed: u64) -> (Network, Rng) {
        let mut config = Config { ..Network::usual() };
        if self.told {
            config.topic_score = TopicScore::expecting(RATE as f64);
        }
        let mut net = Network::new(seed, config);
        net.set_loss(10);
        (0..self.honest).for_each(|_| {
            net.add();
        });
        (net, Rng::from_number(9))
    }

    fn warmed(&self, seed: u64) -> (Network, Rng) {
        let (mut net, mut rng) = self.network(seed);
        net.connect(LINKS);
        net.run_for(Duration::from_secs(10));
        publish(&mut net, &mut rng, self.honest, Duration::from_secs(10), self.bytes);
        (net, rng)
    }

    /// Connections that a hostile peer dials, so that honest peers have so many to hostile
    /// ones for each to an honest one.
    fn links(&self) -> usize {
        (LINKS * self.ratio).div_ceil(4).min(self.honest)
    }

    fn hostile(&self, net: &Network) -> f64 {
        let sum = |(a, b), (c, d)| (a + c, b + d);
        let honest = 0..self.honest;
        let (bad, all) = honest.map(|index| net.hostile_in_mesh(index)).fold((0, 0), sum);
        100.0 * bad as f64 / all.max(1) as f64
    }

    /// Watches an attack, and prints what came of it.
    fn watch(&self, name: &str, mut net: Network, mut rng: Rng, began: Instant) {
        let from = net.published();
        let mut parts = String::new();
        for quarter in 1..=4 {
            publish(&mut net, &mut rng, self.honest, QUARTER, self.bytes);
            let seconds = quarter * QUARTER.as_secs();
            parts += &format!(" {:.0}% ({seconds} s)", self.hostile(&net));
        }
        net.run_for(Duration::from_secs(10));
        let (report, took) = (net.report(from), began.elapsed());
        println!("{name:<22} {} {parts}  {took:.1?}", times(&report));
    }

    fn none(&self, name: &str) {
        let began = Instant::now();
        let (net, rng) = self.warmed(2);
        self.watch(name, net, rng, began);
    }

    /// The hostile peers come when the network is there.
    fn warm(&self, name: &str, role: Role) {
        let began = Instant::now();
        let (mut net, rng) = self.warmed(2);
        for _ in 0..4 * self.honest {
            let liar = net.add_as(role);
            net.befriend(liar, self.links(), self.honest);
        }
        self.watch(name, net, rng, began);
    }

    /// They are there before, and the honest peers dial as many of them as of each other.
    fn cold(&self, name: &str) {
        let began = Instant::now();
        let (mut net, mut rng) = self.network(3);
        let all = 5 * self.honest;
        for _ in self.honest..all {
            let liar = net.add_as(Role::Silent);
            net.befriend(liar, self.links() - LINKS / 8, self.honest);
        }
        net.run_for(Duration::from_secs(2));
        for index in 0..self.honest {
            net.befriend(index, LINKS / 2, self.honest);
            for _ in 0..LINKS / 2 {
                net.link(index, self.honest + rng.below((all - self.honest) as u64) as usize);
            }
        }
        net.run_for(Duration::from_secs(3));
        self.watch(name, net, rng, began);
    }

    /// All are at one honest peer.
    fn eclipse(&self, name: &str) {
        let began = Instant::now();
        let (mut net, mut rng) = self.warmed(4);
        for _ in 0..4 * self.honest {
            let liar = net.add_as(Role::Silent);
            net.link(liar, 0);
        }
        let from = net.published();
        let mut parts = String::new();
        for quarter in 1..=4 {
            publish(&mut net, &mut rng, self.honest, QUARTER, self.bytes);
            let (bad, all) = net.hostile_in_mesh(0);
            parts += &format!(" {bad} of {all} ({} s)", quarter * QUARTER.as_secs());
        }
        net.run_for(Duration::from_secs(10));
        let (report, took) = (net.report_at(from, 0), began.elapsed());
        println!("{name:<22} {} {parts}  {took:.1?}", times(&report));
    }

    /// They are honest at first, and then all at once pass nothing on.
    fn covert(&self, name: &str) {
        let began = Instant::now();
        let (mut net, mut rng) = self.network(5);
        let all = 5 * self.honest;
        (self.honest..all).for_each(|_| {
            net.add();
        });
        (0..self.honest).for_each(|index| net.befriend(index, LINKS / 2, self.honest));
        (self.honest..all).for_each(|liar| net.befriend(liar, self.links(), self.honest));
        net.run_for(Duration::from_secs(10));
        let from = net.published();
        publish(&mut net, &mut rng, self.honest, 2 * QUARTER, self.bytes);
        (self.honest..all).for_each(|liar| net.set_role(liar, Role::Silent));
        let mut rows = vec![(from, self.hostile(&net))];
        for _ in 0..8 {
            rows.push((net.published(), 0.0));
            publish(&mut net, &mut rng, self.honest, QUARTER, self.bytes);
            rows.last_mut().unwrap().1 = self.hostile(&net);
        }
        net.run_for(Duration::from_secs(10));
        for (part, (from, hostile)) in rows.iter().enumerate() {
            let to = rows.get(part + 1).map_or(net.published(), |(next, _)| *next);
            let until = part as u64 * QUARTER.as_secs();
            let name = match part {
                0 => format!("{name}, before"),
                _ => format!("  until {until} s after"),
            };
            println!("{name:<22} {}  {hostile:.0}%", times(&net.report_between(*from..to)));
        }
        let (after, took) = (net.report(rows[1].0), began.elapsed());
        println!("{:<22} {}  {took:.1?}", "  all after it", times(&after));
    }
}
