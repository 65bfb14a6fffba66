//! Entries of the peer store as they stand on a disk.
#![no_main]
use libfuzzer_sys::fuzz_target;
use polypeer::Instant;
use polypeer::swarm::store::{Config, PeerStore};
use polypeer_fuzz::{keypair, stored};

fuzz_target!(|data: &[u8]| {
    let (me, peer) = (keypair(1).peer_id(), keypair(2).peer_id());
    let config = Config { journal: Some(core::time::Duration::ZERO), ..Config::default() };
    let mut store = PeerStore::new(config.clone(), me);
    // As it is, and behind a checksum that is right.
    let entries = [data.to_vec(), stored(&peer, data)];
    for entry in entries {
        let report = store.restore(Instant::ZERO, [(peer.as_bytes().to_vec(), entry)]);
        assert!(report.peers + report.skipped.len() <= 1);
    }
    let Some(entry) = store.get(&peer).cloned() else { return };
    // What was read is written so that it reads the same again.
    let tag = |store: &mut PeerStore| {
        let note = vec![("n".to_owned(), Some(vec![1]))];
        let patch = polypeer::swarm::store::Patch { metadata: note, ..Default::default() };
        store.patch(Instant::ZERO, &peer, patch).is_ok()
    };
    if !tag(&mut store) {
        return;
    }
    store.flush();
    let entry = store.get(&peer).cloned().unwrap_or(entry);
    while let Some(change) = store.poll_change() {
        let Some(value) = change.value else { continue };
        let mut again = PeerStore::new(config.clone(), me);
        again.restore(Instant::ZERO, [(change.key, value)]);
        assert_eq!(again.get(&peer), Some(&entry));
    }
});
