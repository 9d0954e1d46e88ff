//! seccomp(2): loading a filter that was compiled before.

use super::{Result, check};
use nix::errno::Errno;
use nix::libc;
use std::ffi::{c_long, c_ulong, c_ushort};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Filters the system calls of the calling thread from now on; allocates nothing. Needs no_new_privs or CAP_SYS_ADMIN.
///
/// With `SECCOMP_FILTER_FLAG_NEW_LISTENER` in `flags` the listener is returned, close-on-exec. This is the last system
/// call that the filter does not see.
pub fn load(program: &[libc::sock_filter], flags: u32) -> Result<Option<OwnedFd>> {
    let len = c_ushort::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let flags: c_ulong = flags.into();
    // SAFETY: the kernel reads `len` instructions behind `filter`, which outlives the call, and writes nothing.
    let value = check(unsafe {
        libc::syscall(libc::SYS_seccomp, c_ulong::from(libc::SECCOMP_SET_MODE_FILTER), flags, &raw const program)
    })?;
    if flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    let fd = RawFd::try_from(value).map_err(|_| Errno::EBADF)?;
    // SAFETY: with this flag the call returned a new file descriptor, which nobody else knows.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Whether the kernel knows these `SECCOMP_FILTER_FLAG_…` bits; loads nothing.
pub fn flags_supported(flags: u32) -> bool {
    // The flags are checked before the program is read: a null program tells EFAULT from EINVAL.
    let flags: c_ulong = flags.into();
    let program: *const libc::sock_fprog = ptr::null();
    // SAFETY: the kernel refuses a null pointer with EFAULT; nothing is loaded.
    let result: c_long =
        unsafe { libc::syscall(libc::SYS_seccomp, c_ulong::from(libc::SECCOMP_SET_MODE_FILTER), flags, program) };
    result < 0 && Errno::last() == Errno::EFAULT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_probed_without_effect() {
        assert!(flags_supported(0));
        assert!(flags_supported(libc::SECCOMP_FILTER_FLAG_LOG as u32));
        assert!(!flags_supported(1 << 30));
    }

    #[test]
    fn a_loaded_filter_acts_on_the_thread_and_a_listener_is_an_fd() {
        let allow_all = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
        std::thread::spawn(move || {
            nix::sys::prctl::set_no_new_privs().unwrap();
            assert!(load(&allow_all, 0).unwrap().is_none());
            assert!(load(&allow_all, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32).unwrap().is_some());
            assert_eq!(load(&[], 0).unwrap_err(), Errno::EINVAL);
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            assert!(status.contains("Seccomp_filters:\t2"), "{status}");
        })
        .join()
        .unwrap();
    }
}
