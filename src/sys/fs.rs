//! Files by descriptors: openat2(2) inside a root, chmod and chown of `O_PATH` descriptors; the kernel's own files.

use super::{Result, check};
use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::Mode;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// Opens a file of the host, close-on-exec.
///
/// The C library's open(3) makes two system calls of it, for kernels without `O_CLOEXEC`.
///
/// # Errors
/// As openat(2).
pub fn open<P: NixPath + ?Sized>(path: &P, flags: OFlag) -> Result<OwnedFd> {
    openat(AT_FDCWD, path, flags | OFlag::O_CLOEXEC, Mode::empty())
}

/// The absolute path of a directory, without symbolic links.
///
/// A few system calls, however deep it is; realpath(3) makes one for each part of the path.
///
/// # Errors
/// As open(2); `ENOTDIR` for something else than a directory.
pub fn directory_path(path: &Path) -> Result<PathBuf> {
    if path == Path::new(".") {
        return nix::unistd::getcwd();
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    if path.is_absolute() && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_))) {
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
        match openat2(AT_FDCWD, path, how) {
            // As a rule there are none.
            Ok(_) => return Ok(path.components().collect()),
            Err(Errno::ELOOP) => {}
            Err(errno) => return Err(errno),
        }
    }
    let directory = open(path, flags)?;
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    readlinkat(AT_FDCWD, link.as_str()).map(PathBuf::from)
}

/// The text of one of the kernel's own files (procfs, cgroupfs), which are short as a rule.
///
/// # Errors
/// The kernel's; `EINVAL` for bytes that are no text.
pub fn read_kernel_text<P: NixPath + ?Sized>(path: &P) -> Result<String> {
    let file = open(path, OFlag::O_RDONLY | OFlag::O_NOCTTY)?;
    let mut text = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        let count = match nix::unistd::read(&file, &mut buffer) {
            Err(Errno::EINTR) => continue,
            result => result?,
        };
        text.extend(buffer.iter().take(count));
        // The kernel fills the buffer as far as whole records go, and none is half as long: nothing comes after that.
        if count < buffer.len() / 2 {
            return String::from_utf8(text).map_err(|_| Errno::EINVAL);
        }
    }
}

/// The whole of a regular file of `length` bytes, or more when it has grown meanwhile, but at most `limit`.
///
/// # Errors
/// As read(2).
pub fn read_regular(file: BorrowedFd<'_>, length: u64, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length.saturating_add(1).min(limit) as usize];
    let mut end = 0;
    loop {
        let Some(free) = bytes.get_mut(end..).filter(|free| !free.is_empty()) else {
            if bytes.len() as u64 >= limit {
                return Ok(bytes);
            }
            bytes.resize((bytes.len() * 2).max(4096).min(limit as usize), 0);
            continue;
        };
        match nix::unistd::read(file, free) {
            Ok(count) => {
                end += count;
                // Less than wanted is the end of a regular file, read(2).
                if end < bytes.len() {
                    bytes.truncate(end);
                    return Ok(bytes);
                }
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

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

/// Makes two names of a directory change places, renameat2(2) `RENAME_EXCHANGE`.
///
/// # Errors
/// `EINVAL` on a file system that cannot.
pub fn exchange(directory: BorrowedFd<'_>, one: &CStr, other: &CStr) -> Result<()> {
    let directory = directory.as_raw_fd();
    // SAFETY: both names are NUL-terminated and outlive the call.
    check(unsafe {
        libc::syscall(libc::SYS_renameat2, directory, one.as_ptr(), directory, other.as_ptr(), libc::RENAME_EXCHANGE)
    })
    .map(drop)
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
