//! What the tests share.
#![allow(dead_code, reason = "the flood uses a part")]

use std::net::SocketAddr;
use std::sync::Arc;

use futures::io::{AsyncReadExt, AsyncWriteExt};
use polypeer::address::Multiaddr;
use polypeer::facade::Node;
use polypeer::facade::platform::{Link, Listener, Platform, TransportError};
use polypeer::node::Config;
use polypeer::{Keypair, Rng};
use polypeer_native::service::echo;
use polypeer_native::{Native, Options, ServerCertificate};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// A self-signed certificate for `names`, as files in PEM: chain and key.
pub(crate) fn certificate(names: &[&str]) -> (String, String) {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A host that serves and trusts one certificate for loopback.
pub(crate) fn secure_host() -> Native {
    let names = ["127.0.0.1", "::1", "localhost"].map(String::from).to_vec();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![made.cert.der().clone()];
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    Native::new(Options {
        extra_roots: chain.clone(),
        certificate: Some(ServerCertificate::new(chain, key).unwrap()),
        ..Options::default()
    })
}

pub(crate) async fn accept(listener: &mut Box<dyn Listener>) -> Result<Link, TransportError> {
    std::future::poll_fn(|cx| listener.poll_accept(cx)).await
}

/// Two ends of one link over `on`, the dialer's first.
pub(crate) async fn pair(host: &Native, on: &str) -> (Link, Link) {
    let mut listener = host.listen(address(on)).await.unwrap();
    let to = listener.addresses().remove(0);
    let (dialed, accepted) = tokio::join!(host.dial(to), accept(&mut listener));
    (dialed.unwrap(), accepted.unwrap())
}

pub(crate) fn host() -> Native {
    Native::default()
}

/// Keys of nobody else.
pub(crate) fn keypair() -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_seed(Native::default().seed()))
}

/// A node that sends back what it is sent.
pub(crate) fn echoing() -> Node {
    let node = Node::start(Arc::new(host()), Config::new(keypair()));
    echo::serve(&node);
    node
}

/// Listens, and says where.
pub(crate) async fn listen(node: &Node, on: &str) -> Multiaddr {
    node.listen(address(on)).await.unwrap().remove(0)
}

/// The socket that an address begins with.
pub(crate) fn socket_of(address: &Multiaddr) -> SocketAddr {
    let text = address.to_string();
    let parts: Vec<_> = text.split('/').collect();
    SocketAddr::new(parts[2].parse().unwrap(), parts[4].parse().unwrap())
}

/// Sends bytes and has them back.
pub(crate) async fn echoes(from: &Node, to: &Node, data: &[u8]) {
    let stream = from.open_stream(to.peer_id(), &[echo::NAME]).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let write = async {
        writer.write_all(data).await.unwrap();
        writer.close().await.unwrap();
    };
    let mut back = Vec::new();
    let (read, ()) = tokio::join!(reader.read_to_end(&mut back), write);
    read.unwrap();
    assert!(back == data);
}
