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
        Self::within(node, routing::Limits::default()).await
    }

    async fn within(node: &Node, limits: routing::Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(routing::serve_within(node.clone(), listener, limits));
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
            let (head, body) = service.get(&format!("providers/{CID}?other=x"), "*/*").await;
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
        assert!(head.contains("max-age=300, stale-while-revalidate=172800"), "{head}");
        assert!(head.contains("Last-Modified: ") && head.contains("Vary: Accept"), "{head}");
        for (filters, passes) in [
            ("filter-addrs=ip4,quic", true),
            ("filter-addrs=ws", false),
            ("filter-protocols=unknown", true),
            ("filter-protocols=transport-bitswap&filter-addrs=tcp", false),
        ] {
            for accept in ["application/json", "application/x-ndjson"] {
                let (head, body) = service.get(&format!("providers/{CID}?{filters}"), accept).await;
                let body = String::from_utf8(body).unwrap();
                assert_eq!(body.contains("Schema"), passes, "{filters}: {head} {body}");
            }
        }

        for name in [one.peer_id().to_string(), one.peer_id().to_cid()] {
            let (_, body) = service.get(&format!("peers/{name}"), "application/json").await;
            let found: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(found["Peers"][0]["ID"], one.peer_id().to_string(), "{found}");
            assert!(!found["Peers"][0]["Addrs"].as_array().unwrap().is_empty());
        }

        // By a CID, and by a PeerId, which it is near to itself.
        for (key, accept) in [(CID, "*/*"), (&*one.peer_id().to_string(), "application/x-ndjson")] {
            let (head, body) = service.get(&format!("dht/closest/peers/{key}"), accept).await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            let found: Vec<Value> = if accept == "*/*" {
                let found: Value = serde_json::from_slice(&body).unwrap();
                found["Peers"].as_array().unwrap().clone()
            } else {
                let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
            };
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(found.iter().all(|peer| peer["Addrs"].as_array().unwrap().len() == 1));
            if accept != "*/*" {
                assert_eq!(found[0]["ID"], one.peer_id().to_string());
            }
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
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("Content-Type: text/plain"), "that there is none: {head}");
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
        assert!(head.contains("max-age=300, stale-while-revalidate="), "{head}");
        assert!(head.contains("Expires: Tue, 02 Oct 2096 07:06:40 GMT"), "{head}");
        let tag = head.split("ETag: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
        let request =
            format!("GET /routing/v1/ipns/{name} HTTP/1.1\r\nIf-None-Match: {tag}\r\n\r\n");
        let (head, body) = second.send(request.as_bytes()).await;
        assert!(head.starts_with("HTTP/1.1 304 "), "{head}");
        assert_eq!(body, b"");

        // Nothing else is given for a record, or taken for one.
        let (head, reason) = second.get(&format!("ipns/{name}"), "text/html").await;
        assert!(head.starts_with("HTTP/1.1 406 "), "{head}");
        assert!(String::from_utf8_lossy(&reason).contains("vnd.ipfs.ipns-record"));
        let head = format!("PUT /routing/v1/ipns/{name} HTTP/1.1\r\nContent-Type: text/html\r\n");
        let (head, _) = second.send(format!("{head}Content-Length: 0\r\n\r\n").as_bytes()).await;
        assert!(head.starts_with("HTTP/1.1 406 "), "{head}");
        // One that is longer than records are is told so, though it is not read.
        let head =
            format!("PUT /routing/v1/ipns/{name} HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
        let (head, _) = second.send(&[head.as_bytes(), &[7; 100_000]].concat()).await;
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
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
            ("providers/nonsense", "422"),
            ("providers/", "422"),
            ("peers/nonsense", "422"),
            ("dht/closest/peers/nonsense", "422"),
            (&*format!("providers/{CID}?filter-addrs=%zz"), "422"),
            ("ipns/nonsense", "400"),
            ("other/thing", "400"),
            ("", "400"),
            // It is the only one.
            (&*format!("dht/closest/peers/{CID}"), "404"),
        ] {
            let (head, _) = service.get(path, "*/*").await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
            assert!(head.contains("Access-Control-Allow-Origin: *"), "{head}");
        }
        let (head, _) = service.send(b"DELETE /routing/v1/ipns/x HTTP/1.1\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 501 "), "{head}");
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(2 * routing::MAX_HEAD));
        let (head, _) = service.send(long.as_bytes()).await;
        assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
        let preflight = b"OPTIONS /routing/v1/ipns/x HTTP/1.1\r\n\r\n";
        let (head, _) = service.send(preflight).await;
        assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
        assert!(head.contains("Access-Control-Allow-Methods: GET, PUT, OPTIONS"), "{head}");
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
}

#[tokio::test]
async fn without_a_dht_there_is_nothing_to_ask() {
    let node = Node::start(Arc::new(host()), Config::new(keypair(1)));
    let service = Service::new(&node).await;
    let (head, _) = service.get(&format!("providers/{CID}"), "*/*").await;
    assert!(head.starts_with("HTTP/1.1 501 "), "{head}");
}

#[tokio::test]
async fn who_is_slow_holds_nobody_up_for_long() {
    let work = async {
        let host = host();
        let node = node(&host, 1, &[]).await;
        let request_time = Duration::from_millis(100);
        let limits = routing::Limits { connections: 4, request_time, ..routing::Limits::default() };
        let service = Service::within(&node, limits).await;
        // All places are taken by those that say nothing; who comes next waits for one.
        let mut silent = Vec::new();
        for _ in 0..4 {
            silent.push(TcpStream::connect(service.0).await.unwrap());
        }
        let (head, _) = service.get("providers/nonsense", "*/*").await;
        assert!(head.starts_with("HTTP/1.1 422 "), "{head}");
        let mut answer = String::new();
        silent[0].read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");

        // Who does not go when it has its answer is left.
        let answer_time = Duration::from_millis(200);
        let limits = routing::Limits { connections: 1, answer_time, ..routing::Limits::default() };
        let service = Service::within(&node, limits).await;
        let mut slow = TcpStream::connect(service.0).await.unwrap();
        slow.write_all(b"nonsense\r\n\r\n").await.unwrap();
        let (head, _) = service.get("providers/nonsense", "*/*").await;
        assert!(head.starts_with("HTTP/1.1 422 "), "{head}");
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
}
