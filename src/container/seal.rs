//! A container can reach the runtime that enters it through `/proc/<pid>/exe`: it must not be able to write there
//! (CVE-2019-5736).
//!
//! berth executes itself once more from a read-only mount of its file that is attached nowhere, which costs a tenth of
//! a copy in memory; without the right to mount, from a sealed copy.
//!
//! The last descriptor of such a mount takes 0.1 ms to close, for which the kernel waits for all CPUs. Executing berth
//! anew would close it. It is kept, and closed by [`let_go`] while the new process has work of its own.

use crate::error::{During, Error, Result};
use crate::sys::{entry, mount, process};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FcntlArg, OFlag, SealFlag, fcntl, openat};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Makes sure that this process runs from a file that nobody can write through it; executes berth anew for that.
///
/// # Errors
/// When no safe copy can be made.
pub fn ensure() -> Result<()> {
    const OWN: &CStr = c"/proc/self/exe";
    let open_own =
        || openat(AT_FDCWD, OWN, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).during(|| "open /proc/self/exe");
    if entry::executed_by_descriptor() && is_sealed(OWN, open_own)? {
        *kept() = entry::take_descriptor();
        // execveat names the process after the fd.
        return process::set_name(c"berth").during(|| "prctl(PR_SET_NAME)");
    }
    let copy = match mount::read_only_clone(OWN) {
        Err(Errno::EPERM | Errno::EINVAL) => sealed_copy(open_own()?)?,
        result => result.during(|| "read-only mount of /proc/self/exe")?,
    };
    Err(Error::sys("execute the sealed copy of berth", entry::execute_again(copy.as_fd())))
}

/// The descriptor that this program was executed by.
fn kept() -> MutexGuard<'static, Option<OwnedFd>> {
    static KEPT: Mutex<Option<OwnedFd>> = Mutex::new(None);
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes the descriptor by which berth was executed: in the new process before anybody of the container can look at
/// it, in this one when it has nothing better to do.
pub fn let_go() {
    kept().take();
}

fn is_sealed(own: &CStr, open: impl Fn() -> Result<OwnedFd>) -> Result<bool> {
    if statvfs(own).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY)) {
        return Ok(true);
    }
    let seals = fcntl(open()?, FcntlArg::F_GET_SEALS).map_or(SealFlag::empty(), SealFlag::from_bits_truncate);
    Ok(seals.contains(SealFlag::F_SEAL_WRITE))
}

fn sealed_copy(own: OwnedFd) -> Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // Where vm.memfd_noexec is set, it must be asked for; kernels before 6.3 do not know the flag.
    let copy = match memfd_create(c"berth", flags | MFdFlags::from_bits_retain(nix::libc::MFD_EXEC)) {
        Err(Errno::EINVAL) => memfd_create(c"berth", flags),
        result => result,
    };
    let copy = copy.during(|| "memfd_create")?;
    let mut copy = File::from(copy);
    std::io::copy(&mut File::from(own), &mut copy).during(|| "copy /proc/self/exe")?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals)).during(|| "fcntl(F_ADD_SEALS)")?;
    Ok(copy.into())
}
