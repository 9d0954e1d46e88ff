//! `/sys/fs/cgroup` of the container.

use super::mounts::{attach, new_mount, set_attributes};
use super::rootfs::{Make, Rootfs};
use super::sources::clone_path;
use crate::error::{Context, During, Error, Result};
use crate::plan::hierarchies::Hierarchy;
use crate::plan::mounts::{Attributes, Data, Mount};
use crate::sys::mount::{ATTR_RDONLY, Reach};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::symlinkat;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

impl Rootfs<'_> {
    /// Version 2: a new mount shows the cgroup namespace's part. Without such a namespace the host's is bound: a new
    /// mount would show the same, after a wait.
    pub(super) fn cgroup2(&self, mount: &Mount, host: &Path, new: bool) -> Result<OwnedFd> {
        if new {
            match new_mount(c"cgroup2", c"cgroup", [], mount.attributes.set) {
                Ok(fresh) => {
                    let (target, _) = self.target(&mount.destination, || Ok(Make::Directory))?;
                    attach(fresh.as_fd(), target.as_fd())?;
                    return Ok(fresh);
                }
                // The cgroup namespace belongs to an outer user namespace.
                Err(error) if matches!(error.errno(), Some(Errno::EPERM | Errno::EBUSY)) => {
                    crate::log::debug(|| format!("{}: {error}: {} is bound instead", mount.name, host.display()));
                }
                Err(error) => return Err(error),
            }
        }
        // With everything below: what an outer user namespace has mounted there cannot be left out.
        self.bind(mount, clone_path(host, true)?)
    }

    /// Version 1 and hybrid: a tmpfs with a directory per hierarchy and a link per controller.
    pub(super) fn cgroup1(&self, mount: &Mount, hierarchies: &[Hierarchy], new: bool) -> Result<OwnedFd> {
        let (target, _) = self.target(&mount.destination, || Ok(Make::Directory))?;
        let mode = Data { key: "mode".into(), value: Some("755".into()) };
        let tmpfs = new_mount(c"tmpfs", c"tmpfs", [&mode], mount.attributes.set & !ATTR_RDONLY)?;
        attach(tmpfs.as_fd(), target.as_fd())?;
        let own = if new { String::new() } else { own_cgroups()? };
        for hierarchy in hierarchies {
            let part =
                if new { new_part(hierarchy, mount.attributes) } else { bound_part(hierarchy, &own, mount.attributes) };
            let part = part.context(|| format!("hierarchy {}", hierarchy.name))?;
            let name = hierarchy.name.as_str();
            mkdirat(&tmpfs, name, Mode::from_bits_truncate(0o755)).during(|| format!("mkdir {name}"))?;
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let directory = openat(&tmpfs, name, flags, Mode::empty()).during(|| format!("open {name}"))?;
            attach(part.as_fd(), directory.as_fd())?;
            for link in &hierarchy.links {
                symlinkat(name, &tmpfs, link.as_str()).during(|| format!("symlink {link}"))?;
            }
        }
        let readonly = Attributes { set: mount.attributes.set & ATTR_RDONLY, clear: 0 };
        set_attributes(tmpfs.as_fd(), Reach::Top, readonly)?;
        Ok(tmpfs)
    }
}

fn new_part(hierarchy: &Hierarchy, attributes: Attributes) -> Result<OwnedFd> {
    if hierarchy.controllers.is_empty() {
        return new_mount(c"cgroup2", c"cgroup", [], attributes.set);
    }
    let data: Vec<_> = hierarchy.controllers.split(',').map(Data::parse).collect();
    new_mount(c"cgroup", c"cgroup", &data, attributes.set)
}

/// The container's own cgroup in the host's mount of the hierarchy.
fn bound_part(hierarchy: &Hierarchy, own: &str, attributes: Attributes) -> Result<OwnedFd> {
    let path = path_in(own, &hierarchy.controllers)
        .ok_or_else(|| Error::new("this process has no cgroup in it, says /proc/self/cgroup"))?;
    // The host's mount may itself show a part only, inside an outer container.
    let below = Path::new(path).strip_prefix(&hierarchy.root).unwrap_or(Path::new(""));
    let below = crate::plan::filesystem::relative(below);
    let tree = clone_path(&hierarchy.host.join(below), false)?;
    set_attributes(tree.as_fd(), Reach::Top, attributes)?;
    Ok(tree)
}

/// `/proc/self/cgroup` on the host's procfs: read before the root is entered.
fn own_cgroups() -> Result<String> {
    let path = "/proc/self/cgroup";
    std::fs::read_to_string(path).during(|| format!("read {path}"))
}

/// The path in a hierarchy, from lines `4:cpu,cpuacct:/path`, cgroups(7).
fn path_in<'a>(own: &'a str, controllers: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (name, path) = line.split_once(':')?.1.split_once(':')?;
        (name == controllers).then_some(path)
    })
}
