//! What the core writes: opening, sending, holding back, closing.

use std::time::Instant;

use sctp_proto::{Error, PayloadProtocolIdentifier as Kind};

use super::{Channels, HANDSHAKE, MAX_LOCAL, MAX_PARTING, PARTING, RECEIVE_BYTES, SEND_BYTES, Use};
use crate::{dcep, records};

impl Channels {
    /// Whether the core may write more.
    pub(crate) fn has_room(&mut self) -> bool {
        self.buffered() < SEND_BYTES
    }

    /// Bytes that the remote has not acknowledged, or was not sent yet.
    pub(crate) fn buffered(&mut self) -> usize {
        let Some((_, association)) = &mut self.association else { return 0 };
        let mut sum = self.delayed_bytes;
        self.busy.retain(|id| {
            let waiting = association.stream(*id).and_then(|stream| stream.buffered_amount());
            sum += waiting.as_ref().unwrap_or(&0);
            waiting.is_ok_and(|waiting| waiting > 0)
        });
        sum
    }

    /// Opens the channel `number` of ours, if need be when others have closed; says at
    /// once that it is closed if there can be no more.
    pub(crate) fn open(&mut self, number: u32) {
        self.delayed.push_back((number, Vec::new()));
        self.open_delayed();
        if !self.delayed.is_empty() && !self.is_closing() {
            for (number, _) in std::mem::take(&mut self.delayed) {
                records::write(&mut self.records, records::CLOSE, number, &[]);
            }
            self.delayed_bytes = 0;
        }
    }

    /// Whether ids of ours will be free that are not.
    fn is_closing(&self) -> bool {
        let used = self.ids.values().chain(&self.worn).filter(|id| self.is_ours(**id));
        self.ours() > used.count()
    }

    pub(super) fn open_delayed(&mut self) {
        while let Some((number, messages)) = self.delayed.pop_front() {
            let Some(id) = self.open_id() else {
                return self.delayed.push_front((number, messages));
            };
            self.channels.insert(id, Use::Open(number));
            self.ids.insert(number, id);
            self.write(id, &dcep::OPEN, Kind::Dcep);
            for message in messages {
                self.delayed_bytes -= message.len();
                self.write(id, &message, Kind::Binary);
            }
        }
    }

    fn open_id(&mut self) -> Option<u16> {
        let (_, association) = self.association.as_mut()?;
        // Those that the remote has still to agree to are for another time.
        let mut later = Vec::new();
        let id = loop {
            let id = match self.free.pop_first() {
                Some(id) => id,
                None if usize::from(self.next) < 2 * MAX_LOCAL + 2 => {
                    self.next += 2;
                    self.next - 2
                }
                None => break None,
            };
            match association.open_stream(id, Kind::Binary) {
                Ok(_) => break Some(id),
                Err(Error::ErrStreamResetPending) => later.push(id),
                // The remote has taken it, against the rules, and keeps it.
                Err(_) => {}
            }
        };
        self.free.extend(later);
        id
    }

    /// Sends a message. One for a channel that is closed goes nowhere, of which the
    /// core has been told or will be.
    pub(crate) fn send(&mut self, number: u32, message: &[u8]) {
        if let Some(id) = self.ids.get(&number) {
            self.write(*id, message, Kind::Binary);
        } else if let Some((_, messages)) = self.delayed.iter_mut().find(|one| one.0 == number) {
            messages.push(message.to_vec());
            self.delayed_bytes += message.len();
        }
    }

    pub(super) fn write(&mut self, id: u16, message: &[u8], kind: Kind) {
        let Some((_, association)) = &mut self.association else { return };
        let written =
            association.stream(id).and_then(|mut stream| stream.write_with_ppi(message, kind));
        if written.is_ok() {
            self.busy.insert(id);
        }
    }

    /// Leaves the messages of a channel to SCTP until it is released.
    pub(crate) fn hold(&mut self, number: u32) {
        self.stopped.extend(self.ids.get(&number));
    }

    pub(crate) fn release(&mut self, number: u32) {
        if let Some(id) = self.ids.get(&number).copied() {
            self.release_id(id);
        }
    }

    /// Releases all.
    pub(crate) fn release_all(&mut self) {
        while let Some(id) = self.stopped.first().copied() {
            self.release_id(id);
        }
    }

    fn release_id(&mut self, id: u16) {
        if self.stopped.remove(&id) {
            self.readable.retain(|other| *other != id);
            self.readable.push_back(id);
            // The remote is to be told that there is room again.
            self.unread = self.unread.max(RECEIVE_BYTES as usize);
        }
    }

    /// Closes a channel, after what was sent on it.
    pub(crate) fn close(&mut self, now: Instant, number: u32) {
        if let Some(at) = self.delayed.iter().position(|one| one.0 == number)
            && let Some((_, messages)) = self.delayed.remove(at)
        {
            // Of one that has still to open nobody knows.
            self.delayed_bytes -= messages.iter().map(Vec::len).sum::<usize>();
        }
        self.release(number);
        let Some(id) = self.ids.remove(&number) else { return };
        if self.is_ours(id) || id == HANDSHAKE {
            self.reset(id);
            self.pump();
        } else {
            self.channels.insert(id, Use::Closing);
            self.parting.push_back((now + PARTING, id));
            if self.parting.len() > MAX_PARTING
                && let Some((_, oldest)) = self.parting.pop_front()
            {
                self.reset(oldest);
            }
        }
    }

    pub(super) fn reset(&mut self, id: u16) {
        if let Some(used) = self.channels.get_mut(&id) {
            *used = Use::Closing;
        }
        if let Some((_, association)) = &mut self.association {
            // It fails if the stream, or all, has ended anyway.
            let _ = association.stream(id).and_then(|mut stream| stream.close());
        }
    }
}
