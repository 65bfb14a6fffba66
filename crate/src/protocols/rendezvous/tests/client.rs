//! The client's patience, and what it believes.

use super::*;

fn events(client: &mut Client) -> Vec<RendezvousEvent> {
    let actions = std::iter::from_fn(|| client.poll());
    actions
        .filter_map(|action| match action {
            Action::Emit(Event::Rendezvous(event)) => Some(event),
            _ => None,
        })
        .collect()
}

/// Has the client's request for number 1 answered with this.
fn answer(client: &mut Client, request: RequestId, message: &Message) -> Vec<RendezvousEvent> {
    let (now, local, connection) = (Instant::ZERO, local(9), connection(1));
    let stream = StreamId::from_number(request.0 as u32);
    client.reached(now, request, connection);
    let (request, protocol) = (request.0, &NAME.into());
    client.handle(now, &local, Input::Opened { connection, request, stream, protocol });
    events(client);
    client.handle(now, &local, Input::Message { connection, stream, bytes: message.encode() });
    events(client)
}

#[test]
fn only_what_peers_signed_themselves_is_believed() {
    let mut client = Client::new();
    let search = Search { namespace: Some("chat".into()), limit: Some(5), cookie: None };
    let request = client.discover(keypair(1).peer_id().into(), search).unwrap();
    let good = |number: u8| Register {
        namespace: "chat".into(),
        record: local(number).seal().unwrap().to_bytes(),
        ttl: Some(u64::MAX),
    };
    let mut forged = good(4);
    *forged.record.last_mut().unwrap() ^= 1;
    let foreign = Register { namespace: "other".into(), ..good(5) };
    let registrations = vec![good(2), forged, foreign, good(2), good(3), good(6)];
    let message =
        Message::Discovered { status: OK, text: String::new(), registrations, cookie: vec![1] };
    let events = answer(&mut client, request, &message);
    let [RendezvousEvent::Answered { result: Ok(Answer::Found(found)), .. }] = &events[..] else {
        panic!("{events:?}")
    };
    let peers: Vec<_> = found.registrations.iter().map(|it| it.record.peer_id()).collect();
    assert_eq!(peers, [2, 3].map(|number| keypair(number).peer_id()), "no more than asked for");
    assert_eq!((found.refused, &found.cookie[..]), (3, &[1][..]));
    assert!(found.registrations.iter().all(|it| it.ttl == MAX_TTL));
}

#[test]
fn an_answer_to_another_question_is_none() {
    let mut client = Client::new();
    let request = client.discover(keypair(1).peer_id().into(), Search::default()).unwrap();
    let message = Message::Registered { status: OK, text: String::new(), ttl: None };
    let result = Err(RendezvousError::Malformed);
    assert_eq!(
        answer(&mut client, request, &message),
        [RendezvousEvent::Answered { request, result }]
    );
}

#[test]
fn requests_are_checked_and_few() {
    let mut client = Client::new();
    let point = Point::from(keypair(1).peer_id());
    let long = "x".repeat(MAX_NAMESPACE + 1);
    for name in ["", &long] {
        let refused = client.register(&local(9), point.clone(), name, None);
        assert_eq!(refused, Err(RendezvousError::Namespace));
    }
    let nowhere = Local { addresses: Vec::new(), ..local(9) };
    let refused = client.register(&nowhere, point.clone(), "chat", None);
    assert_eq!(refused, Err(RendezvousError::NoAddress));
    let search = Search { cookie: Some(vec![0; MAX_COOKIE + 1]), ..Search::default() };
    assert_eq!(client.discover(point.clone(), search), Err(RendezvousError::Cookie));
    let begun: Vec<_> = (0..MAX_REQUESTS)
        .map(|_| client.discover(point.clone(), Search::default()).unwrap())
        .collect();
    let refused = client.discover(point.clone(), Search::default());
    assert_eq!(refused, Err(RendezvousError::TooMany));
    client.cancel(begun[0]);
    assert!(client.discover(point, Search::default()).is_ok());
    let unnamed = Point::try_from("/ip4/192.0.2.1/tcp/1".parse::<Multiaddr>().unwrap());
    assert_eq!(unnamed, Err(RendezvousError::Unnamed));
}

/// Whom the client registers with, and what it sends there: the record's kind and what
/// the point says to that, until it is content.
fn registers(client: &mut Client, say: &[Option<Status>]) -> (Vec<Vec<u8>>, Vec<RendezvousEvent>) {
    let (now, local, connection) = (Instant::ZERO, local(9), connection(1));
    let (mut kinds, mut told) = (Vec::new(), Vec::new());
    let mut said = say.iter();
    while let Some(action) = client.poll() {
        match action {
            Action::Rendezvous(Order::Reach { request, .. }) => {
                client.reached(now, request, connection);
            }
            Action::Open { request, .. } => {
                let stream = StreamId::from_number(kinds.len() as u32 + 1);
                let protocol = &NAME.into();
                client.handle(now, &local, Input::Opened { connection, request, stream, protocol });
            }
            Action::Send { stream, bytes, .. } => {
                let Ok(Message::Register(register)) = Message::decode(&bytes) else { panic!() };
                let record = PeerRecord::open(&register.record).unwrap();
                kinds.push(record.envelope().payload_type().to_vec());
                let input = match said.next().expect("no more is asked") {
                    Some(status) => {
                        let (text, status) = (String::new(), *status);
                        let bytes = Message::Registered { status, text, ttl: None }.encode();
                        Input::Message { connection, stream, bytes }
                    }
                    None => Input::Reset { connection, stream },
                };
                client.handle(now, &local, input);
            }
            Action::Emit(Event::Rendezvous(event)) => told.push(event),
            _ => {}
        }
    }
    (kinds, told)
}

#[test]
fn a_point_that_reads_records_of_the_old_form_alone_gets_such() {
    let point = Point::from(keypair(1).peer_id());
    let (current, legacy) = (vec![3, 1], b"/libp2p/routing-state-record".to_vec());
    for unread in [None, Some(Status::InvalidSignedPeerRecord)] {
        let mut client = Client::new();
        let request = client.register(&local(9), point.clone(), "chat", None).unwrap();
        let (kinds, told) = registers(&mut client, &[unread, Some(OK)]);
        assert_eq!(kinds, [current.clone(), legacy.clone()]);
        let result = Ok(Answer::Registered(DEFAULT_TTL));
        assert_eq!(told, [RendezvousEvent::Answered { request, result }]);
        // From then on at once.
        let again = client.poll_timeout().unwrap();
        client.handle(again, &local(9), Input::Timeout);
        let (kinds, told) = registers(&mut client, &[Some(OK)]);
        assert_eq!(kinds, std::slice::from_ref(&legacy));
        assert!(matches!(told[..], [RendezvousEvent::Renewed { .. }]));
    }
}

#[test]
fn a_point_that_reads_neither_form_is_asked_twice_and_no_more() {
    let point = Point::from(keypair(1).peer_id());
    let unread = Status::InvalidSignedPeerRecord;
    let refused = RendezvousError::Refused { status: unread, text: String::new() };
    for (say, error) in [(None, RendezvousError::Lost), (Some(unread), refused)] {
        let mut client = Client::new();
        let request = client.register(&local(9), point.clone(), "chat", None).unwrap();
        let (kinds, told) = registers(&mut client, &[say, say]);
        assert_eq!(kinds.len(), 2);
        assert_eq!(told, [RendezvousEvent::Answered { request, result: Err(error) }]);
        assert_eq!(client.registered().count(), 0);
    }
}
