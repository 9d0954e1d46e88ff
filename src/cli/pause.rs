//! `pause` and `resume`

use super::arguments::{Argument, Arguments};
use super::{Command, Global};
use crate::container::Container;
use crate::container::state::Status;
use crate::error::Result;

/// `pause`
#[derive(Debug, Default)]
pub struct Pause {
    id: String,
}

/// `resume`
#[derive(Debug, Default)]
pub struct Resume {
    id: String,
}

impl Arguments for Pause {
    const NAME: &'static str = "pause";
    const ABOUT: &'static str = "Stop all processes of a container until `resume`";
    const ARGUMENTS: &'static [Argument<Self>] = &[Argument::id(|it| &mut it.id)];
}

impl Arguments for Resume {
    const NAME: &'static str = "resume";
    const ABOUT: &'static str = "Let the processes of a paused container continue";
    const ARGUMENTS: &'static [Argument<Self>] = &[Argument::id(|it| &mut it.id)];
}

impl Command for Pause {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        let container = Container::open_locked(&global.store()?, &self.id)?;
        container.require(&[Status::Running, Status::Created], "pause")?;
        container.cgroup()?.freeze()?;
        Ok(0)
    }
}

impl Command for Resume {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        let container = Container::open_locked(&global.store()?, &self.id)?;
        container.require(&[Status::Paused], "resume")?;
        container.cgroup()?.thaw()?;
        Ok(0)
    }
}
