//! A procfs that nobody else can have tampered with.

use crate::error::{Error, Result};
use std::os::fd::OwnedFd;

/// A verified handle of a procfs of the caller's pid namespace.
#[derive(Debug)]
pub struct ProcFs(OwnedFd);

impl ProcFs {
    /// A private instance (init without a fresh /proc, exec after setns).
    pub fn open() -> Result<Self> { Err(Error::new("skeleton")) }
    /// Writes `/proc/<path>`, e.g. `sys/kernel/hostname`.
    pub fn write(&self, path: &str, value: &str) -> Result<()> { let _ = (path, value, &self.0); Err(Error::new("skeleton")) }
    /// Writes `/proc/thread-self/<path>`, e.g. `attr/exec`, `oom_score_adj`.
    pub fn write_self(&self, path: &str, value: &str) -> Result<()> { let _ = (path, value); Err(Error::new("skeleton")) }
    /// Reads `/proc/thread-self/<path>`, bounded to 64 KiB.
    pub fn read_self(&self, path: &str) -> Result<String> { let _ = path; Err(Error::new("skeleton")) }
}
