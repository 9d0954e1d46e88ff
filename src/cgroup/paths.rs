//! From `linux.cgroupsPath` to directories (config-linux.md, "Cgroups Path").

use super::host::{Hierarchy, Host};
use super::{Request, tree};
use crate::error::{Error, Result};
use crate::log;
use nix::unistd::{AccessFlags, faccessat};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The directory below the root in which containers without `linux.cgroupsPath` are.
const DEFAULT: &str = "berth";

/// The directory of each controller, without the driver systemd. Empty when the caller has no rights anywhere.
///
/// Absolute paths are below the mounts. Relative ones are too, but for a caller without rights there: then they are
/// beside its own cgroup where it may make cgroups, else below it.
///
/// # Errors
/// For `../` and an empty path.
pub fn cgroupfs(host: &Host, request: &Request) -> Result<BTreeMap<String, PathBuf>> {
    let default = format!("{DEFAULT}/{}", request.id);
    let given = request.cgroups_path.filter(|path| !path.is_empty()).unwrap_or(&default);
    let path = clean(given).map_err(|error| error.context("linux.cgroupsPath"))?;
    if !request.rootless {
        return Ok(host.below_root(&path));
    }
    let beside = |hierarchy: &Hierarchy| {
        let own = hierarchy.own().unwrap_or_else(|_| hierarchy.mount.clone());
        // The caller's cgroup has the caller in it, so on v2 it can give no controllers to children.
        match own.parent() {
            Some(parent) if own != hierarchy.mount && hierarchy_is_v2(host, hierarchy) && writable(parent) => {
                parent.to_owned()
            }
            _ => own,
        }
    };
    let mut paths = if given.starts_with('/') {
        host.below_root(&path)
    } else {
        host.map(|hierarchy| beside(hierarchy).join(&path))
    };
    let own = host.map(|hierarchy| hierarchy.own().unwrap_or_else(|_| hierarchy.mount.clone()));
    paths.retain(|controller, path| {
        let usable = may_make(path) && (!controller.is_empty() || may_move(own.get(controller), path));
        if !usable {
            log::debug(|| format!("no rights to make {}: the container stays in its caller's cgroup", path.display()));
        }
        usable
    });
    Ok(paths)
}

fn hierarchy_is_v2(host: &Host, hierarchy: &Hierarchy) -> bool {
    host.v2.as_ref() == Some(hierarchy)
}

/// The path without empty and `.` components and without slashes at its ends.
///
/// # Errors
/// For `..`, NUL, and for what names the root itself.
pub fn clean(path: &str) -> Result<String> {
    let refuse = |why: &str| Err(Error::new(format!("{path:?} {why}")));
    if path.contains('\0') {
        return refuse("contains a NUL byte");
    }
    let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != ".").peekable();
    if parts.peek().is_none() {
        return refuse("is the root of the hierarchy, which no container can have");
    }
    let parts: Vec<&str> = parts.collect();
    if parts.contains(&"..") {
        return refuse("contains \"..\", which could lead to a cgroup of others");
    }
    Ok(parts.join("/"))
}

fn writable(path: &Path) -> bool {
    faccessat(nix::fcntl::AT_FDCWD, path, AccessFlags::W_OK, nix::fcntl::AtFlags::AT_EACCESS).is_ok()
}

/// The innermost directory of `path` that exists.
pub fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(path)
}

fn may_make(path: &Path) -> bool {
    writable(existing(path))
}

/// cgroup v2, "Delegation Containment": whoever moves a process must be able to write `cgroup.procs` of the innermost
/// common ancestor.
pub fn may_move(own: Option<&PathBuf>, path: &Path) -> bool {
    let Some(own) = own else { return false };
    let common = path.ancestors().find(|ancestor| own.starts_with(ancestor));
    common.is_some_and(|common| writable(&common.join("cgroup.procs")))
}

/// The directory below `dir` that holds `path`, one of `/proc/<pid>/cgroup`: both end alike where they meet.
pub fn within(dir: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path.strip_prefix('/')?);
    let parts: Vec<_> = dir.components().skip(1).collect();
    (0..parts.len()).find_map(|start| {
        let tail: PathBuf = parts.iter().skip(start).collect();
        let rest = path.strip_prefix(&tail).ok()?;
        Some(if rest.as_os_str().is_empty() { dir.to_owned() } else { dir.join(rest) })
    })
}

/// The cgroup at `path` below `dir`, for `exec --cgroup`.
///
/// # Errors
/// When `path` leaves `dir` or does not exist.
pub fn below(dir: &Path, path: &str) -> Result<PathBuf> {
    if path.split('/').all(|part| part.is_empty() || part == ".") {
        return Ok(dir.to_owned());
    }
    let path = dir.join(clean(path)?);
    match tree::read(&path, "cgroup.procs") {
        // EOPNOTSUPP: threaded; the kernel says the rest when the process enters.
        Ok(_) | Err(nix::errno::Errno::EOPNOTSUPP) => Ok(path),
        Err(errno) => Err(Error::sys(format!("open {}", path.display()), errno)
            .hint("The sub-cgroup must exist in the container's cgroup")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::config::Resources;
    use crate::cgroup::Driver;

    #[test]
    fn paths_are_cleaned_and_cannot_leave() {
        assert_eq!(clean("/a//b/./c/").unwrap(), "a/b/c");
        assert_eq!(clean("a..b").unwrap(), "a..b");
        for path in ["../a", "a/../b", "a/..", "/", "", ".", "a\0b"] {
            assert!(clean(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_process_below_the_container_is_found_through_any_mount() {
        let dir = Path::new("/sys/fs/cgroup/berth/c1");
        assert_eq!(within(dir, "/berth/c1/init.scope").unwrap(), dir.join("init.scope"));
        assert_eq!(within(dir, "/berth/c1").unwrap(), dir);
        assert_eq!(within(dir, "/berth/c10"), None);
        assert_eq!(within(dir, "/system.slice"), None);
    }

    #[test]
    fn a_missing_path_names_the_container() {
        let host = Host::detect().unwrap();
        let resources = Resources::default();
        let annotations = BTreeMap::new();
        let request = |cgroups_path| Request {
            id: "c1",
            cgroups_path,
            resources: &resources,
            driver: Driver::Cgroupfs,
            rootless: false,
            owner: None,
            annotations: &annotations,
        };
        let default = cgroupfs(&host, &request(None)).unwrap();
        assert!(default.values().all(|path| path.ends_with("berth/c1")), "{default:?}");
        assert_eq!(cgroupfs(&host, &request(Some(""))).unwrap(), default);
        assert_eq!(cgroupfs(&host, &request(Some("/x"))).unwrap(), cgroupfs(&host, &request(Some("x"))).unwrap());
        let error = cgroupfs(&host, &request(Some("/a/../../b"))).unwrap_err().to_string();
        assert!(error.starts_with("linux.cgroupsPath: "), "{error}");
    }

    #[test]
    fn without_rights_only_a_container_without_limits_is_possible() {
        if nix::unistd::geteuid().is_root() {
            return eprintln!("skipped: root has rights everywhere");
        }
        let host = Host::detect().unwrap();
        let (none, annotations) = (Resources::default(), BTreeMap::new());
        let limit = serde_json::from_str(r#"{"pids":{"limit":5}}"#).unwrap();
        let request = |resources| Request {
            id: "c1",
            cgroups_path: Some("/berth-test/c1"),
            resources,
            driver: Driver::Cgroupfs,
            rootless: true,
            owner: None,
            annotations: &annotations,
        };
        let plan = crate::cgroup::plan(&host, &request(&none)).unwrap();
        assert!(plan.paths().is_empty() && !plan.needs_enter());
        let mut cgroup = crate::cgroup::prepare(plan).unwrap();
        cgroup.create().unwrap();
        cgroup.enter(nix::unistd::getpid()).unwrap();
        cgroup.apply_limits().unwrap();
        cgroup.apply_devices().unwrap();
        assert!(cgroup.entry().unwrap().is_none());
        cgroup.destroy().unwrap();
        let error = crate::cgroup::plan(&host, &request(&limit)).unwrap_err().to_string();
        assert!(error.starts_with("linux.resources.pids.limit: the caller has no rights"), "{error}");
    }
}
