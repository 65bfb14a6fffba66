//! The commands `pubsub`, topics as the input says, and `pubsub-bench`.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use libp2p::gossipsub::{self, ConfigBuilder, IdentTopic, MessageAuthenticity, TopicHash, Version};
use libp2p::identity::Keypair;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent, dial_opts::DialOpts};
use libp2p::{Multiaddr, Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;

use crate::gossip::{self, Deliveries};
use crate::host::{self, IDLE};
use crate::{Outcome, answers};

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    gossipsub: gossipsub::Behaviour,
}

fn gossipsub(key: &Keypair, name: Option<&str>) -> Outcome<gossipsub::Behaviour> {
    let mut config = ConfigBuilder::default();
    match name {
        None => config.support_floodsub(),
        Some(name) => config.protocol_id(name.to_owned(), Version::V1_1),
    };
    Ok(gossipsub::Behaviour::new(MessageAuthenticity::Signed(key.clone()), config.build()?)?)
}

/// A peer on loopback, and where it is.
async fn listen(name: Option<&str>) -> Outcome<(Swarm<Behaviour>, Multiaddr)> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| {
            Ok(Behaviour { identify: host::identify(key), gossipsub: gossipsub(key, name)? })
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let own = *swarm.local_peer_id();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            let address = address.with_p2p(own).map_err(|_| "the address names another peer")?;
            return Ok((swarm, address));
        }
    }
}

/// A peer with all that it was told on the topics of its own.
struct Peer {
    swarm: Swarm<Behaviour>,
    received: BTreeMap<TopicHash, Vec<Value>>,
}

/// Carries out what the input asks for until it ends; `name` is the only protocol to speak.
pub async fn serve(name: Option<&str>) -> Outcome<()> {
    let (swarm, address) = listen(name).await?;
    let own = *swarm.local_peer_id();
    println!("{}", json!({ "peerId": own.to_string(), "addresses": [address.to_string()] }));
    let mut peer = Peer { swarm, received: BTreeMap::new() };
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            event = peer.swarm.select_next_some() => peer.hear(event),
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                answers::print(peer.carry_out(&serde_json::from_str(&line)?).await);
            }
        }
    }
}

impl Peer {
    fn hear(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(gossipsub::Event::Message {
            message,
            ..
        })) = event
        else {
            return;
        };
        let from = message.source.map(|peer| peer.to_string());
        let data = BASE64_STANDARD.encode(&message.data);
        let all = self.received.entry(message.topic).or_default();
        all.push(json!({ "from": from, "data": data }));
    }

    async fn carry_out(&mut self, request: &Value) -> Outcome<Value> {
        let text = |name: &str| request[name].as_str().unwrap_or_default();
        let topic = IdentTopic::new(text("topic"));
        let gossipsub = &mut self.swarm.behaviour_mut().gossipsub;
        Ok(match text("op") {
            "connect" => {
                let address: Multiaddr = text("address").parse()?;
                self.swarm.dial(DialOpts::from(address))?;
                loop {
                    match self.swarm.select_next_some().await {
                        SwarmEvent::ConnectionEstablished { endpoint, .. }
                            if endpoint.is_dialer() =>
                        {
                            break json!({});
                        }
                        SwarmEvent::OutgoingConnectionError { error, .. } => {
                            return Err(error.into());
                        }
                        event => self.hear(event),
                    }
                }
            }
            "subscribe" => {
                gossipsub.subscribe(&topic)?;
                json!({})
            }
            "publish" => {
                gossipsub.publish(topic.hash(), BASE64_STANDARD.decode(text("data"))?)?;
                json!({})
            }
            "peers" => {
                let topic = topic.hash();
                let there = gossipsub.all_peers().filter(|(_, topics)| topics.contains(&&topic));
                json!({ "peers": there.map(|(peer, _)| peer.to_string()).collect::<Vec<_>>() })
            }
            "received" => {
                let count = usize::try_from(request["count"].as_u64().unwrap_or_default())?;
                loop {
                    let all = self.received.entry(topic.hash()).or_default();
                    if all.len() >= count {
                        break json!({ "messages": all });
                    }
                    let event = self.swarm.select_next_some().await;
                    self.hear(event);
                }
            }
            other => return Err(format!("no such request: {other}").into()),
        })
    }
}

/// Many peers in this process: how many messages a second they hear, and what one costs.
pub async fn bench(peers: usize, messages: usize, window: usize) -> Outcome<()> {
    let deliveries = Arc::new(Deliveries::new(peers, messages));
    let mut publishers = Vec::new();
    let mut addresses: Vec<Multiaddr> = Vec::new();
    for peer in 0..peers {
        let (mut swarm, address) = listen(None).await?;
        let topic = IdentTopic::new(gossip::TOPIC);
        swarm.behaviour_mut().gossipsub.subscribe(&topic)?;
        for other in gossip::dials(peer) {
            swarm.dial(DialOpts::from(addresses[other].clone()))?;
        }
        addresses.push(address);
        let (publisher, mut messages) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
        publishers.push(publisher);
        let deliveries = deliveries.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => {
                        if let SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(
                            gossipsub::Event::Message { message, .. },
                        )) = event
                        {
                            deliveries.heard(&message.data);
                        }
                    }
                    Some(data) = messages.recv() => {
                        // Without peers as yet it is not heard, which is counted.
                        let _ = swarm.behaviour_mut().gossipsub.publish(topic.hash(), data);
                    }
                }
            }
        });
    }
    let publish = async |peer: usize, data: Vec<u8>| -> Outcome<()> {
        publishers[peer].send(data).map_err(|_| "a peer has ended")?;
        Ok(())
    };
    deliveries.measure(peers, (messages, window), publish).await
}
