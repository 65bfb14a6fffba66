//! One port for all that is listened on over TCP.

use crate::common::{accept, address, host, secure_host};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use polypeer::address::Multiaddr;
use polypeer::facade::platform::{Listener, Platform, TransportError};
use polypeer_native::Native;

const FORMS: [&str; 3] = ["", "/ws", "/tls/ws"];

/// Listens in these forms at one port, in this order.
async fn listen(host: &Native, at: &str, forms: &[&str]) -> Vec<Box<dyn Listener>> {
    let mut at = format!("/ip4/127.0.0.1/tcp/{at}");
    let mut listeners = Vec::new();
    for form in forms {
        let listener = host.listen(address(&format!("{at}{form}"))).await.unwrap();
        at = listener.addresses()[0].to_string().trim_end_matches(form).to_owned();
        listeners.push(listener);
    }
    listeners
}

/// One that the listener must take, with bytes both ways.
async fn greets(host: &Native, to: Multiaddr, listener: &mut Box<dyn Listener>) {
    let (dialed, accepted) = tokio::join!(
        async {
            let mut link = host.dial(to.clone()).await.unwrap();
            // Plain links say nothing by themselves.
            link.io.write_all(b"\x13/multistream/1.0.0\n").await.unwrap();
            link.io.flush().await.unwrap();
            link
        },
        accept(listener)
    );
    let (mut dialed, mut accepted) = (dialed, accepted.unwrap());
    assert_eq!((&accepted.local, &accepted.remote), (&to, &dialed.local));
    let mut read = [0; 20];
    accepted.io.read_exact(&mut read).await.unwrap();
    accepted.io.write_all(&read).await.unwrap();
    accepted.io.flush().await.unwrap();
    let mut echoed = [0; 20];
    dialed.io.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"\x13/multistream/1.0.0\n");
}

#[tokio::test]
async fn all_forms_share_a_port_in_whatever_order_they_come_and_go() {
    let host = secure_host();
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let forms = order.map(|index| FORMS[index]);
        let mut listeners = listen(&host, "0", &forms).await;
        let ports: Vec<_> = listeners.iter().map(|one| port(&one.addresses()[0])).collect();
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
        while !listeners.is_empty() {
            for listener in &mut listeners {
                greets(&host, listener.addresses().remove(0), listener).await;
            }
            listeners.remove(0);
        }
    }
}

#[tokio::test]
async fn a_form_is_listened_on_once() {
    let host = secure_host();
    let listeners = listen(&host, "0", &FORMS).await;
    for listener in &listeners {
        let second = host.listen(listener.addresses().remove(0)).await.map(|_| ());
        let Err(TransportError::Listen { source, .. }) = &second else { panic!("{second:?}") };
        assert_eq!(source.kind(), std::io::ErrorKind::AddrInUse);
    }
}

#[tokio::test]
async fn connections_leave_from_a_port_while_it_is_listened_on_for_plain_ones() {
    let host = host();
    let mut listeners = listen(&host, "0", &["/ws", ""]).await;
    let ours = listeners[1].addresses().remove(0);
    let (dialed, _) = pair_from(&host).await;
    assert_eq!(dialed, ours);
    listeners.truncate(1);
    let (dialed, _) = pair_from(&host).await;
    assert_ne!(dialed, ours, "others could not dial it as it looks to them");
}

/// Both ends' addresses of a connection of `host` to another one.
async fn pair_from(host: &Native) -> (Multiaddr, Multiaddr) {
    let mut listener = crate::common::host().listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    let to = listener.addresses().remove(0);
    let (dialed, accepted) = tokio::join!(host.dial(to), accept(&mut listener));
    (dialed.unwrap().local, accepted.unwrap().local)
}

#[tokio::test]
async fn bytes_pass_as_they_do_at_a_port_of_their_own() {
    let host = secure_host();
    let mut listeners = listen(&host, "0", &FORMS).await;
    let data: Vec<u8> =
        (0..3_000_000_u32).map(|i| i.wrapping_mul(0x9e37_79b9).to_le_bytes()[3]).collect();
    for listener in &mut listeners {
        let to = listener.addresses().remove(0);
        let write = async {
            let mut link = host.dial(to).await.unwrap();
            link.io.write_all(&data).await.unwrap();
            link.io.close().await.unwrap();
            link
        };
        let read = async {
            let mut link = accept(listener).await.unwrap();
            let mut read = Vec::new();
            link.io.read_to_end(&mut read).await.unwrap();
            assert!(read == data, "bytes were lost or changed");
            link
        };
        tokio::join!(write, read);
    }
}

/// The port in `/ip4/127.0.0.1/tcp/N/…`.
fn port(address: &Multiaddr) -> String {
    address.to_string().split('/').nth(4).unwrap().to_owned()
}
