//! What the parent opens before the new process exists, because that one cannot.

use crate::error::{Error, Result};
use crate::plan::filesystem::Filesystem;
use std::os::fd::OwnedFd;

/// Detached bind sources by index of `mounts`; inherited over `clone3`, dropped by the parent afterwards.
#[derive(Debug, Default)]
pub struct Sources(Vec<Option<OwnedFd>>);

/// In the parent, before `clone3`.
pub fn open_sources(plan: &Filesystem) -> Result<Sources> { let _ = plan; Err(Error::new("skeleton")) }
