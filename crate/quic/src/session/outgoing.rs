//! From the core to QUIC.

use quinn_proto::WriteError;

use super::*;

/// The core is told that it may send anew when QUIC has taken this much of a stream: a
/// part of the window, so that it never runs out of it for want of a word.
const TELL_SPENT: u32 = INITIAL_WINDOW / 4;

/// Frames of the core, as far as they have come.
#[derive(Default)]
pub(super) struct Input {
    head: [u8; HEADER_LEN],
    have: usize,
    /// Of the body at hand.
    stream: u32,
    left: usize,
    /// The body's stream ends with it.
    last: bool,
}

impl Session {
    /// Takes frames of the core; returns how many bytes of them. Fewer than there are
    /// only if more than [`MAX_UNSENT`] wait for QUIC, or the session has ended.
    pub fn write(&mut self, now: Instant, mut frames: &[u8]) -> usize {
        let all = frames.len();
        while !frames.is_empty() && self.end.is_none() && self.unsent < MAX_UNSENT {
            if self.input.left > 0 {
                let (body, rest) = frames.split_at(frames.len().min(self.input.left));
                frames = rest;
                self.input.left -= body.len();
                self.send(self.input.stream, body);
                if self.input.left == 0 && self.input.last {
                    self.finish(self.input.stream);
                }
                continue;
            }
            let wanted = HEADER_LEN - self.input.have;
            let (part, rest) = frames.split_at(frames.len().min(wanted));
            frames = rest;
            self.input.head[self.input.have..][..part.len()].copy_from_slice(part);
            self.input.have += part.len();
            if self.input.have == HEADER_LEN {
                self.input.have = 0;
                // The core is trusted to write frames well.
                if let Ok(header) = Header::decode(&self.input.head) {
                    self.on_frame(now, header);
                }
            }
        }
        all - frames.len()
    }

    fn on_frame(&mut self, now: Instant, header: Header) {
        let Header { kind, flags, stream: number, length } = header;
        match kind {
            Kind::Ping if !flags.has(Flags::ACK) => {
                self.connection.ping();
                let due = now + self.connection.rtt();
                self.pings.push_back(Ping { value: length, due, heard: false });
            }
            // The end of the connection says it all.
            Kind::Ping | Kind::GoAway => {}
            Kind::Data | Kind::WindowUpdate => {
                if flags.has(Flags::SYN) {
                    self.streams.insert(number, Stream::new(None));
                    self.opening.push_back(number);
                    self.open_waiting();
                }
                if flags.has(Flags::RST) {
                    return self.abort(number);
                }
                let last = flags.has(Flags::FIN);
                if kind == Kind::WindowUpdate {
                    self.allow(number, length);
                } else {
                    self.input.stream = number;
                    self.input.left = length as usize;
                    self.input.last = last;
                }
                if last && (kind == Kind::WindowUpdate || length == 0) {
                    self.finish(number);
                }
            }
        }
    }

    /// Opens the streams that the remote takes now.
    pub(super) fn open_waiting(&mut self) {
        while let Some(number) = self.opening.front().copied() {
            let Some(id) = self.connection.streams().open(Dir::Bi) else { return };
            self.opening.pop_front();
            let Some(stream) = self.streams.get_mut(&number) else { continue };
            stream.id = Some(id);
            self.numbers.insert(id, number);
            self.say(Kind::WindowUpdate, Flags::ACK, number, 0);
            self.send_unsent(number);
        }
    }

    fn send(&mut self, number: u32, mut bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        if let Some(id) = stream.id
            && stream.unsent.is_empty()
            && !stream.deaf
        {
            while !bytes.is_empty() {
                match self.connection.send_stream(id).write(bytes) {
                    Ok(count) => {
                        bytes = &bytes[count..];
                        // No more than a body, which has less than 4 GiB.
                        stream.spent += count as u32;
                    }
                    Err(WriteError::Blocked) => break,
                    Err(WriteError::Stopped(_) | WriteError::ClosedStream) => {
                        stream.deaf = true;
                        break;
                    }
                }
            }
        }
        if stream.deaf && stream.heard_all && !bytes.is_empty() {
            // The remote is gone from it for good, and who writes is to know.
            self.abort(number);
            return self.say(Kind::Data, Flags::RST, number, 0);
        }
        if stream.deaf {
            stream.spent += bytes.len() as u32;
        } else {
            stream.unsent.extend_from_slice(bytes);
            self.unsent += bytes.len();
        }
        self.tell_spent(number);
    }

    /// What is unsent, as far as QUIC takes it now.
    fn send_unsent(&mut self, number: u32) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let unsent = std::mem::take(&mut stream.unsent);
        let finishing = stream.finishing;
        self.unsent -= unsent.len();
        self.send(number, &unsent);
        if finishing {
            self.finish(number);
        }
    }

    /// Ends our half of a stream behind what is unsent.
    fn finish(&mut self, number: u32) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        stream.finishing = true;
        if let Some(id) = stream.id
            && stream.unsent.is_empty()
        {
            stream.sent_all = true;
            // A remote that reads no more needs no end.
            let _ = self.connection.send_stream(id).finish();
            self.forget_if_done(number);
        }
    }

    fn tell_spent(&mut self, number: u32) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        if stream.spent >= TELL_SPENT && !stream.finishing {
            let spent = std::mem::take(&mut stream.spent);
            self.say(Kind::WindowUpdate, Flags::NONE, number, spent);
        }
    }

    pub(super) fn on_writable(&mut self, id: StreamId) {
        if let Some(number) = self.numbers.get(&id) {
            self.send_unsent(*number);
        }
    }

    /// The remote reads no more of a stream.
    pub(super) fn on_stopped(&mut self, id: StreamId) {
        let Some(number) = self.numbers.get(&id).copied() else { return };
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.deaf = true;
        }
        self.send_unsent(number);
    }
}
