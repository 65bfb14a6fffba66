//! What a server of the DHT keeps for others, in a file: an embedded database, whole
//! after a sudden end of the program or the machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use polypeer::facade::{RecordLimits, RecordStore, RecordStoreError, Stored, latest_entries};
use polypeer::records::{Entry, Place};
use redb::{Database, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::store::{StoreError, Trouble, failure, open_database, or_aside};

/// By place and name: when it ends, as a number, and the value.
const ENTRIES: TableDefinition<'_, &[u8], (u64, &[u8])> = TableDefinition::new("entries");
/// By their end: place and name.
const ENDS: TableDefinition<'_, (u64, &[u8]), ()> = TableDefinition::new("ends");
/// How much there is, by name.
const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("totals");

const COUNT: &str = "entries";
const BYTES: &str = "bytes";

/// Memory for pages of the file, in bytes: what is asked for often is in the memory of
/// the node.
const CACHE: usize = 8 << 20;

/// Records and providers in a file, for
/// [`Dht::store_in`](polypeer::facade::Dht::store_in).
///
/// ```no_run
/// # use std::{path::Path, sync::Arc};
/// # async fn example(node: polypeer::facade::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use polypeer::facade::RecordLimits;
/// use polypeer_native::records::FileRecords;
///
/// let store = FileRecords::open(Path::new("records.redb"), RecordLimits::default())?;
/// node.dht().store_in(Arc::new(store)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FileRecords {
    database: Arc<Database>,
    limits: RecordLimits,
}

impl FileRecords {
    /// Opens the file at `path`, or makes it, readable by its owner alone. After a
    /// sudden end it is as the last write that was done left it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn open(path: &Path, limits: RecordLimits) -> Result<Self, StoreError> {
        let database = open_database(path, CACHE)?;
        let store = Self { database: Arc::new(database), limits };
        // The tables are there from now on, and what is too much is not.
        store.change(|_| Ok(())).map_err(|trouble| failure(path, trouble))?;
        Ok(store)
    }

    /// As [`FileRecords::open`], but a damaged file is moved out of the way, to `path`
    /// with `.damaged` behind it, and a new one begun. Returns where the damaged one is.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn open_or_replace(
        path: &Path,
        limits: RecordLimits,
    ) -> Result<(Self, Option<PathBuf>), StoreError> {
        or_aside(path, || Self::open(path, limits))
    }

    fn find(&self, place: Place) -> Result<Vec<Entry>, Trouble> {
        let table = self.database.begin_read()?.open_table(ENTRIES)?;
        let mut found = Vec::new();
        for entry in table.range(place.as_bytes()..)? {
            let (key, value) = entry?;
            let Some(name) = key.value().strip_prefix(place.as_bytes()).map(<[u8]>::to_vec) else {
                break;
            };
            let (expires, value) = value.value();
            found.push(Entry { place, name, value: value.to_vec(), expires });
        }
        Ok(latest_entries(found))
    }

    /// Makes changes, all or none, and keeps within the limits.
    fn change(
        &self,
        act: impl FnOnce(&mut Tables<'_>) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let transaction = self.database.begin_write()?;
        {
            let mut tables = Tables::open(&transaction)?;
            act(&mut tables)?;
            while tables.count > self.limits.entries as u64 || tables.bytes > self.limits.bytes {
                if !tables.forget_first(u64::MAX)? {
                    break;
                }
            }
            tables.close()?;
        }
        Ok(transaction.commit()?)
    }

    fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Trouble> + Send + 'static,
    ) -> Stored<T> {
        let store = self.clone();
        let task = tokio::task::spawn_blocking(move || work(&store));
        Box::pin(async move {
            match task.await {
                Ok(result) => result.map_err(|trouble| RecordStoreError(trouble.to_string())),
                Err(error) => Err(RecordStoreError(error.to_string())),
            }
        })
    }
}

impl RecordStore for FileRecords {
    fn find(&self, place: Place) -> Stored<Vec<Entry>> {
        self.work(move |store| store.find(place))
    }

    fn write(&self, entries: Vec<Entry>) -> Stored<()> {
        if entries.is_empty() {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.work(move |store| {
            store.change(|tables| entries.iter().try_for_each(|entry| tables.put(entry)))
        })
    }

    fn tidy(&self, unix_millis: u64) -> Stored<()> {
        self.work(move |store| {
            store.change(|tables| {
                while tables.forget_first(unix_millis)? {}
                Ok(())
            })
        })
    }
}

/// The tables of one transaction.
struct Tables<'a> {
    entries: Table<'a, &'static [u8], (u64, &'static [u8])>,
    ends: Table<'a, (u64, &'static [u8]), ()>,
    totals: Table<'a, &'static str, u64>,
    count: u64,
    bytes: u64,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, Trouble> {
        let totals = transaction.open_table(TOTALS)?;
        let total = |name| -> Result<u64, Trouble> {
            Ok(totals.get(name)?.map(|total| total.value()).unwrap_or_default())
        };
        let (count, bytes) = (total(COUNT)?, total(BYTES)?);
        let (entries, ends) = (transaction.open_table(ENTRIES)?, transaction.open_table(ENDS)?);
        Ok(Self { entries, ends, totals, count, bytes })
    }

    fn close(&mut self) -> Result<(), Trouble> {
        self.totals.insert(COUNT, self.count)?;
        self.totals.insert(BYTES, self.bytes)?;
        Ok(())
    }

    fn put(&mut self, entry: &Entry) -> Result<(), Trouble> {
        let key = [entry.place.as_bytes(), &entry.name].concat();
        self.remove(&key)?;
        self.entries.insert(&*key, (entry.expires, &*entry.value))?;
        self.ends.insert((entry.expires, &*key), ())?;
        self.count += 1;
        self.bytes += entry.value.len() as u64;
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Trouble> {
        let old = self.entries.remove(key)?.map(|old| (old.value().0, old.value().1.len()));
        if let Some((expires, length)) = old {
            self.ends.remove((expires, key))?;
            self.count = self.count.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(length as u64);
        }
        Ok(())
    }

    /// Forgets what ends first, if it ends by then; whether there was something.
    fn forget_first(&mut self, by: u64) -> Result<bool, Trouble> {
        let first = self.ends.first()?.map(|(end, _)| {
            let (end, key) = end.value();
            (end, key.to_vec())
        });
        let Some((_, key)) = first.filter(|(end, _)| *end <= by) else { return Ok(false) };
        self.remove(&key)?;
        Ok(true)
    }
}
