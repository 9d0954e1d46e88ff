//! The calls to systemd's manager; org.freedesktop.systemd1(5).

use super::super::Host;
use super::super::dbus::{Connection, Failure, Message, Value};
use crate::error::{Error, Result};
use crate::log;
use std::path::Path;

const EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const UNKNOWN: &str = "org.freedesktop.systemd1.NoSuchUnit";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const PATH: &str = "/org/freedesktop/systemd1";

/// A connection to the manager of the system or of the user.
pub(super) struct Manager(Connection);

impl Manager {
    /// # Errors
    /// When nobody answers.
    pub fn connect(user: bool) -> Result<Self> {
        Connection::systemd(user).map(Self)
    }

    /// The manager that a test plays.
    #[cfg(test)]
    pub fn at(connection: Connection) -> Self {
        Self(connection)
    }

    fn call(&mut self, member: &str, body: Vec<Value>) -> Result<Vec<Value>, Failure> {
        self.0.call(Message {
            destination: "org.freedesktop.systemd1".into(),
            path: PATH.into(),
            interface: INTERFACE.into(),
            member: member.into(),
            body,
            ..Message::default()
        })
    }

    /// Starts a transient unit and waits until its job is done.
    ///
    /// systemd makes every slice that the unit is in, and would keep it for ever. Those of `slices` are made such that
    /// it stops them itself when they have no more units, whoever's these are.
    ///
    /// # Errors
    /// When systemd refuses a property, has such a unit, or the job fails; then the unit is stopped.
    pub fn start(&mut self, unit: &str, properties: &Value, slices: &[String]) -> Result<()> {
        // Only this unit's signals wake us up, however many containers come and go. The sender is not part of a direct
        // connection's signals, and there is no need for it: only systemd may use its path on a bus.
        self.0.subscribe(&format!(
            "type='signal',sender='org.freedesktop.systemd1',path='{PATH}',interface='{INTERFACE}',\
             member='JobRemoved',arg2='{unit}'"
        ));
        let answer = match self.start_transient(unit, properties, slices) {
            // A unit of that name that failed earlier and was kept.
            Err(Failure::Refused(name, words)) if name == EXISTS => {
                self.call("ResetFailedUnit", vec![Value::str(unit)])
                    .map_err(|_| exists(Failure::Refused(name, words)))?;
                self.start_transient(unit, properties, slices).map_err(exists)?
            }
            answer => answer?,
        };
        let job = answer.first().and_then(Value::text).unwrap_or_default().to_owned();
        let result = self.0.signal(|signal| match (signal.member.as_str(), signal.body.as_slice()) {
            ("JobRemoved", [_, Value::Path(path), _, Value::Str(result)]) if *path == job => Some(result.clone()),
            _ => None,
        });
        let failure = match result {
            Ok(result) if result == "done" => return Ok(()),
            Ok(result) => Error::new(format!("the start of the unit ended with {result:?}"))
                .hint("The journal of systemd says why (journalctl -u)."),
            Err(error) => error,
        };
        if let Err(error) = self.stop(unit) {
            log::debug(|| format!("stop {unit} after a failure: {error}"));
        }
        Err(failure)
    }

    fn start_transient(&mut self, unit: &str, properties: &Value, slices: &[String]) -> Result<Vec<Value>, Failure> {
        // "replace": a slice that is being stopped now, because its last unit has ended, is started again.
        let body =
            |slices| vec![Value::str(unit), Value::str("replace"), properties.clone(), stopped_when_unneeded(slices)];
        match self.call("StartTransientUnit", body(slices)) {
            // One of the slices has a file, or was started a moment ago: it is its maker's to stop.
            Err(Failure::Refused(name, _)) if name == EXISTS && !slices.is_empty() => {
                self.call("StartTransientUnit", body(&[]))
            }
            answer => answer,
        }
    }

    /// Changes properties of a unit until it ends.
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn set(&mut self, unit: &str, properties: Value) -> Result<()> {
        let body = vec![Value::str(unit), Value::Bool(true), properties];
        self.call("SetUnitProperties", body).map(drop).map_err(Error::from)
    }

    /// Moves a process into a unit, or into the cgroup `below` the unit's, also where the caller may not write the
    /// cgroups between.
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn attach(&mut self, unit: &str, below: &Path, pid: u32) -> Result<()> {
        let pids = Value::Array("u".into(), vec![Value::Uint32(pid)]);
        let below = match below.as_os_str().is_empty() {
            true => String::new(),
            false => format!("/{}", below.display()),
        };
        let body = vec![Value::str(unit), Value::str(below), pids];
        self.call("AttachProcessesToUnit", body).map(drop).map_err(Error::from)
    }

    /// Stops a unit; `false` when there is none.
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn stop(&mut self, unit: &str) -> Result<bool> {
        match self.call("StopUnit", vec![Value::str(unit), Value::str("replace")]) {
            Ok(_) => Ok(true),
            Err(Failure::Refused(name, _)) if name == UNKNOWN => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The manager's own cgroup.
    fn control_group(&mut self) -> Result<String> {
        let answer = self.0.call(Message {
            destination: "org.freedesktop.systemd1".into(),
            path: PATH.into(),
            interface: "org.freedesktop.DBus.Properties".into(),
            member: "Get".into(),
            body: vec![Value::str(INTERFACE), Value::str("ControlGroup")],
            ..Message::default()
        })?;
        match answer.as_slice() {
            [Value::Variant(path)] => path.text().map(str::to_owned),
            _ => None,
        }
        .ok_or_else(|| Error::new("systemd does not say what its cgroup is"))
    }
}

/// Units to be made besides the one that is started, `a(sa(sv))`.
fn stopped_when_unneeded(slices: &[String]) -> Value {
    let unit = |slice: &String| {
        let property = Value::property("StopWhenUnneeded", Value::Bool(true));
        Value::Struct(vec![Value::str(slice), Value::Array("(sv)".into(), vec![property])])
    };
    Value::Array("(sa(sv))".into(), slices.iter().map(unit).collect())
}

fn exists(failure: Failure) -> Error {
    Error::from(failure).hint("Another container or service has this unit; delete it first.")
}

/// The cgroup below which the system's manager makes units: the root, unless it is in a container itself.
pub(super) fn system_root() -> String {
    above_init(&std::fs::read_to_string("/proc/1/cgroup").unwrap_or_default())
}

fn above_init(cgroups: &str) -> String {
    let path = path_of(cgroups, "0::").or_else(|| path_of(cgroups, "name=systemd:"));
    path.and_then(|path| path.strip_suffix("/init.scope")).unwrap_or_default().to_owned()
}

fn path_of<'a>(cgroups: &'a str, mark: &str) -> Option<&'a str> {
    cgroups.lines().find_map(|line| line.split_once(mark)).map(|(_, path)| path)
}

/// The cgroup of the user's manager. It is asked only when it cannot be seen.
///
/// # Errors
/// When it does not answer.
pub(super) fn user_root(host: &Host) -> Result<String> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = path_of(&own, "0::").or_else(|| path_of(&own, "name=systemd:")).unwrap_or_default();
    if let Some(root) = above_user(own) {
        return Ok(root);
    }
    let uid = std::fs::read_to_string("/proc/self/uid_map").ok().and_then(|map| host_uid(&map));
    let uid = uid.unwrap_or_else(|| nix::unistd::geteuid().as_raw());
    let usual = format!("/user.slice/user-{uid}.slice/user@{uid}.service");
    let there = |path: &str| host.below_root(path).values().any(|dir: &std::path::PathBuf| Path::is_dir(dir));
    if there(&usual) {
        return Ok(usual);
    }
    Manager::connect(true)?.control_group()
}

/// The part of a cgroup's path up to the user's manager.
fn above_user(path: &str) -> Option<String> {
    let mut end = 0;
    for part in path.split('/') {
        end += part.len() + 1;
        if part.starts_with("user@") && part.ends_with(".service") {
            return path.get(..end - 1).map(str::to_owned);
        }
    }
    None
}

/// Whom the effective user is outside of the user namespace.
fn host_uid(map: &str) -> Option<u32> {
    let own = nix::unistd::geteuid().as_raw();
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (inside, outside, count) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        own.checked_sub(inside).filter(|offset| *offset < count).and_then(|offset| outside.checked_add(offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_are_found_in_the_tree() {
        assert_eq!(above_init("0::/init.scope\n"), "");
        assert_eq!(above_init("1:name=systemd:/docker/a/init.scope\n0::/\n"), "");
        assert_eq!(above_init("0::/kubepods/x/init.scope\n"), "/kubepods/x");
        let user = "/user.slice/user-7.slice/user@7.service";
        assert_eq!(above_user(&format!("{user}/app.slice/a.scope")).as_deref(), Some(user));
        assert_eq!(above_user(user).as_deref(), Some(user));
        assert_eq!(above_user("/user.slice/user-7.slice/session-1.scope"), None);
    }
}
