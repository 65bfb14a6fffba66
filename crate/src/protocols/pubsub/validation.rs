//! Which messages are good: what the application says, at once or later.
//!
//! Source: gossipsub v1.1, "Extended Validators".

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::collections::LongMap;
use crate::identity::PeerId;
use crate::time::Instant;

use super::message::{Message, MessageId};

/// Messages that wait for the application's judgement; further ones are ignored.
pub const MAX_PENDING: usize = 1024;
/// Bytes of messages that wait for the application's judgement.
pub const MAX_PENDING_BYTES: usize = 16 << 20;
/// How long a judgement may take; then the message is ignored.
pub const MAX_WAIT: Duration = Duration::from_secs(30);

/// The judgement on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is delivered and passed on.
    Accept,
    /// It is neither, and whoever sent it is worth less.
    Reject,
    /// It is neither, and that is nobody's fault.
    Ignore,
}

/// Judges a message that a peer has sent.
pub type Validator = Arc<dyn Fn(&Message, &PeerId) -> Verdict + Send + Sync>;

/// Which messages of a topic are good.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Validation {
    /// All.
    #[default]
    None,
    /// Those that a function accepts.
    Sync(Validator),
    /// Those that the application accepts:
    /// [`PubsubEvent::Validate`](super::PubsubEvent::Validate) asks it, and
    /// [`Node::validated`](crate::node::Node::validated) is its answer.
    Async,
}

impl fmt::Debug for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Sync(_) => "Sync",
            Self::Async => "Async",
        })
    }
}

struct Waiting {
    message: Arc<Message>,
    from: PeerId,
    until: Instant,
}

/// Messages that wait for the application's judgement.
#[derive(Default)]
pub(super) struct Pending {
    messages: LongMap<MessageId, Waiting>,
    bytes: usize,
}

impl Pending {
    /// Lets a message wait; `false` if there is no room.
    pub(super) fn add(
        &mut self,
        now: Instant,
        id: MessageId,
        message: Arc<Message>,
        from: PeerId,
    ) -> bool {
        let bytes = self.bytes.saturating_add(message.as_bytes().len());
        if self.messages.len() >= MAX_PENDING || bytes > MAX_PENDING_BYTES {
            return false;
        }
        self.bytes = bytes;
        self.messages.insert(id, Waiting { message, from, until: now + MAX_WAIT });
        true
    }

    pub(super) fn take(&mut self, id: &MessageId) -> Option<(Arc<Message>, PeerId)> {
        let Waiting { message, from, .. } = self.messages.remove(id)?;
        self.bytes -= message.as_bytes().len();
        Some((message, from))
    }

    /// Those that have waited for too long.
    pub(super) fn overdue(&self, now: Instant) -> Vec<MessageId> {
        let late = self.messages.iter().filter(|(_, waiting)| waiting.until <= now);
        late.map(|(id, _)| id.clone()).collect()
    }
}
