//! The chat room, its form and its limits.

use crate::common::{host, pair};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use polypeer::facade::platform::Io;
use polypeer::wire::varint;
use polypeer::{Keypair, PeerId, Rng};
use polypeer_native::service::room::{
    BURST, COUNT_PAUSE, MAX_MEMBERS, MAX_MEMBERS_PER_PEER, MAX_MESSAGE, MAX_TOLD, MAX_WAITING,
    REFILL, Room, RoomError,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

fn peer(number: u64) -> PeerId {
    Keypair::generate_ed25519(&mut Rng::from_number(number)).peer_id()
}

fn room() -> Room {
    Room::new(peer(0))
}

/// A member's end of its stream, and the room's task for it.
struct Member {
    io: Box<dyn Io>,
    stay: JoinHandle<Result<(), RoomError>>,
}

impl Member {
    /// Enters and hears the welcome.
    async fn enter(room: &Room, who: PeerId) -> (Self, Value) {
        let mut member = Self::knock(room, who).await;
        let welcome = member.hear().await;
        (member, welcome)
    }

    async fn knock(room: &Room, who: PeerId) -> Self {
        let (ours, theirs) = pair(&host(), "/memory/0").await;
        let room = room.clone();
        let stay = tokio::spawn(async move { room.host(who, theirs.io).await });
        Self { io: ours.io, stay }
    }

    async fn send(&mut self, bytes: &[u8]) {
        let mut message = Vec::new();
        varint::encode(bytes.len() as u64, &mut message);
        message.extend_from_slice(bytes);
        self.io.write_all(&message).await.unwrap();
    }

    async fn say(&mut self, text: &str) {
        self.send(json!({ "text": text }).to_string().as_bytes()).await;
    }

    /// The next that somebody says.
    async fn hear(&mut self) -> Value {
        loop {
            let message = self.receive().await;
            if message["text"] != "" {
                return message;
            }
        }
    }

    /// The next message, also one that says nothing but how many there are.
    async fn receive(&mut self) -> Value {
        let mut head = Vec::new();
        let length = loop {
            let mut byte = [0];
            self.io.read_exact(&mut byte).await.unwrap();
            head.extend_from_slice(&byte);
            if let Some((length, _)) = varint::decode(&head).unwrap() {
                break length;
            }
        };
        let mut bytes = vec![0; length as usize];
        self.io.read_exact(&mut bytes).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Why it had to leave.
    async fn left(self) -> RoomError {
        self.stay.await.unwrap().unwrap_err()
    }
}

#[tokio::test]
async fn everybody_hears_everybody_else() {
    let room = room();
    let (mut ann, welcome) = Member::enter(&room, peer(1)).await;
    assert_eq!(welcome["from"], peer(0).to_string());
    assert_eq!(welcome["members"], 1);
    let (mut bob, welcome) = Member::enter(&room, peer(2)).await;
    assert_eq!(welcome["members"], 2);
    let (mut cat, _) = Member::enter(&room, peer(3)).await;

    // What a member says of itself is not believed.
    let lie = json!({ "from": peer(3).to_string(), "text": "hello 👋 \"all\"", "at": 1 });
    ann.send(lie.to_string().as_bytes()).await;
    for member in [&mut bob, &mut cat] {
        let heard = member.hear().await;
        assert_eq!(heard["from"], peer(1).to_string());
        assert_eq!(heard["text"], "hello 👋 \"all\"");
        assert_eq!(heard["members"], 3);
        assert!(heard["at"].as_u64().unwrap() > 1_600_000_000_000);
    }
    // Ann does not hear herself: the next she hears is Bob.
    bob.say("hi ann").await;
    assert_eq!(ann.hear().await["text"], "hi ann");

    // Leaving politely is no error, and the others stay.
    bob.io.close().await.unwrap();
    bob.stay.await.unwrap().unwrap();
    assert_eq!(room.members(), 2);
    drop(cat);
    ann.say("anyone?").await;
    ann.io.close().await.unwrap();
    ann.stay.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn members_are_told_how_many_they_are() {
    let room = room();
    let (mut ann, _) = Member::enter(&room, peer(1)).await;
    let (bob, welcome) = Member::enter(&room, peer(2)).await;
    assert_eq!(welcome["members"], 2);
    let told = ann.receive().await;
    assert_eq!((&told["text"], &told["members"]), (&"".into(), &2.into()));
    assert_eq!(told["from"], peer(0).to_string());

    // Many who come and go are told of together, not one by one.
    let start = tokio::time::Instant::now();
    drop(bob.io);
    bob.stay.await.unwrap().unwrap();
    for number in 3..50 {
        let (member, _) = Member::enter(&room, peer(number)).await;
        drop(member.io);
        member.stay.await.unwrap().unwrap();
    }
    let (_cat, _) = Member::enter(&room, peer(50)).await;
    let (_dan, _) = Member::enter(&room, peer(51)).await;
    let mut messages = 0;
    while ann.receive().await["members"] != 3 {
        messages += 1;
    }
    // The clock is the test's: it moves only while all wait.
    assert!(start.elapsed() >= COUNT_PAUSE);
    assert!(messages <= 1, "{messages}");
}

#[tokio::test]
async fn bad_messages_end_the_stay() {
    let long = "x".repeat(MAX_MESSAGE);
    for bytes in [
        &b"not json"[..],
        br#"{"txet": "typo"}"#,
        br#"{"text": 5}"#,
        b"{\"text\": \"\xff\"}",
        b"",
        long.as_bytes(),
    ] {
        let room = room();
        let (mut member, _) = Member::enter(&room, peer(1)).await;
        member.send(bytes).await;
        assert!(matches!(member.left().await, RoomError::Form(_)), "{bytes:?}");
        assert_eq!(room.members(), 0);
    }
    // Lengths: too long, not a varint, cut.
    for bytes in [&[0x81, 0x20][..], &[0xff; 10], &[0x80, 0x00]] {
        let room = room();
        let (mut member, _) = Member::enter(&room, peer(1)).await;
        member.io.write_all(bytes).await.unwrap();
        assert!(matches!(member.left().await, RoomError::Length), "{bytes:?}");
    }
    let room = room();
    let (mut member, _) = Member::enter(&room, peer(1)).await;
    member.io.write_all(&[5, b'{']).await.unwrap();
    member.io.close().await.unwrap();
    assert!(matches!(member.left().await, RoomError::Io(_)));
}

#[tokio::test]
async fn members_are_told_who_came_last() {
    let room = room();
    let (_ann, welcome) = Member::enter(&room, peer(1)).await;
    assert_eq!(welcome["peers"], json!([peer(1).to_string()]));
    // A peer with two pages is one peer.
    let (mut bob, welcome) = Member::enter(&room, peer(2)).await;
    let both = json!([peer(2).to_string(), peer(1).to_string()]);
    assert_eq!(welcome["peers"], both);
    let (again, _) = Member::enter(&room, peer(2)).await;
    drop(again.io);
    again.stay.await.unwrap().unwrap();
    assert_eq!(bob.receive().await["peers"], both);

    let mut members = Vec::new();
    for number in 3..3 + MAX_TOLD as u64 {
        members.push(Member::enter(&room, peer(number)).await);
    }
    let (_, welcome) = &members[MAX_TOLD - 1];
    let peers: Vec<_> = (3..3 + MAX_TOLD as u64).rev().map(|n| peer(n).to_string()).collect();
    assert_eq!(welcome["peers"], json!(peers));
    assert_eq!(welcome["members"], MAX_TOLD + 2);
}

#[tokio::test]
async fn the_room_and_each_peer_have_limits() {
    let room = room();
    let mut members = Vec::new();
    for _ in 0..MAX_MEMBERS_PER_PEER {
        members.push(Member::enter(&room, peer(1)).await);
    }
    assert!(matches!(Member::knock(&room, peer(1)).await.left().await, RoomError::Full));
    for number in MAX_MEMBERS_PER_PEER..MAX_MEMBERS {
        members.push(Member::enter(&room, peer(number as u64 + 2)).await);
    }
    assert_eq!(room.members(), MAX_MEMBERS);
    assert!(matches!(Member::knock(&room, peer(2)).await.left().await, RoomError::Full));
    // A place that is left is free.
    let (member, _) = members.pop().unwrap();
    drop(member.io);
    member.stay.await.unwrap().unwrap();
    Member::enter(&room, peer(2)).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_read_is_shown_the_door() {
    let room = room();
    let (mut speaker, _) = Member::enter(&room, peer(1)).await;
    let (deaf, _) = Member::enter(&room, peer(2)).await;
    let (mut good, _) = Member::enter(&room, peer(3)).await;
    let text = "y".repeat(MAX_MESSAGE - 100);
    // The link's own buffer takes some, the queue the rest.
    let mut said = 0;
    while room.members() == 3 {
        speaker.say(&text).await;
        assert_eq!(good.hear().await["text"], text);
        said += 1;
        assert!(said < 10 * MAX_WAITING, "nothing bounds what waits");
    }
    assert!(said > MAX_WAITING);
    assert!(matches!(deaf.left().await, RoomError::Slow));
}

#[tokio::test(start_paused = true)]
async fn a_fast_speaker_is_slowed_down() {
    let room = room();
    let (mut speaker, _) = Member::enter(&room, peer(1)).await;
    let (mut listener, _) = Member::enter(&room, peer(2)).await;
    let start = tokio::time::Instant::now();
    for number in 0..BURST + 5 {
        speaker.say(&number.to_string()).await;
    }
    for number in 0..BURST + 5 {
        assert_eq!(listener.hear().await["text"], number.to_string());
    }
    // The clock is the test's: it moves only while all wait.
    assert!(start.elapsed() >= 5 * REFILL);
}
