//! What queries of a DHT take among many peers: what is the same whoever they are.

use std::time::Instant;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::process::{cpu_seconds, memory_mib};

/// Peers that are nearest to a key.
const NEAREST: usize = 20;
/// The kinds of queries, and how many of each are made.
const KINDS: [(&str, usize); 3] = [("closest", 250), ("put", 100), ("get", 100)];

/// What a peer is asked to do with a key.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// Find the nearest to it.
    Closest(Vec<u8>),
    /// Have a value kept there.
    Put(Vec<u8>),
    /// Find its value: the first that is found will do.
    Get(Vec<u8>),
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Told {
    /// When it was there: the nearest, all answers to who was to keep it, the value.
    pub(crate) at: Option<Instant>,
    /// Requests that were sent.
    pub(crate) requests: usize,
    /// The bytes of the PeerIds that were found.
    pub(crate) closest: Vec<Vec<u8>>,
}

/// When the peers began to be made.
pub(crate) struct Began {
    at: Instant,
    cpu: f64,
}

impl Began {
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu_seconds() }
    }

    /// Has every peer look around once more, then asks one after another, each key's peers
    /// at random but the same each time, and prints one line: what it took to build the
    /// network, and of each kind of query the time (median), CPU and requests, which share
    /// of what there was to find was found, and how many found fewer than 20.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub(crate) async fn measure<E>(
        self,
        peers: &[Vec<u8>],
        mut ask: impl AsyncFnMut(usize, Ask) -> Result<Told, E>,
    ) -> Result<(), E> {
        for (at, id) in peers.iter().enumerate() {
            ask(at, Ask::Closest(id.clone())).await?;
        }
        let mut report = json!({
            "peers": peers.len(), "build": self.at.elapsed().as_secs_f64(),
            "buildCpu": cpu_seconds() - self.cpu, "mib": memory_mib(),
        });
        for (name, total) in KINDS {
            report[name] = several(peers, name, total, &mut ask).await?;
        }
        println!("{report}");
        Ok(())
    }
}

async fn several<E>(
    peers: &[Vec<u8>],
    name: &str,
    total: usize,
    ask: &mut impl AsyncFnMut(usize, Ask) -> Result<Told, E>,
) -> Result<Value, E> {
    let (mut times, mut requests, mut found, mut short) = (Vec::new(), 0, 0.0, 0);
    let cpu = cpu_seconds();
    for number in 0..total {
        let key = format!("/test/{number}").into_bytes();
        let near = nearest(peers, &key);
        let any = number * 7 % peers.len();
        let (at, one) = match name {
            "closest" => (any, Ask::Closest(key)),
            "put" => (any, Ask::Put(key)),
            // One that keeps it not itself: far from it, and not the one that put it.
            _ => {
                let far = peers.len() / 2 + number * 7 % (peers.len() / 2);
                let own = usize::from(near[far] == any);
                (near[far - own], Ask::Get(key))
            }
        };
        let began = Instant::now();
        let told = ask(at, one).await?;
        requests += told.requests;
        let Some(there) = told.at else { continue };
        times.push((there - began).as_secs_f64() * 1000.0);
        found += 1.0;
        if name == "closest" {
            let others = near.iter().filter(|other| **other != at).take(NEAREST);
            let expected: Vec<_> = others.map(|other| &peers[*other]).collect();
            let right = expected.iter().filter(|id| told.closest.contains(id)).count();
            found += right as f64 / expected.len() as f64 - 1.0;
            short += usize::from(told.closest.len() < expected.len());
        }
    }
    let cpu = (cpu_seconds() - cpu) * 1000.0 / total as f64;
    times.sort_by(f64::total_cmp);
    Ok(json!({
        "medianMs": times.get(times.len() / 2), "cpuMs": cpu,
        "requests": requests as f64 / total as f64,
        "found": found / total as f64, "short": short,
    }))
}

/// All peers, by number, the nearest to a key first.
fn nearest(peers: &[Vec<u8>], key: &[u8]) -> Vec<usize> {
    let key = Sha256::digest(key);
    let distance = |id: &Vec<u8>| {
        let point = Sha256::digest(id);
        point.iter().zip(&key).map(|(one, other)| one ^ other).collect::<Vec<u8>>()
    };
    let mut all: Vec<usize> = (0..peers.len()).collect();
    all.sort_by_cached_key(|at| distance(&peers[*at]));
    all
}
