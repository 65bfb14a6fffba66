//! The command `dht-bench`: peers in memory, all in this process, and what queries take.

use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::core::{Transport, transport::MemoryTransport, upgrade::Version};
use libp2p::identity::Keypair;
use libp2p::kad::{GetClosestPeersError, GetRecordOk, QueryId, QueryResult, Quorum, Record};
use libp2p::{Multiaddr, Swarm, noise, yamux};
use tokio::sync::{mpsc, oneshot};

use crate::Outcome;
use crate::dht::{Behaviour, NAME, Progress, behaviour, hear};
use crate::lookups::{Ask, Began, Told};

type Asked = (Ask, oneshot::Sender<Told>);

/// Prints one line.
pub async fn run(count: usize) -> Outcome<()> {
    let began = Began::now();
    let (mut peers, mut asks, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..count {
        let address: Multiaddr = format!("/memory/{}", at + 1).parse()?;
        let mut swarm = in_memory(&address)?;
        let peer = *swarm.local_peer_id();
        known.push((peer, address));
        if at > 0 {
            let (peer, address) = known[at / 2].clone();
            swarm.behaviour_mut().kad.add_address(&peer, address);
        }
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(serve(swarm, receiver));
        peers.push(peer.to_bytes());
        asks.push(sender);
    }
    let ask = async |at: usize, ask: Ask| -> Outcome<Told> {
        let (reply, told) = oneshot::channel();
        asks[at].send((ask, reply)).await.map_err(|_| "a peer has ended")?;
        Ok(told.await?)
    };
    for at in 1..count {
        // That for its own key is the bootstrap.
        ask(at, Ask::Closest(peers[at].clone())).await?;
    }
    began.measure(&peers, ask).await
}

fn in_memory(address: &Multiaddr) -> Outcome<Swarm<Behaviour>> {
    let keypair = Keypair::generate_ed25519();
    let peer = keypair.public().to_peer_id();
    let transport = MemoryTransport::default()
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(&keypair)?)
        .multiplex(yamux::Config::default())
        .boxed();
    let config = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(Duration::from_secs(3600));
    let mut swarm = Swarm::new(transport, behaviour(&keypair, NAME)?, peer, config);
    swarm.listen_on(address.clone())?;
    swarm.add_external_address(address.clone());
    Ok(swarm)
}

/// One query at a time.
struct Waiting {
    query: QueryId,
    told: Told,
    reply: oneshot::Sender<Told>,
}

async fn serve(mut swarm: Swarm<Behaviour>, mut asks: mpsc::Receiver<Asked>) {
    let mut waiting: Option<Waiting> = None;
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                let Some(Progress { id, result, stats, last }) = hear(&mut swarm, event)
                else { continue };
                let Some(one) = waiting.as_mut().filter(|one| one.query == id) else { continue };
                match result {
                    QueryResult::GetClosestPeers(found) => {
                        let found = found.map(|found| found.peers);
                        let found = found.unwrap_or_else(|GetClosestPeersError::Timeout { peers, .. }| peers);
                        one.told.closest = found.iter().map(|peer| peer.peer_id.to_bytes()).collect();
                        one.told.at = Some(Instant::now());
                    }
                    QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(_))) => {
                        one.told.at = one.told.at.or(Some(Instant::now()));
                        if let Some(mut query) = swarm.behaviour_mut().kad.query_mut(&id) {
                            query.finish();
                        }
                    }
                    QueryResult::GetRecord(_) => {}
                    _ => one.told.at = Some(Instant::now()),
                }
                one.told.requests = stats.num_requests() as usize;
                if last && let Some(one) = waiting.take() {
                    // Whoever asked waits for it.
                    let _ = one.reply.send(one.told);
                }
            }
            ask = asks.recv() => {
                let Some((ask, reply)) = ask else { return };
                let own = swarm.local_peer_id().to_bytes();
                let kad = &mut swarm.behaviour_mut().kad;
                let query = match ask {
                    Ask::Closest(key) if key == own => kad.bootstrap().ok(),
                    Ask::Closest(key) => Some(kad.get_closest_peers(key)),
                    Ask::Put(key) => {
                        kad.put_record(Record::new(key, b"1:value".to_vec()), Quorum::One).ok()
                    }
                    Ask::Get(key) => Some(kad.get_record(key.into())),
                };
                let told = Told { at: None, requests: 0, closest: Vec::new() };
                waiting = query.map(|query| Waiting { query, told, reply });
            }
        }
    }
}
