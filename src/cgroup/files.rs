//! A cgroup reached by its files: every kind of host, without systemd.

use super::create::{self, Wanted};
use super::freeze::{self, Freezer};
use super::settings::{self, Layout, Setting};
use super::{Cgroup, OomWatch, Plan, Record, Stats, devices, oom, paths, stats, tree};
use crate::bundle::config::{Memory, Resources};
use crate::error::{Context, During, Error, Result};
use crate::log;
use nix::errno::Errno;
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long killed processes may take to leave their cgroup.
const PATIENCE: Duration = Duration::from_secs(5);

/// The directories of a container's cgroup and what is planned for them.
#[derive(Debug, Clone)]
pub struct Files {
    record: Record,
    layout: Option<Layout>,
    settings: Vec<Setting>,
    devices: Option<devices::Rules>,
    owner: Option<(u32, u32)>,
}

impl Files {
    /// For a cgroup to be created.
    pub fn planned(plan: Plan) -> Self {
        let Plan { record, layout, settings, devices, owner, .. } = plan;
        Self { record, layout: Some(layout), settings, devices: Some(devices), owner }
    }

    /// For a cgroup that exists.
    pub fn open(record: &Record) -> Self {
        Self { record: record.clone(), layout: None, settings: Vec::new(), devices: None, owner: None }
    }

    /// Directory by controller.
    pub fn paths(&self) -> &BTreeMap<String, PathBuf> {
        &self.record.paths
    }

    /// The planned values.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The planned device rules.
    pub fn devices(&self) -> Option<&devices::Rules> {
        self.devices.as_ref()
    }

    /// The values that an update writes.
    ///
    /// # Errors
    /// As [`Cgroup::update`].
    pub fn changes(&self, resources: &Resources) -> Result<Vec<Setting>> {
        let layout = Layout::existing(&self.record);
        let resources = self.completed(resources, &layout);
        if let (Some(memory), Some(dir)) = (&resources.memory, self.v2()) {
            check_memory(dir, memory)?;
        }
        settings::settings(&layout, &resources)
    }

    /// What the files say now that an update changes.
    pub fn before(&self, changes: &[Setting]) -> Vec<Setting> {
        settings::current(changes, self.paths())
    }

    /// Writes an update's values; when one of them is refused, what was there before.
    ///
    /// # Errors
    /// As [`Cgroup::update`].
    pub fn change(&self, changes: &[Setting], before: &[Setting]) -> Result<()> {
        settings::apply(changes, self.paths()).inspect_err(|_| {
            if let Err(error) = settings::apply(before, self.paths()) {
                log::warn(format!("some limits of a refused update stay: {error}"));
            }
        })
    }

    /// Replaces the device rules, if an update has any.
    ///
    /// # Errors
    /// As [`Cgroup::update`].
    pub fn change_devices(&self, resources: &Resources) -> Result<()> {
        if resources.devices.is_empty() {
            return Ok(());
        }
        let rules = devices::Rules::new(&resources.devices)?;
        Self { devices: Some(rules), ..self.clone() }.apply_devices()
    }

    /// Makes what systemd has not made of a unit's cgroup, which has the container's process already.
    ///
    /// # Errors
    /// As [`Cgroup::create`].
    pub fn complete(&mut self) -> Result<()> {
        self.make(false)
    }

    /// Moves `pid` into every directory, v2 too, as for a unit that has grown beside systemd.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn enter_all(&self, pid: Pid) -> Result<()> {
        self.enter_those(pid, |_| true)
    }

    /// See [`Cgroup::sub`].
    ///
    /// # Errors
    /// As there.
    pub fn below(&self, path: &str) -> Result<Self> {
        // `cpu,memory:path` means these hierarchies only, as runc has it for v1.
        let (controllers, below) = match path.split_once(':') {
            Some((list, below)) => (Some(list.split(',').collect::<Vec<_>>()), below),
            None => (None, path),
        };
        let mut record = Record { unit: None, ..self.record.clone() };
        if let Some(unknown) = controllers.iter().flatten().find(|name| !self.paths().contains_key(**name)) {
            return Err(Error::new(format!("the container has no cgroup of the controller {unknown:?}"))
                .context(format!("--cgroup {path}")));
        }
        for (controller, dir) in &mut record.paths {
            if controllers.as_ref().is_none_or(|list| list.contains(&controller.as_str())) {
                *dir = paths::below(dir, below).context(|| format!("--cgroup {path}"))?;
            }
        }
        Ok(Self::open(&record))
    }

    /// See [`Cgroup::beside`].
    ///
    /// # Errors
    /// As there.
    pub fn around(&self, init: Pid) -> Result<Self> {
        let path = format!("/proc/{init}");
        let text = tree::read(Path::new(&path), "cgroup").during(|| format!("read {path}/cgroup"))?;
        let own = text.lines().find_map(|line| line.strip_prefix("0::"));
        let mut record = Record { unit: None, ..self.record.clone() };
        if let (Some(dir), Some(own)) = (record.paths.get_mut(""), own) {
            *dir = paths::within(dir, own)
                .ok_or_else(|| Error::new(format!("process {init} is in {own}, outside of the container's cgroup")))?;
        }
        Ok(Self::open(&record))
    }

    fn make(&self, empty: bool) -> Result<()> {
        let none = Layout::default();
        let layout = self.layout.as_ref().unwrap_or(&none);
        create::create(Wanted { paths: self.paths(), layout, settings: &self.settings, empty })?;
        match (self.v2(), self.owner) {
            (Some(dir), Some(owner)) if layout.is_pure_v2() => create::delegate(dir, owner),
            _ => Ok(()),
        }
    }

    fn v2(&self) -> Option<&Path> {
        self.paths().get("").map(PathBuf::as_path)
    }

    /// The v1 directories, each once.
    fn v1(&self) -> BTreeSet<&Path> {
        self.paths().iter().filter(|(name, _)| !name.is_empty()).map(|(_, dir)| dir.as_path()).collect()
    }

    /// A directory that stands for all: every process is in it.
    fn any(&self) -> Option<&Path> {
        self.v2().or_else(|| self.paths().get("freezer").or_else(|| self.paths().values().next()).map(PathBuf::as_path))
    }

    fn freezer(&self) -> Result<Freezer<'_>> {
        Freezer::find(self.paths()).ok_or_else(|| {
            Error::new("no freezer is available to this container")
                .hint("It has no cgroup of its own, or only v1 without freezer")
        })
    }

    fn enter_those(&self, pid: Pid, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let mut done = BTreeSet::new();
        for (_, dir) in self.paths().iter().filter(|(name, _)| wanted(name)) {
            if done.insert(dir) {
                enter(dir, pid)?;
            }
        }
        Ok(())
    }

    /// Adds what a partial update needs to know of the rest: the pairs that are one value on v2, or compared.
    fn completed(&self, resources: &Resources, layout: &Layout) -> Resources {
        let mut resources = resources.clone();
        let dir = |controller: &str| match layout.version(controller) {
            Some(settings::Version::V1) => self.paths().get(controller),
            _ => self.paths().get(""),
        };
        if let (Some(memory), Some(dir)) = (&mut resources.memory, dir("memory"))
            && memory.limit.is_none_or(|limit| limit == 0)
            && memory.swap.is_some_and(|swap| swap > 0)
        {
            let current = tree::number(dir, "memory.max").or_else(|| tree::number(dir, "memory.limit_in_bytes"));
            memory.limit =
                current.and_then(|limit| i64::try_from(limit).ok()).filter(|limit| *limit < i64::MAX - 65_536);
        }
        if let (Some(cpu), Some(dir)) = (&mut resources.cpu, dir("cpu"))
            && let Some((quota, period)) = tree::value(dir, "cpu.max").as_deref().and_then(|max| max.split_once(' '))
        {
            cpu.quota = cpu.quota.filter(|quota| *quota != 0).or_else(|| match cpu.period.unwrap_or(0) {
                0 => None,
                _ => quota.parse().ok(),
            });
            cpu.period = cpu
                .period
                .filter(|period| *period != 0)
                .or_else(|| period.parse().ok().filter(|_| cpu.quota.is_some()));
        }
        resources
    }
}

/// config-linux.md, "Memory", checkBeforeUpdate: v1's kernel refuses a limit below the usage, v2's kills for it.
fn check_memory(dir: &Path, memory: &Memory) -> Result<()> {
    if memory.check_before_update != Some(true) {
        return Ok(());
    }
    let used = tree::number(dir, "memory.current").unwrap_or(0);
    let swapped = tree::number(dir, "memory.swap.current").unwrap_or(0);
    let positive = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    let low = |field: &'static str, limit: u64, used: u64| {
        Err(Error::new(format!("{limit} is below the current usage of {used} bytes, and checkBeforeUpdate is set"))
            .context(field))
    };
    match (positive(memory.limit), positive(memory.swap)) {
        (Some(limit), _) if limit < used => low("linux.resources.memory.limit", limit, used),
        (_, Some(swap)) if swap < used.saturating_add(swapped) => {
            low("linux.resources.memory.swap", swap, used.saturating_add(swapped))
        }
        _ => Ok(()),
    }
}

fn enter(dir: &Path, pid: Pid) -> Result<()> {
    let value = pid.to_string();
    let mut attempts = 5;
    let errno = loop {
        match tree::write(dir, "cgroup.procs", &value) {
            Ok(()) => return Ok(()),
            // A process that is just being made is refused for a moment (TASK_NEW).
            Err(Errno::EINVAL) if attempts > 0 => {
                attempts -= 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(errno) => break errno,
        }
    };
    let error = Error::sys(format!("move process {pid} to {}", dir.display()), errno);
    Err(match errno {
        Errno::ENOENT | Errno::ENODEV => error.hint("The container's cgroup was removed"),
        Errno::EBUSY => error.hint("Its controllers are given to cgroups below it; enter one of those (exec --cgroup)"),
        Errno::ENOSPC => error.hint("The cpuset has no CPUs or no memory nodes"),
        Errno::EOPNOTSUPP => error.hint("The cgroup is threaded, or below a threaded one"),
        Errno::EACCES | Errno::EPERM => {
            error.hint("The caller must be able to write cgroup.procs here and in the common ancestor of both cgroups")
        }
        _ => error,
    })
}

impl Cgroup for Files {
    fn create(&mut self) -> Result<()> {
        self.make(true)
    }

    fn entry(&self) -> Result<Option<OwnedFd>> {
        self.v2().map(|dir| tree::open_dir(dir).during(|| format!("open {}", dir.display()))).transpose()
    }

    fn enter(&mut self, pid: Pid) -> Result<()> {
        self.enter_those(pid, |name| !name.is_empty())
    }

    fn apply_limits(&self) -> Result<()> {
        settings::apply(&self.settings, self.paths())
    }

    fn apply_devices(&self) -> Result<()> {
        let Some(rules) = &self.devices else { return Ok(()) };
        match (self.paths().get("devices"), self.v2()) {
            (Some(dir), _) => devices::apply_v1(dir, rules),
            (None, Some(dir)) => {
                let fd = tree::open_dir(dir).during(|| format!("open {}", dir.display()))?;
                devices::apply_v2(fd.as_fd(), rules)
            }
            (None, None) => Ok(()),
        }
    }

    fn update(&self, resources: &Resources) -> Result<()> {
        let changes = self.changes(resources)?;
        self.change(&changes, &self.before(&changes))?;
        self.change_devices(resources)
    }

    fn pids(&self) -> Result<Vec<Pid>> {
        match self.any() {
            Some(dir) => tree::pids(dir).during(|| format!("read {}/cgroup.procs", dir.display())),
            None => Ok(Vec::new()),
        }
    }

    fn freeze(&self) -> Result<()> {
        self.freezer()?.freeze()
    }

    fn thaw(&self) -> Result<()> {
        self.freezer()?.thaw()
    }

    fn is_frozen(&self) -> Result<bool> {
        Freezer::find(self.paths()).map_or(Ok(false), Freezer::is_frozen)
    }

    fn kill(&self) -> Result<()> {
        freeze::kill(self.paths())
    }

    fn destroy(&self) -> Result<()> {
        for dir in self.v2().into_iter().chain(self.v1()) {
            tree::remove(dir, PATIENCE).map_err(|errno| {
                let left = tree::pids(dir).map_or(0, |pids| pids.len());
                let error = Error::sys(format!("rmdir {}", dir.display()), errno);
                match left {
                    0 => error,
                    _ => error.hint(format!("{left} process(es) are still in it")),
                }
            })?;
        }
        Ok(())
    }

    fn remove_if_empty(&self) -> bool {
        self.v2().into_iter().chain(self.v1()).all(|dir| tree::rmdir(dir).is_ok())
    }

    fn exists(&self) -> bool {
        self.paths().values().any(|dir| dir.is_dir())
    }

    fn oom_kills(&self) -> Option<u64> {
        oom::kills(self.paths())
    }

    fn effective_cpus(&self) -> Option<String> {
        let list = match self.paths().get("cpuset") {
            Some(dir) => tree::value(dir, "cpuset.effective_cpus").or_else(|| tree::value(dir, "cpuset.cpus")),
            // Without the controller here the cpuset is that of the nearest cgroup above that has it.
            None => self.v2()?.ancestors().find_map(|dir| tree::value(dir, "cpuset.cpus.effective")),
        };
        list.filter(|list| !list.is_empty())
    }

    fn sub(&self, path: &str) -> Result<Box<dyn Cgroup>> {
        self.below(path).map(|files| Box::new(files) as Box<dyn Cgroup>)
    }

    fn beside(&self, init: Pid) -> Result<Box<dyn Cgroup>> {
        self.around(init).map(|files| Box::new(files) as Box<dyn Cgroup>)
    }

    fn stats(&self) -> Result<Stats> {
        Ok(stats::read(self.paths()))
    }

    fn oom_watch(&self) -> Result<OomWatch> {
        OomWatch::new(self.paths())
    }
}

#[cfg(test)]
mod tests;
