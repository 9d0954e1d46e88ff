//! A procfs that nobody else can have covered or redirected (CVE-2019-16884, CVE-2025-52881).

use super::rootfs::Rootfs;
use crate::error::{Context, During, Error, Result};
use crate::sys::fs::{open, open_same_mount};
use crate::sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, FsContext};
use crate::sys::process::forget_program_pages;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The longest answer that is read from procfs, in bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// A procfs of the caller's pid namespace.
///
/// Paths are relative to it, name no symbolic link and stay on its mount: a file that something is mounted over is
/// an error.
#[derive(Debug)]
pub struct ProcFs(OwnedFd);

impl ProcFs {
    /// A private, detached procfs; where the kernel forbids one, in a container within a container, the `/proc`
    /// that is there, once it is known to be one.
    ///
    /// # Errors
    /// When `/proc` is something else.
    pub fn open() -> Result<Self> {
        let new = || {
            let context = FsContext::open(c"proc")?;
            context.create()?;
            context.mount(ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC)
        };
        match new() {
            Ok(mount) => Ok(Self(mount)),
            Err(errno @ (Errno::EPERM | Errno::EACCES)) => {
                crate::log::debug(|| format!("no private procfs ({errno}): the one at /proc is used"));
                Self::existing().context(|| "/proc")
            }
            Err(errno) => Err(Error::sys("mount a private procfs", errno)),
        }
    }

    fn existing() -> Result<Self> {
        /// Inode of the root of every procfs, `PROC_ROOT_INO`.
        const ROOT_INODE: u64 = 1;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let proc = open("/proc", flags).during(|| "open")?;
        let kind = fstatfs(&proc).during(|| "fstatfs")?.filesystem_type();
        if kind != PROC_SUPER_MAGIC || fstat(&proc).during(|| "fstat")?.st_ino != ROOT_INODE {
            return Err(Error::new("is not a procfs"));
        }
        Ok(Self(proc))
    }

    /// Writes `value` into the file at `path`: `sys/net/ipv4/ip_forward`.
    ///
    /// # Errors
    /// Names the file.
    pub fn write(&self, path: &str, value: &str) -> Result<()> {
        let name = || format!("write /proc/{path}");
        let file = open_same_mount(self.0.as_fd(), Path::new(path), OFlag::O_WRONLY | OFlag::O_NOCTTY).during(name)?;
        // One call: procfs takes a value as a whole.
        let written = nix::unistd::write(&file, value.as_bytes()).during(name)?;
        if written == value.len() { Ok(()) } else { Err(Error::new("was written only in part").context(name())) }
    }

    /// Writes `value` into a file of the calling thread: `attr/exec`, `oom_score_adj`.
    ///
    /// # Errors
    /// Names the file.
    pub fn write_self(&self, path: &str, value: &str) -> Result<()> {
        self.write(&format!("{}/{path}", self.thread()?), value)
    }

    /// Reads a file of the calling thread, at most 64 KiB: `cgroup`, `attr/current`.
    ///
    /// # Errors
    /// Names the file.
    pub fn read_self(&self, path: &str) -> Result<String> {
        let path = format!("{}/{path}", self.thread()?);
        let name = || format!("read /proc/{path}");
        let file = open_same_mount(self.0.as_fd(), Path::new(&path), OFlag::O_RDONLY | OFlag::O_NOCTTY).during(name)?;
        let mut text = String::new();
        File::from(file).take(MAX_ANSWER).read_to_string(&mut text).during(name)?;
        Ok(text)
    }

    /// Opens what a descriptor of ours refers to once more, with other flags: a FIFO from its `O_PATH` descriptor. Waits,
    /// perhaps long, as opening the file itself does.
    ///
    /// # Errors
    /// Names the operation.
    pub fn reopen(&self, fd: BorrowedFd<'_>, flags: OFlag) -> Result<OwnedFd> {
        let path = format!("{}/fd/{}", self.thread()?, fd.as_raw_fd());
        forget_program_pages();
        // The last step is a magic link, which this procfs made for our own descriptor.
        loop {
            match openat(&self.0, path.as_str(), flags | OFlag::O_CLOEXEC, Mode::empty()) {
                Err(Errno::EINTR) => {}
                result => return result.during(|| format!("reopen /proc/{path}")),
            }
        }
    }

    /// `1/task/1`: what the symbolic link `thread-self` says, which is not followed.
    fn thread(&self) -> Result<String> {
        let target = readlinkat(&self.0, "thread-self").during(|| "readlink /proc/thread-self")?;
        target.into_string().map_err(|_| Error::new("/proc/thread-self is not text"))
    }
}

impl Rootfs<'_> {
    /// A procfs to write to: the container's own when it has a new one, else a private one. Sysctls are written
    /// before [`Rootfs::mask`] makes them read-only.
    ///
    /// # Errors
    /// When there is none.
    pub fn procfs(&mut self) -> Result<ProcFs> {
        match self.proc.take() {
            // No second instance: closing a mount that was never attached waits for all CPUs.
            Some(proc) => Ok(ProcFs(proc)),
            None => ProcFs::open(),
        }
    }
}
