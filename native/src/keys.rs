//! Private keys in files: libp2p's protobuf, mode 0600, never overwritten.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use polypeer::identity::{DecodeError, Keypair};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// The longest key file that is read, in bytes: an RSA key of 8192 bits has 5 KiB.
const MAX_FILE: u64 = 16 * 1024;

/// Why a key file is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no such file: make a key first.
    #[error("there is no key at {}", .0.display())]
    Missing(PathBuf),
    /// A file is there, and a key is never overwritten: name another file, or move
    /// that one.
    #[error("{} exists already; a key is never overwritten", .0.display())]
    Exists(PathBuf),
    /// The file does not hold a private key that this peer can sign with.
    #[error("{} does not hold a usable private key: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The file is too long for a key.
    #[error("{} is too long for a private key", .0.display())]
    TooLong(PathBuf),
    /// The operating system refuses.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// A key that was read from a file.
pub struct Loaded {
    /// The key.
    pub keypair: Keypair,
    /// Whether others than the owner may read the file, which gives the identity
    /// away to them.
    pub exposed: bool,
}

/// Reads the key at `path`.
pub fn load(path: &Path) -> Result<Loaded, KeyError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyError::Missing(path.to_owned()),
        _ => KeyError::Io { path: path.to_owned(), source },
    };
    let file = File::open(path).map_err(failed)?;
    let exposed = is_exposed(&file.metadata().map_err(failed)?);
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(KeyError::TooLong(path.to_owned()));
    }
    let keypair = Keypair::from_protobuf(&bytes)
        .map_err(|source| KeyError::Malformed { path: path.to_owned(), source })?;
    Ok(Loaded { keypair, exposed })
}

/// Writes `keypair` to `path`, which must not exist, readable by its owner alone.
/// The file appears whole or not at all. Missing directories are made.
pub fn store(path: &Path, keypair: &Keypair) -> Result<(), KeyError> {
    create(path, &keypair.to_protobuf()).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists(path.to_owned()),
        _ => KeyError::Io { path: path.to_owned(), source },
    })
}

/// Writes a secret to `path` as [`store`] does.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    if let Some(folder) = path.parent() {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder)?;
    }
    let draft = draft(path)?;
    let written = write_new(&draft, bytes);
    // A link, unlike a renaming, fails if somebody made the file meanwhile.
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    // What is left of the draft is of no harm but to tidiness.
    let _ = fs::remove_file(&draft);
    linked
}

/// The key at `path`, made by `make` if there is none yet.
pub fn load_or_create(path: &Path, make: impl FnOnce() -> Keypair) -> Result<Loaded, KeyError> {
    match load(path) {
        Err(KeyError::Missing(_)) => {}
        result => return result,
    }
    let keypair = make();
    match store(path, &keypair) {
        Ok(()) => Ok(Loaded { keypair, exposed: false }),
        // Another process was faster: we are the same peer.
        Err(KeyError::Exists(_)) => load(path),
        Err(error) => Err(error),
    }
}

/// A name beside `path` that nobody else uses.
fn draft(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}", u64::from_le_bytes(random)));
    Ok(path.with_file_name(name))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use polypeer::Rng;

    use super::*;

    fn key(number: u64) -> Keypair {
        Keypair::generate_ed25519(&mut Rng::from_number(number))
    }

    #[test]
    fn a_key_is_stored_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/folder/key");
        assert!(matches!(load(&path), Err(KeyError::Missing(_))));
        store(&path, &key(1)).unwrap();
        assert!(matches!(store(&path, &key(2)), Err(KeyError::Exists(_))));
        let loaded = load(&path).unwrap();
        assert_eq!(loaded.keypair.peer_id(), key(1).peer_id());
        assert!(!loaded.exposed);
        let again = load_or_create(&path, || key(2)).unwrap();
        assert_eq!(again.keypair.peer_id(), key(1).peer_id());
        // No draft is left.
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn files_that_are_no_keys_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "hello").unwrap();
        assert!(matches!(load(&path), Err(KeyError::Malformed { .. })));
        fs::write(&path, vec![0; 20_000]).unwrap();
        assert!(matches!(load(&path), Err(KeyError::TooLong(_))));
        assert!(matches!(load(folder.path()), Err(KeyError::Io { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn the_owner_alone_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        store(&path, &key(1)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(load(&path).unwrap().exposed);
        // A link that leads nowhere is something that is there.
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        assert!(matches!(store(&link, &key(2)), Err(KeyError::Exists(_))));
    }
}
