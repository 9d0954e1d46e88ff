//! `delete`

use super::arguments::{Argument, Arguments};
use super::{Command, Global};
use crate::container::delete;
use crate::error::Result;

/// `delete`
#[derive(Debug, Default)]
pub struct Delete {
    force: bool,
    id: String,
}

impl Arguments for Delete {
    const NAME: &'static str = "delete";
    const ABOUT: &'static str = "Remove a container and everything that was made for it";
    const ARGUMENTS: &'static [Argument<Self>] = &[
        Argument::option(
            "-f, --force",
            |it| &mut it.force,
            "Kill the container first if it runs; a container that does not exist is no failure",
        ),
        Argument::id(|it| &mut it.id),
    ];
}

impl Command for Delete {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        delete::delete(&global.store()?, &self.id, self.force)?;
        Ok(0)
    }
}
