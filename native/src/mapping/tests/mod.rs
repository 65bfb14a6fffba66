//! Against gateways on loopback that speak the real protocols.

mod upnp;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use polypeer::node::Config;
use polypeer::{Keypair, Rng};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::Native;

use upnp::{Manners, Upnp};

/// What a gateway is asked: a port mapped (external, internal, lease) or unmapped.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Map(u16, u16, u32),
    Unmap(u16),
}

fn node(seed: u64) -> Node {
    let mut config = Config::new(Keypair::generate_ed25519(&mut Rng::from_number(seed)));
    // So that loopback's addresses can be mapped.
    config.addresses.private = true;
    config.autonat.client = false;
    Node::start(Arc::new(Native::default()), config)
}

async fn listen(node: &Node) -> u16 {
    let address = node.listen("/ip4/127.0.0.1/tcp/0".parse().unwrap()).await.unwrap().remove(0);
    Waist::of(&address).unwrap().socket.port()
}

async fn announces(node: &Node, address: &str) -> bool {
    let wanted: polypeer::Multiaddr = address.parse().unwrap();
    node.addresses().await.unwrap().contains(&wanted.with_peer(*node.peer_id()))
}

#[tokio::test]
async fn upnp_maps_renews_and_takes_back() {
    let mut gateway = Upnp::start(Manners::default()).await;
    let node = node(1);
    let port = listen(&node).await;
    let mut mapping = PortMapping::start(node.clone(), gateway.options.clone());
    let Some(MappingEvent::Mapped { external, port: ours, .. }) = mapping.next().await else {
        panic!("not mapped");
    };
    assert_eq!((external.to_string(), ours), (format!("50.1.1.1:{port}"), port));
    let public = format!("/ip4/50.1.1.1/tcp/{port}");
    assert!(announces(&node, &public).await);
    for _ in 0..3 {
        assert_eq!(gateway.asked.recv().await, Some(Asked::Map(port, port, 1)), "and again");
    }
    mapping.close().await;
    while let Some(asked) = gateway.asked.recv().await {
        if asked == Asked::Unmap(port) {
            break;
        }
    }
    assert!(!announces(&node, &public).await);
    node.close().await;
}

#[tokio::test]
async fn upnp_takes_another_port_and_leases_for_ever_where_it_must() {
    let node = node(2);
    let port = listen(&node).await;
    let manners = Manners { taken: vec![port], permanent: true, ..Manners::default() };
    let mut gateway = Upnp::start(manners).await;
    let mut mapping = PortMapping::start(node.clone(), gateway.options.clone());
    let Some(MappingEvent::Mapped { external, .. }) = mapping.next().await else {
        panic!("not mapped");
    };
    assert_eq!(external.port(), port + 1);
    assert_eq!(gateway.asked.recv().await, Some(Asked::Map(port + 1, port, 0)));
    mapping.close().await;
    node.close().await;
}

#[tokio::test]
async fn what_a_gateway_cannot_do_is_said() {
    for (number, manners, says) in [
        (3, Manners { forbidden: true, ..Manners::default() }, "refuses"),
        (4, Manners { external: "10.1.2.3", ..Manners::default() }, "10.1.2.3, is not public"),
    ] {
        let gateway = Upnp::start(manners).await;
        let node = node(number);
        listen(&node).await;
        let mut mapping = PortMapping::start(node.clone(), gateway.options.clone());
        let Some(MappingEvent::Failed { error, .. }) = mapping.next().await else {
            panic!("it was mapped");
        };
        assert!(error.to_string().contains(says), "{error}");
        mapping.close().await;
        node.close().await;
    }
}

/// What a gateway at port 5351 speaks, and until when.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    /// RFC 6886.
    NatPmp,
    /// RFC 6887.
    Pcp,
    /// RFC 6886, but nothing once a port is mapped.
    FallsSilent,
    /// RFC 6887, but it maps nothing.
    Forbids,
}

/// A gateway of PCP or NAT-PMP, at an address of its own: the port is fixed.
async fn gateway(language: Language) -> (MappingOptions, UnboundedReceiver<Asked>) {
    let mut rng = Rng::from_seed(polypeer::facade::Platform::seed(&Native::default()));
    let socket = loop {
        let [a, b, c] = rng.array();
        let at = (Ipv4Addr::new(127, a | 1, b, c | 1), crab_nat::GATEWAY_PORT);
        if let Ok(socket) = UdpSocket::bind(at).await {
            break socket;
        }
    };
    let options = MappingOptions {
        upnp: false,
        gateway: Some(socket.local_addr().unwrap().ip()),
        lease: Duration::from_secs(2),
        patience: Duration::from_millis(800),
        ..MappingOptions::default()
    };
    let (sender, asked) = unbounded_channel();
    tokio::spawn(async move {
        let (mut bytes, mut mapped) = ([0; 1100], BTreeMap::new());
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            let (answer, question) = match language {
                Language::Pcp | Language::Forbids => {
                    pcp_answer(&bytes[..length], language == Language::Forbids)
                }
                Language::NatPmp | Language::FallsSilent => nat_pmp_answer(&bytes[..length]),
            };
            let silent = language == Language::FallsSilent && !mapped.is_empty();
            if let Some((internal, external, seconds)) = question {
                let told = if seconds == 0 {
                    // Who takes back need not name the public port.
                    Asked::Unmap(mapped.remove(&internal).unwrap_or(external))
                } else {
                    mapped.insert(internal, external);
                    Asked::Map(external, internal, seconds)
                };
                // A test that is over asks no more.
                let _ = sender.send(told);
            }
            if !silent || question.is_none() {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    (options, asked)
}

/// The answer, and what is asked: the internal port, the external one, the lease.
type Answer = (Vec<u8>, Option<(u16, u16, u32)>);

fn nat_pmp_answer(bytes: &[u8]) -> Answer {
    match *bytes {
        [0, 0] => (vec![0, 128, 0, 0, 0, 0, 0, 9, 50, 1, 1, 2], None),
        [0, kind @ (1 | 2), _, _, i, j, e, f, ref lease @ ..] if bytes.len() == 12 => {
            let [internal, external] = [[i, j], [e, f]].map(u16::from_be_bytes);
            let mut answer = vec![0, 128 + kind, 0, 0, 0, 0, 0, 9, i, j, e, f];
            answer.extend_from_slice(lease);
            let seconds = u32::from_be_bytes(lease.try_into().unwrap());
            (answer, Some((internal, external, seconds)))
        }
        // PCP is another version: RFC 6887, section 9.
        _ => (vec![0, 128, 0, 1, 0, 0, 0, 9], None),
    }
}

fn pcp_answer(bytes: &[u8], forbids: bool) -> Answer {
    // Version, operation MAP, and the length of both headers.
    assert_eq!((bytes[..2].to_vec(), bytes.len()), (vec![2, 1], 60));
    let number = |at: usize| u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap());
    let mut answer = bytes.to_vec();
    answer[1] |= 128;
    // The result: NOT_AUTHORIZED or SUCCESS.
    answer[3] = if forbids { 2 } else { 0 };
    // The epoch and what is reserved stand where the client's address did.
    answer[8..24].fill(0);
    answer[11] = 9;
    answer[44..60].copy_from_slice(&Ipv4Addr::new(50, 1, 1, 3).to_ipv6_mapped().octets());
    let seconds = u32::from_be_bytes(bytes[4..8].try_into().unwrap());
    (answer, (!forbids).then(|| (number(40), number(42), seconds)))
}

async fn maps_renews_and_takes_back(language: Language, number: u64, ip: &str) {
    let (options, mut asked) = gateway(language).await;
    let node = node(number);
    let port = listen(&node).await;
    let mut mapping = PortMapping::start(node.clone(), options);
    match mapping.next().await {
        Some(MappingEvent::Mapped { external, .. }) => {
            assert_eq!(external.to_string(), format!("{ip}:{port}"));
        }
        other => panic!("not mapped: {other:?}"),
    }
    assert!(announces(&node, &format!("/ip4/{ip}/tcp/{port}")).await);
    for _ in 0..2 {
        assert_eq!(asked.recv().await, Some(Asked::Map(port, port, 2)));
    }
    mapping.close().await;
    while let Some(asked) = asked.recv().await {
        if matches!(asked, Asked::Unmap(_)) {
            break;
        }
    }
    node.close().await;
}

#[tokio::test]
async fn nat_pmp_maps_renews_and_takes_back() {
    maps_renews_and_takes_back(Language::NatPmp, 5, "50.1.1.2").await;
}

#[tokio::test]
async fn pcp_maps_renews_and_takes_back() {
    maps_renews_and_takes_back(Language::Pcp, 7, "50.1.1.3").await;
}

#[tokio::test]
async fn udp_is_mapped_with_all_that_stands_behind_the_port() {
    let (options, mut asked) = gateway(Language::Pcp).await;
    let node = node(8);
    let direct = "/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap();
    let address = node.listen(direct).await.unwrap().remove(0);
    let port = Waist::of(&address).unwrap().socket.port();
    let mut mapping = PortMapping::start(node.clone(), options);
    let Some(MappingEvent::Mapped { transport: Transport::Udp, .. }) = mapping.next().await else {
        panic!("not mapped");
    };
    let public = address.to_string().replace("127.0.0.1", "50.1.1.3");
    assert!(public.contains("/webrtc-direct/certhash/"), "{public}");
    assert!(announces(&node, &public).await);
    assert_eq!(asked.recv().await, Some(Asked::Map(port, port, 2)));
    mapping.close().await;
    node.close().await;
}

#[tokio::test]
async fn a_silent_gateway_takes_nothing_away_before_the_lease_ends() {
    let (options, mut asked) = gateway(Language::FallsSilent).await;
    let node = node(9);
    let port = listen(&node).await;
    let mut mapping = PortMapping::start(node.clone(), options);
    assert!(matches!(mapping.next().await, Some(MappingEvent::Mapped { .. })));
    let public = format!("/ip4/50.1.1.2/tcp/{port}");
    for _ in 0..2 {
        assert!(announces(&node, &public).await);
        assert_eq!(asked.recv().await, Some(Asked::Map(port, port, 2)));
    }
    let Some(MappingEvent::Failed { error: MappingError::NoGateway { .. }, .. }) =
        mapping.next().await
    else {
        panic!("its lease goes on");
    };
    assert!(!announces(&node, &public).await);
    node.close().await;
}

#[tokio::test]
async fn a_gateway_that_refuses_in_one_language_is_asked_in_the_other() {
    let (refusing, _asked) = gateway(Language::Forbids).await;
    let upnp = Upnp::start(Manners::default()).await;
    let node = node(10);
    listen(&node).await;
    let options = MappingOptions { gateway: refusing.gateway, nat_pmp: true, ..upnp.options };
    let mut mapping = PortMapping::start(node.clone(), options);
    assert!(matches!(mapping.next().await, Some(MappingEvent::Mapped { .. })));
    mapping.close().await;
    node.close().await;

    let node = self::node(11);
    listen(&node).await;
    let mut mapping = PortMapping::start(node.clone(), refusing);
    let Some(MappingEvent::Failed { error: MappingError::Refused { .. }, .. }) =
        mapping.next().await
    else {
        panic!("it has refused");
    };
    node.close().await;
}

#[tokio::test]
async fn without_a_gateway_the_reasons_are_told() {
    // Nobody answers at this port.
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let options = MappingOptions {
        nat_pmp: false,
        search: silent.local_addr().unwrap(),
        patience: Duration::from_millis(200),
        ..MappingOptions::default()
    };
    let node = node(6);
    listen(&node).await;
    let mut mapping = PortMapping::start(node.clone(), options);
    let Some(MappingEvent::Failed { error: MappingError::NoGateway { reasons }, .. }) =
        mapping.next().await
    else {
        panic!("there is none");
    };
    assert!(reasons.contains("UPnP"), "{reasons}");
    node.close().await;
}

#[test]
fn the_default_route_names_the_gateway() {
    let gateway = u32::from_ne_bytes([192, 168, 1, 1]);
    let table = format!(
        "Iface\tDestination\tGateway\tFlags\neth0\t0001A8C0\t00000000\t0001\n\
         eth0\t00000000\t{gateway:08X}\t0003\n"
    );
    assert_eq!(gateway::route_gateway(&table), "192.168.1.1".parse().ok());
    assert_eq!(gateway::route_gateway("Iface\n"), None);
}
