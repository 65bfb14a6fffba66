//! Object storage against a server that speaks S3 (gofakes3, `tests/peers/s3`; needs Go).

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use polypeer::facade::{RecordStore, conformance};
use polypeer::records::{Entry, Place};
use polypeer_native::s3::ObjectRecords;

#[tokio::test]
async fn it_does_what_stores_do() {
    let mut server = Command::new("go")
        .args(["run", ".", "bucket"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/peers/s3"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut at = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut at).unwrap();
    let storage = AmazonS3Builder::new()
        .with_endpoint(at.trim())
        .with_allow_http(true)
        .with_access_key_id("key")
        .with_secret_access_key("secret")
        .with_region("us-east-1")
        .with_bucket_name("bucket");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let storage: Arc<dyn ObjectStore> = Arc::new(storage.build().unwrap());
    let open = async |name: &str, limits| {
        let store = ObjectRecords::new(storage.clone(), &format!("dht/{name}"), limits);
        let store: Arc<dyn RecordStore> = Arc::new(store);
        store
    };
    conformance::check(open).await;

    // Two servers of a fleet.
    let limits = polypeer::facade::RecordLimits::default();
    let [one, two] = [(); 2].map(|()| ObjectRecords::new(storage.clone(), "shared", limits));
    let place = Place::of_providers(b"thing");
    let entry = |name: u8| Entry { place, name: vec![name], value: vec![name; 9], expires: 5 };
    one.write(vec![entry(1)]).await.unwrap();
    two.write(vec![entry(2)]).await.unwrap();
    for store in [&one, &two] {
        let mut found = RecordStore::find(store, place).await.unwrap();
        found.sort_by_key(|entry| entry.name.clone());
        assert_eq!(found, [entry(1), entry(2)]);
    }
    // It ends with its input.
    drop(server.stdin.take());
    server.wait().unwrap();
}
