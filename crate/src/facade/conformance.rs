//! What every [`RecordStore`] does, as a suite of cases to run against one.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use std::collections::BTreeMap;
//! use polypeer::facade::{MemoryRecords, RecordStore, conformance};
//!
//! let known = Mutex::new(BTreeMap::new());
//! let open = async |name: &str, limits| -> Arc<dyn RecordStore> {
//!     let mut known = known.lock().unwrap();
//!     let known = known.entry(name.to_owned());
//!     let store = known.or_insert_with(|| MemoryRecords::new(limits)).clone();
//!     let store: Arc<dyn RecordStore> = Arc::new(store);
//!     store
//! };
//! futures::executor::block_on(conformance::check(open));
//! ```

use std::sync::Arc;

use crate::records::{Entry, Place};

use super::{RecordLimits, RecordStore};

/// Runs all cases. `open` is given a name and limits: the first time it makes an empty
/// store, afterwards (none of it is open then) it opens the one of that name again.
///
/// # Panics
/// If the store does something else than stores do; the message names the case.
pub async fn check(open: impl AsyncFn(&str, RecordLimits) -> Arc<dyn RecordStore>) {
    let all = RecordLimits::default();
    what_is_written_is_found(&*open("found", all).await).await;
    what_is_written_again_replaces(&*open("replaced", all).await).await;
    many_names_of_one_place(&*open("names", all).await).await;
    the_largest(&*open("largest", all).await).await;
    at_the_same_time(&*open("together", all).await).await;
    what_has_expired_is_forgotten(&*open("expired", all).await).await;
    let few = RecordLimits { entries: 10, ..all };
    what_expires_first_makes_room(&*open("entries", few).await).await;
    let small = RecordLimits { bytes: 1000, ..all };
    bytes_are_bounded(&*open("bytes", small).await).await;
    // Open and closed again: what was written stays.
    let store = open("again", all).await;
    write(&*store, vec![entry(1, b"a", 3, 10), entry(2, b"", 4, 20)]).await;
    drop(store);
    let store = open("again", all).await;
    assert_eq!(find(&*store, 1).await, [entry(1, b"a", 3, 10)], "what was written is gone");
    assert_eq!(find(&*store, 2).await, [entry(2, b"", 4, 20)], "what was written is gone");
}

/// A place of records, or of providers for an odd number.
fn place(number: u8) -> Place {
    let of = if number.is_multiple_of(2) { Place::of_record } else { Place::of_providers };
    of(&[number])
}

fn entry(at: u8, name: &[u8], length: usize, expires: u64) -> Entry {
    let value = (0..length).map(|index| (index * 7) as u8 ^ at).collect();
    Entry { place: place(at), name: name.to_vec(), value, expires }
}

async fn write(store: &dyn RecordStore, entries: Vec<Entry>) {
    store.write(entries).await.expect("to write");
}

async fn find(store: &dyn RecordStore, at: u8) -> Vec<Entry> {
    store.find(place(at)).await.expect("to find")
}

async fn what_is_written_is_found(store: &dyn RecordStore) {
    assert_eq!(find(store, 2).await, [], "an empty store has something");
    write(store, Vec::new()).await;
    write(store, vec![entry(2, b"", 3, 10), entry(4, b"", 5, u64::MAX)]).await;
    assert_eq!(find(store, 2).await, [entry(2, b"", 3, 10)]);
    assert_eq!(find(store, 4).await, [entry(4, b"", 5, u64::MAX)]);
    assert_eq!(find(store, 6).await, [], "something is at another place");
    // The same key as a record and as something that is provided.
    assert_eq!(store.find(Place::of_providers(&[2])).await.expect("to find"), []);
}

async fn what_is_written_again_replaces(store: &dyn RecordStore) {
    for (length, expires) in [(10, 30), (5, 40), (7, 35)] {
        write(store, vec![entry(2, b"", length, expires)]).await;
        assert_eq!(find(store, 2).await, [entry(2, b"", length, expires)], "an old one is found");
    }
    write(store, vec![entry(2, b"", 1, 50), entry(2, b"", 2, 51)]).await;
    assert_eq!(find(store, 2).await, [entry(2, b"", 2, 51)], "the last of a write counts");
    write(store, vec![entry(2, b"", 0, 52)]).await;
    assert_eq!(find(store, 2).await, [entry(2, b"", 0, 52)], "an empty value is one");
}

async fn many_names_of_one_place(store: &dyn RecordStore) {
    let count = Entry::MAX_FOUND as u64 + 10;
    let names = |number: u64| [b"/\0\xff.".as_slice(), &number.to_be_bytes()].concat();
    let all = (0..count).map(|number| entry(1, &names(number), 20, 1000 + number));
    write(store, all.collect()).await;
    write(store, vec![entry(3, b"other", 1, 5000)]).await;
    let found = find(store, 1).await;
    let last = (10..count).rev().map(|number| entry(1, &names(number), 20, 1000 + number));
    assert_eq!(found, last.collect::<Vec<_>>(), "those that expire last, in this order");
    write(store, vec![entry(1, &names(0), 2, 9000)]).await;
    assert_eq!(find(store, 1).await.first(), Some(&entry(1, &names(0), 2, 9000)));
}

async fn the_largest(store: &dyn RecordStore) {
    let name = vec![0xff; Entry::MAX_NAME];
    write(store, vec![entry(1, &name, Entry::MAX_VALUE, 10)]).await;
    assert_eq!(find(store, 1).await, [entry(1, &name, Entry::MAX_VALUE, 10)]);
}

async fn at_the_same_time(store: &dyn RecordStore) {
    let writes = (0..20u8).map(|number| {
        let entries = vec![entry(1, &[number], 100, 10), entry(number, b"own", 9, 10)];
        store.write(entries)
    });
    for result in futures::future::join_all(writes).await {
        result.expect("to write");
    }
    // At place 1 stands its own one, too.
    assert_eq!(find(store, 1).await.len(), 21, "a write undid another");
    assert_eq!(find(store, 8).await, [entry(8, b"own", 9, 10)]);
}

async fn what_has_expired_is_forgotten(store: &dyn RecordStore) {
    let day = 24 * 3600 * 1000;
    write(store, vec![entry(1, b"a", 1, day), entry(1, b"b", 1, 3 * day)]).await;
    write(store, vec![entry(2, b"", 1, 2 * day), entry(4, b"", 1, u64::MAX)]).await;
    store.tidy(2 * day + day / 2).await.expect("to tidy");
    assert_eq!(find(store, 1).await, [entry(1, b"b", 1, 3 * day)]);
    assert_eq!(find(store, 2).await, []);
    assert_eq!(find(store, 4).await, [entry(4, b"", 1, u64::MAX)]);
    // What lives longer now, stays.
    write(store, vec![entry(1, b"b", 1, 5 * day)]).await;
    store.tidy(4 * day).await.expect("to tidy");
    assert_eq!(find(store, 1).await, [entry(1, b"b", 1, 5 * day)]);
}

async fn what_expires_first_makes_room(store: &dyn RecordStore) {
    let day = 24 * 3600 * 1000;
    for number in 0..30u8 {
        write(store, vec![entry(1, &[number], 5, day * (100 + u64::from(number)))]).await;
    }
    store.tidy(0).await.expect("to tidy");
    let found = find(store, 1).await;
    let last =
        (20..30u8).rev().map(|number| entry(1, &[number], 5, day * (100 + u64::from(number))));
    assert_eq!(found, last.collect::<Vec<_>>(), "ten entries, those that expire last");
}

async fn bytes_are_bounded(store: &dyn RecordStore) {
    let day = 24 * 3600 * 1000;
    for number in 0..20u8 {
        write(store, vec![entry(1, &[number], 99, day * (100 + u64::from(number)))]).await;
    }
    store.tidy(0).await.expect("to tidy");
    let found = find(store, 1).await;
    let bytes: usize = found.iter().map(|entry| entry.value.len()).sum();
    assert!(bytes <= 1000, "{bytes} bytes");
    // Stores may count what they need themselves.
    assert!(found.len() >= 7, "{} entries are less than there is room for", found.len());
    assert!(found.iter().any(|entry| entry.name == [19]), "the last to expire is gone");
}
