//! Filters, rates and figures of a running peer.

use futures::channel::oneshot;

use crate::node::{Direction, PeerStats, Stats};
use crate::swarm::gate::{Subject, Verdict};
use crate::swarm::meter::{Of, Rates, Traffic};

use super::commands::Command;
use super::{Connection, Node, NodeClosed};

impl Node {
    /// What the peer does and holds now, to be printed or watched.
    pub async fn stats(&self) -> Result<Stats, NodeClosed> {
        self.look(|node, now| node.stats(now)).await
    }

    /// What each connected peer uses now.
    pub async fn peer_stats(&self) -> Result<Vec<PeerStats>, NodeClosed> {
        self.look(|node, now| node.peer_stats(now)).await
    }

    /// Whom the peer speaks with.
    ///
    /// ```no_run
    /// # fn example(node: polypeer::facade::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// node.filters().deny("/ip4/10.0.0.0/ipcidr/8".parse()?, None);
    /// # Ok(()) }
    /// ```
    pub fn filters(&self) -> Filters<'_> {
        Filters { node: self }
    }

    /// Changes how fast bytes may come and go, from now on.
    pub fn set_bandwidth(&self, of: Of, rates: Rates) {
        self.send(Command::Use(Box::new(move |node, _| node.set_bandwidth(of, rates))));
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut crate::node::Node, crate::Instant) -> T + Send + 'static,
    ) -> Result<T, NodeClosed> {
        self.ask(|reply| {
            Command::Use(Box::new(move |node, now| {
                // Whoever asked may have gone.
                let _ = reply.send(look(node, now));
            }))
        })
        .await
    }
}

impl Connection {
    /// The bytes that its transport carries; `None` once it is over.
    pub async fn traffic(&self) -> Option<Traffic> {
        let (reply, answer) = oneshot::channel();
        let id = self.id;
        let look = move |node: &mut crate::node::Node, now| {
            // Whoever asked may have gone.
            let _ = reply.send(node.traffic(now, id));
        };
        // Without a brain the sender is dropped, which the answer tells.
        let _ = self.commands.unbounded_send(Command::Use(Box::new(look)));
        answer.await.ok().flatten()
    }
}

/// Whom a peer speaks with, changed while it runs: a connection that is denied
/// from now on is closed. See [`Filters`](crate::swarm::gate::Filters) for which
/// rule decides.
#[derive(Clone, Copy)]
pub struct Filters<'a> {
    node: &'a Node,
}

impl Filters<'_> {
    /// Allows `subject`, in one direction or in both.
    pub fn allow(&self, subject: Subject, direction: Option<Direction>) {
        self.set(subject, direction, Verdict::Allow);
    }

    /// Denies `subject`, in one direction or in both.
    pub fn deny(&self, subject: Subject, direction: Option<Direction>) {
        self.set(subject, direction, Verdict::Deny);
    }

    /// Forgets what was said of `subject`.
    pub fn remove(&self, subject: Subject, direction: Option<Direction>) {
        self.node.send(Command::Use(Box::new(move |node, now| {
            node.remove_filter(now, &subject, direction);
        })));
    }

    fn set(&self, subject: Subject, direction: Option<Direction>, verdict: Verdict) {
        self.node.send(Command::Use(Box::new(move |node, now| {
            node.set_filter(now, subject, direction, verdict);
        })));
    }
}
