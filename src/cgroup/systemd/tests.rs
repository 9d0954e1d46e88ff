use super::super::dbus::peer::{Peer, read, welcome};
use super::super::dbus::{self, Connection, Message};
use super::*;
use std::collections::BTreeMap;
use std::io::Write;

fn unit(path: Option<&str>, rootless: bool, annotations: &[(&str, &str)]) -> Result<Unit> {
    let annotations: BTreeMap<_, _> =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Unit::new(&Request {
        id: "c1",
        cgroups_path: path,
        resources: &Resources::default(),
        driver: super::super::Driver::Systemd,
        rootless,
        owner: None,
        annotations: &annotations,
    })
}

fn has(unit: &Unit, name: &str, value: &Value) -> bool {
    unit.properties.iter().any(|(other, own)| other == name && own == value)
}

#[test]
fn a_scope_is_delegated_and_collected() {
    let unit = unit(None, false, &[]).unwrap();
    assert_eq!(unit.path(), "/system.slice/berth-c1.scope");
    assert!(has(&unit, "Slice", &Value::str("system.slice")));
    assert!(has(&unit, "Delegate", &Value::Bool(true)));
    assert!(has(&unit, "DefaultDependencies", &Value::Bool(false)));
    assert!(has(&unit, "CollectMode", &Value::str("inactive-or-failed")));
    assert!(!unit.record().user);
}

#[test]
fn a_user_has_its_own_slice() {
    let unit = unit(None, true, &[]).unwrap();
    assert!(unit.record().user);
    assert_eq!(unit.record().slice, "user.slice");
}

#[test]
fn a_slice_is_wanted_below_and_not_delegated() {
    let unit = unit(Some("a.slice::a-b.slice"), false, &[]).unwrap();
    assert!(has(&unit, "Wants", &Value::Array("s".into(), vec![Value::str("a.slice")])));
    assert!(!unit.properties.iter().any(|(name, _)| name == "Delegate"));
}

#[test]
fn annotations_are_properties_and_errors_name_them() {
    let ours = [("org.systemd.property.TimeoutStopSec", "3")];
    assert!(has(&unit(None, false, &ours).unwrap(), "TimeoutStopUSec", &Value::Uint64(3_000_000)));
    let error = unit(None, false, &[("org.systemd.property.X", "")]).unwrap_err().to_string();
    assert!(error.starts_with("annotations[org.systemd.property.X]: "), "{error}");
}

#[test]
fn a_wrong_path_names_its_field() {
    let error = unit(Some("/a"), false, &[]).unwrap_err().to_string();
    assert!(error.starts_with("linux.cgroupsPath: expected \"slice:prefix:name\""), "{error}");
}

/// systemd as the test plays it: answers each call with the next line of the script, and tells what it was asked.
///
/// A line is an error's name, or a job's result that is signalled after the answer.
fn systemd(script: &'static [&'static str]) -> Peer<Vec<String>> {
    Peer::new(true, move |stream| {
        welcome(stream);
        let (mut buffer, mut asked) = (Vec::new(), Vec::new());
        for (line, job) in script.iter().zip(1_u32..) {
            let call = read(stream, &mut buffer);
            asked.push(match call.body.get(3) {
                Some(Value::Array(_, slices)) if !slices.is_empty() => format!("{} with slices", call.member),
                _ => call.member.clone(),
            });
            let answer = Message { reply_to: call.serial, ..Message::default() };
            let path = |job: u32| Value::Path(format!("/job/{job}"));
            let removed = |job: u32, result: &str| Message {
                kind: dbus::SIGNAL,
                member: "JobRemoved".into(),
                body: vec![Value::Uint32(job), path(job), Value::str("u"), Value::str(result)],
                ..Message::default()
            };
            let messages = if line.contains('.') {
                vec![Message { kind: dbus::ERROR, error: (*line).into(), body: vec![Value::str("words")], ..answer }]
            } else {
                let done = Message { kind: dbus::METHOD_RETURN, body: vec![path(job)], ..answer };
                // Others' jobs, and ours even before its answer, may be in between.
                vec![removed(999, "failed"), removed(job, line), done]
            };
            messages.iter().for_each(|message| stream.write_all(&message.encode()).unwrap());
        }
        asked
    })
}

fn start(script: &'static [&'static str]) -> (Result<()>, Vec<String>) {
    start_in(&[], script)
}

fn start_in(slices: &[&str], script: &'static [&'static str]) -> (Result<()>, Vec<String>) {
    let peer = systemd(script);
    let mut manager = Manager::at(Connection::to(&peer).unwrap());
    let slices: Vec<_> = slices.iter().map(|slice| (*slice).to_owned()).collect();
    let result = manager.start("u.scope", &Value::Array("(sv)".into(), Vec::new()), &slices);
    drop(manager);
    (result, peer.join())
}

const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

#[test]
fn one_message_starts_a_unit() {
    let (result, asked) = start(&["done"]);
    assert_eq!((result, asked), (Ok(()), vec!["StartTransientUnit".to_owned()]));
}

#[test]
fn missing_slices_come_with_the_same_message() {
    let (result, asked) = start_in(&["a.slice", "a-b.slice"], &["done"]);
    assert_eq!((result, asked), (Ok(()), vec!["StartTransientUnit with slices".to_owned()]));
}

#[test]
fn a_slice_that_others_have_made_is_left_as_it_is() {
    let (result, asked) = start_in(&["a.slice"], &[UNIT_EXISTS, "done"]);
    assert_eq!(result, Ok(()));
    assert_eq!(asked, ["StartTransientUnit with slices", "StartTransientUnit"]);
}

#[test]
fn a_unit_that_does_not_start_is_stopped() {
    let (result, asked) = start(&["failed", "done"]);
    assert!(result.unwrap_err().to_string().starts_with("the start of the unit ended with \"failed\""));
    assert_eq!(asked, ["StartTransientUnit", "StopUnit"]);
}

#[test]
fn a_unit_left_over_from_a_failure_is_replaced() {
    let (result, asked) = start(&[UNIT_EXISTS, "", "done"]);
    assert_eq!(result, Ok(()));
    assert_eq!(asked, ["StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"]);
}

#[test]
fn a_unit_in_use_is_left_alone() {
    let (result, asked) = start(&[UNIT_EXISTS, "", UNIT_EXISTS]);
    let error = result.unwrap_err().to_string();
    assert!(error.contains("words (org.freedesktop.systemd1.UnitExists). Another container"), "{error}");
    assert!(!asked.contains(&"StopUnit".to_owned()));
}

#[test]
fn a_unit_that_is_gone_needs_no_stop() {
    let peer = systemd(&["org.freedesktop.systemd1.NoSuchUnit", "done"]);
    let mut manager = Manager::at(Connection::to(&peer).unwrap());
    assert_eq!(manager.stop("u.scope"), Ok(false));
    assert_eq!(manager.stop("u.scope"), Ok(true));
    assert_eq!(peer.join(), ["StopUnit", "StopUnit"]);
}
