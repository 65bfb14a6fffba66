//! The command `dht`: in a DHT, as the input says.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::kad::{
    self, GetProvidersOk, GetRecordOk, QueryId, QueryResult, QueryStats, Quorum, Record,
};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent, dial_opts::DialOpts};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, noise, ping, tcp, yamux,
};
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;

use crate::{Outcome, answers};

/// The DHT's name unless told otherwise.
pub const NAME: &str = "/test/kad/1.0.0";

type Kad = kad::Behaviour<kad::store::MemoryStore>;

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub kad: Kad,
}

/// A server of the DHT of this name, which takes in what others say of themselves.
pub fn behaviour(key: &Keypair, name: &str) -> Outcome<Behaviour> {
    let peer = key.public().to_peer_id();
    let config = kad::Config::new(StreamProtocol::try_from_owned(name.to_owned())?);
    let mut kad = Kad::with_config(peer, kad::store::MemoryStore::new(peer), config);
    kad.set_mode(Some(kad::Mode::Server));
    let identify = identify::Config::new("/ipfs/0.1.0".into(), key.public())
        .with_agent_version("test-peer-rust/1.0.0".into());
    let identify = identify::Behaviour::new(identify);
    Ok(Behaviour { identify, ping: ping::Behaviour::default(), kad })
}

/// Serves, and carries out what the input asks for, until it ends.
pub async fn serve(name: &str) -> Outcome<()> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| behaviour(key, name))?
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
                answers::print(answer(&mut swarm, &serde_json::from_str(&line)?).await);
            }
        }
    }
}

/// A result of a query.
pub struct Progress {
    pub id: QueryId,
    pub result: QueryResult,
    pub stats: QueryStats,
    pub last: bool,
}

/// Takes in what others say of themselves; tells of queries.
pub fn hear(swarm: &mut Swarm<Behaviour>, event: SwarmEvent<BehaviourEvent>) -> Option<Progress> {
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
            stats,
            step,
        })) => Some(Progress { id, result, stats, last: step.last }),
        _ => None,
    }
}

async fn results(swarm: &mut Swarm<Behaviour>, query: QueryId) -> Vec<QueryResult> {
    let mut all = Vec::new();
    loop {
        let event = swarm.select_next_some().await;
        if let Some(Progress { id, result, last, .. }) = hear(swarm, event)
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
