//! `/routing/v1`: the node's DHT over HTTP, for those that cannot take part in one.
//!
//! Source: IPFS specs, "Delegated Routing V1 HTTP API": `GET providers/{cid}`,
//! `GET peers/{peer-id}`, `GET` and `PUT ipns/{name}`, `GET dht/closest/peers/{key}`; JSON,
//! and NDJSON as it is found; `filter-addrs` and `filter-protocols` (IPIP-484). Pages of
//! any origin may ask. TLS is for a proxy in front.
//!
//! What a remote can make us hold: a connection of [`MAX_CONNECTIONS`], for
//! [`REQUEST_TIME`] until its request is there, [`SEARCH_TIME`] until the DHT has said
//! enough and [`ANSWER_TIME`] in all; a head of [`MAX_HEAD`] bytes and one record;
//! [`MAX_RESULTS`] results. How many searches there are at a time the DHT limits itself.

mod filter;
mod http;

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use polypeer::facade::{DhtError, Node, Query};
use polypeer::protocols::kad::{PutError, QueryError, QueryEvent};
use polypeer::records::{Lifetime, Namespace, SignedRecord};
use polypeer::wire::{base, varint};
use polypeer::{Multiaddr, PeerId};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use filter::Filters;
use http::{Refusal, Request, caching, content_type};

/// Connections at a time; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 256;
/// The longest head of a request in bytes.
pub const MAX_HEAD: usize = 8 * 1024;
/// Providers or peers in an answer of JSON ("SHOULD be limited to 100").
pub const MAX_RESULTS: usize = 100;
/// Providers or peers that are told of one by one.
pub const MAX_STREAMED: usize = 1000;
/// How long a request may take to arrive.
pub const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long the DHT is asked; what was found until then is the answer.
pub const SEARCH_TIME: Duration = Duration::from_secs(30);
/// How long all of it may take, to those that read slowly, too.
pub const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Peers that agree on a record before it is taken for the best.
const QUORUM: usize = 16;
/// How long caches keep that something was found, and that nothing was, in seconds ("15
/// seconds if empty, 5 minutes if not" are the specification's own figures), and what is
/// old while they ask again: as long as the DHT keeps a provider.
const FOUND: u64 = 300;
const NOT_FOUND: u64 = 15;
const STALE: u64 = 48 * 3600;
/// The same of a record that does not say ("SHOULD default to max-age=60").
const RECORD: u64 = 60;

const IPNS_RECORD: &str = "application/vnd.ipfs.ipns-record";
const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// What those who ask may take up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// [`MAX_CONNECTIONS`]
    pub connections: usize,
    /// [`REQUEST_TIME`]
    pub request_time: Duration,
    /// [`ANSWER_TIME`]
    pub answer_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: MAX_CONNECTIONS, request_time: REQUEST_TIME, answer_time: ANSWER_TIME }
    }
}

/// Answers requests that come to `listener` out of the DHT of `node`, until it is dropped.
pub async fn serve(node: Node, listener: TcpListener) {
    serve_within(node, listener, Limits::default()).await;
}

/// As [`serve`], with limits of one's own.
pub async fn serve_within(node: Node, listener: TcpListener, limits: Limits) {
    let room = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let node = node.clone();
                tokio::spawn(async move {
                    // Who goes away early, or reads too slowly, gets no answer.
                    let answer = answer(&node, stream, limits.request_time);
                    let _ = timeout(limits.answer_time, answer).await;
                    drop(permit);
                });
            }
            // Out of descriptors, say: it passes.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// An answer that was sent, or why there is none.
type Answered = io::Result<Result<(), Refusal>>;

fn refuse(status: http::Status, reason: impl ToString) -> Answered {
    Ok(Err(Refusal::new(status, reason)))
}

impl From<DhtError> for Refusal {
    fn from(error: DhtError) -> Self {
        let status = match &error {
            DhtError::Query(QueryError::TooMany) => http::TOO_MANY,
            DhtError::Query(QueryError::Off) => http::NOT_IMPLEMENTED,
            DhtError::Query(QueryError::Put(PutError::Invalid(_) | PutError::Worse)) => {
                http::BAD_REQUEST
            }
            _ => http::UNAVAILABLE,
        };
        Self::new(status, error)
    }
}

async fn answer(node: &Node, mut stream: TcpStream, request_time: Duration) -> io::Result<()> {
    let refusal = match timeout(request_time, http::read(&mut stream)).await {
        Ok(request) => match request? {
            Ok(request) => carry_out(node, &mut stream, request).await?.err(),
            Err(refusal) => Some(refusal),
        },
        Err(_) => Some(Refusal::new(http::TIMEOUT, "the request took too long")),
    };
    let Some(Refusal(status, reason)) = refusal else { return stream.shutdown().await };
    let mut fields = content_type(TEXT) + "Cache-Control: no-store\r\n";
    if status == http::TOO_MANY {
        fields += "Retry-After: 5\r\n";
    }
    http::respond(&mut stream, status, &fields, reason.as_bytes()).await?;
    http::turn_away(&mut stream).await
}

async fn carry_out(node: &Node, stream: &mut TcpStream, request: Request) -> Answered {
    let Some(rest) = request.path.strip_prefix("/routing/v1/") else {
        return refuse(http::BAD_REQUEST, "nothing is here; see /routing/v1/");
    };
    let (what, subject) = rest.rsplit_once('/').unwrap_or((rest, ""));
    match (&*request.method, what) {
        ("OPTIONS", _) => {
            let fields = "Access-Control-Max-Age: 86400\r\n";
            http::respond(stream, http::NO_CONTENT, fields, &[]).await.map(Ok)
        }
        ("GET", "providers" | "peers" | "dht/closest/peers") => {
            find(node, stream, what, subject, &request).await
        }
        ("GET", "ipns") => resolve(node, stream, subject, &request).await,
        ("PUT", "ipns") => match publish(node, subject, &request).await {
            Ok(()) => http::respond(stream, http::OK, "", &[]).await.map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        },
        (_, "providers" | "peers" | "dht/closest/peers" | "ipns") => {
            refuse(http::NOT_IMPLEMENTED, "this cannot be done here")
        }
        _ => refuse(http::BAD_REQUEST, "nothing is here"),
    }
}

/// Tells of peers: who provides something, where one is, who is nearest to a key.
async fn find(
    node: &Node,
    stream: &mut TcpStream,
    what: &str,
    subject: &str,
    request: &Request,
) -> Answered {
    let filters = match Filters::read(&request.query) {
        Ok(filters) => filters,
        Err(reason) => return refuse(http::UNPROCESSABLE, reason),
    };
    let streamed = request.accept.contains(NDJSON);
    let enough = if streamed { MAX_STREAMED } else { MAX_RESULTS };
    let dht = node.dht();
    let query = match what {
        "providers" => match multihash(subject) {
            Some(key) => dht.find_providers(&key, enough).await,
            None => return refuse(http::UNPROCESSABLE, "not a CID"),
        },
        "peers" => match subject.parse() {
            Ok(peer) => dht.find_peer(peer).await,
            Err(error) => return refuse(http::UNPROCESSABLE, error),
        },
        _ => {
            let peer = || subject.parse::<PeerId>().ok().map(|peer| peer.as_bytes().to_vec());
            match multihash(subject).or_else(peer) {
                Some(key) => dht.closest_peers(&key).await,
                None => return refuse(http::UNPROCESSABLE, "neither a CID nor a PeerId"),
            }
        }
    };
    let query = match query {
        Ok(query) => query,
        Err(error) => return Ok(Err(error.into())),
    };
    let name = if what == "providers" { "Providers" } else { "Peers" };
    let list = List { node, filters, enough, name, streamed };
    if what != "dht/closest/peers" {
        return list.tell(stream, query).await.map(Ok);
    }
    match list.nearest(query).await {
        found if found.is_empty() => refuse(http::NOT_FOUND, "there are no peers"),
        found => list.whole(stream, &found).await.map(Ok),
    }
}

/// How peers are told of.
struct List<'a> {
    node: &'a Node,
    filters: Filters,
    enough: usize,
    name: &'static str,
    streamed: bool,
}

impl List<'_> {
    /// Tells of each peer that a query finds as it is found, or of all.
    async fn tell(&self, stream: &mut TcpStream, mut query: Query) -> io::Result<()> {
        let end = sleep(SEARCH_TIME);
        tokio::pin!(end);
        let mut found = Vec::new();
        while found.len() < self.enough {
            let event = tokio::select! {
                event = query.next() => event,
                () = &mut end => None,
            };
            let contact = match event {
                Some(QueryEvent::Provider(contact) | QueryEvent::Peer(contact)) => contact,
                Some(_) => continue,
                None => break,
            };
            let Some(line) = self.describe(contact.peer, contact.addresses).await else { continue };
            if self.streamed {
                if found.is_empty() {
                    // The head goes out with the first, since caches are to know.
                    http::head(stream, http::OK, &(content_type(NDJSON) + &caching(FOUND, STALE)))
                        .await?;
                }
                stream.write_all(format!("{line}\n").as_bytes()).await?;
            }
            found.push(line);
        }
        if self.streamed && !found.is_empty() { Ok(()) } else { self.whole(stream, &found).await }
    }

    /// The peers that are nearest to a key, the nearest first.
    async fn nearest(&self, mut query: Query) -> Vec<Value> {
        let mut closest = Vec::new();
        let search = async {
            while let Some(event) = query.next().await {
                if let QueryEvent::Done(summary) = event {
                    closest = summary.closest;
                }
            }
        };
        let _ = timeout(SEARCH_TIME, search).await;
        let mut found = Vec::new();
        for peer in closest {
            found.extend(self.describe(peer, Vec::new()).await);
        }
        found
    }

    /// The specification's "Peer Schema"; `None` for what does not pass the filters.
    async fn describe(&self, peer: PeerId, mut addresses: Vec<Multiaddr>) -> Option<Value> {
        if addresses.is_empty() {
            // We may have met it.
            let known = self.node.peer_store().addresses(&peer).await.unwrap_or_default();
            addresses = known.iter().map(Multiaddr::without_peer).collect();
        }
        self.filters.pass(&mut addresses).then(|| {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            json!({ "Schema": "peer", "ID": peer.to_string(), "Addrs": addresses, "Protocols": [] })
        })
    }

    async fn whole(&self, stream: &mut TcpStream, found: &[Value]) -> io::Result<()> {
        let age = if found.is_empty() { NOT_FOUND } else { FOUND };
        let (kind, body) = if self.streamed {
            let lines = found.iter().fold(String::new(), |mut lines, line| {
                // Writing to memory cannot fail.
                let _ = writeln!(lines, "{line}");
                lines
            });
            (NDJSON, lines)
        } else {
            (JSON, json!({ self.name: found }).to_string())
        };
        let fields = content_type(kind) + &caching(age, STALE);
        http::respond(stream, http::OK, &fields, body.as_bytes()).await
    }
}

/// Answers with the name's record, as it is in the DHT. That there is none is said in
/// another content type than a record's.
async fn resolve(node: &Node, stream: &mut TcpStream, name: &str, request: &Request) -> Answered {
    let any = ["", IPNS_RECORD, "application/*", "*/*"];
    let accepted = request.accept.split(',').filter_map(|kind| kind.split(';').next());
    if !accepted.map(str::trim).any(|kind| any.contains(&kind)) {
        let reason = format!("only records are here: retry with Accept: {IPNS_RECORD}");
        return refuse(http::NOT_ACCEPTABLE, reason);
    }
    let record = match find_record(node, name).await {
        Ok(record) => record,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(record) = record else {
        let fields = content_type(TEXT) + &caching(NOT_FOUND, 0);
        return http::respond(stream, http::OK, &fields, b"there is no record").await.map(Ok);
    };
    let content = record.content();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (Lifetime::Until(end) | Lifetime::Between(_, end)) = content.lifetime else {
        return refuse(http::UNAVAILABLE, "the record is of an unknown form");
    };
    let left = end.saturating_sub(now).as_secs();
    let age = if content.ttl.as_secs() == 0 { RECORD } else { content.ttl.as_secs() }.min(left);
    let digest = ring::digest::digest(&ring::digest::SHA256, record.as_bytes());
    let tag = format!("\"{}\"", base::encode_base58(digest.as_ref()));
    let mut fields = content_type(IPNS_RECORD) + &caching(age, left);
    // Writing to memory cannot fail.
    let _ = write!(fields, "ETag: {tag}\r\nExpires: {}\r\n", http::date(end));
    if request.if_none_match.contains(&tag) {
        return http::respond(stream, http::NOT_MODIFIED, &fields, &[]).await.map(Ok);
    }
    http::respond(stream, http::OK, &fields, record.as_bytes()).await.map(Ok)
}

async fn find_record(node: &Node, name: &str) -> Result<Option<SignedRecord>, Refusal> {
    let key = key_of(name)?;
    let mut query = node.dht().get(&key, QUORUM).await?;
    let mut best = None;
    let search = async {
        while let Some(event) = query.next().await {
            if let QueryEvent::Value(record) = event {
                best = Some(record.value);
            }
        }
    };
    // The best until then is the answer.
    let _ = timeout(SEARCH_TIME, search).await;
    Ok(best.and_then(|bytes| Namespace::ipns().verify(&key, &bytes).ok()))
}

/// Has a record kept, if it is good: then it has been handed on, or is on its way.
async fn publish(node: &Node, name: &str, request: &Request) -> Result<(), Refusal> {
    let kind = request.content_type.split(';').next().unwrap_or_default().trim();
    if !["", IPNS_RECORD].contains(&kind) {
        let reason = format!("only records are kept: retry with Content-Type: {IPNS_RECORD}");
        return Err(Refusal::new(http::NOT_ACCEPTABLE, reason));
    }
    let mut query = node.dht().put(&key_of(name)?, &request.body).await?;
    let search = async { while query.next().await.is_some() {} };
    let _ = timeout(SEARCH_TIME, search).await;
    Ok(())
}

/// What the DHT knows the record of a name by.
fn key_of(name: &str) -> Result<Vec<u8>, Refusal> {
    let peer: PeerId = name.parse().map_err(|error| Refusal::new(http::BAD_REQUEST, error))?;
    Ok(Namespace::ipns().key(&peer, b""))
}

/// What the DHT knows something by that has this CID.
fn multihash(cid: &str) -> Option<Vec<u8>> {
    if cid.len() > PeerId::MAX_TEXT {
        return None;
    }
    if cid.len() == 46 && cid.starts_with("Qm") {
        return base::decode_base58(cid).ok();
    }
    let bytes = base::decode(cid).ok()?;
    let (version, length) = varint::decode(&bytes).ok()??;
    let rest = bytes.get(length..)?;
    let (_, length) = varint::decode(rest).ok()??;
    let multihash = rest.get(length..)?;
    (version == 1 && multihash.len() >= 2).then(|| multihash.to_vec())
}
