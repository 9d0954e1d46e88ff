//! Files by descriptors: openat2(2) inside a root, chmod and chown of `O_PATH` descriptors.

use super::{Result, check};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Opens `path` (relative) as if `root` were the root directory: neither `..` nor symbolic links leave it.
///
/// # Errors
/// As openat2(2); `EAGAIN` only when somebody renames directories on the way without a pause.
pub fn open_in_root(root: BorrowedFd<'_>, path: &Path, flags: OFlag, resolve: ResolveFlag) -> Result<OwnedFd> {
    let resolve = resolve | ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    retry(|| openat2(root, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve)))
}

/// Opens `path` below `root` without any symbolic link and without entering another mount.
pub fn open_same_mount(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_XDEV
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    retry(|| openat2(root, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve)))
}

/// The kernel answers `EAGAIN` when a rename anywhere on the machine raced with `..`; one more look settles it.
fn retry(mut open: impl FnMut() -> Result<OwnedFd>) -> Result<OwnedFd> {
    for _ in 0..128 {
        match open() {
            Err(Errno::EAGAIN) => {}
            result => return result,
        }
    }
    Err(Errno::EAGAIN)
}

/// Sets the permission bits of what an `O_PATH` descriptor refers to, fchmodat2(2).
///
/// # Errors
/// `ENOSYS` before Linux 6.6.
pub fn chmod(fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
    // The number is the same on every architecture that Rust knows; libc lacks it for some.
    const SYS_FCHMODAT2: libc::c_long = 452;
    // SAFETY: the path is a NUL-terminated constant.
    check(unsafe { libc::syscall(SYS_FCHMODAT2, fd.as_raw_fd(), c"".as_ptr(), mode, libc::AT_EMPTY_PATH) })?;
    Ok(())
}
