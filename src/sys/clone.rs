//! Making the one process that becomes a container: clone3(2).

use super::{Result, check};
use nix::libc;
use nix::unistd::Pid;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// linux/sched.h; libc's constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A process made by [`clone3`]; its pidfd names it and nothing else, whatever becomes of its pid.
#[derive(Debug)]
pub struct Child {
    /// The pid in the caller's PID namespace.
    pub pid: Pid,
    /// A process file descriptor, close-on-exec.
    pub pidfd: OwnedFd,
}

/// Makes a child with copied memory like fork(2), with `flags` (`CLONE_NEW*`, `CLONE_PARENT`), directly in the
/// cgroup (v2) that the directory fd names. Returns `None` in the child.
///
/// The caller must have one thread only: the child gets a copy of that thread, and locks that another thread held
/// would stay locked in it.
pub fn clone3(flags: u64, cgroup: Option<BorrowedFd>) -> Result<Option<Child>> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain old data; zero is "unset" for every member.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    // With CLONE_PARENT the exit signal is the caller's own and must be zero here, clone(2).
    args.exit_signal = if flags & libc::CLONE_PARENT as u64 == 0 { libc::SIGCHLD as u64 } else { 0 };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the arguments live until the call returns; without CLONE_VM the child has memory of its own.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        return Ok(None);
    }
    // SAFETY: the kernel stored a new fd there, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Some(Child { pid: Pid::from_raw(pid as i32), pidfd }))
}
