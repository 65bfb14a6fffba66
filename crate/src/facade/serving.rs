//! Services of a running node.

use crate::identity::PeerId;
use crate::service::{Config, Context, Priority, SendError, Sent, Service, ServiceId};

use super::{Node, NodeClosed};

/// A service of a running node, to be used from outside of its callbacks. Clones are
/// handles to the same one.
#[derive(Clone)]
pub struct ServiceHandle {
    node: Node,
    id: ServiceId,
}

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceSendError {
    /// The service does not take it.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The node has ended.
    #[error(transparent)]
    Closed(#[from] NodeClosed),
}

impl Node {
    /// Runs a protocol of one's own for the life of the node; see
    /// [`service`](crate::service).
    pub async fn serve(
        &self,
        config: Config,
        service: impl Service + 'static,
    ) -> Result<ServiceHandle, NodeClosed> {
        let service = Box::new(service);
        let id = self.with(move |node, now| node.serve(now, config, service)).await?;
        Ok(ServiceHandle { node: self.clone(), id })
    }
}

impl ServiceHandle {
    /// Does what only a [`Context`] can.
    pub async fn with<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Context<'_>) -> T + Send + 'static,
    ) -> Result<T, NodeClosed> {
        let id = self.id;
        let action = move |_: &mut dyn Service, cx: &mut Context<'_>| action(cx);
        self.node.with(move |node, now| node.with_service(now, id, action)).await?.ok_or(NodeClosed)
    }

    /// Sends a message to the peer of a session.
    pub async fn send(
        &self,
        peer: &PeerId,
        priority: Priority,
        message: impl Into<Vec<u8>>,
    ) -> Result<Sent, ServiceSendError> {
        let (peer, message) = (*peer, message.into());
        let send = move |cx: &mut Context<'_>| {
            let session = cx.session_of(&peer).ok_or(SendError::NoSession)?.id;
            cx.send_with(session, priority, message)
        };
        Ok(self.with(send).await??)
    }

    /// Sends a message to everybody; how many it is on its way to.
    pub async fn broadcast(&self, message: impl Into<Vec<u8>>) -> Result<usize, NodeClosed> {
        let message = message.into();
        self.with(move |cx| cx.broadcast(|_| true, &message)).await
    }

    /// Opens a session with a connected peer, if there is none;
    /// [`Event::SessionOpened`](crate::node::Event::SessionOpened) tells.
    pub async fn open(&self, peer: &PeerId) -> Result<bool, NodeClosed> {
        let peer = *peer;
        self.with(move |cx| cx.open(&peer)).await
    }
}
