//! Rendezvous: the point, and who meets there.

use std::time::Duration;

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, identify, noise, ping,
    rendezvous::{self, Namespace},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    Outcome,
    dial::{connect, named},
    host::{self, IDLE},
};

/// Until the point has answered.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(NetworkBehaviour)]
struct Point {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    rendezvous: rendezvous::server::Behaviour,
}

#[derive(NetworkBehaviour)]
struct Client {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    rendezvous: rendezvous::client::Behaviour,
}

fn builder<B: NetworkBehaviour>(
    behaviour: impl FnOnce(&libp2p::identity::Keypair) -> B,
) -> Outcome<Swarm<B>> {
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(behaviour)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
        .build())
}

/// Is a point, and goes on in the background.
pub async fn serve() -> Outcome<(PeerId, Vec<String>)> {
    let swarm = builder(|key| Point {
        identify: host::identify(key),
        ping: ping::Behaviour::default(),
        rendezvous: rendezvous::server::Behaviour::new(rendezvous::server::Config::default()),
    })?;
    host::listen(swarm, "tcp", |_, _| {}).await
}

/// Registers at a point, finds itself there and whom else the point has, and prints that.
pub async fn ask(address: Multiaddr) -> Outcome<bool> {
    let mut swarm = builder(|key| Client {
        identify: host::identify(key),
        ping: ping::Behaviour::default(),
        rendezvous: rendezvous::client::Behaviour::new(key.clone()),
    })?;
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let listening = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    swarm.add_external_address(listening);
    let point = named(&address)?;
    connect(&mut swarm, &address).await?;
    let (ok, detail) = match timeout(PATIENCE, meet(&mut swarm, point)).await {
        Ok(Ok(found)) => (found.contains(&swarm.local_peer_id().to_string()), found.join(" ")),
        Ok(Err(error)) => (false, error.to_string()),
        Err(_) => (false, "the point did not answer in time".into()),
    };
    println!("{}", json!({ "ok": ok, "checks": { "meet": { "ok": ok, "detail": detail } } }));
    Ok(ok)
}

/// Whom the point has, page by page, once it has us.
async fn meet(swarm: &mut Swarm<Client>, point: PeerId) -> Outcome<Vec<String>> {
    let namespace = Namespace::from_static("polypeer");
    swarm.behaviour_mut().rendezvous.register(namespace.clone(), point, None)?;
    let mut found = Vec::new();
    loop {
        let SwarmEvent::Behaviour(ClientEvent::Rendezvous(event)) = swarm.select_next_some().await
        else {
            continue;
        };
        let client = &mut swarm.behaviour_mut().rendezvous;
        match event {
            rendezvous::client::Event::Registered { .. } => {
                client.discover(Some(namespace.clone()), None, Some(1), point);
            }
            rendezvous::client::Event::Discovered { registrations, cookie, .. } => {
                if registrations.is_empty() {
                    return Ok(found);
                }
                found.extend(registrations.iter().map(|one| one.record.peer_id().to_string()));
                client.discover(Some(namespace.clone()), Some(cookie), Some(1), point);
            }
            rendezvous::client::Event::RegisterFailed { error, .. }
            | rendezvous::client::Event::DiscoverFailed { error, .. } => {
                return Err(format!("the point refused: {error:?}").into());
            }
            rendezvous::client::Event::Expired { .. } => {}
        }
    }
}
