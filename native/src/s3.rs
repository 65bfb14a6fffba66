//! What DHT servers keep for others, in object storage (S3 and what is compatible with
//! it), which a fleet of servers shares.
//!
//! An entry is an object `<prefix>/<place>/<name>.<hour>`, in hexadecimal: its end in
//! milliseconds of Unix time as eight bytes, the first the highest, then its value. The
//! hour of its end stands in its name, so that a list tells what has expired, and a
//! server never reads before it writes; of several hours the last one counts. So an
//! entry with an earlier end does not take the place of one with a later one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};
use polypeer::facade::{RecordLimits, RecordStore, RecordStoreError, Stored, latest_entries};
use polypeer::records::{Entry, Place};

/// Requests under way for one order of the node.
const AT_ONCE: usize = 16;
/// Objects of a place that are read: twice what is asked for, since the order within an
/// hour is not known before.
const READ: usize = 2 * Entry::MAX_FOUND;
/// Objects of a place whose names are looked at; more than that many names a place has
/// nobody, but for those that expired and were not tidied away.
const LISTED: usize = 1024;
/// How long one request may take, and all tries of it.
const REQUEST: Duration = Duration::from_secs(10);
const TRIES: Duration = Duration::from_secs(20);

const HOUR: u64 = 3_600_000;

/// Why object storage cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("object storage cannot be used: {0}")]
pub struct ObjectStoreError(#[from] object_store::Error);

/// Records and providers in object storage, for
/// [`Dht::store_in`](polypeer::facade::Dht::store_in).
#[derive(Clone)]
pub struct ObjectRecords {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    limits: RecordLimits,
}

impl ObjectRecords {
    /// `url` is `s3://BUCKET/PREFIX`; keys, region and endpoint are those of the
    /// environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`,
    /// `AWS_ENDPOINT` for another than Amazon's, `AWS_ALLOW_HTTP=true` if that has no TLS.
    ///
    /// # Errors
    /// [`ObjectStoreError`]: the place or the environment is wrong; nothing is asked of
    /// the storage yet.
    pub fn s3(url: &str, limits: RecordLimits) -> Result<Self, ObjectStoreError> {
        // The client asks for the process's choice; whoever made one keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig { max_retries: 3, retry_timeout: TRIES, ..RetryConfig::default() };
        let plain = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|allow| allow == "true");
        let options = ClientOptions::new().with_timeout(REQUEST).with_allow_http(plain);
        check_environment()?;
        let builder = AmazonS3Builder::from_env().with_client_options(options);
        let store = builder.with_url(url).with_retry(retry).build()?;
        let prefix = url.splitn(4, '/').nth(3).unwrap_or_default();
        Ok(Self::new(Arc::new(store), prefix, limits))
    }

    /// Any other object storage, under a prefix.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str, limits: RecordLimits) -> Self {
        Self { store, prefix: Path::from(prefix), limits }
    }

    fn folder(&self, place: &Place) -> Path {
        self.prefix.clone().join(hex(place.as_bytes()))
    }

    async fn find(&self, place: Place) -> Result<Vec<Entry>, object_store::Error> {
        let folder = self.folder(&place);
        let mut listed = self.store.list(Some(&folder)).take(LISTED);
        let mut newest: BTreeMap<Vec<u8>, (u64, Path)> = BTreeMap::new();
        while let Some(object) = listed.try_next().await? {
            let Some((name, hour)) = read_name(&object.location) else { continue };
            let known = newest.get(&name).is_some_and(|(known, _)| *known > hour);
            if !known && name.len() <= Entry::MAX_NAME {
                newest.insert(name, (hour, object.location));
            }
        }
        let mut newest: Vec<_> = newest.into_iter().collect();
        newest.sort_by_key(|(_, (hour, _))| std::cmp::Reverse(*hour));
        newest.truncate(READ);
        let read = newest.into_iter().map(|(name, (_, path))| self.read(place, name, path));
        let found: Vec<Option<Entry>> =
            stream::iter(read).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(latest_entries(found.into_iter().flatten().collect()))
    }

    async fn read(
        &self,
        place: Place,
        name: Vec<u8>,
        path: Path,
    ) -> Result<Option<Entry>, object_store::Error> {
        let found = match self.store.get(&path).await {
            Ok(found) if found.meta.size <= Entry::MAX_VALUE as u64 + 8 => found,
            // Too long to be one of ours, or tidied away since it was listed.
            Ok(_) | Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = found.bytes().await?;
        let entry = bytes.split_first_chunk().map(|(end, value)| {
            let expires = u64::from_be_bytes(*end);
            Entry { place, name, value: value.to_vec(), expires }
        });
        Ok(entry)
    }

    async fn write(&self, entries: Vec<Entry>) -> Result<(), object_store::Error> {
        // The last of a name counts.
        let mut last = BTreeMap::new();
        for entry in entries {
            last.insert((entry.place, entry.name.clone()), entry);
        }
        let writes = last.into_values().map(|entry| async move {
            let name = format!("{}.{}", hex(&entry.name), entry.expires / HOUR);
            let path = self.folder(&entry.place).join(name);
            let bytes = [&entry.expires.to_be_bytes()[..], &entry.value].concat();
            self.store.put(&path, PutPayload::from(bytes)).await.map(|_| ())
        });
        stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn tidy(&self, unix_millis: u64) -> Result<(), object_store::Error> {
        let mut kept: BTreeMap<(String, Vec<u8>), (u64, u64, Path)> = BTreeMap::new();
        let mut gone = Vec::new();
        let mut listed = self.store.list(Some(&self.prefix));
        while let Some(object) = listed.try_next().await? {
            let Some((name, hour)) = read_name(&object.location) else { continue };
            if hour.saturating_add(1).saturating_mul(HOUR) <= unix_millis {
                gone.push(object.location);
                continue;
            }
            let folder = object.location.parts().rev().nth(1);
            let folder = folder.map(|part| part.as_ref().to_owned()).unwrap_or_default();
            let new = (hour, object.size, object.location);
            let at = (folder, name);
            match kept.remove(&at) {
                Some(old) if old.0 > new.0 => {
                    gone.push(new.2);
                    kept.insert(at, old);
                }
                old => {
                    gone.extend(old.map(|(_, _, path)| path));
                    kept.insert(at, new);
                }
            }
        }
        let mut kept: Vec<_> = kept.into_values().collect();
        kept.sort_by_key(|(hour, ..)| std::cmp::Reverse(*hour));
        let mut bytes: u64 = kept.iter().map(|(_, size, _)| size).sum();
        while kept.len() > self.limits.entries || bytes > self.limits.bytes {
            let Some((_, size, path)) = kept.pop() else { break };
            bytes -= size;
            gone.push(path);
        }
        let gone = stream::iter(gone.into_iter().map(Ok)).boxed();
        let mut deleted = self.store.delete_stream(gone);
        while let Some(result) = deleted.next().await {
            match result {
                // Another server was faster.
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The client takes these as they are, and panics at its first request if no request can
/// be made of them.
fn check_environment() -> Result<(), object_store::Error> {
    let is_url = |text: &str| {
        let parsed = reqwest::Url::parse(text);
        let same =
            |url: reqwest::Url| url.as_str().trim_end_matches('/') == text.trim_end_matches('/');
        (text.starts_with("http://") || text.starts_with("https://")) && parsed.is_ok_and(same)
    };
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let all = [
        ("AWS_ENDPOINT", &is_url as &dyn Fn(&str) -> bool),
        ("AWS_ENDPOINT_URL", &is_url),
        ("AWS_ENDPOINT_URL_S3", &is_url),
        ("AWS_REGION", &is_word),
        ("AWS_DEFAULT_REGION", &is_word),
        ("AWS_ACCESS_KEY_ID", &is_word),
        ("AWS_SECRET_ACCESS_KEY", &is_word),
        ("AWS_SESSION_TOKEN", &is_word),
    ];
    for (name, is_good) in all {
        if std::env::var_os(name).is_some_and(|value| !value.to_str().is_some_and(is_good)) {
            let source = format!("{name} in the environment is not one").into();
            return Err(object_store::Error::Generic { store: "S3", source });
        }
    }
    Ok(())
}

fn failed(error: object_store::Error) -> RecordStoreError {
    RecordStoreError(error.to_string())
}

impl RecordStore for ObjectRecords {
    fn find(&self, place: Place) -> Stored<Vec<Entry>> {
        let store = self.clone();
        Box::pin(async move { store.find(place).await.map_err(failed) })
    }

    fn write(&self, entries: Vec<Entry>) -> Stored<()> {
        let store = self.clone();
        Box::pin(async move { store.write(entries).await.map_err(failed) })
    }

    fn tidy(&self, unix_millis: u64) -> Stored<()> {
        let store = self.clone();
        Box::pin(async move { store.tidy(unix_millis).await.map_err(failed) })
    }
}

/// The name and the hour that an object's name is of; `None` for foreign ones.
fn read_name(path: &Path) -> Option<(Vec<u8>, u64)> {
    let (name, hour) = path.filename()?.split_once('.')?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let pairs = name.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    Some((pairs.collect::<Option<_>>()?, hour.parse().ok()?))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use object_store::memory::InMemory;
    use polypeer::facade::conformance;

    use super::*;

    #[tokio::test]
    async fn it_does_what_stores_do() {
        let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let opened = Mutex::new(0);
        let open = async |name: &str, limits| {
            *opened.lock().unwrap() += 1;
            let store = ObjectRecords::new(storage.clone(), &format!("test/{name}"), limits);
            let store: Arc<dyn RecordStore> = Arc::new(store);
            store
        };
        conformance::check(open).await;
        assert!(*opened.lock().unwrap() > 8);
    }

    #[tokio::test]
    async fn what_is_foreign_stays_and_harms_nobody() {
        let storage = Arc::new(InMemory::new());
        let records = ObjectRecords::new(storage.clone(), "records", RecordLimits::default());
        let place = Place::of_record(b"a");
        let foreign = ["readme.txt", "x.1", "abc.1", "00.", ".x", "aa"];
        for name in foreign {
            let path = records.folder(&place).join(name);
            storage.put(&path, PutPayload::from_static(b"short")).await.unwrap();
        }
        // One that has a name of ours, but is too short to be one.
        let path = records.folder(&place).join("00.5");
        storage.put(&path, PutPayload::from_static(b"short")).await.unwrap();
        assert_eq!(RecordStore::find(&records, place).await, Ok(Vec::new()));
        RecordStore::tidy(&records, u64::MAX).await.unwrap();
        assert_eq!(storage.list(None).count().await, foreign.len());
    }
}
