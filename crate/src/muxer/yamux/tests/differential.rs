//! Our sessions against the `yamux` crate's, in memory: both roles, data both
//! ways, half close, reset, many streams.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::{AsyncRead, AsyncWrite};
use yamux::{Connection, Mode};

use super::super::*;
use crate::{Instant, Rng};

type Bytes = Arc<Mutex<VecDeque<u8>>>;

/// Bytes of the link that have not been taken; a full pipe blocks its writer.
const PIPE: usize = 200_000;

#[derive(Default, Clone)]
struct Pipe {
    incoming: Bytes,
    outgoing: Bytes,
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut bytes = self.incoming.lock().unwrap();
        if bytes.is_empty() { Poll::Pending } else { Poll::Ready(io::Read::read(&mut *bytes, out)) }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        part: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut bytes = self.outgoing.lock().unwrap();
        let count = part.len().min(PIPE.saturating_sub(bytes.len()));
        bytes.extend(&part[..count]);
        if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What is to happen on a stream, as both sides know.
struct Plan {
    /// Bytes from us and from them.
    size: [usize; 2],
    /// Who breaks the stream off after half its bytes, if anyone does.
    breaks: Option<usize>,
}

const WE: usize = 0;
const THEY: usize = 1;

impl Plan {
    fn new(seed: u64, id: u32) -> Self {
        let mut rng = Rng::from_number(seed << 32 | u64::from(id));
        let mut size = || {
            let bits = rng.below(20);
            1 + rng.below(1 << bits) as usize
        };
        let size = [size(), size()];
        let breaks = [Some(WE), Some(THEY), None, None, None, None][rng.below(6) as usize];
        Self { size, breaks }
    }

    fn byte(id: u32, from: usize, offset: usize) -> u8 {
        (offset.wrapping_mul(31) ^ (offset >> 9) ^ (id as usize * 13) ^ (from * 101)) as u8
    }

    fn bytes(&self, id: u32, from: usize, offset: usize, most: usize) -> Vec<u8> {
        let count = most.min(self.size[from] - offset);
        (offset..offset + count).map(|offset| Self::byte(id, from, offset)).collect()
    }

    fn check(&self, id: u32, from: usize, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.size[from]);
        let expected = (offset..).map(|offset| Self::byte(id, from, offset));
        assert!(bytes.iter().copied().eq(expected.take(bytes.len())), "stream {id} is altered");
    }
}

/// How far one side has come with a stream.
#[derive(Default)]
struct Progress {
    written: usize,
    read: usize,
    finished: bool,
    ended: bool,
    over: bool,
}

struct Run {
    seed: u64,
    rng: Rng,
    now: Instant,
    ours: Yamux,
    our_progress: BTreeMap<u32, Progress>,
    theirs: Connection<Pipe>,
    their_streams: BTreeMap<u32, yamux::Stream>,
    their_progress: BTreeMap<u32, Progress>,
    pipe: Pipe,
    /// Streams that each side still has to open.
    to_open: [usize; 2],
}

impl Run {
    fn new(seed: u64, streams: usize) -> Self {
        let (role, mode) =
            [(Role::Client, Mode::Server), (Role::Server, Mode::Client)][(seed % 2) as usize];
        let pipe = Pipe::default();
        Self {
            seed,
            rng: Rng::from_number(seed),
            now: Instant::ZERO,
            ours: Yamux::new(Config::default(), role, Instant::ZERO),
            our_progress: BTreeMap::new(),
            theirs: Connection::new(pipe.clone(), yamux::Config::default(), mode),
            their_streams: BTreeMap::new(),
            their_progress: BTreeMap::new(),
            pipe,
            to_open: [streams; 2],
        }
    }

    fn our_turn(&mut self) {
        self.now = self.now + core::time::Duration::from_micros(100);
        let mut bytes: Vec<u8> = self.pipe.outgoing.lock().unwrap().drain(..).collect();
        while !bytes.is_empty() {
            let rest = bytes.split_off(self.rng.below(bytes.len() as u64) as usize + 1);
            self.ours.receive(self.now, &bytes).unwrap();
            bytes = rest;
        }
        if self.to_open[WE] > 0
            && self.rng.below(3) == 0
            && let Ok(id) = self.ours.open()
        {
            self.to_open[WE] -= 1;
            self.our_progress.insert(id.number(), Progress::default());
        }
        while let Some(event) = self.ours.poll_event() {
            match event {
                Event::Opened(id) => {
                    self.our_progress.insert(id.number(), Progress::default());
                }
                Event::Reset(id) => {
                    assert_eq!(Plan::new(self.seed, id.number()).breaks, Some(THEY));
                    self.our_progress.get_mut(&id.number()).unwrap().over = true;
                }
                Event::Closed(id) => {
                    let progress = self.our_progress.get_mut(&id.number()).unwrap();
                    let plan = Plan::new(self.seed, id.number());
                    // It breaks a stream off with FIN where FIN came in before.
                    assert!(progress.read == plan.size[THEY] || plan.breaks == Some(THEY));
                    progress.over = true;
                }
                _ => {}
            }
        }
        for (&id, progress) in &mut self.our_progress {
            let plan = Plan::new(self.seed, id);
            let Some(mut stream) = self.ours.stream(StreamId::from_number(id)) else { continue };
            if plan.breaks == Some(WE) && progress.written >= plan.size[WE] / 2 {
                stream.reset();
                progress.over = true;
                continue;
            }
            let most = self.rng.below(100_000) as usize;
            if !progress.finished {
                let bytes = plan.bytes(id, WE, progress.written, most);
                progress.written += stream.write(&bytes).unwrap_or(0);
                if progress.written == plan.size[WE] {
                    stream.finish();
                    progress.finished = true;
                }
            }
            let bytes = stream.readable();
            let count = bytes.len().min(most);
            plan.check(id, THEY, progress.read, &bytes[..count]);
            progress.read += count;
            stream.consume(count);
        }
        let (mut out, budget) = (Vec::new(), 13 + self.rng.below(70_000) as usize);
        if self.pipe.incoming.lock().unwrap().len() < PIPE {
            self.ours.transmit(self.now, &mut out, budget);
            self.pipe.incoming.lock().unwrap().extend(out);
        }
    }

    fn their_turn(&mut self) {
        let context = &mut Context::from_waker(Waker::noop());
        for _ in 0..10 {
            if let Poll::Ready(stream) = self.theirs.poll_next_inbound(context) {
                let stream = stream.unwrap().unwrap();
                let id = stream.id().to_string().parse().unwrap();
                self.their_streams.insert(id, stream);
                self.their_progress.insert(id, Progress::default());
            }
        }
        if self.to_open[THEY] > 0
            && self.rng.below(3) == 0
            && let Poll::Ready(stream) = self.theirs.poll_new_outbound(context)
        {
            self.to_open[THEY] -= 1;
            let stream = stream.unwrap();
            let id = stream.id().to_string().parse().unwrap();
            self.their_streams.insert(id, stream);
            self.their_progress.insert(id, Progress::default());
        }
        let mut dropped = Vec::new();
        for (&id, stream) in &mut self.their_streams {
            let (plan, progress) =
                (Plan::new(self.seed, id), self.their_progress.get_mut(&id).unwrap());
            if plan.breaks == Some(THEY) && progress.written >= plan.size[THEY] / 2 {
                dropped.push(id);
                continue;
            }
            let mut out = vec![0; 1 + self.rng.below(100_000) as usize];
            if !progress.finished {
                let bytes = plan.bytes(id, THEY, progress.written, out.len());
                if bytes.is_empty() {
                    progress.finished = Pin::new(&mut *stream).poll_close(context).is_ready();
                } else {
                    match Pin::new(&mut *stream).poll_write(context, &bytes) {
                        Poll::Ready(Ok(count)) => progress.written += count,
                        Poll::Ready(Err(_)) => {
                            assert_eq!(plan.breaks, Some(WE));
                            progress.finished = true;
                        }
                        Poll::Pending => {}
                    }
                }
            }
            if let Poll::Ready(count) = Pin::new(&mut *stream).poll_read(context, &mut out) {
                let count = count.unwrap_or(0);
                plan.check(id, WE, progress.read, &out[..count]);
                progress.read += count;
                progress.ended = count == 0;
            }
            if progress.ended && progress.finished {
                assert!(plan.breaks.is_some() || progress.read == plan.size[WE]);
                dropped.push(id);
            }
        }
        for id in dropped {
            self.their_streams.remove(&id);
            self.their_progress.get_mut(&id).unwrap().over = true;
        }
    }

    fn is_done(&self) -> bool {
        self.to_open == [0, 0]
            && self.their_streams.is_empty()
            && self.ours.is_idle()
            && self.our_progress.values().all(|progress| progress.over)
    }

    fn run(mut self) {
        let streams: usize = self.to_open.iter().sum();
        for _ in 0..20_000 {
            self.our_turn();
            self.their_turn();
            if self.is_done() {
                // A stream that one side broke off before anything was sent is
                // not heard of by the other.
                for (id, progress) in &self.our_progress {
                    let plan = Plan::new(self.seed, *id);
                    assert!(plan.breaks.is_some() || self.their_progress[id].over);
                    assert!(plan.breaks.is_some() || progress.read == plan.size[THEY]);
                }
                assert!(self.our_progress.len() <= streams);
                return;
            }
        }
        panic!("seed {}: not done: {:?}", self.seed, self.ours.streams());
    }
}

#[test]
fn agrees_with_the_yamux_crate() {
    for seed in 0..30 {
        Run::new(seed, 5).run();
    }
}

#[test]
fn agrees_with_the_yamux_crate_on_many_streams() {
    for seed in 100..104 {
        Run::new(seed, 100).run();
    }
}

#[test]
fn the_yamux_crate_closes_what_it_never_opened() {
    // It forgets the SYN of a stream that is closed before anything is written.
    let mut run = Run::new(0, 0);
    let context = &mut Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(mut stream)) = run.theirs.poll_new_outbound(context) else { panic!() };
    assert!(Pin::new(&mut stream).poll_close(context).is_ready());
    for _ in 0..10 {
        run.their_turn();
        run.our_turn();
    }
    assert_eq!(run.ours.stats().frames_in, 2, "a ping, and the end of nothing");
    assert_eq!(run.ours.stats().opened_in, 0);
    assert!(run.ours.is_idle());
}
