//! A server and what changes around it while it runs.

use std::net::Ipv4Addr;

use super::{LOOPBACK, Server, addresses, objects, run};

/// A gateway of NAT-PMP: what it is asked as (internal port, lease).
fn gateway() -> (std::net::IpAddr, std::sync::mpsc::Receiver<(u16, u32)>) {
    let id = std::process::id().to_be_bytes();
    let sockets = (1..=250)
        .map(|last| std::net::UdpSocket::bind((Ipv4Addr::new(127, id[2], id[3], last), 5351)));
    let socket = sockets.flatten().next().expect("no address has the port free");
    let ip = socket.local_addr().unwrap().ip();
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 1100];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let mut answer = vec![0, 128, 0, 1, 0, 0, 0, 9];
            if bytes[..length] == [0, 0] {
                answer = vec![0, 128, 0, 0, 0, 0, 0, 9, 50, 1, 1, 2];
            } else if let [0, 2, _, _, i, j, e, f, ref lease @ ..] = bytes[..length] {
                answer = vec![0, 130, 0, 0, 0, 0, 0, 9, i, j, e, f];
                answer.extend_from_slice(lease);
                let seconds = u32::from_be_bytes(lease.try_into().unwrap());
                // A test that is over asks no more.
                let _ = sender.send((u16::from_be_bytes([i, j]), seconds));
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    (ip, asked)
}

#[test]
fn a_home_router_is_asked_for_the_port_and_given_it_back() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("server.toml");
    // So that loopback's addresses can be mapped.
    std::fs::write(&file, "[addresses]\nprivate = true\n").unwrap();
    let (ip, asked) = gateway();
    let (ip, file) = (ip.to_string(), file.to_str().unwrap().to_owned());
    let arguments = ["--port-mapping", "--gateway", &ip, "--config", &file];
    let (mut server, listening) =
        Server::start(home.path(), &[&LOOPBACK[..2], &arguments].concat());
    let port = addresses(&listening)[0].split('/').nth(4).unwrap().parse::<u16>().unwrap();
    let public = format!("/ip4/50.1.1.2/tcp/{port}/p2p/{}", listening["peer"].as_str().unwrap());
    let (mut mapped, mut announced) = (false, false);
    while !(mapped && announced) {
        let event = server.next().unwrap();
        mapped |= event["event"] == "mapped" && event["external"] == format!("50.1.1.2:{port}");
        announced |= event["event"] == "addresses" && addresses(&event).contains(&public);
    }
    assert_eq!(asked.recv().unwrap(), (port, 7200));
    server.signal("-TERM");
    assert_eq!(asked.recv().unwrap(), (port, 0));
}

/// The next event of this name.
#[cfg(unix)]
fn event(server: &mut Server, name: &str) -> serde_json::Value {
    loop {
        let event = server.next().unwrap();
        if event["event"] == name {
            return event;
        }
    }
}

#[cfg(unix)]
#[test]
fn a_hangup_has_the_relay_read_its_lists_again() {
    let [home, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let peer = objects(&run(other.path(), &["--json", "keygen"]).stdout)[0]["peer"].clone();
    let peer = peer.as_str().unwrap();
    let file = home.path().join("server.toml");
    std::fs::write(&file, "").unwrap();
    let arguments = [&LOOPBACK[..2], &["--config", file.to_str().unwrap()]].concat();
    let (mut server, listening) = Server::start(home.path(), &arguments);

    std::fs::write(&file, "[relay]\ndeny = ['nobody']\n").unwrap();
    server.signal("-HUP");
    let failed = event(&mut server, "reloadFailed");
    assert!(failed["reason"].as_str().unwrap().contains("nobody"), "{failed}");

    let lists = "[relay]\ndeny = ['PEER']\n[addresses]\nannounce = ['/dns4/a.example/tcp/4001']\n";
    std::fs::write(&file, lists.replace("PEER", peer)).unwrap();
    server.signal("-HUP");
    event(&mut server, "reloaded");
    let announced = event(&mut server, "addresses");
    assert!(addresses(&announced)[0].starts_with("/dns4/a.example/tcp/4001/p2p/"), "{announced}");
    let place = format!("{}/p2p-circuit", addresses(&listening)[0]);
    let (_asks, _) = Server::start(other.path(), &["--listen", &place]);
    let refused = event(&mut server, "relayRefused");
    assert_eq!((&refused["peer"], &refused["rule"]), (&peer.into(), &"denied".into()));
}
