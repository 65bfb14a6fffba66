//! Bytes a second through our Yamux and through the `yamux` crate, side by side,
//! in memory and on one thread.
//!
//! Both sides of each pair share the same kind of pipe, into which bytes are
//! copied once and out of which they are copied once.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

#[path = "../tests/allocations/counting.rs"]
#[allow(dead_code, reason = "here it is counted how many there are, not how large")]
mod counting;

use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::{AsyncRead, AsyncWrite};
use polypeer::Instant;
use polypeer::muxer::yamux::{Config, Read, Role, Yamux};
use yamux::{Connection, Mode};

const MIB: usize = 1024 * 1024;
/// Bytes sent in a run.
const TOTAL: usize = 64 * MIB;
/// Runs, of which the fastest counts.
const RUNS: usize = 20;
/// Bytes written, and read, at once.
const CHUNK: usize = 64 * 1024;
/// Bytes that a pipe holds.
const PIPE: usize = 256 * 1024;

fn main() {
    println!("{:>8} {:>10} {:>12} {:>12}", "streams", "", "polypeer", "yamux crate");
    for streams in [1, 100] {
        let (mut best_ours, mut best_theirs) = Default::default();
        // In turns, so that a machine that is busy for a while is so for both.
        for _ in 0..RUNS {
            measure(&mut best_ours, || ours(streams));
            measure(&mut best_theirs, || theirs(streams));
        }
        println!("{streams:>8} {:>10} {:>12.0} {:>12.0}", "MiB/s", best_ours.0, best_theirs.0);
        println!("{:>8} {:>10} {:>12.2} {:>12.2}", "", "allocs/MiB", best_ours.1, best_theirs.1);
    }
}

/// Keeps in `best` the MiB a second, and the allocations a MiB, of the fastest run.
fn measure(best: &mut (f64, f64), run: impl Fn()) {
    let (allocations, start) = (counting::allocations(), std::time::Instant::now());
    run();
    let (mib, seconds) = ((TOTAL / MIB) as f64, start.elapsed().as_secs_f64());
    if mib / seconds > best.0 {
        *best = (mib / seconds, (counting::allocations() - allocations) as f64 / mib);
    }
}

fn ours(streams: usize) {
    let (start, chunk, mut out) = (std::time::Instant::now(), vec![7; CHUNK], vec![0; CHUNK]);
    let now = || Instant::from_micros(start.elapsed().as_micros() as u64);
    let mut client = Yamux::new(Config::default(), Role::Client, now());
    let mut server = Yamux::new(Config::default(), Role::Server, now());
    let ids: Vec<_> = (0..streams).map(|_| client.open().unwrap()).collect();
    let (mut there, mut back) = (Vec::with_capacity(PIPE), Vec::with_capacity(PIPE));
    let mut left = TOTAL;
    while left > 0 {
        for id in &ids {
            let mut stream = client.stream(*id).unwrap();
            while stream.write(&chunk).unwrap() > 0 {}
        }
        let time = now();
        while there.len() < PIPE && client.transmit(time, &mut there, 65_519) > 0 {}
        server.receive(time, &there).unwrap();
        there.clear();
        while server.poll_event().is_some() {}
        for id in &ids {
            let Some(mut stream) = server.stream(*id) else { continue };
            while let Read::Bytes(count) = stream.read(&mut out) {
                black_box(&out[..count]);
                left = left.saturating_sub(count);
            }
        }
        server.transmit(time, &mut back, PIPE);
        client.receive(time, &back).unwrap();
        back.clear();
        while client.poll_event().is_some() {}
    }
}

/// One direction of a link.
#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    head: usize,
}

/// One end of a link.
struct Pipe {
    incoming: Arc<Mutex<Queue>>,
    outgoing: Arc<Mutex<Queue>>,
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut queue = self.incoming.lock().unwrap();
        let count = out.len().min(queue.bytes.len() - queue.head);
        if count == 0 {
            return Poll::Pending;
        }
        out[..count].copy_from_slice(&queue.bytes[queue.head..queue.head + count]);
        queue.head += count;
        if queue.head == queue.bytes.len() {
            queue.bytes.clear();
            queue.head = 0;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        part: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut queue = self.outgoing.lock().unwrap();
        let count = part.len().min(PIPE.saturating_sub(queue.bytes.len()));
        if count == 0 {
            return Poll::Pending;
        }
        queue.bytes.extend_from_slice(&part[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn theirs(streams: usize) {
    let context = &mut Context::from_waker(Waker::noop());
    let (there, back) = (Arc::<Mutex<Queue>>::default(), Arc::<Mutex<Queue>>::default());
    let near = Pipe { incoming: back.clone(), outgoing: there.clone() };
    let far = Pipe { incoming: there, outgoing: back };
    let mut client = Connection::new(near, yamux::Config::default(), Mode::Client);
    let mut server = Connection::new(far, yamux::Config::default(), Mode::Server);
    let (chunk, mut out) = (vec![7; CHUNK], vec![0; CHUNK]);
    let mut writers = Vec::new();
    while writers.len() < streams {
        if let Poll::Ready(stream) = client.poll_new_outbound(context) {
            writers.push(stream.unwrap());
        }
    }
    let (mut readers, mut left) = (Vec::new(), TOTAL);
    while left > 0 {
        for writer in &mut writers {
            while let Poll::Ready(count) = Pin::new(&mut *writer).poll_write(context, &chunk) {
                count.unwrap();
            }
        }
        assert!(client.poll_next_inbound(context).is_pending());
        while let Poll::Ready(stream) = server.poll_next_inbound(context) {
            readers.push(stream.unwrap().unwrap());
        }
        for reader in &mut readers {
            while let Poll::Ready(count) = Pin::new(&mut *reader).poll_read(context, &mut out) {
                let count = count.unwrap();
                black_box(&out[..count]);
                left = left.saturating_sub(count);
            }
        }
    }
}
