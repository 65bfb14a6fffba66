//! The program killed while it keeps things for others, and asked over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::common::{address, host};
use futures::StreamExt;
use polypeer::facade::Node;
use polypeer::node::Config;
use polypeer::protocols::kad::{self, QueryEvent};
use polypeer::{Keypair, Rng};
use serde_json::Value;

/// The program, killed when dropped.
pub(crate) struct Server {
    child: Child,
    at: String,
    url: String,
}

/// A server with its home there.
pub(crate) fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polypeer"));
    command.args(["--json", "serve", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    command.args(["--dht", "/test/kad/1.0.0"]).env("HOME", home);
    for name in ["POLYPEER_KEY", "POLYPEER_RECORDS", "POLYPEER_ROUTING", "XDG_CONFIG_HOME"] {
        command.env_remove(name);
    }
    command
}

impl Server {
    fn start(home: &Path) -> Self {
        Self::spawn(program(home).args(["--routing", "127.0.0.1:0"]))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut at, mut url) = (None, None);
        for line in lines {
            let said: Value = serde_json::from_str(&line.unwrap()).unwrap();
            match said["event"].as_str().unwrap() {
                "listening" => at = said["addresses"][0].as_str().map(ToOwned::to_owned),
                "routing" => url = said["url"].as_str().map(ToOwned::to_owned),
                _ => {}
            }
            if at.is_some() && url.is_some() {
                break;
            }
        }
        Self { child, at: at.unwrap(), url: url.unwrap() }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that knows the server.
pub(crate) async fn client(server: &Server, number: u64) -> Node {
    let mut config = Config::new(Keypair::generate_ed25519(&mut Rng::from_number(number)));
    config.kad = Some(kad::Config { protocol: "/test/kad/1.0.0".into(), ..kad::Config::default() });
    let client = Node::start(Arc::new(host()), config);
    client.dial(address(&server.at)).await.unwrap();
    loop {
        let mut query = client.dht().closest_peers(b"anything").await.unwrap();
        while let Some(event) = query.next().await {
            if matches!(&event, QueryEvent::Done(summary) if summary.closest.len() == 1) {
                return client;
            }
        }
    }
}

/// A record that is good: its key and its value.
pub(crate) fn public(number: u64) -> (Vec<u8>, Vec<u8>) {
    let public = Keypair::generate_ed25519(&mut Rng::from_number(number)).public();
    ([b"/pk/", public.peer_id().as_bytes()].concat(), public.to_protobuf())
}

pub(crate) async fn put(client: &Node, number: u64) {
    let (key, value) = public(number);
    let mut query = client.dht().put(&key, &value).await.unwrap();
    while query.next().await.is_some() {}
}

/// The values that are found of a record.
pub(crate) async fn get(client: &Node, number: u64) -> Vec<Vec<u8>> {
    let mut query = client.dht().get(&public(number).0, 1).await.unwrap();
    let mut found = Vec::new();
    while let Some(event) = query.next().await {
        if let QueryEvent::Value(record) = event {
            found.push(record.value);
        }
    }
    found
}

/// Waits until the file has the value of a record.
async fn written(path: &Path, number: u64) {
    let (_, value) = public(number);
    let is_there = || {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(value.len()).any(|window| window == value)
    };
    while !is_there() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_killed_server_has_what_it_kept() {
    let work = async {
        let home = tempfile::tempdir().unwrap();
        let server = Server::start(home.path());
        let file = home.path().join(".config/polypeer/key.records.redb");
        let keeper = client(&server, 1).await;
        put(&keeper, 100).await;
        written(&file, 100).await;
        // Writes come one after the other: when the next is under way, that one is done.
        put(&keeper, 101).await;
        written(&file, 101).await;
        server.kill();
        keeper.close().await;

        let server = Server::start(home.path());
        let asker = client(&server, 2).await;
        assert_eq!(get(&asker, 100).await, [public(100).1]);
    };
    tokio::time::timeout(Duration::from_secs(90), work).await.unwrap();
}

/// Asks over HTTP; the answer as it came.
fn ask(server: &Server, path: &str) -> String {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    write!(stream, "GET /routing/v1/{path} HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_environment_and_the_file_say_where() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let file = format!(
        "[records]\nplace = '{}'\nentries = 5\nbytes = '1M'\n[routing]\nlisten = '127.0.0.1:0'\n",
        at("of-file")
    );
    std::fs::write(at("server.toml"), file).unwrap();
    let mut command = program(home.path());
    command.args(["--config", &at("server.toml"), "--no-store"]);
    let server = Server::spawn(&mut command);
    assert!(ask(&server, "providers/bafkqaaa").starts_with("HTTP/1.1 200 "));
    assert!(Path::new(&at("of-file")).exists());
    drop(server);

    // The environment has the word over the file, and a flag over both.
    command.env("POLYPEER_RECORDS", at("of-environment"));
    drop(Server::spawn(&mut command));
    assert!(Path::new(&at("of-environment")).exists());
    drop(Server::spawn(command.args(["--records", &at("of-flag")])));
    assert!(Path::new(&at("of-flag")).exists());
    assert!(!home.path().join(".config/polypeer/key.records.redb").exists());
}

#[test]
fn a_place_that_cannot_be_had_ends_the_program() {
    let home = tempfile::tempdir().unwrap();
    let fails = |arguments: &[&str]| {
        let mut command = program(home.path());
        let run = command.args(arguments).env("AWS_ENDPOINT", "nowhere").output().unwrap();
        assert_eq!(run.stdout, b"", "it says that it listens");
        let said: Value = serde_json::from_slice(&run.stderr).unwrap();
        (run.status.code(), said["error"]["code"].as_str().unwrap().to_owned())
    };
    let folder = home.path().to_str().unwrap();
    assert_eq!(fails(&["--records", folder]), (Some(1), "records".into()));
    assert_eq!(fails(&["--records", "s3://"]), (Some(1), "records".into()));
    assert_eq!(fails(&["--records", "s3://bucket/x"]), (Some(1), "records".into()));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    assert_eq!(fails(&["--routing", &taken]), (Some(5), "listen".into()));
}
