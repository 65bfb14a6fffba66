//! A short-lived peer with a new identity, for commands that talk to another.

use std::sync::Arc;

use polypeer::Keypair;
use polypeer::facade::{Connection, Node};
use polypeer::node::Config;
use polypeer_native::{Native, Options, certificates};

use super::args::Target;
use super::{Failure, key};

/// Connects to `target`.
pub(super) async fn connect(target: &Target) -> Result<(Node, Connection), Failure> {
    let extra_roots = match &target.roots {
        Some(path) => certificates(path)?,
        None => Vec::new(),
    };
    let host = Native::new(Options { extra_roots, ..Options::default() });
    let config = Config::new(Keypair::generate_ed25519(&mut key::rng()));
    let node = Node::start(Arc::new(host), config);
    let connection = node
        .dial(target.address.clone())
        .await
        .map_err(|source| Failure::Dial { address: target.address.clone(), source })?;
    Ok((node, connection))
}
