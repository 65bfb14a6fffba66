//! Object storage against a server that speaks S3 (gofakes3, `tests/peers/s3`; needs Go).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::keeping::{Server, client, get, program, public, put};
use futures::StreamExt;
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use polypeer::PeerId;
use polypeer::facade::{Node, RecordLimits, RecordStore, conformance};
use polypeer::protocols::kad::QueryEvent;
use polypeer::records::{Entry, Place};
use polypeer_native::s3::ObjectRecords;

/// Storage with one bucket, `bucket`, which ends with this.
struct Storage {
    child: Child,
    url: String,
}

impl Storage {
    fn start() -> Self {
        let mut child = Command::new("go")
            .args(["run", ".", "bucket"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/peers/s3"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut at = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut at).unwrap();
        Self { child, url: at.trim().to_owned() }
    }

    fn client(&self) -> Arc<dyn ObjectStore> {
        let client = AmazonS3Builder::new()
            .with_endpoint(&self.url)
            .with_allow_http(true)
            .with_access_key_id("key")
            .with_secret_access_key("secret")
            .with_region("us-east-1")
            .with_bucket_name("bucket");
        let _ = rustls::crypto::ring::default_provider().install_default();
        Arc::new(client.build().unwrap())
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn it_does_what_stores_do() {
    let server = Storage::start();
    let storage = server.client();
    let open = async |name: &str, limits| {
        let store = ObjectRecords::new(storage.clone(), &format!("dht/{name}"), limits);
        let store: Arc<dyn RecordStore> = Arc::new(store);
        store
    };
    conformance::check(open).await;

    // Two servers of a fleet.
    let limits = RecordLimits::default();
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
}

/// A server of the fleet that keeps what it keeps there.
fn member(storage: &Storage, home: &tempfile::TempDir) -> Server {
    let mut command = program(home.path());
    command.args(["--routing", "127.0.0.1:0", "--records", "s3://bucket/fleet"]);
    command.env("AWS_ENDPOINT", &storage.url).env("AWS_ALLOW_HTTP", "true");
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
    Server::spawn(command.env("AWS_REGION", "us-east-1"))
}

async fn providers(client: &Node) -> Vec<PeerId> {
    let mut query = client.dht().find_providers(b"a multihash", 1).await.unwrap();
    let mut found = Vec::new();
    while let Some(event) = query.next().await {
        if let QueryEvent::Provider(contact) = event {
            found.push(contact.peer);
        }
    }
    found
}

#[tokio::test]
async fn each_server_of_a_fleet_answers_what_another_keeps() {
    let work = async {
        let storage = Storage::start();
        let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
        // They know nothing of each other.
        let (one, two) = (member(&storage, &homes[0]), member(&storage, &homes[1]));
        let author = client(&one, 1).await;
        put(&author, 100).await;
        let mut query = author.dht().provide(b"a multihash").await.unwrap();
        while query.next().await.is_some() {}

        // A server answers before it has written down what it keeps.
        let (key, value) = public(100);
        let fleet = ObjectRecords::new(storage.client(), "fleet", RecordLimits::default());
        for place in [Place::of_record(&key), Place::of_providers(b"a multihash")] {
            while RecordStore::find(&fleet, place).await.unwrap().is_empty() {}
        }
        let reader = client(&two, 2).await;
        assert_eq!(get(&reader, 100).await, std::slice::from_ref(&value));
        assert_eq!(providers(&reader).await, [*author.peer_id()]);
        assert_eq!(get(&reader, 101).await, [[0; 0]; 0]);

        // One that comes when those before have gone has all of it, too.
        one.kill();
        two.kill();
        let three = member(&storage, &homes[2]);
        let late = client(&three, 3).await;
        assert_eq!(get(&late, 100).await, [value]);
        assert_eq!(providers(&late).await, [*author.peer_id()]);
    };
    tokio::time::timeout(Duration::from_secs(120), work).await.unwrap();
}
