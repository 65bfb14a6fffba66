//! Names in a DHT of nodes on TCP: IPNS, and a namespace of one's own.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{address, host};
use futures::StreamExt;
use polypeer::facade::{Dht, DhtError, Node, Publish, PublishError};
use polypeer::node::Config;
use polypeer::protocols::kad::{self, Mode, PutError, QueryError, QueryEvent};
use polypeer::records::{Invalid, Namespace};
use polypeer::{Keypair, Rng};
use polypeer_native::Native;

fn keypair(number: u64) -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_number(number))
}

/// Nodes that all know each other.
async fn nodes(host: &Native, count: u64) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 0..count {
        let mut config = Config::new(keypair(number));
        config.kad = Some(kad::Config { mode: Mode::Server, ..kad::Config::default() });
        let node = Node::start(Arc::new(host.clone()), config);
        node.listen(address("/ip4/127.0.0.1/tcp/0")).await.unwrap();
        for other in &nodes {
            node.dial(other.addresses().await.unwrap().remove(0)).await.unwrap();
        }
        nodes.push(node);
    }
    for node in &nodes {
        while known(&node.dht()).await < count as usize - 1 {
            tokio::task::yield_now().await;
        }
    }
    nodes
}

async fn known(dht: &Dht) -> usize {
    let mut query = dht.closest_peers(b"anything").await.unwrap();
    while let Some(event) = query.next().await {
        if let QueryEvent::Done(summary) = event {
            return summary.closest.len();
        }
    }
    0
}

#[tokio::test]
async fn a_name_is_published_found_and_changed() {
    let work = async {
        let host = host();
        let nodes = nodes(&host, 4).await;
        let (ipns, author) = (Namespace::ipns(), keypair(0));
        let options = Publish::default();
        let publish = async |value: &[u8]| {
            let dht = nodes[0].dht();
            dht.publish(&ipns, &author, b"", value, options).await.unwrap()
        };
        let resolve = async |from: usize| {
            nodes[from].dht().resolve(&ipns, &author.peer_id(), b"").await.unwrap()
        };
        assert_eq!(resolve(3).await, None);
        let first = publish(b"/ipfs/first").await;
        assert_eq!((first.kept, first.record.content().sequence), (3, 0));
        assert_eq!(resolve(3).await, Some(first.record.clone()));
        // The same again lives longer, something else is a new version.
        assert_eq!(publish(b"/ipfs/first").await.record.content().sequence, 0);
        let second = publish(b"/ipfs/second").await;
        assert_eq!((second.kept, second.record.content().sequence), (3, 1));
        assert_eq!(resolve(2).await, Some(second.record));
        // What was better once is refused.
        let key = ipns.key(&author.peer_id(), b"");
        let old = nodes[1].dht().put(&key, first.record.as_bytes()).await;
        assert!(matches!(old, Err(DhtError::Query(QueryError::Put(PutError::Worse)))), "{old:?}");
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
}

#[tokio::test]
async fn a_namespace_of_ones_own_needs_its_validator() {
    let work = async {
        let host = host();
        let nodes = nodes(&host, 3).await;
        let (own, author) = (Namespace::new("profiles").unwrap(), keypair(0));
        let options = Publish::default();
        let publish = async || {
            let dht = nodes[0].dht();
            dht.publish(&own, &author, b"avatar", b"a cat", options).await
        };
        let unknown = DhtError::Query(QueryError::Put(PutError::Invalid(Invalid::Namespace)));
        assert_eq!(publish().await, Err(PublishError::Dht(unknown)));
        for node in &nodes[..2] {
            node.dht().set_validator("profiles", Box::new(own.clone())).await.unwrap();
        }
        // The third does not know what is good there, and keeps nothing.
        let published = publish().await.unwrap();
        assert_eq!(published.kept, 1);
        let found = nodes[1].dht().resolve(&own, &author.peer_id(), b"avatar").await.unwrap();
        assert_eq!(found, Some(published.record));
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
}
