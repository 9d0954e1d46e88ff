//! The container's root file system, seen through one file descriptor.

use super::procfs::ProcFs;
use super::sources::Sources;
use crate::error::{Error, Result};
use crate::plan::filesystem::Filesystem;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// The container's root directory and what was attached to it.
#[derive(Debug)]
pub struct Rootfs<'a> {
    plan: &'a Filesystem,
    root: OwnedFd,
    sources: Sources,
}

impl<'a> Rootfs<'a> {
    /// Step 1, in the new mount namespace: propagation, the root bound over itself, its fd opened. Sets umask 0.
    pub fn prepare(plan: &'a Filesystem, sources: Sources) -> Result<Self> { let _ = (plan, sources); Err(Error::new("skeleton")) }
    /// Step 2: every entry of `mounts`, in order.
    pub fn mount_all(&mut self) -> Result<()> { Err(Error::new("skeleton")) }
    /// Step 3: device nodes and `/dev` links.
    pub fn make_devices(&mut self) -> Result<()> { Err(Error::new("skeleton")) }
    /// A procfs handle (the container's own /proc when it is fresh): sysctls go before `mask`.
    pub fn procfs(&self) -> Result<ProcFs> { Err(Error::new("skeleton")) }
    /// `/dev/console` becomes `tty` (from TIOCGPTPEER). Before or after `enter`.
    pub fn bind_console(&self, tty: BorrowedFd<'_>) -> Result<()> { let _ = tty; Err(Error::new("skeleton")) }
    /// Step 4, after the createContainer hooks, before `enter`: masked and read-only paths.
    pub fn mask(&mut self) -> Result<()> { Err(Error::new("skeleton")) }
    /// Makes the working directory when it is missing.
    pub fn ensure_cwd(&self, path: &Path) -> Result<()> { let _ = path; Err(Error::new("skeleton")) }
    /// Step 5: pivot_root / move / chroot; afterwards "/" is the container's root and the cwd is "/".
    pub fn enter(&mut self) -> Result<()> { Err(Error::new("skeleton")) }
    /// Step 6: deferred read-only mounts, the root itself, final rootfsPropagation. umask back to 0o022 is the caller's.
    pub fn finish(&mut self) -> Result<()> { Err(Error::new("skeleton")) }
    /// A regular file of the image, never blocks; `None` when it does not exist. For /etc/passwd, /etc/group.
    pub fn open_file(&self, path: &Path) -> Result<Option<File>> { let _ = path; Err(Error::new("skeleton")) }
}
