//! `polypeer id` and `polypeer keygen`.

use std::path::PathBuf;

use polypeer::facade::platform::Platform;
use polypeer::{Keypair, Rng};
use polypeer_native::{Native, keys};
use serde_json::json;

use super::Failure;
use super::args::{KeyFile, Keygen, Kind};
use super::output::Output;

/// Where the key is: as given, or in the user's configuration.
pub(super) fn path(file: &KeyFile) -> Result<PathBuf, Failure> {
    if let Some(path) = &file.key {
        return Ok(path.clone());
    }
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".config")))
        .or_else(|| set("APPDATA"));
    Ok(folder.ok_or(Failure::NoHome)?.join("polypeer").join("key"))
}

/// A generator from the operating system's randomness.
pub(super) fn rng() -> Rng {
    Rng::from_seed(Native::default().seed())
}

/// Says so if others may read the key.
pub(super) fn warn_if_exposed(loaded: &keys::Loaded, path: &std::path::Path, output: Output) {
    if loaded.exposed {
        output.warn(&format!("others may read {0}: run `chmod 600 {0}`", path.display()));
    }
}

pub(super) fn id(file: &KeyFile, output: Output) -> Result<(), Failure> {
    let path = path(file)?;
    let loaded = keys::load(&path)?;
    warn_if_exposed(&loaded, &path, output);
    let peer = loaded.keypair.peer_id();
    let value = json!({
        "peer": peer.to_string(),
        "cid": peer.to_cid(),
        "kind": kind_name(&loaded.keypair),
        "key": path.to_string_lossy(),
    });
    output.print(value, || peer.to_string());
    Ok(())
}

pub(super) fn generate(arguments: &Keygen, output: Output) -> Result<(), Failure> {
    let path = path(&arguments.key)?;
    let mut rng = rng();
    let keypair = match arguments.kind {
        Kind::Ed25519 => Keypair::generate_ed25519(&mut rng),
        Kind::Secp256k1 => Keypair::generate_secp256k1(&mut rng),
        Kind::Ecdsa => Keypair::generate_ecdsa(&mut rng),
    };
    keys::store(&path, &keypair)?;
    let peer = keypair.peer_id();
    let value = json!({
        "peer": peer.to_string(),
        "kind": kind_name(&keypair),
        "key": path.to_string_lossy(),
    });
    output.print(value, || format!("{peer}\nThe private key is in {}", path.display()));
    Ok(())
}

fn kind_name(keypair: &Keypair) -> &'static str {
    use polypeer::identity::KeyType;
    match keypair.key_type() {
        KeyType::Rsa => "rsa",
        KeyType::Ed25519 => "ed25519",
        KeyType::Secp256k1 => "secp256k1",
        KeyType::Ecdsa => "ecdsa",
    }
}
