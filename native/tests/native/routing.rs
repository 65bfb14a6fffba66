//! The DHT over HTTP, as those ask it that cannot take part.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{address, host};
use futures::StreamExt;
use polypeer::facade::Node;
use polypeer::node::Config;
use polypeer::protocols::kad::{self, Mode, QueryEvent};
use polypeer::records::{Content, Lifetime, Namespace};
use polypeer::{Keypair, Rng};
use polypeer_native::Native;
use polypeer_native::service::routing;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An inline CID of nothing in particular, and its multihash.
const CID: &str = "bafkqablunbuw4zy";
const MULTIHASH: &[u8] = b"\x00\x05thing";

fn keypair(number: u64) -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_number(number))
}

async fn node(host: &Native, number: u64, others: &[&Node]) -> Node {
    let mut config = Config::new(keypair(number));
    config.kad = Some(kad::Config { mode: Mode::Server, ..kad::Config::default() });
    let node = Node::start(Arc::new(host.clone()), config);
    node.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    for other in others {
        node.dial(other.addresses().await.unwrap().remove(0)).await.unwrap();
    }
    for node in others.iter().copied().chain([&node]) {
        while closest(node).await < others.len() {
            tokio::task::yield_now().await;
        }
    }
    node
}

async fn closest(node: &Node) -> usize {
    let mut query = node.dht().closest_peers(b"anything").await.unwrap();
    while let Some(event) = query.next().await {
        if let QueryEvent::Done(summary) = event {
            return summary.closest.len();
        }
    }
    0
}

struct Service(std::net::SocketAddr);

impl Service {
    async fn new(node: &Node) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(routing::serve(node.clone(), listener));
        Self(at)
    }

    /// The head of the answer, and its body.
    async fn send(&self, request: &[u8]) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.0).await.unwrap();
        // A refusal may come before all of it is sent.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(answer.len());
        let body = answer.get(end + 4..).unwrap_or_default().to_vec();
        (String::from_utf8_lossy(&answer[..end]).into_owned(), body)
    }

    async fn get(&self, path: &str, accept: &str) -> (String, Vec<u8>) {
        let fields = format!("Host: x\r\nAccept: {accept}\r\n");
        self.send(format!("GET /routing/v1/{path} HTTP/1.1\r\n{fields}\r\n").as_bytes()).await
    }
}

#[tokio::test]
async fn providers_and_peers_are_found() {
    let work = async {
        let host = host();
        let one = node(&host, 1, &[]).await;
        let two = node(&host, 2, &[&one]).await;
        let three = node(&host, 3, &[&one, &two]).await;
        let service = Service::new(&three).await;
        let (head, body) = service.get(&format!("providers/{CID}"), "*/*").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("max-age=15"), "{head}");
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "Providers": [] }));

        let mut provided = two.dht().provide(MULTIHASH).await.unwrap();
        while provided.next().await.is_some() {}
        let at = two.addresses().await.unwrap().remove(0).to_string();
        let at = at.split("/p2p/").next().unwrap().to_owned();
        let peer = json!({
            "Schema": "peer", "ID": two.peer_id().to_string(), "Addrs": [at], "Protocols": [],
        });
        // That they keep it is on its way to them.
        let found = loop {
            let (head, body) = service.get(&format!("providers/{CID}?filter-addrs=x"), "*/*").await;
            assert!(head.contains("Access-Control-Allow-Origin: *"), "{head}");
            let found: Value = serde_json::from_slice(&body).unwrap();
            if found != json!({ "Providers": [] }) {
                break found;
            }
        };
        assert_eq!(found, json!({ "Providers": [peer] }));
        let (head, body) = service.get(&format!("providers/{CID}"), "application/x-ndjson").await;
        assert!(head.contains("Content-Type: application/x-ndjson"), "{head}");
        assert_eq!(body, format!("{peer}\n").as_bytes());

        for name in [one.peer_id().to_string(), one.peer_id().to_cid()] {
            let (_, body) = service.get(&format!("peers/{name}"), "application/json").await;
            let found: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(found["Peers"][0]["ID"], one.peer_id().to_string(), "{found}");
            assert!(!found["Peers"][0]["Addrs"].as_array().unwrap().is_empty());
        }
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
}

#[tokio::test]
async fn records_are_kept_and_found_if_they_are_good() {
    let work = async {
        let host = host();
        let one = node(&host, 1, &[]).await;
        let two = node(&host, 2, &[&one]).await;
        let (first, second) = (Service::new(&one).await, Service::new(&two).await);
        let (author, ipns) = (keypair(9), Namespace::ipns());
        let content = Content {
            value: b"/ipfs/bafkqaaa".to_vec(),
            sequence: 1,
            lifetime: Lifetime::Until(Duration::from_secs(4_000_000_000)),
            ttl: Duration::from_secs(300),
        };
        let record = ipns.sign(&author, b"", content).unwrap();
        let name = author.peer_id().to_cid();
        let (head, _) = second.get(&format!("ipns/{name}"), "*/*").await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        let put = |body: &[u8]| {
            let length = body.len();
            let head = format!("PUT /routing/v1/ipns/{name} HTTP/1.1\r\nHost: x\r\n");
            [format!("{head}Content-Length: {length}\r\n\r\n").as_bytes(), body].concat()
        };
        let (head, reason) = first.send(&put(b"nonsense")).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        assert_eq!(reason, b"the bytes are no record");
        let (head, _) = first.send(&put(record.as_bytes())).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let (head, body) = second.get(&format!("ipns/{name}"), "*/*").await;
        assert!(head.contains("Content-Type: application/vnd.ipfs.ipns-record"), "{head}");
        assert_eq!(body, record.as_bytes());
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
}

#[tokio::test]
async fn what_is_no_good_request_is_refused() {
    let work = async {
        let host = host();
        let node = node(&host, 1, &[]).await;
        let service = Service::new(&node).await;
        for (path, status) in [
            ("providers/nonsense", "400"),
            ("providers/", "400"),
            ("peers/nonsense", "400"),
            ("ipns/nonsense", "400"),
            ("other/thing", "404"),
            ("", "404"),
        ] {
            let (head, _) = service.get(path, "*/*").await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(2 * routing::MAX_HEAD));
        let huge = "PUT /routing/v1/ipns/x HTTP/1.1\r\nContent-Length: 10241\r\n\r\n".to_owned();
        let fields = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
        for request in [long, huge, fields, "nonsense\r\n\r\n".to_owned()] {
            let (head, _) = service.send(request.as_bytes()).await;
            assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        }
        let preflight = b"OPTIONS /routing/v1/ipns/x HTTP/1.1\r\n\r\n";
        let (head, _) = service.send(preflight).await;
        assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
        assert!(head.contains("Access-Control-Allow-Methods: GET, PUT, OPTIONS"), "{head}");
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
}
