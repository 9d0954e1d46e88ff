//! `pause` and `resume`

use super::Global;
use crate::container::Container;
use crate::container::state::Status;
use crate::error::Result;

/// `pause`
#[derive(Debug, clap::Args)]
pub struct Pause {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

/// `resume`
#[derive(Debug, clap::Args)]
pub struct Resume {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

impl Pause {
    /// Freezes the container's cgroup.
    pub fn run(self, global: &Global) -> Result<()> {
        let container = Container::open_locked(&global.store()?, &self.id)?;
        container.require(&[Status::Running, Status::Created], "pause")?;
        container.cgroup()?.freeze()
    }
}

impl Resume {
    /// Thaws the container's cgroup.
    pub fn run(self, global: &Global) -> Result<()> {
        let container = Container::open_locked(&global.store()?, &self.id)?;
        container.require(&[Status::Paused], "resume")?;
        container.cgroup()?.thaw()
    }
}
