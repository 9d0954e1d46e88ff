//! `start`

use super::Global;
use crate::container::{Container, start};
use crate::error::Result;

/// `start`
#[derive(Debug, clap::Args)]
pub struct Start {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,
}

impl Start {
    /// Runs the container's program.
    pub fn run(self, global: &Global) -> Result<()> {
        start::start(Container::open_locked(&global.store()?, &self.id)?)
    }
}
