//! Where `polypeer serve` keeps what its DHT stores for others, and who may ask it over
//! HTTP.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use polypeer::facade::{Node, RecordLimits, RecordStore};
use polypeer_native::records::FileRecords;
use polypeer_native::service::routing;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use super::args::Serve;
use super::config::{self, Amount};
use super::output::Output;
use super::{Failure, serve::beside};

/// The part `[records]` of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Records {
    /// A file, or `s3://BUCKET/PREFIX`.
    place: Option<String>,
    entries: Option<usize>,
    bytes: Option<Amount>,
}

/// The part `[routing]` of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Routing {
    listen: Option<SocketAddr>,
}

/// A store that is open and a listener that is bound: what fails, fails before the
/// server says that it is there.
#[derive(Default)]
pub(super) struct Keeping {
    store: Option<Arc<dyn RecordStore>>,
    listener: Option<TcpListener>,
}

impl Keeping {
    /// Opens what the flags and the file name; the flags have the last word.
    pub(super) async fn open(
        arguments: &Serve,
        key: &Path,
        output: Output,
    ) -> Result<Self, Failure> {
        if arguments.no_dht {
            return Ok(Self::default());
        }
        let (records, routing) = config::keeping(arguments)?;
        let store = store(arguments, records, key, output)?;
        let listener = match arguments.routing.or(routing.listen) {
            Some(address) => {
                let bound = TcpListener::bind(address).await;
                Some(bound.map_err(|source| Failure::Http { address, source })?)
            }
            None => None,
        };
        Ok(Self { store, listener })
    }

    /// Has the node keep there what it keeps, and answer there.
    pub(super) async fn start(self, node: &Node, output: Output) {
        if let Some(store) = self.store {
            // A node that has ended keeps nothing.
            let _ = node.dht().store_in(store).await;
        }
        let Some(listener) = self.listener else { return };
        if let Ok(address) = listener.local_addr() {
            let url = format!("http://{address}");
            output.print(json!({ "event": "routing", "url": url }), || {
                format!("Answering /routing/v1 at {url}")
            });
        }
        tokio::spawn(routing::serve(node.clone(), listener));
    }
}

/// A server without a store is one all the same, unless it was to have that one.
fn store(
    arguments: &Serve,
    said: Records,
    key: &Path,
    output: Output,
) -> Result<Option<Arc<dyn RecordStore>>, Failure> {
    let default = RecordLimits::default();
    let limits = RecordLimits {
        entries: said.entries.unwrap_or(default.entries),
        bytes: said.bytes.map_or(default.bytes, |Amount(bytes)| bytes),
    };
    let asked = arguments.records.clone().or(said.place);
    if let Some(url) = asked.as_deref().filter(|place| place.starts_with("s3://")) {
        return object_storage(url, limits).map(Some);
    }
    if asked.is_none() && arguments.no_store {
        return Ok(None);
    }
    let path = asked.as_ref().map_or_else(|| beside(key, ".records.redb"), Into::into);
    match FileRecords::open_or_replace(&path, limits) {
        Ok((store, aside)) => {
            if let Some(aside) = aside {
                let text = "the store of records was damaged and is begun anew; it is now";
                output.warn(&format!("{text} {}", aside.display()));
            }
            Ok(Some(Arc::new(store)))
        }
        Err(error) if asked.is_some() => Err(Failure::Records(error.to_string())),
        Err(error) => {
            output.warn(&format!("records will not be remembered: {error}"));
            Ok(None)
        }
    }
}

#[cfg(feature = "s3")]
fn object_storage(url: &str, limits: RecordLimits) -> Result<Arc<dyn RecordStore>, Failure> {
    let store = polypeer_native::s3::ObjectRecords::s3(url, limits);
    let store = store.map_err(|error| Failure::Records(error.to_string()))?;
    Ok(Arc::new(store))
}

#[cfg(not(feature = "s3"))]
fn object_storage(_: &str, _: RecordLimits) -> Result<Arc<dyn RecordStore>, Failure> {
    Err(Failure::Records("this program was built without the feature s3".into()))
}
