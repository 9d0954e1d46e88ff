//! The systemd driver: one message makes a transient unit with every property that systemd knows, the files get the
//! rest; systemd.scope(5), <https://systemd.io/CGROUP_DELEGATION>.
//!
//! systemd makes a scope only around a process that exists, so the unit is started when the container's process is,
//! and before it runs anything of the container.

mod manager;
mod names;
mod properties;
#[cfg(test)]
mod real;
#[cfg(test)]
mod tests;

use super::dbus::Value;
use super::files::Files;
use super::{Cgroup, Host, OomWatch, Request, Stats, UnitRecord, paths, tree};
use crate::bundle::config::Resources;
use crate::error::{Context, During, Error, Result};
use crate::log;
use manager::Manager;
use names::Place;
use nix::unistd::Pid;
use properties::Properties;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long systemd may take to remove the cgroup of a unit that it has stopped; then we do it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A transient unit and its properties.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    place: Place,
    user: bool,
    path: String,
    properties: Properties,
}

impl Unit {
    /// Decides name, slice and properties.
    ///
    /// # Errors
    /// When systemd is not the init system, when `linux.cgroupsPath` is not `slice:prefix:name` and when an annotation
    /// `org.systemd.property.*` is malformed.
    pub fn plan(host: &Host, request: &Request) -> Result<Self> {
        if !Path::new("/run/systemd/system").is_dir() {
            let error = Error::new("systemd is not the init system of this host (no /run/systemd/system)");
            return Err(error.context("--systemd-cgroup").hint("Run without it."));
        }
        let unit = Self::new(request)?;
        let root = if unit.user { manager::user_root(host)? } else { manager::system_root() };
        Ok(Self { path: root + &unit.place.path, ..unit })
    }

    fn new(request: &Request) -> Result<Self> {
        let slice = if request.rootless { "user.slice" } else { "system.slice" };
        let place = Place::new(request.cgroups_path, request.id, slice).context(|| "linux.cgroupsPath")?;
        let mut properties = vec![
            ("Description".to_owned(), Value::str(format!("berth container {}", request.id))),
            if place.is_slice() {
                ("Wants".to_owned(), Value::Array("s".into(), vec![Value::str(&place.slice)]))
            } else {
                ("Slice".to_owned(), Value::str(&place.slice))
            },
        ];
        let mut yes = vec!["MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"];
        if !place.is_slice() {
            yes.push("Delegate");
        }
        properties.extend(yes.into_iter().map(|name| (name.to_owned(), Value::Bool(true))));
        properties.push(("DefaultDependencies".to_owned(), Value::Bool(false)));
        // A unit that failed does not stay in memory, where it would keep its name from the next container.
        properties.push(("CollectMode".to_owned(), Value::str("inactive-or-failed")));
        properties.extend(properties::annotated(request.annotations)?);
        Ok(Self { path: place.path.clone(), place, user: request.rootless, properties })
    }

    /// The unit's cgroup below the root of every hierarchy, `/system.slice/berth-c1.scope`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the state file keeps.
    pub fn record(&self) -> UnitRecord {
        UnitRecord { name: self.place.unit.clone(), slice: self.place.slice.clone(), user: self.user }
    }
}

/// The cgroup of a unit: the bus first, `files` for what systemd does not know.
#[derive(Debug, Clone)]
pub struct Scope {
    record: UnitRecord,
    /// Of a unit to be made.
    properties: Properties,
    files: Files,
    /// The path of a sub-cgroup below the unit's, in which `files` are then.
    below: PathBuf,
}

impl Scope {
    /// A scope to be made.
    pub fn planned(unit: Unit, files: Files) -> Self {
        Self { record: unit.record(), properties: unit.properties, files, below: PathBuf::new() }
    }

    /// A scope that exists.
    pub fn open(unit: &UnitRecord, files: Files) -> Self {
        Self { record: unit.clone(), properties: Properties::new(), files, below: PathBuf::new() }
    }

    fn is_slice(&self) -> bool {
        self.record.name.ends_with(".slice")
    }

    fn manager(&self) -> Result<Manager> {
        Manager::connect(self.record.user)
    }

    /// Everything that the one message says.
    fn properties(&self, pid: Pid) -> Properties {
        let mut all = self.properties.clone();
        if !self.is_slice() {
            let pid = Value::Uint32(pid.as_raw().unsigned_abs());
            all.push(("PIDs".into(), Value::Array("u".into(), vec![pid])));
        }
        // What the annotations say is not overruled.
        let own = self.files.devices().map(|rules| properties::devices(&rules.systemd())).unwrap_or_default();
        let own = own.into_iter().chain(properties::limits(self.files.settings()));
        all.extend(own.filter(|(name, _)| !self.properties.iter().any(|(other, _)| other == name)));
        all
    }

    /// Whether only systemd can move a process here: a user may not write the cgroup above a login session and the
    /// user's manager (cgroup-v2.rst, "Delegation Containment").
    fn needs_manager(&self) -> bool {
        let own = || Host::detect().ok()?.v2?.own().ok();
        self.record.user && self.files.paths().get("").is_some_and(|dir| !paths::may_move(own().as_ref(), dir))
    }

    /// A cgroup below the unit's own.
    fn inner(&self, files: Files) -> Box<dyn Cgroup> {
        let v2 = |files: &Files| files.paths().get("").cloned().unwrap_or_default();
        match v2(&files).strip_prefix(v2(&self.files)) {
            Ok(path) if self.needs_manager() => {
                let below = self.below.join(path);
                Box::new(Self { record: self.record.clone(), properties: Properties::new(), files, below })
            }
            _ => Box::new(files),
        }
    }

    /// Changes properties of the unit, if any.
    fn set(&self, properties: &Properties) -> Result<()> {
        if properties.is_empty() {
            return Ok(());
        }
        let name = &self.record.name;
        let set = |mut manager: Manager| manager.set(name, properties::argument(properties));
        self.manager().and_then(set).context(|| format!("systemd unit {name}"))
    }

    fn start(&mut self, pid: Pid) -> Result<()> {
        let mut manager = self.manager()?;
        let properties = properties::argument(&self.properties(pid));
        manager.start(&self.record.name, &properties, &self.missing_slices())?;
        let finish = self.finish(pid);
        if finish.is_err() {
            // The process is ours to kill; systemd forgets the unit when its cgroup is empty.
            if let Err(error) = manager.stop(&self.record.name) {
                log::debug(|| format!("stop {} after a failure: {error}", self.record.name));
            }
        }
        finish
    }

    /// The slices around the unit that nobody has started: those without a cgroup.
    fn missing_slices(&self) -> Vec<String> {
        let paths = self.files.paths();
        let Some(dir) = paths.get("").or_else(|| paths.get("name=systemd")) else { return Vec::new() };
        let above = dir.ancestors().skip(1).take_while(|dir| !dir.exists());
        let names = above.filter_map(|dir| dir.file_name()?.to_str().map(str::to_owned));
        names.take_while(|name| name.ends_with(".slice")).collect()
    }

    /// Makes the rest of the cgroup around the process that systemd has moved there.
    fn finish(&mut self, pid: Pid) -> Result<()> {
        self.files.complete()?;
        let v2 = self.files.paths().get("");
        if self.is_slice() || self.files.paths().len() > usize::from(v2.is_some()) {
            return self.files.enter_all(pid);
        }
        match v2 {
            Some(dir) => check_place(pid, dir),
            None => Ok(()),
        }
    }
}

/// A manager in another place of the tree than it says would leave the process without limits.
fn check_place(pid: Pid, dir: &Path) -> Result<()> {
    let pids = tree::pids(dir).during(|| format!("read {}/cgroup.procs", dir.display()))?;
    if pids.contains(&pid) {
        return Ok(());
    }
    let file = format!("/proc/{pid}/cgroup");
    let real = std::fs::read_to_string(&file).during(|| format!("read {file}"))?;
    Err(Error::new(format!("systemd put the process into {}, not into {}", real.trim(), dir.display())))
}

impl Cgroup for Scope {
    fn create(&mut self) -> Result<()> {
        if self.files.exists() && !self.is_slice() {
            let error = Error::new(format!("the unit {} exists already", self.record.name));
            return Err(error.context("linux.cgroupsPath").hint("Delete the container that it belongs to."));
        }
        Ok(())
    }

    fn entry(&self) -> Result<Option<OwnedFd>> {
        // Before `enter` there is no directory; afterwards `exec` needs one.
        if self.properties.is_empty() && !self.needs_manager() { self.files.entry() } else { Ok(None) }
    }

    fn enter(&mut self, pid: Pid) -> Result<()> {
        if self.properties.is_empty() && !self.needs_manager() {
            return self.files.enter(pid);
        }
        if self.properties.is_empty() {
            let pid = pid.as_raw().unsigned_abs();
            let attach = |mut manager: Manager| manager.attach(&self.record.name, &self.below, pid);
            return self.manager().and_then(attach).context(|| format!("systemd unit {}", self.record.name));
        }
        self.start(pid).context(|| format!("systemd unit {}", self.record.name))
    }

    fn apply_limits(&self) -> Result<()> {
        self.files.apply_limits()
    }

    fn apply_devices(&self) -> Result<()> {
        self.files.apply_devices()
    }

    fn update(&self, resources: &Resources) -> Result<()> {
        let changes = self.files.changes(resources)?;
        // systemd writes the files too: what they say must be read before.
        let before = self.files.before(&changes);
        let mut properties = properties::limits(&changes);
        if !resources.devices.is_empty() {
            let rules = super::devices::Rules::new(&resources.devices)?;
            properties.extend(properties::devices(&rules.systemd()));
        }
        self.set(&properties)?;
        if let Err(error) = self.files.change(&changes, &before) {
            if let Err(second) = self.set(&properties::limits(&before)) {
                log::warn(format!("some limits of a refused update stay: {second}"));
            }
            return Err(error);
        }
        self.files.change_devices(resources)
    }

    fn pids(&self) -> Result<Vec<Pid>> {
        self.files.pids()
    }

    fn freeze(&self) -> Result<()> {
        self.files.freeze()
    }

    fn thaw(&self) -> Result<()> {
        self.files.thaw()
    }

    fn is_frozen(&self) -> Result<bool> {
        self.files.is_frozen()
    }

    fn kill(&self) -> Result<()> {
        self.files.kill()
    }

    fn destroy(&self) -> Result<()> {
        let stopped = self.manager().and_then(|mut manager| manager.stop(&self.record.name));
        match stopped.context(|| format!("systemd unit {}", self.record.name)) {
            // systemd removes the cgroup and then forgets the unit, so that its name is free again.
            Ok(true) => {
                let until = Instant::now() + PATIENCE;
                let mut pause = Duration::from_millis(1);
                while self.files.exists() && Instant::now() < until {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
            }
            Ok(false) => {}
            // Without systemd the directories can still be removed; an empty scope is then forgotten by itself.
            Err(error) => log::warn(error),
        }
        self.files.destroy()
    }

    fn exists(&self) -> bool {
        self.files.exists()
    }

    fn oom_kills(&self) -> Option<u64> {
        self.files.oom_kills()
    }

    fn effective_cpus(&self) -> Option<String> {
        self.files.effective_cpus()
    }

    fn sub(&self, path: &str) -> Result<Box<dyn Cgroup>> {
        self.files.below(path).map(|files| self.inner(files))
    }

    fn beside(&self, init: Pid) -> Result<Box<dyn Cgroup>> {
        self.files.around(init).map(|files| self.inner(files))
    }

    fn stats(&self) -> Result<Stats> {
        self.files.stats()
    }

    fn oom_watch(&self) -> Result<OomWatch> {
        self.files.oom_watch()
    }
}
