//! WebRTC direct as Node drives it: JavaScript owns the sockets and the timers and
//! hands in datagrams, here they become records of data channels and the other way
//! round. See `src/host/webrtc/node-stack.ts` for the other side.
//!
//! Calls take integers, and bytes that JavaScript has written to [`rtc_input`]. What
//! comes back as a length is that of bytes at [`rtc_output`], until the next call; a
//! negative one that of the text of an error. A session is known by its number, and a
//! number that is none is one of a session that has nothing to say.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use polypeer_webrtc::records::Assembler;
use polypeer_webrtc::{
    Certificate, CertificateError, Cipher, Credentials, End, Identity, Session, Strangers, Version,
};

/// WebAssembly has no instructions for AES.
const CIPHER: Cipher = Cipher::ChaCha20Poly1305;

/// Bytes of records that are read at a time.
const READ_BYTES: usize = 256 * 1024;

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

#[derive(Default)]
struct Host {
    /// What JavaScript wrote for the call to come.
    input: Vec<u8>,
    /// What the last call left for JavaScript.
    output: Vec<u8>,
    /// Of all listeners, once there is one.
    identity: Option<Identity>,
    /// By the numbers of the listeners.
    strangers: Vec<Strangers>,
    sessions: BTreeMap<u32, Open>,
    /// The number of the last session.
    last: u32,
}

struct Open {
    session: Session,
    assembler: Assembler,
}

/// Why a call led to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the operating system has no randomness: {0}")]
    Random(#[from] getrandom::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("that is not what this call takes")]
    Arguments,
}

impl Host {
    fn certificate(&mut self) -> Result<(), Failure> {
        let pem = Certificate::generate(&random()?)?.to_pem()?;
        self.output.extend_from_slice(pem.as_bytes());
        Ok(())
    }

    fn identity(&mut self) -> Result<(), Failure> {
        let identity = Identity::new(Certificate::from_pem(&self.input)?, CIPHER)?;
        self.output.extend_from_slice(&identity.certhash());
        self.identity = Some(identity);
        Ok(())
    }

    fn dial(&mut self, version: Version) -> Result<u32, Failure> {
        let (expected, remote) = self.input.split_first_chunk().ok_or(Failure::Arguments)?;
        let remote = address(remote)?;
        let credentials = Credentials::new(version, &random()?);
        let identity = Identity::new(Certificate::generate(&random()?)?, CIPHER)?;
        let (random, now) = (random()?, Instant::now());
        let session = Session::dialer(&identity, credentials, remote, *expected, random, now);
        Ok(self.open(session))
    }

    fn answer(&mut self, listener: usize, address_length: usize) -> Result<(), Failure> {
        let (from, datagram) = addressed(&self.input, address_length)?;
        let strangers = self.strangers.get_mut(listener).ok_or(Failure::Arguments)?;
        self.output.extend(strangers.handle(from, datagram).into_iter().flatten());
        Ok(())
    }

    fn begin(&mut self, listener: usize, address_length: usize) -> Result<u32, Failure> {
        let (from, datagram) = addressed(&self.input, address_length)?;
        let strangers = self.strangers.get_mut(listener).ok_or(Failure::Arguments)?;
        let Some(credentials) = strangers.begin(from, datagram) else { return Ok(0) };
        let identity = self.identity.as_ref().ok_or(Failure::Arguments)?;
        let now = Instant::now();
        let mut session = Session::listener(identity, credentials, from, random()?, now);
        session.handle(now, datagram);
        Ok(self.open(session))
    }

    fn open(&mut self, session: Session) -> u32 {
        self.last += 1;
        self.sessions.insert(self.last, Open { session, assembler: Assembler::default() });
        self.last
    }
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Reads `192.0.2.1:4001` or `[2001:db8::1]:4001`.
fn address(text: &[u8]) -> Result<SocketAddr, Failure> {
    let text = std::str::from_utf8(text).map_err(|_| Failure::Arguments)?;
    text.parse().map_err(|_| Failure::Arguments)
}

/// An address of so many bytes, and the datagram that came from there.
fn addressed(input: &[u8], address_length: usize) -> Result<(SocketAddr, &[u8]), Failure> {
    let (from, datagram) = input.split_at_checked(address_length).ok_or(Failure::Arguments)?;
    Ok((address(from)?, datagram))
}

/// Calls the host, whose output begins anew. What is returned is a number that the
/// call makes, or less than 0.
fn call(act: impl FnOnce(&mut Host) -> Result<u32, Failure>) -> i32 {
    HOST.with_borrow_mut(|host| {
        host.output.clear();
        match act(host) {
            Ok(number) => number as i32,
            Err(failure) => {
                host.output = failure.to_string().into_bytes();
                -(host.output.len() as i32)
            }
        }
    })
}

/// As [`call`]; the number is the length of the output.
fn told(act: impl FnOnce(&mut Host) -> Result<(), Failure>) -> i32 {
    call(|host| {
        act(host)?;
        Ok(host.output.len() as u32)
    })
}

/// Calls a session, which may append to the output; one that is not there says what
/// is nothing.
fn with<T: Default>(number: u32, act: impl FnOnce(&mut Open, &[u8], &mut Vec<u8>) -> T) -> T {
    HOST.with_borrow_mut(|Host { sessions, input, output, .. }| {
        output.clear();
        sessions.get_mut(&number).map(|open| act(open, input, output)).unwrap_or_default()
    })
}

/// Where `length` bytes for the calls to come are to be written.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_input(length: usize) -> *mut u8 {
    HOST.with_borrow_mut(|host| {
        host.input.resize(length, 0);
        host.input.as_mut_ptr()
    })
}

/// Where the last call has left bytes.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_output() -> *const u8 {
    HOST.with_borrow(|host| host.output.as_ptr())
}

/// Makes a certificate: its length in PEM, with its key.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_certificate() -> i32 {
    told(Host::certificate)
}

/// Listeners show the certificate in PEM that is the input: the length of its hash.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_identity() -> i32 {
    told(Host::identity)
}

/// The number of a new listener.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_listen() -> i32 {
    call(|host| {
        host.strangers.push(Strangers::default());
        Ok(host.strangers.len() as u32 - 1)
    })
}

/// The input is an address of so many bytes and a datagram that came from there, of
/// no session: the length of an answer, 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_answer(listener: usize, address_length: usize) -> i32 {
    told(|host| host.answer(listener, address_length))
}

/// As [`rtc_answer`]: the number of the session that begins with it, 0 if none does.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_begin(listener: usize, address_length: usize) -> i32 {
    call(|host| host.begin(listener, address_length))
}

/// The input is the hash of a certificate and the address of a listener that has it:
/// the number of a session with it, by version 1 or 2.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_dial(version: u32) -> i32 {
    call(|host| host.dial(if version == 1 { Version::V1 } else { Version::V2 }))
}

/// Whether the remote has been heard.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_is_reached(number: u32) -> bool {
    with(number, |open, _, _| open.session.is_reached())
}

/// Whether there are data channels.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_is_open(number: u32) -> bool {
    with(number, |open, _, _| open.session.is_open())
}

/// Whether records may be written.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_has_room(number: u32) -> bool {
    with(number, |open, _, _| open.session.has_room())
}

/// The length of the hashes of the certificates of dialer and listener; 0 before the
/// session is open.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_certificates(number: u32) -> usize {
    with(number, |open, _, output| {
        let Some((dialer, listener)) = open.session.certificates() else { return 0 };
        output.extend(dialer.into_iter().chain(listener));
        output.len()
    })
}

/// The length of a byte that says how the session ended, and of a text that says it
/// to people; 0 while it goes on.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_end(number: u32) -> usize {
    with(number, |open, _, output| {
        let Some(end) = open.session.end() else { return 0 };
        output.push(match end {
            End::ByUs | End::ByRemote => 0,
            End::Vanished => 1,
            End::WrongCertificate => 2,
            _ => 3,
        });
        output.extend_from_slice(end.to_string().as_bytes());
        output.len()
    })
}

/// The input is a datagram of the remote.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_handle(number: u32) {
    with(number, |open, input, _| open.session.handle(Instant::now(), input));
}

/// Time has passed.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_handle_timeout(number: u32) {
    with(number, |open, _, _| open.session.handle_timeout(Instant::now()));
}

/// In how many milliseconds [`rtc_handle_timeout`] is due; less than 0: never.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_poll_timeout(number: u32) -> f64 {
    let due = with(number, |open, _, _| open.session.poll_timeout());
    due.map_or(-1.0, |due| due.saturating_duration_since(Instant::now()).as_secs_f64() * 1e3)
}

/// The length of the next datagram for the remote; 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_poll_datagram(number: u32) -> usize {
    with(number, |open, _, output| {
        *output = open.session.poll_datagram(Instant::now()).unwrap_or_default();
        output.len()
    })
}

/// The length of records for the core; 0 if there are none.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_read(number: u32) -> usize {
    with(number, |open, _, output| {
        open.session.read(Instant::now(), output, READ_BYTES);
        output.len()
    })
}

/// The input is records of the core, of which the first and the last may be parts.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_write(number: u32) {
    with(number, |open, mut input, _| {
        while !input.is_empty() {
            if let Some(record) = open.assembler.next(&mut input) {
                open.session.write(Instant::now(), &record);
            }
        }
    });
}

/// Ends a session once what was written has arrived.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_close(number: u32) {
    with(number, |open, _, _| open.session.close(Instant::now()));
}

/// Ends a session at once: there may be a datagram that says so.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_abort(number: u32) {
    with(number, |open, _, _| open.session.abort(Instant::now()));
}

/// Forgets a session.
#[unsafe(no_mangle)]
pub extern "C" fn rtc_free(number: u32) {
    HOST.with_borrow_mut(|host| host.sessions.remove(&number));
}
