//! What berth remembers of a container, and what it tells others about it (runtime.md "State").

use crate::bundle::config::{Config, Resources};
use crate::bundle::validate::OCI_VERSION;
use crate::cgroup;
use crate::error::{Context, During, Error, Result};
use crate::log::rfc3339_nanos;
use crate::sys::fs::read_kernel_text;
use crate::sys::process;
use nix::errno::Errno;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where in its life a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// A process that cannot be mistaken for another one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The pid.
    pub pid: Pid,
    /// Its start in clock ticks since boot, proc_pid_stat(5).
    pub start: u64,
}

impl Identity {
    /// The identity of a process that exists.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: Pid) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let text = read_kernel_text(path.as_str()).during(|| "read").context(|| path.clone())?;
        let stat = parse_stat(&text).ok_or_else(|| Error::new("is malformed").context(path))?;
        Ok(Self { pid, start: stat.start })
    }

    /// A fd of the process, if it still runs, that stays with it whatever becomes of its pid.
    ///
    /// # Errors
    /// ESRCH when it has ended.
    pub fn open(self) -> Result<OwnedFd, Errno> {
        let pidfd = process::pidfd_open(self.pid)?;
        // Looked at after the fd was opened: the fd is the process's, or there is another start time.
        if self.is_alive() { Ok(pidfd) } else { Err(Errno::ESRCH) }
    }

    /// Whether the process still runs; a zombie does not, unless other threads go on without the first.
    pub fn is_alive(self) -> bool {
        read_kernel_text(format!("/proc/{}/stat", self.pid).as_str())
            .ok()
            .and_then(|text| parse_stat(&text))
            .is_some_and(|stat| stat.start == self.start && !stat.is_dead())
    }
}

/// What counts of a line of `/proc/<pid>/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    threads: u32,
    start: u64,
}

impl Stat {
    fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads < 2
    }
}

/// The program's name in the line may contain anything.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let threads = fields.nth(16)?.parse().ok()?;
    Some(Stat { state, threads, start: fields.nth(1)?.parse().ok()? })
}

/// The contents of `state.json`. The keys that others read are runc's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// Version of this file's format.
    pub version: u32,
    /// The container's name.
    pub id: String,
    /// Absolute path.
    pub bundle: PathBuf,
    /// Absolute path.
    pub rootfs: PathBuf,
    /// RFC 3339.
    pub created: String,
    /// User id of the caller of `create`.
    pub owner: u32,
    /// The configuration's.
    pub annotations: BTreeMap<String, String>,
    /// 0 until init exists.
    pub init_process_pid: i32,
    /// See [`Identity`].
    pub init_process_start: u64,
    /// Whether the container has a PID namespace of its own, whose processes all end with init.
    #[serde(default)]
    pub own_pid_namespace: bool,
    /// Whether its configuration has poststart hooks; who needs no more of it need not read it.
    #[serde(default = "unknown")]
    pub has_poststart: bool,
    /// Whether its configuration has poststop hooks.
    #[serde(default = "unknown")]
    pub has_poststop: bool,
    /// Whether the root was changed by chroot instead of pivot_root.
    pub no_pivot: bool,
    /// How to find the cgroup again.
    pub cgroup: cgroup::Record,
    /// Controller to directory, as runc records it.
    pub cgroup_paths: BTreeMap<String, PathBuf>,
    /// Kind to file, as runc records it.
    pub namespace_paths: BTreeMap<String, String>,
    /// `linux.resources` with what `update` changed; absent as long as the configuration's count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Value>,
}

/// What a file of an earlier berth does not say is looked up.
fn unknown() -> bool {
    true
}

/// The state that the specification describes, and nothing more (runtime.md "State").
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Specified<'a> {
    oci_version: &'static str,
    id: &'a str,
    status: String,
    pid: i32,
    bundle: &'a Path,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl State {
    /// A container that is about to be made.
    pub fn new(id: &str, bundle: PathBuf, rootfs: PathBuf, config: &Config, cgroup: cgroup::Record) -> Self {
        Self {
            version: 1,
            id: id.into(),
            bundle,
            rootfs,
            created: rfc3339_nanos(SystemTime::now()),
            owner: crate::caller::user().as_raw(),
            annotations: config.annotations.clone(),
            init_process_pid: 0,
            init_process_start: 0,
            own_pid_namespace: false,
            has_poststart: !config.hooks.poststart.is_empty(),
            has_poststop: !config.hooks.poststop.is_empty(),
            no_pivot: false,
            cgroup_paths: cgroup.paths.clone(),
            cgroup,
            namespace_paths: BTreeMap::new(),
            resources: None,
        }
    }

    /// The container's first process, once it exists.
    pub fn init(&self) -> Option<Identity> {
        let (pid, start) = (self.init_process_pid, self.init_process_start);
        (pid > 0).then(|| Identity { pid: Pid::from_raw(pid), start })
    }

    /// Records the container's first process.
    pub fn set_init(&mut self, init: Identity) {
        self.init_process_pid = init.pid.as_raw();
        self.init_process_start = init.start;
    }

    /// The state that hooks and seccomp agents get: the specification's properties alone.
    pub fn for_hooks(&self, status: Status) -> Vec<u8> {
        // A path that cannot be written was refused when the state was saved.
        serde_json::to_vec(&self.specified(status)).unwrap_or_default()
    }

    /// The specification's state; a stopped container has no pid.
    pub fn specified(&self, status: Status) -> Specified<'_> {
        Specified {
            oci_version: OCI_VERSION,
            id: &self.id,
            status: status.to_string(),
            pid: self.pid(status),
            bundle: &self.bundle,
            annotations: &self.annotations,
        }
    }

    /// What `state` prints: runc's properties.
    pub fn shown(&self, status: Status) -> Value {
        json!({
            "ociVersion": OCI_VERSION,
            "id": self.id,
            "pid": self.pid(status),
            "status": status.to_string(),
            "bundle": self.bundle,
            "rootfs": self.rootfs,
            "created": self.created,
            "annotations": self.annotations,
            "owner": self.owner_name(),
        })
    }

    /// The name of the user who made the container, or the number when it has none.
    pub fn owner_name(&self) -> String {
        if self.owner == 0 {
            return "root".into();
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse::<u32>().ok()? == self.owner).then(|| name.to_owned())
        });
        name.unwrap_or_else(|| self.owner.to_string())
    }

    /// The resource limits in force.
    ///
    /// # Errors
    /// When the file was damaged.
    pub fn resources(&self, config: &Config) -> Result<Resources> {
        match &self.resources {
            Some(value) => Resources::deserialize_value(value).context(|| format!("state of {}", self.id)),
            None => Ok(config.linux.resources.clone().unwrap_or_default()),
        }
    }

    fn pid(&self, status: Status) -> i32 {
        if status == Status::Stopped { 0 } else { self.init_process_pid }
    }
}

impl Resources {
    /// Resources from JSON that was parsed already.
    ///
    /// # Errors
    /// When a type is wrong.
    pub fn deserialize_value(value: &Value) -> Result<Self> {
        serde::Deserialize::deserialize(value).map_err(|error: serde_json::Error| Error::new(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_of_an_earlier_berth_are_known() {
        let config = serde_json::from_str(r#"{"ociVersion":"1.0.0"}"#).unwrap();
        let state = State::new("c", "/b".into(), "/b/rootfs".into(), &config, cgroup::Record::default());
        let mut value = serde_json::to_value(&state).unwrap();
        for new in ["own_pid_namespace", "has_poststart", "has_poststop"] {
            value.as_object_mut().unwrap().remove(new).unwrap();
        }
        let old: State = serde_json::from_value(value).unwrap();
        assert!(!old.own_pid_namespace && old.has_poststart && old.has_poststop);
    }

    #[test]
    fn stat_is_read_after_the_name() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        assert_eq!(parse_stat(line), Some(Stat { state: 'S', threads: 1, start: 4711 }));
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[test]
    fn a_zombie_with_other_threads_is_alive() {
        assert!(Stat { state: 'Z', threads: 1, start: 0 }.is_dead());
        assert!(!Stat { state: 'Z', threads: 2, start: 0 }.is_dead());
    }

    #[test]
    fn the_state_is_valid_for_the_specification_s_schema() {
        use crate::cli::features::schema;
        let config = Config { annotations: BTreeMap::from([("a".into(), "b".into())]), ..Config::default() };
        let mut state = State::new("c", "/bundle".into(), "/bundle/rootfs".into(), &config, cgroup::Record::default());
        state.set_init(Identity { pid: Pid::from_raw(7), start: 1 });
        for status in [Status::Creating, Status::Created, Status::Running, Status::Stopped] {
            schema::check("state-schema.json", &state.shown(status)).unwrap();
            schema::check("state-schema.json", &serde_json::to_value(state.specified(status)).unwrap()).unwrap();
            schema::check("state-schema.json", &serde_json::from_slice(&state.for_hooks(status)).unwrap()).unwrap();
        }
        // The one status that the specification leaves to runtimes.
        assert!(schema::check("state-schema.json", &state.shown(Status::Paused)).unwrap_err().contains("paused"));
        let mut broken = state.shown(Status::Running);
        broken["pid"] = json!(-1);
        assert!(schema::check("state-schema.json", &broken).is_err());
    }

    #[test]
    fn this_process_is_alive_and_no_other_with_its_pid() {
        let this = Identity::of(nix::unistd::getpid()).unwrap();
        assert!(this.is_alive());
        assert!(!Identity { start: this.start + 1, ..this }.is_alive());
    }
}
