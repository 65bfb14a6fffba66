//! The file of what a DHT server keeps for others: the suite of all stores, and sudden
//! ends.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use polypeer::Rng;
use polypeer::facade::{RecordLimits, RecordStore, conformance};
use polypeer::records::{Entry, Place};
use polypeer_native::records::FileRecords;
use polypeer_native::store::StoreError;

#[tokio::test]
async fn it_does_what_stores_do() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |name: &str, limits| {
        let store = FileRecords::open(&folder.path().join(name), limits).unwrap();
        let store: Arc<dyn RecordStore> = Arc::new(store);
        store
    };
    conformance::check(open).await;
}

#[tokio::test]
async fn a_damaged_file_makes_way_and_one_in_use_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    std::fs::write(&path, vec![7; 10_000]).unwrap();
    let limits = RecordLimits::default();
    assert!(matches!(FileRecords::open(&path, limits), Err(StoreError::Damaged { .. })));
    let (store, aside) = FileRecords::open_or_replace(&path, limits).unwrap();
    assert_eq!(std::fs::read(aside.unwrap()).unwrap().len(), 10_000);
    assert!(matches!(FileRecords::open(&path, limits), Err(StoreError::InUse(_))));
    assert_eq!(store.find(Place::of_record(b"a")).await, Ok(Vec::new()));
}

/// Where the child writes.
const PATH: &str = "POLYPEER_TEST_RECORDS";
/// Entries of one write, all with the number of the write.
const BATCH: u64 = 40;

fn round(number: u64) -> Vec<Entry> {
    let mut rng = Rng::from_number(number);
    let entry = |name: u64| {
        let value = [&number.to_le_bytes()[..], &vec![7; rng.below(5000) as usize]].concat();
        let (name, expires) = (name.to_be_bytes().to_vec(), 1_000_000 + number);
        Entry { place: Place::of_providers(b"place"), name, value, expires }
    };
    (0..BATCH).map(entry).collect()
}

/// Not a test by itself: the process that is killed. It writes without end and says
/// after each write which one it was.
#[test]
fn writer() {
    let Ok(path) = std::env::var(PATH) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let store = FileRecords::open(Path::new(&path), RecordLimits::default()).unwrap();
    for number in last(&runtime.block_on(store.find(Place::of_providers(b"place"))).unwrap()) + 1..
    {
        runtime.block_on(store.write(round(number))).unwrap();
        println!("written {number}");
    }
}

/// The write that all of these are of.
fn last(found: &[Entry]) -> u64 {
    let number = |entry: &Entry| u64::from_le_bytes(entry.value[..8].try_into().unwrap());
    let numbers: BTreeMap<u64, usize> = found.iter().fold(BTreeMap::new(), |mut counts, entry| {
        *counts.entry(number(entry)).or_default() += 1;
        counts
    });
    assert!(numbers.len() <= 1, "half of a write: {numbers:?}");
    numbers.keys().next().copied().unwrap_or_default()
}

#[test]
fn a_killed_writer_loses_nothing_it_had_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.redb");
    let mut written = 0;
    for kill in 0..8u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["records::writer", "--exact", "--nocapture"])
            .env(PATH, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let numbers = lines.map_while(Result::ok).filter_map(|line| {
            line.split("written ").nth(1).and_then(|number| number.trim().parse::<u64>().ok())
        });
        // In the middle of one of its writes.
        for number in numbers.take(3 + kill as usize) {
            written = number;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let found = runtime.block_on(async {
            let store = FileRecords::open(&path, RecordLimits::default()).unwrap();
            store.find(Place::of_providers(b"place")).await.unwrap()
        });
        assert_eq!(found.len() as u64, BATCH);
        assert!(last(&found) >= written, "write {written} is lost");
        assert_eq!(found.len(), round(last(&found)).len());
    }
    assert!(written > 8);
}
