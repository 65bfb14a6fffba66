//! Rendezvous of a running node.

use core::time::Duration;
use std::collections::BTreeMap;

use futures::channel::{mpsc, oneshot};

use crate::Instant;
use crate::identity::PeerId;
use crate::protocols::rendezvous::{
    Answer, Found, Point, RendezvousError, RendezvousEvent, RequestId, Search,
};

use super::brain::Brain;
use super::commands::Command;
use super::{Node, NodeClosed};

/// Rendezvous of a running node. See [`Node::rendezvous`].
#[derive(Clone)]
pub struct Rendezvous {
    node: Node,
}

/// Why a rendezvous point did not do what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RendezvousFailed {
    /// The request came to nothing.
    #[error(transparent)]
    Request(#[from] RendezvousError),
    /// The node has ended.
    #[error(transparent)]
    Closed(#[from] NodeClosed),
}

/// Begins a request.
pub(super) type Begin =
    Box<dyn FnOnce(&mut crate::node::Node, Instant) -> Result<RequestId, RendezvousError> + Send>;
/// Takes the number of a request, and where its answer comes.
pub(super) type Reply = oneshot::Sender<Result<(RequestId, Reception), RendezvousError>>;
type Reception = oneshot::Receiver<Result<Answer, RendezvousError>>;
/// Who waits for answers.
pub(super) type Meetings = BTreeMap<RequestId, oneshot::Sender<Result<Answer, RendezvousError>>>;

/// Gives a request up when nobody waits for it any more.
struct Pending {
    id: RequestId,
    commands: mpsc::UnboundedSender<Command>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        // A node that has ended asks nobody any more.
        let _ = self.commands.unbounded_send(Command::CancelRendezvous(self.id));
    }
}

impl Node {
    /// Rendezvous points, where peers meet under a name.
    ///
    /// ```no_run
    /// # async fn example(node: polypeer::facade::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use polypeer::Multiaddr;
    /// use polypeer::protocols::rendezvous::{Point, Search};
    ///
    /// let address: Multiaddr = "/dns4/meet.example/tcp/4001/p2p/12D3…".parse()?;
    /// let point = Point::try_from(address)?;
    /// node.rendezvous().register(point.clone(), "our-chat", None).await?;
    /// let search = Search { namespace: Some("our-chat".into()), ..Search::default() };
    /// for found in node.rendezvous().discover(point, search).await?.registrations {
    ///     node.dial_peer(Some(found.record.peer_id()), Vec::new()).await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn rendezvous(&self) -> Rendezvous {
        Rendezvous { node: self.clone() }
    }
}

impl Rendezvous {
    /// Registers us at a point under a name, for `ttl` or as long as the point takes for
    /// usual; tells for how long. We register again by ourselves until
    /// [`Rendezvous::unregister`].
    ///
    /// # Errors
    /// [`RendezvousFailed`]: we are not registered.
    pub async fn register(
        &self,
        point: impl Into<Point>,
        namespace: &str,
        ttl: Option<Duration>,
    ) -> Result<Duration, RendezvousFailed> {
        let (point, namespace) = (point.into(), namespace.to_owned());
        let begin = move |node: &mut crate::node::Node, now| {
            node.rendezvous_register(now, point, &namespace, ttl)
        };
        match self.ask(Box::new(begin)).await? {
            Answer::Registered(ttl) => Ok(ttl),
            _ => Err(RendezvousError::Malformed.into()),
        }
    }

    /// Tells a point that we are gone, and does not register there again.
    ///
    /// # Errors
    /// [`RendezvousFailed`]: the point may not know; then it forgets us with time.
    pub async fn unregister(
        &self,
        point: impl Into<Point>,
        namespace: &str,
    ) -> Result<(), RendezvousFailed> {
        let (point, namespace) = (point.into(), namespace.to_owned());
        let begin = move |node: &mut crate::node::Node, now| {
            node.rendezvous_unregister(now, point, &namespace)
        };
        self.ask(Box::new(begin)).await?;
        Ok(())
    }

    /// Asks a point who is registered. They can be dialed by PeerId then.
    ///
    /// # Errors
    /// [`RendezvousFailed`]
    pub async fn discover(
        &self,
        point: impl Into<Point>,
        search: Search,
    ) -> Result<Found, RendezvousFailed> {
        let point = point.into();
        let begin =
            move |node: &mut crate::node::Node, now| node.rendezvous_discover(now, point, search);
        match self.ask(Box::new(begin)).await? {
            Answer::Found(found) => Ok(found),
            _ => Err(RendezvousError::Malformed.into()),
        }
    }

    /// Where we are registered, and under which names.
    ///
    /// # Errors
    /// [`NodeClosed`]
    pub async fn registered(&self) -> Result<Vec<(PeerId, String)>, NodeClosed> {
        let list = |node: &mut crate::node::Node, _| {
            let registered = node.rendezvous_client().registered();
            registered.map(|(point, namespace)| (*point, namespace.to_owned())).collect()
        };
        self.node.with(list).await
    }

    /// Begins to be a rendezvous point, or changes what is taken from now on.
    ///
    /// # Errors
    /// [`NodeClosed`]
    #[cfg(feature = "rendezvous-point")]
    pub async fn serve(
        &self,
        config: crate::protocols::rendezvous::ServerConfig,
    ) -> Result<(), NodeClosed> {
        self.node.with(move |node, now| node.serve_rendezvous(now, config)).await
    }

    async fn ask(&self, begin: Begin) -> Result<Answer, RendezvousFailed> {
        let (id, answer) = self.node.ask(|reply| Command::Rendezvous(begin, reply)).await??;
        let pending = Pending { id, commands: self.node.inner.commands.clone() };
        let answer = answer.await.map_err(|_| NodeClosed)?;
        drop(pending);
        Ok(answer?)
    }
}

impl Brain {
    pub(super) fn begin_meeting(&mut self, now: Instant, begin: Begin, reply: Reply) {
        let begun = begin(&mut self.node, now).map(|id| {
            let (sender, answer) = oneshot::channel();
            self.meetings.insert(id, sender);
            (id, answer)
        });
        if let Err(Ok((id, _))) = reply.send(begun) {
            // Whoever asked has gone meanwhile.
            self.meetings.remove(&id);
            self.node.cancel_rendezvous(now, id);
        }
    }

    /// News of a request for who waits for them.
    pub(super) fn on_met(&mut self, event: &RendezvousEvent) {
        if let RendezvousEvent::Answered { request, result } = event
            && let Some(sender) = self.meetings.remove(request)
        {
            // Whoever waited may have gone.
            let _ = sender.send(result.clone());
        }
    }
}
