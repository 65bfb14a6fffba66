//! A chat as a service: every peer has a session with its own state, messages go to
//! all others, urgent ones first, and a timer greets.
//!
//! ```sh
//! cargo run -p polypeer-native --example chat
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use polypeer::facade::Node;
use polypeer::node::{self, Event};
use polypeer::service::{
    Config, Context, End, Outcome, Service, Session, SessionContext, SessionInfo, Versions,
};
use polypeer::{Keypair, PeerId, Rng};
use polypeer_native::Native;
use tokio::sync::mpsc;

/// What the chat shows.
type Screen = mpsc::UnboundedSender<String>;

/// The chat, for the life of the node.
struct Chat {
    screen: Screen,
    /// How many lines each peer has said.
    lines: BTreeMap<PeerId, usize>,
}

impl Service for Chat {
    fn session(&mut self, _: &mut Context<'_>, _: &SessionInfo) -> Option<Box<dyn Session>> {
        Some(Box::new(Member { screen: self.screen.clone(), name: "somebody".into() }))
    }

    fn received(&mut self, cx: &mut Context<'_>, from: &SessionInfo, message: &[u8]) -> Outcome {
        *self.lines.entry(from.peer).or_default() += 1;
        // Whoever is in the middle passes on what was said.
        cx.broadcast(|to| to.peer != from.peer, message);
        Ok(())
    }

    fn disconnected(&mut self, _: &mut Context<'_>, from: &SessionInfo, _: &End) -> Outcome {
        let lines = self.lines.remove(&from.peer).unwrap_or(0);
        Ok(self.screen.send(format!("somebody left after {lines} lines"))?)
    }
}

/// One member, for the life of its session.
struct Member {
    screen: Screen,
    name: String,
}

impl Session for Member {
    fn connected(&mut self, cx: &mut SessionContext<'_>) -> Outcome {
        Ok(cx.set_timer("greet", Duration::from_millis(10))?)
    }

    fn notified(&mut self, cx: &mut SessionContext<'_>, token: &str) -> Outcome {
        debug_assert_eq!(token, "greet");
        cx.send("/hello")?;
        Ok(())
    }

    fn received(&mut self, _: &mut SessionContext<'_>, message: Vec<u8>) -> Outcome {
        match &*String::from_utf8(message)? {
            "/hello" => self.screen.send(format!("{} says hello", self.name))?,
            text => match text.strip_prefix("/name ") {
                Some(name) => self.name = name.to_owned(),
                None => self.screen.send(format!("{}: {text}", self.name))?,
            },
        }
        Ok(())
    }
}

/// Two peers that chat; what each of them saw.
pub(crate) async fn run() -> Result<[Vec<String>; 2], Box<dyn std::error::Error>> {
    let versions = Versions::range("/example/chat", "^1.2", "1.2.0")?;
    let mut peers = Vec::new();
    for seed in 1..=2 {
        let keypair = Keypair::generate_ed25519(&mut Rng::from_number(seed));
        let node = Node::start(Arc::new(Native::default()), node::Config::new(keypair));
        let (screen, seen) = mpsc::unbounded_channel();
        let chat = Chat { screen, lines: BTreeMap::new() };
        let chat = node.serve(Config::new(versions.clone()), chat).await?;
        peers.push((node, chat, seen));
    }
    let (bob, bobs, mut to_bob) = peers.remove(1);
    let (ann, anns, mut to_ann) = peers.remove(0);

    let mut events = ann.events();
    let address = bob.listen("/ip4/127.0.0.1/tcp/0".parse()?).await?.remove(0);
    ann.dial(address.with_peer(*bob.peer_id())).await?;
    while let Some(event) = events.next().await {
        if matches!(event, Event::SessionOpened { .. }) {
            break;
        }
    }
    // Both have greeted: now they are open on either side.
    let mut seen = [Vec::new(), Vec::new()];
    seen[0].extend(to_ann.recv().await);
    seen[1].extend(to_bob.recv().await);
    for text in ["/name Ann", "good morning"] {
        anns.broadcast(text).await?;
    }
    seen[1].extend(to_bob.recv().await);
    for text in ["/name Bob", "good evening"] {
        bobs.broadcast(text).await?;
    }
    seen[0].extend(to_ann.recv().await);
    ann.close().await;
    seen[1].extend(to_bob.recv().await);
    bob.close().await;
    Ok(seen)
}

#[tokio::main]
#[allow(dead_code, reason = "the tests have a main of their own")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (name, seen) in ["Ann", "Bob"].iter().zip(run().await?) {
        println!("{name} saw:");
        seen.iter().for_each(|line| println!("  {line}"));
    }
    Ok(())
}
