//! `kill`

use super::arguments::{Argument, Arguments};
use super::{Command, Global};
use crate::container::{Container, kill};
use crate::error::Result;

/// `kill`
#[derive(Debug, Default)]
pub struct Kill {
    all: bool,
    id: String,
    signal: String,
}

impl Arguments for Kill {
    const NAME: &'static str = "kill";
    const ABOUT: &'static str = "Send a signal to a container";
    const ARGUMENTS: &'static [Argument<Self>] = &[
        Argument::option("-a, --all", |it| &mut it.all, "Send the signal to every process of the container"),
        Argument::id(|it| &mut it.id),
        Argument::optional(
            "[SIGNAL]",
            "SIGTERM",
            |it| &mut it.signal,
            "Name (KILL, SIGKILL, RTMIN+3) or number of the signal",
        ),
    ];
}

impl Command for Kill {
    fn run(self: Box<Self>, global: &Global) -> Result<u8> {
        let signal = kill::parse_signal(&self.signal)?;
        kill::kill(&Container::open(&global.store()?, &self.id)?, signal, self.all)?;
        Ok(0)
    }
}
