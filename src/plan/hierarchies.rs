//! Where the host has its cgroup file systems.

use crate::cgroup::host;
use crate::error::{During, Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Where cgroup file systems are mounted by convention.
pub const CGROUP_ROOT: &str = host::MOUNT;

/// How the host mounts its cgroups.
#[derive(Debug, PartialEq, Eq)]
pub enum Layout {
    /// Version 2 alone.
    Unified(PathBuf),
    /// Version 1, or both ("hybrid").
    Legacy {
        /// All hierarchies, the one of version 2 included.
        hierarchies: Vec<Hierarchy>,
        /// Where version 2 is mounted, if it is.
        unified: Option<PathBuf>,
    },
}

/// A mounted cgroup hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hierarchy {
    /// Name of its directory: `cpu,cpuacct`.
    pub name: String,
    /// Where the host has it.
    pub host: PathBuf,
    /// Which part of the hierarchy the host's mount shows; `/` outside of containers.
    #[serde(skip)]
    pub root: PathBuf,
    /// Its line in `/proc/self/cgroup`, and the options of a mount: `cpu,cpuacct` or `name=systemd`; empty for v2.
    pub controllers: String,
    /// Links to it, one for each controller, when it has more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
}

/// Looks at the host.
///
/// # Errors
/// When no cgroup file system is mounted.
pub fn layout() -> Result<Layout> {
    if host::is_unified()? {
        return Ok(Layout::Unified(CGROUP_ROOT.into()));
    }
    let path = "/proc/self/mountinfo";
    let table = std::fs::read_to_string(path).during(|| format!("read {path}"))?;
    let hierarchies = parse(&table);
    if hierarchies.is_empty() {
        return Err(Error::new(format!("no cgroup file system is mounted below {CGROUP_ROOT}")));
    }
    let unified = hierarchies.iter().find(|one| one.controllers.is_empty()).map(|one| one.host.clone());
    Ok(Layout::Legacy { hierarchies, unified })
}

/// Hierarchies in the mount table, proc_pid_mountinfo(5).
fn parse(table: &str) -> Vec<Hierarchy> {
    let mut all: Vec<Hierarchy> = Vec::new();
    for one in table.lines().filter_map(hierarchy) {
        // The last mount of a path is the one that is seen.
        all.retain(|other| other.host != one.host);
        all.push(one);
    }
    all
}

fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, fs) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, host) = (mount.next()?, PathBuf::from(mount.next()?));
    let mut fs = fs.split(' ');
    let (kind, options) = (fs.next()?, fs.nth(1)?);
    let name = host.strip_prefix(CGROUP_ROOT).ok()?.to_str().filter(|name| !name.is_empty())?.to_owned();
    let controllers = match kind {
        "cgroup2" => String::new(),
        "cgroup" => controllers(options),
        _ => return None,
    };
    let several = controllers.contains(',') && !controllers.starts_with("name=");
    let links = if several { controllers.split(',').map(str::to_owned).collect() } else { Vec::new() };
    let links = links.into_iter().filter(|link: &String| *link != name).collect();
    Some(Hierarchy { name, root: Path::new(root).to_owned(), host, controllers, links })
}

/// The controllers among the options of a mounted hierarchy, or `name=…`.
fn controllers(options: &str) -> String {
    const OTHERS: [&str; 7] = ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "none"];
    let is_controller =
        |option: &&str| !OTHERS.contains(option) && !option.starts_with("release_agent=") && !option.is_empty();
    options.split(',').filter(is_controller).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_host_has_both_versions() {
        let table = "\
            22 27 0:21 / /proc rw - proc proc rw\n\
            31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            40 31 0:37 /a /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found: Vec<_> = parse(table).into_iter().map(|one| (one.name, one.controllers, one.links.len())).collect();
        let expected = [("cpu,cpuacct", "cpu,cpuacct", 2), ("systemd", "name=systemd", 0), ("unified", "", 0)];
        assert_eq!(found, expected.map(|(name, controllers, links)| (name.into(), controllers.into(), links)));
    }
}
