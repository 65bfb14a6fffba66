//! `/routing/v1`: the node's DHT over HTTP, for those that cannot take part in one.
//!
//! Source: IPFS specs, "Delegated Routing V1 HTTP API": `GET providers/{cid}`,
//! `GET peers/{peer-id}`, `GET` and `PUT ipns/{name}`; JSON, and NDJSON as it is found.
//! Pages of any origin may ask. TLS is for a proxy in front.
//!
//! What a remote can make us hold: a connection of [`MAX_CONNECTIONS`], for
//! [`REQUEST_TIME`] until its request is there and [`SEARCH_TIME`] until it is answered;
//! a head of [`MAX_HEAD`] bytes and one record; [`MAX_RESULTS`] results.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use polypeer::PeerId;
use polypeer::facade::{DhtError, Node};
use polypeer::protocols::kad::{Contact, QueryError, QueryEvent};
use polypeer::records::{Namespace, SignedRecord};
use polypeer::wire::{base, varint};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections at a time; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 256;
/// The longest head of a request in bytes.
pub const MAX_HEAD: usize = 8 * 1024;
/// Providers or peers in an answer.
pub const MAX_RESULTS: usize = 100;
/// How long a request may take to arrive.
pub const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long the DHT is asked; what was found until then is the answer.
pub const SEARCH_TIME: Duration = Duration::from_secs(30);

/// Fields of a head.
const MAX_FIELDS: usize = 64;
/// Peers that agree on a record before it is taken for the best.
const QUORUM: usize = 16;
/// How long caches keep that something was found, and that nothing was, in seconds ("15
/// seconds if empty, 5 minutes if not" are the specification's own figures).
const FOUND: u32 = 300;
const NOT_FOUND: u32 = 15;

const IPNS_RECORD: &str = "application/vnd.ipfs.ipns-record";
const NDJSON: &str = "application/x-ndjson";

/// Answers requests that come to `listener` out of the DHT of `node`, until it is dropped.
pub async fn serve(node: Node, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let node = node.clone();
                tokio::spawn(async move {
                    // Who goes away early gets no answer.
                    let _ = answer(&node, stream).await;
                    drop(permit);
                });
            }
            // Out of descriptors, say: it passes.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// A request.
struct Request {
    method: String,
    path: String,
    ndjson: bool,
    body: Vec<u8>,
}

/// What is said of a request that is not carried out: the status, its name, and why.
struct Refusal(u16, &'static str, String);

fn bad(reason: impl ToString) -> Refusal {
    Refusal(400, "Bad Request", reason.to_string())
}

impl From<DhtError> for Refusal {
    fn from(error: DhtError) -> Self {
        match error {
            DhtError::Query(QueryError::Put(error)) => bad(error),
            error => Self(503, "Service Unavailable", error.to_string()),
        }
    }
}

async fn answer(node: &Node, mut stream: TcpStream) -> io::Result<()> {
    let refusal = match timeout(REQUEST_TIME, read(&mut stream)).await {
        Ok(Ok(Some(request))) => match carry_out(node, &mut stream, request).await? {
            Ok(()) => return stream.shutdown().await,
            Err(refusal) => refusal,
        },
        Ok(Ok(None)) => bad("not a request"),
        Ok(Err(error)) => return Err(error),
        Err(_) => Refusal(408, "Request Timeout", "the request took too long".into()),
    };
    let Refusal(status, name, reason) = refusal;
    respond(&mut stream, (status, name), "text/plain; charset=utf-8", 0, reason.as_bytes()).await?;
    stream.shutdown().await
}

/// Reads a request; `None` for what is none, or a longer one than is taken.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    loop {
        if bytes.len() > MAX_HEAD || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Request::new(&mut fields);
        let length = match head.parse(&bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => continue,
            Err(_) => return Ok(None),
        };
        let field = |name: &str| {
            let found = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            found.and_then(|field| std::str::from_utf8(field.value).ok()).unwrap_or_default()
        };
        let (Some(method), Some(path)) = (head.method, head.path) else { return Ok(None) };
        let ndjson = field("accept").contains(NDJSON);
        let (method, path) = (method.to_owned(), path.to_owned());
        let wanted = match field("content-length") {
            "" => 0,
            text => text.parse().unwrap_or(usize::MAX),
        };
        if wanted > SignedRecord::MAX_LEN {
            return Ok(None);
        }
        let mut body = bytes.split_off(length);
        while body.len() < wanted {
            if stream.read_buf(&mut body).await? == 0 {
                return Ok(None);
            }
        }
        body.truncate(wanted);
        return Ok(Some(Request { method, path, ndjson, body }));
    }
}

async fn carry_out(
    node: &Node,
    stream: &mut TcpStream,
    request: Request,
) -> io::Result<Result<(), Refusal>> {
    let path = request.path.split('?').next().unwrap_or_default();
    let Some((what, subject)) =
        path.strip_prefix("/routing/v1/").and_then(|rest| rest.split_once('/'))
    else {
        return Ok(Err(Refusal(404, "Not Found", "nothing is here".into())));
    };
    match (&*request.method, what) {
        ("OPTIONS", _) => respond(stream, (204, "No Content"), "", 0, &[]).await.map(Ok),
        ("GET", "providers") => {
            let key = match multihash(subject) {
                Some(key) => key,
                None => return Ok(Err(bad("not a CID"))),
            };
            let query = match node.dht().find_providers(&key, MAX_RESULTS).await {
                Ok(query) => query,
                Err(error) => return Ok(Err(error.into())),
            };
            list(stream, query, "Providers", request.ndjson).await.map(Ok)
        }
        ("GET", "peers") => {
            let peer = match subject.parse() {
                Ok(peer) => peer,
                Err(error) => return Ok(Err(bad(error))),
            };
            let query = match node.dht().find_peer(peer).await {
                Ok(query) => query,
                Err(error) => return Ok(Err(error.into())),
            };
            list(stream, query, "Peers", request.ndjson).await.map(Ok)
        }
        ("GET", "ipns") => match resolve(node, subject).await {
            Ok(Some(record)) => {
                respond(stream, (200, "OK"), IPNS_RECORD, FOUND, &record).await.map(Ok)
            }
            Ok(None) => Ok(Err(Refusal(404, "Not Found", "there is no record".into()))),
            Err(refusal) => Ok(Err(refusal)),
        },
        ("PUT", "ipns") => match publish(node, subject, &request.body).await {
            Ok(()) => respond(stream, (200, "OK"), "", 0, &[]).await.map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        },
        _ => Ok(Err(Refusal(404, "Not Found", "nothing is here".into()))),
    }
}

/// The name's record, as it is in the DHT.
async fn resolve(node: &Node, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
    let peer: PeerId = name.parse().map_err(bad)?;
    let key = Namespace::ipns().key(&peer, b"");
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
    Ok(best)
}

/// Has a record kept, if it is good: then it has been handed on, or is on its way.
async fn publish(node: &Node, name: &str, record: &[u8]) -> Result<(), Refusal> {
    let peer: PeerId = name.parse().map_err(bad)?;
    let key = Namespace::ipns().key(&peer, b"");
    let mut query = node.dht().put(&key, record).await?;
    let search = async { while query.next().await.is_some() {} };
    let _ = timeout(SEARCH_TIME, search).await;
    Ok(())
}

/// Answers with the peers that a query finds: each in a line as it is found, or all.
async fn list(
    stream: &mut TcpStream,
    mut query: polypeer::facade::Query,
    name: &str,
    ndjson: bool,
) -> io::Result<()> {
    let end = sleep(SEARCH_TIME);
    tokio::pin!(end);
    let mut found = Vec::new();
    let mut begun = false;
    while found.len() < MAX_RESULTS {
        let event = tokio::select! {
            event = query.next() => event,
            () = &mut end => None,
        };
        let contact = match event {
            Some(QueryEvent::Provider(contact) | QueryEvent::Peer(contact)) => contact,
            Some(_) => continue,
            None => break,
        };
        let line = describe(&contact);
        if ndjson {
            if !begun {
                // The head goes out with the first, since caches are to know.
                head(stream, (200, "OK"), NDJSON, FOUND, None).await?;
                begun = true;
            }
            stream.write_all(format!("{line}\n").as_bytes()).await?;
            stream.flush().await?;
        }
        found.push(line);
    }
    let age = if found.is_empty() { NOT_FOUND } else { FOUND };
    match ndjson {
        true if begun => Ok(()),
        true => respond(stream, (200, "OK"), NDJSON, age, &[]).await,
        false => {
            let body = json!({ name: found }).to_string();
            respond(stream, (200, "OK"), "application/json", age, body.as_bytes()).await
        }
    }
}

/// The specification's "Peer Schema".
fn describe(contact: &Contact) -> serde_json::Value {
    let addresses: Vec<String> = contact.addresses.iter().map(ToString::to_string).collect();
    json!({ "Schema": "peer", "ID": contact.peer.to_string(), "Addrs": addresses, "Protocols": [] })
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

async fn respond(
    stream: &mut TcpStream,
    status: (u16, &str),
    kind: &str,
    age: u32,
    body: &[u8],
) -> io::Result<()> {
    head(stream, status, kind, age, Some(body.len())).await?;
    stream.write_all(body).await
}

async fn head(
    stream: &mut TcpStream,
    (status, name): (u16, &str),
    kind: &str,
    age: u32,
    length: Option<usize>,
) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {status} {name}\r\nConnection: close\r\nVary: Accept\r\n\
         Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET, PUT, OPTIONS\r\n\
         Access-Control-Allow-Headers: Content-Type, Accept\r\n"
    );
    if !kind.is_empty() {
        head += &format!("Content-Type: {kind}\r\n");
    }
    head += &match age {
        0 => "Cache-Control: no-store\r\n".to_owned(),
        age => format!("Cache-Control: public, max-age={age}\r\n"),
    };
    if let Some(length) = length {
        head += &format!("Content-Length: {length}\r\n");
    }
    head += "\r\n";
    stream.write_all(head.as_bytes()).await
}
