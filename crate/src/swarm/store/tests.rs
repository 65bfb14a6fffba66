//! What a user counts on of the peer store.

use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::identity::{Keypair, PeerRecord};
use crate::protocols::identify::Info;
use crate::rng::Rng;

const HOUR: Duration = Duration::from_secs(3600);
/// The Unix time at which the tests begin.
const EPOCH: u64 = 1_800_000_000_000;

fn key(number: u64) -> Keypair {
    Keypair::generate_ed25519(&mut Rng::from_number(number))
}

pub(super) fn peer(number: u64) -> PeerId {
    key(number).peer_id()
}

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn at(duration: Duration) -> Instant {
    Instant::ZERO + duration
}

fn store_with(change: impl FnOnce(&mut Config)) -> PeerStore {
    let mut config = Config { unix_millis_at_zero: EPOCH, ..Config::default() };
    change(&mut config);
    PeerStore::new(config, peer(0))
}

fn store() -> PeerStore {
    store_with(|_| {})
}

fn said(addresses: &[&str]) -> Info {
    Info {
        agent: "test/1".into(),
        protocols: vec!["/a/1".into()],
        addresses: addresses.iter().map(|text| address(text)).collect(),
        ..Info::default()
    }
}

fn signed(number: u64, sequence: u64, addresses: &[&str]) -> PeerRecord {
    let addresses = addresses.iter().map(|text| address(text)).collect();
    PeerRecord::seal(&key(number), sequence, addresses).unwrap()
}

fn known(store: &PeerStore, number: u64) -> Vec<String> {
    store.addresses(&peer(number)).iter().map(ToString::to_string).collect()
}

const FAR: &str = "/ip4/198.51.100.7/tcp/1";
const A: &str = "/ip4/203.0.113.1/tcp/1";
const B: &str = "/ip4/203.0.113.2/tcp/1";
const C: &str = "/ip4/203.0.113.3/tcp/1";

#[test]
fn what_worked_is_dialed_first_and_what_failed_last() {
    let mut store = store();
    let now = Instant::ZERO;
    store.discovered(now, &peer(1), &[address(A), address(B), address(C)], HOUR);
    store.dial_failed(now, &peer(1), &address(A));
    store.connected(now, &peer(1), Some(&address(C).with_peer(peer(1))));
    assert_eq!(known(&store, 1), [C, B, A]);
    let entry = store.get(&peer(1)).unwrap();
    assert_eq!((entry.successes, entry.last_seen), (1, EPOCH));
    assert_eq!(entry.public_key(&peer(1)), Some(key(1).public()));
}

#[test]
fn a_signed_record_stands_above_what_is_only_told() {
    let mut store = store();
    let now = Instant::ZERO;
    store.connected(now, &peer(1), None);
    store.identified(now, &peer(1), &address(FAR), &said(&[A]));
    assert_eq!(known(&store, 1), [A]);

    let mut info = said(&[A]);
    info.record = Some(signed(1, 5, &[B]));
    store.identified(now, &peer(1), &address(FAR), &info);
    assert_eq!(known(&store, 1), [B], "the record replaces plain addresses");

    store.identified(now, &peer(1), &address(FAR), &said(&[A]));
    assert_eq!(known(&store, 1), [B], "plain ones are not taken any more");
    store.discovered_record(now, &signed(1, 4, &[C]), HOUR);
    assert_eq!(known(&store, 1), [B], "an older record is not taken");
    store.discovered_record(now, &signed(1, 6, &[C]), HOUR);
    assert_eq!(known(&store, 1), [C], "a newer one replaces it");
    let entry = store.get(&peer(1)).unwrap();
    let record = PeerRecord::open(entry.record.as_ref().unwrap()).unwrap();
    assert_eq!((record.seq(), entry.addresses[0].source), (6, Source::Certified));
}

#[test]
fn a_signed_record_is_handed_on_as_it_is_while_it_is_good() {
    let mut store = store();
    assert_eq!(store.signed_record(&peer(1)), None);
    store.discovered(Instant::ZERO, &peer(1), &[address(A)], HOUR);
    assert_eq!(store.signed_record(&peer(1)), None, "nobody signed that");
    let record = signed(1, 5, &[B]);
    store.discovered_record(Instant::ZERO, &record, HOUR);
    let handed = store.signed_record(&peer(1)).unwrap();
    assert_eq!(PeerRecord::open(handed), Ok(record));
    // Nobody has heard of the peer since: what it signed may be long wrong.
    store.tell_time(at(HOUR));
    assert_eq!(store.signed_record(&peer(1)), None);
}

#[test]
fn an_address_that_worked_outlives_the_record_that_named_it() {
    let mut store = store();
    let now = Instant::ZERO;
    let mut info = said(&[]);
    info.record = Some(signed(1, 1, &[A]));
    store.connected(now, &peer(1), Some(&address(A)));
    store.identified(now, &peer(1), &address(FAR), &info);
    info.record = Some(signed(1, 2, &[B]));
    store.identified(now, &peer(1), &address(FAR), &info);
    assert_eq!(known(&store, 1), [A, B]);
    let sources: Vec<_> = store.get(&peer(1)).unwrap().addresses.iter().map(|a| a.source).collect();
    assert_eq!(sources, [Source::Dialed, Source::Certified]);
}

#[test]
fn lies_about_near_addresses_and_other_peers_are_not_kept() {
    let mut store = store();
    let now = Instant::ZERO;
    let other = address(C).with_peer(peer(2)).to_string();
    store.connected(now, &peer(1), None);
    let lies = said(&["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.0.1/tcp/1", &other, A]);
    store.identified(now, &peer(1), &address(FAR), &lies);
    assert_eq!(known(&store, 1), [A]);
    store.identified(now, &peer(1), &address("/ip4/192.168.0.9/tcp/5"), &lies);
    assert_eq!(known(&store, 1).len(), 2, "a neighbour may speak of the network");
}

#[test]
fn everything_has_its_time() {
    let mut store = store();
    store.discovered(Instant::ZERO, &peer(1), &[address(A)], HOUR);
    store.discovered(Instant::ZERO, &peer(2), &[address(A)], HOUR * 24 * 365);
    store.connected(Instant::ZERO, &peer(3), None);
    store.identified(Instant::ZERO, &peer(3), &address(FAR), &said(&[A]));
    let kept = Patch { addresses: Some(vec![address(B)]), ..Patch::default() };
    store.patch(Instant::ZERO, &peer(4), kept).unwrap();

    store.handle_timeout(at(HOUR * 2));
    assert!(store.get(&peer(1)).is_none(), "hearsay ends when it is said to");
    store.handle_timeout(at(HOUR * 25));
    assert!(store.get(&peer(2)).is_none(), "and after a day whatever is said");
    store.handle_timeout(at(HOUR * 24 * 30));
    assert_eq!(known(&store, 3), [A], "a connected peer stays");
    store.disconnected(at(HOUR * 24 * 30), &peer(3));
    store.handle_timeout(at(HOUR * 24 * 31 - HOUR));
    assert_eq!(known(&store, 3), [A], "and a day longer");
    store.handle_timeout(at(HOUR * 24 * 31 + HOUR));
    assert!(store.get(&peer(3)).is_none());
    assert_eq!(known(&store, 4), [B], "what the application gave has no end");
}

#[test]
fn strangers_displace_nobody_we_met() {
    let mut store = store_with(|config| (config.max_peers, config.max_hearsay) = (40, 10));
    for number in 1..=30 {
        store.connected(at(Duration::from_secs(number)), &peer(number), Some(&address(A)));
        store.disconnected(at(Duration::from_secs(number)), &peer(number));
    }
    let now = at(Duration::from_secs(40));
    for number in 1000..2000 {
        store.discovered(now, &peer(number), &[address(B)], HOUR);
        store.discovered_record(now, &signed(number, 1, &[C]), HOUR);
        assert!(store.len() <= 40);
    }
    assert!((1..=30).all(|number| store.get(&peer(number)).is_some()));
    assert_eq!(store.len(), 40);
    // Of those whom we met the one seen longest ago goes first, but never one
    // that is connected or that the application keeps.
    store.connected(now, &peer(1), None);
    let tag = Tag { value: 1, expires: u64::MAX };
    let patch = Patch { tags: vec![("friend".into(), Some(tag))], ..Patch::default() };
    store.patch(now, &peer(2), patch).unwrap();
    for number in 100..120 {
        store.connected(now, &peer(number), Some(&address(A)));
        store.disconnected(now, &peer(number));
    }
    assert!(store.get(&peer(1)).is_some() && store.get(&peer(2)).is_some());
    assert!(store.get(&peer(3)).is_none());
    assert_eq!(store.len(), 40);
}

#[test]
fn all_entries_together_stay_below_the_limit_of_bytes() {
    let mut store = store_with(|config| config.max_bytes = 100_000);
    let long: Vec<String> = (0..256).map(|n| format!("/{n}/{}", "x".repeat(120))).collect();
    for number in 1..100 {
        let mut info = said(&[A, B, C]);
        info.protocols = long.iter().map(|name| name.as_str().into()).collect();
        info.agent = "é".repeat(4000);
        store.connected(Instant::ZERO, &peer(number), Some(&address(A)));
        store.identified(Instant::ZERO, &peer(number), &address(FAR), &info);
        let entry = store.get(&peer(number)).unwrap();
        assert!(entry.agent.len() <= 256 && entry.protocols.len() < 100);
        store.disconnected(Instant::ZERO, &peer(number));
        assert!(store.bytes() <= 100_000);
    }
    assert!(store.len() > 5);
    let peers: Vec<PeerId> = store.iter().map(|(peer, _)| *peer).collect();
    for peer in peers {
        store.delete(Instant::ZERO, &peer);
    }
    assert_eq!((store.bytes(), store.len(), store.hearsay), (0, 0, 0), "the accounts are true");
}

#[test]
fn a_peer_has_so_many_addresses_and_the_weakest_go() {
    let mut store = store();
    let now = Instant::ZERO;
    store.connected(now, &peer(1), Some(&address(A)));
    let many: Vec<Multiaddr> =
        (1..2000).map(|n| address(&format!("/ip4/203.0.113.9/tcp/{n}"))).collect();
    store.discovered(now, &peer(1), &many, HOUR);
    let mut info = said(&[B]);
    info.addresses.extend(many.iter().take(200).cloned());
    store.identified(now, &peer(1), &address(FAR), &info);
    let list = known(&store, 1);
    assert_eq!(list.len(), 32);
    assert_eq!(list[0], A);
    assert!(list.contains(&B.to_owned()));
}

#[test]
fn the_application_patches_within_limits() {
    let mut store = store();
    let now = Instant::ZERO;
    let note = |name: &str, value: Option<Vec<u8>>| Patch {
        metadata: vec![(name.into(), value)],
        ..Patch::default()
    };
    store.patch(now, &peer(1), note("name", Some(b"Ann".to_vec()))).unwrap();
    store.patch(now, &peer(1), note("color", Some(b"red".to_vec()))).unwrap();
    let entry = store.get(&peer(1)).unwrap();
    assert_eq!(entry.metadata.get("name").map(Vec::as_slice), Some(&b"Ann"[..]));
    assert_eq!(store.poll_notice(), Some(Notice::Updated(peer(1))));

    let error = store.patch(now, &peer(1), note("big", Some(vec![0; 20_000]))).unwrap_err();
    assert_eq!(error, PatchError::MetadataTooLong { max: 16 << 10 });
    assert_eq!(store.get(&peer(1)).unwrap().metadata.len(), 2, "nothing of it is taken");
    assert_eq!(store.patch(now, &peer(0), Patch::default()), Err(PatchError::Myself));
    let foreign =
        Patch { addresses: Some(vec![address(A).with_peer(peer(2))]), ..Patch::default() };
    assert_eq!(store.patch(now, &peer(1), foreign), Err(PatchError::ForeignAddress(peer(2))));
    let tags = (0..33).map(|n| (n.to_string(), Some(Tag { value: 1, expires: 0 }))).collect();
    let tags = Patch { tags, ..Patch::default() };
    assert_eq!(store.patch(now, &peer(1), tags), Err(PatchError::TooManyTags { max: 32 }));
    let many = (0..33).map(|n| address(&format!("/ip4/203.0.113.9/tcp/{n}"))).collect();
    let many = Patch { addresses: Some(many), ..Patch::default() };
    assert_eq!(store.patch(now, &peer(1), many), Err(PatchError::TooManyAddresses { max: 32 }));

    store.patch(now, &peer(1), note("name", None)).unwrap();
    store.patch(now, &peer(1), note("color", None)).unwrap();
    assert!(store.get(&peer(1)).is_none(), "nothing is left of it");
}

#[test]
fn tags_end() {
    let mut store = store();
    let tag = Tag { value: 7, expires: EPOCH + 3_600_000 };
    let patch = Patch { tags: vec![("guest".into(), Some(tag))], ..Patch::default() };
    store.patch(Instant::ZERO, &peer(1), patch).unwrap();
    assert_eq!(store.get(&peer(1)).unwrap().worth(), 7);
    store.handle_timeout(at(HOUR * 2));
    assert!(store.get(&peer(1)).is_none());
}

/// Everything that is due by `now`.
fn drain(store: &mut PeerStore) -> Vec<Change> {
    std::iter::from_fn(|| store.poll_change()).collect()
}

#[test]
fn changes_come_out_together_and_once() {
    let mut store = store_with(|config| config.journal = Some(Duration::from_secs(5)));
    assert_eq!(store.poll_timeout(), None, "nothing to write, no timer");
    for second in 0..3 {
        store.discovered(
            at(Duration::from_secs(second)),
            &peer(1),
            &[address(A)],
            HOUR * (second as u32 + 1),
        );
    }
    assert_eq!(drain(&mut store), []);
    assert_eq!(store.poll_timeout(), Some(at(Duration::from_secs(5))));
    store.handle_timeout(at(Duration::from_secs(5)));
    let written = drain(&mut store);
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].key, peer(1).as_bytes());
    assert_eq!(store.poll_timeout(), None);
    store.delete(at(Duration::from_secs(6)), &peer(1));
    store.flush();
    assert_eq!(drain(&mut store), [Change { key: peer(1).as_bytes().to_vec(), value: None }]);
}

#[test]
fn a_restart_brings_everything_back() {
    let mut store = store_with(|config| config.journal = Some(Duration::ZERO));
    let now = Instant::ZERO;
    let mut info = said(&[A]);
    info.record = Some(signed(1, 9, &[B]));
    store.connected(now, &peer(1), Some(&address(C)));
    store.identified(now, &peer(1), &address(FAR), &info);
    let patch = Patch {
        addresses: Some(vec![address(FAR)]),
        metadata: vec![("name".into(), Some(b"Ann".to_vec()))],
        tags: vec![("friend".into(), Some(Tag { value: 3, expires: u64::MAX }))],
    };
    store.patch(now, &peer(1), patch).unwrap();
    store.disconnected(at(HOUR), &peer(1));
    let before = store.get(&peer(1)).cloned().unwrap();
    assert_eq!((before.stable_sessions, before.connected_millis), (1, 3_600_000));
    store.flush();
    let disk: Vec<_> =
        drain(&mut store).into_iter().map(|change| (change.key, change.value.unwrap())).collect();

    // A clock with another zero, some hours later.
    let config = Config { unix_millis_at_zero: EPOCH + 5 * 3_600_000, ..Config::default() };
    let mut again = PeerStore::new(config, peer(0));
    let report = again.restore(Instant::from_micros(77), disk);
    assert_eq!(report, Restored { peers: 1, skipped: Vec::new() });
    assert_eq!(again.get(&peer(1)), Some(&before));
    assert_eq!(again.poll_notice(), None);
}

#[test]
fn what_expired_meanwhile_does_not_come_back() {
    let mut store = store_with(|config| config.journal = Some(Duration::ZERO));
    store.discovered(Instant::ZERO, &peer(1), &[address(A)], HOUR);
    store.flush();
    let disk: Vec<_> =
        drain(&mut store).into_iter().map(|change| (change.key, change.value.unwrap())).collect();
    let mut again = store_with(|config| {
        config.unix_millis_at_zero = EPOCH + 7_200_000;
        config.journal = Some(Duration::ZERO);
    });
    assert_eq!(again.restore(Instant::ZERO, disk).peers, 0);
    again.flush();
    assert_eq!(drain(&mut again), [Change { key: peer(1).as_bytes().to_vec(), value: None }]);
}

#[test]
fn damaged_and_foreign_entries_are_reported_and_harm_nothing() {
    let mut store = store_with(|config| config.journal = Some(Duration::ZERO));
    let good = Entry {
        last_seen: 1,
        metadata: [("a".to_owned(), vec![1])].into_iter().collect(),
        ..Entry::default()
    };
    let bytes = codec::encode(&peer(1), &good);
    let mut torn = bytes.clone();
    torn.pop();
    let mut newer = bytes.clone();
    newer[0] = 9;
    let keys = [1, 2, 3, 4].map(|number| peer(number).as_bytes().to_vec());
    let [one, two, three, four] = keys.clone();
    let disk = vec![
        (b"no peer".to_vec(), bytes.clone()),
        (two, bytes.clone()),
        (three, newer),
        (four, torn),
        (one, bytes),
    ];
    let report = store.restore(Instant::ZERO, disk);
    assert_eq!(report.peers, 1);
    let reasons: Vec<_> = report.skipped.iter().map(|(_, reason)| *reason).collect();
    assert!(matches!(reasons[0], RestoreError::Key(_)));
    assert_eq!(
        reasons[1..],
        [RestoreError::Damaged, RestoreError::Version(9), RestoreError::Damaged]
    );
    store.flush();
    let deleted: Vec<_> = drain(&mut store).into_iter().map(|change| change.key).collect();
    assert_eq!(deleted.len(), 3);
    assert!(!deleted.contains(&keys[2]), "a newer program may want its entry back");
}

pub(super) fn any_entry() -> impl Strategy<Value = Entry> {
    let source = prop_oneof![
        Just(Source::Discovery),
        Just(Source::Identify),
        Just(Source::Dialed),
        Just(Source::Certified),
        Just(Source::Application)
    ];
    let addresses =
        prop::collection::vec((any::<u16>(), source, any::<[u64; 2]>(), any::<u32>()), 0..8);
    let texts = prop::collection::vec(".{0,40}", 0..6);
    let notes =
        prop::collection::vec((".{0,20}", any::<Vec<u8>>(), any::<u32>(), any::<u64>()), 0..6);
    let counts =
        (any::<[u64; 2]>(), any::<[u32; 3]>(), any::<Option<u64>>(), any::<Option<Vec<u8>>>());
    (addresses, texts, notes, counts).prop_map(|(addresses, texts, notes, counts)| {
        let (
            [last_seen, connected_millis],
            [successes, failures, stable_sessions],
            sequence,
            record,
        ) = counts;
        Entry {
            addresses: addresses
                .into_iter()
                .map(|(port, source, [expires, succeeded], failures)| Address {
                    address: address(&format!("/ip4/192.0.2.1/tcp/{port}")),
                    source,
                    expires,
                    succeeded,
                    failures,
                })
                .collect(),
            record,
            sequence,
            protocols: texts.iter().map(|name| name.as_str().into()).collect(),
            agent: texts.first().cloned().unwrap_or_default(),
            key: None,
            metadata: notes.iter().map(|(name, value, ..)| (name.clone(), value.clone())).collect(),
            tags: notes
                .into_iter()
                .map(|(name, _, value, expires)| (name, Tag { value, expires }))
                .collect(),
            last_seen,
            successes,
            failures,
            stable_sessions,
            connected_millis,
        }
    })
}

proptest! {
    #[test]
    fn every_entry_reads_as_it_was_written(entry in any_entry()) {
        let bytes = codec::encode(&peer(1), &entry);
        prop_assert_eq!(codec::decode(&peer(1), &bytes), Ok(entry));
    }

    #[test]
    fn a_changed_byte_never_passes_for_an_entry(entry in any_entry(), at: prop::sample::Index, flip in 1u8..) {
        let mut bytes = codec::encode(&peer(1), &entry);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(codec::decode(&peer(1), &bytes).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_harm(key: Vec<u8>, value: Vec<u8>) {
        let mut store = store();
        let report = store.restore(Instant::ZERO, [(key, value)]);
        prop_assert_eq!(report.peers + report.skipped.len(), 1);
    }

    /// As a fault of our own would write them: the checksum is right.
    #[test]
    fn wrong_entries_behind_a_right_checksum_do_no_harm(
        entry in any_entry(),
        at: prop::sample::Index,
        junk in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut value = codec::encode(&peer(1), &entry);
        let at = at.index(value.len() - 4) + 5;
        value.splice(at.min(value.len())..(at + junk.len() / 2).min(value.len()), junk);
        let sum = codec::checksum(&peer(1), &value[5..]);
        value[1..5].copy_from_slice(&sum);
        let mut store = store_with(|config| config.journal = Some(Duration::ZERO));
        let report = store.restore(Instant::ZERO, [(peer(1).as_bytes().to_vec(), value)]);
        prop_assert!(report.peers + report.skipped.len() <= 1);
        if let Some(read) = store.get(&peer(1)).cloned() {
            prop_assert!(read.addresses.len() <= 32 && read.agent.len() <= 256);
            let again = codec::decode(&peer(1), &codec::encode(&peer(1), &read));
            prop_assert_eq!(again, Ok(read));
        }
    }

    /// The accounts hold whatever happens, in whatever order.
    #[test]
    fn limits_hold_whatever_happens(steps in prop::collection::vec((0u8..8, 1u64..40, 0u64..5_000_000), 1..200)) {
        let mut store = store_with(|config| {
            (config.max_peers, config.max_hearsay, config.max_bytes) = (12, 5, 12_000);
            config.journal = Some(Duration::from_secs(1));
        });
        let ids: Vec<PeerId> = (0..40).map(peer).collect();
        let mut open = [0usize; 40];
        let mut now = Instant::ZERO;
        for (step, number, wait) in steps {
            now = now + Duration::from_millis(wait);
            let (index, id) = (number as usize, &ids[number as usize]);
            match step {
                0 if open.iter().filter(|count| **count > 0).count() < 4 => {
                    open[index] += 1;
                    store.connected(now, id, Some(&address(A)));
                }
                1 if open[index] > 0 => {
                    open[index] -= 1;
                    store.disconnected(now, id);
                }
                2 => store.discovered(now, id, &[address(B), address(C)], HOUR),
                3 => store.dial_failed(now, id, &address(A)),
                4 => { store.delete(now, id); }
                5 if open[index] > 0 => store.identified(now, id, &address(FAR), &said(&[A, B])),
                6 => {
                    let note = vec![("n".into(), (wait % 2 == 0).then(|| vec![0; 100]))];
                    store.patch(now, id, Patch { metadata: note, ..Patch::default() }).unwrap();
                }
                _ => { store.handle_timeout(now); drain(&mut store); }
            }
            prop_assert!(store.len() <= 12 && store.bytes() <= 12_000 && store.hearsay <= 5);
            let bytes: usize = store.entries.values().map(|slot| slot.entry.cost()).sum();
            prop_assert_eq!(bytes, store.bytes());
            let unconnected = store.entries.values().filter(|slot| slot.connections == 0).count();
            prop_assert_eq!(unconnected, store.order.len());
            for (at, id) in ids.iter().enumerate().filter(|(at, _)| open[*at] > 0) {
                prop_assert_eq!(store.entries.get(id).map(|slot| slot.connections), Some(open[at]));
            }
            while store.poll_notice().is_some() {}
        }
    }
}
