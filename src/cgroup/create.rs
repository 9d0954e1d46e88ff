//! Making the directories of a cgroup, and what each kind of hierarchy wants before it takes processes.

use super::settings::{Layout, Setting, Version};
use super::{freeze, tree};
use crate::error::{During, Error, Result};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Controllers that work on single threads (cgroup-v2.rst, "Threads"); all others need a domain.
const THREADED: [&str; 4] = ["cpu", "cpuset", "perf_event", "pids"];

/// What a container is given on v2 when it exists, so that it is counted also where it has no limit.
const COUNTED: [&str; 8] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc"];

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Directory by controller; see [`super::Record::paths`].
    pub paths: &'a BTreeMap<String, PathBuf>,
    /// Which controllers are there.
    pub layout: &'a Layout,
    /// What will be written.
    pub settings: &'a [Setting],
    /// Whether a cgroup with processes is refused; not when systemd has made it with the container's process.
    pub empty: bool,
}

/// Makes the directories; see [`super::Cgroup::create`].
///
/// # Errors
/// As there; nothing that was made is left then.
pub fn create(wanted: Wanted<'_>) -> Result<()> {
    let mut made = Vec::new();
    let result = wanted.make(&mut made);
    if result.is_err() {
        made.iter().rev().for_each(|dir| {
            let _ = tree::remove(dir, Duration::ZERO);
        });
    }
    result
}

impl Wanted<'_> {
    fn make(&self, made: &mut Vec<PathBuf>) -> Result<()> {
        // Co-mounted controllers share a directory.
        let mut done = BTreeSet::new();
        for (controller, dir) in self.paths {
            if !done.insert(dir) {
                continue;
            }
            let new = tree::make(dir, made).map_err(|errno| cannot_make(dir, errno))?;
            if !new && self.empty {
                refuse_processes(dir)?;
            }
            if controller.is_empty() {
                self.prepare_v2(dir)?;
            }
        }
        if let Some(dir) = self.paths.get("cpuset") {
            fill_cpuset(dir)?;
        }
        // A new cgroup can only be frozen by one above it, in which the container's process would never run.
        let freezer = freeze::Freezer::find(self.paths);
        if freezer.is_some_and(|freezer| freezer.is_frozen().unwrap_or(false)) {
            return Err(Error::new("container's cgroup unexpectedly frozen").hint("Thaw it or choose another one"));
        }
        Ok(())
    }

    fn prepare_v2(&self, dir: &Path) -> Result<()> {
        let needed: BTreeSet<&str> = self
            .settings
            .iter()
            .filter(|setting| setting.version == Version::V2 && setting.controller != "cgroup")
            .map(|setting| setting.controller.as_str())
            .collect();
        check_type(dir, &needed)?;
        // The v2 side of a hybrid host gets only what a limit needs: the v1 controllers count the rest.
        let wanted: BTreeSet<&str> = match self.layout.is_pure_v2() {
            true => self.layout.v2_controllers().filter(|name| COUNTED.contains(name)).chain(needed.clone()).collect(),
            false => needed.clone(),
        };
        let missing = lacking(dir, &wanted);
        let Some(mount) = self.layout.mount.as_deref().filter(|_| !missing.is_empty()) else { return Ok(()) };
        let refusals = enable(mount, dir, &missing);
        // Counting is a wish, limits are an order.
        let Some(name) = lacking(dir, &needed).first().copied() else { return Ok(()) };
        let refusal = refusals.into_iter().find(|(refused, _)| *refused == name).map(|(_, error)| error);
        let silent = || Error::new(format!("the {name} controller cannot be enabled in {}", dir.display()));
        Err(refusal.unwrap_or_else(silent).context(self.field(name)))
    }

    /// The field that needs a controller.
    fn field(&self, controller: &str) -> String {
        let setting = self.settings.iter().find(|setting| setting.controller == controller);
        setting.map_or_else(|| "linux.resources".into(), |setting| setting.field.clone())
    }
}

fn cannot_make(dir: &Path, errno: Errno) -> Error {
    let error = Error::sys(format!("mkdir {}", dir.display()), errno);
    match errno {
        Errno::EACCES | Errno::EPERM => error.hint("Have the cgroup delegated to this user, or remove the limits"),
        Errno::EROFS => error.hint("The cgroup file system is mounted read-only here"),
        Errno::EAGAIN => error.hint("cgroup.max.descendants or cgroup.max.depth of a cgroup above is reached"),
        _ => error,
    }
}

/// Engines and people rely on a container being alone in its cgroup: limits, pause and kill would hit others.
fn refuse_processes(dir: &Path) -> Result<()> {
    let pids = tree::pids(dir).during(|| format!("read {}/cgroup.procs", dir.display()))?;
    match pids.len() {
        0 => Ok(()),
        count => Err(Error::new(format!("container's cgroup is not empty: {count} process(es) found"))
            .context(dir.display().to_string())
            .hint("Choose another linux.cgroupsPath, or end these processes")),
    }
}

/// A cgroup below a threaded one is "domain invalid" until it is threaded too, and threaded ones have no memory, io …
/// (cgroup-v2.rst, "Threads").
fn check_type(dir: &Path, needed: &BTreeSet<&str>) -> Result<()> {
    let kind = tree::value(dir, "cgroup.type").unwrap_or_default();
    if kind.is_empty() || kind == "domain" {
        return Ok(());
    }
    if let Some(controller) = needed.iter().find(|name| !THREADED.contains(name)) {
        return Err(Error::new(format!(
            "the {controller} controller does not work in {}, which is {kind:?}",
            dir.display()
        ))
        .hint(
            "A cgroup above has threaded children. Choose another linux.cgroupsPath, or remove the limits of \
                   controllers that need a domain",
        ));
    }
    match kind.as_str() {
        "domain invalid" => tree::write(dir, "cgroup.type", "threaded")
            .during(|| format!("make {} threaded, as the cgroup above it is", dir.display())),
        _ => Ok(()),
    }
}

/// Those of `wanted` that `dir` does not have.
fn lacking<'a>(dir: &Path, wanted: &BTreeSet<&'a str>) -> Vec<&'a str> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let list = tree::read(dir, "cgroup.controllers").unwrap_or_default();
    wanted.iter().copied().filter(|name| !list.split_whitespace().any(|has| has == *name)).collect()
}

/// Hands the controllers down from the mount to `dir`, and gives what was refused.
fn enable<'a>(mount: &Path, dir: &Path, controllers: &[&'a str]) -> Vec<(&'a str, Error)> {
    let mut above: Vec<&Path> = dir.ancestors().skip(1).take_while(|path| path.starts_with(mount)).collect();
    above.reverse();
    let write = |parent: &Path, list: &str| tree::write(parent, "cgroup.subtree_control", list);
    let all = controllers.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
    let mut refusals = Vec::new();
    for parent in above {
        match write(parent, &all) {
            Ok(()) => continue,
            // One by one, cpu and pids would be accepted here and would turn this cgroup with its processes into a
            // threaded one, which nobody asked for.
            Err(Errno::EBUSY) => {
                refusals.extend(controllers.iter().map(|name| (*name, cannot_enable(parent, name, Errno::EBUSY))));
                break;
            }
            Err(_) => {}
        }
        // One that cannot be enabled must not keep the others away.
        for name in controllers {
            if let Err(errno) = write(parent, &format!("+{name}")) {
                refusals.push((*name, cannot_enable(parent, name, errno)));
            }
        }
    }
    refusals
}

fn cannot_enable(parent: &Path, controller: &str, errno: Errno) -> Error {
    let file = parent.join("cgroup.subtree_control");
    let error = Error::sys(format!("write \"+{controller}\" to {}", file.display()), errno);
    match errno {
        Errno::EBUSY => error.hint(
            "That cgroup has processes of its own, and then it cannot give controllers to those below it (cgroups(7), \
             \"no internal processes\"). Choose a linux.cgroupsPath elsewhere",
        ),
        Errno::EACCES | Errno::EPERM => {
            error.hint("Have the controller delegated to this user (systemd: Delegate=yes)")
        }
        Errno::ENOENT => error.hint("The cgroup above does not have this controller"),
        Errno::EOPNOTSUPP => error.hint("That cgroup is threaded"),
        _ => error,
    }
}

/// A v1 cpuset takes no process before it has CPUs and memory nodes; a new one has none. The parent's are copied.
fn fill_cpuset(dir: &Path) -> Result<()> {
    for file in ["cpuset.mems", "cpuset.cpus"] {
        copy_from_parent(dir, file, 64).during(|| format!("copy {file} to {} from the cgroup above", dir.display()))?;
    }
    Ok(())
}

fn copy_from_parent(dir: &Path, file: &str, levels: u8) -> std::result::Result<String, Errno> {
    let list = tree::read(dir, file)?.trim().to_owned();
    if !list.is_empty() {
        return Ok(list);
    }
    let (Some(parent), Some(levels)) = (dir.parent(), levels.checked_sub(1)) else { return Err(Errno::ENOENT) };
    let list = copy_from_parent(parent, file, levels)?;
    tree::write(dir, file, &list)?;
    Ok(list)
}

/// Gives the container's root the cgroup's directory and the files that the kernel says are safe to delegate
/// (config-linux.md, "Cgroup ownership").
///
/// # Errors
/// When an owner cannot be changed; a file that does not exist is fine.
pub fn delegate(dir: &Path, (uid, gid): (u32, u32)) -> Result<()> {
    let list = tree::read(Path::new("/sys/kernel/cgroup"), "delegate")
        .unwrap_or_else(|_| "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n".into());
    for file in std::iter::once("").chain(list.lines().filter(|file| !file.contains('/'))) {
        let path = if file.is_empty() { dir.to_owned() } else { dir.join(file) };
        match nix::unistd::chown(&path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(Error::sys(format!("chown {uid}:{gid} {}", path.display()), errno)),
        }
    }
    Ok(())
}
