//! The commands `dht`, in a DHT as the input says, and `dht-bench`.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use libp2p::kad::{self, GetProvidersOk, GetRecordOk, QueryId, QueryResult, Quorum, Record};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent, dial_opts::DialOpts};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, noise, ping, tcp, yamux,
};
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;

use crate::Outcome;
use crate::process::{cpu_seconds, memory_mib};

/// The DHT's name unless told otherwise.
pub const NAME: &str = "/test/kad/1.0.0";

type Kad = kad::Behaviour<kad::store::MemoryStore>;

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    kad: Kad,
}

fn kademlia(peer: PeerId, name: &str) -> Outcome<Kad> {
    let config = kad::Config::new(StreamProtocol::try_from_owned(name.to_owned())?);
    let mut kad = Kad::with_config(peer, kad::store::MemoryStore::new(peer), config);
    kad.set_mode(Some(kad::Mode::Server));
    Ok(kad)
}

/// Serves, and carries out what the input asks for, until it ends.
pub async fn serve(name: &str) -> Outcome<()> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| {
            let peer = key.public().to_peer_id();
            let identify = identify::Config::new("/ipfs/0.1.0".into(), key.public())
                .with_agent_version("test-peer-rust/1.0.0".into());
            Ok(Behaviour {
                identify: identify::Behaviour::new(identify),
                ping: ping::Behaviour::default(),
                kad: kademlia(peer, name)?,
            })
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3600)))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let peer = *swarm.local_peer_id();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address.with_p2p(peer).map_err(|_| "the address names another peer")?;
        }
    };
    println!("{}", json!({ "peerId": peer.to_string(), "addresses": [address.to_string()] }));
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            event = swarm.select_next_some() => { hear(&mut swarm, event); }
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                match answer(&mut swarm, &serde_json::from_str(&line)?).await {
                    Ok(mut answer) => {
                        answer["ok"] = true.into();
                        println!("{answer}");
                    }
                    Err(error) => println!("{}", json!({ "ok": false, "error": error.to_string() })),
                }
            }
        }
    }
}

/// Takes in what others say of themselves; the result of a query, and whether it is the last.
fn hear(
    swarm: &mut Swarm<Behaviour>,
    event: SwarmEvent<BehaviourEvent>,
) -> Option<(QueryId, QueryResult, bool)> {
    match event {
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
            peer_id,
            info,
            ..
        })) => {
            for address in info.listen_addrs {
                swarm.behaviour_mut().kad.add_address(&peer_id, address);
            }
            None
        }
        SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
            id,
            result,
            step,
            ..
        })) => Some((id, result, step.last)),
        _ => None,
    }
}

async fn results(swarm: &mut Swarm<Behaviour>, query: QueryId) -> Vec<QueryResult> {
    let mut all = Vec::new();
    loop {
        let event = swarm.select_next_some().await;
        if let Some((id, result, last)) = hear(swarm, event)
            && id == query
        {
            all.push(result);
            if last {
                return all;
            }
        }
    }
}

async fn answer(swarm: &mut Swarm<Behaviour>, request: &Value) -> Outcome<Value> {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let bytes = |name: &str| BASE64_STANDARD.decode(text(name));
    let kad = &mut swarm.behaviour_mut().kad;
    Ok(match text("op") {
        "connect" => {
            let address: Multiaddr = text("address").parse()?;
            swarm.dial(DialOpts::from(address))?;
            loop {
                let event = swarm.select_next_some().await;
                let met = matches!(
                    event,
                    SwarmEvent::Behaviour(BehaviourEvent::Identify(
                        identify::Event::Received { .. }
                    ))
                );
                hear(swarm, event);
                if met {
                    break json!({});
                }
            }
        }
        "put" => {
            let record = Record::new(bytes("key")?, bytes("value")?);
            let query = kad.put_record(record, Quorum::One)?;
            for result in results(swarm, query).await {
                if let QueryResult::PutRecord(result) = result {
                    result?;
                }
            }
            json!({})
        }
        "get" => {
            let query = kad.get_record(bytes("key")?.into());
            // It leaves it to its user which record is the best.
            let found = results(swarm, query).await.into_iter().filter_map(|result| match result {
                QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
                    Some(found.record.value)
                }
                _ => None,
            });
            let sequence = |value: &Vec<u8>| {
                let text = String::from_utf8_lossy(value);
                text.split(':').next().and_then(|digits| digits.parse::<u32>().ok())
            };
            let best = found.max_by_key(sequence).ok_or("nobody has it")?;
            json!({ "value": BASE64_STANDARD.encode(best) })
        }
        "provide" => {
            let query = kad.start_providing(bytes("key")?.into())?;
            for result in results(swarm, query).await {
                if let QueryResult::StartProviding(result) = result {
                    result?;
                }
            }
            json!({})
        }
        "providers" => {
            let query = kad.get_providers(bytes("key")?.into());
            let mut peers = std::collections::BTreeSet::new();
            for result in results(swarm, query).await {
                if let QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders {
                    providers,
                    ..
                })) = result
                {
                    peers.extend(providers.iter().map(ToString::to_string));
                }
            }
            json!({ "peers": peers })
        }
        "findPeer" => {
            let wanted: PeerId = text("peer").parse()?;
            let query = kad.get_closest_peers(wanted);
            let addresses =
                closest(swarm, query).await.into_iter().find(|(peer, _)| *peer == wanted);
            json!({ "addresses": addresses.map(|(_, addresses)| addresses).unwrap_or_default() })
        }
        "closest" => {
            let query = kad.get_closest_peers(bytes("key")?);
            let peers = closest(swarm, query).await;
            json!({ "peers": peers.iter().map(|(peer, _)| peer.to_string()).collect::<Vec<_>>() })
        }
        other => return Err(format!("no such request: {other}").into()),
    })
}

async fn closest(swarm: &mut Swarm<Behaviour>, query: QueryId) -> Vec<(PeerId, Vec<Multiaddr>)> {
    let mut all = Vec::new();
    for result in results(swarm, query).await {
        if let QueryResult::GetClosestPeers(Ok(found)) = result {
            all.extend(found.peers.into_iter().map(|peer| (peer.peer_id, peer.addrs)));
        }
    }
    all
}

/// Peers in memory, all in this process: what queries take, as one line.
pub async fn bench(count: usize) -> Outcome<()> {
    let build = Instant::now();
    let cpu = cpu_seconds();
    let mut peers = Vec::new();
    for at in 0..count {
        peers.push(in_memory(at as u64 + 1)?);
    }
    let mut ids = Vec::new();
    for (at, swarm) in peers.iter().enumerate() {
        let address: Multiaddr = format!("/memory/{}", at + 1).parse()?;
        ids.push((*swarm.local_peer_id(), address));
    }
    // All but the first run on tasks; what is measured is asked of the first.
    let mut asks = Vec::new();
    for (at, mut swarm) in peers.into_iter().enumerate() {
        let (sender, receiver) =
            tokio::sync::mpsc::channel::<(Ask, tokio::sync::oneshot::Sender<Told>)>(1);
        asks.push(sender);
        let known = ids[at / 2].clone();
        tokio::spawn(async move {
            if at > 0 {
                swarm.behaviour_mut().add_address(&known.0, known.1);
            }
            answer_bench(swarm, receiver).await;
        });
    }
    let ask = async |at: usize, ask: Ask| -> Outcome<Told> {
        let (reply, told) = tokio::sync::oneshot::channel();
        asks[at].send((ask, reply)).await.map_err(|_| "a peer has ended")?;
        Ok(told.await?)
    };
    for at in 1..count {
        ask(at, Ask::Bootstrap).await?;
    }
    let (build, build_cpu) = (build.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let mut report = json!({ "peers": count, "build": build, "buildCpu": build_cpu });
    for (name, total) in [("closest", 250), ("put", 100), ("get", 100)] {
        let (mut times, mut requests, mut short) = (Vec::new(), 0, 0);
        let cpu = cpu_seconds();
        for number in 0..total {
            let key = format!("/test/{number}").into_bytes();
            let one = match name {
                "closest" => Ask::Closest(key),
                "put" => Ask::Put(key),
                _ => Ask::Get(key),
            };
            let began = Instant::now();
            let told = ask((number * 7 + name.len()) % count, one).await?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            requests += told.requests;
            short += usize::from(told.found < 20);
        }
        times.sort_by(f64::total_cmp);
        let cpu = (cpu_seconds() - cpu) * 1000.0 / total as f64;
        report[name] = json!({
            "medianMs": times[total / 2], "cpuMs": cpu,
            "requests": f64::from(requests) / total as f64, "short": short,
        });
    }
    report["mib"] = memory_mib().into();
    println!("{report}");
    Ok(())
}

enum Ask {
    Bootstrap,
    Closest(Vec<u8>),
    Put(Vec<u8>),
    Get(Vec<u8>),
}

struct Told {
    requests: u32,
    /// The closest peers, or 20.
    found: usize,
}

fn in_memory(port: u64) -> Outcome<Swarm<Kad>> {
    use libp2p::core::{Transport, transport::MemoryTransport, upgrade::Version};
    let keypair = libp2p::identity::Keypair::generate_ed25519();
    let peer = keypair.public().to_peer_id();
    let transport = MemoryTransport::default()
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(&keypair)?)
        .multiplex(yamux::Config::default())
        .boxed();
    let config = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(Duration::from_secs(3600));
    let mut swarm = Swarm::new(transport, kademlia(peer, NAME)?, peer, config);
    let address: Multiaddr = format!("/memory/{port}").parse()?;
    swarm.listen_on(address.clone())?;
    swarm.add_external_address(address);
    Ok(swarm)
}

async fn answer_bench(
    mut swarm: Swarm<Kad>,
    mut asks: tokio::sync::mpsc::Receiver<(Ask, tokio::sync::oneshot::Sender<Told>)>,
) {
    let mut waiting: Option<(QueryId, tokio::sync::oneshot::Sender<Told>)> = None;
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                let SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed { id, result, stats, step }) = event
                else { continue };
                let found = match result {
                    QueryResult::GetClosestPeers(Ok(found)) => found.peers.len(),
                    QueryResult::GetClosestPeers(Err(_)) => 0,
                    _ => NonZeroUsize::MAX.get(),
                };
                if step.last && let Some((_, reply)) = waiting.take_if(|(query, _)| *query == id) {
                    // Whoever asked waits for it.
                    let _ = reply.send(Told { requests: stats.num_requests(), found });
                }
            }
            ask = asks.recv() => {
                let Some((ask, reply)) = ask else { return };
                let kad = swarm.behaviour_mut();
                let query = match ask {
                    Ask::Bootstrap => kad.bootstrap().ok(),
                    Ask::Closest(key) => Some(kad.get_closest_peers(key)),
                    Ask::Put(key) => {
                        kad.put_record(Record::new(key, b"1:value".to_vec()), Quorum::One).ok()
                    }
                    Ask::Get(key) => Some(kad.get_record(key.into())),
                };
                waiting = query.map(|query| (query, reply));
            }
        }
    }
}
