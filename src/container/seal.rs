//! A container can reach the runtime that enters it through `/proc/<pid>/exe`: it must not be able to write there
//! (CVE-2019-5736).
//!
//! berth executes itself once more from a read-only mount of its file that is attached nowhere, which costs a tenth of
//! a copy in memory; without the right to mount, from a sealed copy.

use crate::error::{During, Error, Result};
use crate::sys::{mount, process};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

/// Makes sure that this process runs from a file that nobody can write through it; executes berth anew for that.
///
/// # Errors
/// When no safe copy can be made.
pub fn ensure() -> Result<()> {
    let own =
        open("/proc/self/exe", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).during(|| "open /proc/self/exe")?;
    if is_sealed(&own) {
        // execveat names the process after the fd.
        return process::set_name(c"berth").during(|| "prctl(PR_SET_NAME)");
    }
    let copy = match mount::read_only_clone(own.as_fd()) {
        Err(Errno::EPERM | Errno::EINVAL) => sealed_copy(own)?,
        result => result.during(|| "read-only mount of /proc/self/exe")?,
    };
    let text = |text: std::ffi::OsString| CString::new(text.into_vec()).unwrap_or_default();
    let args: Vec<_> = std::env::args_os().map(text).collect();
    let env: Vec<_> = std::env::vars_os()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            text(name)
        })
        .collect();
    Err(Error::sys("execute the sealed copy of berth", process::execute_fd(copy.as_fd(), &args, &env)))
}

fn is_sealed(file: &OwnedFd) -> bool {
    let seals = fcntl(file, FcntlArg::F_GET_SEALS).map(SealFlag::from_bits_truncate).unwrap_or(SealFlag::empty());
    seals.contains(SealFlag::F_SEAL_WRITE) || fstatvfs(file).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY))
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
