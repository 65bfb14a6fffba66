//! TCP without anything on top: what any protocol over it can reach at best.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Instant;

use serde_json::json;

use crate::Outcome;
use crate::streams::CHUNK;

/// Sends `bytes` from one thread to another over loopback and prints the seconds.
pub(crate) fn plain(bytes: u64) -> Outcome<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = vec![0; CHUNK];
        while stream.read(&mut buffer)? > 0 {}
        stream.write_all(&[1])
    });
    let mut stream = TcpStream::connect(address)?;
    let start = Instant::now();
    let zeros = vec![0; CHUNK];
    for _ in 0..bytes / CHUNK as u64 {
        stream.write_all(&zeros)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_exact(&mut [0])?;
    let seconds = start.elapsed().as_secs_f64();
    receiver.join().map_err(|_| "the receiver panicked")??;
    println!("{}", json!({ "ok": true, "bytes": bytes, "seconds": seconds }));
    Ok(())
}
