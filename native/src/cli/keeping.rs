//! Where `polypeer serve` keeps what its DHT stores for others, and who may ask it over
//! HTTP.

use std::path::Path;
use std::sync::Arc;

use polypeer::facade::{Node, RecordLimits, RecordStore};
use polypeer_native::records::FileRecords;
use polypeer_native::service::routing;
use serde_json::json;
use tokio::net::TcpListener;

use super::args::Serve;
use super::output::Output;
use super::{Failure, serve::beside};

/// Has records and providers kept where the arguments say, and answers where they say.
pub(super) async fn start(
    node: &Node,
    arguments: &Serve,
    key: &Path,
    output: Output,
) -> Result<(), Failure> {
    if arguments.no_dht {
        return Ok(());
    }
    if let Some(store) = store(arguments, key, output)? {
        // A node that has ended keeps nothing.
        let _ = node.dht().store_in(store).await;
    }
    if let Some(address) = arguments.routing {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| Failure::Http { address, source })?;
        let address = listener.local_addr().map_err(|source| Failure::Http { address, source })?;
        tokio::spawn(routing::serve(node.clone(), listener));
        let url = format!("http://{address}");
        output.print(json!({ "event": "routing", "url": url }), || {
            format!("Answering /routing/v1 at {url}")
        });
    }
    Ok(())
}

/// A server without a store is one all the same, unless it was to have that one.
fn store(
    arguments: &Serve,
    key: &Path,
    output: Output,
) -> Result<Option<Arc<dyn RecordStore>>, Failure> {
    let limits = RecordLimits::default();
    let asked = arguments.records.as_deref();
    if let Some(url) = asked.filter(|place| place.starts_with("s3://")) {
        return object_storage(url, limits).map(Some);
    }
    if arguments.no_store {
        return Ok(None);
    }
    let path = asked.map_or_else(|| beside(key, ".records.redb"), Into::into);
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
