//! Swapping two names at once, as an attacker does.

use std::ffi::CString;
use std::path::Path;

/// renameat2(2) with `RENAME_EXCHANGE`, which nix has for glibc only.
#[allow(unsafe_code)]
pub fn exchange(a: &Path, b: &Path) -> std::io::Result<()> {
    let [a, b] = [a, b].map(|path| CString::new(path.as_os_str().as_encoded_bytes()).expect("no NUL in a path"));
    let at = libc::AT_FDCWD;
    // SAFETY: both paths are C strings that live until the call returns.
    match unsafe { libc::syscall(libc::SYS_renameat2, at, a.as_ptr(), at, b.as_ptr(), libc::RENAME_EXCHANGE) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
