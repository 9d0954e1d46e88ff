use super::peer::{Peer, read, welcome};
use super::*;

fn ping() -> Message {
    Message { path: "/a".into(), member: "Ping".into(), body: vec![Value::Uint32(1)], ..Message::default() }
}

fn broken(result: Result<Vec<Value>, Failure>) -> String {
    match result {
        Err(Failure::Broken(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_gets_its_own_answer_and_keeps_signals_for_later() {
    let peer = Peer::new(false, |stream| {
        welcome(stream);
        let mut buffer = Vec::new();
        let sent = [(); 3].map(|()| read(stream, &mut buffer));
        let signal = Message { kind: message::SIGNAL, member: "S".into(), ..Message::default() };
        let answer = |reply_to, text| Message {
            kind: message::METHOD_RETURN,
            reply_to,
            body: vec![Value::str(text)],
            ..Message::default()
        };
        for message in [signal, answer(sent[0].serial, "hello"), answer(sent[2].serial, "pong")] {
            // Byte by byte: messages arrive in any pieces.
            message.encode().iter().for_each(|byte| stream.write_all(&[*byte]).unwrap());
        }
        sent.map(|message| (message.member, message.flags))
    });
    let mut connection = Connection::to(&peer).unwrap();
    connection.subscribe("type='signal'");
    assert_eq!(connection.call(ping()).unwrap(), [Value::str("pong")]);
    assert_eq!(connection.signal(|signal| Some(signal.member.clone())).unwrap(), "S");
    let sent = peer.join();
    assert_eq!(sent, [("Hello".into(), 1), ("AddMatch".into(), 1), ("Ping".into(), 0)]);
}

#[test]
fn systemd_itself_gets_only_the_call() {
    let peer = Peer::new(true, |stream| {
        welcome(stream);
        let call = read(stream, &mut Vec::new());
        let refusal = Message {
            kind: message::ERROR,
            error: "org.x.No".into(),
            reply_to: call.serial,
            body: vec![Value::str("because")],
            ..Message::default()
        };
        stream.write_all(&refusal.encode()).unwrap();
        call.member
    });
    let mut connection = Connection::to(&peer).unwrap();
    connection.subscribe("type='signal'");
    let error = Error::from(connection.call(ping()).unwrap_err()).to_string();
    assert_eq!(error, "systemd refuses: because (org.x.No)");
    assert_eq!(peer.join(), "Ping");
}

#[test]
fn a_silent_peer_ends_the_call_at_its_deadline() {
    let peer = Peer::new(true, |stream| {
        welcome(stream);
        // Until the client hangs up.
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let mut connection = Connection::to(&peer).unwrap();
    let error = broken(connection.call(ping()));
    assert!(error.starts_with("D-Bus call Ping: no answer within 0.2 s."), "{error}");
    drop(connection);
    peer.join();
}

#[test]
fn a_silent_peer_ends_the_authentication_at_its_deadline() {
    let peer = Peer::new(true, |stream| {
        stream.write_all(b"DATA\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    assert!(Connection::to(&peer).unwrap_err().to_string().contains("no answer within"));
    peer.join();
}

#[test]
fn a_refused_authentication_is_explained() {
    let peer = Peer::new(true, |stream| stream.write_all(b"REJECTED EXTERNAL\x1b\r\n").unwrap());
    let error = Connection::to(&peer).unwrap_err().to_string();
    assert!(error.ends_with("authentication failed: REJECTED EXTERNAL\\u{1b}"), "{error}");
    peer.join();
}

#[test]
fn garbage_instead_of_messages_is_an_error() {
    for garbage in [&[0xff; 64][..], b"l\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff", &[b'l'; 4096]] {
        let peer = Peer::new(true, move |stream| {
            welcome(stream);
            // The client may have gone before all of it is written.
            let _ = stream.write_all(garbage);
        });
        let error = broken(Connection::to(&peer).unwrap().call(ping()));
        assert!(error.starts_with("D-Bus call Ping: a damaged D-Bus message: "), "{error}");
        peer.join();
    }
}

#[test]
fn endless_lines_are_not_collected_for_ever() {
    let peer = Peer::new(true, |stream| {
        // Ends with the client's patience for lines, by a broken pipe.
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert!(Connection::to(&peer).unwrap_err().to_string().ends_with("no line of D-Bus"));
    peer.join();
}

#[test]
fn a_peer_that_hangs_up_is_an_error() {
    let peer = Peer::new(true, welcome);
    let mut connection = Connection::to(&peer).unwrap();
    peer.join();
    let error = broken(connection.call(ping()));
    assert!(error.contains("closed") || error.contains("broken pipe") || error.contains("reset"), "{error}");
}

#[test]
fn nobody_there_is_an_error_with_the_path() {
    let address = Address::path("/nonexistent/bus", true);
    let error = Connection::open(&address, Duration::from_secs(1)).unwrap_err().to_string();
    assert_eq!(error, "/nonexistent/bus: connect: no such file or directory (ENOENT)");
}
