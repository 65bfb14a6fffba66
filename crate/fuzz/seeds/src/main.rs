//! Writes inputs that honest peers send as seeds: `seeds DIRECTORY`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use polypeer::identity::{PeerRecord, SignedEnvelope};
use polypeer::discovery::mdns::{self, Mdns};
use polypeer::discovery::topics::announcing::Announcement;
use polypeer::muxer::yamux::{Config, Role as Side, Yamux};
use polypeer::negotiate::Dialer;
use polypeer::protocols::autonat;
use polypeer::protocols::pubsub::wire::{Extensions, Item, RpcWriter};
use polypeer::protocols::pubsub::{self, MessageId, Out, Router, Version};
use polypeer::protocols::autonat::message::{DialStatus, Message, ResponseStatus};
use polypeer::protocols::kad::{Answer, Contact, Link, Record, Request};
use polypeer::protocols::rendezvous::{self, Register, Status};
use polypeer::records::{Content, Lifetime, Namespace};
use polypeer::security::Role;
use polypeer::security::noise::Handshake;
use polypeer::security::plaintext;
use polypeer::swarm::store::{Config as StoreConfig, Patch, PeerStore, Tag};
use polypeer::wire::protobuf::Reader;
use polypeer::wire::varint;
use polypeer::{Instant, Keypair, Multiaddr, Rng};
use polypeer_fuzz_seeds::{keypair, noise_config, upgrade};

const ADDRESSES: [&str; 8] = [
    "/ip4/192.0.2.1/tcp/4001",
    "/ip6/2001:db8::1/udp/4001/quic-v1",
    "/dns4/relay.example/tcp/443/tls/sni/relay.example/ws",
    "/ip6zone/eth0/ip6/fe80::1/tcp/1",
    "/unix/%2Frun%2Fpeer.sock",
    "/ip4/192.0.2.1/udp/9/webrtc-direct/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ",
    "/ip4/192.0.2.1/tcp/1/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo/p2p-circuit",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
];

/// A length-delimited field of a protobuf, with a number below 16.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    varint::encode(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn lines(names: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    Dialer::new(vec![names[0].into()], &mut out).unwrap();
    for name in &names[1..] {
        varint::encode(name.len() as u64 + 1, &mut out);
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out
}

/// What a Yamux client sends that opens a stream and says `text` on it.
fn frames(text: &[u8]) -> Vec<u8> {
    let mut yamux = Yamux::new(Config::default(), Side::Client, Instant::ZERO);
    let stream = yamux.open().unwrap();
    let mut view = yamux.stream(stream).unwrap();
    view.write(text).unwrap();
    view.finish();
    yamux.ping(Instant::ZERO);
    let mut out = Vec::new();
    while yamux.transmit(Instant::ZERO, &mut out, 1 << 16) > 0 {}
    out
}

fn noise() -> [Vec<u8>; 3] {
    let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::new());
    let mut a = Handshake::new(noise_config(Role::Initiator), &mut first).unwrap();
    let mut b = Handshake::new(noise_config(Role::Responder), &mut second).unwrap();
    b.receive(&first, &mut second).unwrap();
    a.receive(&second, &mut third).unwrap();
    [first, second, third]
}

/// An entry of the peer store as it is stored, behind version and checksum.
fn entry(record: &PeerRecord) -> Vec<u8> {
    let config = StoreConfig { journal: Some(Duration::ZERO), ..StoreConfig::default() };
    let mut store = PeerStore::new(config, keypair(1).peer_id());
    let (now, peer) = (Instant::ZERO, record.peer_id());
    store.discovered_record(now, record, Duration::from_secs(60));
    store.connected(now, &peer, record.addresses().first());
    let tag = Tag { value: 5, expires: u64::MAX };
    let patch = Patch {
        addresses: Some(record.addresses()[1..3].to_vec()),
        metadata: vec![("name".into(), Some(b"Ann".to_vec()))],
        tags: vec![("friend".into(), Some(tag))],
    };
    store.patch(now, &peer, patch).unwrap();
    store.flush();
    store.poll_change().unwrap().value.unwrap()[5..].to_vec()
}

/// `data` in one piece, behind the byte that says so.
fn whole(data: &[u8]) -> Vec<u8> {
    [&[0], data].concat()
}

/// What a neighbour asks, and how it answers itself.
fn mdns(addresses: &[Multiaddr]) -> Vec<Vec<u8>> {
    let (id, rng) = (keypair(2).peer_id(), &mut Rng::from_number(2));
    let mut mdns = Mdns::new(Instant::ZERO, mdns::Config::default(), id, rng);
    mdns.handle_timeout(Instant::ZERO, addresses);
    let question = mdns.poll_packet().unwrap();
    mdns.receive(Instant::ZERO, &question);
    mdns.handle_timeout(Instant::ZERO, addresses);
    [question].into_iter().chain(std::iter::from_fn(|| mdns.poll_packet())).collect()
}

/// Messages of both versions.
fn autonat(addresses: &[Multiaddr]) -> Vec<Vec<u8>> {
    let dial = autonat::v1::Message::Dial {
        peer: Some(keypair(1).peer_id()),
        addresses: addresses.to_vec(),
    };
    let response = autonat::v1::Message::Response {
        status: autonat::v1::Status::Ok,
        address: addresses.first().cloned(),
    };
    let request = Message::Request {
        addresses: addresses.iter().cloned().map(Some).collect(),
        nonce: 0x0102_0304_0506_0708,
    };
    let (status, dialed) = (ResponseStatus::Ok, DialStatus::Ok);
    let second = [
        request,
        Message::Response { status, index: 1, dial: dialed },
        Message::DataRequest { index: 1, bytes: 30_000 },
        Message::Data(100),
    ];
    let first = [dial, response].map(|message| message.encode());
    second.iter().map(Message::encode).chain(first).collect()
}

/// What is asked of a DHT, and what is answered.
fn kad(addresses: &[Multiaddr]) -> Vec<Vec<u8>> {
    let key = b"/any/key".to_vec();
    let contact = |number| Contact {
        peer: keypair(number).peer_id(),
        addresses: addresses[..2].to_vec(),
        link: Link::Connected,
    };
    let received = String::from("2026-01-01T00:00:00Z");
    let record = Record { key: key.clone(), value: b"value".to_vec(), received };
    let requests = [
        Request::FindNode { key: key.clone() },
        Request::GetValue { key: key.clone() },
        Request::PutValue { record: record.clone() },
        Request::GetProviders { key: key.clone() },
        Request::AddProvider { key, providers: vec![contact(2)] },
    ];
    let answer =
        Answer { record: Some(record), closer: vec![contact(3)], providers: vec![contact(4)] };
    let asked = requests.iter().map(Request::to_bytes);
    asked.chain(requests.iter().map(|request| request.answer(answer.clone()))).collect()
}

/// Each kind of message, with a record that is good.
fn rendezvous(record: &PeerRecord) -> Vec<Vec<u8>> {
    let namespace = String::from("chat");
    let register =
        Register { namespace: namespace.clone(), record: record.to_bytes(), ttl: Some(7200) };
    let (status, text) = (Status::Ok, String::new());
    let messages = [
        rendezvous::Message::Register(register.clone()),
        rendezvous::Message::Registered { status, text: text.clone(), ttl: Some(7200) },
        rendezvous::Message::Unregister { namespace: namespace.clone() },
        rendezvous::Message::Discover {
            namespace: Some(namespace),
            limit: Some(10),
            cookie: Some(vec![0; 12]),
        },
        rendezvous::Message::Discovered {
            status,
            text,
            registrations: vec![register],
            cookie: vec![0; 12],
        },
    ];
    messages.iter().map(rendezvous::Message::encode).collect()
}

/// A record of IPNS, and its signed data alone.
fn ipns() -> [Vec<u8>; 2] {
    let content = Content {
        value: b"/ipfs/bafkqaddwgevxmmraojswg33smq".to_vec(),
        sequence: 300,
        lifetime: Lifetime::Until(Duration::new(2_000_000_000, 1)),
        ttl: Duration::from_secs(300),
    };
    let record = Namespace::ipns().sign(&keypair(1), b"", content).unwrap();
    let data = Reader(record.as_bytes()).flatten().find(|(tag, _)| *tag == 9);
    let data = data.and_then(|(_, data)| data.bytes().ok()).unwrap().to_vec();
    [record.as_bytes().to_vec(), data]
}

/// RPCs of all kinds, and one of many tiny fields.
fn pubsub() -> Vec<Vec<u8>> {
    let id = || MessageId::new(&[7; 50]);
    let items = [
        Item::Extensions(Extensions { test: true, choking: true }),
        Item::Subscribe("news".into()),
        Item::Unsubscribe("old".into()),
        Item::IHave("news".into(), vec![id()]),
        Item::IWant(vec![id()]),
        Item::Graft("news".into()),
        Item::Prune { topic: "news".into(), peers: Vec::new(), backoff: Some(u64::MAX) },
        Item::IDontWant(vec![id()]),
    ];
    let mut router =
        Router::new(pubsub::Config::default(), keypair(3), 1, Rng::from_number(3));
    let peer = keypair(1).peer_id();
    router.connected(Instant::ZERO, peer, Version::V1_3, (true, None));
    router.receive(Instant::ZERO, &peer, Item::Subscribe("news".into()));
    router.publish(Instant::ZERO, "news", b"hello").unwrap();
    let messages = std::iter::from_fn(|| router.poll()).filter_map(|out| match out {
        Out::Message(_, _, message) => Some(Item::Message(message)),
        _ => None,
    });
    let mut all = RpcWriter::default();
    let mut seeds = Vec::new();
    for item in items.into_iter().chain(messages) {
        let mut one = RpcWriter::default();
        one.push(&item);
        all.push(&item);
        seeds.push(one.finish());
    }
    seeds.push(all.finish());
    seeds.push(b"\x0a\x08\x08\x01\x12\x04aaaa".repeat(1000));
    let addresses = vec!["/ip4/192.0.2.1/tcp/4001".parse().unwrap()];
    seeds.push(Announcement { key: keypair(1).public(), addresses }.to_bytes());
    seeds
}

fn main() {
    let directory = std::env::args().nth(1).expect("a directory for the seeds");
    let write = |target: &str, seeds: &[Vec<u8>]| {
        let folder = Path::new(&directory).join(target);
        fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    };
    let mut rng = Rng::from_number(3);
    let keys =
        [keypair(1), Keypair::generate_secp256k1(&mut rng), Keypair::generate_ecdsa(&mut rng)];
    let addresses: Vec<Multiaddr> = ADDRESSES.iter().map(|text| text.parse().unwrap()).collect();
    let binary: Vec<Vec<u8>> = addresses.iter().map(|a| a.as_bytes().to_vec()).collect();
    let text = |list: &[&str]| list.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();

    write("autonat", &autonat(&addresses));
    write("ipns", &ipns());
    write("kad", &kad(&addresses));
    write("mdns", &mdns(&addresses));
    write("pubsub", &pubsub());
    write("varint", &[vec![0], vec![0x80, 1], vec![0xff; 9]]);
    let answers = lines(&["/a"]).len() - 4;
    let header = &lines(&["/a"])[..answers];
    write("multistream_dialer", &[whole(&[header, b"\x03na\n\x03/b\n"].concat())]);
    write("multistream_listener", &[whole(&lines(&["/a", "ls", "/c", "/b"]))]);

    let [first, second, third] = noise();
    write("noise_initiator", &[whole(&second)]);
    write("noise_responder", &[whole(&first), whole(&[first.clone(), third].concat())]);
    let extensions = [field(2, b"/yamux/1.0.0"), field(1, &[0x12; 34])].concat();
    let payload = |key: &Keypair| {
        [field(1, &key.public().to_protobuf()), field(2, &[7; 64]), field(4, &extensions)].concat()
    };
    write("noise_payload", &keys.each_ref().map(payload));
    write("noise_opener", &[[&[0, 20][..], &[1; 20], &[0, 16], &[2; 16]].concat()]);
    let mut exchange = Vec::new();
    plaintext::Handshake::new(&keys[0].public(), None, &mut exchange);
    write("plaintext", &[whole(&exchange)]);
    let file = |encoding: &str, key: &str| {
        format!("/key/swarm/psk/1.0.0/\n/{encoding}/\n{key}\n").into_bytes()
    };
    let key = "A".repeat(43) + "=";
    write(
        "swarm_key",
        &[file("base16", &"0f".repeat(32)), file("base64", &key), file("bin", &key[..32])],
    );

    let wire = frames(b"hello");
    write("yamux_header", &[wire[..12].to_vec()]);
    write("yamux", &[whole(&wire), [&[5], &*wire].concat()]);
    write("multiaddr_bytes", &binary);
    write("multiaddr_text", &text(&ADDRESSES));
    let id = keys[1].peer_id();
    let id_texts = [id.to_string(), id.to_cid(), keys[0].peer_id().to_string()];
    write("peer_id", &id_texts.map(String::into_bytes));
    let public = keys.each_ref().map(|key| key.public().to_protobuf());
    let private = keys.each_ref().map(|key| key.to_protobuf().to_vec());
    write("key", &[public, private].concat());
    write("base", &text(&["bnbswy3dp", "f68656c6c6f", "uaGVsbG8", "StV1DL6CwTryKyV", "k2k4r8"]));

    let envelopes = keys.each_ref().map(|key| {
        SignedEnvelope::seal(key, "domain", b"type", b"payload".to_vec()).unwrap().to_bytes()
    });
    write("envelope", &envelopes);
    let record = PeerRecord::seal(&keys[0], 7, addresses).unwrap();
    let own = PeerRecord::seal(&keypair(2), 7, record.addresses().to_vec()).unwrap();
    write("rendezvous", &rendezvous(&own));
    write("peer_record", &[record.to_bytes(), record.envelope().payload().to_vec()]);

    write(
        "store",
        &[entry(&PeerRecord::seal(&keypair(2), 7, record.addresses().to_vec()).unwrap())],
    );

    let message = [
        field(1, &keypair(7).public().to_protobuf()),
        field(2, &binary[0]),
        field(3, b"/echo/1.0.0"),
        field(4, &binary[1]),
        field(5, b"ipfs/0.1.0"),
        field(6, b"agent"),
        field(8, &record.to_bytes()),
    ]
    .concat();
    let hello = [&[0x12, 33][..], b"\x13/multistream/1.0.0\n\x0c/echo/1.0.0\n"].concat();
    let opened = [&[0, 40, 0][..], &[0; 39], &[64, hello.len() as u8], &hello].concat();
    write(
        "channels",
        &[opened, vec![0, 3, 0, 0, 0, 64, 2, 8, 0], vec![1, 0, 64, 4, 0x12, 2, 0, 0]],
    );
    // Answer and candidates, each behind its length.
    let signals = [&b"\x08\x08\x01\x12\x04v=0\n"[..], b"\x08\x08\x02\x12\x04null"].concat();
    write("signalling", &[signals, b"\x08\x00\x12\x03v=0".to_vec()]);
    let punch = [&[8, 100][..], &field(2, &binary[0]), &[0xff, 8, 0xac, 2]].concat();
    write("dcutr", &[punch[..punch.len() - 4].to_vec(), punch]);
    write("identify", std::slice::from_ref(&message));
    let stream = |name: &str, data: &[u8]| frames(&[lines(&[name]), data.to_vec()].concat());
    let mut sized = Vec::new();
    varint::encode(message.len() as u64, &mut sized);
    sized.extend_from_slice(&message);
    write(
        "connection",
        &[
            [&[0, 0], &*upgrade(), &frames(b"hello")].concat(),
            [&[1, 0], &*stream("/echo/1.0.0", b"hello")].concat(),
            [&[1, 50], &*stream("/ipfs/ping/1.0.0", &[9; 32])].concat(),
            [&[1, 0], &*stream("/ipfs/id/push/1.0.0", &sized)].concat(),
            [&[1, 7], &*stream("/ipfs/id/1.0.0", b"")].concat(),
        ],
    );
}
