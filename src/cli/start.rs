//! `start`

use super::arguments::{Argument, Arguments};
use super::{Command, Global};
use crate::container::{Container, start};
use crate::error::Result;

/// `start`
#[derive(Debug, Default)]
pub struct Start {
    id: String,
}

impl Arguments for Start {
    const NAME: &'static str = "start";
    const ABOUT: &'static str = "Run the program of a container that was created";
    const ARGUMENTS: &'static [Argument<Self>] = &[Argument::id(|it| &mut it.id)];
}

impl Command for Start {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        start::start(Container::open_locked(&global.store()?, &self.id)?)?;
        Ok(0)
    }
}
