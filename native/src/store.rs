//! The peer store in a file: an embedded database, whole after a sudden end of
//! the program or the machine.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polypeer::facade::{BoxFuture, Storage};
use polypeer::swarm::store::Change;
use redb::{Database, ReadableTable, TableDefinition};

const PEERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("peers");

/// Memory for pages of the file, in bytes: a full peer store has some 10 MiB and
/// is read once.
const CACHE: usize = 1 << 20;

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// An error of the database, which is a large one.
pub(crate) struct Trouble(Box<redb::Error>);

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: Into<redb::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(Box::new(error.into()))
    }
}

/// Why a file is of no use as a peer store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it open: give each peer a file of its own.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It was written by a program that is too old or too new: use that one, or
    /// another file.
    #[error("{} is of another version of the database", .0.display())]
    Version(PathBuf),
    /// It is no database, or a broken one: see [`FileStore::open_or_replace`].
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// The operating system refuses.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// A peer store in a file, for [`Node::start_stored`](polypeer::facade::Node::start_stored).
///
/// ```no_run
/// # use std::{path::Path, sync::Arc};
/// # fn example(config: polypeer::node::Config) -> Result<(), polypeer_native::store::StoreError> {
/// use polypeer::facade::Node;
/// use polypeer_native::{Native, store::FileStore};
///
/// let storage = FileStore::open(Path::new("peers.redb"))?;
/// let node = Node::start_stored(Arc::new(Native::default()), config, Box::new(storage));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FileStore {
    database: Arc<Database>,
}

impl FileStore {
    /// Opens the file at `path`, or makes it, readable by its owner alone. After a
    /// sudden end it is as the last write that was done left it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = open_database(path, CACHE)?;
        let store = Self { database: Arc::new(database) };
        // The table is there from now on.
        store.commit(Vec::new()).map_err(|error| failure(path, error))?;
        Ok(store)
    }

    /// As [`FileStore::open`], but a damaged file is moved out of the way, to
    /// `path` with `.damaged` behind it, and a new one begun. Returns where the
    /// damaged one is.
    pub fn open_or_replace(path: &Path) -> Result<(Self, Option<PathBuf>), StoreError> {
        or_aside(path, || Self::open(path))
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), Trouble> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(PEERS)?;
            for Change { key, value } in changes {
                match value {
                    Some(value) => drop(table.insert(&*key, &*value)?),
                    None => drop(table.remove(&*key)?),
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn read(&self) -> Result<Entries, Trouble> {
        let table = self.database.begin_read()?.open_table(PEERS)?;
        let mut entries = Vec::new();
        for entry in table.iter()? {
            let (key, value) = entry?;
            entries.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(entries)
    }
}

impl Storage for FileStore {
    /// What cannot be read is left out: the peers in it are met anew.
    fn entries(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.read().unwrap_or_default()
    }

    /// Done when the bytes are on the disk.
    fn write(&mut self, changes: Vec<Change>) -> BoxFuture<'static, Result<(), String>> {
        let store = self.clone();
        let task = tokio::task::spawn_blocking(move || store.commit(changes));
        Box::pin(async move {
            match task.await {
                Ok(result) => result.map_err(|error| error.0.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

/// Opens a database with so much memory for its pages, or makes it, readable by its
/// owner alone.
pub(crate) fn open_database(path: &Path, cache: usize) -> Result<Database, StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder).map_err(io)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(path).map_err(io)?);
    let mut builder = Database::builder();
    builder.set_cache_size(cache).create_with_file_format_v3(true);
    builder.create(path).map_err(|error| failure(path, error.into()))
}

/// Opens a store; if its file is damaged, moves that out of the way and opens again.
/// Returns where the damaged one is.
pub(crate) fn or_aside<T>(
    path: &Path,
    open: impl Fn() -> Result<T, StoreError>,
) -> Result<(T, Option<PathBuf>), StoreError> {
    match open() {
        Err(StoreError::Damaged { .. }) => {
            let mut aside = path.as_os_str().to_owned();
            aside.push(".damaged");
            let aside = PathBuf::from(aside);
            fs::rename(path, &aside)
                .map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
            Ok((open()?, Some(aside)))
        }
        result => Ok((result?, None)),
    }
}

pub(crate) fn failure(path: &Path, error: Trouble) -> StoreError {
    let path = path.to_owned();
    match *error.0 {
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse(path),
        redb::Error::UpgradeRequired(_) => StoreError::Version(path),
        redb::Error::Io(source) if !is_about_content(&source) => StoreError::Io { path, source },
        error => StoreError::Damaged { path, reason: error.to_string() },
    }
}

/// Whether the file can be accessed and what is in it is wrong.
fn is_about_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &[u8], value: Option<&[u8]>) -> Change {
        Change { key: key.to_vec(), value: value.map(<[u8]>::to_vec) }
    }

    #[tokio::test]
    async fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/peers.redb");
        let mut store = FileStore::open(&path).unwrap();
        assert!(matches!(FileStore::open(&path), Err(StoreError::InUse(_))));
        assert_eq!(store.entries(), []);
        let changes = vec![change(b"a", Some(b"1")), change(b"b", Some(b"2"))];
        store.write(changes).await.unwrap();
        store.write(vec![change(b"a", None), change(b"b", Some(b"3"))]).await.unwrap();
        drop(store);
        let mut store = FileStore::open(&path).unwrap();
        assert_eq!(store.entries(), [(b"b".to_vec(), b"3".to_vec())]);
    }

    #[test]
    fn a_damaged_file_makes_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers");
        fs::write(&path, vec![7; 10_000]).unwrap();
        assert!(matches!(FileStore::open(&path), Err(StoreError::Damaged { .. })));
        let (mut store, aside) = FileStore::open_or_replace(&path).unwrap();
        assert_eq!(store.entries(), []);
        assert_eq!(fs::read(aside.unwrap()).unwrap().len(), 10_000);
        assert!(matches!(FileStore::open(folder.path()), Err(StoreError::Io { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn it_is_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers");
        FileStore::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
