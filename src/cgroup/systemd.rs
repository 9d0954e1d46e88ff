//! The systemd driver.

use super::files::Files;
use super::{Host, Request, UnitRecord};
use crate::error::Result;

/// A transient unit and its properties.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    path: String,
}

impl Unit {
    /// Decides name, slice and properties.
    ///
    /// # Errors
    /// When `linux.cgroupsPath` is not `slice:prefix:name`.
    pub fn plan(_host: &Host, _request: &Request) -> Result<Self> {
        Ok(Self::default())
    }

    /// The unit's cgroup below the root of every hierarchy, `/system.slice/berth-c1.scope`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the state file keeps.
    pub fn record(&self) -> UnitRecord {
        UnitRecord::default()
    }
}

/// The cgroup of a unit: the bus first, `files` for what systemd does not know.
#[derive(Debug)]
pub struct Scope {}

impl Scope {
    /// A scope to be made.
    pub fn planned(_unit: Unit, files: Files) -> Files {
        files
    }

    /// A scope that exists.
    pub fn open(_unit: &UnitRecord, files: Files) -> Files {
        files
    }
}
