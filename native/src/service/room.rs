//! `/polypeer/chat/1.0.0`: one room, in which everybody hears everybody else.
//!
//! A stream is a member. Both directions carry messages: a varint length, then that
//! many bytes of JSON in UTF-8.
//!
//! - A member sends `{"text": "…"}`; other fields are ignored.
//! - The room sends `{"from", "text", "at", "members"}`: the PeerId of the sender,
//!   which its connection has proved; what it said; when the room heard it, in
//!   milliseconds of Unix time; and how many are in the room.
//! - The first message to a new member is the room's own welcome, `from` the
//!   server. It tells `members`, the new one counted, and as `peers` who they are:
//!   the PeerIds of those who came last, [`MAX_TOLD`] at most.
//! - When others come or go the room says nothing with it: a message `from` the
//!   server with an empty `text` tells `members` and `peers` anew.
//!
//! A member that breaks the form, or does not read what it is sent, is shown the
//! door: its stream is reset.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use polypeer::PeerId;
use polypeer::facade::Node;
use polypeer::wire::varint;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// The protocol's name.
pub const NAME: &str = "/polypeer/chat/1.0.0";

/// The longest message of a member, in bytes: a few screens of text.
pub const MAX_MESSAGE: usize = 4 * 1024;

/// Members at a time. Each message goes to all of them, so this bounds what one
/// line costs.
pub const MAX_MEMBERS: usize = 1000;

/// Members at a time that are one peer: several tabs of one browser may share it.
pub const MAX_MEMBERS_PER_PEER: usize = 8;

/// PeerIds in a message that tells who is there.
pub const MAX_TOLD: usize = 64;

/// Messages that wait for a member to read them; one that is further behind is
/// dropped. So a member holds 256 KiB of the server at most.
pub const MAX_WAITING: usize = 64;

/// Messages that a member may send at once, and then one every [`REFILL`]. The room
/// does not read faster, which slows the sender down and nobody else.
pub const BURST: u32 = 20;

/// See [`BURST`].
pub const REFILL: Duration = Duration::from_millis(200);

/// Between two messages to a member that tell nothing but who is there: whoever
/// comes and goes all the time costs the others no more than this.
pub const COUNT_PAUSE: Duration = Duration::from_millis(500);

/// What a member sends.
#[derive(Deserialize)]
struct Said {
    text: String,
}

/// What the room sends.
#[derive(Serialize)]
struct Heard<'a> {
    from: &'a str,
    text: &'a str,
    at: u64,
    members: usize,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    peers: &'a [String],
}

/// Who is in the room.
#[derive(Default)]
struct Presence {
    members: usize,
    /// Those who came last, each once.
    peers: Vec<String>,
}

/// Why a member has to leave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoomError {
    /// [`MAX_MEMBERS`] or [`MAX_MEMBERS_PER_PEER`].
    #[error("the room is full")]
    Full,
    /// Over [`MAX_MESSAGE`], or a malformed length.
    #[error("a message has a length that is not allowed")]
    Length,
    /// Not the JSON of a message.
    #[error("a message is not of the form: {0}")]
    Form(#[from] serde_json::Error),
    /// Over [`MAX_WAITING`].
    #[error("the member does not read what it is sent")]
    Slow,
    /// The stream broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A room. Clones are the same one.
#[derive(Clone)]
pub struct Room {
    host: PeerId,
    members: Arc<Mutex<Members>>,
}

#[derive(Default)]
struct Members {
    next: u64,
    present: BTreeMap<u64, Member>,
    /// Who is present: of several changes that a member is too slow for, it hears
    /// the last.
    presence: watch::Sender<Arc<Presence>>,
}

impl Members {
    fn changed(&self) {
        self.presence.send_replace(Arc::new(self.presence(None)));
    }

    /// Who is there, with one who is about to enter.
    fn presence(&self, newcomer: Option<PeerId>) -> Presence {
        let mut told = BTreeSet::new();
        let present = self.present.values().rev().map(|member| member.peer);
        let newest = newcomer.into_iter().chain(present).filter(|peer| told.insert(*peer));
        let peers = newest.take(MAX_TOLD).map(|peer| peer.to_string()).collect();
        Presence { members: self.present.len() + usize::from(newcomer.is_some()), peers }
    }
}

/// What a new member is given.
struct Entry {
    id: u64,
    inbox: mpsc::Receiver<Arc<[u8]>>,
    presence: watch::Receiver<Arc<Presence>>,
    /// Completes when it is shown the door.
    door: oneshot::Receiver<()>,
}

struct Member {
    peer: PeerId,
    /// Whole messages with their lengths, each shared by all who get it.
    outbox: mpsc::Sender<Arc<[u8]>>,
    /// Dropped with the member, which its task hears.
    _stays: oneshot::Sender<()>,
}

/// Opens a room on `node`.
pub fn serve(node: &Node) -> Room {
    let room = Room::new(*node.peer_id());
    let inside = room.clone();
    node.handle(NAME, move |stream| {
        let room = inside.clone();
        async move {
            let Some(peer) = stream.peer_id() else { return };
            // Why a member left is known to it, or of no interest to the others.
            let _ = room.host(peer, stream).await;
        }
    });
    room
}

impl Room {
    /// An empty room whose own messages come from `host`.
    pub fn new(host: PeerId) -> Self {
        Self { host, members: Arc::default() }
    }

    /// How many are in the room.
    pub fn members(&self) -> usize {
        self.with(|members| members.present.len())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Members) -> T) -> T {
        // Every change of the map is whole.
        change(&mut self.members.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets `peer` take part until it leaves, which is no error, or has to.
    pub async fn host(
        &self,
        peer: PeerId,
        stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> Result<(), RoomError> {
        let Entry { id, inbox, presence, door } = self.enter(peer)?;
        let _leave = Leave { room: self, id };
        let (reader, mut writer) = stream.split();
        tokio::select! {
            left = self.listen_to(id, peer, reader) => left?,
            left = self.hear(inbox, presence, &mut writer) => return left,
            _ = door => return Err(RoomError::Slow),
        }
        Ok(writer.close().await?)
    }

    fn enter(&self, peer: PeerId) -> Result<Entry, RoomError> {
        let (outbox, inbox) = mpsc::channel(MAX_WAITING);
        let (stays, door) = oneshot::channel();
        self.with(|members| {
            let own = members.present.values().filter(|member| member.peer == peer).count();
            if members.present.len() >= MAX_MEMBERS || own >= MAX_MEMBERS_PER_PEER {
                return Err(RoomError::Full);
            }
            let welcome = message(&self.host, "Welcome", &members.presence(Some(peer)))?;
            // The channel is new and has room.
            let _ = outbox.try_send(welcome);
            let id = members.next;
            members.next += 1;
            members.present.insert(id, Member { peer, outbox, _stays: stays });
            members.changed();
            Ok(Entry { id, inbox, presence: members.presence.subscribe(), door })
        })
    }

    /// Passes on what a member says, until it has nothing more to say.
    async fn listen_to(
        &self,
        id: u64,
        peer: PeerId,
        mut reader: impl AsyncRead + Unpin,
    ) -> Result<(), RoomError> {
        let mut pace = Pace::new();
        while let Some(bytes) = read_message(&mut reader).await? {
            pace.step().await;
            let said: Said = serde_json::from_slice(&bytes)?;
            self.with(|members| {
                let count = Presence { members: members.present.len(), peers: Vec::new() };
                let heard = message(&peer, &said.text, &count)?;
                // Whoever is too far behind to hear this leaves.
                members.present.retain(|other, member| {
                    *other == id || member.outbox.try_send(heard.clone()).is_ok()
                });
                members.changed();
                Ok::<_, RoomError>(())
            })?;
        }
        Ok(())
    }

    /// Sends a member what others say, and who they are.
    async fn hear(
        &self,
        mut inbox: mpsc::Receiver<Arc<[u8]>>,
        mut presence: watch::Receiver<Arc<Presence>>,
        mut writer: impl AsyncWrite + Unpin,
    ) -> Result<(), RoomError> {
        let mut next_told = Instant::now();
        loop {
            let bytes = tokio::select! {
                said = inbox.recv() => said.ok_or(RoomError::Slow)?,
                () = async {
                    tokio::time::sleep_until(next_told).await;
                    // Never ends: the room outlives its members.
                    let _ = presence.changed().await;
                } => {
                    next_told = Instant::now() + COUNT_PAUSE;
                    let present = presence.borrow_and_update().clone();
                    message(&self.host, "", &present)?
                }
            };
            writer.write_all(&bytes).await?;
            if inbox.is_empty() {
                writer.flush().await?;
            }
        }
    }
}

/// Takes a member out of the room, whatever ended its stay.
struct Leave<'a> {
    room: &'a Room,
    id: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.room.with(|members| {
            members.present.remove(&self.id);
            members.changed();
        });
    }
}

/// One message with its length.
fn message(from: &PeerId, text: &str, present: &Presence) -> Result<Arc<[u8]>, RoomError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let Presence { members, peers } = present;
    let heard = Heard { from: &from.to_string(), text, at, members: *members, peers };
    let json = serde_json::to_vec(&heard)?;
    let mut bytes = Vec::with_capacity(json.len() + 2);
    varint::encode(json.len() as u64, &mut bytes);
    bytes.extend_from_slice(&json);
    Ok(bytes.into())
}

/// The next message, or `None` at the end between two.
async fn read_message(reader: &mut (impl AsyncRead + Unpin)) -> Result<Option<Vec<u8>>, RoomError> {
    let mut head = Vec::new();
    let length = loop {
        let mut byte = [0];
        if reader.read(&mut byte).await? == 0 {
            return if head.is_empty() { Ok(None) } else { Err(RoomError::Length) };
        }
        head.extend_from_slice(&byte);
        match varint::decode(&head) {
            Ok(Some((length, _))) => break length,
            Ok(None) => {}
            Err(_) => return Err(RoomError::Length),
        }
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_MESSAGE {
        return Err(RoomError::Length);
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).await?;
    Ok(Some(bytes))
}

/// A bucket of [`BURST`] tokens, filled by one every [`REFILL`].
struct Pace {
    tokens: u32,
    filled: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { tokens: BURST, filled: Instant::now() }
    }

    /// Takes a token, waits for one if there is none.
    async fn step(&mut self) {
        while self.tokens < BURST && self.filled.elapsed() >= REFILL {
            self.tokens += 1;
            self.filled += REFILL;
        }
        if self.tokens == BURST {
            self.filled = Instant::now();
        }
        if self.tokens == 0 {
            self.filled += REFILL;
            tokio::time::sleep_until(self.filled).await;
        } else {
            self.tokens -= 1;
        }
    }
}
