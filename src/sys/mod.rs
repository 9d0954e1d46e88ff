//! System calls that `nix` lacks, as thin, typed wrappers: the only place with `unsafe`.
//!
//! Nothing here knows what a container is. Functions take borrowed fds and return owned ones, fail with the bare
//! [`Errno`](nix::errno::Errno) (the caller knows the context) and name their manual page.
#![allow(unsafe_code)]

pub mod alloc;
pub mod bpf;
pub mod caps;
pub mod clone;
pub mod entry;
pub mod fs;
pub mod mount;
pub mod process;
pub mod seccomp;
pub mod tty;

use nix::errno::Errno;
use std::ffi::c_long;

/// Result of a system call.
pub type Result<T> = std::result::Result<T, Errno>;

/// The value of a system call that returned, or its error.
fn check(value: c_long) -> Result<c_long> {
    if value < 0 { Err(Errno::last()) } else { Ok(value) }
}
