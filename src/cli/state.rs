//! `state`

use super::arguments::{Argument, Arguments};
use super::{Command, Global, print_json};
use crate::container::Container;
use crate::error::Result;

/// `state`
#[derive(Debug, Default)]
pub struct State {
    id: String,
}

impl Arguments for State {
    const NAME: &'static str = "state";
    const ABOUT: &'static str = "Print the state of a container";
    const ARGUMENTS: &'static [Argument<Self>] = &[Argument::id(|it| &mut it.id)];
}

impl Command for State {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        let container = Container::open(&global.store()?, &self.id)?;
        print_json(&container.state.shown(container.status()))?;
        Ok(0)
    }
}
