//! Places in a mesh go to those who are of use there.

use std::sync::Arc;

use super::speaking::{Alone, prune};
use super::wire::Item;
use super::*;

/// A full mesh of twelve that came to us and send nothing, and one outside of it that does.
fn full_of_idle() -> (Alone, PeerId) {
    let mut alone = Alone::new(Config::default());
    for number in 1..=12 {
        alone.meet(number, false);
        alone.hear(number, Item::Graft("news".into()));
    }
    let busy = alone.meet(13, false);
    assert!(!alone.router.mesh("news").contains(&busy));
    for seqno in 1..=20 {
        let message = signed(90, seqno, "news", b"new");
        alone.hear(13, Item::Message(Arc::new(message)));
    }
    (alone, busy)
}

#[test]
fn who_is_of_use_takes_the_place_of_one_who_is_not() {
    let (mut alone, busy) = full_of_idle();
    assert!(prune(&alone.wait(5)).is_some());
    let mesh = alone.router.mesh("news");
    assert!(mesh.len() == 12 && mesh.contains(&busy));
    // Nobody else is of more use than those who are there: they stay.
    assert!(prune(&alone.wait(20)).is_none());
}

#[test]
fn a_full_mesh_has_room_for_who_is_of_use() {
    let (mut alone, busy) = full_of_idle();
    let outs = alone.hear(13, Item::Graft("news".into()));
    let pruned = |out: &Out| matches!(out, Out::Send(peer, Item::Prune { .. }) if *peer != busy);
    assert!(outs.iter().any(pruned), "{outs:?}");
    let mesh = alone.router.mesh("news");
    assert!(mesh.len() == 12 && mesh.contains(&busy));
}
