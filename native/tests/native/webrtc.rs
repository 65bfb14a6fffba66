//! WebRTC direct between two nodes, over loopback.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::common::{address, echoes, echoing as node, listen, socket_of};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use polypeer::address::Multiaddr;
use polypeer::facade::platform::{Platform, TransportError};
use polypeer_native::service::echo;
use polypeer_native::{Native, Options, WebRtcCertificate};

const ECHO: &str = echo::NAME;
const ON: [&str; 2] = ["/ip4/127.0.0.1/udp/0/webrtc-direct", "/ip6/::1/udp/0/webrtc-direct"];

#[tokio::test]
async fn nodes_connect_and_prove_who_they_are() {
    for on in ON {
        let (alice, bob) = (node(), node());
        let at = listen(&bob, on).await.with_peer(*bob.peer_id());
        let connection = alice.dial(at.clone()).await.unwrap();
        assert_eq!(connection.peer_id(), bob.peer_id());
        assert!(connection.ping().await.unwrap() < Duration::from_secs(5));
        echoes(&alice, &bob, b"hello").await;
        // As somebody else it is nobody.
        assert!(node().dial(at.with_peer(*alice.peer_id())).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mib_come_back_as_they_went() {
    const SIZE: usize = 64 << 20;
    let (alice, bob) = (node(), node());
    let at = listen(&bob, ON[0]).await;
    let connection = alice.dial(at).await.unwrap();
    let stream = connection.open_stream(&[ECHO]).await.unwrap();
    let (mut from, mut to) = stream.split();
    let byte = |at: usize| (at / 3 + at / 1000) as u8;
    let writing = async {
        let mut at = 0;
        while at < SIZE {
            let piece: Vec<u8> = (at..at + (1 << 16)).map(byte).collect();
            to.write_all(&piece).await.unwrap();
            at += piece.len();
        }
        to.close().await.unwrap();
    };
    let reading = async {
        let (mut at, mut piece) = (0, vec![0; 1 << 16]);
        loop {
            let count = from.read(&mut piece).await.unwrap();
            if count == 0 {
                break;
            }
            assert!(piece[..count].iter().zip(at..).all(|(found, at)| *found == byte(at)));
            at += count;
        }
        assert_eq!(at, SIZE);
    };
    tokio::join!(writing, reading);
}

#[tokio::test]
async fn a_thousand_streams_one_after_another() {
    let (alice, bob) = (node(), node());
    let connection = alice.dial(listen(&bob, ON[0]).await).await.unwrap();
    for number in 0..1000_u32 {
        let mut stream = connection.open_stream(&[ECHO]).await.unwrap();
        stream.write_all(&number.to_le_bytes()).await.unwrap();
        stream.close().await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert_eq!(back, number.to_le_bytes());
    }
}

#[tokio::test]
async fn many_share_one_port() {
    let bob = node();
    let at = listen(&bob, ON[0]).await;
    let dials = (0..6).map(|_| async {
        let alice = node();
        let connection = alice.dial(at.clone()).await.unwrap();
        connection.ping().await.unwrap();
        (alice, connection)
    });
    let all = futures::future::join_all(dials).await;
    assert_eq!(bob.connections().await.unwrap().len(), all.len());
}

#[tokio::test]
async fn an_address_with_another_certificate_is_refused_by_name() {
    let bob = node();
    let at = listen(&bob, ON[0]).await;
    let other = WebRtcCertificate::generate().unwrap();
    let mut wrong = at.clone();
    wrong.pop();
    let wrong = wrong.with(polypeer::address::Protocol::Certhash(&other.certhash())).unwrap();
    let error = Native::default().dial(wrong.clone()).await.unwrap_err();
    assert!(matches!(&error, TransportError::WrongCertificate { address } if *address == wrong));
    // Without one there is nobody to dial.
    let mut bare = at;
    bare.pop();
    assert!(!Native::default().can_dial(&bare));
}

#[tokio::test]
async fn a_kept_certificate_keeps_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("webrtc.pem");
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let certificate = Some(WebRtcCertificate::load_or_create(&path).unwrap());
        let options = Options { webrtc_certificate: certificate, ..Options::default() };
        let listener = Native::new(options).listen(address(ON[0])).await.unwrap();
        let text = listener.addresses().remove(0).to_string();
        addresses.push(text.split_once("/certhash/").unwrap().1.to_owned());
    }
    assert_eq!(addresses[0], addresses[1]);
}

#[tokio::test]
async fn nobody_answers_where_nobody_is() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let certhash = WebRtcCertificate::generate().unwrap().certhash();
    let to = |at: SocketAddr| {
        let at = Multiaddr::udp(at).with(polypeer::address::Protocol::WebrtcDirect).unwrap();
        at.with(polypeer::address::Protocol::Certhash(&certhash)).unwrap()
    };
    let host = Native::new(Options { dial_timeout: Duration::from_secs(4), ..Options::default() });
    let error = host.dial(to(silent.local_addr().unwrap())).await.unwrap_err();
    assert!(matches!(error, TransportError::TimedOut { .. }), "{error}");
    // Both versions were tried.
    let mut versions = std::collections::BTreeSet::new();
    silent.set_nonblocking(true).unwrap();
    let mut datagram = [0; 2048];
    while let Ok(length) = silent.recv(&mut datagram) {
        let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
        versions.extend(text.split_once("libp2p+webrtc+").map(|(_, rest)| rest[..2].to_owned()));
    }
    assert_eq!(versions.into_iter().collect::<Vec<_>>(), ["v1", "v2"]);
    // The system says at once that a port is closed.
    let closed = silent.local_addr().unwrap();
    drop(silent);
    let error = host.dial(to(closed)).await.unwrap_err();
    assert!(matches!(error, TransportError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn nonsense_and_unknown_versions_are_not_answered() {
    let bob = node();
    let at = listen(&bob, ON[0]).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(socket_of(&at)).unwrap();
    for first in [0, 1, 20, 22, 64, 128, 255] {
        for length in [1, 20, 100, 1400] {
            let mut datagram = vec![0x5a; length];
            datagram[0] = first;
            stranger.send(&datagram).unwrap();
        }
    }
    // A whole request, but of version 3 and proved with what it says.
    stranger.send(include_bytes!("../../../crate/webrtc/tests/vectors/request-v3.bin")).unwrap();
    // Of all that only the next one is answered, and the listener serves on.
    stranger.send(include_bytes!("../../../crate/webrtc/tests/vectors/request-v2.bin")).unwrap();
    stranger.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let answers = tokio::task::spawn_blocking(move || {
        let mut datagram = [0; 2048];
        let mut answers = Vec::new();
        if let Ok(length) = stranger.recv(&mut datagram) {
            answers.push(datagram[..length].to_vec());
        }
        stranger.set_nonblocking(true).unwrap();
        while let Ok(length) = stranger.recv(&mut datagram) {
            answers.push(datagram[..length].to_vec());
        }
        answers
    });
    let answers = answers.await.unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!((&answers[0][..2], &answers[0][8..20]), (&[1, 1][..], &[2; 12][..]));
    node().dial(at).await.unwrap();
}

#[tokio::test]
async fn links_outlive_their_listener() {
    let host = Native::default();
    let (dialed, accepted) = crate::common::pair(&host, ON[0]).await;
    let (mut dialed, mut accepted) = (dialed.io, accepted.io);
    // A message on the channel that is open from the start.
    let record = [0, 0, 0, 0, 0, 3, 0, b'h', b'e', b'y'];
    let writing = async {
        dialed.write_all(&record).await.unwrap();
        dialed.flush().await.unwrap();
        let mut nothing = [0];
        let _ = dialed.read(&mut nothing).await;
    };
    let reading = async {
        let mut found = [0; 10];
        accepted.read_exact(&mut found).await.unwrap();
        assert_eq!(found, record);
        accepted.close().await.unwrap();
    };
    tokio::join!(writing, reading);
}
