//! Lazy links: who is choked, what it sends then, and when it is choked no more.

use std::sync::Arc;

use super::*;
use wire::{Extensions, Item};

const DECLARED: Item = Item::Extensions(Extensions { test: false, choking: true });

/// A router with a mesh of so many, who all declare that they know CHOKE, or none does.
struct Mesh {
    router: Router,
    now: Instant,
    seqno: u64,
}

impl Mesh {
    fn new(peers: u64, declared: bool, choking: Option<Choking>) -> Self {
        let config = Config { choking, ..Config::default() };
        let mut router = Router::new(config, keypair(0), 0, Rng::from_number(0));
        router.subscribe(at(1), "news", TopicConfig::default()).unwrap();
        for number in 1..=peers {
            router.connected(at(1), peer(number), Version::V1_3, (false, None));
            if declared {
                router.receive(at(1), &peer(number), DECLARED);
            }
            router.receive(at(1), &peer(number), Item::Subscribe("news".into()));
            router.receive(at(1), &peer(number), Item::Graft("news".into()));
        }
        let mut mesh = Self { router, now: at(1), seqno: 0 };
        mesh.outs();
        assert_eq!(mesh.router.mesh("news").len() as u64, peers);
        mesh
    }

    fn outs(&mut self) -> Vec<(PeerId, Item)> {
        let outs = core::iter::from_fn(|| self.router.poll());
        outs.filter_map(|out| match out {
            Out::Send(to, item) => Some((to, item)),
            Out::Message(to, _, message) => Some((to, Item::Message(message))),
            _ => None,
        })
        .collect()
    }

    /// A message of somebody, which these send in this order; what the router says to it.
    fn message(&mut self, senders: &[u64]) -> Vec<(PeerId, Item)> {
        self.seqno += 1;
        let message = Arc::new(signed(99, self.seqno, "news", b"hello"));
        for sender in senders {
            self.router.receive(self.now, &peer(*sender), Item::Message(message.clone()));
        }
        self.outs()
    }

    fn tick(&mut self) -> Vec<(PeerId, Item)> {
        self.now = self.now + Duration::from_secs(1);
        self.router.handle_timeout(self.now);
        self.outs()
    }

    fn chokes(&mut self) -> Vec<(PeerId, Item)> {
        let mut said = self.tick();
        said.retain(|(_, item)| matches!(item, Item::Choke(_) | Item::Unchoke(_)));
        said
    }
}

#[test]
fn who_is_nearly_always_late_is_choked_and_enough_are_not() {
    let mut mesh = Mesh::new(6, true, Some(Choking::default()));
    for number in 0..30 {
        // Three send first by turns.
        let first = 1 + number % 3;
        mesh.message(&[first, 4, 5, 6]);
    }
    let mut choked = Vec::new();
    for _ in 0..10 {
        for (peer, item) in mesh.chokes() {
            assert_eq!(item, Item::Choke("news".into()));
            choked.push(peer);
        }
    }
    choked.sort_unstable();
    let mut late = [4, 5, 6].map(peer);
    late.sort_unstable();
    assert_eq!(choked, late);
    let mut said = mesh.router.choked("news");
    said.sort_unstable();
    assert_eq!(said, late);
    assert_eq!(mesh.router.mesh("news").len(), 6, "the mesh stays what it is");
}

#[test]
fn some_are_never_choked_however_late_they_are() {
    let mut mesh = Mesh::new(6, true, Some(Choking::default()));
    for _ in 0..30 {
        mesh.message(&[1, 2, 3, 4, 5, 6]);
    }
    let choked = (0..20).map(|_| mesh.chokes().len()).sum::<usize>();
    assert_eq!(choked, 3);
}

#[test]
fn who_is_choked_tells_of_messages_at_once_and_sends_none() {
    let mut mesh = Mesh::new(3, true, Some(Choking::default()));
    let copies = |said: &[(PeerId, Item)]| {
        let to = said.iter().filter(|(_, item)| matches!(item, Item::Message(_)));
        to.map(|(peer, _)| *peer).collect::<Vec<_>>()
    };
    assert_eq!(copies(&mesh.message(&[1])).len(), 2);
    mesh.router.receive(at(1), &peer(2), Item::Choke("news".into()));
    let said = mesh.message(&[1]);
    assert_eq!(copies(&said), [peer(3)]);
    let told = |said: &[(PeerId, Item)]| {
        said.iter().any(|(to, item)| {
            *to == peer(2) && matches!(item, Item::IHave(_, ids) if ids.len() == 1)
        })
    };
    assert!(told(&said));
    mesh.router.receive(at(1), &peer(2), Item::Unchoke("news".into()));
    assert_eq!(copies(&mesh.message(&[1])).len(), 2);
    // A new link is no lazy one.
    mesh.router.receive(at(1), &peer(2), Item::Choke("news".into()));
    mesh.router.disconnected(at(1), &peer(2));
    mesh.tick();
    mesh.router.connected(at(2), peer(2), Version::V1_3, (false, None));
    mesh.router.receive(at(2), &peer(2), DECLARED);
    mesh.router.receive(at(2), &peer(2), Item::Graft("news".into()));
    assert_eq!(copies(&mesh.message(&[1])).len(), 2);
}

#[test]
fn who_would_have_been_first_is_choked_no_more() {
    let mut mesh = Mesh::new(4, true, Some(Choking::default()));
    for number in 0..30 {
        mesh.message(&[1 + number % 3, 4]);
    }
    assert_eq!(mesh.chokes(), [(peer(4), Item::Choke("news".into()))]);
    for _ in 0..16 {
        mesh.seqno += 1;
        let message = signed(99, mesh.seqno, "news", b"hello");
        let id = MessageIds::Usual.of(&message);
        mesh.router.receive(mesh.now, &peer(4), Item::IHave("news".into(), vec![id.clone()]));
        let asked = mesh.outs();
        assert_eq!(asked, [(peer(4), Item::IWant(vec![id]))], "beyond the usual limit too");
        mesh.router.receive(mesh.now, &peer(4), Item::Message(Arc::new(message)));
        mesh.outs();
    }
    assert_eq!(mesh.chokes(), [(peer(4), Item::Unchoke("news".into()))]);
}

#[test]
fn telling_counts_as_sending_does_and_who_tells_is_sent_none() {
    let mut mesh = Mesh::new(4, true, Some(Choking::default()));
    for number in 0..30 {
        mesh.message(&[1 + number % 3, 4]);
    }
    assert_eq!(mesh.chokes(), [(peer(4), Item::Choke("news".into()))]);
    let topic: TopicName = "news".into();
    let tell = |mesh: &mut Mesh, number: u64| {
        let id = MessageIds::Usual.of(&signed(99, number, "news", b"hello"));
        mesh.router.receive(mesh.now, &peer(4), Item::IHave("news".into(), vec![id]));
        mesh.outs();
    };
    for number in 0..30 {
        let next = mesh.seqno + 1;
        let sent = |said: Vec<(PeerId, Item)>, to: u64| {
            said.iter().any(|(who, item)| *who == peer(to) && matches!(item, Item::Message(_)))
        };
        // Before it comes from another, or after.
        if number % 2 == 0 {
            tell(&mut mesh, next);
        }
        let said = mesh.message(&[1]);
        assert!(sent(said.clone(), 2));
        assert_eq!(sent(said, 4), number % 2 != 0);
        if number % 2 != 0 {
            tell(&mut mesh, next);
        }
    }
    assert!(!mesh.router.scores.is_idle(&peer(4), &topic));
    assert!(mesh.router.scores.is_idle(&peer(3), &topic), "it sent nothing");
}

#[test]
fn who_does_not_know_choking_is_told_by_idontwant_that_we_have_a_message() {
    let mut mesh = Mesh::new(4, false, Some(Choking::default()));
    for number in 0..30 {
        mesh.message(&[1 + number % 3, 4]);
    }
    assert!(mesh.chokes().is_empty(), "it would not understand");
    assert_eq!(mesh.router.choked("news"), [peer(4)]);
    let said = mesh.message(&[1]);
    let spared: Vec<_> =
        said.iter().filter(|(_, item)| matches!(item, Item::IDontWant(_))).collect();
    assert!(matches!(&*spared, [(to, _)] if *to == peer(4)), "{spared:?}");
    // What it says of choking is not heeded either.
    mesh.router.receive(mesh.now, &peer(2), Item::Choke("news".into()));
    assert!(
        mesh.message(&[1])
            .iter()
            .any(|(to, item)| { *to == peer(2) && matches!(item, Item::Message(_)) })
    );
}

#[test]
fn without_the_option_nobody_is_choked_and_nothing_is_declared() {
    let mut mesh = Mesh::new(4, true, None);
    for _ in 0..30 {
        mesh.message(&[1, 4]);
    }
    assert!(mesh.chokes().is_empty() && mesh.router.choked("news").is_empty());
    mesh.router.receive(mesh.now, &peer(2), Item::Choke("news".into()));
    assert!(
        mesh.message(&[1])
            .iter()
            .any(|(to, item)| { *to == peer(2) && matches!(item, Item::Message(_)) })
    );
    assert!(!mesh.router.greeting(&peer(1), false).contains(&DECLARED));
}
