//! Our WebSocket against tungstenite's, and against what a remote should not do.

use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::{SinkExt, StreamExt};
use polypeer::Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use super::handshake::{HandshakeError, accept, connect};
use super::stream::{Side, WebSocket};

/// Our client against their server.
async fn dialed() -> (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (ours, theirs) = duplex(10_000);
    let (ours, theirs) = tokio::join!(connect(ours, "example.com"), accept_async(theirs));
    (ours.unwrap(), theirs.unwrap())
}

/// Our server against their client.
async fn accepted() -> (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (ours, theirs) = duplex(10_000);
    let (ours, theirs) = tokio::join!(accept(ours), client_async("ws://example.com/", theirs));
    (ours.unwrap(), theirs.unwrap().0)
}

/// Fragments of a message, with control frames among them.
fn fragments(data: &[u8], rng: &mut Rng) -> Vec<Message> {
    let mut messages = Vec::new();
    let cut = rng.below(data.len() as u64 + 1) as usize;
    let pieces = [&data[..cut], &data[cut..]];
    for (index, piece) in pieces.into_iter().enumerate() {
        let header = FrameHeader {
            is_final: index == 1,
            opcode: OpCode::Data(if index == 0 { Data::Binary } else { Data::Continue }),
            ..FrameHeader::default()
        };
        messages.push(Message::Frame(Frame::from_payload_with_header(header, piece)));
        if rng.below(2) == 0 {
            messages.push(Message::Ping(Bytes::from_static(b"still there?")));
        }
    }
    messages
}

/// A frame of tungstenite with a header and a payload.
trait FromPayload {
    fn from_payload_with_header(header: FrameHeader, payload: &[u8]) -> Frame;
}

impl FromPayload for Frame {
    fn from_payload_with_header(header: FrameHeader, payload: &[u8]) -> Frame {
        let mut frame = Frame::message(payload.to_vec(), header.opcode, header.is_final);
        frame.header_mut().rsv1 = false;
        frame
    }
}

async fn echo_through(ours: WebSocket<DuplexStream>, theirs: WebSocketStream<DuplexStream>) {
    let mut rng = Rng::from_number(1);
    let mut expected = Vec::new();
    let mut messages = Vec::new();
    for index in 0..300 {
        let mut data = vec![0; rng.below(1 << (index % 18)) as usize];
        rng.fill(&mut data);
        expected.extend_from_slice(&data);
        messages.extend(fragments(&data, &mut rng));
    }
    let pings = messages.iter().filter(|message| message.is_ping()).count();
    let length = expected.len();
    let (mut sink, mut stream) = theirs.split();
    let send = async {
        for message in messages {
            sink.send(message).await.unwrap();
        }
    };
    let receive = async {
        let (mut bytes, mut pongs) = (Vec::new(), 0);
        while let Some(message) = stream.next().await {
            match message.unwrap() {
                Message::Binary(data) => bytes.extend_from_slice(&data),
                Message::Pong(_) => pongs += 1,
                Message::Close(_) => break,
                other => panic!("{other:?}"),
            }
        }
        (bytes, pongs)
    };
    let echo = async {
        let (mut reader, mut writer) = ours.split();
        let mut buffer = vec![0; 3_000];
        let mut left = length;
        while left > 0 {
            let count = reader.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0);
            left -= count;
            writer.write_all(&buffer[..count]).await.unwrap();
            writer.flush().await.unwrap();
        }
        writer.close().await.unwrap();
    };
    let ((), (bytes, pongs), ()) = tokio::join!(send, receive, echo);
    assert!(bytes == expected);
    assert!(pongs > 0 && pongs <= pings, "{pongs} answers to {pings} pings");
}

#[tokio::test]
async fn as_a_client_of_tungstenite() {
    let (ours, theirs) = dialed().await;
    echo_through(ours, theirs).await;
}

#[tokio::test]
async fn as_a_server_of_tungstenite() {
    let (ours, theirs) = accepted().await;
    echo_through(ours, theirs).await;
}

#[tokio::test]
async fn their_close_ends_our_reading_and_is_answered() {
    for (mut ours, mut theirs) in [dialed().await, accepted().await] {
        theirs.send(Message::Binary(Bytes::from_static(b"bye"))).await.unwrap();
        theirs.close(None).await.unwrap();
        let mut read = Vec::new();
        ours.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"bye");
        assert!(ours.write_all(b"more").await.is_err());
        assert!(matches!(theirs.next().await, Some(Ok(Message::Close(_)))));
    }
}

#[tokio::test]
async fn text_is_refused_with_its_status() {
    let (mut ours, mut theirs) = accepted().await;
    theirs.send(Message::text("hello")).await.unwrap();
    let error = ours.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let Some(Ok(Message::Close(Some(close)))) = theirs.next().await else { panic!() };
    assert_eq!(u16::from(close.code), 1003);
}

/// Feeds `bytes` to a server's connection and returns what it reads.
async fn read_all(bytes: &[u8], early: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let (io, mut remote) = duplex(1 << 16);
    let mut ours = WebSocket::new(io, Side::Server, early);
    remote.write_all(bytes).await.unwrap();
    remote.shutdown().await.unwrap();
    let mut read = Vec::new();
    ours.read_to_end(&mut read).await.map(|_| read)
}

#[tokio::test]
async fn what_breaks_the_rules_is_refused() {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    let cases: [(&[u8], _); 7] = [
        // Not masked.
        (&[0x82, 1, 0], InvalidData),
        // A continuation of nothing.
        (&[0x80, 0x80, 0, 0, 0, 0], InvalidData),
        // A message within a message.
        (&[0x02, 0x81, 0, 0, 0, 0, 9, 0x82, 0x80, 0, 0, 0, 0], InvalidData),
        // A fragmented ping.
        (&[0x09, 0x80, 0, 0, 0, 0], InvalidData),
        // Cut in a header, in a payload, in a message.
        (&[0x82], UnexpectedEof),
        (&[0x82, 0x82, 0, 0, 0, 0, 9], UnexpectedEof),
        (&[0x02, 0x80, 0, 0, 0, 0], UnexpectedEof),
    ];
    for (bytes, kind) in cases {
        assert_eq!(read_all(bytes, Vec::new()).await.unwrap_err().kind(), kind, "{bytes:?}");
    }
}

#[tokio::test]
async fn bytes_behind_the_handshake_come_first() {
    let early = vec![0x82, 0x83, 0, 0, 0, 0, 1, 2];
    let rest = [3, 0x82, 0x81, 1, 1, 1, 1, 4 ^ 1, 0x88, 0x80, 0, 0, 0, 0];
    assert_eq!(read_all(&rest, early).await.unwrap(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_with_bounded_memory() {
    let (io, mut remote) = duplex(1 << 10);
    let ours = WebSocket::new(io, Side::Server, Vec::new());
    let (mut reader, _writer) = ours.split();
    let flood = async {
        // Nobody reads the answers: they must not pile up, nor stop the reading.
        for _ in 0..10_000 {
            remote.write_all(&[0x89, 0x84, 0, 0, 0, 0, 1, 2, 3, 4]).await.unwrap();
        }
        remote.write_all(&[0x82, 0x81, 0, 0, 0, 0, 42]).await.unwrap();
    };
    let mut byte = [0];
    let (read, ()) = tokio::join!(reader.read_exact(&mut byte), flood);
    read.unwrap();
    assert_eq!(byte, [42]);
}

#[tokio::test]
async fn ten_thousand_broken_streams_end_in_an_error_or_the_end() {
    let mut rng = Rng::from_number(7);
    for _ in 0..10_000 {
        // Frames that are right at first, then bits are turned and ends cut.
        let mut bytes = Vec::new();
        for _ in 0..rng.below(4) {
            let length = rng.below(60) as u8;
            bytes.extend_from_slice(&[0x82, 0x80 | length]);
            bytes.extend_from_slice(&rng.array::<4>());
            bytes.resize(bytes.len() + usize::from(length), 5);
        }
        for _ in 0..rng.below(6) {
            let index = rng.below(bytes.len().max(1) as u64) as usize;
            if let Some(byte) = bytes.get_mut(index) {
                *byte ^= 1 << rng.below(8);
            }
        }
        bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
        if let Ok(read) = read_all(&bytes, Vec::new()).await {
            assert!(read.len() <= bytes.len());
        }
    }
}

/// What our server says to a `request`.
async fn answer(request: &[u8]) -> (Result<(), HandshakeError>, String) {
    let (io, mut remote) = duplex(1 << 16);
    remote.write_all(request).await.unwrap();
    let result = accept(io).await.map(drop);
    let mut answer = String::new();
    remote.read_to_string(&mut answer).await.unwrap();
    (result, answer)
}

const REQUEST: &str = "GET /any HTTP/1.1\r\nhost: example.com\r\nUPGRADE: WebSocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test]
async fn requests_as_proxies_change_them_are_taken() {
    let (result, answer) = answer(REQUEST.as_bytes()).await;
    result.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "));
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[tokio::test]
async fn other_requests_are_answered_in_http() {
    for (from, to) in [
        ("GET", "POST"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("WebSocket\r\n", "h2c\r\n"),
        ("keep-alive, Upgrade", "keep-alive"),
        ("13", "8"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
        ("Sec-WebSocket-Key", "Key"),
    ] {
        let (result, answer) = answer(REQUEST.replace(from, to).as_bytes()).await;
        assert!(matches!(result, Err(HandshakeError::Header(_))), "{to}");
        assert!(answer.starts_with("HTTP/1.1 426 "), "{to}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}

#[tokio::test]
async fn heads_over_the_limit_are_refused() {
    let long = REQUEST.replace("/any", &"/".repeat(9_000));
    assert!(matches!(answer(long.as_bytes()).await.0, Err(HandshakeError::TooLong)));
    let many = REQUEST.replace("\r\n\r\n", &format!("\r\n{}\r\n", "A: b\r\n".repeat(70)));
    assert!(matches!(answer(many.as_bytes()).await.0, Err(HandshakeError::Http(_))));
}

#[tokio::test]
async fn wrong_answers_are_refused() {
    for (response, status) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Some(403)),
        ("HTTP/1.1 101 Yes\r\n\r\n", None),
        (
            "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            None,
        ),
    ] {
        let (io, mut remote) = duplex(1 << 16);
        remote.write_all(response.as_bytes()).await.unwrap();
        match (connect(io, "example.com").await.map(drop), status) {
            (Err(HandshakeError::Status(found)), Some(expected)) => assert_eq!(found, expected),
            (Err(HandshakeError::Header(_)), None) => {}
            (other, _) => panic!("{other:?}"),
        }
    }
}
