//! The program as its user meets it: what it prints, its exit codes, its files.

mod hot;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polypeer"));
    command.args(arguments).env_remove("POLYPEER_KEY").env_remove("XDG_CONFIG_HOME");
    command
}

/// Runs it to its end, with its home in `home`.
fn run(home: &Path, arguments: &[&str]) -> Output {
    program(arguments).env("HOME", home).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The objects, one a line.
fn objects(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A server in the background, interrupted when dropped.
struct Server {
    child: Ended,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Server {
    fn start(home: &Path, arguments: &[&str]) -> (Self, Value) {
        let mut command = program(&["--json", "serve"]);
        command.args(arguments).env("HOME", home);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> (Self, Value) {
        command.stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut server = Self { child: Ended(child), lines };
        let listening = server.next().expect("the server does not start");
        assert_eq!(listening["event"], "listening");
        (server, listening)
    }

    fn next(&mut self) -> Option<Value> {
        self.lines.next().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
    }

    /// Sends it a signal as `kill` does.
    fn signal(&self, signal: &str) {
        let id = self.child.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

/// A process that is ended when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn addresses(listening: &Value) -> Vec<String> {
    let list = listening["addresses"].as_array().unwrap();
    list.iter().map(|address| address.as_str().unwrap().to_owned()).collect()
}

const LOOPBACK: [&str; 4] =
    ["--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/tcp/0/ws"];
const DIRECT: [&str; 2] = ["--listen", "/ip4/127.0.0.1/udp/0/webrtc-direct"];

#[test]
fn keys_are_made_shown_and_never_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let none = run(home.path(), &["id"]);
    assert_eq!(none.status.code(), Some(4));
    assert!(text(&none.stderr).contains("polypeer keygen"), "{}", text(&none.stderr));

    let made = run(home.path(), &["--json", "keygen"]);
    assert_eq!(made.status.code(), Some(0));
    let made = &objects(&made.stdout)[0];
    let file = home.path().join(".config/polypeer/key");
    assert_eq!(made["key"], file.to_str().unwrap());
    assert_eq!(made["kind"], "ed25519");
    let bytes = std::fs::read(&file).unwrap();

    let again = run(home.path(), &["--json", "keygen", "--kind", "ecdsa"]);
    assert_eq!(again.status.code(), Some(4));
    assert_eq!(objects(&again.stderr)[0]["error"]["code"], "key-exists");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);

    let id = run(home.path(), &["id"]);
    assert_eq!(text(&id.stdout).trim(), made["peer"]);
    let id = run(home.path(), &["id", "--json"]);
    assert_eq!(objects(&id.stdout)[0]["peer"], made["peer"]);
    assert!(objects(&id.stdout)[0]["cid"].as_str().unwrap().starts_with('b'));
    assert!(text(&id.stderr).is_empty());
}

#[test]
fn every_kind_of_key() {
    let home = tempfile::tempdir().unwrap();
    for kind in ["ed25519", "secp256k1", "ecdsa"] {
        let file = home.path().join(kind);
        let key = ["--key", file.to_str().unwrap(), "--json"];
        let made = run(home.path(), &[&["keygen", "--kind", kind], &key[..]].concat());
        assert_eq!(objects(&made.stdout)[0]["kind"], kind);
        let id = run(home.path(), &[&["id"], &key[..]].concat());
        assert_eq!(objects(&id.stdout)[0]["kind"], kind);
        assert_eq!(objects(&id.stdout)[0]["peer"], objects(&made.stdout)[0]["peer"]);
    }
}

#[cfg(unix)]
#[test]
fn key_files_are_for_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("key");
    let name = file.to_str().unwrap();
    assert_eq!(run(home.path(), &["keygen", "--key", name]).status.code(), Some(0));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let id = run(home.path(), &["id", "--key", name]);
    assert_eq!(id.status.code(), Some(0));
    assert!(text(&id.stderr).contains("chmod 600"), "{}", text(&id.stderr));
    std::fs::write(&file, "not a key").unwrap();
    let id = run(home.path(), &["id", "--key", name]);
    assert_eq!(id.status.code(), Some(4));
}

#[test]
fn a_wrong_command_line_is_explained() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["serv"][..], "serve"),
        (&["ping", "/ip4/127.0.0.1/tpc/1"], "tpc"),
        (&["ping", "127.0.0.1"], "slash"),
        (&["ping", "/ip4/127.0.0.1/tcp/1", "-c", "0"], "-c"),
        (&["perf", "/ip4/127.0.0.1/tcp/1", "--upload", "1T"], "K, M or G"),
        (&["serve", "--lisen", "/ip4/127.0.0.1/tcp/0"], "--listen"),
        (&["serve", "--certificate", "file"], "--certificate-key"),
        (&["keygen", "--kind", "rsa"], "ed25519"),
        (&[], "Usage"),
    ] {
        let output = run(home.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
    }
    let help = run(home.path(), &["serve", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = text(&help.stdout);
    assert!(help.contains("Exit codes") && help.contains("4001"), "{help}");
    assert!(text(&run(home.path(), &["--version"]).stdout).starts_with("polypeer "));
}

#[test]
fn a_server_is_pinged_measured_and_interrupted() {
    let home = tempfile::tempdir().unwrap();
    let (mut server, listening) =
        Server::start(home.path(), &[&LOOPBACK[..], &DIRECT, &["--perf"]].concat());
    let peer = listening["peer"].as_str().unwrap();
    let id = run(home.path(), &["id"]);
    assert_eq!(text(&id.stdout).trim(), peer, "it has made and kept its key");

    let addresses = addresses(&listening);
    assert_eq!(addresses.len(), 3);
    assert_eq!(listening["browser"], addresses[2]);
    for address in &addresses {
        assert!(address.ends_with(&format!("/p2p/{peer}")), "{address}");
        let ping = run(home.path(), &["--json", "ping", address, "-c", "3", "-i", "0"]);
        assert_eq!(ping.status.code(), Some(0), "{}", text(&ping.stderr));
        let lines = objects(&ping.stdout);
        assert_eq!(lines.len(), 4);
        assert!(lines[2]["milliseconds"].as_f64().unwrap() > 0.0);
        assert_eq!((&lines[3]["sent"], &lines[3]["lost"]), (&3.into(), &0.into()));
        assert_eq!(lines[3]["peer"], peer);

        let perf = run(
            home.path(),
            &["--json", "perf", address, "--upload", "3M", "--download", "1000001"],
        );
        assert_eq!(perf.status.code(), Some(0), "{}", text(&perf.stderr));
        let lines = objects(&perf.stdout);
        assert_eq!(
            (&lines[0]["direction"], &lines[0]["bytes"]),
            (&"upload".into(), &(3 << 20).into())
        );
        assert_eq!(
            (&lines[1]["direction"], &lines[1]["bytes"]),
            (&"download".into(), &1_000_001.into())
        );
        assert!(lines[1]["mebibytesPerSecond"].as_f64().unwrap() > 0.0);
    }

    let human = run(home.path(), &["ping", &addresses[0], "-c", "1"]);
    assert!(text(&human.stdout).contains("1 sent, 0 lost"), "{}", text(&human.stdout));
    let mut events: Vec<Value> = Vec::new();
    while events.iter().filter(|event| event["event"] == "disconnected").count() < 7 {
        events.push(server.next().unwrap());
    }
    server.signal("-TERM");
    events.extend(std::iter::from_fn(|| server.next()));
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((count("connected"), count("disconnected"), count("closed")), (7, 7, 1));
    assert_eq!(server.child.0.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn an_interruption_ends_it_cleanly_with_peers_connected() {
    let home = tempfile::tempdir().unwrap();
    let (mut server, listening) = Server::start(home.path(), &LOOPBACK);
    let to = addresses(&listening).remove(0);
    let mut ping = program(&["--json", "ping", &to, "-c", "1000", "-i", "600"]);
    let mut ping = ping.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(ping.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    server.signal("-INT");
    assert_eq!(server.child.0.wait().unwrap().code(), Some(0));
    ping.kill().unwrap();
    ping.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn a_server_outlives_a_want_of_descriptors() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 32 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_polypeer")]);
    command.args(["--json", "serve"]).args(LOOPBACK).env("HOME", home.path());
    let (_server, listening) = Server::spawn(command);
    for to in addresses(&listening) {
        let port: u16 = to.split('/').nth(4).unwrap().parse().unwrap();
        // More than it has descriptors for; the kernel keeps the rest waiting.
        let crowd: Vec<_> =
            (0..60).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
        drop(crowd);
        let ping = run(home.path(), &["ping", &to, "-c", "1"]);
        assert_eq!(ping.status.code(), Some(0), "{}", text(&ping.stderr));
    }
}

#[test]
fn what_a_peer_does_not_offer_fails_with_a_hint() {
    let home = tempfile::tempdir().unwrap();
    let (_server, listening) = Server::start(home.path(), &LOOPBACK);
    let to = addresses(&listening).remove(0);
    let perf = run(home.path(), &["perf", &to, "--upload", "1", "--download", "1"]);
    assert_eq!(perf.status.code(), Some(1));
    assert!(text(&perf.stderr).contains("serve --perf"), "{}", text(&perf.stderr));
}

#[test]
fn a_server_begins_with_peers_and_remembers_them_over_a_sudden_end() {
    let home = tempfile::tempdir().unwrap();
    let (_first, listening) = Server::start(home.path(), &LOOPBACK);
    let peer = listening["peer"].as_str().unwrap().to_owned();
    let to = addresses(&listening).remove(0);
    let other = home.path().join("other");
    let key = ["--key", other.to_str().unwrap()];
    let begin = ["--bootstrap", &to];
    let (mut second, _) = Server::start(home.path(), &[&LOOPBACK[..], &key, &begin].concat());
    let connected = second.next().unwrap();
    assert_eq!(connected["event"], "connected");
    assert_eq!(connected["peer"], peer);
    assert_eq!(second.next().unwrap()["event"], "bootstrapped");
    let file = home.path().join("other.peers.redb");
    // Written every few seconds and at the end; here the end is in order.
    second.signal("-TERM");
    assert_eq!(second.child.0.wait().unwrap().code(), Some(0));
    let mut storage = polypeer_native::store::FileStore::open(&file).unwrap();
    let entries = polypeer::facade::Storage::entries(&mut storage);
    assert_eq!(entries.len(), 1);
    drop(storage);

    // One that is killed leaves a file that the next one opens; a broken file is no
    // obstacle either, and neither is one that is in use.
    let (mut third, _) = Server::start(home.path(), &[&LOOPBACK[..], &key].concat());
    third.child.0.kill().unwrap();
    third.child.0.wait().unwrap();
    std::fs::write(&file, vec![7; 5000]).unwrap();
    let (_fourth, _) = Server::start(home.path(), &[&LOOPBACK[..], &key].concat());
    assert!(home.path().join("other.peers.redb.damaged").exists());
    let (_fifth, _) = Server::start(home.path(), &[&LOOPBACK[..], &key].concat());
    let none = home.path().join("none");
    let none = ["--key", none.to_str().unwrap(), "--no-store"];
    let (_sixth, _) = Server::start(home.path(), &[&LOOPBACK[..], &none].concat());
    assert!(!home.path().join("none.peers.redb").exists());
}

#[test]
fn the_certificate_of_webrtc_direct_is_kept_beside_the_key() {
    let home = tempfile::tempdir().unwrap();
    let certhash = |arguments: &[&str]| {
        let (_server, listening) = Server::start(home.path(), arguments);
        let to = addresses(&listening).remove(0);
        to.split('/').skip_while(|part| *part != "certhash").nth(1).unwrap().to_owned()
    };
    let first = certhash(&DIRECT);
    assert!(home.path().join(".config/polypeer/key.webrtc.pem").exists());
    assert_eq!(certhash(&DIRECT), first);
    let other = home.path().join("other.pem");
    let other = other.to_str().unwrap();
    assert_ne!(certhash(&[&DIRECT[..], &["--webrtc-certificate", other]].concat()), first);

    // One that is of no use is not replaced: addresses would change.
    std::fs::write(other, "no certificate").unwrap();
    let arguments = [&["serve"], &DIRECT[..], &["--webrtc-certificate", other]].concat();
    let damaged = run(home.path(), &arguments);
    assert_eq!(damaged.status.code(), Some(1));
    assert!(text(&damaged.stderr).contains("Move it away"), "{}", text(&damaged.stderr));
    // Without WebRTC direct there is none.
    let key = home.path().join("plain");
    let (_server, _) = Server::start(
        home.path(),
        &[&LOOPBACK[..], &["--key", key.to_str().unwrap(), "--no-store"]].concat(),
    );
    assert!(!home.path().join("plain.webrtc.pem").exists());
}

#[test]
fn people_are_told_first_what_to_give_to_pages() {
    let home = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str], lines: usize| {
        let mut command = program(&[&["serve"], arguments].concat());
        let child = command.env("HOME", home.path()).stdout(Stdio::piped()).spawn();
        let mut child = Ended(child.unwrap());
        let out = BufReader::new(child.0.stdout.take().unwrap()).lines();
        out.take(lines).collect::<Result<Vec<_>, _>>().unwrap()
    };
    let with = said(&[&LOOPBACK[..], &DIRECT].concat(), 7);
    assert!(with[1] == "For browsers" && with[3] == "Listening on", "{with:?}");
    assert!(with[2].contains("/certhash/") && with[4..].contains(&with[2]), "{with:?}");
    let without = said(&LOOPBACK, 4);
    assert_eq!(without[1], "Listening on");
}

#[test]
fn peers_that_are_not_there_or_another() {
    let home = tempfile::tempdir().unwrap();
    let (server, listening) = Server::start(home.path(), &LOOPBACK);
    let to = addresses(&listening).remove(0);
    let peer = listening["peer"].as_str().unwrap();
    let other = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    let wrong = run(home.path(), &["--json", "ping", &to.replace(peer, other), "-c", "1"]);
    assert_eq!(wrong.status.code(), Some(3));
    let error = &objects(&wrong.stderr)[0]["error"];
    assert_eq!(error["code"], "dial");
    assert!(error["message"].as_str().unwrap().contains(peer), "{error}");
    drop(server);
    let gone = run(home.path(), &["ping", &to, "-c", "1"]);
    assert_eq!(gone.status.code(), Some(3));
    let unsupported = run(home.path(), &["ping", "/ip4/127.0.0.1/udp/1/quic", "-c", "1"]);
    assert_eq!(unsupported.status.code(), Some(3));
}

#[test]
fn addresses_that_are_taken_or_not_spoken() {
    let home = tempfile::tempdir().unwrap();
    let (_server, listening) = Server::start(home.path(), &LOOPBACK);
    let taken = addresses(&listening).remove(0);
    let taken = taken.split("/p2p/").next().unwrap();
    for address in [taken, "/ip4/127.0.0.1/udp/0/quic", "/ip4/127.0.0.1/tcp/0/tls/ws"] {
        let second = run(home.path(), &["serve", "--listen", address]);
        assert_eq!(second.status.code(), Some(5), "{address}");
        assert!(text(&second.stderr).contains("--listen"), "{}", text(&second.stderr));
    }
}

#[test]
fn secure_websocket_with_files() {
    let home = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let write = |name: &str, text: String| {
        let path = home.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let chain = write("chain.pem", made.cert.pem());
    let key = write("key.pem", made.signing_key.serialize_pem());
    let on = ["--listen", "/ip4/127.0.0.1/tcp/0/tls/ws"];
    let files = ["--certificate", &chain, "--certificate-key", &key];
    let (_server, listening) = Server::start(home.path(), &[&on[..], &files].concat());
    let to = addresses(&listening).remove(0);
    assert_eq!(listening["browser"], to);
    let trusted = run(home.path(), &["ping", &to, "--roots", &chain, "-c", "1"]);
    assert_eq!(trusted.status.code(), Some(0), "{}", text(&trusted.stderr));
    let unknown = run(home.path(), &["ping", &to, "-c", "1"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(text(&unknown.stderr).contains("TLS"), "{}", text(&unknown.stderr));
    let swapped = ["--certificate", &key, "--certificate-key", &chain];
    let refused = run(home.path(), &[&["serve"], &on[..], &swapped].concat());
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn a_server_keeps_to_its_limits_and_tells_of_them() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("server.toml");
    std::fs::write(&file, "[bandwidth]\noutbound = \"100M\"\n").unwrap();
    let flags = ["--config", file.to_str().unwrap(), "--memory", "64M", "--stats", "0.05"];
    let (mut server, listening) = Server::start(home.path(), &[&LOOPBACK[..2], &flags].concat());
    let address = &addresses(&listening)[0];
    let ping = run(home.path(), &["ping", "-c", "1", address]);
    assert_eq!(ping.status.code(), Some(0), "{}", text(&ping.stderr));
    let stats = std::iter::from_fn(|| server.next())
        .find(|line| line["event"] == "stats" && line["protocols"].as_array().unwrap().len() > 1)
        .unwrap();
    assert!(stats["traffic"]["bytesOut"].as_u64().unwrap() > 0, "{stats}");
    let scopes = stats["scopes"].as_array().unwrap();
    let of = |scope: &str, resource: &str| {
        scopes.iter().find(|one| one["scope"] == scope && one["resource"] == resource).unwrap()
    };
    assert_eq!(of("system", "bytes of memory")["limit"], 32 << 20);
    assert_eq!(of("system", "connections")["limit"], 2048);

    // Whom it does not speak with.
    let deny = ["--deny", "/ip4/127.0.0.0/ipcidr/8"];
    let (_server, listening) = Server::start(home.path(), &[&LOOPBACK[..2], &deny].concat());
    let ping = run(home.path(), &["ping", "-c", "1", &addresses(&listening)[0]]);
    assert_eq!(ping.status.code(), Some(3), "{}", text(&ping.stderr));

    // What it does not understand.
    std::fs::write(&file, "[limits]\nmemory = \"much\"\n").unwrap();
    for wrong in [["--config", file.to_str().unwrap()], ["--deny", "10.0.0.0/8"]] {
        let failed = run(home.path(), &[&["--json", "serve"], &wrong[..]].concat());
        assert_eq!(failed.status.code(), Some(2));
        assert_eq!(objects(&failed.stderr)[0]["error"]["code"], "config");
    }
}
