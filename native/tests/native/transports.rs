//! What every transport must do, and what some do beside.

use std::pin::Pin;
use std::task::Poll;

use crate::common::{accept, address, host, pair, secure_host};
use futures::future::poll_fn;
use futures::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use polypeer::facade::platform::{Io, Platform, TransportError};
use polypeer_native::Native;
use tokio::net::{TcpListener, TcpStream};

/// More than all buffers between two sockets of this machine hold.
const MORE_THAN_BUFFERS: usize = 256 << 20;

/// A transport under test.
struct Case {
    host: Native,
    on: &'static str,
    /// Whether one direction can end before the other.
    half_close: bool,
}

/// Everything that holds for every transport.
async fn suite(case: Case) {
    opens_with_addresses(&case).await;
    carries_bytes_both_ways(&case).await;
    closes(&case).await;
    holds_the_writer_back(&case).await;
    ends_when_dropped(&case).await;
    many_links_at_once(&case).await;
}

async fn opens_with_addresses(case: &Case) {
    let mut listener = case.host.listen(address(case.on)).await.unwrap();
    let addresses = listener.addresses();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    let to = addresses[0].clone();
    assert!(case.host.can_dial(&to) && case.host.can_listen(&to), "{to}");
    let (dialed, accepted) = tokio::join!(case.host.dial(to.clone()), accept(&mut listener));
    let (dialed, accepted) = (dialed.unwrap(), accepted.unwrap());
    assert_eq!(dialed.remote, to);
    assert_eq!(accepted.local, to);
    assert_eq!(dialed.local, accepted.remote);
}

/// Bytes of which each tells its place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[7]).collect()
}

async fn carries_bytes_both_ways(case: &Case) {
    let (dialed, accepted) = pair(&case.host, case.on).await;
    let data = pattern(9_000_001);
    let talk = |io: Box<dyn Io>| {
        let data = data.clone();
        async move {
            let (mut reader, mut writer) = io.split();
            let write = async {
                // Pieces of all sizes, the smallest first.
                let (mut rest, mut size) = (&data[..], 1);
                while !rest.is_empty() {
                    let (piece, left) = rest.split_at(size.min(rest.len()));
                    writer.write_all(piece).await.unwrap();
                    (rest, size) = (left, size * 2);
                }
                writer.flush().await.unwrap();
            };
            let mut read = vec![0; data.len()];
            let (result, ()) = tokio::join!(reader.read_exact(&mut read), write);
            result.unwrap();
            assert!(read == data, "bytes were lost or changed");
        }
    };
    tokio::join!(talk(dialed.io), talk(accepted.io));
}

async fn closes(case: &Case) {
    let (mut dialed, mut accepted) = pair(&case.host, case.on).await;
    dialed.io.write_all(b"last words").await.unwrap();
    dialed.io.close().await.unwrap();
    let mut read = Vec::new();
    accepted.io.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"last words");
    if case.half_close {
        accepted.io.write_all(b"an answer").await.unwrap();
    }
    accepted.io.close().await.unwrap();
    let mut read = Vec::new();
    dialed.io.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, if case.half_close { &b"an answer"[..] } else { b"" });
}

async fn holds_the_writer_back(case: &Case) {
    let (mut dialed, mut accepted) = pair(&case.host, case.on).await;
    let data = vec![7; 1 << 20];
    let mut written = 0;
    while let Poll::Ready(count) =
        poll_fn(|cx| Poll::Ready(Pin::new(&mut dialed.io).poll_write(cx, &data))).await
    {
        written += count.unwrap();
        assert!(written < MORE_THAN_BUFFERS, "nothing holds the writer back");
    }
    let mut read = vec![0; written];
    let (result, closed) = tokio::join!(accepted.io.read_exact(&mut read), dialed.io.close());
    result.unwrap();
    closed.unwrap();
    assert!(read.iter().all(|&byte| byte == 7));
}

async fn ends_when_dropped(case: &Case) {
    let (dialed, mut accepted) = pair(&case.host, case.on).await;
    drop(dialed);
    let mut byte = [0];
    assert!(matches!(accepted.io.read(&mut byte).await, Ok(0) | Err(_)));
    // A write may still pass into a buffer; it cannot go on for ever.
    let mut written = 0;
    while let Ok(count) = accepted.io.write(&[0; 1 << 16]).await {
        written += count;
        assert!(written < MORE_THAN_BUFFERS, "writes to nobody succeed");
    }
}

async fn many_links_at_once(case: &Case) {
    const LINKS: usize = 40;
    let mut listener = case.host.listen(address(case.on)).await.unwrap();
    let to = listener.addresses().remove(0);
    let dials = futures::future::join_all((0..LINKS).map(async |index| {
        let mut link = case.host.dial(to.clone()).await.unwrap();
        link.io.write_all(&[index as u8]).await.unwrap();
        link.io.flush().await.unwrap();
        let mut echoed = [0];
        link.io.read_exact(&mut echoed).await.unwrap();
        assert_eq!(echoed, [index as u8]);
    }));
    let serve = async {
        for _ in 0..LINKS {
            let mut link = accept(&mut listener).await.unwrap();
            tokio::spawn(async move {
                let mut byte = [0];
                link.io.read_exact(&mut byte).await.unwrap();
                link.io.write_all(&byte).await.unwrap();
                link.io.flush().await.unwrap();
                // The dialer closes first.
                let _ = link.io.read(&mut byte).await;
            });
        }
    };
    tokio::join!(dials, serve);
}

#[tokio::test]
async fn tcp_over_ipv4() {
    suite(Case { host: host(), on: "/ip4/127.0.0.1/tcp/0", half_close: true }).await;
}

#[tokio::test]
async fn tcp_over_ipv6() {
    suite(Case { host: host(), on: "/ip6/::1/tcp/0", half_close: true }).await;
}

#[tokio::test]
async fn websocket() {
    suite(Case { host: host(), on: "/ip4/127.0.0.1/tcp/0/ws", half_close: false }).await;
}

#[tokio::test]
async fn websocket_over_ipv6() {
    suite(Case { host: host(), on: "/ip6/::1/tcp/0/ws", half_close: false }).await;
}

#[tokio::test]
async fn secure_websocket() {
    for on in ["/ip4/127.0.0.1/tcp/0/tls/ws", "/ip4/127.0.0.1/tcp/0/wss"] {
        suite(Case { host: secure_host(), on, half_close: false }).await;
    }
}

#[tokio::test]
async fn secure_websocket_by_name() {
    let host = secure_host();
    let on = "/ip4/127.0.0.1/tcp/0/tls/sni/localhost/ws";
    suite(Case { host, on, half_close: false }).await;
}

#[tokio::test]
async fn memory() {
    suite(Case { host: host(), on: "/memory/0", half_close: true }).await;
}

#[tokio::test]
async fn a_wildcard_becomes_real_addresses() {
    for on in ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0", "/ip4/0.0.0.0/tcp/0/ws"] {
        let listener = host().listen(address(on)).await.unwrap();
        let addresses = listener.addresses();
        assert!(!addresses.is_empty());
        for address in addresses {
            let text = address.to_string();
            assert!(!text.contains("/0.0.0.0/") && !text.contains("/::/"), "{text}");
            assert!(!text.contains("/tcp/0"), "{text}");
        }
    }
}

#[tokio::test]
async fn outgoing_connections_leave_from_the_listening_port() {
    let host = host();
    let first = host.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    let ours = first.addresses().remove(0);
    let other = crate::common::host();
    let mut listener = other.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    let to = listener.addresses().remove(0);
    let (dialed, accepted) = tokio::join!(host.dial(to.clone()), accept(&mut listener));
    let (dialed, accepted) = (dialed.unwrap(), accepted.unwrap());
    assert_eq!((&dialed.local, &accepted.remote), (&ours, &ours));
    // The pair of ports is taken now: the next one leaves from another port.
    let (again, accepted) = tokio::join!(host.dial(to), accept(&mut listener));
    assert_ne!(again.unwrap().local, ours);
    accepted.unwrap();
}

#[tokio::test]
async fn a_peer_can_dial_its_own_listener() {
    let host = host();
    let mut listener = host.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    let to = listener.addresses().remove(0);
    let (dialed, accepted) = tokio::join!(host.dial(to.clone()), accept(&mut listener));
    assert_ne!(dialed.unwrap().local, to);
    accepted.unwrap();
}

#[tokio::test]
async fn two_cannot_listen_on_one_port() {
    let listener = host().listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    let taken = listener.addresses().remove(0);
    for address in [taken.clone(), format!("{taken}/ws").parse().unwrap()] {
        let second = host().listen(address).await.map(|_| ());
        assert!(matches!(second, Err(TransportError::Listen { .. })), "{second:?}");
    }
    let listener = host().listen(address("/memory/0")).await.unwrap();
    let second = host().listen(listener.addresses().remove(0)).await.map(|_| ());
    assert!(matches!(second, Err(TransportError::Listen { .. })), "{second:?}");
}

#[tokio::test]
async fn nobody_there() {
    for on in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws", "/memory/0"] {
        let listener = host().listen(address(on)).await.unwrap();
        let gone = listener.addresses().remove(0);
        drop(listener);
        let error = host().dial(gone).await.unwrap_err();
        assert!(matches!(error, TransportError::Connect { .. }), "{error}");
    }
}

#[tokio::test]
async fn addresses_of_other_hosts_are_refused() {
    for text in ["/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1/tls", "/unix/run/socket"] {
        let other = address(text);
        assert!(!host().can_dial(&other) && !host().can_listen(&other));
        let error = host().dial(other.clone()).await.unwrap_err();
        assert!(matches!(error, TransportError::Unsupported { .. }), "{error}");
        let error = host().listen(other).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, TransportError::Unsupported { .. }), "{error}");
    }
    // Listening on a name has no meaning, and without a certificate no TLS.
    assert!(!host().can_listen(&address("/dns4/localhost/tcp/0")));
    let secure = address("/ip4/127.0.0.1/tcp/0/tls/ws");
    assert!(!host().can_listen(&secure));
    let error = host().listen(secure).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, TransportError::Tls { .. }), "{error}");
}

#[tokio::test]
async fn an_unknown_certificate_is_refused() {
    let server = secure_host();
    let mut listener = server.listen(address("/ip4/127.0.0.1/tcp/0/tls/ws")).await.unwrap();
    let to = listener.addresses().remove(0);
    let (dialed, accepted) = tokio::join!(secure_host().dial(to.clone()), accept(&mut listener));
    assert!(matches!(dialed, Err(TransportError::Tls { .. })), "{dialed:?}");
    assert!(matches!(accepted, Err(TransportError::Tls { .. })), "{accepted:?}");
    // A trusted one, but for another name.
    let other = to.to_string().replace("/tls/ws", "/tls/sni/other.example/ws");
    let (dialed, accepted) = tokio::join!(server.dial(address(&other)), accept(&mut listener));
    assert!(matches!(dialed, Err(TransportError::Tls { .. })), "{dialed:?}");
    assert!(accepted.is_err());
}

/// The socket address in `/ip4/127.0.0.1/tcp/N/…`.
fn port(address: &polypeer::address::Multiaddr) -> u16 {
    address.to_string().split('/').nth(4).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_listener_outlives_broken_handshakes() {
    for on in ["/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/tcp/0/tls/ws"] {
        let host = secure_host();
        let mut listener = host.listen(address(on)).await.unwrap();
        let to = listener.addresses().remove(0);
        let long = vec![b'x'; 64 << 10];
        let garbage =
            [&b""[..], b"\r\n\r\n", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\xff\xff", &long];
        for bytes in garbage {
            let mut raw = TcpStream::connect(("127.0.0.1", port(&to))).await.unwrap();
            let client = async {
                use tokio::io::AsyncWriteExt;
                // The listener may hang up before it has read everything.
                let _ = raw.write_all(bytes).await;
                let _ = raw.shutdown().await;
            };
            let (accepted, ()) = tokio::join!(accept(&mut listener), client);
            assert!(accepted.is_err(), "{bytes:?}");
        }
        let (dialed, accepted) = tokio::join!(host.dial(to), accept(&mut listener));
        dialed.unwrap();
        accepted.unwrap();
    }
}

#[tokio::test]
async fn idle_handshakes_do_not_keep_others_out() {
    let host = host();
    let mut listener = host.listen(address("/ip4/127.0.0.1/tcp/0/ws")).await.unwrap();
    let to = listener.addresses().remove(0);
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(("127.0.0.1", port(&to))).await.unwrap());
    }
    let (dialed, accepted) = tokio::join!(host.dial(to), accept(&mut listener));
    dialed.unwrap();
    accepted.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_a_time_limit() {
    let mut listener = host().listen(address("/ip4/127.0.0.1/tcp/0/ws")).await.unwrap();
    let to = listener.addresses().remove(0);
    let _idle = std::net::TcpStream::connect(("127.0.0.1", port(&to))).unwrap();
    let error = accept(&mut listener).await.unwrap_err();
    assert!(matches!(error, TransportError::TimedOut { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_dial_has_a_time_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("/ip4/127.0.0.1/tcp/{}/ws", silent.local_addr().unwrap().port());
    let error = host().dial(address(&to)).await.unwrap_err();
    assert!(matches!(error, TransportError::TimedOut { .. }), "{error}");
}
