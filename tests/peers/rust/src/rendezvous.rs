//! The command `rendezvous`: a point, and somebody who asks others, as the input says.

use std::time::Duration;

use futures::StreamExt;
use libp2p::rendezvous::{Namespace, client, server};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent, dial_opts::DialOpts};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;

use crate::{Outcome, answers};

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    point: server::Behaviour,
    client: client::Behaviour,
}

/// Serves, and carries out what the input asks for, until it ends.
pub async fn serve() -> Outcome<()> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(
                identify::Config::new("/ipfs/0.1.0".into(), key.public())
                    .with_agent_version("test-peer-rust/1.0.0".into()),
            ),
            point: server::Behaviour::new(server::Config::default()),
            client: client::Behaviour::new(key.clone()),
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3600)))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let peer = *swarm.local_peer_id();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    // What it registers.
    swarm.add_external_address(address.clone());
    let address = address.with_p2p(peer).map_err(|_| "the address names another peer")?;
    println!("{}", json!({ "peerId": peer.to_string(), "addresses": [address.to_string()] }));
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            _ = swarm.select_next_some() => {}
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                answers::print(answer(&mut swarm, &serde_json::from_str(&line)?).await);
            }
        }
    }
}

async fn answer(swarm: &mut Swarm<Behaviour>, request: &Value) -> Outcome<Value> {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let namespace = || Namespace::new(text("namespace").to_owned());
    let point = || text("point").parse::<PeerId>();
    match text("op") {
        "connect" => {
            let address: Multiaddr = text("address").parse()?;
            swarm.dial(DialOpts::from(address))?;
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { .. } => return Ok(json!({})),
                    SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
                    _ => {}
                }
            }
        }
        "register" => {
            swarm.behaviour_mut().client.register(namespace()?, point()?, None)?;
            match told(swarm).await {
                client::Event::Registered { ttl, .. } => Ok(json!({ "ttl": ttl })),
                other => Err(format!("{other:?}").into()),
            }
        }
        "discover" => {
            swarm.behaviour_mut().client.discover(Some(namespace()?), None, None, point()?);
            match told(swarm).await {
                client::Event::Discovered { registrations, .. } => {
                    let found = registrations.iter().map(|one| {
                        let addresses = one.record.addresses();
                        (one.record.peer_id().to_string(), json!(addresses))
                    });
                    Ok(json!({ "peers": found.collect::<serde_json::Map<_, _>>() }))
                }
                other => Err(format!("{other:?}").into()),
            }
        }
        other => Err(format!("no such request: {other}").into()),
    }
}

/// What the client tells next.
async fn told(swarm: &mut Swarm<Behaviour>) -> client::Event {
    loop {
        if let SwarmEvent::Behaviour(BehaviourEvent::Client(event)) = swarm.select_next_some().await
        {
            return event;
        }
    }
}
