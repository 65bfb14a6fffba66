//! ICE that is restarted.

use super::*;

fn host(connection: ConnectionId, order: HostOrder) -> Order {
    Order::Host { connection, order }
}

fn failed(connection: ConnectionId, error: SignalError) -> Vec<Order> {
    vec![Order::Failed { connection, error }]
}

fn no_way() -> SignalError {
    SignalError::Host("no way".into())
}

#[test]
fn who_offered_restarts_once_with_descriptions_first_as_before() {
    let mut machine = Machine::new();
    let (via, connection, stream) = machine.offered();
    assert_eq!(machine.failed(connection), [host(connection, HostOrder::Restart { offer: None })]);
    // What is left of the first description goes to nobody.
    machine.0.found(connection, "null".into());
    assert!(machine.actions().is_empty());
    machine.0.described(connection, "second".into());
    machine.0.found(connection, "{}".into());
    let all = sent(&machine.actions());
    let second = Signal { kind: Kind::Offer, data: "second".into() };
    assert_eq!(all, [second, Signal { kind: Kind::Candidate, data: "{}".into() }]);
    // What the remote sends before its second answer is kept for after it.
    assert_eq!(machine.hear(via, stream, Kind::Candidate, "early"), []);
    let orders = machine.hear(via, stream, Kind::Answer, "second");
    let accept = host(connection, HostOrder::Accept { answer: "second".into() });
    let early = host(connection, HostOrder::Candidate { candidate: "early".into() });
    assert_eq!(orders, [accept, early]);
    assert_eq!(machine.failed(connection), failed(connection, no_way()));
}

#[test]
fn ice_that_looks_too_long_is_restarted_and_the_try_takes_no_longer() {
    let mut machine = Machine::new();
    let (_, connection, _) = machine.offered();
    assert_eq!(machine.0.poll_timeout(), Some(Instant::ZERO + RESTART_AFTER));
    let early = RESTART_AFTER - Duration::from_micros(1);
    assert_eq!(machine.timeout(early), []);
    assert_eq!(
        machine.timeout(RESTART_AFTER),
        [host(connection, HostOrder::Restart { offer: None })]
    );
    assert_eq!(machine.0.poll_timeout(), Some(Instant::ZERO + TRY_TIME));
    assert_eq!(machine.timeout(TRY_TIME), failed(connection, SignalError::TimedOut));
    assert!(machine.0.is_empty());
}

#[test]
fn what_was_before_may_fail_or_connect_while_the_second_answer_is_awaited() {
    for connects in [false, true] {
        let mut machine = Machine::new();
        let (_, connection, _) = machine.offered();
        machine.timeout(RESTART_AFTER);
        machine.0.described(connection, "second".into());
        machine.actions();
        if connects {
            assert_eq!(machine.0.connected(Instant::ZERO, connection), Some(peer(1)));
        } else {
            assert_eq!(machine.failed(connection), []);
            assert_eq!(machine.timeout(TRY_TIME), failed(connection, no_way()));
        }
    }
}

#[test]
fn a_remote_that_says_no_more_is_offered_nothing() {
    // As js-libp2p does when it is connected, or hears what it does not expect.
    let mut machine = Machine::new();
    let (via, connection, stream) = machine.offered();
    assert!(machine.handle(Input::Finished { connection: via, stream }).is_empty());
    assert_eq!(machine.0.poll_timeout(), Some(Instant::ZERO + TRY_TIME));
    assert_eq!(machine.failed(connection), failed(connection, no_way()));
    // The same while it is to answer the second offer.
    let (connection, stream) = machine.offer(via, 0);
    machine.0.described(connection, "offer".into());
    machine.actions();
    machine.hear(via, stream, Kind::Answer, "answer");
    machine.failed(connection);
    let orders = orders(machine.handle(Input::Finished { connection: via, stream }));
    assert_eq!(orders, failed(connection, no_way()));
}

#[test]
fn without_the_relay_there_is_no_restart_nor_a_wait_for_one() {
    for fails_first in [false, true] {
        let mut machine = Machine::new();
        let (via, connection, _) = machine.answered();
        let wait = if fails_first { machine.failed(connection) } else { Vec::new() };
        assert_eq!(wait, []);
        let gone = orders(machine.handle(Input::Disconnected { connection: via }));
        let lost = failed(connection, SignalError::Disconnected);
        assert_eq!(gone, if fails_first { lost } else { Vec::new() });
        let late = machine.failed(connection);
        assert_eq!(late, if fails_first { Vec::new() } else { failed(connection, no_way()) });
    }
    let mut machine = Machine::new();
    let (via, connection, _) = machine.offered();
    machine.handle(Input::Disconnected { connection: via });
    assert_eq!(machine.timeout(RESTART_AFTER), []);
    assert_eq!(machine.failed(connection), failed(connection, no_way()));
}

#[test]
fn who_answered_waits_for_a_second_offer_and_takes_no_third() {
    let mut machine = Machine::new();
    let (via, connection, stream) = machine.answered();
    assert_eq!(machine.failed(connection), []);
    let answer = host(connection, HostOrder::Restart { offer: Some("second".into()) });
    assert_eq!(machine.hear(via, stream, Kind::Offer, "second"), [answer]);
    // News of what was before.
    assert_eq!(machine.failed(connection), []);
    machine.0.described(connection, "second".into());
    let second = Signal { kind: Kind::Answer, data: "second".into() };
    assert_eq!(sent(&machine.actions()), [second]);
    let third = machine.hear(via, stream, Kind::Offer, "third");
    assert_eq!(third, failed(connection, SignalError::Protocol));
}

#[test]
fn who_waits_for_a_second_offer_in_vain_fails_for_its_own_reason() {
    let mut machine = Machine::new();
    let (_, connection, _) = machine.answered();
    assert_eq!(machine.failed(connection), []);
    assert_eq!(machine.timeout(TRY_TIME), failed(connection, no_way()));
}

#[test]
fn a_second_offer_before_the_first_answer_is_nonsense() {
    let mut machine = Machine::new();
    let (via, connection, stream) = machine.answered();
    machine.hear(via, stream, Kind::Offer, "second");
    let orders = machine.hear(via, stream, Kind::Offer, "third");
    assert_eq!(orders, failed(connection, SignalError::Protocol));
    // Nor is there a second answer to one offer.
    let mut machine = Machine::new();
    let (via, connection, stream) = machine.offered();
    let orders = machine.hear(via, stream, Kind::Answer, "answer");
    assert_eq!(orders, failed(connection, SignalError::Protocol));
}

#[test]
fn limits_hold_for_the_second_description_as_for_the_first() {
    let long = "x".repeat(MAX_DESCRIPTION_BYTES + 1);
    let mut machine = Machine::new();
    let (via, connection, stream) = machine.answered();
    let orders = machine.hear(via, stream, Kind::Offer, &long);
    assert_eq!(orders, failed(connection, SignalError::TooLong));

    let mut machine = Machine::new();
    let (via, connection, stream) = machine.offered();
    machine.failed(connection);
    machine.0.described(connection, "second".into());
    // Those that wait for the second answer, with those before it.
    for _ in 0..MAX_CANDIDATES {
        assert_eq!(machine.hear(via, stream, Kind::Candidate, "{}"), []);
    }
    let orders = machine.hear(via, stream, Kind::Candidate, "{}");
    assert_eq!(orders, failed(connection, SignalError::TooManyCandidates));

    let mut machine = Machine::new();
    let (via, connection, stream) = machine.answered();
    for offer in ["", "second"] {
        if !offer.is_empty() {
            machine.hear(via, stream, Kind::Offer, offer);
        }
        for _ in 0..MAX_CANDIDATES {
            assert_eq!(machine.hear(via, stream, Kind::Candidate, "{}").len(), 1);
        }
    }
    let orders = machine.hear(via, stream, Kind::Candidate, "{}");
    assert_eq!(orders, failed(connection, SignalError::TooManyCandidates));
}
