//! Names are resolved as multiaddr and the DNS say, within limits, with no network.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{accept, address};
use polypeer::facade::platform::{BoxFuture, Platform, TransportError};
use polypeer_native::{Native, Options, ResolveError, Resolver};

const PEER: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
const OTHER: &str = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";

/// Names as a map. TXT records may be endless: `loop.example` points to itself.
#[derive(Default)]
struct Names {
    addresses: BTreeMap<&'static str, Vec<IpAddr>>,
    texts: Mutex<BTreeMap<String, Vec<String>>>,
    lookups: AtomicUsize,
}

impl Resolver for Names {
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let found = self.addresses.get(name).cloned();
        Box::pin(async move { found.ok_or(ResolveError("no such name".into())) })
    }

    fn texts<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, ResolveError>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let found = self.texts.lock().unwrap().get(name).cloned();
        Box::pin(async move { found.ok_or(ResolveError("no such name".into())) })
    }
}

fn names() -> Arc<Names> {
    let v4: IpAddr = "127.0.0.1".parse().unwrap();
    let v6: IpAddr = "::1".parse().unwrap();
    let addresses =
        [("both.example", vec![v6, v4]), ("four.example", vec![v4]), ("six.example", vec![v6])];
    Arc::new(Names { addresses: addresses.into(), ..Names::default() })
}

fn host(names: &Arc<Names>) -> Native {
    Native::new(Options { resolver: names.clone(), ..Options::default() })
}

#[tokio::test]
async fn names_lead_to_the_family_that_is_asked_for() {
    let host = host(&names());
    for (on, name, found) in [
        ("/ip4/127.0.0.1/tcp/0", "/dns/both.example", true),
        ("/ip4/127.0.0.1/tcp/0/ws", "/dns/both.example", true),
        ("/ip6/::1/tcp/0", "/dns/both.example", true),
        ("/ip4/127.0.0.1/tcp/0", "/dns4/both.example", true),
        ("/ip6/::1/tcp/0", "/dns6/both.example", true),
        ("/ip6/::1/tcp/0", "/dns6/four.example", false),
        ("/ip4/127.0.0.1/tcp/0", "/dns4/six.example", false),
        ("/ip4/127.0.0.1/tcp/0", "/dns/none.example", false),
    ] {
        let mut listener = host.listen(address(on)).await.unwrap();
        let to = listener.addresses().remove(0);
        let start = on.split("/tcp").next().unwrap();
        let named = address(&to.to_string().replace(start, name));
        if found {
            let (dialed, accepted) = tokio::join!(host.dial(named), accept(&mut listener));
            assert_eq!(dialed.unwrap().remote, to);
            accepted.unwrap();
        } else {
            let error = host.dial(named).await.unwrap_err();
            assert!(matches!(error, TransportError::Resolve { .. }), "{error}");
        }
    }
}

#[tokio::test]
async fn dnsaddr_records_lead_on_and_are_chosen_by_peer() {
    let names = names();
    let host = host(&names);
    let mut listener = host.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    let to = listener.addresses().remove(0);
    names.texts.lock().unwrap().extend([
        (
            "_dnsaddr.boot.example".into(),
            vec![
                "v=spf1 -all".into(),
                "dnsaddr=not an address".into(),
                format!("dnsaddr=/ip4/127.0.0.1/tcp/1/p2p/{OTHER}"),
                format!("dnsaddr=/ip4/127.0.0.1/udp/1/quic-v1/p2p/{PEER}"),
                format!("dnsaddr=/dnsaddr/one.boot.example/p2p/{PEER}"),
            ],
        ),
        ("_dnsaddr.one.boot.example".into(), vec![format!("dnsaddr={to}/p2p/{PEER}")]),
    ]);
    let named = address(&format!("/dnsaddr/boot.example/p2p/{PEER}"));
    assert!(host.can_dial(&named) && !host.can_listen(&named));
    let (dialed, accepted) = tokio::join!(host.dial(named), accept(&mut listener));
    assert_eq!(dialed.unwrap().remote, to);
    accepted.unwrap();
}

#[tokio::test]
async fn endless_records_come_to_an_end() {
    let names = names();
    let host = host(&names);
    // A record that points to itself, and records that each point to many more.
    let fan =
        |name: &str| (0..100).map(|i| format!("dnsaddr=/dnsaddr/{i}.{name}")).collect::<Vec<_>>();
    let mut texts = BTreeMap::from([
        ("_dnsaddr.loop.example".into(), vec!["dnsaddr=/dnsaddr/loop.example".into()]),
        ("_dnsaddr.fan.example".into(), fan("fan.example")),
    ]);
    for i in 0..100 {
        let name = format!("{i}.fan.example");
        texts.insert(format!("_dnsaddr.{name}"), fan(&name));
    }
    *names.texts.lock().unwrap() = texts;
    for (name, most) in [("loop.example", 5), ("fan.example", 32)] {
        names.lookups.store(0, Ordering::Relaxed);
        let error = host.dial(address(&format!("/dnsaddr/{name}"))).await.unwrap_err();
        assert!(matches!(error, TransportError::Resolve { .. }), "{error}");
        assert!(names.lookups.load(Ordering::Relaxed) <= most);
    }
}

#[tokio::test]
async fn the_first_address_that_answers_wins() {
    let names = names();
    let host = host(&names);
    let mut listener = host.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
    let to = listener.addresses().remove(0);
    // Nobody is at the first, and at the second somebody who says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    names.texts.lock().unwrap().insert(
        "_dnsaddr.boot.example".into(),
        vec![
            "dnsaddr=/ip4/127.0.0.1/tcp/1".into(),
            format!("dnsaddr=/ip4/127.0.0.1/tcp/{silent}/ws"),
            format!("dnsaddr={to}"),
        ],
    );
    let named = address("/dnsaddr/boot.example");
    let (dialed, accepted) = tokio::join!(host.dial(named), accept(&mut listener));
    assert_eq!(dialed.unwrap().remote, to);
    accepted.unwrap();
}
