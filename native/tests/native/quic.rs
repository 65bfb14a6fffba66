//! QUIC between two nodes, over loopback.

use std::future::poll_fn;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{address, echoes, echoing as node, keypair, listen, socket_of};
use futures::io::AsyncWriteExt;
use polypeer::address::Multiaddr;
use polypeer::facade::Node;
use polypeer::facade::platform::{Platform, TransportError};
use polypeer::node::Config;
use polypeer::security::pnet::PreSharedKey;
use polypeer_native::{Native, Options};
use polypeer_quic::{NOBODY, Setup};

const ON: [&str; 2] = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip6/::1/udp/0/quic-v1"];

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
        let error = node().dial(at.with_peer(*alice.peer_id())).await.unwrap_err();
        assert!(error.to_string().contains("answered"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_arrive_whole_and_a_stream_that_nobody_reads_holds_up_no_other() {
    let (alice, bob) = (node(), node());
    bob.handle("/stuck/1.0.0", |stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let at = listen(&bob, ON[0]).await.with_peer(*bob.peer_id());
    alice.dial(at).await.unwrap();
    let mut stuck = alice.open_stream(bob.peer_id(), &["/stuck/1.0.0"]).await.unwrap();
    let filling = tokio::spawn(async move { stuck.write_all(&vec![1; 64 << 20]).await });
    let data: Vec<u8> = (0..32 << 20).map(|at: u32| (at.wrapping_mul(31) >> 3) as u8).collect();
    echoes(&alice, &bob, &data).await;
    assert!(!filling.is_finished());
    filling.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_at_once() {
    let (alice, bob) = (node(), node());
    let at = listen(&bob, ON[0]).await.with_peer(*bob.peer_id());
    alice.dial(at).await.unwrap();
    let all = (0..200).map(|_| echoes(&alice, &bob, &[7; 5000]));
    futures::future::join_all(all).await;
}

#[tokio::test]
async fn quic_and_webrtc_direct_share_a_port() {
    let bob = node();
    for (first, second) in [("quic-v1", "webrtc-direct"), ("webrtc-direct", "quic-v1")] {
        let at = listen(&bob, &format!("/ip4/127.0.0.1/udp/0/{first}")).await;
        let port = socket_of(&at).port();
        let second = format!("/ip4/127.0.0.1/udp/{port}/{second}");
        let other = listen(&bob, &second).await;
        for at in [&at, &other] {
            let alice = node();
            alice.dial(at.with_peer(*bob.peer_id())).await.unwrap();
            echoes(&alice, &bob, &[1; 100_000]).await;
        }
        // But only once each.
        let error = bob.listen(address(&second)).await.unwrap_err();
        assert!(matches!(error, TransportError::Listen { .. }), "{error}");
    }
}

#[tokio::test]
async fn of_two_at_one_port_each_goes_and_comes_again_by_itself() {
    let host = || Arc::new(Native::default()).with_identity(&keypair()).unwrap();
    let (alice, bob) = (host(), host());
    let mut quic = bob.listen(address(ON[0])).await.unwrap();
    let at = quic.addresses().remove(0);
    let port = socket_of(&at).port();
    let direct = address(&format!("/ip4/127.0.0.1/udp/{port}/webrtc-direct"));
    let mut webrtc = bob.listen(direct).await.unwrap();
    drop(quic);
    let (dialed, accepted) = tokio::join!(
        alice.dial(webrtc.addresses().remove(0)),
        poll_fn(|cx| webrtc.poll_accept(cx))
    );
    let links = (dialed.unwrap(), accepted.unwrap());
    // As soon as the port has noticed, which the links do not hinder.
    quic = loop {
        match bob.listen(at.clone()).await {
            Ok(listener) => break listener,
            Err(TransportError::Listen { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    drop(webrtc);
    let (dialed, accepted) = tokio::join!(alice.dial(at), poll_fn(|cx| quic.poll_accept(cx)));
    drop((dialed.unwrap(), accepted.unwrap(), links));
}

#[tokio::test]
async fn who_listens_dials_from_there() {
    let (alice, bob) = (node(), node());
    let here = listen(&alice, ON[0]).await;
    let there = listen(&bob, ON[0]).await.with_peer(*bob.peer_id());
    alice.dial(there).await.unwrap().ping().await.unwrap();
    let seen = bob.connections().await.unwrap();
    assert_eq!(seen[0].remote_address().without_peer(), here);
}

#[tokio::test]
async fn nobody_there_is_told_as_such() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = Multiaddr::udp(silent.local_addr().unwrap());
    let at: Multiaddr = format!("{at}/quic-v1").parse().unwrap();
    let host = Native::new(Options { dial_timeout: Duration::from_secs(2), ..Options::default() });
    // For whom is not known, so there is no QUIC.
    assert!(!host.can_dial(&at) && !host.can_listen(&at));
    let host = Arc::new(host).with_identity(&keypair()).unwrap();
    assert!(host.can_dial(&at) && host.can_listen(&at));
    let error = host.dial(at).await.unwrap_err();
    assert!(matches!(error, TransportError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn a_private_network_does_not_go_over_quic() {
    let mut config = Config::new(keypair());
    config.connection.pre_shared_key = Some(PreSharedKey::new([1; 32]));
    let node = Node::start(Arc::new(Native::default()), config);
    let error = node.listen(address(ON[0])).await.unwrap_err();
    assert!(matches!(error, TransportError::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn those_who_begin_and_say_no_more_keep_nobody_out() {
    let bob = node();
    let at = listen(&bob, ON[0]).await;
    let setup = Setup::new(&keypair()).unwrap();
    // Two hundred beginnings, each from a port of its own, and noise.
    let mut sockets = Vec::new();
    for _ in 0..200 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (now, mut bytes) = (Instant::now(), Vec::new());
        let begun = setup.endpoint(false).connect(now, setup.client(), socket_of(&at), NOBODY);
        let _ = begun.unwrap().1.poll_transmit(now, 1, &mut bytes).unwrap();
        socket.send_to(&bytes, socket_of(&at)).unwrap();
        socket.send_to(&[0x40; 1200], socket_of(&at)).unwrap();
        socket.send_to(&[0xff; 1200], socket_of(&at)).unwrap();
        sockets.push(socket);
    }
    let alice = node();
    alice.dial(at.with_peer(*bob.peer_id())).await.unwrap();
    echoes(&alice, &bob, b"hello").await;
}
