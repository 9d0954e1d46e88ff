//! The mount interface by file descriptors: fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2).

use super::{Result, check};
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

// Values of <linux/mount.h>, which libc lacks for musl; they are the same on every architecture.
const FSOPEN_CLOEXEC: u32 = 1;
const FSMOUNT_CLOEXEC: u32 = 1;
const FSPICK_CLOEXEC: u32 = 1;
const FSPICK_EMPTY_PATH: u32 = 8;
const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_CMD_CREATE: u32 = 6;
const FSCONFIG_CMD_RECONFIGURE: u32 = 7;
const OPEN_TREE_CLONE: u32 = 1;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 4;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;

/// `MOUNT_ATTR_RDONLY`.
pub const ATTR_RDONLY: u64 = 0x1;
/// `MOUNT_ATTR_NOSUID`.
pub const ATTR_NOSUID: u64 = 0x2;
/// `MOUNT_ATTR_NODEV`.
pub const ATTR_NODEV: u64 = 0x4;
/// `MOUNT_ATTR_NOEXEC`.
pub const ATTR_NOEXEC: u64 = 0x8;
/// `MOUNT_ATTR__ATIME`: the bits of the access time policy, to be cleared before one is set.
pub const ATTR_ATIME: u64 = 0x70;
/// `MOUNT_ATTR_NOATIME`.
pub const ATTR_NOATIME: u64 = 0x10;
/// `MOUNT_ATTR_STRICTATIME`.
pub const ATTR_STRICTATIME: u64 = 0x20;
/// `MOUNT_ATTR_NODIRATIME`.
pub const ATTR_NODIRATIME: u64 = 0x80;
/// `MOUNT_ATTR_IDMAP`.
pub const ATTR_IDMAP: u64 = 0x10_0000;
/// `MOUNT_ATTR_NOSYMFOLLOW`, Linux 5.14.
pub const ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

/// The argument of mount_setattr(2).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountAttr {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear, before the others are set.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE` or 0.
    pub propagation: u64,
    /// User namespace for `MOUNT_ATTR_IDMAP`.
    pub userns_fd: u64,
}

/// Whether a call concerns one mount or all below it too (`AT_RECURSIVE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The mount alone.
    Top,
    /// The mount and all mounts below it.
    Recursive,
}

impl Reach {
    fn flag(self) -> i32 {
        match self {
            Self::Top => 0,
            Self::Recursive => libc::AT_RECURSIVE,
        }
    }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel has just returned this descriptor, nobody else owns it; descriptors fit into an int.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

/// A file system being configured, fsopen(2).
#[derive(Debug)]
pub struct FsContext(OwnedFd);

impl FsContext {
    /// Begins a new file system of type `name`.
    pub fn open(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is NUL-terminated and outlives the call.
        let fd = check(unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), FSOPEN_CLOEXEC) })?;
        Ok(Self(owned(fd)))
    }

    /// Takes the file system that is mounted at `mount` to change its options, fspick(2).
    pub fn pick(mount: BorrowedFd<'_>) -> Result<Self> {
        let flags = FSPICK_CLOEXEC | FSPICK_EMPTY_PATH;
        // SAFETY: the path is a NUL-terminated constant.
        let fd = check(unsafe { libc::syscall(libc::SYS_fspick, mount.as_raw_fd(), c"".as_ptr(), flags) })?;
        Ok(Self(owned(fd)))
    }

    fn config(&self, command: u32, key: *const libc::c_char, value: *const libc::c_char) -> Result<()> {
        // SAFETY: the callers pass null or NUL-terminated strings that outlive the call.
        check(unsafe { libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), command, key, value, 0) })?;
        Ok(())
    }

    /// Sets an option without a value.
    pub fn flag(&self, key: &CStr) -> Result<()> {
        self.config(FSCONFIG_SET_FLAG, key.as_ptr(), ptr::null())
    }

    /// Sets an option with a value, which the kernel limits to 255 bytes.
    pub fn string(&self, key: &CStr, value: &CStr) -> Result<()> {
        self.config(FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr())
    }

    /// Makes the file system.
    pub fn create(&self) -> Result<()> {
        self.config(FSCONFIG_CMD_CREATE, ptr::null(), ptr::null())
    }

    /// Applies changed options to a file system from [`FsContext::pick`].
    pub fn reconfigure(&self) -> Result<()> {
        self.config(FSCONFIG_CMD_RECONFIGURE, ptr::null(), ptr::null())
    }

    /// A detached mount of the made file system with `ATTR_*` attributes, fsmount(2).
    pub fn mount(&self, attributes: u64) -> Result<OwnedFd> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), FSMOUNT_CLOEXEC, attributes as u32) };
        check(fd).map(owned)
    }

    /// What the file system has to say about the last failure, without the leading `e `.
    pub fn complaint(&self) -> Option<String> {
        let mut buffer = [0_u8; 256];
        // SAFETY: the buffer is as long as said.
        let length = unsafe { libc::read(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        let text = String::from_utf8_lossy(buffer.get(..usize::try_from(length).ok()?)?).into_owned();
        text.strip_prefix("e ").map(|text| text.trim().to_owned())
    }
}

fn open_tree(at: RawFd, path: &CStr, flags: u32) -> Result<OwnedFd> {
    // SAFETY: `path` is NUL-terminated and outlives the call.
    check(unsafe { libc::syscall(libc::SYS_open_tree, at, path.as_ptr(), OPEN_TREE_CLONE | flags) }).map(owned)
}

/// A detached copy of the mount at `at` and `path` (empty: `at` itself), open_tree(2) with `OPEN_TREE_CLONE`.
pub fn clone_tree(at: BorrowedFd<'_>, path: &CStr, reach: Reach) -> Result<OwnedFd> {
    open_tree(at.as_raw_fd(), path, (libc::O_CLOEXEC | libc::AT_EMPTY_PATH | reach.flag()) as u32)
}

/// A detached, read-only mount of one file, for as long as it is open, also by a program that is executed.
pub fn read_only_clone(path: &CStr) -> Result<OwnedFd> {
    let clone = open_tree(libc::AT_FDCWD, path, 0)?;
    set_attr(clone.as_fd(), Reach::Top, &MountAttr { set: ATTR_RDONLY, ..MountAttr::default() })?;
    Ok(clone)
}

/// Attaches the mount `from` to what `to` refers to, move_mount(2).
pub fn attach(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let (empty, flags) = (c"".as_ptr(), MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    // SAFETY: both paths are NUL-terminated constants.
    check(unsafe { libc::syscall(libc::SYS_move_mount, from.as_raw_fd(), empty, to.as_raw_fd(), empty, flags) })?;
    Ok(())
}

/// Changes the mount whose root `mount` refers to, mount_setattr(2).
pub fn set_attr(mount: BorrowedFd<'_>, reach: Reach, attr: &MountAttr) -> Result<()> {
    let (flags, size) = (libc::AT_EMPTY_PATH | reach.flag(), size_of::<MountAttr>());
    let attr: *const MountAttr = attr;
    // SAFETY: the structure has the layout of `struct mount_attr` and the size said.
    check(unsafe { libc::syscall(libc::SYS_mount_setattr, mount.as_raw_fd(), c"".as_ptr(), flags, attr, size) })?;
    Ok(())
}

/// Makes the current directory the root and mounts the old root over it, pivot_root(2) with `.` twice.
pub fn pivot_root_here() -> Result<()> {
    // SAFETY: both paths are NUL-terminated constants.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    Ok(())
}

/// A child in a new user namespace that waits to be killed: holds the namespace until it has its maps.
#[derive(Debug)]
pub struct NamespaceHolder {
    pid: libc::pid_t,
}

impl NamespaceHolder {
    /// Starts the child with `clone(CLONE_NEWUSER)`; it dies with its parent.
    pub fn start() -> Result<Self> {
        let flags = (libc::CLONE_NEWUSER | libc::SIGCHLD) as libc::c_ulong;
        // SAFETY: getpid takes nothing and cannot fail.
        let parent = unsafe { libc::getpid() };
        // SAFETY: as fork(2): without CLONE_VM the child gets a copy of the memory and no stack of its own; all
        // arguments but the flags are null, so their order, which differs between architectures, does not matter.
        // The child only makes system calls that are safe after fork.
        let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) })?;
        if pid == 0 {
            // SAFETY: prctl, pause and _exit take plain numbers.
            unsafe {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 && libc::getppid() == parent {
                    loop {
                        libc::pause();
                    }
                }
                libc::_exit(1)
            }
        }
        Ok(Self { pid: pid as libc::pid_t })
    }

    /// The child's process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }
}

impl Drop for NamespaceHolder {
    fn drop(&mut self) {
        // SAFETY: the child is ours and not yet waited for, so the number is still its own; a null status is allowed.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            while libc::waitpid(self.pid, ptr::null_mut(), 0) < 0 && Errno::last() == Errno::EINTR {}
        }
    }
}
