//! Attributes of processes: pidfds, prctl(2), ids, scheduling, keyrings, memory policy, inherited descriptors.

use super::{Result, check};
use nix::libc;
use nix::unistd::Pid;
use std::ffi::{CStr, c_int, c_long, c_ulong};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Opens a process file descriptor, pidfd_open(2).
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd> {
    // SAFETY: no pointers; the result is a new fd.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: the fd is new and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Sends `signal` (0 only checks) to the process, pidfd_send_signal(2).
pub fn pidfd_send_signal(pidfd: BorrowedFd, signal: c_int) -> Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is allowed and means kill(2)'s.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) }).map(drop)
}

fn prctl(option: c_int, arg2: c_ulong, arg3: c_ulong) -> Result<c_long> {
    // SAFETY: only options without pointers are used in this file, but for PR_SET_NAME, whose caller keeps it alive.
    check(unsafe { libc::syscall(libc::SYS_prctl, option, arg2, arg3, 0 as c_ulong, 0 as c_ulong) })
}

/// Whether the process may be traced and its `/proc` files belong to its user, `PR_SET_DUMPABLE`.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, dumpable.into(), 0).map(drop)
}

/// Names the thread as `ps` and `/proc/self/comm` show it, `PR_SET_NAME`; at most 15 bytes count.
pub fn set_name(name: &CStr) -> Result<()> {
    prctl(libc::PR_SET_NAME, name.as_ptr() as c_ulong, 0).map(drop)
}

/// Sets `no_new_privs`, which nothing can undo.
pub fn set_no_new_privileges() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// Makes orphaned descendants children of this process, `PR_SET_CHILD_SUBREAPER`.
pub fn set_child_subreaper() -> Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0).map(drop)
}

/// Sets the real, effective and saved user id of this thread.
///
/// The C library's function would signal all threads; there is one.
pub fn set_uid(uid: u32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Sets the real, effective and saved group id of this thread.
pub fn set_gid(gid: u32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// Sets the supplementary groups of this thread.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: pointer and length are those of a slice.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Closes every fd from `first` on, close_range(2).
fn close_from(first: u32) -> Result<()> {
    // SAFETY: no pointers. The caller executes another program next: nothing uses the closed fds.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Closes every fd from `first` on but those in `keep`.
///
/// Only for a process that goes on with those alone and never drops the owners of the others: they would close the
/// numbers once more.
pub fn close_all_but<'fd>(first: u32, keep: impl Iterator<Item = &'fd BorrowedFd<'fd>>) -> Result<()> {
    let mut keep: Vec<u32> = keep.map(|fd| fd.as_raw_fd() as u32).filter(|fd| *fd >= first).collect();
    keep.sort_unstable();
    let mut next = first;
    for fd in keep {
        if fd > next {
            // SAFETY: no pointers; the caller promises that nobody uses the closed fds.
            check(unsafe { libc::syscall(libc::SYS_close_range, next, fd - 1, 0) })?;
        }
        next = fd + 1;
    }
    close_from(next)
}

/// Marks every fd from `first` on close-on-exec.
pub fn close_on_exec_from(first: u32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Makes `fd` the standard stream `number` (0 to 2).
pub fn replace_standard_stream(fd: BorrowedFd, number: RawFd) -> Result<()> {
    if fd.as_raw_fd() == number {
        return nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).map(drop);
    }
    // SAFETY: no pointers; the standard streams are never owned by a Rust object here.
    check(unsafe { libc::dup3(fd.as_raw_fd(), number, 0) }.into()).map(drop)
}

/// Whether fd `number` is open.
pub fn is_open(number: RawFd) -> bool {
    nix::fcntl::fcntl(borrow(number), nix::fcntl::FcntlArg::F_GETFD).is_ok()
}

fn borrow<'fd>(fd: RawFd) -> BorrowedFd<'fd> {
    // SAFETY: used for a single fcntl(2), which fails with EBADF when the fd is not open.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Joins a new, empty session keyring of this name, keyctl(2) `KEYCTL_JOIN_SESSION_KEYRING`; returns its serial.
pub fn join_session_keyring(name: &CStr) -> Result<i32> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_int = 1;
    // SAFETY: the name is a C string that lives until the call returns.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) }).map(|id| id as i32)
}

/// Lets everybody who may look a keyring up see it, and its owner use it: the permission bits of a session keyring
/// after a change of users, `KEYCTL_SETPERM`.
pub fn set_key_permissions(serial: i32, permissions: u32) -> Result<()> {
    const KEYCTL_SETPERM: c_int = 5;
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, serial, permissions) }).map(drop)
}

/// Sets the I/O priority of this process, ioprio_set(2): class in the upper three bits, level in the lower 13.
pub fn set_io_priority(priority: u16) -> Result<()> {
    const IOPRIO_WHO_PROCESS: c_int = 1;
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, c_int::from(priority)) }).map(drop)
}

/// Scheduling attributes, sched_setattr(2); times in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[repr(C)]
pub struct SchedAttr {
    /// Size of this structure; set by [`set_scheduler`].
    pub size: u32,
    /// `SCHED_*`
    pub policy: u32,
    /// `SCHED_FLAG_*`
    pub flags: u64,
    /// For `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// For `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// For `SCHED_DEADLINE`.
    pub runtime: u64,
    /// For `SCHED_DEADLINE`.
    pub deadline: u64,
    /// For `SCHED_DEADLINE`.
    pub period: u64,
}

/// Sets the scheduling policy of this process.
pub fn set_scheduler(attributes: &SchedAttr) -> Result<()> {
    let attributes = SchedAttr { size: size_of::<SchedAttr>() as u32, ..*attributes };
    // SAFETY: the structure is the kernel's first version of sched_attr and says its size.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) }).map(drop)
}

/// Sets the NUMA memory policy of this process: mode with its flags, and the bit mask of nodes, set_mempolicy(2).
pub fn set_memory_policy(mode: u32, nodes: &[c_ulong]) -> Result<()> {
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * c_ulong::BITS as usize + 1 };
    let pointer = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the mask has that many bits (the kernel takes one off), or is null with none.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) }).map(drop)
}

/// Lets a process run on the CPUs whose bits are set, sched_setaffinity(2); pid 0 is the caller.
pub fn set_affinity(pid: Pid, cpus: &[c_ulong]) -> Result<()> {
    // SAFETY: pointer and length in bytes are those of a slice.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid.as_raw(), size_of_val(cpus), cpus.as_ptr()) })
        .map(drop)
}

/// The type of a namespace fd as its `CLONE_NEW*` flag, ioctl_nsfs(2) `NS_GET_NSTYPE`.
pub fn namespace_type(fd: BorrowedFd) -> Result<c_int> {
    const NS_GET_NSTYPE: u32 = 0xb703;
    // SAFETY: the request takes no argument.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE as _) }.into()).map(|kind| kind as c_int)
}

/// The user namespace that owns a namespace, ioctl_nsfs(2) `NS_GET_USERNS`.
pub fn namespace_owner(fd: BorrowedFd) -> Result<OwnedFd> {
    const NS_GET_USERNS: u32 = 0xb701;
    // SAFETY: the request takes no argument.
    let owner = check(unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_USERNS as _) }.into())?;
    // SAFETY: the fd is new and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(owner as RawFd) })
}

/// Unblocks every signal for this thread.
pub fn unblock_signals() -> Result<()> {
    use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Gives signals (bit n is signal n + 1) their default action back: an ignored one stays ignored over execve(2).
pub fn reset_signals(mask: u64) {
    (0..u64::BITS).filter(|bit| mask >> bit & 1 == 1).for_each(|bit| reset_signal(bit as c_int + 1));
}

/// Whether this process ignores a signal, as nohup(1) makes it ignore SIGHUP.
pub fn is_ignored(signal: c_int) -> bool {
    // SAFETY: sigaction is plain old data and lives until the call returns.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Gives a signal its default action.
pub fn reset_signal(signal: c_int) {
    // SAFETY: sigaction is plain old data and lives until the call returns; zero is the default action, without flags.
    unsafe {
        let action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

/// Makes a command begin with no signal blocked and with no fd but its standard streams, whatever this process has
/// blocked or passes on.
pub fn begin_clean(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: both are single system calls, which is allowed between fork and execve.
    unsafe {
        command.pre_exec(|| {
            // Fails only under a system call filter, where a hook has nothing but what the program gets too.
            let _ = close_on_exec_from(3);
            Ok(unblock_signals()?)
        });
    }
}

/// Brings a network interface of this name up, netdevice(7) `SIOCSIFFLAGS`.
pub fn bring_up(interface: &CStr) -> Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq is plain old data; zero is valid for it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.to_bytes()) {
        *to = *from as _;
    }
    // SAFETY: the request reads one ifreq, which lives until it returns; ifru_flags is a plain integer.
    unsafe {
        request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request).into())?;
    }
    Ok(())
}

/// Takes over an fd that the kernel has just made for this process in a message, unix(7) `SCM_RIGHTS`.
pub fn received_fd(fd: RawFd) -> OwnedFd {
    // SAFETY: recvmsg(2) made it, and nobody else was told its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Lets go of the pages of the program that have been used so far, before a long wait; what is used again comes back
/// from the page cache. A container that waits for `start` takes 0.4 MB then instead of 1.6.
pub fn forget_program_pages() {
    unsafe extern "C" {
        /// Where the linker has put the program, and its first data that can be written: code and constants lie between.
        static __executable_start: u8;
        static __init_array_start: u8;
    }
    // SAFETY: no conditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let (start, end) = (&raw const __executable_start, &raw const __init_array_start);
    let length = (end as usize / page * page).saturating_sub(start as usize);
    // SAFETY: the pages are as they were read from the file: nothing is lost. Fails without harm where the linker has
    // put the program otherwise.
    unsafe { libc::madvise(start.cast_mut().cast(), length, libc::MADV_DONTNEED) };
}

/// Ends this process at once: no destructor or exit handler of the copied memory runs.
pub fn exit_now(status: c_int) -> ! {
    // SAFETY: _exit(2) has no conditions.
    unsafe { libc::_exit(status) }
}

/// Sets a resource limit of a process (0 is the caller), prlimit(2).
pub fn set_rlimit(pid: Pid, resource: u32, limit: libc::rlimit64) -> Result<()> {
    let old = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: the new limit lives until the call returns; the old one is not asked for.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, pid.as_raw(), resource, &raw const limit, old) }).map(drop)
}

/// Sets the execution domain, personality(2).
pub fn set_personality(domain: u32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_personality, c_ulong::from(domain)) }).map(drop)
}

/// Sets the NIS domain name, setdomainname(2).
pub fn set_domain_name(name: &[u8]) -> Result<()> {
    // SAFETY: pointer and length are those of a slice.
    check(unsafe { libc::syscall(libc::SYS_setdomainname, name.as_ptr(), name.len()) }).map(drop)
}

/// A standard stream (0 to 2), which stays open as long as the process lives.
pub fn standard_stream<'fd>(number: RawFd) -> BorrowedFd<'fd> {
    debug_assert!((0..3).contains(&number));
    // SAFETY: the standard library opens /dev/null in place of a closed standard stream before main; nothing here
    // closes them.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Lets the process run on all CPUs again: the caller's own affinity is no limit of the container. The kernel cuts the
/// mask down to the cpuset; where it refuses, nothing is changed.
pub fn reset_affinity(pid: Pid) {
    let _ = set_affinity(pid, &[c_ulong::MAX; 128]);
}
