//! The peer store's file and sudden ends: a process that writes is killed in the
//! middle, again and again, and nothing that it had written is lost or broken.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use polypeer::facade::Storage;
use polypeer::identity::PeerId;
use polypeer::swarm::store::{Change, Config, Patch, PeerStore};
use polypeer::{Instant, Rng};
use polypeer_native::store::FileStore;

/// Where the child writes, and with which seed.
const PATH: &str = "POLYPEER_TEST_STORE";
const SEED: &str = "POLYPEER_TEST_SEED";
const NOTE: &str = "round";
/// Peers changed in one write.
const BATCH: usize = 20;

fn peer(number: u64) -> PeerId {
    PeerId::random(&mut Rng::from_number(number))
}

fn me() -> PeerId {
    peer(u64::MAX)
}

/// Not a test by itself: the process that is killed. It writes without end and
/// says after each write which one it was.
#[test]
fn writer() {
    let (Ok(path), Ok(seed)) = (std::env::var(PATH), std::env::var(SEED)) else { return };
    let mut rng = Rng::from_number(seed.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let mut storage = FileStore::open(Path::new(&path)).unwrap();
    let config = Config { journal: Some(core::time::Duration::ZERO), ..Config::default() };
    let mut store = PeerStore::new(config, me());
    store.restore(Instant::ZERO, storage.entries());
    let first = latest(&store) + 1;
    for round in first.. {
        for _ in 0..BATCH {
            let number = rng.below(200);
            let value = vec![(NOTE.to_owned(), Some(u64::to_le_bytes(round).to_vec()))];
            let pad = vec![("pad".to_owned(), Some(vec![0; rng.below(4000) as usize]))];
            let patch = Patch { metadata: [value, pad].concat(), ..Patch::default() };
            store.patch(Instant::ZERO, &peer(number), patch).unwrap();
            if rng.below(8) == 0 {
                store.delete(Instant::ZERO, &peer(rng.below(200)));
            }
        }
        // The last of each round is there in any case.
        let value = vec![(NOTE.to_owned(), Some(u64::to_le_bytes(round).to_vec()))];
        let patch = Patch { metadata: value, ..Patch::default() };
        store.patch(Instant::ZERO, &peer(1000), patch).unwrap();
        store.flush();
        let changes: Vec<Change> = std::iter::from_fn(|| store.poll_change()).collect();
        runtime.block_on(storage.write(changes)).unwrap();
        println!("written {round}");
    }
}

/// The last round of which something is there.
fn latest(store: &PeerStore) -> u64 {
    let notes = store.iter().filter_map(|(_, entry)| entry.metadata.get(NOTE));
    notes.map(|note| u64::from_le_bytes(note[..].try_into().unwrap())).max().unwrap_or(0)
}

#[test]
fn a_killed_writer_loses_nothing_it_had_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.redb");
    let mut rng = Rng::from_number(7);
    let mut written = 0;
    for seed in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::writer", "--exact", "--nocapture"])
            .env(PATH, &path)
            .env(SEED, seed.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut rounds = 1 + rng.below(6);
        while rounds > 0 {
            let line = lines.next().expect("the writer ended by itself").unwrap();
            if let Some(round) = line.strip_prefix("written ") {
                written = round.parse().unwrap();
                rounds -= 1;
            }
        }
        // Somewhere in the next write.
        for _ in 0..rng.below(2_000_000) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for round in lines
            .map_while(Result::ok)
            .filter_map(|l| l.strip_prefix("written ").map(str::to_owned))
        {
            written = round.parse().unwrap();
        }

        let mut storage = FileStore::open(&path).unwrap();
        let mut store = PeerStore::new(Config::default(), me());
        let entries = storage.entries();
        let report = store.restore(Instant::ZERO, entries);
        assert_eq!(report.skipped, [], "no entry is torn");
        let last = store.get(&peer(1000)).unwrap().metadata.get(NOTE).unwrap();
        let last = u64::from_le_bytes(last[..].try_into().unwrap());
        assert!(last >= written, "write {written} was done, {last} is there");
        assert_eq!(latest(&store), last, "a write is there as a whole or not at all");
    }
}
