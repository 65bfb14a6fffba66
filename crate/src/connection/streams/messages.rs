//! The node's streams as whole messages.

use std::collections::VecDeque;

use crate::muxer::yamux::StreamId;
use crate::wire::{Buffer, varint};

use super::super::StreamError;
use super::super::message::{Framing, Owner, StreamEvent, ToNode};
use super::Streams;

/// Bytes that a protocol of the node may have waiting on one stream because the
/// remote does not read; at the next message the stream is reset.
pub const MAX_OUTBOX: usize = 2 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Messages {
    /// The number of the node's request, until it is answered.
    pub(super) request: Option<u64>,
    pub(super) inbox: Buffer,
    pub(super) outbox: Buffer,
    pub(super) finish: bool,
    /// The node wants to know when the outbox is empty.
    #[cfg(any(feature = "pubsub", feature = "service"))]
    pub(super) tell_flushed: bool,
    pub(super) queued: bool,
    /// The remote's half is closed, and the node does not know it yet.
    pub(super) finished: bool,
    /// Both halves are closed.
    pub(super) closed: bool,
    /// The one message of [`Framing::Once`] was read.
    pub(super) over: bool,
}

impl Messages {
    /// Bytes that wait here.
    pub(super) fn held(&self) -> usize {
        self.inbox.len() + self.outbox.len()
    }
}

impl Streams {
    pub(in crate::connection) fn send(&mut self, id: StreamId, message: &[u8]) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(messages) = &mut entry.messages else { return };
        let held = messages.held();
        if messages.outbox.len().saturating_add(message.len()) > MAX_OUTBOX
            || !self.yamux.hold(message.len() + varint::MAX_LEN)
        {
            return self.reset_with(id, StreamError::Reset);
        }
        if let Owner::Node(Framing::LengthPrefixed { .. } | Framing::Once { .. }) = entry.owner {
            varint::encode(message.len() as u64, messages.outbox.writer());
        }
        messages.outbox.push(message);
        self.yamux.unhold(held + message.len() + varint::MAX_LEN - messages.held());
        self.flush(id);
    }

    pub(in crate::connection) fn finish(&mut self, id: StreamId) {
        if let Some(messages) = self.entries.get_mut(&id).and_then(|e| e.messages.as_deref_mut()) {
            messages.finish = true;
            self.flush(id);
        }
    }

    /// Makes a stream of bytes, the application's, of one whose message was read;
    /// whether it could be had.
    pub(in crate::connection) fn detach(&mut self, id: StreamId) -> bool {
        self.flush(id);
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let flushed = |messages: &Messages| messages.over && messages.outbox.is_empty();
        let ready = entry.messages.as_deref().is_some_and(flushed);
        let Some(stream) = self.yamux.stream(id).filter(|_| ready) else {
            self.abandon(id);
            return false;
        };
        entry.messages = None;
        entry.owner = Owner::Application;
        self.events.push_back(StreamEvent::Writable(id));
        if stream.unread() > 0 {
            self.events.push_back(StreamEvent::Readable(id));
        }
        if stream.is_read_finished() {
            self.events.push_back(StreamEvent::Finished(id));
        }
        true
    }

    #[cfg(any(feature = "pubsub", feature = "service"))]
    pub(in crate::connection) fn tell_flushed(&mut self, id: StreamId) {
        if let Some(messages) = self.entries.get_mut(&id).and_then(|e| e.messages.as_deref_mut()) {
            messages.tell_flushed = true;
            self.flush(id);
        }
    }

    pub(super) fn flush(&mut self, id: StreamId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.blocks_writer() {
            return;
        }
        let (Some(messages), Some(mut stream)) = (&mut entry.messages, self.yamux.stream(id))
        else {
            return;
        };
        if let Ok(written) = stream.write(messages.outbox.as_slice()) {
            messages.outbox.consume(written);
            self.yamux.unhold(written);
        }
        let Some(mut stream) = self.yamux.stream(id) else { return };
        if messages.finish && messages.outbox.is_empty() {
            stream.finish();
        }
        #[cfg(any(feature = "pubsub", feature = "service"))]
        if messages.outbox.is_empty() && core::mem::take(&mut messages.tell_flushed) {
            self.to_node.push_back(ToNode::Flushed { stream: id });
        }
    }

    /// The next news for the node; messages are read from their streams only here.
    pub(in crate::connection) fn poll_node(&mut self) -> Option<ToNode> {
        if let Some(news) = self.to_node.pop_front() {
            return Some(news);
        }
        while let Some(&id) = self.readable.front() {
            if let Some(news) = self.read_message(id) {
                return Some(news);
            }
            self.readable.pop_front();
            if let Some(messages) = self.entries.get_mut(&id).and_then(|e| e.messages.as_mut()) {
                messages.queued = false;
            }
        }
        None
    }

    fn read_message(&mut self, id: StreamId) -> Option<ToNode> {
        let entry = self.entries.get_mut(&id)?;
        let Owner::Node(framing) = entry.owner else { return None };
        let messages = entry.messages.as_deref_mut()?;
        while !messages.over {
            let missing = match missing(framing, messages.inbox.as_slice()) {
                Ok(missing) => missing,
                Err(TooLong) => {
                    self.reset_with(id, StreamError::Reset);
                    return self.to_node.pop_front();
                }
            };
            if missing == 0 {
                self.yamux.unhold(messages.inbox.len());
                let bytes = take_message(framing, &mut messages.inbox);
                messages.over = matches!(framing, Framing::Once { .. });
                return Some(ToNode::Message { stream: id, bytes });
            }
            let unread = self.yamux.stream(id).map_or(0, |mut stream| stream.readable().len());
            let taken = missing.min(unread);
            if taken == 0 {
                break;
            }
            if !self.yamux.hold(taken) {
                self.reset_with(id, StreamError::Reset);
                return self.to_node.pop_front();
            }
            if let Some(mut stream) = self.yamux.stream(id) {
                messages.inbox.push(&stream.readable()[..taken]);
                stream.consume(taken);
            }
        }
        if messages.finished {
            messages.finished = false;
            // A message cut off by the end is no message.
            let whole = messages.inbox.is_empty();
            return Some(if whole {
                ToNode::Finished { stream: id }
            } else {
                ToNode::Reset { stream: id }
            });
        }
        if messages.closed {
            self.remove(id);
            return Some(ToNode::Gone { stream: id });
        }
        None
    }
}

struct TooLong;

/// How many bytes `inbox` lacks for a whole message; prefixes come byte by byte.
fn missing(framing: Framing, inbox: &[u8]) -> Result<usize, TooLong> {
    match framing {
        Framing::Fixed { len } => Ok(len.saturating_sub(inbox.len())),
        Framing::LengthPrefixed { max } | Framing::Once { max } => match varint::decode(inbox) {
            Err(_) => Err(TooLong),
            Ok(None) => Ok(1),
            Ok(Some((length, prefix))) => match usize::try_from(length) {
                Ok(length) if length <= max => Ok((prefix + length).saturating_sub(inbox.len())),
                _ => Err(TooLong),
            },
        },
    }
}

fn take_message(framing: Framing, inbox: &mut Buffer) -> Vec<u8> {
    let prefix = match framing {
        Framing::Fixed { .. } => 0,
        Framing::LengthPrefixed { .. } | Framing::Once { .. } => {
            varint::decode(inbox.as_slice()).ok().flatten().map_or(0, |(_, prefix)| prefix)
        }
    };
    let bytes = inbox.as_slice()[prefix..].to_vec();
    inbox.clear();
    bytes
}

pub(super) fn queue(readable: &mut VecDeque<StreamId>, messages: &mut Messages, id: StreamId) {
    if !messages.queued {
        messages.queued = true;
        readable.push_back(id);
    }
}
