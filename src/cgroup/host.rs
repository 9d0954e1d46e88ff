//! What is mounted where: pure v2, v1, or both (hybrid).

use super::tree;
use crate::error::{During, Error, Result};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where a host has cgroup v2 when it has nothing else.
pub const MOUNT: &str = "/sys/fs/cgroup";

/// Whether the host has cgroup v2 and nothing else. It is asked once: hosts do not change that.
///
/// # Errors
/// As statfs(2).
pub fn is_unified() -> Result<bool> {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    if let Some(answer) = ANSWER.get() {
        return Ok(*answer);
    }
    let found = statfs(MOUNT).during(|| format!("statfs {MOUNT}"))?;
    Ok(*ANSWER.get_or_init(|| found.filesystem_type() == CGROUP2_SUPER_MAGIC))
}

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Its controllers, or its name (`name=systemd`); for v2 those that its root can give to its children.
    pub controllers: BTreeSet<String>,
    /// The caller's cgroup below the mount, `/` for the mount itself; known when the host has v1.
    own: Option<String>,
}

/// The mounted hierarchies of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// The v1 hierarchies.
    pub v1: Vec<Hierarchy>,
    /// The v2 hierarchy.
    pub v2: Option<Hierarchy>,
}

impl Host {
    /// Looks at the mounts. On a pure v2 host that is two system calls and one small file.
    ///
    /// # Errors
    /// When `/proc` cannot be read or no cgroup file system is mounted.
    pub fn detect() -> Result<Self> {
        let mut host = if is_unified().unwrap_or(false) {
            Self { v1: Vec::new(), v2: Some(Hierarchy::unified(MOUNT.into(), None)) }
        } else {
            let proc = Path::new("/proc/self");
            let read = |file: &str| tree::read(proc, file).during(|| format!("read /proc/self/{file}"));
            Self::parse(&read("cgroup")?, &read("mountinfo")?)
        };
        if host.v1.is_empty() && host.v2.is_none() {
            return Err(Error::new("no cgroup file system is mounted").hint("Mount cgroup2 on /sys/fs/cgroup"));
        }
        if let Some(v2) = &mut host.v2 {
            let list = tree::read(&v2.mount, "cgroup.controllers")
                .during(|| format!("read {}/cgroup.controllers", v2.mount.display()))?;
            v2.controllers = list.split_whitespace().map(str::to_owned).collect();
        }
        Ok(host)
    }

    /// Finds the hierarchies of `/proc/self/cgroup` in `/proc/self/mountinfo` (cgroups(7), proc_pid_mountinfo(5)).
    fn parse(cgroup: &str, mountinfo: &str) -> Self {
        let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::parse).collect();
        let mut host = Self::default();
        for line in cgroup.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(list), Some(path)) = (fields.next(), fields.next()) else { continue };
            let mount = mounts.iter().find(|mount| match list.split(',').next() {
                None | Some("") => mount.v2,
                Some(first) => !mount.v2 && mount.options.split(',').any(|option| option == first),
            });
            let Some(mount) = mount else { continue };
            let own = Some(mount.below(path));
            if mount.v2 {
                host.v2 = Some(Hierarchy::unified(mount.point.clone(), own));
            } else {
                let controllers = list.split(',').map(str::to_owned).collect();
                host.v1.push(Hierarchy { mount: mount.point.clone(), controllers, own });
            }
        }
        host
    }

    /// The directory of every controller for one path below the roots, keyed as [`super::Record::paths`].
    pub fn below_root(&self, path: &str) -> BTreeMap<String, PathBuf> {
        self.map(|hierarchy| hierarchy.join(path))
    }

    /// A directory for every controller, keyed as [`super::Record::paths`].
    pub fn map(&self, path: impl Fn(&Hierarchy) -> PathBuf) -> BTreeMap<String, PathBuf> {
        let mut paths = BTreeMap::new();
        for hierarchy in &self.v1 {
            let path = path(hierarchy);
            paths.extend(hierarchy.controllers.iter().map(|controller| (controller.clone(), path.clone())));
        }
        paths.extend(self.v2.iter().map(|v2| (String::new(), path(v2))));
        paths
    }

    /// Whether cgroup v2 is all there is.
    pub fn is_pure_v2(&self) -> bool {
        self.v1.is_empty()
    }
}

impl Hierarchy {
    fn unified(mount: PathBuf, own: Option<String>) -> Self {
        Self { mount, controllers: BTreeSet::new(), own }
    }

    /// The directory at `path` below the root, with or without a leading slash.
    pub fn join(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }

    /// The caller's own cgroup.
    ///
    /// # Errors
    /// When `/proc/self/cgroup` cannot be read.
    pub fn own(&self) -> Result<PathBuf> {
        if let Some(own) = &self.own {
            return Ok(self.join(own));
        }
        let text = tree::read(Path::new("/proc/self"), "cgroup").during(|| "read /proc/self/cgroup")?;
        let own = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        let path = self.join(own);
        // Inside a container without a cgroup namespace the path is the host's and the mount is the container's.
        Ok(if path.is_dir() { path } else { self.mount.clone() })
    }
}

/// A cgroup mount of mountinfo.
struct Mount<'a> {
    root: &'a str,
    point: PathBuf,
    v2: bool,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let v2 = match right.next()? {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        Some(Self { root, point: unescape(point).into(), v2, options: right.nth(1)? })
    }

    /// A path of `/proc/self/cgroup` as seen below this mount, whose root may be a cgroup further down.
    fn below(&self, path: &str) -> String {
        match path.strip_prefix(self.root.trim_end_matches('/')) {
            Some("") => "/".into(),
            Some(rest) if rest.starts_with('/') => rest.into(),
            _ => "/".into(),
        }
    }
}

/// mountinfo writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CGROUP: &str = "9:name=systemd:/\n4:memory:/docker/abc/x\n2:cpu,cpuacct:/docker/abc\n1:net_cls:/\n0::/user\n";
    const MOUNTS: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw shared:3 master:4 - cgroup cgroup rw,memory\n\
        40 31 0:37 / /sys/fs/cgroup/sys\\040temd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn a_hybrid_host_has_every_mounted_hierarchy_and_no_other() {
        let host = Host::parse(CGROUP, MOUNTS);
        let paths = host.below_root("/a");
        let keys: Vec<&str> = paths.keys().map(String::as_str).collect();
        assert_eq!(keys, ["", "cpu", "cpuacct", "memory", "name=systemd"]);
        assert_eq!(paths["cpuacct"], Path::new("/sys/fs/cgroup/cpu,cpuacct/a"));
        assert_eq!(paths["name=systemd"], Path::new("/sys/fs/cgroup/sys temd/a"));
        assert!(!host.is_pure_v2());
    }

    #[test]
    fn the_own_cgroup_is_seen_through_the_mount() {
        let host = Host::parse(CGROUP, MOUNTS);
        let own = host.map(|hierarchy| hierarchy.own().unwrap());
        assert_eq!(own["memory"], Path::new("/sys/fs/cgroup/memory/x"));
        assert_eq!(own["cpu"], Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(own[""], Path::new("/sys/fs/cgroup/unified/user"));
    }

    #[test]
    fn this_host_has_a_hierarchy() {
        let host = Host::detect().unwrap();
        assert!(host.v2.is_some() || !host.v1.is_empty());
    }
}
