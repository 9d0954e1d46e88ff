//! What a container may use and what it has used: control groups on every kind of host.
//!
//! [`Host::detect`] finds what is mounted where, [`plan()`] decides paths and settings without making anything,
//! [`prepare`] and [`open`] give the [`Cgroup`] that acts. One implementation, [`files::Files`], covers pure v2, v1 and
//! hybrid hosts, because a hybrid host is both at once; [`systemd::Scope`] puts the bus in front of it. Device rules
//! are [`devices`].
//!
//! Sources: cgroups(7), Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst, config-linux.md "Control groups".

use crate::bundle::config::Resources;
use crate::error::Result;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

pub mod convert;
pub mod create;
mod dbus;
pub mod devices;
pub mod files;
pub mod freeze;
pub mod host;
pub mod oom;
pub mod paths;
pub mod settings;
pub mod stats;
pub mod systemd;
pub mod tree;

pub use host::Host;
pub use oom::OomWatch;
pub use settings::{Setting, Version};
pub use stats::Stats;

/// Who makes the cgroup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// berth itself, by the files of the cgroup file systems.
    #[default]
    Cgroupfs,
    /// systemd, asked over the bus.
    Systemd,
    /// Nobody: the container stays in its caller's cgroup and cannot be limited.
    Disabled,
}

/// What the configuration asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The container's id.
    pub id: &'a str,
    /// `linux.cgroupsPath`.
    pub cgroups_path: Option<&'a str>,
    /// `linux.resources`.
    pub resources: &'a Resources,
    /// Who makes the cgroup.
    pub driver: Driver,
    /// The caller may lack rights on the hierarchies; without limits the container then runs where the caller is.
    pub rootless: bool,
    /// Host ids of the container's root, who gets the delegated files (cgroups(7), "Cgroup delegation"); v2 only.
    /// Set it when the container has a cgroup namespace and a writable cgroup mount (config-linux.md, "Cgroup
    /// ownership").
    pub owner: Option<(u32, u32)>,
    /// `annotations`, for `org.systemd.property.*`.
    pub annotations: &'a BTreeMap<String, String>,
}

/// Every decision about a container's cgroup; nothing is made yet.
#[derive(Debug, Clone)]
pub struct Plan {
    record: Record,
    layout: settings::Layout,
    settings: Vec<Setting>,
    devices: devices::Rules,
    owner: Option<(u32, u32)>,
    unit: Option<systemd::Unit>,
}

impl Plan {
    /// Whether the process must be moved after its creation (v1, systemd), so that it can only get its cgroup
    /// namespace after [`Cgroup::enter`].
    pub fn needs_enter(&self) -> bool {
        self.unit.is_some() || self.record.has_v1()
    }

    /// What the state file keeps to reach the cgroup later; to be stored before [`Cgroup::create`].
    pub fn record(&self) -> Record {
        self.record.clone()
    }

    /// The values that will be written, in order.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Directory of each controller; see [`Record::paths`].
    pub fn paths(&self) -> &BTreeMap<String, PathBuf> {
        &self.record.paths
    }
}

/// What the state file keeps of a cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who made it.
    pub driver: Driver,
    /// Absolute directory by controller, as runc's `cgroup_paths`: `memory`, `name=systemd`; `""` is cgroup v2. Empty
    /// when the container runs in its caller's cgroup.
    pub paths: BTreeMap<String, PathBuf>,
    /// The unit that systemd made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitRecord>,
}

impl Record {
    /// Whether a hierarchy of v1 is among the directories.
    pub fn has_v1(&self) -> bool {
        self.paths.keys().any(|controller| !controller.is_empty())
    }
}

/// A systemd unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// `prefix-name.scope`, or `name.slice`.
    pub name: String,
    /// The slice it is in.
    pub slice: String,
    /// Whether the user's systemd made it rather than the system's.
    #[serde(default)]
    pub user: bool,
}

/// A container's cgroup: one directory on v2, one per hierarchy on v1, both on a hybrid host.
pub trait Cgroup {
    /// Makes the directories and enables the controllers, top-down. What it made is removed when it fails.
    ///
    /// # Errors
    /// Refuses a cgroup that has processes or is frozen (config-linux.md, "Control groups"), and a place in the tree
    /// in which no controller can be enabled.
    fn create(&mut self) -> Result<()>;

    /// The directory for `CLONE_INTO_CGROUP` (clone(2)): cgroup v2, also the v2 side of a hybrid host. `None` when the
    /// process can only be moved.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    fn entry(&self) -> Result<Option<OwnedFd>>;

    /// Moves `pid` into every hierarchy that [`Cgroup::entry`] did not cover; with systemd this makes the unit.
    ///
    /// # Errors
    /// When the kernel or systemd refuses.
    fn enter(&mut self, pid: Pid) -> Result<()>;

    /// Writes the planned limits.
    ///
    /// # Errors
    /// Names the field of the configuration, the controller and the file.
    fn apply_limits(&self) -> Result<()>;

    /// Applies the planned device rules.
    ///
    /// # Errors
    /// When the kernel refuses the rules.
    fn apply_devices(&self) -> Result<()>;

    /// Changes the limits that `resources` names and keeps the rest.
    ///
    /// # Errors
    /// As [`plan()`] and [`Cgroup::apply_limits`].
    fn update(&self, resources: &Resources) -> Result<()>;

    /// All processes, those of sub-cgroups too.
    ///
    /// # Errors
    /// When the cgroup exists and cannot be read.
    fn pids(&self) -> Result<Vec<Pid>>;

    /// Stops all processes and waits for the kernel's confirmation; thaws again when that does not come.
    ///
    /// # Errors
    /// When there is no freezer or it does not finish in time.
    fn freeze(&self) -> Result<()>;

    /// Lets all processes continue.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn thaw(&self) -> Result<()>;

    /// Whether the processes are stopped by this cgroup or one above it.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn is_frozen(&self) -> Result<bool>;

    /// Sends SIGKILL to every process, also in frozen sub-cgroups, and lets them die.
    ///
    /// # Errors
    /// When the cgroup exists and cannot be read or written.
    fn kill(&self) -> Result<()>;

    /// Removes the directories, those below them too; waits a bounded time for processes to leave. A cgroup that is
    /// gone is fine.
    ///
    /// # Errors
    /// When a directory cannot be removed.
    fn destroy(&self) -> Result<()>;

    /// Removes the directories if nothing is in them and nobody else has to be asked; tells whether they are gone.
    fn remove_if_empty(&self) -> bool {
        false
    }

    /// Whether the cgroup is there.
    fn exists(&self) -> bool;

    /// How many of its processes the kernel's OOM killer has killed; `None` when that is not counted here.
    fn oom_kills(&self) -> Option<u64>;

    /// The CPUs its processes can use, `0-3,7`; `None` when there is no cpuset controller.
    fn effective_cpus(&self) -> Option<String>;

    /// The cgroup at `path` below this one, to enter it (`exec --cgroup`). It must exist.
    ///
    /// # Errors
    /// When it does not exist or `path` would leave the container's cgroup.
    fn sub(&self, path: &str) -> Result<Box<dyn Cgroup>>;

    /// The cgroup that `init` is in now, this one or one below it: where an init such as systemd has given the
    /// controllers to children, nothing else can enter this one (`EBUSY`; cgroups(7), "no internal processes").
    ///
    /// # Errors
    /// When `init` is gone or has left the container's cgroup.
    fn beside(&self, init: Pid) -> Result<Box<dyn Cgroup>>;

    /// What the container has used.
    ///
    /// # Errors
    /// When a file exists and cannot be read.
    fn stats(&self) -> Result<Stats>;

    /// Begins to watch for the kernel's OOM killer.
    ///
    /// # Errors
    /// When there is no memory controller or the watch cannot be made.
    fn oom_watch(&self) -> Result<OomWatch>;
}

/// Decides where the cgroup will be and what will be written there.
///
/// # Errors
/// Names the field of a limit that this host cannot apply or whose value is impossible.
pub fn plan(host: &Host, request: &Request) -> Result<Plan> {
    let devices = devices::Rules::new(&request.resources.devices)?;
    let unit = match request.driver {
        Driver::Cgroupfs | Driver::Disabled => None,
        Driver::Systemd => Some(systemd::Unit::plan(host, request)?),
    };
    let paths = match &unit {
        None if request.driver == Driver::Disabled => BTreeMap::new(),
        None => paths::cgroupfs(host, request)?,
        Some(unit) => host.below_root(unit.path()),
    };
    let layout = settings::Layout::planned(host, &paths, request.rootless);
    let settings = settings::settings(&layout, request.resources)?;
    let record = Record { driver: request.driver, paths, unit: unit.as_ref().map(systemd::Unit::record) };
    Ok(Plan { record, layout, settings, devices, owner: request.owner, unit })
}

/// The cgroup of a plan, to be created.
///
/// # Errors
/// When the connection to systemd cannot be prepared.
pub fn prepare(plan: Plan) -> Result<Box<dyn Cgroup>> {
    let unit = plan.unit.clone();
    let files = files::Files::planned(plan);
    match unit {
        None => Ok(Box::new(files)),
        Some(unit) => Ok(Box::new(systemd::Scope::planned(unit, files))),
    }
}

/// The cgroup of a container that exists.
///
/// # Errors
/// When the record is damaged.
pub fn open(record: &Record) -> Result<Box<dyn Cgroup>> {
    let files = files::Files::open(record);
    match &record.unit {
        None => Ok(Box::new(files)),
        Some(unit) => Ok(Box::new(systemd::Scope::open(unit, files))),
    }
}
