//! Where the program begins, before and without the standard library's own start.
//!
//! That start installs handlers for stack overflows and more: 13 system calls and 45 µs, for each of the two programs
//! that a container's creation executes (see [`seal`](crate::container::seal)), out of 2 ms for everything. What
//! berth needs of it is here.

use super::{Result, check};
use nix::errno::Errno;
use nix::libc;
use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The arguments as the kernel laid them out: a NULL ends them.
static ARGUMENTS: AtomicPtr<*const c_char> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" {
    /// environ(7)
    static environ: *const *const c_char;
}

/// Defines the program's `main`, for the one binary: `berth::entry!(function)`.
#[macro_export]
macro_rules! entry {
    ($function:path) => {
        // SAFETY: the C library's start looks for this name, and calls it once with what the type says.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        extern "C" fn main(_count: std::ffi::c_int, arguments: *const *const std::ffi::c_char) -> std::ffi::c_int {
            $crate::sys::entry::begin(arguments);
            let function: fn() -> u8 = $function;
            $crate::sys::entry::end(function())
        }
    };
}

/// Keeps the arguments, and makes sure that no file of ours becomes a standard stream.
pub fn begin(arguments: *const *const c_char) {
    ARGUMENTS.store(arguments.cast_mut(), Ordering::Relaxed);
    let mut streams = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: pointer and length are those of an array; open takes a constant.
    unsafe {
        libc::poll(streams.as_mut_ptr(), 3, 0);
        for _ in streams.iter().filter(|stream| stream.revents & libc::POLLNVAL != 0) {
            // The lowest free number.
            if libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) < 0 {
                libc::abort();
            }
        }
    }
}

/// Makes writing to a reader who is gone an error instead of the end. A caller that ignores SIGCHLD would have our
/// children reaped by the kernel, and their statuses lost.
pub fn set_signals() {
    // SAFETY: the handlers are no functions of ours.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
}

/// Ends the program at once: the kernel frees its memory faster than it could.
pub fn end(status: u8) -> c_int {
    // What does not end with a line's end may still be in there. A reader who is gone misses nothing.
    let _ = std::io::stdout().flush();
    super::process::exit_now(c_int::from(status))
}

/// The command line with the program's name.
pub fn arguments() -> Vec<OsString> {
    let mut next = ARGUMENTS.load(Ordering::Relaxed);
    if next.is_null() {
        return Vec::new();
    }
    let mut arguments = Vec::new();
    // SAFETY: the kernel laid out NUL-terminated strings that live as long as the process, and a NULL at the end.
    unsafe {
        while !(*next).is_null() {
            arguments.push(OsStr::from_bytes(CStr::from_ptr(*next).to_bytes()).to_owned());
            next = next.add(1);
        }
    }
    arguments
}

/// Whether the program was executed by a descriptor, execveat(2): the kernel names it after that in the auxiliary
/// vector.
pub fn executed_by_descriptor() -> bool {
    own_descriptor().is_some()
}

fn own_descriptor() -> Option<RawFd> {
    // SAFETY: the kernel's string lives as long as the process.
    let name = unsafe {
        let name = libc::getauxval(libc::AT_EXECFN) as *const c_char;
        if name.is_null() {
            return None;
        }
        CStr::from_ptr(name)
    };
    name.to_str().ok()?.strip_prefix("/dev/fd/")?.parse().ok()
}

/// The descriptor by which the program was executed, close-on-exec from now on, if it was not so before. To be asked for
/// once, and before any file is opened: the number must not have become another file's.
pub fn take_descriptor() -> Option<OwnedFd> {
    let fd = own_descriptor()?;
    // SAFETY: numbers only. What has the number is what the caller has left to us, and nobody else in here knows it.
    unsafe { (libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) == 0).then(|| OwnedFd::from_raw_fd(fd)) }
}

/// Replaces the program by the one behind `fd`, with the same arguments and environment; returns only with an error.
pub fn execute_again(fd: BorrowedFd) -> Errno {
    let arguments = ARGUMENTS.load(Ordering::Relaxed);
    // SAFETY: both lists are NULL-terminated and live as long as the process; nothing changes the environment.
    let result: Result<_> = check(unsafe {
        libc::syscall(libc::SYS_execveat, fd.as_raw_fd(), c"".as_ptr(), arguments, environ, libc::AT_EMPTY_PATH)
    });
    result.err().unwrap_or(Errno::EINVAL)
}
