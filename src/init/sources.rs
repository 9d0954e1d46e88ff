//! What the parent opens for the new process, because that one may not: bind sources that its user cannot reach, and
//! mounts with another id map.

use crate::bundle::config::IdMapping;
use crate::error::{Context, During, Error, Result};
use crate::plan::filesystem::{Enter, Filesystem};
use crate::plan::mounts::{IdMap, IdMapBy, Kind, Mount, Source};
use crate::sys::mount::{self, ATTR_IDMAP, MountAttr, NamespaceHolder, Reach};
use nix::fcntl::AT_FDCWD;
use nix::libc;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Detached bind sources by their index in the plan. The new process inherits them; the parent drops its own.
#[derive(Debug, Default)]
pub struct Sources(Vec<Option<OwnedFd>>);

impl Sources {
    /// All that are open.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().flatten().map(AsFd::as_fd)
    }

    /// Takes the source of the mount `index`, if the parent has opened it.
    pub(super) fn take(&mut self, index: usize) -> Option<OwnedFd> {
        self.0.get_mut(index)?.take()
    }
}

/// Opens what the plan wants opened by the parent: in the host's mount namespace, before the process exists.
///
/// # Errors
/// Names the mount, the system call and the remedy.
pub fn open_sources(plan: &Filesystem) -> Result<Sources> {
    let mut sources = Sources::default();
    if plan.mounts.iter().any(|mount| matches!(mount.kind, Kind::Bind { by_parent: true, .. })) {
        for mount in &plan.mounts {
            sources.0.push(open_one(plan, mount).context(|| mount.name.clone())?);
        }
    }
    Ok(sources)
}

fn open_one(plan: &Filesystem, mount: &Mount) -> Result<Option<OwnedFd>> {
    let Kind::Bind { source: Source::Host(path), recursive, idmap, by_parent: true } = &mount.kind else {
        return Ok(None);
    };
    let tree = clone_path(path, *recursive)?;
    if plan.enter != Enter::Chroot && !plan.shares_with_the_host() {
        // The new process makes all its mounts slaves of the host's; this one it will not see before.
        let slave = MountAttr { propagation: libc::MS_SLAVE, ..MountAttr::default() };
        mount::set_attr(tree.as_fd(), Reach::Recursive, &slave).during(|| "mount_setattr (rslave)")?;
    }
    if let Some(idmap) = idmap {
        apply(&tree, idmap)?;
    }
    Ok(Some(tree))
}

/// A detached copy of the mount at `path` on the host.
pub(super) fn clone_path(path: &Path, recursive: bool) -> Result<OwnedFd> {
    let text = CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::new("the source contains a NUL byte"))?;
    let reach = if recursive { Reach::Recursive } else { Reach::Top };
    mount::clone_tree(AT_FDCWD, &text, reach).during(|| format!("open_tree {}", path.display()))
}

fn apply(tree: &OwnedFd, idmap: &IdMap) -> Result<()> {
    let namespace = match &idmap.by {
        IdMapBy::Namespace(path) => File::open(path).during(|| format!("open {}", path.display()))?,
        IdMapBy::Maps(uids, gids) => namespace_with(uids, gids)?,
    };
    let attr = MountAttr { set: ATTR_IDMAP, userns_fd: namespace.as_raw_fd() as u64, ..MountAttr::default() };
    let reach = if idmap.recursive { Reach::Recursive } else { Reach::Top };
    mount::set_attr(tree.as_fd(), reach, &attr).map_err(|errno| {
        Error::sys("mount_setattr (idmap)", errno)
            .hint("The file system of the source must support id-mapped mounts, and berth must own it.")
    })
}

/// A user namespace with these maps; a short-lived child holds it until its descriptor does.
fn namespace_with(uids: &[IdMapping], gids: &[IdMapping]) -> Result<File> {
    let holder = NamespaceHolder::start().during(|| "clone (CLONE_NEWUSER)")?;
    let file = |name: &str| format!("/proc/{}/{name}", holder.pid());
    for (name, maps) in [("uid_map", uids), ("gid_map", gids)] {
        let line = |map: &IdMapping| format!("{} {} {}\n", map.container_id, map.host_id, map.size);
        let text: String = maps.iter().map(line).collect();
        std::fs::write(file(name), text).during(|| format!("write {}", file(name)))?;
    }
    File::open(file("ns/user")).during(|| format!("open {}", file("ns/user")))
}
