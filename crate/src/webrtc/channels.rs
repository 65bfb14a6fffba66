//! Frames of the muxer on one side, messages on data channels on the other.
//!
//! Each stream is a data channel. What the muxer says in flags and windows goes as
//! the fields of a message, and what data channels cannot say (windows of a remote
//! that is no Polypeer, its answers to pings) is made up here towards the muxer.

mod ending;

use core::time::Duration;
use std::collections::VecDeque;

use crate::collections::Map;
use crate::muxer::yamux::{Flags, HEADER_LEN, Header, INITIAL_WINDOW, Kind as Frame};
use crate::security::Role;
use crate::wire::Buffer;

use super::message::{Flag, MAX_MESSAGE, Message, OVERHEAD, split};
use super::record::{self, Kind, REMOTE};

/// Channels of ours that may be open in a connection; browsers have between 256 and
/// 1024 for both sides. Opening more streams is refused.
pub const MAX_CHANNELS: usize = 200;
/// Bytes of a stream that its reader has not made room for, from a remote that
/// knows no windows; the stream is reset when there would be more. An echo of as much
/// as js-libp2p sends without a pause has to fit.
pub const MAX_WAITING: usize = 12 * 1024 * 1024;
/// As [`MAX_WAITING`], for all streams of a connection.
pub const MAX_WAITING_IN_ALL: usize = 16 * 1024 * 1024;
/// Bytes of a stream that wait for their reader when the host is asked to hold it back.
/// That many because SCTP has one window for all streams: while one is held back, the
/// others soon wait too.
pub const HOLD_WAITING: usize = 4 * 1024 * 1024;
/// As [`HOLD_WAITING`], for all streams of a connection: from then on each is held back
/// whose reader lags behind.
pub const HOLD_WAITING_IN_ALL: usize = 8 * 1024 * 1024;
/// Bytes in all from which on nothing is read: a host that could be asked has not heard
/// it yet, since it has no room for what we say. Less than [`MAX_WAITING`] by more than
/// comes in one go.
const PAUSE_WAITING: usize = 10 * 1024 * 1024;
/// What a round trip of data takes at least: what ICE measures is ahead of the data
/// that waits in both stacks and in the turns of a busy page.
pub(crate) const MIN_ROUND_TRIP: Duration = Duration::from_millis(150);
/// Finished channels that wait for the remote's last word; the oldest is closed
/// without it when there would be more.
pub const MAX_LINGERING: usize = 128;

/// Frames are asked of the muxer in pieces that make one full message.
const PIECE: usize = MAX_MESSAGE - OVERHEAD + HEADER_LEN;
/// The longest body of a frame.
pub(crate) const MAX_FRAME: usize = MAX_MESSAGE - OVERHEAD;
/// The end of a budget that is not worth a cut message.
const MIN_PIECE: usize = PIECE / 2;

/// What the muxer knows as a stream, as a channel.
#[derive(Debug, Default)]
struct Channel {
    /// The beginning of a message whose rest has not come.
    partial: Buffer,
    /// Bytes that our muxer still takes.
    credit: u32,
    /// What has come beyond that.
    waiting: Buffer,
    /// The host is asked to deliver no more.
    held: bool,
    /// Bytes sent for which the remote has not made room in words.
    spent: u32,
    /// The remote has been told that we know windows.
    greeted: bool,
    /// The remote has said something.
    heard: bool,
    /// The remote reads no more: what we would send is dropped.
    deaf: bool,
    fin_sent: bool,
    fin_acked: bool,
    /// FIN came; the muxer gets it after what waits.
    fin_came: bool,
    fin_told: bool,
    /// FIN is to be confirmed, once we can.
    fin_owed: bool,
}

impl Channel {
    fn new() -> Self {
        Self { credit: INITIAL_WINDOW, ..Self::default() }
    }
}

/// The data channels of one connection.
#[derive(Debug)]
pub(crate) struct Channels {
    /// Whether the muxer's numbers of the remote's streams are odd.
    remote_odd: bool,
    channels: Map<u32, Channel>,
    /// Records from the host, until one is whole.
    pipe: Buffer,
    /// Records for the host that belong to no frame of the muxer.
    records: Buffer,
    /// Frames for the muxer that belong to no record.
    frames: Vec<u8>,
    /// Where frames of the muxer are written before they are said as messages.
    scratch: Vec<u8>,
    /// Whether the remote knows windows, once it has said anything.
    windowed: Option<bool>,
    /// The remote has confirmed an end, so it knows what that is: rust-libp2p does not,
    /// and can read no more where it meets FIN_ACK. Until then the end of a stream is
    /// confirmed only behind our own.
    confirms: bool,
    /// Bytes that wait in all channels.
    waiting: usize,
    lingering: VecDeque<u32>,
    /// Streams that were given up because their readers left too much waiting.
    overrun: Vec<u32>,
    rtt: Option<Duration>,
}

impl Channels {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            remote_odd: role == Role::Responder,
            channels: Map::new(),
            pipe: Buffer::new(),
            records: Buffer::new(),
            frames: Vec::new(),
            scratch: Vec::new(),
            windowed: None,
            confirms: false,
            waiting: 0,
            lingering: VecDeque::new(),
            overrun: Vec::new(),
            rtt: None,
        }
    }

    /// The round trip as the host has measured it.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Whether [`Channels::transmit`] has something of its own.
    pub(crate) fn wants_transmit(&self) -> bool {
        !self.records.is_empty()
    }

    /// Whether more is welcome from the host.
    pub(crate) fn wants_read(&self) -> bool {
        self.waiting < PAUSE_WAITING
    }

    /// The streams that were given up since the last call because their readers left
    /// too much waiting.
    pub(crate) fn take_overrun(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.overrun)
    }

    // From the host.

    /// Records from the host: frames for the muxer are appended to `frames`.
    pub(crate) fn receive(&mut self, bytes: &[u8], frames: &mut Vec<u8>) {
        frames.append(&mut self.frames);
        if self.pipe.is_empty() {
            let rest = self.take_records(bytes, frames);
            self.pipe.push(rest);
        } else {
            self.pipe.push(bytes);
            let pipe = core::mem::take(&mut self.pipe);
            let rest = self.take_records(pipe.as_slice(), frames);
            self.pipe.push(rest);
        }
    }

    /// Frames for the muxer that have come about without the host's doing.
    pub(crate) fn take_frames(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.frames)
    }

    fn take_records<'a>(&mut self, mut bytes: &'a [u8], frames: &mut Vec<u8>) -> &'a [u8] {
        while let Some((kind, channel, body)) = record::read(&mut bytes) {
            let id = self.stream_of(channel);
            match kind {
                Kind::Message => self.on_bytes(id, body, frames),
                Kind::Open => {
                    if self.channels.insert(id, Channel::new()).is_none() {
                        frame(frames, Frame::WindowUpdate, Flags::SYN, id, 0);
                    }
                }
                Kind::Close => self.on_closed(id, frames),
                Kind::Ping => self.on_pong(body, frames),
                // Ours to say.
                Kind::Hold | Kind::Release => {}
            }
        }
        bytes
    }

    fn on_pong(&mut self, body: &[u8], frames: &mut Vec<u8>) {
        let Some((value, rest)) = body.split_first_chunk::<4>() else { return };
        if let Some(micros) = rest.first_chunk::<4>().copied().map(u32::from_le_bytes)
            && micros > 0
        {
            self.rtt = Some(Duration::from_micros(micros.into()));
        }
        frame(frames, Frame::Ping, Flags::ACK, 0, u32::from_le_bytes(*value));
    }

    fn on_bytes(&mut self, id: u32, bytes: &[u8], frames: &mut Vec<u8>) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.partial.is_empty() {
            let rest = self.take_messages(id, bytes, frames);
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.partial.push(rest);
            }
        } else {
            let mut partial = core::mem::take(&mut channel.partial);
            partial.push(bytes);
            let rest = self.take_messages(id, partial.as_slice(), frames).len();
            partial.consume(partial.len() - rest);
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.partial = partial;
            }
        }
    }

    fn take_messages<'a>(
        &mut self,
        id: u32,
        mut bytes: &'a [u8],
        frames: &mut Vec<u8>,
    ) -> &'a [u8] {
        while self.channels.contains_key(&id) && !bytes.is_empty() {
            match split(bytes) {
                Ok(Some((used, message))) => {
                    bytes = &bytes[used..];
                    self.on_message(id, message, frames);
                }
                Ok(None) => break,
                Err(_) => self.give_up(id, frames),
            }
        }
        bytes
    }

    fn on_message(&mut self, id: u32, message: Message<'_>, frames: &mut Vec<u8>) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let first = !core::mem::replace(&mut channel.heard, true);
        if self.windowed.is_none() && first {
            self.windowed = Some(message.credit.is_some());
            if message.credit.is_none() {
                for (id, channel) in self.channels.iter_mut() {
                    let spent = core::mem::take(&mut channel.spent);
                    if spent > 0 {
                        frame(frames, Frame::WindowUpdate, Flags::NONE, *id, spent);
                    }
                }
            }
        }
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if let Some(credit) = message.credit
            && credit > 0
            && self.windowed == Some(true)
        {
            frame(frames, Frame::WindowUpdate, Flags::NONE, id, credit);
        }
        if !message.data.is_empty() && !channel.fin_came {
            let before = channel.waiting.len();
            let mut data = message.data;
            if before == 0 {
                let now = data.len().min(channel.credit as usize);
                data_frame(frames, id, &data[..now]);
                channel.credit -= now as u32;
                data = &data[now..];
            }
            if !data.is_empty() {
                // Who knows windows and goes beyond them is not waited for.
                let limit = if self.windowed == Some(true) { 0 } else { MAX_WAITING };
                if before + data.len() > limit || self.waiting + data.len() > MAX_WAITING_IN_ALL {
                    if self.windowed != Some(true) {
                        self.overrun.push(id);
                    }
                    return self.give_up(id, frames);
                }
                channel.waiting.push(data);
                self.waiting += data.len();
                let much = before + data.len() > HOLD_WAITING || self.waiting > HOLD_WAITING_IN_ALL;
                if much && !core::mem::replace(&mut channel.held, true) {
                    self.ask(id, Kind::Hold);
                }
            }
        }
        let Some(channel) = self.channels.get_mut(&id) else { return };
        match message.flag {
            Some(Flag::Fin) => {
                if !core::mem::replace(&mut channel.fin_came, true) {
                    self.confirm(id);
                }
                self.finish(id, frames);
            }
            Some(Flag::FinAck) => {
                channel.fin_acked = true;
                if !core::mem::replace(&mut self.confirms, true) {
                    self.confirm_all();
                }
                self.close_if_done(id);
            }
            // What is still written goes nowhere, and must not wait for a window.
            Some(Flag::StopSending) if !core::mem::replace(&mut channel.deaf, true) => {
                frame(frames, Frame::WindowUpdate, Flags::NONE, id, INITIAL_WINDOW);
            }
            Some(Flag::Reset) => {
                if !(channel.fin_told && channel.fin_sent) {
                    frame(frames, Frame::Data, Flags::RST, id, 0);
                }
                self.close(id);
            }
            Some(Flag::StopSending) | None => {}
        }
    }

    // To the host.

    /// Appends records to `out`, at most `budget` bytes; `source` writes frames of
    /// the muxer, at most as many bytes as it is told.
    pub(crate) fn transmit(
        &mut self,
        out: &mut Vec<u8>,
        budget: usize,
        source: &mut dyn FnMut(&mut Vec<u8>, usize) -> usize,
    ) -> usize {
        let start = out.len();
        let mut scratch = core::mem::take(&mut self.scratch);
        loop {
            let left = budget.saturating_sub(out.len() - start);
            let own = self.records.len().min(left);
            out.extend_from_slice(&self.records.as_slice()[..own]);
            self.records.consume(own);
            // A record may be twice as long as its frame if that has no body.
            let piece = (left - own).min(2 * PIECE) / 2;
            if piece <= HEADER_LEN || (piece < MIN_PIECE && out.len() > start) {
                break;
            }
            scratch.clear();
            if source(&mut scratch, piece) == 0 && self.records.is_empty() {
                break;
            }
            self.say_frames(&scratch, out);
        }
        if scratch.capacity() <= 2 * PIECE {
            self.scratch = scratch;
        }
        out.len() - start
    }

    fn say_frames(&mut self, mut frames: &[u8], out: &mut Vec<u8>) {
        while let Some((head, rest)) = frames.split_first_chunk::<HEADER_LEN>() {
            let Ok(header) = Header::decode(head) else { return };
            let length = if header.kind == Frame::Data { header.length as usize } else { 0 };
            let Some((body, rest)) = rest.split_at_checked(length) else { return };
            frames = rest;
            match header.kind {
                Frame::Ping => {
                    record::write(out, Kind::Ping, 0, &header.length.to_le_bytes());
                }
                // The end of the connection says it all.
                Frame::GoAway => {}
                Frame::Data | Frame::WindowUpdate => self.say_frame(header, body, out),
            }
        }
    }

    fn say_frame(&mut self, header: Header, body: &[u8], out: &mut Vec<u8>) {
        let Header { kind, flags, stream: id, length } = header;
        let number = self.channel_of(id);
        if flags.has(Flags::SYN) {
            self.channels.insert(id, Channel::new());
            record::write(out, Kind::Open, number, &[]);
        }
        let windowed = self.windowed;
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if flags.has(Flags::RST) {
            self.say(id, Some(Flag::Reset), None);
            return self.close(id);
        }
        if kind == Frame::WindowUpdate {
            channel.credit = channel.credit.saturating_add(length);
            if windowed == Some(true) && length > 0 && !channel.fin_came {
                self.say(id, None, Some(length));
            }
            return self.release(id);
        }
        if !body.is_empty() {
            if windowed == Some(false) || channel.deaf {
                frame(&mut self.frames, Frame::WindowUpdate, Flags::NONE, id, length);
            } else if windowed.is_none() {
                channel.spent = channel.spent.saturating_add(length);
            }
            if !channel.deaf {
                let credit = (!core::mem::replace(&mut channel.greeted, true)).then_some(0);
                let message = Message { data: body, credit, flag: None };
                message.write(out, number, windowed == Some(true));
            }
        }
        if flags.has(Flags::FIN) {
            channel.fin_sent = true;
            let owed = core::mem::take(&mut channel.fin_owed);
            self.say(id, Some(Flag::Fin), None);
            if owed {
                self.say(id, Some(Flag::FinAck), None);
            }
            self.settle(id);
        }
    }

    /// Gives the muxer what waited for its window.
    fn release(&mut self, id: u32) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let count = channel.waiting.len().min(channel.credit as usize);
        if count > 0 {
            for data in channel.waiting.as_slice()[..count].chunks(MAX_FRAME) {
                data_frame(&mut self.frames, id, data);
            }
            channel.waiting.consume(count);
            channel.credit -= count as u32;
            self.waiting -= count;
        }
        let little = channel.waiting.is_empty()
            || channel.waiting.len() <= HOLD_WAITING / 2 && self.waiting < HOLD_WAITING_IN_ALL;
        if little && core::mem::take(&mut channel.held) {
            self.ask(id, Kind::Release);
        }
        let mut frames = core::mem::take(&mut self.frames);
        self.finish(id, &mut frames);
        self.frames = frames;
    }

    /// Asks the host to hold a channel back, or to release it.
    fn ask(&mut self, id: u32, what: Kind) {
        let number = self.channel_of(id);
        record::write(self.records.writer(), what, number, &[]);
    }

    /// A message without data.
    fn say(&mut self, id: u32, flag: Option<Flag>, credit: Option<u32>) {
        let number = self.channel_of(id);
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let greeting = (!core::mem::replace(&mut channel.greeted, true)).then_some(0);
        let message = Message { flag, data: &[], credit: credit.or(greeting) };
        message.write(self.records.writer(), number, true);
    }

    // Numbers.

    /// The muxer's number of a channel's stream.
    fn stream_of(&self, channel: u32) -> u32 {
        match channel.checked_sub(REMOTE) {
            Some(nth) => nth.saturating_mul(2).saturating_add(if self.remote_odd { 1 } else { 2 }),
            None => channel,
        }
    }

    /// The channel's number of the muxer's stream.
    fn channel_of(&self, id: u32) -> u32 {
        let remote = (id % 2 == 1) == self.remote_odd;
        if remote { REMOTE + (id - 1) / 2 } else { id }
    }
}

fn frame(out: &mut Vec<u8>, kind: Frame, flags: Flags, stream: u32, length: u32) {
    out.extend_from_slice(&Header { kind, flags, stream, length }.encode());
}

fn data_frame(out: &mut Vec<u8>, stream: u32, data: &[u8]) {
    if !data.is_empty() {
        frame(out, Frame::Data, Flags::NONE, stream, data.len() as u32);
        out.extend_from_slice(data);
    }
}
